package rule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
)

// clausePlan is one alternative of a rule as group orders runs it: what the event decides, and the parts that entities decide.
type clausePlan struct {
	rule   *Rule
	number int
	types  []string
	gate   condFn // nil: nothing is asked of the event
	atoms  []atom // for a clause without parts
	parts  []*Part
	open   bool // its one part is in Plan.Open
}

// typePlan is what group orders does with events of one type.
type typePlan struct {
	clauses []*clausePlan
	kinds   []*kindPlan
}

// kindPlan is what one kind of entity takes from an event.
type kindPlan struct {
	kind   string
	key    func(*Facts) string // nil: several, see multiKeys
	series []seriesPlan
	open   bool // parts of Plan.Open ask about each event, whether or not it has values
}

type seriesPlan struct {
	id    uint32
	where condFn // nil: always
	num   numFn  // nil: a text, or a count
	text  textFn
}

const maxReadingsPerRule = 24

// plan compiles a rule's alternatives and enters what they read.
func (c *compiler) plan(r *Rule, types []string, alternatives []clause, bands []*bandExpr, fail func(string, error)) {
	plain := &maker{}
	r.about = c.keyOf(r.Entity)
	for _, b := range bands {
		if b.e.kind == "" {
			r.bands = append(r.bands, band{b.score, b.reason, plain.cond(b.e)})
		}
	}
	readings := 0
	for n, units := range alternatives {
		cl := &clausePlan{rule: r, number: n, types: types, gate: gateOf(plain, units.of(""))}
		kinds := units.kinds()
		if len(kinds) == 0 {
			for _, e := range units {
				cl.atoms = append(cl.atoms, explainer{plain}.atoms(e)...)
			}
		}
		for i, kind := range kinds {
			p := c.part(r, cl, i, len(kinds), kind, units, bands)
			if readings += len(p.Readings); readings > maxReadingsPerRule || len(p.operands) > table.MaxOperands {
				fail(r.Kind, fmt.Errorf("the rule reads more than %d features or carries more than %d values: make several rules of it", maxReadingsPerRule, table.MaxOperands))
				return
			}
			if c.set.parts[p.ID] != nil {
				fail("id", errors.New("its hash is that of another rule: change its text a little"))
				return
			}
			c.set.parts[p.ID] = p
			cl.parts = append(cl.parts, p)
		}
		cl.open = cl.gate == nil && len(cl.parts) == 1 && cl.parts[0].isOpen(r)
		r.Parts = append(r.Parts, cl.parts...)
		if r.State.Evaluated() {
			c.clauses = append(c.clauses, cl)
		}
	}
}

// isOpen reports whether nothing of the event is asked or carried but its type, entity and order.
func (p *Part) isOpen(r *Rule) bool {
	return len(p.operands) == 0 && len(r.bands) == 0 && (r.Entity == p.Kind || r.Entity == "order")
}

