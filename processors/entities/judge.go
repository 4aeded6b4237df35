package entities

import (
	"fmt"
	"math"
	"slices"
	"time"

	"weir/processors/rule"
	"weir/topology/table"
)

// judge is what deciding a part needs of a rule set.
type judge interface {
	part(id uint32) *rule.Part
	holds(p *rule.Part, e *rule.Evidence) rule.Tri
	score(p *rule.Part, e *rule.Evidence, gate uint8) (int64, string)
	explain(p *rule.Part, e *rule.Evidence) ([]*table.Predicate, []int)
}

// parts judges by a rule set.
type parts struct{ set *rule.Set }

func (j parts) part(id uint32) *rule.Part                     { return j.set.Part(id) }
func (j parts) holds(p *rule.Part, e *rule.Evidence) rule.Tri { return p.Holds(e) }
func (j parts) score(p *rule.Part, e *rule.Evidence, gate uint8) (int64, string) {
	return p.Score(e, gate)
}
func (j parts) explain(p *rule.Part, e *rule.Evidence) ([]*table.Predicate, []int) {
	return p.Explain(e)
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

// judge decides what parts ask of what came in, and of later observations whose features it changes.
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
		case b[gatesAt] == 0 && len(s.shape.plan.OpenOf(b[typeAt])) == 0 || b[flagsAt]&table.FlagBackfill != 0 || !r.fresh && !s.inner:
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

// judgeAt decides the gates and the open parts of the k-th observation, whose bytes in the new row are b.
func (s *scratch) judgeAt(j judge, k int, b []byte, in *Input, out *Output) error {
	r := &s.refs[k]
	m := moment{at: r.at, hash: r.hash, obs: int32(k), currency: currencyOf(b)}
	if m.currency != s.code {
		s.code, s.currency = m.currency, currencyName(m.currency)
	}
	s.moment++
	g := gatesOf(b)
	for g.next() {
		raised := &b[g.raised]
		q := question{part: j.part(g.part), about: g.about, text: g.text, score: b[g.raised-1]}
		if q.part == nil {
			*raised = 0 // the rule is gone, and what it found is told by who knows that
			continue
		}
		s.operands = g.appendOperands(s.operands[:0])
		switch holds, err := s.ask(j, &q, &m, r, b, in, out); {
		case err != nil:
			return err
		case holds == rule.True:
			*raised = 1
		case holds == rule.False && *raised != 0:
			*raised = 0
			if err := withdraw(&q, &m, b, in.Key, out); err != nil {
				return err
			}
		}
	}
	if g.err != nil {
		return fmt.Errorf("%w: %w", errRow, g.err)
	}
	s.operands = s.operands[:0]
	for _, p := range s.shape.plan.OpenOf(b[typeAt]) {
		if b[gatesAt] > 0 && hasGate(b, p.ID) {
			continue
		}
		q := question{part: p}
		if p.Rule.Entity != p.Kind {
			q.about = table.AboutOrder
		}
		switch holds, err := s.ask(j, &q, &m, r, b, in, out); {
		case err != nil:
			return err
		case holds == rule.True:
			s.raised = append(s.raised, raised{k, p.ID, q.about})
		}
	}
	return nil
}

// ask decides a part and tells the finding if it holds. False means that it does not; unknown, that what was told stays as it is.
func (s *scratch) ask(j judge, q *question, m *moment, r *ref, b []byte, in *Input, out *Output) (rule.Tri, error) {
	p := q.part
	switch late := p.Rule.Late; {
	case !p.Rule.State.Evaluated(),
		late == rule.CountOnly && in.Watermark > 0 && r.at <= int64(in.Watermark),
		late == rule.Drop && b[flagsAt]&flagLate != 0,
		!r.fresh && !s.affected(p, r):
		return rule.Unknown, nil
	}
	if !s.readings(p, m) {
		out.Counts.Unjudged++
		return rule.Unknown, nil
	}
	if j.holds(p, s.evidence.Of(s.operands, s.values, s.currency)) != rule.True {
		return rule.False, nil
	}
	f, err := s.finding(j, q, m, b, in.Key)
	if err != nil {
		return rule.Unknown, err
	}
	out.Findings = append(out.Findings, f)
	out.Counts.Findings++
	return rule.True, nil
}

// withdraw tells that what a part found holds no longer.
func withdraw(q *question, m *moment, b []byte, key string, out *Output) error {
	from, err := originOf(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errRow, err)
	}
	f := q.identity(m, from.orderID, key)
	f.Withdrawn = true
	out.Findings = append(out.Findings, f)
	out.Counts.Withdrawn++
	return nil
}

func hasGate(b []byte, part uint32) bool {
	for g := gatesOf(b); g.next(); {
		if g.part == part {
			return true
		}
	}
	return false
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
