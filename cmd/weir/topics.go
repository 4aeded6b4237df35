package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/configs"
	"weir/topology/client"
)

func newTopics(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "topics",
		Short: "Show the topics on the cluster, or create what is missing",
		Long: long(`Shows the topics that weir needs as they stand on the cluster. With --ensure it creates what is missing and checks the
rest: source topics and tables that meet must have equal partition counts, tables must be compacted. It never changes a
topic that exists.`),
		Example: `  weir topics --brokers kafka:9092
  weir topics --brokers kafka:9092 --ensure --partitions 12 --replication 3`,
		Args: cobra.NoArgs,
	}, topics)
}

func topics(ctx context.Context, a *app, _ []string) error {
	if err := a.onlyFormats("text", "json"); err != nil {
		return err
	}
	if _, err := a.probe(ctx); err != nil {
		return err
	}
	specs, err := a.TopicSpecs()
	if err != nil {
		return err
	}
	if a.Topics.Ensure {
		if err := a.ensure(ctx, specs); err != nil {
			return err
		}
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	infos, err := client.Describe(ctx, kadm.NewClient(cl), names...)
	if err != nil {
		return client.Diagnose(a.Kafka, err)
	}
	if a.Output.Format == "json" {
		return printTopicsJSON(a, infos)
	}
	w := aligned(a.out)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\tREPLICAS\tCLEANUP\tRETENTION\tRECORDS AT MOST")
	missing := 0
	for _, t := range infos {
		if t.Missing {
			missing++
			fmt.Fprintf(w, "%s\tmissing\t\t\t\t\n", t.Name)
			continue
		}
		replicas := fmt.Sprint(t.Replication)
		if t.UnderReplicated > 0 {
			replicas += fmt.Sprintf(" (%d partitions short)", t.UnderReplicated)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%d\n", t.Name, t.Partitions, replicas, t.Cleanup, retention(t), t.Offsets)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("missing: %d topics; `weir topics --ensure` creates them", missing)
	}
	return nil
}

func retention(t client.TopicInfo) string {
	switch {
	case t.Cleanup == string(client.Compact) || t.Retention < 0:
		return "for ever"
	case t.Retention == 0:
		return "-"
	}
	return configs.FormatDuration(t.Retention)
}

// topicJSON is a topic for programs.
type topicJSON struct {
	Name              string `json:"name"`
	Missing           bool   `json:"missing"`
	Partitions        int32  `json:"partitions,omitempty"`
	Replication       int16  `json:"replication,omitempty"`
	UnderReplicated   int32  `json:"under_replicated,omitempty"`
	Cleanup           string `json:"cleanup,omitempty"`
	RetentionSeconds  int64  `json:"retention_seconds,omitempty"` // −1: for ever
	RecordsUpperBound int64  `json:"records_upper_bound"`
}

func printTopicsJSON(a *app, infos []client.TopicInfo) error {
	out := make([]topicJSON, len(infos))
	for i, t := range infos {
		seconds := int64(t.Retention.Seconds())
		if t.Retention < 0 {
			seconds = -1
		}
		out[i] = topicJSON{t.Name, t.Missing, t.Partitions, t.Replication, t.UnderReplicated, t.Cleanup, seconds, t.Offsets}
	}
	return printJSON(a, out)
}
