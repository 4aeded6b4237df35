package simulated

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/sim/scenario"
	"weir/topology/table"
)

// TestTheTablesAreWhatTheOracleSays plays random shops on random clusters that crash, abort and rebalance, and compares every row.
func TestTheTablesAreWhatTheOracleSays(t *testing.T) {
	events := 0
	rapid.Check(t, func(t *rapid.T) {
		facts := randomShop(rapid.Uint64().Draw(t, "shop"), rapid.IntRange(1, 60).Draw(t, "orders"))
		events += len(facts)
		w := open(t, scenario.Schedule{
			Seed: rapid.Uint64().Draw(t, "schedule"), Partitions: rapid.Int32Range(1, 8).Draw(t, "partitions"), Instances: rapid.IntRange(1, 3).Draw(t, "instances"),
			Crash: rapid.Float64Range(0, 0.2).Draw(t, "crash"), Abort: rapid.Float64Range(0, 0.3).Draw(t, "abort"), Rebalance: rapid.Float64Range(0, 0.3).Draw(t, "rebalance"),
		})
		for chunk := range slices.Chunk(facts, 200) {
			feed(t, w, chunk)
		}
		advance(t, w, day0+23*3_600_000)
		compare(t, w, facts)
	})
	t.Logf("%d events", events)
}

// TestALargeShopOnce is the same with thousands of events in one shop.
func TestALargeShopOnce(t *testing.T) {
	facts := randomShop(1, 1500)
	w := open(t, scenario.Schedule{Seed: 1, Partitions: 8, Instances: 3, Crash: 0.01, Abort: 0.05, Rebalance: 0.05})
	feed(t, w, facts)
	advance(t, w, day0+23*3_600_000)
	compare(t, w, facts)
	s := w.Stats()
	t.Logf("%d events: %+v", len(facts), s)
	if s.Crashes == 0 || s.Aborts == 0 || s.Rebalances == 0 {
		t.Errorf("nothing went wrong: %+v", s)
	}
}

