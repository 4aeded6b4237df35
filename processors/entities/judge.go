package entities

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"weir/processors/rule"
	"weir/topology/table"
)

// judge is what deciding a gate needs of a rule set.
type judge interface {
	part(id uint32) *rule.Part
	holds(p *rule.Part, operands []table.Operand, readings []rule.Value) rule.Tri
	score(p *rule.Part, gate *table.Gate, readings []rule.Value) (int64, string)
	explain(p *rule.Part, operands []table.Operand, readings []rule.Value, currency string) ([]*table.Predicate, []int)
}

// parts judges by a rule set.
type parts struct{ set *rule.Set }

func (j parts) part(id uint32) *rule.Part { return j.set.Part(id) }
func (j parts) holds(p *rule.Part, operands []table.Operand, readings []rule.Value) rule.Tri {
	return p.Holds(operands, readings)
}
func (j parts) score(p *rule.Part, gate *table.Gate, readings []rule.Value) (int64, string) {
	return p.Score(gate, readings)
}
func (j parts) explain(p *rule.Part, operands []table.Operand, readings []rule.Value, currency string) ([]*table.Predicate, []int) {
	return p.Explain(operands, readings, currency)
}

// touch is the time range of what came in for a series: of all, and of what came in time.
type touch struct{ min, max, onMin, onMax int64 }

// reading is a feature read at the observation that is judged now.
type reading struct {
	moment uint64
	lost   bool
	value  rule.Value
}

// touch notes what came in, if there are later observations whose features it may change.
func (s *scratch) touch() {
	from := 0
	for from < len(s.refs) && !s.refs[from].fresh {
		from++
	}
	if from == len(s.refs) {
		return // only what was read again from the log
	}
	s.first = s.refs[from]
	for i := from; i < len(s.refs); i++ {
		s.inner = s.inner || !s.refs[i].fresh
	}
	if !s.inner {
		return
	}
	h := &s.shape
	s.touched = slices.Grow(s.touched[:0], len(h.series))[:len(h.series)]
	for i := range s.touched {
		s.touched[i] = touch{math.MaxInt64, math.MinInt64, math.MaxInt64, math.MinInt64}
	}
	for i := from; i < len(s.refs); i++ {
		r := &s.refs[i]
		if !r.fresh {
			continue
		}
		b, hint := s.bytes(r), 0
		for k := range int(b[valuesAt]) {
			id, _ := value(b, k)
			at := h.find(id, hint)
			if at < 0 {
				continue
			}
			hint = at + 1
			t := &s.touched[at]
			t.min, t.max = min(t.min, r.at), max(t.max, r.at)
			if !r.late {
				t.onMin, t.onMax = min(t.onMin, r.at), max(t.onMax, r.at)
			}
		}
	}
}

// affected reports whether what came in may lie in a window of the part at r.
func (s *scratch) affected(p *rule.Part, r *ref) bool {
	for _, i := range p.Readings {
		x := &s.shape.plan.Readings[i]
		t := s.touched[x.Series]
		if p.Rule.Late == rule.CountOnly || x.Late == rule.Drop {
			t.min, t.max = t.onMin, t.onMax
		}
		if t.min <= r.at && (x.Window == 0 || t.max > r.at-int64(x.Window/time.Millisecond)) {
			return true
		}
	}
	return false
}

// judge decides the gates of what came in, and of later observations whose features it changes.
func (s *scratch) judge(j judge, in *Input, out *Output) error {
	settled, built := s.shape.settled(int64(in.Watermark)), false
	if s.first.size == 0 {
		return nil
	}
	at, _ := slices.BinarySearchFunc(s.refs, s.first, compareRefs)
	for k := at; k < len(s.refs); k++ {
		r := &s.refs[k]
		b := out.Row[r.off : r.off+r.size]
		switch {
		case b[gatesAt] == 0 || b[flagsAt]&table.FlagBackfill != 0 || !r.fresh && !s.inner:
			continue
		case r.at <= settled:
			if r.fresh {
				out.Counts.Unjudged++
			}
			continue
		}
		if !built {
			s.index.build(s, out.Row, r.at, in.Since)
			built = true
		}
		if err := s.judgeAt(j, k, b, in, out); err != nil {
			return err
		}
	}
	return nil
}

