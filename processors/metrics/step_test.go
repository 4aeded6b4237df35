package metrics

import (
	"testing"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/metric/sketch"
	"weir/topology/table"
)

const definitions = `
defaults:
  windows: [{every: 1m, keep: 48h}]
  grace: 24h
  max_series: 4
metrics:
  - {name: orders, on: order.created, value: count, labels: [region]}
  - {name: gmv, on: order.created, value: sum(total), labels: [region, currency]}
  - {name: total, on: order.created, value: count}
  - {name: recent, on: order.created, value: count, labels: [region], windows: [{every: "sliding-5m:10s", keep: 1h}]}
  - {name: visits, on: order.created, value: count, labels: [region], session: {by: customer_id, gap: 30m}}
`

const (
	minute = event.UnixMilli(60_000)
	noon   = event.UnixMilli(1767268800000) // 2026-01-01T12:00:00Z
	row    = "orders/1m/2026-01-01T12:00:00Z/eu"
	slides = "recent/sliding-5m:10s/1970-01-01T00:00:00Z/eu"
	visits = "visits/session-30m/1970-01-01T00:00:00Z/c1"
)

// partition is one partition of the metrics table.
type partition struct {
	t    testing.TB
	set  *metric.Set
	rows map[string]*table.Cell
	out  Output
}

func newPartition(t testing.TB) *partition {
	set, err := metric.Load("test", []byte(definitions))
	if err != nil {
		t.Fatal(err)
	}
	return &partition{t: t, set: set, rows: map[string]*table.Cell{}}
}

func (p *partition) step(in Input) Outcome {
	p.t.Helper()
	cell := p.rows[in.Key]
	isNew := cell == nil
	if isNew {
		cell = new(table.Cell)
	}
	p.out.Reset()
	if err := Step(p.set, cell, isNew, &in, &p.out); err != nil {
		p.t.Fatal(err)
	}
	switch {
	case p.out.Delete:
		delete(p.rows, in.Key)
	case !p.out.Unchanged && p.out.RedirectKey == "":
		p.rows[in.Key] = cell
	}
	return p.out.Outcome
}

func (p *partition) expect(what string, got, want any) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func count(n int64) *table.Cell { return &table.Cell{Count: n} }

func TestDeltasAddUp(t *testing.T) {
	p := newPartition(t)
	p.expect("first", p.step(Input{Key: row, Delta: count(2)}), Merged)
	p.expect("taken back", p.step(Input{Key: row, Delta: count(-1)}), Merged)
	p.expect("count", p.rows[row].Count, int64(1))
}

func TestLateIsAfterEndAndGrace(t *testing.T) {
	p := newPartition(t)
	last := noon + minute + event.UnixMilli((24 * time.Hour).Milliseconds())
	p.expect("at the last moment", p.step(Input{Key: row, Delta: count(1), Watermark: last}), Merged)
	p.expect("a moment later", p.step(Input{Key: row, Delta: count(2), Watermark: last + 1}), Late)
	p.expect("taken back late", p.step(Input{Key: row, Delta: count(-1), Watermark: last + 1}), Late)
	p.expect("count", p.rows[row].Count, int64(1))
	p.expect("late", p.rows[row].Late, int64(3))
	other := "orders/1m/2026-01-01T12:00:00Z/us"
	p.expect("late for a row that was not there", p.step(Input{Key: other, Delta: count(1), Watermark: last + 1}), Late)
	p.expect("its count", p.rows[other].Count, int64(0))
	p.expect("its late", p.rows[other].Late, int64(1))
}

func TestRowsGoAtTheEndOfTheirRetention(t *testing.T) {
	p := newPartition(t)
	p.step(Input{Key: row, Delta: count(1)})
	at, ok := Deadline(p.set, row, p.rows[row])
	p.expect("has a deadline", ok, true)
	p.expect("deadline", at, noon+minute+event.UnixMilli((48*time.Hour).Milliseconds()))
	p.expect("too early", p.step(Input{Key: row, Timer: true, Watermark: at - 1}), Expired)
	p.expect("deleted", p.out.Delete, false)
	p.expect("in time", p.step(Input{Key: row, Timer: true, Watermark: at}), Expired)
	p.expect("deleted", p.out.Delete, true)
	p.expect("after that", p.step(Input{Key: row, Delta: count(5), Watermark: at}), Late)
	p.expect("late", p.out.Late, int64(5))
	p.expect("rows", len(p.rows), 0)
}

