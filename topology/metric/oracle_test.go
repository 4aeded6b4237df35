package metric

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// The set under test has every kind of value, and windows that do not nest.
const oracleYAML = `
defaults:
  windows: [{every: 1m, keep: 48h}, {every: 90s, keep: 48h}, {every: "5m:2m", keep: 48h}, {every: "sliding-5m:10s", keep: 1h}]
  grace: 10m
  max_series: 100
metrics:
  - {name: orders, on: order.created, value: count, labels: [region, currency]}
  - {name: gmv, on: order.created, value: sum(total), labels: [region, currency]}
  - {name: web_gmv, on: order.created, where: channel == web, value: sum(total), labels: [currency]}
  - {name: customers, on: order.created, value: distinct(customer_id), labels: [region]}
  - {name: items, on: order.created, each: item, value: sum(quantity), labels: [category]}
  - {name: item_revenue, on: order.created, each: item, where: category != "", value: sum(price*quantity), labels: [category, currency]}
  - {name: products, on: order.created, each: item, value: top(product_id by quantity)}
  - {name: revenue, on: payment.captured, value: sum(amount), labels: [method, region, currency]}
  - {name: deliveries, on: shipment.delivered, value: count, labels: [carrier, on_time]}
  - {name: time_to_deliver, on: shipment.delivered, value: quantiles(seconds since created), labels: [region]}
  - {name: funnel, on: funnel, value: count, labels: [stage, region]}
`

// claim is what the oracle says of one row.
type claim struct {
	count    int64
	sum      *big.Int
	distinct map[string]bool
	values   []int64
	top      map[string]int64
}

// contribution is what one fact, or item, adds to a metric, by hand.
type contribution struct {
	metric string
	labels []string
	count  int64
	number int64
	text   string
}

func orNone(v string) string {
	if v == "" {
		return "(none)"
	}
	return v
}

// contributions repeats oracleYAML in code.
func contributions(f Facts, sign int64) (list []contribution) {
	o, e := f.Order, f.Entry
	add := func(metric string, number int64, text string, labels ...string) {
		for i := range labels {
			labels[i] = orNone(labels[i])
		}
		list = append(list, contribution{metric, labels, sign, number, text})
	}
	switch {
	case f.Stage != "":
		add("funnel", 0, "", f.Stage, o.Region)
	case f.Type == event.OrderCreated:
		add("orders", 0, "", o.Region, o.Currency)
		add("gmv", o.CreatedTotalMinor, "", o.Region, o.Currency)
		if o.Channel == "web" {
			add("web_gmv", o.CreatedTotalMinor, "", o.Currency)
		}
		if o.CustomerId != "" {
			add("customers", 0, o.CustomerId, o.Region)
		}
		for _, item := range o.Items {
			add("items", item.Quantity, "", item.Category)
			if item.Category != "" {
				add("item_revenue", item.Quantity*item.PriceMinor, "", item.Category, o.Currency)
			}
			if item.Quantity > 0 {
				add("products", item.Quantity, orNone(item.ProductId))
			}
		}
	case f.Type == event.PaymentCaptured:
		add("revenue", e.AmountMinor, "", e.Source, o.Region, e.Currency)
	case f.Type == event.ShipmentDelivered:
		due, onTime := o.PromisedAtMs, "unknown"
		if due == 0 {
			due = e.ExpectedAtMs
		}
		if due != 0 {
			onTime = fmt.Sprint(int64(f.At) <= due)
		}
		add("deliveries", 0, "", e.Source, onTime)
		add("time_to_deliver", int64(f.At)-o.CreatedAtMs, "", o.Region)
	}
	return list
}

// expected works out every row from the whole list of facts, window by window, by the definition of each window.
func expected(facts []Facts, signs []int64) map[string]*claim {
	rows := map[string]*claim{}
	cuts := map[string][2]int64{"1m": {60_000, 60_000}, "90s": {90_000, 90_000}, "5m:2m": {300_000, 120_000}}
	for i, f := range facts {
		for _, c := range contributions(f, signs[i]) {
			for name, cut := range cuts {
				size, advance := cut[0], cut[1]
				for n := int64(f.At)/advance - 5; n*advance <= int64(f.At); n++ {
					if start := n * advance; int64(f.At) < start+size {
						at := time.UnixMilli(start).UTC().Format("2006-01-02T15:04:05Z")
						claimOf(rows, c.metric+"/"+name+"/"+at+"/"+strings.Join(c.labels, ",")).add(c)
					}
				}
			}
		}
	}
	return rows
}

func claimOf(rows map[string]*claim, key string) *claim {
	if rows[key] == nil {
		rows[key] = &claim{sum: new(big.Int), distinct: map[string]bool{}, top: map[string]int64{}}
	}
	return rows[key]
}

func (c *claim) add(x contribution) {
	c.count += x.count
	c.sum.Add(c.sum, new(big.Int).Mul(big.NewInt(x.number), big.NewInt(x.count)))
	c.distinct[x.text] = true
	c.values = append(c.values, x.number)
	c.top[x.text] += x.number
}

