package orders

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// Simulate returns group orders for the simulator: the same Step, parsers and accumulator as on Kafka. parsers names the
// inputs; rules may be nil.
func Simulate(settings Settings, set *metric.Set, rules *rule.Current, parsers map[string]*event.Parser) sim.Group {
	g := sim.Group{Name: topology.GroupOrders, MarkTopics: []string{topology.Deltas, topology.Observations, topology.Findings}}
	g.Inputs = slices.Sorted(maps.Keys(parsers))
	g.Sources = g.Inputs
	g.New = func() sim.Processor {
		s := &simulated{settings: settings, current: rules, parsers: parsers, acc: set.NewAccumulator()}
		s.Begin() // timers may come before the first transaction does
		return s
	}
	return g
}

type simulated struct {
	settings Settings
	current  *rule.Current
	rules    *rule.Set // of the open transaction
	parsers  map[string]*event.Parser
	acc      *metric.Accumulator
	observed outbox
	event    event.Event
	out      Output
}

// Begin takes the rules of a transaction.
func (s *simulated) Begin() {
	if s.current != nil {
		s.rules = s.current.Load()
	}
}

func (s *simulated) Process(p *sim.Partition, r *sim.Record) error {
	ev := &s.event
	err := s.parsers[r.Topic].ParseInto(ev, r.Value, event.UnixMilli(p.Now().UnixMilli()))
	if err == nil {
		err = ev.CheckKey(r.Key)
	}
	if errors.Is(err, event.ErrIgnored) {
		p.Count(CounterIgnored, 1)
		return nil
	}
	if err != nil {
		s.refuse(p, r, err)
		return nil
	}
	p.Observe(r.Topic, ev.At)
	p.Count(CounterEvents, 1)
	row := table.OrderFromVTPool()
	defer row.ReturnToVTPool()
	if stored := p.Get(r.Key); stored != nil {
		if err := row.UnmarshalVT(stored); err != nil {
			return fmt.Errorf("order row: %w", err)
		}
	}
	s.out.Reset()
	Step(&s.settings, row, &Input{Event: ev, Watermark: p.Watermark(), Rules: s.rules,
		Record: Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, ArrivedAt: r.Timestamp}}, &s.out)
	if n := s.out.Waiting; n != 0 {
		p.Count(CounterWaiting, int64(n))
	}
	switch s.out.Outcome {
	case Duplicate:
		p.Count(CounterDuplicates, 1)
	case Expired, Refused:
		p.Count(map[Outcome]string{Expired: CounterExpired, Refused: CounterRefused}[s.out.Outcome], 1)
		s.refuse(p, r, &event.Malformed{Reason: event.Reason(s.out.Outcome.String()), Detail: s.out.Detail})
		return nil
	}
	for i := range s.out.Contributions {
		s.acc.Add(&s.out.Contributions[i].Facts, s.out.Contributions[i].Sign)
	}
	for i := range s.out.Observed {
		for _, o := range s.out.Observed[i].Observations {
			s.observed.add(o.Key, o.Body)
		}
	}
	if err := s.tell(p, &s.out); err != nil {
		return err
	}
	value, err := row.MarshalVT()
	p.Set(r.Key, value)
	return err
}

func (s *simulated) tell(p *sim.Partition, out *Output) error {
	for _, f := range out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			return err
		}
		p.Emit(topology.Findings, f.Entity, value, nil)
	}
	return nil
}

func (s *simulated) refuse(p *sim.Partition, r *sim.Record, cause error) {
	p.Count(CounterDeadLetters, 1)
	p.Emit(topology.DeadLetters, r.Key, r.Value, event.DeadLetterHeaders(cause, r.Topic, r.Partition, r.Offset))
}

func (s *simulated) BeforeCommit(emit func(topic, key string, value []byte)) error {
	s.observed.drain(func(key string, value []byte) { emit(topology.Observations, key, value) })
	return s.acc.Drain(func(key string, cell *table.Cell) error {
		value, err := cell.MarshalVT()
		emit(topology.Deltas, key, value)
		return err
	})
}

func (s *simulated) Rollback() {
	s.acc.Reset()
	s.observed.reset()
}

func (s *simulated) Deadline(_ string, row []byte) (event.UnixMilli, bool) {
	lastAtMs, nextDueMs := times(row)
	at := deadline(&s.settings, lastAtMs, nextDueMs)
	return at, at > 0
}

func (s *simulated) Timer(p *sim.Partition, key string, row []byte) error {
	var o table.Order
	if err := o.UnmarshalVT(row); err != nil {
		return err
	}
	var out Output
	expired := Timer(&s.settings, &o, key, &Input{Watermark: p.Watermark(), Rules: s.rules, Record: Record{Partition: p.Number()}}, &out)
	if err := s.tell(p, &out); err != nil {
		return err
	}
	if !expired {
		value, err := o.MarshalVT()
		p.Set(key, value)
		return err
	}
	if n := Uncounted(&o); n > 0 {
		p.Count(CounterWaiting, -n)
		p.Count(CounterOrphaned, n)
	}
	p.Delete(key)
	return nil
}
