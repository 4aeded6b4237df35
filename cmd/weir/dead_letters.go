package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/cmd/weir/internal/pipeline"
	"weir/topology/event"
	"weir/views/deadletter"
)

func newDeadLetters(sys system) *cobra.Command {
	return parent(&cobra.Command{
		Use:   "dead-letters",
		Short: "Show the records that could not be taken, and replay them",
		Long: long(`Shows the records that could not be taken, with the reason, and writes them back to where they came from once the cause is
mended. It reads and writes Kafka itself; the newest 5,000 letters are looked at.`,
			`A replay is safe to repeat: events carry ids, and one that was counted is not counted again.`),
	}, newDeadLettersList(sys), newDeadLettersShow(sys), newDeadLettersReplay(sys))
}

// deadLettersWithin bounds a command.
const deadLettersWithin = time.Minute

// deadLettersCommand is a command below weir dead-letters. use is how it is called.
func deadLettersCommand(sys system, use string, c *cobra.Command, run func(ctx context.Context, a *app, letters *deadletter.Reader, args []string) error) *cobra.Command {
	return below(sys, "dead-letters", use, c, func(ctx context.Context, a *app, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, deadLettersWithin)
		defer cancel()
		if err := a.onlyFormats("text", "json"); err != nil {
			return err
		}
		if _, err := a.probe(ctx); err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		defer cl.Close()
		letters, err := pipeline.DeadLetters(&a.Config, kadm.NewClient(cl), a.log)
		if err != nil {
			return err
		}
		return run(ctx, a, letters, args)
	})
}

// letterFilter are the flags that choose letters.
type letterFilter struct {
	reasons, topics []string
	since           time.Duration
	limit           int
}

func (f *letterFilter) flags(c *cobra.Command, limit int) {
	c.Flags().StringSliceVar(&f.reasons, "reason", nil, "only of these reasons, such as bad_money")
	c.Flags().StringSliceVar(&f.topics, "topic", nil, "only of these source topics")
	c.Flags().DurationVar(&f.since, "since", 0, "only those refused within this time, such as 24h")
	c.Flags().IntVar(&f.limit, "limit", limit, "at most so many")
}

// filter checks the flags: a reason that does not exist would find nothing, and nobody would know why.
func (f *letterFilter) filter(most int) (*deadletter.Filter, error) {
	known := append(event.Reasons(), event.ReasonWebhook)
	for _, r := range f.reasons {
		if !slices.Contains(known, event.Reason(r)) {
			return nil, &usageError{fmt.Errorf("there is no reason %q; there are %s", r, joined(known))}
		}
	}
	if f.limit < 1 || f.limit > most {
		return nil, &usageError{fmt.Errorf("--limit is 1 to %d", most)}
	}
	out := &deadletter.Filter{Reasons: f.reasons, Topics: f.topics}
	if f.since > 0 {
		out.From = time.Now().Add(-f.since)
	}
	return out, nil
}

func joined(reasons []event.Reason) string {
	var out []string
	for _, r := range reasons {
		out = append(out, string(r))
	}
	return strings.Join(out, ", ")
}

// complete asks again while the topic is still being read.
func complete(ctx context.Context, letters *deadletter.Reader, f *deadletter.Filter, limit int) (*deadletter.Listing, error) {
	for {
		l, err := letters.List(ctx, f, "", limit)
		if err != nil || l.Unread == 0 {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the topic of dead letters could not be read to its end within %s: %w; %d records are left", deadLettersWithin, ctx.Err(), l.Unread)
		case <-time.After(time.Second): // it looks at most once a second
		}
	}
}

// Limits of what is listed.
const (
	listedLetters = 50
	mostLetters   = 5000
)

