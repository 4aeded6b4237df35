package rule

import "slices"

// clause is one alternative of a rule: all its conditions hold. Each condition is over the event alone or over one kind of entity.
type clause []*expr

const maxClauses = 8

// nnf moves not down to where it is no longer one: Kleene's logic keeps De Morgan's laws.
func nnf(e *expr, negate bool) *expr {
	switch e.op {
	case opNot:
		return nnf(e.kids[0], !negate)
	case opAnd, opOr:
		c := *e
		c.kids = []*expr{nnf(e.kids[0], negate), nnf(e.kids[1], negate)}
		if negate {
			c.op = opAnd + opOr - e.op
			c.text = "not (" + e.text + ")"
		}
		return &c
	}
	if !negate {
		return e
	}
	if opposite := opposites[e.sign]; opposite != "" && (e.op == opCompare || e.op == opIn) {
		c := *e
		c.sign = opposite
		c.text = e.kids[0].text + " " + opposite + " " + e.kids[1].text
		return &c
	}
	return &expr{op: opNot, typ: Bool, kind: e.kind, kids: []*expr{e}, text: "not " + e.text, at: e.at}
}

var opposites = map[string]string{"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": signNotIn, signNotIn: "in"}

// clauses splits a condition in negation normal form into alternatives.
func clauses(e *expr) ([]clause, error) {
	switch {
	case e.op == opAnd:
		l, err := clauses(e.kids[0])
		if err != nil {
			return nil, err
		}
		r, err := clauses(e.kids[1])
		if err != nil {
			return nil, err
		}
		if len(l)*len(r) > maxClauses {
			return nil, fault(e.at, "the alternatives over several kinds of entities are %d, the most is %d: make several rules of it", len(l)*len(r), maxClauses)
		}
		var out []clause
		for _, a := range l {
			for _, b := range r {
				out = append(out, slices.Concat(a, b))
			}
		}
		return out, nil
	case e.op == opOr && e.kind == manyKinds || e.op == opOr && mixed(e):
		l, err := clauses(e.kids[0])
		if err != nil {
			return nil, err
		}
		r, err := clauses(e.kids[1])
		if err != nil {
			return nil, err
		}
		if len(l)+len(r) > maxClauses {
			return nil, fault(e.at, "there are %d alternatives over several kinds of entities, the most is %d: make several rules of it", len(l)+len(r), maxClauses)
		}
		return append(l, r...), nil
	}
	return []clause{{e}}, nil
}

// mixed reports whether one side of an or is the event's alone and the other an entity's: as alternatives, the event's side needs no
// entity at all.
func mixed(e *expr) bool { return (e.kids[0].kind == "") != (e.kids[1].kind == "") }

// kindsOf are the kinds of entities that a clause asks, in the order in which it does.
func (c clause) kinds() (kinds []string) {
	for _, e := range c {
		if e.kind != "" && !slices.Contains(kinds, e.kind) {
			kinds = append(kinds, e.kind)
		}
	}
	return kinds
}

func (c clause) of(kind string) (units []*expr) {
	for _, e := range c {
		if e.kind == kind {
			units = append(units, e)
		}
	}
	return units
}