func TestSeriesBeyondTheLimitShareARow(t *testing.T) {
	p := newPartition(t)
	gmv := "gmv/1m/2026-01-01T12:00:00Z/eu,EUR"
	p.expect("within the limit", p.step(Input{Key: gmv, Delta: count(1), Series: 3}), Merged)
	p.expect("a row that is there", p.step(Input{Key: gmv, Delta: count(1), Series: 4}), Merged)
	dollars := "gmv/1m/2026-01-01T12:00:00Z/us,USD"
	p.expect("one too many", p.step(Input{Key: dollars, Delta: count(1), Series: 4}), Redirected)
	p.expect("goes to", p.out.RedirectKey, "gmv/1m/2026-01-01T12:00:00Z/(other),USD")
	p.expect("which has room", p.step(Input{Key: p.out.RedirectKey, Delta: count(1), Series: 4}), Merged)
	p.expect("one of two partitions has half", p.step(Input{Key: dollars, Delta: count(1), Series: 2, Partitions: 2}), Redirected)
	p.expect("and no less", p.step(Input{Key: dollars, Delta: count(1), Series: 1, Partitions: 2}), Merged)
	p.expect("without labels there is one series", p.step(Input{Key: "total/1m/2026-01-01T12:00:00Z/", Delta: count(1), Series: 9}), Merged)
}

func TestWhatIsNotDeclaredIsCountedAsUnknown(t *testing.T) {
	p := newPartition(t)
	for _, key := range []string{"gone/1m/2026-01-01T12:00:00Z/eu", "orders/7m/2026-01-01T12:00:00Z/eu", "orders", "", "\x00series/orders"} {
		p.expect(key, p.step(Input{Key: key, Delta: count(1)}), Unknown)
		_, ok := Deadline(p.set, key, count(1))
		p.expect("deadline of "+key, ok, false)
	}
	p.expect("rows", len(p.rows), 0)
}

func session(from, to event.UnixMilli, n int64) *table.Cell {
	return &table.Cell{Sessions: []*table.Session{{StartMs: int64(from), EndMs: int64(to), Count: n, Labels: []string{"eu"}}}}
}

func TestSessionsJoinAndCloseAfterTheirGap(t *testing.T) {
	p := newPartition(t)
	p.step(Input{Key: visits, Delta: session(noon, noon, 1)})
	p.step(Input{Key: visits, Delta: session(noon+50*minute, noon+50*minute, 1)})
	p.expect("sessions", len(p.rows[visits].Sessions), 2)
	p.step(Input{Key: visits, Delta: session(noon+30*minute, noon+30*minute, 1)})
	p.expect("sessions joined", len(p.rows[visits].Sessions), 1)
	at, _ := Deadline(p.set, visits, p.rows[visits])
	p.expect("deadline", at, noon+80*minute+1)
	p.step(Input{Key: visits, Delta: session(noon+200*minute, noon+200*minute, 1)})
	p.expect("timer", p.step(Input{Key: visits, Timer: true, Watermark: at}), Closed)
	p.expect("deltas", len(p.out.Deltas), 1)
	p.expect("delta", p.out.Deltas[0].Key, "visits/1m/2026-01-01T12:50:00Z/eu")
	p.expect("deleted", p.out.Delete, false)
	closed := p.out.Deltas[0]
	p.expect("last timer", p.step(Input{Key: visits, Timer: true, Watermark: noon + 300*minute}), Closed)
	p.expect("deleted", p.out.Delete, true)

	far := noon + event.UnixMilli((40 * time.Hour).Milliseconds())
	p.expect("a session that a far watermark ended", p.step(Input{Key: closed.Key, Delta: closed.Cell, Watermark: far}), Merged)
	p.expect("an event beyond the grace", p.step(Input{Key: visits, Delta: session(noon, noon, 2), Watermark: far}), Late)
	p.expect("late", p.out.Late, int64(2))
	p.expect("row", p.rows[visits] == nil, true)
}

