package entities

import (
	"fmt"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/sim"
)

// Simulate returns group entities for the simulator: the same Step as on Kafka.
func Simulate(current *rule.Current) sim.Group {
	return sim.Group{
		Name: topology.GroupEntities, Inputs: []string{topology.Observations},
		Upstream: []string{topology.GroupOrders}, MarkTopics: []string{topology.Findings},
		New: func() sim.Processor { return &simulated{current: current, rules: current.Load()} },
	}
}

type simulated struct {
	current *rule.Current
	rules   *rule.Set
	in      Input
	out     Output
	began   map[int32]*began
}

func (s *simulated) Begin() { s.rules = s.current.Load() }

func (s *simulated) Process(p *sim.Partition, r *sim.Record) error {
	kind := kindOf(r.Key)
	since, err := s.since(p, kind)
	if err != nil {
		return err
	}
	if isWarm(r.Key) {
		row, err := s.began[p.Number()].warm(s.rules, p.Get(seriesKey), r.Key, r.Value)
		if row != nil {
			p.Set(seriesKey, row)
		}
		return err
	}
	s.in = Input{Key: r.Key, Record: r.Value, Watermark: p.Watermark(), Since: since}
	if err := s.step(p, p.Get(r.Key)); err != nil {
		return fmt.Errorf("entity %s: %w", r.Key, err)
	}
	for _, f := range s.out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			return err
		}
		p.Emit(topology.Findings, f.Entity, value, nil)
	}
	return nil
}

func (s *simulated) since(p *sim.Partition, kind string) ([]int64, error) {
	if s.began == nil {
		s.began = map[int32]*began{}
	}
	b := s.began[p.Number()]
	if b == nil {
		b = new(began)
		s.began[p.Number()] = b
	}
	row, err := b.update(s.rules, p.Get(seriesKey), int64(p.Watermark()))
	if err != nil {
		return nil, err
	}
	if row != nil {
		p.Set(seriesKey, row)
	}
	return b.since[kind], nil
}

func (s *simulated) step(p *sim.Partition, row []byte) error {
	if err := Step(s.rules, s.rules.Plan(kindOf(s.in.Key)), row, &s.in, &s.out); err != nil {
		return err
	}
	s.out.Counts.each(p.Count)
	switch {
	case s.out.Delete:
		p.Delete(s.in.Key)
	case !s.out.Unchanged:
		p.Set(s.in.Key, s.out.Row)
	}
	return nil
}

func (s *simulated) Timer(p *sim.Partition, key string, row []byte) error {
	s.in = Input{Key: key, Watermark: p.Watermark(), Timer: true}
	return s.step(p, row)
}

func (s *simulated) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (s *simulated) Rollback()                                                {}

func (s *simulated) Deadline(key string, row []byte) (event.UnixMilli, bool) {
	if key == seriesKey {
		return 0, false
	}
	at := due(row)
	return at, at > 0
}
