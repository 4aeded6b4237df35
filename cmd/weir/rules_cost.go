package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/processors/rule"
	"weir/topology/window"
)

func newRulesCost(sys system) *cobra.Command {
	var size costSize
	const use = "cost FILE…"
	c := rulesCommand(sys, use, &cobra.Command{
		Short: "Estimate what rules take in state and time",
		Long: long(`Tells what the rules and features of files take: the series of values that each kind of entity keeps, how many entries and
bytes, what that makes for many entities, and how long an event takes. Bytes are upper bounds where it says most, estimates where it
says expected; times are estimates from measurements: weir rules backtest measures.`),
		Example: "  weir rules cost rules.yaml\n  weir rules cost rules.yaml --entities 5000000 --events 12",
		Args:    wanted(use, 1),
	}, func(_ context.Context, a *app, files []string) error {
		if err := a.onlyFormats("text", "json"); err != nil {
			return err
		}
		_, set, err := compileRules(a, files)
		if err != nil {
			return err
		}
		cost := set.Cost()
		if a.Output.Format == "json" {
			return printJSON(a, &cost)
		}
		return printCost(a.out, &cost, size)
	})
	c.Flags().Int64Var(&size.entities, "entities", 1_000_000, "entities of each kind that are active")
	c.Flags().Int64Var(&size.events, "events", 5, "events of an entity that its features still remember, on average")
	return c
}

// costSize is what the state is estimated for.
type costSize struct{ entities, events int64 }

func printCost(out io.Writer, c *rule.Cost, size costSize) error {
	w := aligned(out)
	fmt.Fprintf(w, "ENTITY\tSERIES\tREADINGS\tREMEMBERS\tENTRIES\tMOST BYTES\tEXPECTED FOR %d WITH %d EVENTS EACH\n", size.entities, size.events)
	for _, k := range c.Kinds {
		each := min(k.EventB*size.events, k.MostB)
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%s\t%s\n", k.Kind, k.Series, k.Readings, span(k.Horizon), k.Entries, bytesText(k.MostB),
			bytesText(each*size.entities))
	}
	fmt.Fprintln(w, "\nSERIES\tREMEMBERS\tENTRIES\tBUCKETS\tMOST BYTES\tFEATURES\tRULES")
	for _, s := range c.Series {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", s.Text, span(s.Horizon), s.Entries, s.Buckets, bytesText(s.MostB),
			namesText(s.Features), namesText(s.Rules))
	}
	fmt.Fprintln(w, "\nRULE\tSTATE\tASKS\tREADINGS\tSERIES\tMOST BYTES\tITS OWN\tµS AN EVENT")
	for _, r := range c.Rules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%.3f\n", r.ID, r.State, namesText(r.Kinds), r.Readings, r.Series,
			bytesText(r.MostB), bytesText(r.AloneB), r.Micros)
	}
	fmt.Fprintln(w, "\nEVENT\tCLAUSES\tENTITIES\tVALUES\tGATES\tµS")
	for _, e := range c.Events {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f\n", e.Type, e.Clauses, e.Entities, e.Values, e.Gates, e.Micros)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%.1f µs an event in a shop's usual mix, of which events without rules take the most\n", c.Micros)
	return err
}

func span(d time.Duration) string {
	if d == 0 {
		return "all"
	}
	return window.FormatSpan(d)
}

func namesText(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	const shown = 4
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], " "), len(names)-shown)
	}
	return strings.Join(names, " ")
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
