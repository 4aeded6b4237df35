package rule

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
)

// observing is the state of Observe for one event.
type observing struct {
	f   *Facts
	fr  frame
	out *Observed
}

// gateFor is a gate on its way to the entities of a kind.
type gateFor struct {
	kind string
	gate table.Gate
}

func (s *Set) observe(f *Facts, out *Observed) {
	out.Observations, out.Findings, out.gates, out.operands = out.Observations[:0], out.Findings[:0], out.gates[:0], out.operands[:0]
	tp := s.types[f.Type]
	if tp == nil {
		return
	}
	o := &out.state
	o.f, o.out = f, out
	o.fr = frame{facts: f, currency: currencyOf(f)}
	if o.fr.currency != "" {
		o.fr.digits, _ = event.Exponent(o.fr.currency)
	}
	for _, cl := range tp.clauses {
		o.clause(cl)
	}
	for _, kp := range tp.kinds {
		if kp.key == nil {
			for _, id := range multiKeys(kp.kind, f.Order) {
				o.entity(kp, id)
			}
			continue
		}
		if id := kp.key(f); id != "" {
			o.entity(kp, id)
		}
	}
}

// clause asks the event. A defect in a rule's evaluation costs that rule this event, nothing else.
func (o *observing) clause(cl *clausePlan) {
	r := cl.rule
	r.stats.Asked.Add(1)
	gates := len(o.out.gates)
	defer func() {
		if p := recover(); p != nil {
			o.out.gates = o.out.gates[:gates]
			r.stats.Broken.Add(1)
		}
	}()
	if cl.gate != nil && cl.gate(&o.fr) != True {
		return
	}
	r.stats.Passed.Add(1)
	if len(cl.parts) == 0 {
		o.find(cl)
		return
	}
	if cl.open {
		return
	}
	score := o.eventScore(r)
	for _, p := range cl.parts {
		if !hasKey(p.Kind, o.f) {
			o.out.gates = o.out.gates[:gates] // one part cannot hold, so none needs to be asked
			return
		}
		g := table.Gate{Part: p.ID, Score: uint8(score)}
		if p.Kind != r.Entity {
			g.About = o.about(r)
		}
		first := len(o.out.operands)
		for _, operand := range p.operands {
			o.out.operands = append(o.out.operands, operand(&o.fr))
		}
		g.Operands = o.out.operands[first:]
		o.out.gates = append(o.out.gates, gateFor{p.Kind, g})
	}
}

// hasKey reports whether the event concerns an entity of the kind. Kinds of expressions are found out later.
func hasKey(kind string, f *Facts) bool {
	if isMulti(kind) {
		return len(f.Order.Items) > 0
	}
	if known, ok := fields[kind]; ok && known.text != nil {
		return known.text(f) != ""
	}
	return true
}

// eventScore is the score of the highest band that the event alone decides, 0 for none.
func (o *observing) eventScore(r *Rule) int64 {
	for i := range r.bands {
		if r.bands[i].cond(&o.fr) == True {
			return r.bands[i].score
		}
	}
	return 0
}

// about is the entity of the rule's alerts; the order where the event names none.
func (o *observing) about(r *Rule) string {
	if r.about != nil {
		if id := r.about(o.f); id != "" {
			return r.Entity + ":" + clip(id)
		}
	}
	return table.OrderEntity(o.f.OrderID)
}

// clip bounds an id.
func clip(id string) string {
	if len(id) > table.MaxText {
		return id[:table.MaxText-17] + "#" + table.UnpackText(table.PackText(id))[1:]
	}
	return id
}

// find makes the finding of a clause that the event alone decides.
func (o *observing) find(cl *clausePlan) {
	r, f := cl.rule, o.f
	score, reason := r.Score, r.Reason
	if s := o.eventScore(r); s > score {
		score, reason = s, r.bandReason(s)
	}
	predicates, _ := predicates(cl.atoms, &o.fr, nil)
	e := f.Entry
	risk, currency := o.risk()
	o.out.Findings = append(o.out.Findings, &table.Finding{Rule: r.ID, Entity: o.about(r), OrderId: f.OrderID, AtMs: int64(f.At), RuleHash: r.Hash,
		Version: r.Version, Hit: e.GetIdHash(), Clause: uint32(cl.number), Parts: 1, Score: score, Reason: reason, RiskMinor: risk, Currency: currency,
		Event:      &table.Place{Topic: e.GetTopic(), Partition: f.Partition, Offset: e.GetOffset(), Id: e.GetEventId(), AtMs: int64(f.At), Type: f.Type.String(), OrderId: f.OrderID},
		Predicates: predicates})
}

// risk is the order's total, where it is in the currency of the event.
func (o *observing) risk() (int64, string) {
	if o.f.Order.Currency == o.fr.currency {
		return o.f.Order.CreatedTotalMinor, o.fr.currency
	}
	return 0, o.fr.currency
}

// entity writes what one entity takes from the event, if it takes anything.
func (o *observing) entity(kp *kindPlan, id string) {
	b, f := &o.out.obs, o.f
	b.Values, b.Gates = b.Values[:0], b.Gates[:0]
	for i := range kp.series {
		s := &kp.series[i]
		if len(b.Values) == table.MaxValues {
			break
		}
		if s.where != nil && s.where(&o.fr) != True {
			continue
		}
		bits := math.Float64bits(1)
		switch {
		case s.text != nil:
			v, ok := s.text(&o.fr)
			if !ok {
				continue
			}
			bits = table.PackText(v)
		case s.num != nil:
			v, ok := s.num(&o.fr)
			if !ok {
				continue
			}
			bits = math.Float64bits(v)
		}
		b.Values = append(b.Values, table.SeriesValue{Series: s.id, Bits: bits})
	}
	for i := range o.out.gates {
		if g := &o.out.gates[i]; g.kind == kp.kind && len(b.Gates) < table.MaxGates {
			b.Gates = append(b.Gates, g.gate)
		}
	}
	if len(b.Values) == 0 && len(b.Gates) == 0 && !kp.open {
		return
	}
	e := f.Entry
	b.AtMs, b.IDHash, b.Type, b.Flags = int64(f.At), e.GetIdHash(), uint8(f.Type), 0
	if b.IDHash == 0 {
		b.IDHash = xxhash.Sum64String(e.GetEventId())
	}
	b.Partition, b.Offset = f.Partition, e.GetOffset()
	b.RiskMinor, b.Currency = o.risk()
	b.ID, b.OrderID, b.Topic = clip(e.GetEventId()), clip(f.OrderID), e.GetTopic()
	n := len(o.out.Observations)
	if n < cap(o.out.Observations) {
		o.out.Observations = o.out.Observations[:n+1]
	} else {
		o.out.Observations = append(o.out.Observations, EntityObservation{})
	}
	to := &o.out.Observations[n]
	to.Key, to.Body = kp.kind+":"+clip(id), b.Append(to.Body[:0])
}