// disagreement compares a row with what the oracle says of it; "" if they agree.
func (c *claim) disagreement(m *Metric, cell *table.Cell) string {
	v, err := m.Value(cell)
	if err != nil {
		return err.Error()
	}
	if v.Count != c.count {
		return fmt.Sprintf("count %d, want %d", v.Count, c.count)
	}
	if (m.Kind == Sum || m.Kind == Top) && big.NewInt(v.Sum).Cmp(c.sum) != 0 {
		return fmt.Sprintf("sum %d, want %s", v.Sum, c.sum)
	}
	switch m.Kind {
	case Distinct:
		if v.Distinct != uint64(len(c.distinct)) {
			return fmt.Sprintf("%d distinct, want %d", v.Distinct, len(c.distinct))
		}
	case Quantiles:
		slices.Sort(c.values)
		at := func(q float64) float64 { return float64(c.values[int(q*float64(len(c.values)-1))]) / 1000 }
		for _, q := range [][2]float64{{v.P50, at(0.5)}, {v.P90, at(0.9)}, {v.P99, at(0.99)}, {v.Min, at(0)}, {v.Max, at(1)}} {
			if d := q[0] - q[1]; max(d, -d) > 0.0101*max(q[1], -q[1]) {
				return fmt.Sprintf("quantiles %+v of %v", v, c.values)
			}
		}
	case Top:
		if len(v.Top) != len(c.top) {
			return fmt.Sprintf("%d values, want %d", len(v.Top), len(c.top))
		}
		for _, r := range v.Top {
			if r.Count != c.top[r.Value] || r.Error != 0 {
				return fmt.Sprintf("%+v, want %d", r, c.top[r.Value])
			}
		}
	}
	return ""
}

func anyFacts(t *rapid.T) (facts []Facts, signs []int64) {
	word := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	base := rapid.SampledFrom([]int64{1_767_225_600_000, -86_400_000, 0}).Draw(t, "base")
	span := rapid.SampledFrom([]int64{100, 60_000, 3_600_000}).Draw(t, "span")
	moment := func(name string) int64 { return base + rapid.Int64Range(-span, span).Draw(t, name) }
	for range rapid.IntRange(1, 60).Draw(t, "facts") {
		o := &table.Order{
			Created: true, CreatedAtMs: moment("created"), Region: word("region", "eu", "us", ""), Currency: word("currency", "EUR", "JPY"),
			Channel: word("channel", "web", "app", ""), CustomerId: word("customer", "c1", "c2", "c3", ""), CreatedTotalMinor: rapid.Int64Range(0, 1e12).Draw(t, "total"),
		}
		if rapid.Bool().Draw(t, "promised") {
			o.PromisedAtMs = moment("promise")
		}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			o.Items = append(o.Items, &table.Item{ProductId: word("product", "p1", "p2", ""), Category: word("item category", "toys", "books", ""),
				Quantity: rapid.Int64Range(0, 5).Draw(t, "quantity"), PriceMinor: rapid.Int64Range(0, 1e6).Draw(t, "price")})
		}
		f := Facts{Order: o, At: event.UnixMilli(moment("at")), Entry: &table.Entry{Source: word("source", "card", "dhl", ""), Currency: word("paid in", "EUR", "USD", ""),
			AmountMinor: rapid.Int64Range(0, 1e12).Draw(t, "amount"), ExpectedAtMs: rapid.SampledFrom([]int64{0, base}).Draw(t, "expected")}}
		f.Type = rapid.SampledFrom([]event.Type{event.OrderCreated, event.PaymentCaptured, event.ShipmentDelivered, event.PaymentFailed}).Draw(t, "type")
		sign := int64(1)
		if rapid.IntRange(0, 3).Draw(t, "funnel") == 0 {
			f.Stage = word("stage", "created", "paid")
			sign = rapid.SampledFrom([]int64{1, 1, -1}).Draw(t, "sign")
		}
		facts, signs = append(facts, f), append(signs, sign)
	}
	return facts, signs
}

// deltas runs facts, in any order, through some accumulators that are drained now and then, alone or together.
func deltas(t *rapid.T, set *Set, facts []Facts, signs []int64) (list []Delta) {
	order := rapid.Permutation(slices.Collect(maps.Keys(indexes(len(facts))))).Draw(t, "order")
	accs := make([]*Accumulator, rapid.IntRange(1, 4).Draw(t, "accumulators"))
	for i := range accs {
		accs[i] = set.NewAccumulator()
	}
	drain := func(which []*Accumulator) {
		last := ""
		if err := DrainAll(which, func(key string, c *table.Cell) error {
			if key <= last {
				t.Fatalf("%s comes after %s", key, last)
			}
			last = key
			raw, err := c.MarshalVT() // as they travel
			if err != nil {
				return err
			}
			d := Delta{key, new(table.Cell)}
			list = append(list, d)
			return d.Cell.UnmarshalVT(raw)
		}); err != nil {
			t.Fatal(err)
		}
		for _, a := range which {
			if a.Len() != 0 {
				t.Fatal("a drained accumulator is not empty")
			}
		}
	}
	for _, i := range order {
		a := rapid.IntRange(0, len(accs)-1).Draw(t, "accumulator")
		accs[a].Add(&facts[i], signs[i])
		if rapid.IntRange(0, 9).Draw(t, "drain") == 0 {
			drain(accs[a : a+1])
		}
	}
	drain(accs)
	return list
}

