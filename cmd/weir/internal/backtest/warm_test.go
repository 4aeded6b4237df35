package backtest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

const (
	beforeRules = "rules:\n  - {id: pricey, entity: customer, when: \"total > 900.00\"}\n"
	afterRules  = beforeRules + `
  - {id: shared_card, on: payment.attempted, entity: card, when: "customers_of_card >= 3"}
features:
  - {name: customers_of_card, on: payment.attempted, key: card, value: customer_id, agg: distinct, windows: 20h}
`
)

func parseRules(t *testing.T, text string) (*rule.Document, *rule.Set) {
	t.Helper()
	d, err := rule.Parse("rules", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rule.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return d, set
}

// changing is a cluster whose rules change in the middle of a day.
type changing struct {
	*sim.Cluster
	current *rule.Current
}

func newChanging(t *testing.T, set *rule.Set, now event.UnixMilli) *changing {
	t.Helper()
	none, err := metric.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Set: set, Events: all(nil)}
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	c := &changing{current: rule.NewCurrent(set)}
	c.Cluster, err = sim.New(sim.Config{Seed: 9, Partitions: livePartitions, Instances: 2, Start: now.Time(), AbortChance: 0.05, CrashChance: 0.02,
		MaxBatch: 60},
		orders.Simulate(o.Orders, none, c.current, o.Parsers), entities.Simulate(c.current),
		alerts.Simulate(c.current, livePartitions, 0, topology.GroupOrders, topology.GroupEntities))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *changing) play(t *testing.T, records []sim.Record) {
	t.Helper()
	for _, r := range records {
		c.Produce(sim.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
	}
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
}

// sharedCards are the hits of shared_card from a time on, by card.
func (c *changing) sharedCards(t *testing.T, from event.UnixMilli) map[string]int {
	t.Helper()
	hits := map[string]int{}
	for key, row := range c.Rows(topology.GroupAlerts) {
		var stored table.Case
		if key[0] == 0 {
			continue
		}
		if err := stored.UnmarshalVT(row); err != nil {
			t.Fatal(err)
		}
		for _, a := range stored.Alerts {
			for _, h := range a.HitsKept {
				if a.Rule == "shared_card" && a.Status != alert.Withdrawn && h.AtMs >= int64(from) {
					hits[a.Entity]++
				}
			}
		}
	}
	return hits
}

// A rule that comes into force in the middle of a day does not know its features for as long as their window is. Once they are filled
// from the log it finds what it would have found had it always been there, and nothing in the time before.
func TestANewFeatureIsFilledFromTheLog(t *testing.T) {
	o := shopOf(1500)
	o.Fraud = map[string]float64{"stolen_card_spree": 0.2}
	records, _ := history(t, o)
	now := records[len(records)-1].Timestamp
	middle := len(records) / 3
	d, after := parseRules(t, afterRules)
	_, before := parseRules(t, beforeRules)

	always := newChanging(t, after, now)
	always.play(t, records)
	cold, warm := newChanging(t, before, now), newChanging(t, before, now)
	for _, c := range []*changing{cold, warm} {
		c.play(t, records[:middle])
		c.current.Store(after)
		c.play(t, records[middle:middle+200]) // the series is known from here on
	}
	fill(t, warm, d, records[:middle+200])
	from := records[middle+200].Timestamp
	for _, c := range []*changing{cold, warm} {
		c.play(t, records[middle+200:])
	}
	want, got, without := always.sharedCards(t, from), warm.sharedCards(t, from), cold.sharedCards(t, from)
	if !maps.Equal(got, want) || len(want) < 5 {
		t.Errorf("warm: %v\nalways: %v", got, want)
	}
	if maps.Equal(without, want) {
		t.Error("nothing was missing without it")
	}
	if early := warm.sharedCards(t, 0); !maps.Equal(early, got) {
		t.Errorf("hits before it: %v, after %v", early, got)
	}
}

// fill fills the series of customers_of_card from the log, twice: the second time changes nothing.
func fill(t *testing.T, c *changing, d *rule.Document, records []sim.Record) {
	t.Helper()
	set, err := rule.Compile(Quiet(d))
	if err != nil {
		t.Fatal(err)
	}
	series, err := SeriesOf(set, []string{"customers_of_card"})
	if err != nil || len(series) != 1 {
		t.Fatal(series, err)
	}
	var p Options
	p.Set, p.Events = set, all(nil)
	if err := p.fill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w, err := Warm(context.Background(), WarmOptions{Set: set, Series: series, Events: all(records), Parsers: p.Parsers, TempDir: t.TempDir(),
			Send: func(_ context.Context, records []sim.Record) error {
				for _, r := range records {
					c.Produce(r)
				}
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		if w.Events != int64(len(records)) || w.Observations == 0 || w.Records == 0 {
			t.Errorf("warmed %+v", w)
		}
		for n := range int32(livePartitions) {
			for _, r := range Complete(series, 0) {
				c.ProduceTo(n, r)
			}
		}
		if err := c.Settle(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSeriesAreFoundByFeatureAndRule(t *testing.T) {
	_, set := parseRules(t, afterRules)
	everything, err := SeriesOf(set, nil)
	if err != nil || len(everything) != 1 {
		t.Error(everything, err)
	}
	for _, name := range []string{"customers_of_card", "shared_card"} {
		if found, err := SeriesOf(set, []string{name}); err != nil || !maps.Equal(found, everything) {
			t.Error(name, found, err)
		}
	}
	_, err = SeriesOf(set, []string{"customers_of_card", "pricey", "typo"})
	if err == nil || err.Error() != "no feature or rule that keeps anything is called pricey, typo" {
		t.Error(err)
	}
	if keys := Complete(everything, 7); len(keys) != 1 || slices.Compare([]byte(keys[0].Key[:6]), []byte("\x00warm/")) != 0 {
		t.Error(keys)
	}
}