func slice(at event.UnixMilli, n int64) *table.Cell {
	return &table.Cell{Slices: []*table.Slice{{StartMs: int64(at), Cell: count(n)}}}
}

func TestSlicesAreForgottenAndLateOnesCounted(t *testing.T) {
	p := newPartition(t)
	p.step(Input{Key: slides, Delta: slice(noon, 1)})
	p.step(Input{Key: slides, Delta: slice(noon+minute, 2)})
	at, _ := Deadline(p.set, slides, p.rows[slides])
	p.expect("deadline", at, noon+65*minute+10_000)
	p.step(Input{Key: slides, Timer: true, Watermark: at})
	p.expect("slices", len(p.rows[slides].Slices), 1)
	p.expect("a slice that is past use", p.step(Input{Key: slides, Delta: slice(noon, 3), Watermark: at}), Late)
	p.expect("late", p.rows[slides].Late, int64(3))
	p.expect("slices", len(p.rows[slides].Slices), 1)
	p.step(Input{Key: slides, Timer: true, Watermark: at + 10*minute})
	p.expect("deleted", p.out.Delete, true)
	p.expect("late without a row", p.step(Input{Key: slides, Delta: slice(noon, 3), Watermark: at}), Late)
	p.expect("rows", len(p.rows), 0)
}

func TestDamagedBytesAreAnError(t *testing.T) {
	p := newPartition(t)
	set, err := metric.Load("test", []byte(`metrics: [{name: who, on: order.created, value: distinct(customer_id), windows: [{every: 1m, keep: 1h}], grace: 1h, max_series: 5}]`))
	if err != nil {
		t.Fatal(err)
	}
	err = Step(set, new(table.Cell), true, &Input{Key: "who/1m/2026-01-01T12:00:00Z/", Delta: &table.Cell{Distinct: []byte{9}}}, &p.out)
	if err == nil {
		t.Error("a damaged sketch was merged")
	}
}

func BenchmarkStep(b *testing.B) {
	p := newPartition(b)
	quantiles, err := metric.Load("bench", []byte(`
defaults: {windows: [{every: 1m, keep: 48h}], grace: 24h, max_series: 4}
metrics:
  - {name: times, on: shipment.dispatched, value: quantiles(seconds since created), labels: [region]}
  - {name: who, on: order.created, value: distinct(customer_id), labels: [region]}
`))
	if err != nil {
		b.Fatal(err)
	}
	hashes := func(n uint64) (h []uint64) {
		for i := range n {
			h = append(h, (i+1)*0x9e3779b97f4a7c15)
		}
		return h
	}
	for _, c := range []struct {
		name, key  string
		set        *metric.Set
		row, delta *table.Cell
	}{
		{"count", row, p.set, &table.Cell{Count: 1}, &table.Cell{Count: 1}},
		{"quantiles", "times/1m/2026-01-01T12:00:00Z/eu", quantiles, &table.Cell{Quantiles: sketch.AppendQuantiles(nil, []int64{1000, 2000, 90000})}, &table.Cell{Count: 1, Quantiles: sketch.AppendQuantiles(nil, []int64{1500})}},
		{"distinct-of-200", "who/1m/2026-01-01T12:00:00Z/eu", quantiles, &table.Cell{Distinct: sketch.AppendDistinct(nil, hashes(200))}, &table.Cell{Count: 1, Distinct: sketch.AppendDistinct(nil, hashes(1))}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			in := Input{Key: c.key, Delta: c.delta, Watermark: noon}
			for b.Loop() {
				p.out.Reset()
				if err := Step(c.set, c.row, false, &in, &p.out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
