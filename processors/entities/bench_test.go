package entities

import (
	"fmt"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// velocity is the reference workload's rule: how many orders and how much, in ten minutes.
func velocity() (*testJudge, *rule.Plan) {
	plan := &rule.Plan{Kind: "customer", Horizon: 10 * time.Minute,
		Series: []rule.Series{{ID: 7, Type: rule.Money, Cap: 4000, Horizon: 10 * time.Minute}},
		Readings: []rule.Reading{
			{Agg: rule.Count, Window: 10 * time.Minute, Result: rule.Number},
			{Agg: rule.Sum, Window: 10 * time.Minute, Result: rule.Money},
		}}
	r := &rule.Rule{ID: "velocity", Hash: 1, State: rule.Live, Late: rule.Revise}
	return &testJudge{parts: map[uint32]*rule.Part{9: {ID: 9, Rule: r, Of: 1, Kind: plan.Kind, Readings: []int{0, 1}}}}, plan
}

func BenchmarkStep(b *testing.B) {
	j, plan := velocity()
	order := func(n int, at int64) table.Observation {
		o := newObservation(n, at, "EUR", table.SeriesValue{Series: 7, Bits: f64(100)})
		o.Gates = []table.Gate{{Part: 9, Operands: []table.Operand{{Kind: table.OperandNumber, Bits: f64(1e12)}}}}
		o.ID, o.OrderID = "0a5ecdac-be45-b08c-0000-0123456789ab", "order-00012345"
		return o
	}
	for _, n := range []int{0, 10, 100, 1000} {
		for _, batch := range []int{1, 10} {
			b.Run(fmt.Sprintf("row=%d/record=%d", n, batch), func(b *testing.B) {
				e := newEntity(j, plan, 24*time.Hour)
				var record []byte
				for i := range n {
					o := order(i, 1_000_000+60*second*int64(i))
					record = o.Append(record)
				}
				if n > 0 {
					if err := e.step(record, false); err != nil {
						b.Fatal(err)
					}
				}
				record = nil
				for i := range batch {
					o := order(n+i, 1_000_000+60*second*int64(n+i))
					record = o.Append(record)
				}
				in, out := Input{Key: e.key, Record: record, Watermark: event.UnixMilli(1_000_000)}, Output{}
				b.ReportAllocs()
				for b.Loop() {
					if err := step(j, plan, e.grace, e.row, &in, &out); err != nil || out.Counts.Observations != int64(batch) {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/observation")
			})
		}
	}
}
