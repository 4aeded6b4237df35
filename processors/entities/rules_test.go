package entities

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/table"
)

// shopRules ask customers, ips and cards, together and each by itself.
const shopRules = `
defaults: {grace: 2m}
rules:
  - {id: testing, title: t, reason: many cards, severity: high, score: 60, state: live, entity: ip, on: payment.attempted,
     when: "distinct(card.fingerprint, 10m, ip) >= 3 and amount < 50.00",
     bands: [{when: "distinct(card.fingerprint, 10m, ip) >= 4", score: 90, reason: four cards}]}
  - {id: velocity, title: t, reason: fast, severity: low, score: 20, state: live, entity: order, on: order.created,
     when: "count(5m, customer) >= 3 or sum(total, 5m, customer) >= 250.00"}
  - {id: both, title: t, reason: both, severity: low, score: 20, state: shadow, entity: customer, on: order.created,
     when: "count(10m, customer) > 1 and count(20m, ip) > 4"}
  - {id: spike, title: t, reason: unlike before, severity: low, score: 20, state: live, entity: customer, on: order.created,
     anomaly: {value: total, window: 1h, sigma: 2, least: 4}}
`

// history is what a few customers do in some hours, as group orders knows it.
func history(seed uint64, n int) (facts []*rule.Facts) {
	rng := rand.New(rand.NewPCG(seed, 1))
	at := event.UnixMilli(1_767_225_600_000)
	for i := range n {
		at += event.UnixMilli(rng.Int64N(60_000))
		amount := 1000 + rng.Int64N(2000)
		if rng.IntN(12) == 0 {
			amount *= 6
		}
		id := "o" + strconv.Itoa(i)
		f := &rule.Facts{Type: event.OrderCreated, At: at, OrderID: id, Partition: int32(i % 4),
			Order: &table.Order{Created: true, CreatedAtMs: int64(at), CustomerId: "c" + strconv.Itoa(rng.IntN(4)),
				Currency: []string{"EUR", "USD"}[rng.IntN(5)/4], CreatedTotalMinor: amount,
				Channel: "web", Client: &table.Client{Ip: "198.51.100." + strconv.Itoa(rng.IntN(3))}},
			Entry: &table.Entry{EventId: "e" + strconv.Itoa(i), IdHash: rng.Uint64() | 1, AmountMinor: amount, Topic: "orders", Offset: int64(i)},
		}
		f.Entry.Currency = f.Order.Currency
		if rng.IntN(2) == 0 {
			f.Type = event.PaymentAttempted
			f.Entry.Topic, f.Entry.Card, f.Entry.Client = "payments", &table.Card{Fingerprint: "fp_" + strconv.Itoa(rng.IntN(6))}, f.Order.Client
		}
		facts = append(facts, f)
	}
	return facts
}