type fatal interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t fatal, s scenario.Schedule) *Weir {
	// The shop's disorder has no bound but the day, and the oracle closes no session before it has seen all.
	w, err := New(scenario.Setup{Schedule: s, Config: map[string]string{"disorder": "1d"}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func feed(t fatal, w *Weir, facts []fact) {
	var records []sim.Record
	for _, f := range facts {
		records = append(records, sim.Record{Topic: f.topic(), Key: f.order, Value: f.record(), Timestamp: event.UnixMilli(f.at)})
	}
	if err := w.Feed(records); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(0); err != nil {
		t.Fatal(err)
	}
}

// advance moves every watermark to at, by an event a day later on every stream of every partition that counts nowhere.
func advance(t fatal, w *Weir, at int64) {
	const day = 24 * 3_600_000
	var facts []fact
	for i := range 300 { // enough keys to reach all of 8 partitions
		for _, kind := range []string{"order.updated", "payment.attempted", "shipment.in_transit"} {
			facts = append(facts, fact{id: kind, kind: kind, order: fmt.Sprint("tick", i), at: at + day, amount: -1})
		}
	}
	feed(t, w, facts)
	if err := w.Settle(event.UnixMilli(at)); err != nil {
		t.Fatal(err)
	}
}

func compare(t fatal, w *Weir, facts []fact) {
	t.Helper()
	want := evaluate(facts)
	got, cells := rowsOf(t, w)
	expected := map[string]string{}
	for key, v := range want.values {
		expected[key] = fmt.Sprint(v.count, " ", v.sum)
	}
	for key, values := range want.distinct {
		expected[key] = fmt.Sprint("distinct ", len(values))
	}
	for key, weights := range want.top {
		text := "top"
		for _, v := range slices.Sorted(maps.Keys(weights)) {
			if weights[v] > 0 {
				text += fmt.Sprint(" ", v, " ", weights[v])
			}
		}
		if text != "top" {
			expected[key] = text
		}
	}
	for _, key := range slices.Sorted(maps.Keys(expected)) {
		if got[key] != expected[key] {
			t.Fatalf("row %s: %q, want %q", key, got[key], expected[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := expected[key]; !ok {
			t.Fatalf("row %s: %q, want none", key, got[key])
		}
	}
	if len(got) == 0 && len(want.values) > 0 {
		t.Fatal("there are no rows")
	}
	compareSessions(t, want, cells)
	compareOrders(t, w, want, facts)
}

// rowsOf writes what the rows say, except those of sessions and times, which cells has.
func rowsOf(t fatal, w *Weir) (text map[string]string, cells map[string]*table.Cell) {
	rows, err := w.Rows(topology.TableMetrics)
	if err != nil {
		t.Fatal(err)
	}
	text, cells = map[string]string{}, map[string]*table.Cell{}
	for key, raw := range rows {
		c := new(table.Cell)
		if err := c.UnmarshalVT(raw); err != nil {
			t.Fatal(err)
		}
		if c.Late != 0 {
			t.Fatalf("row %s: %d late", key, c.Late)
		}
		name, _, _ := strings.Cut(key, "/")
		v, err := w.Metrics().Lookup(name).Value(c)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "buying_sessions", "time_to_pay", "time_to_ship", "time_to_deliver":
			cells[key] = c
		case "customers":
			text[key] = fmt.Sprint("distinct ", v.Distinct)
		case "top_products":
			slices.SortFunc(v.Top, func(a, b metric.Ranked) int { return strings.Compare(a.Value, b.Value) })
			text[key] = "top"
			for _, r := range v.Top {
				text[key] += fmt.Sprint(" ", r.Value, " ", r.Count)
			}
		default:
			if c.Count != 0 || c.Sum != 0 {
				text[key] = fmt.Sprint(c.Count, " ", big.NewInt(c.Sum))
			}
		}
	}
	return text, cells
}

func compareSessions(t fatal, want *oracle, cells map[string]*table.Cell) {
	t.Helper()
	for _, metric := range []string{"time_to_pay", "time_to_ship", "time_to_deliver"} {
		var count int64
		for key, c := range cells {
			if strings.HasPrefix(key, metric+"/1d/") {
				count += c.Count
			}
		}
		if int(count) != want.shipped[metric] {
			t.Fatalf("%s: %d, want %d", metric, count, want.shipped[metric])
		}
	}
	type sum struct{ count, length, longest int64 }
	var got, expected sum
	for key, c := range cells {
		if strings.HasPrefix(key, "buying_sessions/session") {
			t.Fatalf("a session is still open: %s", key)
		}
		if strings.HasPrefix(key, "buying_sessions/1d/") {
			got = sum{got.count + c.Count, got.length + c.Sum, max(got.longest, c.Max)}
		}
	}
	for _, all := range want.sessions {
		for _, s := range all {
			expected = sum{expected.count + 1, expected.length + s.end - s.start, max(expected.longest, s.end-s.start)}
		}
	}
	if got != expected {
		t.Fatalf("buying sessions (count, length, longest): %v, want %v", got, expected)
	}
}

func compareOrders(t fatal, w *Weir, want *oracle, facts []fact) {
	t.Helper()
	rows, err := w.Rows(topology.TableOrders)
	if err != nil {
		t.Fatal(err)
	}
	var duplicates int64
	for id, at := range want.paid {
		var o table.Order
		if err := o.UnmarshalVT(rows[id]); err != nil {
			t.Fatal(err)
		}
		if o.PaidAtMs != at {
			t.Fatalf("order %s is paid at %d, want %d", id, o.PaidAtMs, at)
		}
	}
	for id, raw := range rows {
		var o table.Order
		if err := o.UnmarshalVT(raw); err != nil {
			t.Fatal(err)
		}
		duplicates += o.Duplicates
		if _, ok := want.paid[id]; o.Created != ok {
			t.Fatalf("order %s: created %v, want %v", id, o.Created, ok)
		}
	}
	distinct := map[string]bool{}
	for _, f := range facts {
		distinct[f.order+" "+f.id] = true
	}
	if int(duplicates) != len(facts)-len(distinct) {
		t.Fatalf("%d duplicates, want %d", duplicates, len(facts)-len(distinct))
	}
	counters, err := w.Counters(topology.GroupOrders)
	if err != nil {
		t.Fatal(err)
	}
	if counters["duplicates"] != duplicates || counters["dead_letters"] != 0 {
		t.Fatalf("counters %v, want %d duplicates and no dead letters", counters, duplicates)
	}
}
