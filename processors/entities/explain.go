package entities

import (
	"fmt"
	"time"

	"weir/processors/rule"
	"weir/topology/table"
)

// MaxCited is how many contributing events an explanation names at most.
const MaxCited = 64

// question is a part that is asked about an observation: by a gate, or because it is open.
type question struct {
	part  *rule.Part
	about int    // table.AboutSelf …
	text  []byte // of AboutText
	score uint8  // that the event alone decided
}

// identity is a finding with nothing but what tells it from others.
func (q *question) identity(m *moment, orderID []byte, key string) *table.Finding {
	p := q.part
	f := &table.Finding{
		Rule: p.Rule.ID, RuleHash: p.Rule.Hash, Entity: key, Hit: m.hash,
		Clause: uint32(p.Clause), Part: uint32(p.Index), Parts: uint32(p.Of),
	}
	switch q.about {
	case table.AboutOrder:
		f.Entity = table.OrderEntity(string(orderID))
	case table.AboutText:
		f.Entity = string(q.text)
	}
	return f
}

// finding says that the part holds, with everything behind it.
func (s *scratch) finding(j judge, q *question, m *moment, b []byte, key string) (*table.Finding, error) {
	from, err := originOf(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	p, f := q.part, q.identity(m, from.orderID, key)
	f.Event = from.place(b)
	f.AtMs, f.OrderId, f.Version = m.at, f.Event.OrderId, p.Rule.Version
	f.RiskMinor, f.Currency = from.risk, s.currency
	f.Score, f.Reason = j.score(p, &s.evidence, q.score)
	var feature []int
	f.Predicates, feature = j.explain(p, &s.evidence)
	for i, x := range f.Predicates {
		if i >= len(feature) || feature[i] < 0 || feature[i] >= len(p.Readings) {
			continue
		}
		r := &s.shape.plan.Readings[p.Readings[feature[i]]]
		x.Feature, x.Entity, x.ToMs = r.Text, key, m.at
		if r.Window > 0 {
			x.FromMs = m.at - int64(r.Window/time.Millisecond)
		}
		if x.Events, x.EventsTotal, err = s.index.cite(r, m, s.src[ofRow]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// cite names the events that a reading was made of, oldest first, and tells how many there were. Of too many it takes the newest, and
// those among the older ones without which the value would be another.
func (x *index) cite(r *rule.Reading, m *moment, row []byte) (places []*table.Place, total int64, err error) {
	_, total, _ = x.read(r, m)
	p, known, lost := x.span(r, m)
	if !known || lost {
		return nil, 0, nil
	}
	var chosen []entry
	for i := range p.entries {
		if e := &p.entries[i]; p.takes(e) {
			chosen = append(chosen, *e)
		}
	}
	switch {
	case len(chosen) == 0:
	case r.Agg == rule.Last || r.Agg == rule.SinceLast:
		chosen, total = chosen[len(chosen)-1:], 1
	case r.Agg == rule.SinceFirst:
		if total == int64(len(chosen)) {
			chosen, total = chosen[:1], 1
		} else { // it is in a bucket
			chosen, total = nil, 1
		}
	case len(chosen) > MaxCited:
		chosen = telling(r, p.s, chosen)
	}
	for _, e := range chosen {
		at := &x.refs[e.obs]
		place, err := place(row[at.off : at.off+at.size])
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", errRow, err)
		}
		places = append(places, place)
	}
	return places, total, nil
}

// telling chooses MaxCited of the entries: for the least and the greatest that one, for different values the newest of each.
func telling(r *rule.Reading, s *series, list []entry) []entry {
	rank := func(i int) bool { return false }
	switch r.Agg {
	case rule.Min, rule.Max:
		best := len(list) - 1
		for i := best; i >= 0; i-- {
			if v, b := number(s, list[i].bits), number(s, list[best].bits); r.Agg == rule.Min && v < b || r.Agg == rule.Max && v > b {
				best = i
			}
		}
		rank = func(i int) bool { return i == best }
	case rule.Distinct:
		seen, newest := map[uint64]bool{}, map[int]bool{}
		for i := len(list) - 1; i >= 0; i-- {
			if bits := same(s, list[i].bits); !seen[bits] {
				seen[bits], newest[i] = true, true
			}
		}
		rank = func(i int) bool { return newest[i] }
	}
	taken, left := make([]bool, len(list)), MaxCited
	for _, must := range [2]bool{true, false} {
		for i := len(list) - 1; i >= 0 && left > 0; i-- {
			if rank(i) == must {
				taken[i] = true
				left--
			}
		}
	}
	chosen := list[:0:0]
	for i := range list {
		if taken[i] {
			chosen = append(chosen, list[i])
		}
	}
	return chosen
}
