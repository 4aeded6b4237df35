package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
)

func newRulesWarm(sys system) *cobra.Command {
	var everything bool
	var since string
	const use = "warm FEATURE…|--all"
	c := below(sys, "rules", use, &cobra.Command{
		Short: "Fill new features from the past",
		Long: long(`A feature that comes into force while weir runs knows nothing of the time before, and rules take it as unknown until its
window has passed. This command reads the source topics' past again and fills the features that are named, or those of the rules that are
named. Rules find nothing in that past: weir rules backtest shows what they would have found.`,
			`It may run at any time and more than once: what group entities knows already stays as it is. It reads as far back as the
longest window needs, or since --since.`),
		Example: "  weir rules warm orders_of_device\n  weir rules warm --all --since 2026-01-01",
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) > 0) == everything {
				return &usageError{errors.New("name the features or rules to fill, or give --all")}
			}
			return nil
		},
	}, func(ctx context.Context, a *app, names []string) error {
		return mistakes(a.warmRules(ctx, names, since))
	})
	c.Flags().BoolVar(&everything, "all", false, "fill everything that is kept")
	c.Flags().StringVar(&since, "since", "", "read events that arrived then or later: a date, a time, or how long ago (36h)")
	return c
}

func (a *app) warmRules(ctx context.Context, names []string, since string) error {
	from, err := moment("--since", since, time.Now())
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, rulesWithin)
	defer cancel()
	rules, book, err := a.readRules(within)
	if err != nil {
		return err
	}
	d, err := rules.DocumentOf(book)
	if err != nil {
		return err
	}
	bar := newProgress(a.err, 0)
	done, err := pipeline.Warm(ctx, &a.Config, pipeline.Warming{Document: d, Names: names, Since: from, Progress: func(n, _ int64) { bar.events(n) }})
	bar.finish()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	complete := "all there ever was"
	if !done.Complete.IsZero() {
		complete = "complete since " + done.Complete.Format(time.RFC3339)
	}
	fmt.Fprintf(a.out, "filled %d series from %d events: %d observations in %d records, %s\n", done.Series, done.Events, done.Observations,
		done.Records, complete)
	if done.Waiting > 0 {
		fmt.Fprintf(a.out, "%d events belong to orders that began before: they fill nothing\n", done.Waiting)
	}
	return nil
}
