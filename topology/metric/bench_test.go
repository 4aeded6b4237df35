package metric

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"weir/topology/event"
	"weir/topology/table"
)

func loadFile(t testing.TB, name string) *Set {
	t.Helper()
	data, err := os.ReadFile("../../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Load(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// shop makes facts of orders as a shop has them: one order each 20 ms from 2026-01-01 on, from 6 regions of 3 countries each.
func shop(n int, typ event.Type) []Facts {
	r := rand.New(rand.NewPCG(7, 7))
	const t0 = 1_767_225_600_000
	regions := []string{"eu-west", "eu-north", "us-east", "us-west", "apac", "latam"}
	categories := []string{"books", "toys", "garden", "electronics", "fashion", "grocery", "sports", "beauty"}
	pick := func(of []string) string { return string([]byte(of[r.IntN(len(of))])) } // a string of its own, as in a decoded row
	facts := make([]Facts, n)
	for i := range facts {
		at := int64(t0 + 20*i)
		region := r.IntN(len(regions))
		o := &table.Order{
			Created: true, CreatedAtMs: at, CustomerId: fmt.Sprintf("cust-%06d", int(r.ExpFloat64()*20000)), Currency: "EUR",
			Region: string([]byte(regions[region])), Country: fmt.Sprintf("%c%c", 'A'+region, 'A'+r.IntN(3)), Channel: pick([]string{"web", "app"}),
			Category: pick(categories), CreatedTotalMinor: 100 + r.Int64N(50_000),
		}
		for range 1 + r.IntN(3) {
			o.Items = append(o.Items, &table.Item{ProductId: fmt.Sprintf("p-%04d", int(r.ExpFloat64()*100)), Category: pick(categories), Quantity: 1 + r.Int64N(3), PriceMinor: 100 + r.Int64N(9000)})
		}
		f := Facts{Type: typ, At: event.UnixMilli(at), Order: o, Entry: &table.Entry{AmountMinor: o.CreatedTotalMinor, Currency: "EUR"}}
		switch typ.Stream() {
		case "payments":
			f.At, f.Entry.Source = f.At+2000, pick([]string{"card", "paypal", "klarna"})
		case "shipments":
			f.At, f.Entry.Source = f.At+20_000, pick([]string{"dhl", "ups"})
		}
		facts[i] = f
	}
	return facts
}

// An iteration is one event into an accumulator that is emptied after each commit interval's worth of events.
func BenchmarkAdd(b *testing.B) {
	for _, file := range []string{"metrics.yaml", "metrics-w.yaml"} {
		set := loadFile(b, file)
		for _, typ := range []event.Type{event.OrderCreated, event.PaymentCaptured, event.ShipmentDispatched} {
			facts := shop(20_000, typ)
			b.Run(fmt.Sprintf("%s/%s", file, typ), func(b *testing.B) {
				a := set.NewAccumulator()
				b.ReportAllocs()
				for i := range b.N {
					if i%4000 == 0 {
						b.StopTimer()
						a.Reset()
						b.StartTimer()
					}
					a.Add(&facts[i%len(facts)], 1)
				}
			})
		}
		b.Run(file+"/funnel", func(b *testing.B) {
			facts := shop(20_000, event.PaymentCaptured)
			for i := range facts {
				facts[i].Stage, facts[i].At = "paid", event.UnixMilli(facts[i].Order.CreatedAtMs)
			}
			a := set.NewAccumulator()
			for i := range b.N {
				a.Add(&facts[i%len(facts)], 1)
			}
		})
	}
}

// An iteration is one commit: facts dealt out to 8 partitions' accumulators, drained together. The figures are per row and event.
func BenchmarkCommit(b *testing.B) {
	for _, file := range []string{"metrics.yaml", "metrics-w.yaml"} {
		set := loadFile(b, file)
		created, captured, dispatched := shop(20_000, event.OrderCreated), shop(20_000, event.PaymentCaptured), shop(20_000, event.ShipmentDispatched)
		for _, events := range []int{250, 30_000} {
			b.Run(fmt.Sprintf("%s/%d events", file, events), func(b *testing.B) {
				accs := make([]*Accumulator, 8)
				for i := range accs {
					accs[i] = set.NewAccumulator()
				}
				rows, bytes, at := 0, 0, 0
				for b.Loop() {
					for i := 0; i < events; i += 3 {
						a := accs[at%len(accs)]
						a.Add(&created[at], 1)
						a.Add(&captured[at], 1)
						a.Add(&dispatched[at], 1)
						at = (at + 1) % len(created)
					}
					if err := DrainAll(accs, func(key string, c *table.Cell) error {
						rows++
						bytes += len(key) + c.SizeVT()
						return nil
					}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
				b.ReportMetric(float64(rows)/float64(b.N), "rows")
				b.ReportMetric(float64(bytes)/float64(rows), "B/row")
			})
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	set := loadFile(b, "metrics.yaml")
	for _, name := range []string{"orders", "revenue", "customers", "time_to_ship", "top_products"} {
		m := set.Lookup(name)
		row, delta := new(table.Cell), new(table.Cell)
		fill := func(into *table.Cell, n int) {
			a := set.NewAccumulator()
			for _, typ := range []event.Type{event.OrderCreated, event.PaymentCaptured, event.ShipmentDispatched} {
				for _, f := range shop(n, typ) {
					a.Add(&f, 1)
				}
			}
			if err := a.Drain(func(key string, c *table.Cell) error {
				if set.MetricOf(key) == m && set.WindowOf(key).Name == "1d" {
					return m.Merge(into, c)
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
		fill(row, 5000)
		fill(delta, 3)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			into := row.CloneVT()
			for b.Loop() {
				if err := m.Merge(into, delta); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKeys(b *testing.B) {
	set := loadFile(b, "metrics.yaml")
	key := "revenue/1m/2026-01-01T00:00:00Z/card,eu-west,DE,EUR"
	b.Run("Expiry", func(b *testing.B) {
		for b.Loop() {
			if _, ok := set.Expiry(key); !ok {
				b.Fatal(key)
			}
		}
	})
	b.Run("ParseKey", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseKey(key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
