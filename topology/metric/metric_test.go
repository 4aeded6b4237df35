package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"weir/topology/event"
	"weir/topology/table"
)

// The shipped metrics are a contract with dashboards and rows: name, kind, unit, labels, as DESIGN §8 lists them.
func TestTheShippedMetrics(t *testing.T) {
	want := strings.TrimSpace(`
orders count orders [region country channel currency]
gmv sum money [region country channel currency]
customers distinct customers [region country]
items_sold sum items [category currency]
item_revenue sum money [category currency]
top_products top items [category]
cancellations count orders [region cancel_reason]
buying_sessions quantiles seconds [region]
payments_attempted count payments [method region country]
payments_authorized count payments [method region country]
payments_captured count payments [method region country]
payments_failed count payments [method region country decline_code]
revenue sum money [method region country currency]
time_to_pay quantiles seconds [region country]
refunds sum money [method region currency]
disputes sum money [method region currency]
shipments_dispatched count shipments [carrier region country]
deliveries count shipments [carrier region country on_time]
time_to_ship quantiles seconds [carrier region country]
time_to_deliver quantiles seconds [carrier region country]
funnel count orders [stage region country]
aov ratio money [region country channel currency]
conversion ratio ratio [region country]
cancellation_rate ratio ratio [region]
payment_success_rate ratio ratio [method region country]
on_time_rate ratio ratio [carrier region country]
refund_rate ratio ratio [method region currency]`)
	var got []string
	for _, m := range loadFile(t, "metrics.yaml").Metrics() {
		got = append(got, fmt.Sprint(m.Name, " ", m.Kind, " ", m.Unit, " ", m.Labels))
		var windows []string
		for _, w := range m.Windows {
			windows = append(windows, fmt.Sprint(w.Name, " ", w.Retention.Hours()))
		}
		grace := "24h0m0s"
		if m.Name == "funnel" || m.Name == "conversion" { // counted in the window of the order's creation, which its later stages come long after
			grace = "2160h0m0s"
		}
		if text := fmt.Sprint(windows, m.Grace, m.MaxSeries); text != "[1m 48 1h 2160 1d 26280] "+grace+" 10000" {
			t.Errorf("%s: %s", m.Name, text)
		}
		if m.Help == "" {
			t.Errorf("%s does not say what it is", m.Name)
		}
	}
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("metrics:\n%s\nwant:\n%s", text, want)
	}
}

