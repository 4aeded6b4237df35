package alerts

import (
	"fmt"
	"time"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/table"
)

// Simulate returns group alerts for the simulator: the same Step as on Kafka. upstream names the groups whose marks make its event
// time; a retention of 0 is DefaultRetention.
func Simulate(rules *rule.Current, partitions int32, retention time.Duration, upstream ...string) sim.Group {
	return simulate(func() (func(string) *rule.Rule, time.Duration) {
		set := rules.Load()
		return set.Rule, set.Grace
	}, partitions, retention, upstream...)
}

func simulate(rules func() (func(string) *rule.Rule, time.Duration), partitions int32, retention time.Duration, upstream ...string) sim.Group {
	if retention <= 0 {
		retention = DefaultRetention
	}
	return sim.Group{Name: topology.GroupAlerts, Inputs: []string{topology.Findings, topology.Commands}, Upstream: upstream,
		New: func() sim.Processor { return &simulated{load: rules, partitions: partitions, retention: retention} }}
}

type simulated struct {
	load       func() (func(string) *rule.Rule, time.Duration)
	partitions int32
	retention  time.Duration
	rule       func(string) *rule.Rule // and grace: of the open transaction
	grace      time.Duration
}

func (s *simulated) Begin() { s.rule, s.grace = s.load() }

func (s *simulated) Process(p *sim.Partition, r *sim.Record) error {
	var in Input
	var err error
	if r.Topic == topology.Commands {
		in.Decision, err = parseDecision(r.Key, r.Value)
	} else {
		in.Finding, err = parseFinding(r.Key, r.Value)
	}
	if err != nil {
		p.Count(CounterDeadLetters, 1)
		p.Emit(topology.DeadLetters, r.Key, r.Value, event.DeadLetterHeaders(err, r.Topic, r.Partition, r.Offset))
		return nil
	}
	return s.fold(p, r.Key, p.Get(r.Key), &in)
}

// Timer ends episodes, drops what is settled, and deletes a row that is past its retention.
func (s *simulated) Timer(p *sim.Partition, key string, row []byte) error {
	return s.fold(p, key, row, &Input{})
}

func (s *simulated) fold(p *sim.Partition, key string, stored []byte, in *Input) error {
	var row table.Case
	if err := row.UnmarshalVT(stored); err != nil {
		return fmt.Errorf("row of entity: %w", err)
	}
	if s.rule == nil {
		s.Begin() // a timer can come before the first record
	}
	in.Entity, in.Watermark, in.Partitions, in.Retention, in.Get = key, p.Watermark(), s.partitions, s.retention, p.Get
	in.Rule, in.Grace = s.rule, s.grace
	var out Output
	Step(&row, in, &out)
	for _, c := range out.Counts {
		p.Count(c.Name, c.N)
	}
	for _, r := range out.Rows {
		p.Set(r.Key, r.Value)
	}
	for i := range out.Tell {
		value, err := cloudEvent(topology.Names{}, &row, &out.Tell[i])
		if err != nil {
			return err
		}
		p.Emit(topology.Alerts, key, value, nil)
	}
	switch {
	case out.Delete:
		p.Delete(key)
	case !out.Unchanged:
		value, err := row.MarshalVT()
		p.Set(key, value)
		return err
	}
	return nil
}

func (s *simulated) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (s *simulated) Rollback()                                                {}

func (s *simulated) Deadline(_ string, row []byte) (event.UnixMilli, bool) { return dueAt(row) }
