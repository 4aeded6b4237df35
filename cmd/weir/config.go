package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weir/configs"
)

func newConfig(sys system) *cobra.Command {
	c := command(sys, &cobra.Command{
		Use:   "config [KEY]",
		Short: "Show every setting, its value and where that comes from",
		Long: long(`Shows every setting, its effective value and where that was given: default, file and line, environment variable or flag.
What it prints can be saved as a configuration file. With a key, or the beginning of one, it explains what the setting does.`,
			`A value is taken from the built-in defaults, the configuration file (--config, $WEIR_CONFIG, or weir.yaml in the
current folder), the environment, and the command line, each over the one before.`),
		Example: `  weir config
  weir config kafka.brokers
  WEIR_COMMIT_INTERVAL=20ms weir config commit_interval
  weir config > weir.yaml`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var paths []string
			for _, k := range configs.Keys() {
				paths = append(paths, k.Path)
			}
			return paths, cobra.ShellCompDirectiveNoFileComp
		},
	}, showConfig)
	return c
}

func showConfig(_ context.Context, a *app, args []string) error {
	if err := a.onlyFormats("text", "json"); err != nil {
		return err
	}
	settings := a.Settings()
	if len(args) == 1 {
		settings = nil
		for _, s := range a.Settings() {
			if s.Key == args[0] || strings.HasPrefix(s.Key, strings.TrimSuffix(args[0], ".")+".") {
				settings = append(settings, s)
			}
		}
		if len(settings) == 0 {
			return fmt.Errorf("there is no key %s%s", args[0], configs.Suggest(args[0]))
		}
	}
	if a.Output.Format == "json" {
		return printJSON(a, settings)
	}
	if len(args) == 0 {
		return a.Write(a.out)
	}
	for i, s := range settings {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if _, err := fmt.Fprintf(a.out, "%s: %s\n  %s\n  from  %s\n  env   %s\n", s.Key, s.Value, s.Help, s.Origin, s.Env); err != nil {
			return err
		}
		if s.Flag != "" {
			fmt.Fprintf(a.out, "  flag  %s\n", s.Flag)
		}
	}
	return nil
}
