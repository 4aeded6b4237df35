package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"weir/topology/rulebook"
)

func newRulesDiff(sys system) *cobra.Command {
	var prune bool
	const use = "diff FILE…"
	c := rulesCommand(sys, use, &cobra.Command{
		Short:   "Show what applying files would change",
		Long:    `Shows what weir rules apply would change: what is added, changed (line by line), moved to another state, removed, and how much stays the same.`,
		Example: "  weir rules diff rules.yaml",
		Args:    wanted(use, 1),
	}, func(ctx context.Context, a *app, files []string) error {
		_, book, next, err := a.readOver(ctx, files, prune)
		if err != nil {
			return err
		}
		return printDiff(a.out, book, &next)
	})
	c.Flags().BoolVar(&prune, "prune", false, "as of apply: what the files do not name would be removed")
	return c
}

// printEffects tells in a line each what a change does.
func printEffects(out io.Writer, effects []rulebook.Effect) error {
	w := aligned(out)
	for _, e := range effects {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Change, e.Kind, e.ID, move(e))
	}
	return w.Flush()
}

// move is how a rule's state changes.
func move(e rulebook.Effect) string {
	switch {
	case e.Kind != rulebook.KindRule || e.From == e.To:
		return ""
	case e.From == "":
		return e.To
	case e.To == "":
		return "was " + e.From
	}
	return e.From + " → " + e.To
}

func printDiff(out io.Writer, book rulebook.Book, next *rulebook.Document) error {
	effects := rulebook.Compare(&book.Document, next)
	touched := map[string]bool{}
	for _, e := range effects {
		touched[e.Kind+" "+e.ID] = true
		line := strings.TrimRight(fmt.Sprintf("%s %s %s %s", e.Change, e.Kind, e.ID, move(e)), " ")
		if e.Change == rulebook.Changed && e.Before == e.After {
			line += " (its text is the same; a feature that it uses, or a default, is another)"
		}
		text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(e.Before), B: difflib.SplitLines(e.After), Context: 2,
			FromFile: fmt.Sprintf("revision %d", book.Revision), ToFile: "applied",
		})
		if err != nil {
			return err
		}
		if e.Before == "" || e.After == "" || e.Before == e.After {
			text = "" // all of it is new, or gone
		}
		if _, err := fmt.Fprintf(out, "%s\n%s", line, text); err != nil {
			return err
		}
	}
	same := 0
	for _, r := range next.Rules {
		if !touched[rulebook.KindRule+" "+r.ID] {
			same++
		}
	}
	_, err := fmt.Fprintf(out, "%d changes to revision %d; %d rules stay the same\n", len(effects), book.Revision, same)
	return err
}
