package simulated

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/processors/alerts"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/table"
)

// crowdRules are what the crowd is watched for; crowdHits says the same.
const crowdRules = `
defaults: {grace: 1h, cap: 2000, limit: none, cooldown: 30m}
rules:
  - id: velocity
    reason: many orders in a short time
    score: 40
    entity: customer
    on: order.created
    when: count(10m) >= 4
    bands: [{when: "count(10m) >= 6", score: 80, reason: very many orders in a short time}]
  - id: spending
    reason: much money within the hour
    entity: customer
    on: payment.captured
    when: sum(amount, 1h) > 250.00 and currency != "JPY"
  - id: cards_and_spend
    reason: many cards of one address, and much money of the customer
    score: 70
    entity: customer
    on: payment.captured
    when: distinct(card, 1h, ip) >= 4 and sum(amount, 1h, customer) > 120.00 and currency in ["EUR", "USD"]
  - id: first_use
    reason: a card that is new pays much
    score: 20
    entity: card
    on: payment.captured
    when: count(3h) == 1 and amount >= 85.00 and currency == "EUR"
  - id: spike
    reason: far above the usual
    entity: customer
    anomaly: {value: total, window: 3h, sigma: 2, least: 4}
  - id: takeover
    reason: many addresses, or one card again and again
    score: 60
    entity: customer
    on: payment.attempted
    when: distinct(ip, 1h) >= 5 or count(10m, card) >= 4
`

// crowdProbes are the features of the rules.
var crowdProbes = struct{ recent, spent, cards, uses, usual, spread, before, addresses, tries asked }{
	recent:    asked{"customer", orderEvents, probe{agg: "count", window: 10 * time.Minute}},
	spent:     asked{"customer", captures, probe{agg: "sum", value: "amount", window: time.Hour}},
	cards:     asked{"ip", captures, probe{agg: "distinct", value: "card", window: time.Hour}},
	uses:      asked{"card", captures, probe{agg: "count", window: 3 * time.Hour}},
	usual:     asked{"customer", orderEvents, probe{agg: "mean", value: "total", window: 3 * time.Hour, previous: true}},
	spread:    asked{"customer", orderEvents, probe{agg: "stddev", value: "total", window: 3 * time.Hour, previous: true}},
	before:    asked{"customer", orderEvents, probe{agg: "count", window: 3 * time.Hour, previous: true}},
	addresses: asked{"customer", attempts, probe{agg: "distinct", value: "ip", window: time.Hour}},
	tries:     asked{"card", attempts, probe{agg: "count", window: 10 * time.Minute}},
}

var captures, attempts = []string{"payment.captured"}, []string{"payment.attempted"}

// asked is a feature of an entity of the event.
type asked struct {
	kind string
	on   []string
	probe
}

// at is the feature's value at an event; ok is false where it is unknown, or there is no entity.
func (a *asked) at(h *history, s *sighting) (value float64, ok bool) {
	id := s.entity(a.kind)
	if id == "" {
		return 0, false
	}
	events := h.by[a.kind+":"+id]
	from, _ := slices.BinarySearchFunc(events, s.at-longestProbe.Milliseconds(), func(e *sighting, at int64) int { return int(e.at - at) })
	v, _ := a.read(a.on, s, events[from:])
	return v.Num, v.Known
}

// crowdHits are the rules that hold at an event, with their scores.
func crowdHits(h *history, s *sighting) map[string]int64 {
	hits, x := map[string]int64{}, &crowdProbes
	holds := func(a asked, compare func(v float64) bool) bool {
		v, ok := a.at(h, s)
		return ok && compare(v)
	}
	over := func(least float64) func(float64) bool { return func(v float64) bool { return v > least } }
	atLeast := func(least float64) func(float64) bool { return func(v float64) bool { return v >= least } }
	switch s.kind {
	case "order.created":
		if holds(x.recent, atLeast(4)) {
			hits["velocity"] = 40
			if holds(x.recent, atLeast(6)) {
				hits["velocity"] = 80
			}
		}
		usual, known := x.usual.at(h, s)
		spread, spreads := x.spread.at(h, s)
		if known && spreads && s.created.amount >= 0 && float64(s.amount) > usual+2*spread && holds(x.before, atLeast(4)) {
			hits["spike"] = 50
		}
	case "payment.captured":
		if s.currency != "JPY" && holds(x.spent, over(25_000)) {
			hits["spending"] = 50
		}
		if s.currency != "JPY" && holds(x.cards, atLeast(4)) && holds(x.spent, over(12_000)) {
			hits["cards_and_spend"] = 70
		}
		if s.currency == "EUR" && s.amount >= 8_500 && holds(x.uses, func(v float64) bool { return v == 1 }) {
			hits["first_use"] = 20
		}
	case "payment.attempted":
		if holds(x.addresses, atLeast(5)) || holds(x.tries, atLeast(4)) {
			hits["takeover"] = 60
		}
	}
	return hits
}