// judgeAt decides the gates of the k-th observation, whose bytes in the new row are b.
func (s *scratch) judgeAt(j judge, k int, b []byte, in *Input, out *Output) error {
	r := &s.refs[k]
	m := moment{at: r.at, hash: r.hash, obs: int32(k), currency: currencyOf(b)}
	s.moment++
	g := gatesOf(b)
	for g.next() {
		raised := &b[g.raised]
		p := j.part(g.part)
		if p == nil {
			*raised = 0 // the rule is gone, and what it found is told by who knows that
			continue
		}
		switch late := p.Rule.Late; {
		case !p.Rule.State.Evaluated(),
			late == rule.CountOnly && in.Watermark > 0 && r.at <= int64(in.Watermark),
			late == rule.Drop && b[flagsAt]&flagLate != 0,
			!r.fresh && !s.affected(p, r):
			continue
		}
		if !s.readings(p, &m) {
			out.Counts.Unjudged++
			continue
		}
		s.operands = g.appendOperands(s.operands[:0])
		switch holds := j.holds(p, s.operands, s.values) == rule.True; {
		case holds:
			f, err := s.finding(j, p, &g, &m, b, in.Key)
			if err != nil {
				return err
			}
			*raised = 1
			out.Findings = append(out.Findings, f)
			out.Counts.Findings++
		case *raised != 0:
			*raised = 0
			f := identity(p, &g, &m, in.Key)
			f.Withdrawn = true
			out.Findings = append(out.Findings, f)
			out.Counts.Withdrawn++
		}
	}
	if g.err != nil {
		return fmt.Errorf("%w: %w", errRow, g.err)
	}
	return nil
}

// readings fills s.values for the part. False: one cannot be told any more, and the gate stays as it is.
func (s *scratch) readings(p *rule.Part, m *moment) bool {
	all := s.shape.plan.Readings
	if len(s.memo) < len(all) {
		s.memo = slices.Grow(s.memo, len(all)-len(s.memo))[:len(all)]
	}
	s.values = s.values[:0]
	for _, i := range p.Readings {
		x := &s.memo[i]
		if x.moment != s.moment {
			x.moment = s.moment
			x.value, _, x.lost = s.index.read(&all[i], m)
		}
		if x.lost {
			return false
		}
		s.values = append(s.values, x.value)
	}
	return true
}

// identity is a finding with nothing but what tells it from others.
func identity(p *rule.Part, g *gates, m *moment, key string) *table.Finding {
	f := &table.Finding{
		Rule: p.Rule.ID, RuleHash: p.Rule.Hash, Entity: key, Hit: m.hash,
		Clause: uint32(p.Clause), Part: uint32(p.Index), Parts: uint32(p.Of),
	}
	if len(g.about) > 0 {
		f.Entity = string(g.about)
	}
	return f
}

// finding says that the part holds, with everything behind it.
func (s *scratch) finding(j judge, p *rule.Part, g *gates, m *moment, b []byte, key string) (f *table.Finding, err error) {
	f = identity(p, g, m, key)
	if f.Event, err = place(b); err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	f.AtMs, f.OrderId, f.Version = m.at, f.Event.OrderId, p.Rule.Version
	f.RiskMinor, f.Currency = riskOf(b), currencyName(m.currency)
	s.gate = table.Gate{Part: g.part, Score: b[g.raised-1], Raised: b[g.raised], About: string(g.about), Operands: s.operands}
	f.Score, f.Reason = j.score(p, &s.gate, s.values)
	var feature []int
	f.Predicates, feature = j.explain(p, s.operands, s.values, f.Currency)
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

func riskOf(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b[riskAt:])) }
