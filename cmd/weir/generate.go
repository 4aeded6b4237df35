package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/shop"
	"weir/topology/event"
)

func newGenerate(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "generate",
		Short: "Make the events of a realistic shop",
		Long: long(`Makes the events of a shop that does not exist: orders from sixteen markets with their payments and shipments, and what
goes wrong with them. The same seed and start make the same events.`,
			`Without --start the shop opens now, and parcels arrive within minutes (--life-scale 0.001). With --start in the past
everything up to now is sent at once, with parcels that take days; then it goes on live.`,
			`With --output and --orders the events are written as fast as possible, to replay later; --rate is then in their own
time: 100000 orders at 0.0386 a second are thirty days.`,
			`Among the orders, and beside the --orders, fraud is planted: `+strings.Join(shop.PatternNames(), ", ")+`.
--fraud gives the share of the orders by pattern; the honest orders are the same with and without it. --truth writes a line
for each planted episode when it is over, and at the end one for each honest circumstance that looks like fraud.`),
		Example: `  weir generate --brokers kafka:9092 --rate 100
  weir generate --start 2026-01-01T00:00:00Z --orders 100000
  weir generate --orders 50000 --seed 7 --output events.ndjson
  weir generate --rate 5 --output - | jq .type
  weir generate --orders 100000 --rate 0.0386 --start 2026-01-01T00:00:00Z --output events.ndjson --truth truth.ndjson
  weir generate --fraud default,promo_ring=0.05 --rate 50`,
		Args: cobra.NoArgs,
	}, generate)
}

func generate(ctx context.Context, a *app, _ []string) error {
	o, paced, err := a.shopOptions(time.Now())
	if err != nil {
		return err
	}
	s, err := shop.New(o)
	if err != nil {
		return err
	}
	truth, err := a.newTruthFile(s, o)
	if err != nil {
		return err
	}
	var to sink
	where := a.Generate.Output
	if where == "" {
		where = "kafka"
		to, err = a.newKafkaSink(ctx)
	} else {
		to, err = a.newFileSink(where)
	}
	if err != nil {
		return firstOf(err, truth.close())
	}
	a.log.Info("the shop is open", "to", where, "seed", o.Seed, "start", o.Start.UTC().Format(time.RFC3339Nano), "rate", o.Rate, "orders", o.Orders, "life_scale", s.LifeScale())
	g := newGeneration(s, to, a.log)
	g.paced, g.report, g.truth = paced, 10*time.Second, truth
	err = g.run(ctx)
	err = firstOf(err, errors.Join(to.close(), truth.end()))
	a.log.Info("the shop is closed", "events", g.sent, "orders_open", s.Open())
	if err == nil && ctx.Err() != nil && o.Orders > 0 {
		return errInterrupted
	}
	return err
}

// shopOptions are the options that the configuration asks for, and whether events wait for their time.
func (a *app) shopOptions(now time.Time) (o shop.Options, paced bool, err error) {
	c := a.Generate
	o = shop.Options{Seed: c.Seed, Start: c.Start, Rate: c.Rate, Orders: c.Orders, LifeScale: c.LifeScale, Rhythm: c.Rhythm, Duplicates: c.Duplicates, Truth: c.Truth != ""}
	if o.Fraud, err = a.fraudMix(); err != nil {
		return o, false, err
	}
	paced = c.Output == "" || c.Orders == 0
	if !o.Start.IsZero() {
		return o, paced, nil
	}
	if paced {
		o.Start = now
		if o.LifeScale == 0 {
			o.LifeScale = min(liveScale, shop.MaxLifeScale(o))
		}
		return o, true, nil
	}
	// A file of the recent past: orders and parcels are over by now.
	o.Start = now.Add(-time.Duration(1.3*float64(o.Orders)/o.Rate*float64(time.Second)) - 60*24*time.Hour).Truncate(24 * time.Hour)
	return o, false, nil
}

// fraudMix is what the built-in shop plants.
func (a *app) fraudMix() (shop.Mix, error) {
	mix, err := shop.ParseMix(a.Generate.Fraud)
	if err != nil {
		return nil, fmt.Errorf("%s: generate.fraud: %w", a.Origin("generate.fraud"), err)
	}
	return mix, nil
}

// sink takes events in the order of their time.
type sink interface {
	send(stream, orderID string, value []byte) error
	close() error
}