func TestTheMetricsOfTheReferenceWorkload(t *testing.T) {
	set := loadFile(t, "metrics-w.yaml")
	a := set.NewAccumulator()
	for _, typ := range []event.Type{event.OrderCreated, event.PaymentCaptured, event.ShipmentDispatched} {
		for _, f := range shop(1000, typ) {
			a.Add(&f, 1)
		}
	}
	totals := map[string][2]int64{}
	if err := a.Drain(func(key string, c *table.Cell) error {
		m := set.MetricOf(key)
		totals[m.Name] = [2]int64{totals[m.Name][0] + c.Count, totals[m.Name][1] + c.Sum}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	gross := int64(0)
	for _, f := range shop(1000, event.OrderCreated) {
		gross += f.Order.CreatedTotalMinor
	}
	paid := int64(0)
	for _, f := range shop(1000, event.PaymentCaptured) {
		paid += f.Entry.AmountMinor
	}
	for _, by := range []string{"", "_by_region", "_by_category"} {
		for name, want := range map[string][2]int64{"gross": {1000, gross}, "paid": {1000, paid}, "shipped": {1000, 0}} {
			if totals[name+by] != want {
				t.Errorf("%s%s: %v, want %v", name, by, totals[name+by], want)
			}
		}
	}
}

// Each definition here is wrong in one way; the error must point at it and say so.
func TestWrongDefinitionsAreRefusedWhereTheyStand(t *testing.T) {
	const head = "defaults: {grace: 1h, max_series: 10, windows: [{every: 1m, keep: 1h}]}\nmetrics:\n"
	for definition, want := range map[string]string{
		"  - {name: Orders, on: order.created, value: count}":                                                                                    "m.yaml:3:12: metric Orders: name: ",
		"  - {name: a, on: order.made, value: count}":                                                                                            "3:19: metric a: on: ",
		"  - {name: a, on: order.created, each: line, value: count}":                                                                             "each: ",
		"  - {name: a, on: order.created, value: sum(totl)}":                                                                                     "value: \"sum(totl)\": choose from",
		"  - name: a\n    on: order.created\n    value: count\n    labels: [region, colour]":                                                     "6:13: metric a: labels: \"colour\" is not known of order.created: choose from category",
		"  - {name: a, on: order.created, value: count, labels: [region, region]}":                                                               "named twice",
		"  - {name: a, on: order.created, value: sum(total)}":                                                                                    "need the label currency",
		"  - {name: a, on: order.created, value: sum(amount), labels: [currency]}":                                                               "is of a payment's event",
		"  - {name: a, on: payment.captured, value: sum(total), labels: [currency]}":                                                             "is of an order's event",
		"  - {name: a, on: order.created, value: sum(quantity)}":                                                                                 "add each: item",
		"  - {name: a, on: order.created, value: distinct(method)}":                                                                              "\"method\" is not known of order.created",
		"  - {name: a, on: order.created, value: count, unit: money}":                                                                            "count is not in money",
		"  - {name: a, on: order.created, value: count, where: region}":                                                                          "where: condition \"region\": it has no operator",
		"  - {name: a, on: order.created, value: count, where: region > 3}":                                                                      "the operator is not one of",
		"  - {name: a, on: order.created, value: count, where: region in web}":                                                                   "needs parentheses",
		"  - {name: a, on: order.created, value: count, where: planet == x}":                                                                     "\"planet\" is not known",
		"  - {name: a, on: funnel, value: sum(total), labels: [currency]}":                                                                       "value: ",
		"  - {name: a, on: funnel, value: distinct(customer_id)}":                                                                                "the funnel can only be counted",
		"  - {name: a, on: order.created, value: count, windows: [{every: 1x, keep: 1h}]}":                                                       "windows: window \"1x\"",
		"  - {name: a, on: order.created, value: count, windows: [{every: 1h, keep: 1m}]}":                                                       "less than its own length",
		"  - {name: a, on: order.created, value: count, windows: [{every: session-1h, keep: 1d}]}":                                               "declared with the key session",
		"  - {name: a, on: order.created, value: count, windows: [{every: 500ms, keep: 1d}]}":                                                    "whole seconds",
		"  - {name: a, on: order.created, value: count, windows: [{every: 60s, keep: 1d}, {every: 1m, keep: 1d}]}":                               "declared twice",
		"  - {name: a, on: order.created, value: count, grace: soon}":                                                                            "grace: duration \"soon\"",
		"  - {name: a, on: order.created, value: count, max_series: -1}":                                                                         "max_series: -1",
		"  - {name: a, on: order.created, value: count, colour: red}":                                                                            "unknown field \"colour\"",
		"  - {name: a, on: order.created, value: count}\n  - {name: a, on: order.created, value: count}":                                         "4:12: metric a: name: the name is taken",
		"  - {name: a, on: order.created, value: sum(total), labels: [currency], session: {by: customer_id, gap: 1h}}":                           "sessions have no sum(total)",
		"  - {name: a, on: order.created, value: count, session: {by: customer_id, gap: never}}":                                                 "session.gap: duration",
		"  - {name: a, ratio: {over: [{metric: b}], under: [{metric: b}]}}":                                                                      "ratio.over[0]: \"b\" is no metric",
		"  - {name: a, ratio: {over: [], under: []}}":                                                                                            "over names no part",
		"  - {name: b, on: order.created, value: count}\n  - {name: a, ratio: {over: [{metric: b, of: sum}], under: [{metric: b}]}}":             "b has no sum",
		"  - {name: b, on: order.created, value: count}\n  - {name: a, ratio: {over: [{metric: b, where: region == eu}], under: [{metric: b}]}}": "with a label of b",
		"  - {name: b, on: order.created, value: count}\n  - {name: a, on: order.created, ratio: {over: [{metric: b}], under: [{metric: b}]}}":   "leave out on",
		"  - {name: b, on: order.created, value: count}\n  - {name: g, on: order.created, value: sum(total), labels: [currency]}\n  - {name: a, ratio: {over: [{metric: g}], under: [{metric: b}]}}": "all its parts need the label currency",
	} {
		set, err := Load("m.yaml", []byte(head+definition+"\n"))
		if err == nil {
			t.Errorf("accepted: %s\n%v", definition, set.Metrics())
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\tsays %v\n\twant %s", definition, err, want)
		}
	}
	for _, text := range []string{"", "metrics: []", "metrics: 3", "metrics: [", "orders: 1"} {
		if _, err := Load("m.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "m.yaml: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestConditions(t *testing.T) {
	facts := &Facts{Type: event.OrderCreated, Order: &table.Order{Region: "eu west", Channel: "web"}}
	for text, want := range map[string]bool{
		"channel == web": true, "channel != web": false, "channel in (app, web)": true, "channel in (app)": false, `region == "eu west"`: true,
		`country == ""`: true, `country != ""`: false, `channel  ==  "web"`: true, `region in ("eu west", x)`: true,
	} {
		c, err := parseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		if c.get, err = (source{event: event.OrderCreated}).text(c.field); err != nil {
			t.Fatal(err)
		}
		if got := c.holds(facts, nil); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestWhenRowsAreLateAndExpire(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	const key = "revenue/1h/2026-01-01T05:00:00Z/card,eu-west,DE,EUR"
	end := event.UnixMilli(1_767_225_600_000 + 6*3600_000)
	if at, ok := set.LateAfter(key); !ok || at != end+24*3600_000 {
		t.Errorf("late after %d %v", at, ok)
	}
	if at, ok := set.Expiry(key); !ok || at != end+90*24*3600_000 {
		t.Errorf("expires at %d %v", at, ok)
	}
	for _, unknown := range []string{"", "\x00marks", "nothing/1h/2026-01-01T05:00:00Z/", "revenue/2h/2026-01-01T05:00:00Z/a", "revenue/1h/2026-01-01/a", "aov/1h/2026-01-01T05:00:00Z/a"} {
		if _, ok := set.Expiry(unknown); ok {
			t.Errorf("%q expires", unknown)
		}
		if m := set.MetricOf(unknown); m != nil {
			t.Errorf("%q is a row of %s", unknown, m.Name)
		}
	}
}

func TestSeriesBeyondTheLimitKeepTheirCurrency(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	for key, want := range map[string]string{
		"revenue/1h/2026-01-01T05:00:00Z/card,eu%2Cwest,DE,EUR": "revenue/1h/2026-01-01T05:00:00Z/(other),(other),(other),EUR",
		"customers/1d/2026-01-01T00:00:00Z/eu,DE":               "customers/1d/2026-01-01T00:00:00Z/(other),(other)",
	} {
		if got, ok := set.OtherKey(key); !ok || got != want {
			t.Errorf("%s: %s %v", key, got, ok)
		}
	}
	for _, key := range []string{"buying_sessions/session-30m/1970-01-01T00:00:00Z/c1", "customers/1d/2026-01-01T00:00:00Z/eu", "x"} {
		if got, ok := set.OtherKey(key); ok {
			t.Errorf("%s: %s", key, got)
		}
	}
}

func TestDerivedMetricsDivideWhatTheirPartsAddUpTo(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	d := set.Lookup("on_time_rate").Derived
	labels := func(onTime string) []string { return []string{"dhl", "eu", "DE", onTime} }
	var over, under int64
	for onTime, n := range map[string]int64{"true": 9, "false": 3, "unknown": 100} {
		c := &table.Cell{Count: n}
		for _, p := range d.Over {
			over += p.Amount(labels(onTime), c)
		}
		for _, p := range d.Under {
			under += p.Amount(labels(onTime), c)
		}
	}
	if rate, ok := Divide(over, under); !ok || rate != 0.75 {
		t.Errorf("on time: %d of %d", over, under)
	}
	aov := set.Lookup("aov").Derived
	if over, under := aov.Over[0].Amount(nil, &table.Cell{Count: 2, Sum: 700}), aov.Under[0].Amount(nil, &table.Cell{Count: 2}); over != 700 || under != 2 {
		t.Errorf("aov: %d over %d", over, under)
	}
	if _, ok := Divide(1, 0); ok {
		t.Error("divided by nothing")
	}
}

// More values than are collected one by one go through every bound of the accumulator.
func TestBurstsStayExactOrKeepTheirBounds(t *testing.T) {
	const n = 20_000
	set := loadFile(t, "metrics.yaml")
	accs := []*Accumulator{set.NewAccumulator(), set.NewAccumulator()}
	products := map[string]int64{}
	total := int64(0)
	for i := range n {
		f := Facts{Type: event.OrderCreated, At: event.UnixMilli(i), Order: &table.Order{Created: true, CustomerId: fmt.Sprint("c", i%7000),
			Items: []*table.Item{{ProductId: fmt.Sprint("p", i%2500), Quantity: int64(1 + 3000/(i%2500+1))}}}}
		products[f.Order.Items[0].ProductId] += f.Order.Items[0].Quantity
		total += f.Order.Items[0].Quantity
		accs[i%2].Add(&f, 1)
		f = Facts{Type: event.ShipmentDispatched, At: event.UnixMilli(1000 * (i + 1)), Order: f.Order, Entry: &table.Entry{}}
		accs[i/2%2].Add(&f, 1)
	}
	rows := map[string]Value{}
	if err := DrainAll(accs, func(key string, c *table.Cell) error {
		v, err := set.MetricOf(key).Value(c)
		rows[key] = v
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := rows["customers/1d/1970-01-01T00:00:00Z/(none),(none)"]; got.Count != n || math.Abs(float64(got.Distinct)-7000) > 0.08*7000 {
		t.Errorf("customers %+v", got)
	}
	if got := rows["time_to_ship/1d/1970-01-01T00:00:00Z/(none),(none),(none)"]; got.Count != n || math.Abs(got.P50-n/2) > 0.0101*n/2 || got.Max != n || got.Average != (n+1)/2.0 {
		t.Errorf("time to ship %+v", got)
	}
	top := rows["top_products/1d/1970-01-01T00:00:00Z/(none)"]
	if top.Count != n || top.Sum != total || len(top.Top) != 128 {
		t.Fatalf("top products: %d lines, %d pieces, %d listed", top.Count, top.Sum, len(top.Top))
	}
	for _, r := range top.Top {
		if exact := products[r.Value]; r.Count < exact || r.Count-r.Error > exact || r.Error > total/128 {
			t.Errorf("%+v, exactly %d", r, exact)
		}
	}
	for i := range 10 {
		if want := fmt.Sprint("p", i); top.Top[i].Value != want {
			t.Errorf("place %d: %s, want %s", i, top.Top[i].Value, want)
		}
	}
}

func TestWhatIsTakenBackLeavesNothing(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	a := set.NewAccumulator()
	f := Facts{Type: event.PaymentCaptured, Stage: "paid", At: 5, Order: &table.Order{Region: "eu"}}
	a.Add(&f, 1)
	a.Add(&f, -1)
	rows := 0
	if err := a.Drain(func(string, *table.Cell) error { rows++; return nil }); err != nil || rows != 0 {
		t.Errorf("%d rows (%v)", rows, err)
	}
	m := set.Lookup("funnel")
	into := &table.Cell{Count: 1}
	if err := m.Merge(into, &table.Cell{Count: -1}); err != nil || !Empty(into) {
		t.Errorf("left %v (%v)", into, err)
	}
}

func TestLateContributionsAreCountedAndNothingElse(t *testing.T) {
	into := &table.Cell{Count: 5, Sum: 50}
	MergeLate(into, &table.Cell{Count: 2, Sum: 20})
	MergeLate(into, &table.Cell{Count: -1})
	if into.Count != 5 || into.Sum != 50 || into.Late != 3 {
		t.Errorf("%v", into)
	}
}

func TestTimesThatFitNoKeyAreCountedAtTheBound(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	a := set.NewAccumulator()
	for _, at := range []event.UnixMilli{math.MinInt64, math.MaxInt64} {
		f := Facts{Type: event.OrderCancelled, At: at, Order: &table.Order{}}
		a.Add(&f, 1)
	}
	var keys []string
	if err := a.Drain(func(key string, c *table.Cell) error {
		k, err := ParseKey(key)
		if k.Window == "1d" {
			keys = append(keys, key)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"cancellations/1d/0001-01-02T00:00:00Z/(none),(none)", "cancellations/1d/9999-12-31T00:00:00Z/(none),(none)"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v", keys)
	}
}

// A drain that fails leaves an accumulator that can be used again once it is reset.
func TestAFailedDrainCanBeReset(t *testing.T) {
	set := loadFile(t, "metrics.yaml")
	a, b := set.NewAccumulator(), set.NewAccumulator()
	facts := shop(300, event.OrderCreated)
	fill := func() {
		for i := range facts {
			a.Add(&facts[i], 1)
			b.Add(&facts[i], 1)
		}
	}
	fill()
	calls := 0
	failed := DrainAll([]*Accumulator{a, b}, func(string, *table.Cell) error {
		if calls++; calls == 40 {
			return fmt.Errorf("the broker is gone")
		}
		return nil
	})
	if failed == nil {
		t.Fatal("the error was swallowed")
	}
	a.Reset()
	b.Reset()
	fill()
	orders := int64(0)
	if err := DrainAll([]*Accumulator{a, b}, func(key string, c *table.Cell) error {
		if strings.HasPrefix(key, "orders/1d/") {
			orders += c.Count
		}
		return nil
	}); err != nil || orders != 600 {
		t.Errorf("%d orders (%v)", orders, err)
	}
}

func TestMultiplyStopsAtTheGreatestNumbers(t *testing.T) {
	for _, c := range [][3]int64{{3, 4, 12}, {-3, 4, -12}, {math.MaxInt64, 2, math.MaxInt64}, {math.MinInt64, 2, -math.MaxInt64}, {1 << 40, 1 << 40, math.MaxInt64}, {0, math.MinInt64, 0}} {
		if got := multiply(c[0], c[1]); got != c[2] {
			t.Errorf("%d × %d = %d", c[0], c[1], got)
		}
	}
}

// Whatever bytes a row or delta holds, reading and merging it fails in good order or gives a cell that can be read again.
func FuzzCell(f *testing.F) {
	set := loadText(f, oracleYAML+sessionYAML[strings.Index(sessionYAML, "  - name"):])
	add := func(c *table.Cell) {
		raw, err := c.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, raw)
	}
	add(&table.Cell{Count: 3, Sum: -5, Min: 1, Max: 9, Ranged: true, Late: 2})
	add(&table.Cell{Distinct: []byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, Quantiles: []byte{1, 2, 3}})
	add(&table.Cell{Quantiles: []byte{2, 1, 0, 1, 5, 1}, Top: []*table.TopEntry{{Value: "a", Count: 3}}})
	add(&table.Cell{Sessions: []*table.Session{{StartMs: 4, EndMs: 9}}, Slices: []*table.Slice{{StartMs: 10_000, Cell: &table.Cell{Count: 1}}}})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, m := range set.Metrics() {
			into, delta := new(table.Cell), new(table.Cell)
			if into.UnmarshalVT(a) != nil || delta.UnmarshalVT(b) != nil {
				return
			}
			if m.Merge(into, delta) != nil {
				continue
			}
			_, _ = m.Value(into)
			_, _ = m.SlidingValue(set.Lookup("orders").Windows[3].Window, into, 0)
			if m.Session != nil {
				CloseSessions(into, 1000, m.Session.Gap)
			}
			if err := m.Merge(into, new(table.Cell)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
