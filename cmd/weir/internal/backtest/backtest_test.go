package backtest

import (
	"context"
	"iter"
	"os"
	"slices"
	"testing"
	"time"

	"weir/cmd/weir/internal/shop"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/sim"
)

// loadRules compiles testdata/rules.yaml, each time anew.
func loadRules(t testing.TB, name string) *rule.Set {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rule.Load(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// aShop sells for a while, with fraud. Its events come in the order of their time.
func aShop(t testing.TB, o shop.Options) *shop.Shop {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	}
	var err error
	if o.Fraud == nil {
		if o.Fraud, err = shop.ParseMix("default"); err != nil {
			t.Fatal(err)
		}
	}
	o.Truth = true
	s, err := shop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stream makes records of a shop's events as they come, and hands what the shop tells of itself to truth.
func stream(s *shop.Shop, truth func([]shop.Truth)) iter.Seq2[sim.Record, error] {
	return func(yield func(sim.Record, error) bool) {
		offsets := map[string]int64{}
		for {
			e, ok := s.Next()
			if !ok {
				break
			}
			topic := e.Type.Stream()
			r := sim.Record{Topic: topic, Offset: offsets[topic], Key: e.OrderID, Value: slices.Clone(e.Value), Timestamp: e.Due}
			offsets[topic]++
			truth(s.Told())
			if !yield(r, nil) {
				return
			}
		}
		truth(s.Close())
	}
}

// history is everything that a shop does, and the truth of it.
func history(t testing.TB, o shop.Options) ([]sim.Record, *Truth) {
	t.Helper()
	var records []sim.Record
	var told []shop.Truth
	for r, err := range stream(aShop(t, o), func(more []shop.Truth) { told = append(told, more...) }) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	truth, err := NewTruth(told)
	if err != nil {
		t.Fatal(err)
	}
	return records, truth
}

func all(records []sim.Record) iter.Seq2[sim.Record, error] {
	return func(yield func(sim.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func play(t testing.TB, o Options) *Report {
	t.Helper()
	o.TempDir = t.TempDir()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func at(ms event.UnixMilli) time.Time { return ms.Time() }

func TestPlantedFraudIsMeasured(t *testing.T) {
	records, truth := history(t, shop.Options{Seed: 3, Rate: 20_000.0 / (10 * 86400), Orders: 20_000, Rhythm: true})
	r := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: all(records), Truth: truth})
	if r.Partial != "" || r.Events != int64(len(records)) || r.All.Alerts == 0 {
		t.Fatalf("partial %q, %d of %d events, %d alerts", r.Partial, r.Events, len(records), r.All.Alerts)
	}
	for _, rr := range r.Rules {
		t.Logf("%-16s hits %5d alerts %4d entities %4d orders %5d risk %v shared %v precision %.2f recall %.2f", rr.ID, rr.Hits, rr.Alerts, rr.Entities, rr.Orders, rr.AtRisk[:min(2, len(rr.AtRisk))], rr.Shared, rr.Labels.Precision, rr.Labels.Recall)
	}
	l := r.All.Labels
	t.Logf("%d/%d episodes, precision %.2f of %d", l.Caught, l.Episodes, l.Precision, l.Alerts)
	for _, p := range l.Patterns {
		t.Logf("%+v", p)
	}
	for _, p := range l.Curve {
		t.Logf("%+v", p)
	}
	for _, p := range l.FalsePositives {
		t.Logf("%+v", p)
	}
}

// shopOf is a shop of so many orders in a day.
func shopOf(orders int64) shop.Options {
	return shop.Options{Seed: 5, Rate: float64(orders) / 86400, Orders: orders, Rhythm: true}
}