// crowdAlerts are the alerts that must be there, a line each, in the order of the lines.
func crowdAlerts(h *history) (lines []string) {
	type hit struct {
		*sighting
		score int64
	}
	series := map[[2]string][]hit{} // by rule and entity
	for _, s := range h.sightings {
		for name, score := range crowdHits(h, s) {
			kind := "customer"
			if name == "first_use" {
				kind = "card"
			}
			entity := kind + ":" + s.entity(kind)
			if s.entity(kind) == "" {
				entity = "order:" + s.order
			}
			key := [2]string{name, entity}
			series[key] = append(series[key], hit{s, score})
		}
	}
	for key, hits := range series {
		for len(hits) > 0 {
			n := 1
			for n < len(hits) && hits[n].at-hits[n-1].at <= 30*minute {
				n++
			}
			best := slices.MaxFunc(hits[:n], func(a, b hit) int { return int(a.score - b.score) })
			lines = append(lines, alertLine(key[0], key[1], hits[0].at, hits[n-1].at, int64(n), best.score))
			hits = hits[n:]
		}
	}
	slices.Sort(lines)
	return lines
}

func alertLine(name, entity string, started, last, hits, score int64) string {
	id := alert.ID(name, 1, entity, event.UnixMilli(started))
	return fmt.Sprintf("%s %s %s %d to %d, hits %d, score %d", name, entity, id, started, last, hits, score)
}

// TestAlertsAreExact plays a crowd on 1, 4 and 8 partitions, and holds the alerts to what follows from all events at once. Then it takes
// each explanation at its word: the events that it cites must give the value that was observed.
func TestAlertsAreExact(t *testing.T) {
	all := crowd(2, exactEvents(t, 12_000))
	h := newHistory(all)
	want := crowdAlerts(h)
	for _, partitions := range []int32{1, 4, 8} {
		watch(t, sim.Config{Stream: true, Partitions: partitions}, all, h, want)
	}
	found := map[string]int{}
	for _, line := range want {
		name, _, _ := strings.Cut(line, " ")
		found[name]++
	}
	t.Logf("alerts by rule: %v", found)
	if len(found) != 6 && !testing.Short() {
		t.Errorf("not every rule found something: %v", found)
	}
}

// TestAlertsAreExactWhateverFails is the same on clusters that crash, abort and rebalance.
func TestAlertsAreExactWhateverFails(t *testing.T) {
	for seed := range uint64(4) {
		all := crowd(200+seed, 2_000)
		h := newHistory(all)
		c := watch(t, sim.Config{Seed: seed, Partitions: []int32{1, 4, 8, 5}[seed], Instances: 1 + int(seed%3), MaxBatch: 50,
			CrashChance: 0.03, AbortChance: 0.2, RebalanceChance: 0.2}, all, h, crowdAlerts(h))
		if s := c.Stats(); s.Crashes == 0 || s.Aborts == 0 {
			t.Errorf("nothing went wrong: %+v", s)
		}
	}
}

// watch plays a crowd and compares the alerts.
func watch(t *testing.T, cfg sim.Config, all []delivery, h *history, want []string) *sim.Cluster {
	t.Helper()
	began := time.Now()
	c := examined(t, cfg, crowdRules, func(current *rule.Current) sim.Group {
		return alerts.Simulate(current, cfg.Partitions, 0, topology.GroupOrders, topology.GroupEntities)
	})
	err := uneven(uint64(cfg.Partitions), all, func(piece []delivery) error {
		produce(c, piece)
		return c.Settle()
	})
	if err != nil {
		t.Fatal(err)
	}
	nothingWasLost(t, c)
	got, checked := alertsOf(t, c, h)
	differ(t, cfg.Partitions, got, want)
	counters := c.Counters(topology.GroupAlerts)
	for _, name := range []string{alerts.CounterDropped, alerts.CounterUnknown, alerts.CounterAfterFold, alerts.CounterDeadLetters} {
		if n := counters[name]; n != 0 {
			t.Errorf("%d partitions: %s is %d", cfg.Partitions, name, n)
		}
	}
	t.Logf("%d partitions: %d events, %d alerts, %d withdrawn on the way, %d explained features recomputed; %s",
		cfg.Partitions, len(all), len(got), counters[alerts.CounterWithdrawn], checked, time.Since(began).Round(time.Second))
	if checked == 0 {
		t.Error("nothing was explained")
	}
	return c
}

