package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/backtest"
	"weir/cmd/weir/internal/pipeline"
	"weir/processors/rule"
)

// backtesting is what weir rules backtest is asked for.
type backtesting struct {
	from, to string
	against  string
	events   []string
	truth    string
	limit    int64
	alerts   int
	live     bool
}

func newRulesBacktest(sys system) *cobra.Command {
	var b backtesting
	const use = "backtest FILE…"
	c := below(sys, "rules", use, &cobra.Command{
		Short: "Run rules over the past",
		Long: long(`Plays past events through the groups orders, entities and alerts in this process, with the rules of the files, and tells
what they would have found: alerts by rule and day, amounts at risk, what several rules find, examples, and what it costs. Nothing is
told to anybody, and nothing is changed.`,
			`The events are those of the source topics, as far back as they reach, or of files (--events), as weir replay reads them. With
--from, alerts that began earlier are left out; events before it still fill features.`,
			`With --against the same events are played with other rules, too: of a file, or those in force (current). With current the
files are laid over the rules in force, as weir rules apply would do; else they stand alone. Draft rules are tried as if in shadow: they
are counted by rule, but not among all. With --live they count, and so do those in shadow.`,
			`With --truth, the account that weir generate keeps of the fraud it plants, the report tells precision, recall by pattern
and value caught, also for higher thresholds of the score.`),
		Example: `  weir rules backtest rules.yaml --from 2026-03-01 --against current
  weir generate --orders 50000 --seed 7 --output events.ndjson --truth truth.ndjson
  weir rules backtest rules.yaml --events events.ndjson --truth truth.ndjson
  weir rules backtest new.yaml --live --events monday.ndjson.zst --format json`,
		Args: wanted(use, 1),
	}, func(ctx context.Context, a *app, files []string) error { return mistakes(b.run(ctx, a, files)) })
	f := c.Flags()
	f.StringVar(&b.from, "from", "", "report alerts that began then or later: a date, a time (2026-03-01T12:00:00Z), or how long ago (36h)")
	f.StringVar(&b.to, "to", "", "read no events that arrived then or later")
	f.StringVar(&b.against, "against", "", "rules to compare with: current, or a file")
	f.StringSliceVar(&b.events, "events", nil, "files of events instead of the source topics; several are merged by time")
	f.StringVar(&b.truth, "truth", "", "file that weir generate --truth has written")
	f.Int64Var(&b.limit, "limit-events", 0, "end after so many events (0: no limit)")
	f.IntVar(&b.alerts, "alerts", 1000, "alerts in the report, with --format json")
	f.BoolVar(&b.live, "live", false, "take draft and shadow rules as live")
	return c
}

func (b *backtesting) run(ctx context.Context, a *app, files []string) error {
	if err := a.onlyFormats("text", "json"); err != nil {
		return err
	}
	o, err := b.options(ctx, a, files)
	if err != nil {
		return err
	}
	var bar progress
	var refused func() []string
	if len(b.events) > 0 {
		events, err := a.openEvents(ctx, b.events)
		if err != nil {
			return err
		}
		defer events.close()
		o.Events, bar, refused = events.records(), events.bar, events.warnings
	} else {
		if _, err := a.probe(ctx); err != nil {
			return err
		}
		h, err := pipeline.OpenHistory(ctx, &a.Config, &o)
		if err != nil {
			return err
		}
		defer h.Close()
		bar = newProgress(a.err, h.Total()) // in records
		total := int64(0)
		o.Progress = func(done int64) { bar.add(int(done - total)); total = done; bar.events(done) }
	}
	if o.Progress == nil {
		o.Progress = bar.events
	}
	report, err := backtest.Run(ctx, o)
	bar.finish()
	if err != nil {
		return err
	}
	if refused != nil {
		report.Warnings = append(refused(), report.Warnings...)
	}
	if err := b.print(a, report); err != nil {
		return err
	}
	if report.Partial == backtest.Cancelled {
		return errInterrupted
	}
	return nil
}

// options reads everything but the events.
func (b *backtesting) options(ctx context.Context, a *app, files []string) (o backtest.Options, err error) {
	if o, err = pipeline.BacktestOptions(&a.Config); err != nil {
		return o, err
	}
	o.MaxEvents, o.MaxAlerts = b.limit, b.alerts
	now := time.Now()
	if o.From, err = moment("--from", b.from, now); err == nil {
		o.To, err = moment("--to", b.to, now)
	}
	if err != nil {
		return o, err
	}
	if b.truth != "" {
		if o.Truth, err = readTruth(b.truth); err != nil {
			return o, err
		}
	}
	d, err := parseRules(a.in, files)
	if err != nil {
		return o, err
	}
	if b.against != "" {
		var other *rule.Document
		if other, err = b.other(ctx, a); err != nil {
			return o, err
		}
		if b.against == currentRules {
			d = other.Merge(keepStates(d, other))
		}
		if o.Against, err = rule.Compile(other); err != nil {
			return o, err
		}
	}
	o.Set, err = rule.Compile(pipeline.Tried(d, b.live))
	return o, err
}

// currentRules names the rules in force.
const currentRules = "current"

// other are the rules to compare with.
func (b *backtesting) other(ctx context.Context, a *app) (*rule.Document, error) {
	if b.against != currentRules {
		return parseRules(a.in, []string{b.against})
	}
	ctx, cancel := context.WithTimeout(ctx, rulesWithin)
	defer cancel()
	rules, book, err := a.readRules(ctx)
	if err != nil {
		return nil, err
	}
	return rules.DocumentOf(book)
}

// keepStates gives rules that say no state the one that they have in another document.
func keepStates(d, other *rule.Document) *rule.Document {
	states := map[string]rule.State{}
	for i := range other.Rules {
		states[other.Rules[i].ID] = other.Rules[i].State
	}
	c := *d
	c.Rules = nil
	for _, r := range d.Rules {
		if r.State == "" {
			r.State = states[r.ID]
		}
		c.Rules = append(c.Rules, r)
	}
	return &c
}

// moment reads a date, a time, or a duration before now. "" is the zero time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, &usageError{fmt.Errorf("%s: %q is no time: write 2026-03-01, 2026-03-01T12:00:00Z, or 36h for so long ago", flag, text)}
}

func readTruth(name string) (*backtest.Truth, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the truth cannot be read: %w", err)
	}
	t, err := backtest.ReadTruth(f)
	return t, errors.Join(err, f.Close())
}