// gateOf is what the event alone decides; nil for nothing.
func gateOf(m *maker, units []*expr) condFn {
	var all []condFn
	for _, e := range units {
		all = append(all, m.cond(e))
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return func(f *frame) Tri {
		t := True
		for _, c := range all {
			if t = min(t, c(f)); t == False {
				return False
			}
		}
		return t
	}
}

// part compiles what one clause asks of one kind of entity. The first part of a clause also carries what the event was asked, so
// that the explanation is whole.
func (c *compiler) part(r *Rule, cl *clausePlan, index, of int, kind string, units clause, bands []*bandExpr) *Part {
	p := &Part{Rule: r, Clause: cl.number, Index: index, Of: of, Kind: kind, clause: cl,
		ID: uint32(xxhash.Sum64String(fmt.Sprint(r.ID, " ", r.Hash, " ", cl.number, " ", kind)))}
	plain := &maker{}
	carried := map[*expr]int{}
	m := &maker{
		hoist: func(e *expr) int {
			if i, ok := carried[e]; ok {
				return i
			}
			carried[e] = len(p.operands)
			p.operands = append(p.operands, plain.operand(e))
			return carried[e]
		},
		local: func(rd *reading) int {
			i := c.enter(rd)
			if at := slices.Index(p.Readings, i); at >= 0 {
				return at
			}
			p.Readings = append(p.Readings, i)
			p.texts = append(p.texts, rd.Text)
			return len(p.Readings) - 1
		},
	}
	p.cond = gateOf(m, units.of(kind))
	x := explainer{m}
	for _, e := range units.of(kind) {
		p.atoms = append(p.atoms, x.atoms(e)...)
	}
	if index == 0 {
		for _, e := range units.of("") {
			p.atoms = append(p.atoms, x.atoms(e)...)
		}
	}
	for _, b := range bands {
		if b.e.kind == kind {
			p.bands = append(p.bands, band{b.score, b.reason, m.cond(b.e)})
		}
	}
	return p
}

// enter gives a reading its place in the plan of its kind.
func (c *compiler) enter(r *reading) int {
	c.keep(r)
	if c.reads == nil {
		c.reads = map[string][]reading{}
	}
	all := c.reads[r.kind]
	if i := slices.IndexFunc(all, func(o reading) bool { return o.Text == r.Text && o.series == r.series }); i >= 0 {
		return i
	}
	c.reads[r.kind] = append(all, *r)
	return len(all)
}

// keyOf gives the id of an entity of a kind; "" = the event has none.
func (b *builder) keyOf(kind string) func(*Facts) string {
	if isMulti(kind) {
		return nil
	}
	if e := b.kinds[kind]; e != nil {
		text := (&maker{}).text(e)
		return func(f *Facts) string {
			s, _ := text(&frame{facts: f})
			return s
		}
	}
	return fields[kind].text
}

// finish lays out plans: series sorted by id, readings that name them, and what each type of event does.
func (c *compiler) finish() {
	s := c.set
	slices.SortFunc(s.rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.orders, func(a, b *orderRule) int { return cmp.Compare(a.rule.ID, b.rule.ID) })
	s.named = map[string][]string{}
	for _, name := range sortedKeys(c.features) {
		readings := c.features[name].readings
		for i := range readings {
			c.enter(&readings[i]) // named features are kept and can be looked at, whoever uses them
			of := readings[i].kind + " " + readings[i].Text
			s.named[of] = append(s.named[of], name)
		}
	}
	byKind := map[string][]*seriesSpec{}
	for _, spec := range c.series {
		if spec.kept {
			byKind[spec.kind] = append(byKind[spec.kind], spec)
		}
	}
	for kind, specs := range byKind {
		slices.SortFunc(specs, func(a, b *seriesSpec) int { return cmp.Compare(a.ID, b.ID) })
		p := &Plan{Kind: kind, Horizon: -1}
		for _, spec := range specs {
			p.Series = append(p.Series, spec.Series)
			if spec.Horizon == 0 || p.Horizon == 0 {
				p.Horizon = 0
			} else {
				p.Horizon = max(p.Horizon, spec.Horizon)
			}
		}
		for _, r := range c.reads[kind] {
			r.Reading.Series = slices.Index(specs, r.series)
			p.Readings = append(p.Readings, r.Reading)
		}
		s.plans[kind] = p
	}
	for _, cl := range c.clauses {
		if cl.open {
			s.plans[cl.parts[0].Kind].ask(cl.types, cl.parts[0])
		}
	}
	for t := range len(s.types) {
		s.types[t] = c.typePlan(event.Type(t).String(), byKind)
	}
}

// ask enters an open part.
func (p *Plan) ask(types []string, part *Part) {
	for _, name := range types {
		t, _ := event.ParseType(name)
		if n := int(t) + 1; n > len(p.Open) {
			p.Open = append(p.Open, make([][]*Part, n-len(p.Open))...)
		}
		p.Open[t] = append(p.Open[t], part)
	}
}

// typePlan gathers what concerns events of one type; nil if nothing does.
func (c *compiler) typePlan(name string, byKind map[string][]*seriesSpec) *typePlan {
	if name == "" {
		return nil
	}
	tp := &typePlan{}
	asked, open := map[string]bool{}, map[string]bool{}
	for _, cl := range c.clauses {
		if slices.Contains(cl.types, name) {
			tp.clauses = append(tp.clauses, cl)
			for _, p := range cl.parts {
				asked[p.Kind] = true
				open[p.Kind] = open[p.Kind] || cl.open
			}
		}
	}
	plain := &maker{}
	for _, kind := range c.kindNames() {
		kp := &kindPlan{kind: kind, key: c.keyOf(kind), open: open[kind]}
		for _, spec := range byKind[kind] {
			if !slices.Contains(spec.types, name) {
				continue
			}
			sp := seriesPlan{id: spec.ID}
			if spec.where != nil {
				sp.where = plain.cond(spec.where)
			}
			switch {
			case spec.value == nil:
			case spec.value.typ == Text:
				sp.text = plain.text(spec.value)
			default:
				sp.num = plain.num(spec.value)
			}
			kp.series = append(kp.series, sp)
		}
		if len(kp.series) > 0 || asked[kind] {
			tp.kinds = append(tp.kinds, kp)
		}
	}
	if len(tp.clauses) == 0 && len(tp.kinds) == 0 {
		return nil
	}
	return tp
}
