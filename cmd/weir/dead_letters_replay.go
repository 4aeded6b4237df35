package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"weir/views/deadletter"
)

func newDeadLettersReplay(sys system) *cobra.Command {
	var f letterFilter
	var by signature
	var force bool
	c := deadLettersCommand(sys, "replay [ID…]", &cobra.Command{
		Short: "Write dead letters back to where they came from",
		Long: long(`Writes dead letters back to where they came from: the same key, value and headers into the same partition of the source
topic. Name them, or choose by --reason those that have not been replayed, oldest first.`,
			`What would be refused again is not written, and said so; --force writes it all the same.`),
		Example: `  weir dead-letters replay 3@17 3@18
  weir dead-letters replay --reason future
  weir dead-letters replay --reason bad_value --topic payments --limit 100`,
		Args: letterIDs("replay ID…", 0, deadletter.MaxReplay),
	}, func(ctx context.Context, a *app, letters *deadletter.Reader, args []string) error {
		chosen, err := f.filter(deadletter.MaxReplay)
		if err != nil {
			return err
		}
		o := &deadletter.Order{Filter: *chosen, Limit: f.limit, Author: by.by(a.environ), Force: force}
		for _, text := range args {
			id, err := deadletter.ParseID(text)
			if err != nil {
				return &usageError{err}
			}
			o.IDs = append(o.IDs, id)
		}
		switch {
		case len(args) > 0 && len(f.reasons)+len(f.topics) > 0:
			return &usageError{errors.New("name letters, or choose them by --reason: not both")}
		case len(args) == 0 && len(f.reasons) == 0:
			return &usageError{errors.New("say which letters: their ids, or a reason: weir dead-letters replay --reason REASON")}
		}
		if _, err := complete(ctx, letters, chosen, 1); err != nil {
			return err
		}
		report, err := letters.Replay(ctx, o)
		if err != nil {
			return err
		}
		if a.Output.Format == "json" {
			return printJSON(a, report.Outcomes)
		}
		return printReplay(a, report)
	})
	f.flags(c, deadletter.MaxReplay)
	c.Flags().StringVar(&by.author, "author", "", "who replays them (default: $USER)")
	c.Flags().BoolVar(&force, "force", false, "also what would be refused again, and what has been replayed before")
	return c
}

func printReplay(a *app, report *deadletter.Report) error {
	w := aligned(a.out)
	for _, o := range report.Outcomes {
		what := printable(o.Why)
		if o.Status == deadletter.StatusReplayed {
			what = "it stands at " + o.Place.String()
		} else if o.Force {
			what += "; --force replays it"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", o.ID, o.Status, what)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	done := report.Counts[deadletter.StatusReplayed]
	fmt.Fprintf(a.out, "%d replayed, %d not", done, len(report.Outcomes)-done)
	if report.Left > 0 {
		fmt.Fprintf(a.out, "; %d more wait, beyond the limit", report.Left)
	}
	fmt.Fprintln(a.out)
	if done == 0 && len(report.Outcomes) > 0 {
		return errors.New("nothing was replayed")
	}
	return nil
}