func indexes(n int) map[int]bool {
	m := map[int]bool{}
	for i := range n {
		m[i] = true
	}
	return m
}

// merge brings deltas together in any order and any grouping.
func merge(t *rapid.T, set *Set, list []Delta) map[string]*table.Cell {
	byKey := map[string][]*table.Cell{}
	for _, d := range list {
		byKey[d.Key] = append(byKey[d.Key], d.Cell)
	}
	rows := map[string]*table.Cell{}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		cells := byKey[key]
		for len(cells) > 1 {
			i := rapid.IntRange(0, len(cells)-1).Draw(t, "into")
			into := cells[i]
			cells = slices.Delete(slices.Clone(cells), i, i+1)
			j := rapid.IntRange(0, len(cells)-1).Draw(t, "delta")
			if err := set.MetricOf(key).Merge(into, cells[j]); err != nil {
				t.Fatal(err)
			}
			cells[j] = into
		}
		rows[key] = cells[0]
	}
	return rows
}

func loadText(t interface{ Fatal(...any) }, yaml string) *Set {
	set, err := Load("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// However facts are ordered, dealt out, drained and merged, the rows show what a plain count over the list of facts gives.
func TestRowsAgreeWithACountByHand(t *testing.T) {
	set := loadText(t, oracleYAML)
	rapid.Check(t, func(t *rapid.T) {
		facts, signs := anyFacts(t)
		rows := merge(t, set, deltas(t, set, facts, signs))
		want := expected(facts, signs)
		for key, c := range want {
			cell := rows[key]
			if cell == nil {
				cell = new(table.Cell) // everything was taken back
			}
			if wrong := c.disagreement(set.Lookup(key[:strings.Index(key, "/")]), cell); wrong != "" {
				t.Fatalf("%s: %s", key, wrong)
			}
		}
		for key := range rows {
			if w := set.WindowOf(key); w.Kind != window.Sliding && want[key] == nil {
				t.Fatalf("%s is a row of nothing", key)
			}
		}
		checkSliding(t, set, rows, facts, signs)
	})
}

// checkSliding compares a reading of each sliding row with the facts in the reading's slices, and holds the error to one slice.
func checkSliding(t *rapid.T, set *Set, rows map[string]*table.Cell, facts []Facts, signs []int64) {
	const size, step = 300_000, 10_000
	w, err := window.Parse("sliding-5m:10s")
	if err != nil {
		t.Fatal(err)
	}
	at := int64(facts[0].At) + rapid.Int64Range(-1000, size+step).Draw(t, "reading")
	want := map[string]*claim{}
	for i, f := range facts {
		slice := int64(window.Floor(f.At, 10*time.Second))
		if within := slice > at-size && slice <= at; !within {
			if int64(f.At) > at-size+step && int64(f.At) <= at {
				t.Fatalf("the reading at %d leaves out %d, by more than a slice", at, f.At)
			}
			continue
		}
		for _, c := range contributions(f, signs[i]) {
			claimOf(want, c.metric+"/sliding-5m:10s/1970-01-01T00:00:00Z/"+strings.Join(c.labels, ",")).add(c)
		}
	}
	for key, cell := range rows {
		if set.WindowOf(key).Kind != window.Sliding {
			continue
		}
		if !slices.IsSortedFunc(cell.Slices, func(a, b *table.Slice) int { return int(a.StartMs-b.StartMs) | 1 }) {
			t.Fatalf("%s: a slice comes twice, or too late: %v", key, cell.Slices)
		}
		m := set.MetricOf(key)
		now, err := m.SlidingValue(w, cell, event.UnixMilli(at))
		if err != nil {
			t.Fatal(err)
		}
		if c := want[key]; c == nil {
			if now.Count != 0 {
				t.Fatalf("%s at %d: count %d of nothing", key, at, now.Count)
			}
		} else if wrong := c.disagreement(m, now); wrong != "" {
			t.Fatalf("%s at %d: %s", key, at, wrong)
		}
	}
}

// An accumulator whose transaction was aborted gives nothing of it later.
func TestResetDropsWhatWasAdded(t *testing.T) {
	set := loadText(t, oracleYAML)
	rapid.Check(t, func(t *rapid.T) {
		facts, signs := anyFacts(t)
		a := set.NewAccumulator()
		for i := range facts {
			a.Add(&facts[i], signs[i])
		}
		a.Reset()
		once := set.NewAccumulator()
		for i := range facts {
			a.Add(&facts[i], signs[i])
			once.Add(&facts[i], signs[i])
		}
		read := func(a *Accumulator) (lines []string) {
			if err := a.Drain(func(key string, c *table.Cell) error {
				lines = append(lines, key+" "+c.String())
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return lines
		}
		if got, want := read(a), read(once); !slices.Equal(got, want) {
			t.Fatalf("after a reset %v, want %v", got, want)
		}
	})
}
