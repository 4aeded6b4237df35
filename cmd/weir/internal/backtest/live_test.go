package backtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// A backtest over a recorded day finds, alert for alert, what ran live. Live is a simulated cluster of four partitions and three
// instances of each group, which crash, lose commits and move partitions.
func TestABacktestFindsWhatRanLive(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			o := shopOf(1200)
			o.Seed, o.Duplicates = int64(seed), 0.02
			o.Fraud = map[string]float64{"card_testing_bot": 0.1, "stolen_card_spree": 0.05, "promo_ring": 0.05, "reshipping_cluster": 0.05,
				"account_takeover": 0.05}
			records, _ := history(t, o)
			records = append(records, ticks(records[len(records)-1].Timestamp.Add(time.Hour))...)
			live := ranLive(t, loadRules(t, "testdata/rules.yaml"), records, seed)
			r := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: all(records), MaxAlerts: 1 << 20})
			past := map[string]string{}
			for i := range r.Alerts {
				past[r.Alerts[i].ID] = essence(t, &r.Alerts[i])
			}
			rules := map[string]int{}
			for _, id := range slices.Sorted(maps.Keys(live)) {
				if past[id] != live[id] {
					t.Errorf("alert %s live:\n%s\nbacktest:\n%s", id, live[id], past[id])
				}
				delete(past, id)
			}
			for id, extra := range past {
				t.Errorf("alert %s is only in the backtest:\n%s", id, extra)
			}
			for i := range r.Rules {
				rules[r.Rules[i].ID] = int(r.Rules[i].Alerts)
			}
			if len(live) < 30 || rules["card_testing"] == 0 || rules["stuck"] == 0 || rules["spike"] == 0 {
				t.Errorf("too little was found to compare: %v", rules)
			}
			t.Log(len(records), "events,", len(live), "alerts", rules)
		})
	}
}

const livePartitions = 4

// ticks let every stream of every partition reach a time.
func ticks(at event.UnixMilli) (records []sim.Record) {
	for partition := range int32(livePartitions) {
		n := 0
		key := func() string { return "tick-" + strconv.Itoa(n) }
		for client.Partition([]byte(key()), livePartitions) != partition {
			n++
		}
		for _, kind := range tickTypes {
			value := fmt.Sprintf(`{"id":"%s-%s","type":%q,"time":%q,"order_id":%q}`, key(), kind, kind, at.Time().Format(time.RFC3339Nano), key())
			records = append(records, sim.Record{Topic: kind.Stream(), Key: key(), Value: []byte(value), Timestamp: at})
		}
	}
	return records
}

// ranLive are the alerts of a cluster, by id.
func ranLive(t *testing.T, set *rule.Set, records []sim.Record, seed uint64) map[string]string {
	t.Helper()
	none, err := metric.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	current := rule.NewCurrent(set)
	o := Options{Set: set, Events: all(nil)}
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	c, err := sim.New(sim.Config{Seed: seed, Partitions: livePartitions, Instances: 3, Start: records[len(records)-1].Timestamp.Time(),
		CrashChance: 0.02, AbortChance: 0.05, RebalanceChance: 0.02, MaxBatch: 40},
		orders.Simulate(o.Orders, none, current, o.Parsers), entities.Simulate(current),
		alerts.Simulate(current, livePartitions, 0, topology.GroupOrders, topology.GroupEntities))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		c.Produce(sim.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
		if seed%2 == 0 && i%500 == 0 { // else it is a backlog, in which partitions are hours apart
			if err := c.Settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Crashes == 0 || s.Aborts == 0 || s.Rebalances == 0 {
		t.Errorf("nothing happened: %+v", s)
	}
	found := map[string]string{}
	for key, row := range c.Rows(topology.GroupAlerts) {
		var stored table.Case
		if key[0] == 0 {
			continue
		}
		if err := stored.UnmarshalVT(row); err != nil {
			t.Fatal(err)
		}
		for _, a := range stored.Alerts {
			if a.Status != alert.Withdrawn {
				shown := alert.Of(a, alert.CaseScore(&stored))
				found[a.Id] = essence(t, shown)
			}
		}
	}
	return found
}

// essence is what of an alert must not depend on how it was found: everything but offsets and what tells of the way.
func essence(t *testing.T, a *alert.Alert) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var c alert.Alert
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	c.Formerly, c.Revision, c.History = nil, 0, nil
	for _, predicates := range [][]alert.Predicate{c.Explanation, c.Latest} {
		for i := range predicates {
			for k := range predicates[i].Events {
				predicates[i].Events[k].Partition, predicates[i].Events[k].Offset = 0, 0
			}
		}
	}
	if b, err = json.MarshalIndent(c, "", " "); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
