package alerts

import (
	"testing"

	"weir/processors/rule"
	"weir/topology/table"
)

// benchmark steps one finding into a row of n hits of which nothing may be forgotten yet, decoding and encoding as the group does.
func benchmark(b *testing.B, n int) {
	d := newDesk(b, velocity())
	for i := range n {
		d.feed(found("velocity", uint64(i), i))
	}
	f := found("velocity", uint64(n), n)
	b.ReportAllocs()
	for b.Loop() {
		row := new(table.Case)
		if err := row.UnmarshalVT(d.row); err != nil {
			b.Fatal(err)
		}
		in := Input{Finding: f, Entity: entity, Grace: d.grace, Retention: d.retention, Partitions: 1,
			Rule: func(id string) *rule.Rule { return d.rules[id] }, Get: func(key string) []byte { return d.beside[key] }}
		d.out.Reset()
		Step(row, &in, &d.out)
		if _, err := row.MarshalVT(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTheFirstHit(b *testing.B)  { benchmark(b, 0) }
func BenchmarkTheTenthHit(b *testing.B)  { benchmark(b, 9) }
func BenchmarkThe200thHit(b *testing.B)  { benchmark(b, 199) }
func BenchmarkThe2000thHit(b *testing.B) { benchmark(b, 1999) }
