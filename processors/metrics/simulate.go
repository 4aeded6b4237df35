package metrics

import (
	"encoding/binary"
	"fmt"

	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// Simulate returns group metrics for the simulator: the same Step as on Kafka.
func Simulate(set *metric.Set, partitions int32) sim.Group {
	return sim.Group{Name: topology.GroupMetrics, Inputs: []string{topology.Deltas}, New: func() sim.Processor {
		return &simulated{set: set, partitions: partitions}
	}}
}

type simulated struct {
	set        *metric.Set
	partitions int32
	out        Output
}

func (s *simulated) Process(p *sim.Partition, r *sim.Record) error {
	in := Input{Key: r.Key, Delta: new(table.Cell), Watermark: p.Watermark(), Partitions: s.partitions}
	if err := in.Delta.UnmarshalVT(r.Value); err != nil {
		return fmt.Errorf("delta: %w", err)
	}
	if err := s.fold(p, &in); err != nil {
		return err
	}
	if s.out.RedirectKey == "" {
		return nil
	}
	p.Count(CounterRedirected, 1)
	in.Key = s.out.RedirectKey
	return s.fold(p, &in)
}

func (s *simulated) fold(p *sim.Partition, in *Input) error {
	row, stored := new(table.Cell), p.Get(in.Key)
	if err := row.UnmarshalVT(stored); err != nil {
		return fmt.Errorf("metric row: %w", err)
	}
	window, limited := metric.WindowPrefix(in.Key)
	in.Series = series(p, window)
	s.out.Reset()
	if err := Step(s.set, row, stored == nil, in, &s.out); err != nil {
		return err
	}
	if s.out.Late != 0 {
		p.Count(CounterLate, s.out.Late)
	}
	if s.out.Outcome == Unknown {
		p.Count(CounterUnknown, 1)
	}
	if s.out.Unchanged || s.out.RedirectKey != "" {
		return nil
	}
	if stored == nil && limited {
		p.Set(seriesPrefix+window, binary.AppendVarint(nil, in.Series+1))
	}
	value, err := row.MarshalVT()
	p.Set(in.Key, value)
	return err
}

func series(p *sim.Partition, window string) int64 {
	n, _ := binary.Varint(p.Get(seriesPrefix + window))
	return n
}

func (s *simulated) Timer(p *sim.Partition, key string, stored []byte) error {
	row := new(table.Cell)
	if err := row.UnmarshalVT(stored); err != nil {
		return fmt.Errorf("metric row: %w", err)
	}
	s.out.Reset()
	if err := Step(s.set, row, false, &Input{Key: key, Watermark: p.Watermark(), Timer: true}, &s.out); err != nil {
		return err
	}
	for _, d := range s.out.Deltas {
		value, err := d.Cell.MarshalVT()
		if err != nil {
			return err
		}
		p.Emit(topology.Deltas, d.Key, value, nil)
	}
	if !s.out.Delete {
		value, err := row.MarshalVT()
		p.Set(key, value)
		return err
	}
	p.Delete(key)
	window, limited := metric.WindowPrefix(key)
	switch n := series(p, window); {
	case !limited:
	case n <= 1:
		p.Delete(seriesPrefix + window)
	default:
		p.Set(seriesPrefix+window, binary.AppendVarint(nil, n-1))
	}
	return nil
}

func (s *simulated) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (s *simulated) Rollback()                                                {}

func (s *simulated) Deadline(key string, stored []byte) (event.UnixMilli, bool) {
	var row table.Cell
	if row.UnmarshalVT(stored) != nil {
		return 0, false
	}
	return Deadline(s.set, key, &row)
}
