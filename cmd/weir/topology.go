package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"weir/topology"
)

func newTopology(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "topology",
		Short: "Print the graph of topics and groups",
		Long:  "Prints the graph of topics, groups and tables under the names that the configuration gives them.",
		Example: `  weir topology
  weir topology --format mermaid`,
		Args: cobra.NoArgs,
	}, showTopology)
}

// graph is the installation's topology under its configured names.
func (a *app) graph() (topology.Graph, error) {
	inputs, err := a.Inputs()
	if err != nil {
		return topology.Graph{}, err
	}
	var sources []string
	for _, in := range inputs {
		sources = append(sources, in.Topic)
	}
	return topology.Describe(a.Names(), sources...), nil
}

func showTopology(_ context.Context, a *app, _ []string) error {
	g, err := a.graph()
	if err != nil {
		return err
	}
	text := g.Text()
	switch a.Output.Format {
	case "mermaid":
		text = g.Mermaid()
	case "json":
		data, err := g.JSON()
		if err != nil {
			return err
		}
		text = string(data) + "\n"
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}