func differ(t *testing.T, partitions int32, got, want []string) {
	t.Helper()
	missing, extra := map[string]bool{}, map[string]bool{}
	for _, line := range want {
		missing[line] = true
	}
	for _, line := range got {
		if !missing[line] {
			extra[line] = true
		}
		delete(missing, line)
	}
	if len(missing)+len(extra) == 0 && len(got) == len(want) {
		return
	}
	first := func(lines map[string]bool) string {
		sorted := slices.Sorted(maps.Keys(lines))
		return fmt.Sprint(len(lines), "\n  ", strings.Join(sorted[:min(len(sorted), 5)], "\n  "))
	}
	t.Errorf("%d partitions: %d alerts, want %d; missing %s\ntoo many %s", partitions, len(got), len(want), first(missing), first(extra))
}

// alertsOf are the alerts that stand, and how many of their explained features were recomputed.
func alertsOf(t *testing.T, c *sim.Cluster, h *history) (lines []string, checked int) {
	t.Helper()
	byID := map[string]*sighting{}
	for _, s := range h.sightings {
		byID[s.id] = s
	}
	c.Each(topology.GroupAlerts, func(key string, row []byte) bool {
		if key[0] == 0 {
			return true
		}
		var stored table.Case
		if err := stored.UnmarshalVT(row); err != nil {
			t.Fatal(err)
		}
		for _, a := range stored.Alerts {
			if a.Status == alert.Withdrawn {
				continue
			}
			line := alertLine(a.Rule, a.Entity, a.StartedMs, a.LastMs, a.Hits, a.Score)
			if !strings.Contains(line, a.Id) || a.Entity != key {
				t.Fatalf("alert %s of %s in the row %s: %s", a.Id, a.Entity, key, line)
			}
			lines = append(lines, line)
			for _, f := range slices.Concat(a.First, a.Latest) {
				checked += recompute(t, f, byID)
			}
		}
		return true
	})
	slices.Sort(lines)
	return lines, checked
}

// recompute evaluates the features of a finding from the events that its explanation cites.
func recompute(t *testing.T, f *table.Finding, byID map[string]*sighting) (checked int) {
	t.Helper()
	features := map[string]*asked{}
	x := &crowdProbes
	for _, a := range []*asked{&x.recent, &x.spent, &x.cards, &x.uses, &x.usual, &x.spread, &x.before, &x.addresses, &x.tries} {
		features[a.text(a.kind, a.on)] = a
	}
	s := byID[f.Event.Id]
	for _, p := range f.Predicates {
		if p.Feature == "" || p.EventsTotal > int64(len(p.Events)) {
			continue
		}
		a := features[p.Feature]
		if a == nil {
			t.Fatalf("%s at %s: there is no feature %s", f.Rule, s.id, p.Feature)
		}
		var cited []*sighting
		for _, e := range p.Events {
			at := byID[e.Id]
			if at == nil || at.at != e.AtMs || at.topic() != e.Topic || at.order != e.OrderId || at.kind != e.Type ||
				a.kind+":"+at.entity(a.kind) != p.Entity || e.AtMs <= p.FromMs || e.AtMs > p.ToMs {
				t.Fatalf("%s at %s: %s of %s cites %v", f.Rule, s.id, p.Feature, p.Entity, e)
			}
			cited = append(cited, at)
		}
		if v := rule.Show(a.fold(a.typed(s), s, cited), s.currency); v != p.Observed {
			t.Fatalf("%s at %s: %s of %s is told as %s; its %d events give %s", f.Rule, s.id, p.Feature, p.Entity, p.Observed, len(cited), v)
		}
		checked++
	}
	return checked
}
