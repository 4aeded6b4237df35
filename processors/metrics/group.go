package metrics

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// Group is the goka side of group metrics: each delta is merged into its row.
type Group struct {
	Names      topology.Names
	Metrics    *metric.Set
	Partitions int32 // of weir-deltas: each takes an equal share of a metric's max_series
	Logger     *slog.Logger

	rt     *engine.Runtime
	shards [maxPartitions]*shard
}

// maxPartitions bounds the partitions of weir-deltas.
const maxPartitions = 1024

type shard struct {
	delta table.Cell
	in    Input
	out   Output
}

// Counters of this group in the marks row.
const (
	CounterLate       = "late"
	CounterRedirected = "series_over_limit"
	CounterUnknown    = "unknown_metric"
)

// seriesPrefix begins the key of the row that counts a window's series in this partition.
const seriesPrefix = "\x00series/"

// Define builds the goka graph on rt.
func (g *Group) Define(rt *engine.Runtime) engine.Spec {
	g.rt = rt
	if g.Logger == nil {
		g.Logger = slog.New(slog.DiscardHandler)
	}
	return engine.Spec{
		Graph: goka.DefineGroup(goka.Group(g.Names.In(topology.GroupMetrics)),
			rt.Input(g.Names.In(topology.Deltas), g.process),
			goka.Output(goka.Stream(g.Names.In(topology.DeadLetters)), new(codec.Bytes)),
			goka.Persist(new(codec.Bytes))),
		Hooks: engine.Hooks{Deadline: g.deadline, Timer: g.timer},
	}
}

func (g *Group) shard(partition int32) *shard {
	s := g.shards[partition]
	if s == nil {
		s = new(shard)
		g.shards[partition] = s
	}
	return s
}

func (g *Group) process(ctx goka.Context, msg any) {
	raw, _ := msg.([]byte)
	p, s := g.rt.Partition(ctx.Partition()), g.shard(ctx.Partition())
	if engine.IsMark(ctx.Key()) {
		if err := p.Mark(raw); err != nil {
			ctx.Fail(err)
		}
		return
	}
	s.delta.Reset()
	if err := s.delta.UnmarshalVT(raw); err != nil {
		ctx.Fail(fmt.Errorf("delta %q at offset %d is not one of weir's: %w", ctx.Key(), ctx.Offset(), err))
	}
	s.in = Input{Key: ctx.Key(), Delta: &s.delta, Watermark: p.Watermark(), Partitions: g.Partitions}
	row, _ := ctx.Value().([]byte)
	cell, err := g.step(p, s, row)
	if err != nil {
		ctx.Fail(err)
	}
	if s.out.RedirectKey != "" { // too many series: the rest of the window shares one row
		p.Count(CounterRedirected, 1)
		if err := g.redirect(p, s); err != nil {
			ctx.Fail(err)
		}
		return
	}
	if cell != nil {
		ctx.SetValue(cell)
	}
}

// step applies s.in to a row and returns the row to keep, nil if it stays as it is.
func (g *Group) step(p *engine.Partition, s *shard, row []byte) ([]byte, error) {
	cell := table.CellFromVTPool()
	defer cell.ReturnToVTPool()
	if row != nil {
		if err := cell.UnmarshalVT(row); err != nil {
			return nil, fmt.Errorf("metric row %q: %w", s.in.Key, err)
		}
	}
	seriesKey, limited := "", false
	if row == nil {
		var err error
		if seriesKey, s.in.Series, limited, err = g.series(p, s.in.Key); err != nil {
			return nil, err
		}
	}
	s.out.Reset()
	if err := Step(g.Metrics, cell, row == nil, &s.in, &s.out); err != nil {
		return nil, err
	}
	switch s.out.Outcome {
	case Late:
		p.Count(CounterLate, s.out.Late)
	case Unknown:
		p.Count(CounterUnknown, 1)
	}
	if s.out.RedirectKey != "" || s.out.Unchanged {
		return nil, nil
	}
	if limited {
		if err := p.Set(seriesKey, binary.AppendVarint(nil, s.in.Series+1)); err != nil {
			return nil, err
		}
	}
	return cell.MarshalVT()
}

// redirect merges the delta into the (other) row, which stands in this partition whatever its key hashes to: readers scan.
func (g *Group) redirect(p *engine.Partition, s *shard) error {
	s.in.Key = s.out.RedirectKey
	row, err := p.Get(s.in.Key)
	if err != nil {
		return err
	}
	cell, err := g.step(p, s, row)
	if err != nil || cell == nil {
		return err
	}
	return p.Set(s.in.Key, cell)
}

// series tells how many rows the window of key has in this partition already.
func (g *Group) series(p *engine.Partition, key string) (seriesKey string, n int64, limited bool, err error) {
	window, ok := metric.WindowPrefix(key)
	if !ok {
		return "", 0, false, nil
	}
	seriesKey = seriesPrefix + window
	v, err := p.Get(seriesKey)
	if err != nil || v == nil {
		return seriesKey, 0, true, err
	}
	n, used := binary.Varint(v)
	if used <= 0 {
		return "", 0, false, fmt.Errorf("series count of %s is damaged", window)
	}
	return seriesKey, n, true, nil
}

func (g *Group) deadline(key string, row []byte) (event.UnixMilli, bool) {
	if at, ok := g.Metrics.Expiry(key); ok {
		return at, true
	}
	cell := table.CellFromVTPool()
	defer cell.ReturnToVTPool()
	if cell.UnmarshalVT(row) != nil {
		return 0, false
	}
	return Deadline(g.Metrics, key, cell)
}

// timer deletes a row that is past its retention, and closes sessions whose gap has passed.
func (g *Group) timer(tx *engine.Tx, p *engine.Partition, key string, row []byte) error {
	s := g.shard(p.Number())
	cell := table.CellFromVTPool()
	defer cell.ReturnToVTPool()
	if err := cell.UnmarshalVT(row); err != nil {
		return err
	}
	s.in = Input{Key: key, Watermark: p.Watermark(), Timer: true}
	s.out.Reset()
	if err := Step(g.Metrics, cell, false, &s.in, &s.out); err != nil {
		return err
	}
	for _, d := range s.out.Deltas {
		value, err := d.Cell.MarshalVT()
		if err != nil {
			return err
		}
		tx.Emit(g.Names.In(topology.Deltas), d.Key, value)
	}
	if !s.out.Delete {
		value, err := cell.MarshalVT()
		if err != nil {
			return err
		}
		return p.Set(key, value)
	}
	if err := p.Delete(key); err != nil {
		return err
	}
	return g.forgetSeries(p, key)
}

func (g *Group) forgetSeries(p *engine.Partition, key string) error {
	seriesKey, n, limited, err := g.series(p, key)
	if err != nil || !limited {
		return err
	}
	if n <= 1 {
		return p.Delete(seriesKey)
	}
	return p.Set(seriesKey, binary.AppendVarint(nil, n-1))
}
