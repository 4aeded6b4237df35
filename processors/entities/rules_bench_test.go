package entities

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// What a rule more on a feature that is there already costs for each event that it sees: taking the event apart, and judging it in a
// row of some ten observations. Compare the figures of 1 and 41 rules.
func BenchmarkRulesOnOneFeature(b *testing.B) {
	for _, n := range []int{1, 41} {
		b.Run(fmt.Sprint(n, " rules"), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("rules:\n")
			for i := range n {
				fmt.Fprintf(&text, "  - {id: r%d, entity: customer, when: \"count(5m) >= %d and total > %d.00\"}\n", i, 1000+i, i)
			}
			set, err := rule.Load("rules.yaml", []byte(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			plan := set.Plan("customer")
			f := &rule.Facts{Type: event.OrderCreated, Order: &table.Order{Created: true, CustomerId: "c1", Currency: "EUR", CreatedTotalMinor: 90_000},
				Entry: &table.Entry{AmountMinor: 90_000, Currency: "EUR", Topic: "orders"}, OrderID: "o-1"}
			var seen rule.Observed
			var out Output
			var row []byte
			at := event.UnixMilli(1_767_225_600_000)
			b.ReportAllocs()
			for b.Loop() {
				at += 6 * 60 * 1000 // with an hour of grace some ten observations stay
				f.At, f.Entry.AtMs, f.Entry.EventId = at, int64(at), "e"
				f.Entry.IdHash = xxhash.Sum64String(fmt.Sprint(at))
				set.Observe(f, &seen)
				in := Input{Key: seen.Observations[0].Key, Record: seen.Observations[0].Body, Watermark: at}
				if err := Step(set, plan, row, &in, &out); err != nil {
					b.Fatal(err)
				}
				row = out.Row
			}
		})
	}
}
