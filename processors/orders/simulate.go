package orders

import (
	"errors"
	"fmt"

	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// Simulate returns group orders for the simulator: the same Step, parsers and accumulator as on Kafka.
func Simulate(settings Settings, set *metric.Set, parsers map[string]*event.Parser) sim.Group {
	g := sim.Group{Name: topology.GroupOrders, MarkTopics: []string{topology.Deltas}}
	for _, topic := range []string{topology.Orders, topology.Payments, topology.Shipments} {
		if parsers[topic] != nil {
			g.Inputs = append(g.Inputs, topic)
		}
	}
	g.Sources = g.Inputs
	g.New = func() sim.Processor {
		return &simulated{settings: settings, parsers: parsers, acc: set.NewAccumulator()}
	}
	return g
}

type simulated struct {
	settings Settings
	parsers  map[string]*event.Parser
	acc      *metric.Accumulator
	event    event.Event
	out      Output
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
	Step(&s.settings, row, &Input{Event: ev, Watermark: p.Watermark(),
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
	for _, f := range s.out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			return err
		}
		p.Emit(topology.Findings, f.Rule+"|"+f.Entity, value, nil)
	}
	value, err := row.MarshalVT()
	p.Set(r.Key, value)
	return err
}

func (s *simulated) refuse(p *sim.Partition, r *sim.Record, cause error) {
	p.Count(CounterDeadLetters, 1)
	p.Emit(topology.DeadLetters, r.Key, r.Value, event.DeadLetterHeaders(cause, r.Topic, r.Partition, r.Offset))
}

func (s *simulated) BeforeCommit(emit func(topic, key string, value []byte)) error {
	return s.acc.Drain(func(key string, cell *table.Cell) error {
		value, err := cell.MarshalVT()
		emit(topology.Deltas, key, value)
		return err
	})
}

func (s *simulated) Rollback() { s.acc.Reset() }

func (s *simulated) Deadline(_ string, row []byte) (event.UnixMilli, bool) {
	var o table.Order
	if o.UnmarshalVT(row) != nil {
		return 0, false
	}
	at := Deadline(&s.settings, &o)
	return at, at > 0
}

func (s *simulated) Timer(p *sim.Partition, key string, row []byte) error {
	var o table.Order
	if err := o.UnmarshalVT(row); err != nil {
		return err
	}
	if n := Uncounted(&o); n > 0 {
		p.Count(CounterWaiting, -n)
		p.Count(CounterOrphaned, n)
	}
	p.Delete(key)
	return nil
}