func newDeadLettersList(sys system) *cobra.Command {
	var f letterFilter
	var all bool
	c := deadLettersCommand(sys, "list", &cobra.Command{
		Short: "List dead letters, newest first, and count them by reason",
		Example: `  weir dead-letters list
  weir dead-letters list --reason bad_money,json --since 24h
  weir dead-letters list --format json`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, a *app, letters *deadletter.Reader, _ []string) error {
		chosen, err := f.filter(mostLetters)
		if err != nil {
			return err
		}
		if !all {
			chosen.Replayed = "exclude"
		}
		l, err := complete(ctx, letters, chosen, f.limit)
		if err != nil {
			return err
		}
		if a.Output.Format == "json" {
			return printJSON(a, l.Letters)
		}
		return printLetters(a, l)
	})
	f.flags(c, listedLetters)
	c.Flags().BoolVar(&all, "all", false, "also those that have been replayed")
	return c
}

func printLetters(a *app, l *deadletter.Listing) error {
	if l.Total == 0 {
		_, err := fmt.Fprintln(a.out, "no dead letters wait")
		return err
	}
	w := aligned(a.out)
	fmt.Fprintln(w, "ID\tAT\tREASON\tWHERE\tREPLAY\tDETAIL")
	for _, m := range l.Letters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.At.Local().Format("2006-01-02 15:04:05"), m.Reason, m.Place, replayWord(m), printable(oneLine(m.Detail)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var counts []string
	for r, c := range l.Reasons {
		counts = append(counts, fmt.Sprintf("%s %d", r, c.Count))
	}
	slices.Sort(counts)
	fmt.Fprintf(a.out, "%d of %d; by reason: %s\n", len(l.Letters), l.Total, strings.Join(counts, ", "))
	if l.LeftOut > 0 {
		fmt.Fprintf(a.out, "about %d older ones were not looked at\n", l.LeftOut)
	}
	return nil
}

func replayWord(m *deadletter.Letter) string {
	switch {
	case m.Replayed != nil:
		return "done"
	case m.Replay.Can:
		return "yes"
	case m.Replay.Force:
		return "force"
	}
	return "no"
}

func newDeadLettersShow(sys system) *cobra.Command {
	const use = "show ID"
	return deadLettersCommand(sys, use, &cobra.Command{
		Short:   "Show one dead letter whole, and what to do about it",
		Example: "  weir dead-letters show 3@17",
		Args:    letterIDs(use, 1, 1),
	}, func(ctx context.Context, a *app, letters *deadletter.Reader, args []string) error {
		id, err := deadletter.ParseID(args[0])
		if err != nil {
			return &usageError{err}
		}
		l, err := letters.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if a.Output.Format == "json" {
			return printJSON(a, l)
		}
		w := aligned(a.out)
		fmt.Fprintf(w, "letter\t%s\nrefused\t%s\nreason\t%s\ndetail\t%s\nwhere\t%s\nkey\t%s\n", l.ID, l.At.Local().Format(time.RFC3339), l.Reason, printable(l.Detail),
			l.Place, cmp.Or(printable(l.Key.Text), l.Key.Base64, "-"))
		for _, h := range l.Headers {
			fmt.Fprintf(w, "%s\t%s\n", printable(h.Name), cmp.Or(printable(h.Value.Text), h.Value.Base64))
		}
		if l.ReplayOf != "" {
			fmt.Fprintf(w, "replayed before\t%d times, as %s\n", l.Replays, l.ReplayOf)
		}
		if l.Replayed != nil {
			fmt.Fprintf(w, "replayed\tby %s at %s: it stands at %s\n", l.Replayed.Author, l.Replayed.At.Local().Format(time.RFC3339), l.Replayed.Place)
		} else {
			fmt.Fprintf(w, "replay\t%s\n", strings.TrimSuffix(replayWord(l)+": "+printable(l.Replay.Why), ": "))
		}
		fmt.Fprintf(w, "what to do\t%s\n", l.WhatToDo)
		if err := w.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "\n%s\n", cmp.Or(l.Value.Text, l.Value.Base64))
		return err
	})
}

func letterIDs(use string, least, most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return &usageError{errors.New("name a letter, PARTITION@OFFSET as `weir dead-letters list` shows them: weir dead-letters " + use)}
		}
		return nil
	}
}