func shopSet(t testing.TB) *rule.Set {
	t.Helper()
	set, err := rule.Load("rules of the test", []byte(shopRules))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// upstream is a group orders of the simulator that knows its events' orders already: a record is the number of a fact.
type upstream struct {
	set   *rule.Set
	facts []*rule.Facts
	out   rule.Observed
}

func (u *upstream) Process(p *sim.Partition, r *sim.Record) error {
	f := u.facts[binary.BigEndian.Uint32(r.Value)]
	p.Observe("facts", f.At)
	u.set.Observe(f, &u.out)
	for _, o := range u.out.Observations {
		p.Emit(topology.Observations, o.Key, slices.Clone(o.Body), nil)
	}
	return nil
}
func (u *upstream) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (u *upstream) Rollback()                                                {}
func (u *upstream) Deadline(string, []byte) (event.UnixMilli, bool)          { return 0, false }
func (u *upstream) Timer(*sim.Partition, string, []byte) error               { return nil }
func (u *upstream) group() sim.Group {
	return sim.Group{Name: topology.GroupOrders, Inputs: []string{"facts"}, Sources: []string{"facts"}, MarkTopics: []string{topology.Observations},
		New: func() sim.Processor { return &upstream{set: u.set, facts: u.facts} }}
}

// apply takes a finding into what stands.
func apply(standing map[string]*table.Finding, f *table.Finding) {
	if f.Withdrawn {
		delete(standing, identityOf(f))
		return
	}
	standing[identityOf(f)] = f
}

// inOrder is what stands when everything comes in the order of its time, in one partition.
func inOrder(t testing.TB, set *rule.Set, facts []*rule.Facts) map[string]*table.Finding {
	standing, rows := map[string]*table.Finding{}, map[string][]byte{}
	var seen rule.Observed
	var out Output
	for _, f := range facts {
		set.Observe(f, &seen)
		for _, o := range seen.Observations {
			in := Input{Key: o.Key, Record: o.Body}
			if err := Step(set, set.Plan(kindOf(o.Key)), rows[o.Key], &in, &out); err != nil {
				t.Fatal(err)
			}
			rows[o.Key] = out.Row
			for _, x := range out.Findings {
				apply(standing, x)
			}
		}
	}
	return standing
}

// What stands is the same however partitions run ahead of each other, instances die and transactions are refused.
func TestFindingsAreThoseOfAnInOrderRun(t *testing.T) {
	set := shopSet(t)
	for seed := range uint64(12) {
		facts := history(seed, 400)
		want := inOrder(t, set, facts)
		cfg := sim.Config{Seed: seed, Partitions: 1 + int32(seed%4), Instances: 1 + int(seed%3)}
		if seed%2 == 1 {
			cfg.AbortChance, cfg.CrashChance, cfg.RebalanceChance = 0.1, 0.05, 0.1
		}
		c, err := sim.New(cfg, (&upstream{set: set, facts: facts}).group(), Simulate(rule.NewCurrent(set)))
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range facts {
			c.Produce(sim.Record{Topic: "facts", Key: f.OrderID, Value: binary.BigEndian.AppendUint32(nil, uint32(i))})
			if i%100 == 99 && seed%3 == 0 {
				if err := c.Settle(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Settle(); err != nil {
			t.Fatal(err)
		}
		got, rules := map[string]*table.Finding{}, map[string]bool{}
		for _, r := range c.Records(topology.Findings) {
			if strings.HasPrefix(r.Key, sim.MarkPrefix) {
				continue
			}
			f := new(table.Finding)
			if err := f.UnmarshalVT(r.Value); err != nil {
				t.Fatal(err)
			}
			if f.Entity != r.Key {
				t.Fatalf("a finding about %s has the key %s", f.Entity, r.Key)
			}
			rules[f.Rule] = true
			apply(got, f)
		}
		if ds := differences(got, want); ds != nil {
			t.Fatalf("seed %d: %d differences\n%s", seed, len(ds), strings.Join(ds[:min(3, len(ds))], "\n"))
		}
		if len(rules) != 4 {
			t.Errorf("seed %d: only %v found something", seed, slices.Sorted(maps.Keys(rules)))
		}
		counters := c.Counters(topology.GroupEntities)
		if n := counters[CounterLate] + counters[CounterUnjudged] + counters[CounterDuplicates] + counters[CounterDropped]; n != 0 {
			t.Errorf("seed %d: %v", seed, counters)
		}
		longest := 0
		for key, row := range c.Rows(topology.GroupEntities) {
			if key != seriesKey {
				longest = max(longest, int(binary.LittleEndian.Uint32(row[16:])))
			}
		}
		if longest >= 140 { // of 400 events in more than three hours; the longest window is an hour
			t.Errorf("seed %d: a row keeps %d observations", seed, longest)
		}
	}
}

// Every explanation re-computes: the cited events give the value that was observed.
func TestExplanationsRecompute(t *testing.T) {
	set := shopSet(t)
	facts := history(99, 600)
	byID := map[string]*rule.Facts{}
	for _, f := range facts {
		byID[f.Entry.EventId] = f
	}
	checked := map[string]int{}
	for _, f := range inOrder(t, set, facts) {
		for _, p := range f.Predicates {
			kind, _, _ := strings.Cut(p.Feature, "(")
			var want string
			switch kind {
			case "count":
				want = strconv.Itoa(len(p.Events))
			case "distinct":
				cards := map[string]bool{}
				for _, e := range p.Events {
					cards[byID[e.Id].Entry.Card.Fingerprint] = true
				}
				want = strconv.Itoa(len(cards))
			case "sum":
				sum := int64(0)
				for _, e := range p.Events {
					if x := byID[e.Id]; x.Order.Currency == f.Currency {
						sum += x.Order.CreatedTotalMinor
					}
				}
				want = fmt.Sprintf("%d.%02d %s", sum/100, sum%100, f.Currency)
			default:
				continue
			}
			checked[kind]++
			if p.Observed != want || p.EventsTotal != int64(len(p.Events)) {
				t.Fatalf("%s is %q with %d events (of %d), which give %q", p.Feature, p.Observed, len(p.Events), p.EventsTotal, want)
			}
			for _, e := range p.Events {
				if e.AtMs <= p.FromMs || e.AtMs > p.ToMs || p.Entity == "" {
					t.Fatalf("%s of %q cites an event at %d, outside (%d, %d]", p.Feature, p.Entity, e.AtMs, p.FromMs, p.ToMs)
				}
			}
		}
	}
	if len(checked) != 3 {
		t.Errorf("only %v were explained", checked)
	}
}

func TestFeaturesForPeople(t *testing.T) {
	set := shopSet(t)
	facts := history(7, 200)
	var seen rule.Observed
	var out Output
	var row []byte
	orders, last := 0, event.UnixMilli(0)
	for _, f := range facts {
		set.Observe(f, &seen)
		for _, o := range seen.Observations {
			if o.Key != "customer:c1" {
				continue
			}
			if err := Step(set, set.Plan("customer"), row, &Input{Key: o.Key, Record: o.Body}, &out); err != nil {
				t.Fatal(err)
			}
			row, last = out.Row, f.At
		}
	}
	for _, f := range facts {
		if f.Type == event.OrderCreated && f.Order.CustomerId == "c1" && f.At > last.Add(-10*time.Minute) && f.At <= last {
			orders++
		}
	}
	features, err := Features(set, "customer:c1", row, last)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(features, func(f Feature) bool {
		return strings.HasPrefix(f.Text, "count(") && strings.HasSuffix(f.Text, "10m)")
	})
	if at < 0 || len(features) != len(set.Plan("customer").Readings) {
		t.Fatalf("features %+v", features)
	}
	f := features[at]
	if f.Value.Num != float64(orders) || f.Entries != int64(orders) || !f.Exact || f.From != last.Add(-10*time.Minute) || f.To != last {
		t.Errorf("%+v, want %d orders", f, orders)
	}
	places, err := Newest(row, 2)
	if err != nil || len(places) != 2 || places[0].AtMs != int64(last) || places[1].AtMs > int64(last) || places[0].Id == "" {
		t.Errorf("newest %v, %v", places, err)
	}
	if features, err := Features(set, "customer:c9", nil, last); err != nil || len(features) == 0 || features[at].Value.Num != 0 {
		t.Errorf("of an unknown customer: %+v, %v", features, err)
	}
	if features, err := Features(set, "seller:s1", nil, last); err != nil || features != nil {
		t.Errorf("of a kind without features: %v, %v", features, err)
	}
	if _, err := Features(set, "customer:c1", row[:len(row)-1], last); err == nil {
		t.Error("a damaged row has features")
	}
}
