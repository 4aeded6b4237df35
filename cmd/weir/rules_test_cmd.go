package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/backtest"
)

func newRulesTest(sys system) *cobra.Command {
	const use = "test FILE…"
	return rulesCommand(sys, use, &cobra.Command{
		Short: "Run the tests that stand beside rules",
		Long: long(`Runs the tests of the files' rules in the simulator. Each test plays its events, with all features and lists of the files,
and compares the alerts of its own rule, taken as live, with those that it expects.`,
			`Event time is that of the newest event. A line advance TIME among the events lets it pass, so that deadlines do.`,
			`The exit code is 1 if a test fails.`),
		Example: "  weir rules test rules.yaml\n  weir rules test rules/*.yaml --format json",
		Args:    wanted(use, 1),
	}, func(_ context.Context, a *app, files []string) error {
		if err := a.onlyFormats("text", "json"); err != nil {
			return err
		}
		d, _, err := compileRules(a, files)
		if err != nil {
			return err
		}
		results, err := backtest.RunTests(d)
		if err != nil {
			return mistakes(err)
		}
		return printTests(a, results)
	})
}

func printTests(a *app, results []backtest.TestResult) error {
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if a.Output.Format == "json" {
		if err := printJSON(a, results); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			printTest(a, r)
		}
		fmt.Fprintf(a.out, "%d of %d tests ok\n", len(results)-failed, len(results))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, len(results))
	}
	return nil
}

func printTest(a *app, r backtest.TestResult) {
	if r.OK {
		fmt.Fprintf(a.out, "ok      %s: %s\n", r.Rule, r.Name)
		return
	}
	fmt.Fprintf(a.out, "FAILED  %s: %s\n", r.Rule, r.Name)
	if r.Mistake != "" {
		fmt.Fprintf(a.out, "        %s\n", r.Mistake)
		return
	}
	for _, line := range r.Missing {
		fmt.Fprintf(a.out, "      - %s\n", line)
	}
	for _, line := range r.Extra {
		fmt.Fprintf(a.out, "      + %s\n", line)
	}
	fmt.Fprintf(a.out, "        event time ended at %s; a line advance TIME lets it pass\n", r.Reached.Format(time.RFC3339))
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