// generation moves events from a shop to a sink, each when it is due.
type generation struct {
	shop   *shop.Shop
	sink   sink
	log    *slog.Logger
	paced  bool
	report time.Duration // between lines in the log; 0: none
	sent   int64
	truth  *truthFile // nil: none
}

func newGeneration(s *shop.Shop, to sink, log *slog.Logger) *generation {
	return &generation{shop: s, sink: to, log: log, paced: true}
}

// run returns when the shop's orders have come to their end or ctx ends.
func (g *generation) run(ctx context.Context) error {
	now := time.Now()
	reported, before := now, int64(0)
	for ctx.Err() == nil {
		r, ok := g.shop.Next()
		if !ok {
			return nil
		}
		if g.paced && r.Due.Time().After(now) {
			if now = time.Now(); !g.wait(ctx, r.Due, now) {
				return nil
			}
		}
		if err := g.sink.send(r.Type.Stream(), r.OrderID, r.Value); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := g.truth.write(g.shop.Told()); err != nil {
			return err
		}
		g.sent++
		if g.sent&0xff == 0 {
			now = time.Now()
		}
		if g.report > 0 && now.Sub(reported) >= g.report {
			g.log.Info("generating", "events", g.sent, "events_per_second", int64(float64(g.sent-before)/now.Sub(reported).Seconds()), "orders_open", g.shop.Open(), "at", r.At.Time().Format(time.RFC3339))
			reported, before = now, g.sent
		}
	}
	return nil
}

// wait returns false when ctx ended before the time came.
func (g *generation) wait(ctx context.Context, due event.UnixMilli, now time.Time) bool {
	d := due.Time().Sub(now)
	if d <= 0 {
		return true
	}
	if d < 50*time.Millisecond {
		time.Sleep(d) // cheaper than a timer, and short enough for a signal
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// fileSink writes NDJSON.
type fileSink struct {
	w     *bufio.Writer
	file  io.Closer // nil for standard output
	eager bool      // someone is looking
}

func (a *app) newFileSink(name string) (*fileSink, error) {
	if name == "-" {
		return &fileSink{w: bufio.NewWriter(a.out), eager: a.Generate.Orders == 0}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("the output file cannot be written: %w", err)
	}
	return &fileSink{w: bufio.NewWriterSize(f, 1<<20), file: f, eager: a.Generate.Orders == 0}, nil
}

func (s *fileSink) send(_, _ string, value []byte) error {
	_, err := s.w.Write(value)
	if err == nil {
		err = s.w.WriteByte('\n')
	}
	if err == nil && s.eager {
		err = s.w.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing events: %w", err)
	}
	return nil
}

func (s *fileSink) close() error {
	err := s.w.Flush()
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// truthFile is what the shop knows of its own fraud, as NDJSON: a line that says which run this is, then one for each shop.Truth. A
// nil truthFile takes nothing.
type truthFile struct {
	shop *shop.Shop
	file *os.File
	json *json.Encoder
}

func (a *app) newTruthFile(s *shop.Shop, o shop.Options) (*truthFile, error) {
	if !o.Truth {
		return nil, nil
	}
	f, err := os.Create(a.Generate.Truth)
	if err != nil {
		return nil, fmt.Errorf("the truth file cannot be written: %w", err)
	}
	t := &truthFile{shop: s, file: f, json: json.NewEncoder(f)}
	err = t.json.Encode(map[string]any{
		"seed": o.Seed, "start": o.Start.UTC(), "orders": o.Orders, "rate": o.Rate, "life_scale": s.LifeScale(), "fraud": o.Fraud,
	})
	if err != nil {
		return nil, firstOf(fmt.Errorf("writing the truth: %w", err), f.Close())
	}
	return t, nil
}

func (t *truthFile) write(all []shop.Truth) error {
	for i := range all {
		if err := t.json.Encode(&all[i]); err != nil {
			return fmt.Errorf("writing the truth: %w", err)
		}
	}
	return nil
}

// end writes what is left and closes the file.
func (t *truthFile) end() error {
	if t == nil {
		return nil
	}
	return errors.Join(t.write(t.shop.Close()), t.close())
}

func (t *truthFile) close() error {
	if t == nil {
		return nil
	}
	return t.file.Close()
}
