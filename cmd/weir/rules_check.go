package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weir/processors/rule"
)

func newRulesCheck(sys system) *cobra.Command {
	const use = "check FILE…"
	return rulesCommand(sys, use, &cobra.Command{
		Short: "Check files of rules without touching a cluster",
		Long: long(`Parses, checks and compiles the files as one document, and tells what is in it. Every mistake is shown with its file, line
and column; then the exit code is 2.`),
		Example: "  weir rules check rules.yaml\n  weir rules check rules/*.yaml && weir rules test rules/*.yaml",
		Args:    wanted(use, 1),
	}, func(_ context.Context, a *app, files []string) error {
		d, set, err := compileRules(a, files)
		if err != nil {
			return err
		}
		return printSummary(a, d, set)
	})
}

// compileRules reads files as one document.
func compileRules(a *app, files []string) (*rule.Document, *rule.Set, error) {
	d, err := parseRules(a.in, files)
	if err != nil {
		return nil, nil, mistakes(err)
	}
	set, err := rule.Compile(d)
	return d, set, mistakes(err)
}

// mistakes is for commands that change nothing anyway.
func mistakes(err error) error {
	var problems rule.Problems
	if !errors.As(err, &problems) {
		return err
	}
	return &refusedError{fmt.Errorf("mistakes in the rules: %d\n%s", len(problems), problems)}
}

func printSummary(a *app, d *rule.Document, set *rule.Set) error {
	states, kinds, tests := map[string]int{}, map[string]int{}, 0
	for _, r := range set.Rules() {
		states[string(r.State)]++
		kinds[r.Kind]++
		tests += len(r.Tests)
	}
	cost := set.Cost()
	w := aligned(a.out)
	fmt.Fprintf(w, "rules\t%d\t%s\n", len(set.Rules()), counted(states))
	fmt.Fprintf(w, "\t\t%s\n", counted(kinds))
	fmt.Fprintf(w, "tests\t%d\t%s\n", tests, "weir rules test runs them")
	fmt.Fprintf(w, "features\t%d\t%d series of %d kinds of entities\n", len(d.Features), len(cost.Series), len(cost.Kinds))
	fmt.Fprintf(w, "lists\t%d\n", len(d.Lists))
	fmt.Fprintf(w, "cost\t%.1f µs\tan event, estimated; weir rules cost tells more\n", cost.Micros)
	return w.Flush()
}

// counted is "3 live, 1 shadow".
func counted(counts map[string]int) string {
	var all []string
	for _, name := range sortedNames(counts) {
		all = append(all, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(all, ", ")
}
