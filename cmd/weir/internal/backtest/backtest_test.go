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

func TestWhatIsReportedIsBounded(t *testing.T) {
	records, _ := history(t, shopOf(1500))
	rules := func() *rule.Set { return loadRules(t, "testdata/rules.yaml") }
	whole := play(t, Options{Set: rules(), Events: all(records), MaxAlerts: 1 << 20})
	if whole.All.Alerts < 20 || int64(len(whole.Alerts)) < whole.All.Alerts {
		t.Fatalf("%d alerts, %d in the report", whole.All.Alerts, len(whole.Alerts))
	}
	known := map[string]bool{}
	for _, a := range whole.Alerts {
		known[a.ID] = true
	}
	for _, o := range []Options{{MaxAlerts: 7}, {MaxAlerts: 7, MemoryBytes: 1}} { // with nearly all rows in files
		o.Set, o.Events = rules(), all(records)
		r := play(t, o)
		if len(r.Alerts) != 7 || r.AlertsLeftOut+7 != int64(len(whole.Alerts)) || r.All.Alerts != whole.All.Alerts || r.All.Orders != whole.All.Orders {
			t.Errorf("%d alerts, %d left out; in all %+v, want %+v", len(r.Alerts), r.AlertsLeftOut, r.All, whole.All)
		}
		for _, a := range r.Alerts {
			if !known[a.ID] {
				t.Errorf("alert %s is none of the whole run", a.ID)
			}
		}
		for i := range r.Rules {
			if len(r.Rules[i].Samples) > maxSamples {
				t.Errorf("%s has %d samples", r.Rules[i].ID, len(r.Rules[i].Samples))
			}
		}
	}
	early := play(t, Options{Set: rules(), Events: all(records), MaxEvents: 1000})
	if early.Partial != EventLimit || early.Events != 1000 {
		t.Errorf("partial %q after %d events", early.Partial, early.Events)
	}
	late := play(t, Options{Set: rules(), Events: all(records), MaxTime: 1})
	if late.Partial != TimeLimit {
		t.Errorf("partial %q", late.Partial)
	}
}

func TestARangeBoundsWhatIsReported(t *testing.T) {
	records, _ := history(t, shopOf(1500))
	begin := records[0].Timestamp.Time()
	from, to := begin.Add(8*time.Hour), begin.Add(16*time.Hour)
	whole := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: all(records), To: to})
	r := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: all(records), From: from, To: to})
	want := 0
	for _, a := range whole.Alerts {
		if a.Started >= from.Format(time.RFC3339Nano) {
			want++
		}
	}
	if want == 0 || want == len(whole.Alerts) || len(r.Alerts) != want || r.Events != whole.Events || !r.From.Equal(from) {
		t.Errorf("%d alerts since %v, want %d of %d; %d events of %d", len(r.Alerts), r.From, want, len(whole.Alerts), r.Events, whole.Events)
	}
}

func TestRulesAreComparedWithOthers(t *testing.T) {
	records, _ := history(t, shopOf(1500))
	others, err := rule.Load("others", []byte(`
rules:
  - {id: declined, on: payment.failed, entity: device, when: "count(1h) >= 5"}
  - {id: big, entity: customer, when: "total > 1000.00"}
`))
	if err != nil {
		t.Fatal(err)
	}
	same := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Against: loadRules(t, "testdata/rules.yaml"), Events: all(records)})
	a := same.Against
	if a.All.Alerts != same.All.Alerts || a.OnlyNow != (Overlap{}) || a.OnlyThen != (Overlap{}) || a.Both.Entities != same.All.Entities {
		t.Errorf("with itself: %+v of %+v", a, same.All)
	}
	r := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Against: others, Events: all(records)})
	a = r.Against
	if a.Both.Entities+a.OnlyThen.Entities != a.All.Entities || a.Both.Entities+a.OnlyNow.Entities != r.All.Entities {
		t.Errorf("entities: %+v", a)
	}
	for i := range r.Rules {
		if x := &r.Rules[i]; x.ID == "retries" && (x.Against.Entities != x.Entities || x.Entities == 0) {
			t.Errorf("retries and declined are one rule, but %d of %d entities are shared", x.Against.Entities, x.Entities)
		}
	}
}

// shopOf is a shop of so many orders in a day.
func shopOf(orders int64) shop.Options {
	return shop.Options{Seed: 5, Rate: float64(orders) / 86400, Orders: orders, Rhythm: true, LifeScale: 0.05}
}
