package rule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/window"
)

// Load parses, checks and compiles a document. name begins the positions in errors, which are Problems.
func Load(name string, data []byte) (*Set, error) {
	d, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	return Compile(d)
}

// Defaults of definitions.
const (
	defaultGrace    = time.Hour
	defaultCooldown = 30 * time.Minute
	defaultLimit    = "1000/1h"
	defaultScore    = 50
)

// Compile checks a document and makes the Set that groups run. The error is Problems, all of them.
func Compile(d *Document) (*Set, error) {
	b := newBuilder(d.Defaults)
	s := &Set{Grace: defaultGrace, byID: map[string]*Rule{}, plans: map[string]*Plan{}, parts: map[uint32]*Part{}}
	b.document(d, s)
	for i := range d.Lists {
		b.addList(&d.Lists[i])
	}
	for i := range d.Features {
		b.addFeature(&d.Features[i])
	}
	c := &compiler{builder: b, set: s}
	for i := range d.Rules {
		c.rule(&d.Rules[i])
	}
	if len(b.problems) > 0 {
		slices.SortStableFunc(b.problems, func(x, y Problem) int { return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line)) })
		return nil, b.problems
	}
	c.finish()
	if problems := c.limits(d.Name); len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}

func (b *builder) document(d *Document, s *Set) {
	whole := func(format string, args ...any) {
		b.problems = append(b.problems, Problem{File: d.Name, Message: fmt.Sprintf(format, args...)})
	}
	if len(d.Rules) > maxRules || len(d.Features) > maxFeatures || len(d.Lists) > maxLists {
		whole("there are %d rules, %d features and %d lists; the most are %d, %d and %d", len(d.Rules), len(d.Features), len(d.Lists), maxRules, maxFeatures, maxLists)
	}
	if d.Defaults.Grace != "" {
		var err error
		if s.Grace, err = window.ParseSpan(d.Defaults.Grace); err != nil || s.Grace < time.Second || s.Grace > 30*24*time.Hour {
			whole("defaults: grace is %q: use a duration of 1s to 30d", d.Defaults.Grace)
		}
	}
	if d.Defaults.Cap < 0 || d.Defaults.Cap > maxCap {
		whole("defaults: cap is %d: use 1 to %d", d.Defaults.Cap, maxCap)
	}
}

// compiler makes rules of a builder's definitions.
type compiler struct {
	*builder
	set     *Set
	clauses []*clausePlan
	reads   map[string][]reading // by kind: what becomes Plan.Readings
}

// rule compiles one definition.
func (c *compiler) rule(def *Definition) {
	fail := func(key string, err error) { c.problem(def.at, "rule "+def.ID, key, err) }
	before := len(c.problems)
	r := &Rule{ID: def.ID, Version: 1, State: cmp.Or(def.State, Live), Title: def.Title, Reason: def.Reason, Source: def.Source, Typology: def.Typology,
		Severity: Severity(cmp.Or(def.Severity, string(Medium))), Late: cmp.Or(def.Late, Revise), Entity: def.Entity, Text: def.Text, Tests: def.Tests}
	c.facts(r, def, fail)
	kinds := 0
	for kind, given := range map[string]bool{"when": def.When != "", "reconcile": def.Reconcile != nil, "sequence": def.Sequence != nil,
		"expect": def.Expect != nil, "anomaly": def.Anomaly != nil} {
		if given {
			r.Kind = kind
			kinds++
		}
	}
	switch {
	case kinds != 1:
		fail("id", errors.New("a rule has one of when, reconcile, sequence, expect and anomaly"))
	case r.Kind == "when" || r.Kind == "anomaly":
		c.condition(r, def, fail)
	default:
		c.orderRule(r, def, fail)
	}
	if c.set.byID[r.ID] != nil {
		fail("id", errors.New("there are two rules of this id"))
	}
	if len(c.problems) > before {
		return
	}
	c.set.byID[r.ID] = r
	c.set.rules = append(c.set.rules, r)
}

// facts checks what a rule has beside its condition.
func (c *compiler) facts(r *Rule, def *Definition, fail func(string, error)) {
	if !nameText.MatchString(def.ID) {
		fail("id", fmt.Errorf("%q: use lower-case letters, digits and _, a letter first", def.ID))
	}
	if r.Title == "" {
		r.Title = strings.ReplaceAll(def.ID, "_", " ")
	}
	if !slices.Contains([]State{Draft, Shadow, Live, Paused, Retired}, r.State) {
		fail("state", fmt.Errorf("%q is none of draft, shadow, live, paused, retired", r.State))
	}
	if !slices.Contains([]Severity{Low, Medium, High, Critical}, r.Severity) {
		fail("severity", fmt.Errorf("%q is none of low, medium, high, critical", r.Severity))
	}
	if !slices.Contains([]Late{Revise, CountOnly, Drop}, r.Late) {
		fail("late", fmt.Errorf("%q is none of revise, count_only, drop", r.Late))
	}
	r.Score = defaultScore
	if def.Score != nil {
		r.Score = int64(*def.Score)
	}
	if r.Score < 0 || r.Score > 100 {
		fail("score", fmt.Errorf("%d is not between 0 and 100", r.Score))
	}
	r.Cooldown = defaultCooldown
	if text := cmp.Or(def.Cooldown, c.defaults.Cooldown); text != "" {
		var err error
		if r.Cooldown, err = window.ParseSpan(text); err != nil || r.Cooldown < time.Second || r.Cooldown > 90*24*time.Hour {
			fail("cooldown", fmt.Errorf("%q: use a duration of 1s to 90d", text))
		}
	}
	var err error
	if r.Limit, err = parseLimit(cmp.Or(def.Limit, c.defaults.Limit, defaultLimit)); err != nil {
		fail("limit", err)
	}
}

func parseLimit(text string) (Limit, error) {
	count, every, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(count, 10, 64)
	if text == "none" {
		return Limit{}, nil
	}
	d, err2 := window.ParseSpan(every)
	if !ok || err != nil || err2 != nil || n < 1 || d < time.Minute || d > 30*24*time.Hour {
		return Limit{}, fmt.Errorf("%q: write how many alerts in what time, such as 100/1h, or none", text)
	}
	return Limit{n, d}, nil
}

// condition compiles a rule of kind when or anomaly.
func (c *compiler) condition(r *Rule, def *Definition, fail func(string, error)) {
	types := def.On
	if len(types) == 0 {
		types = words{event.OrderCreated.String()}
	}
	on, err := checkTypes(types)
	if err != nil {
		fail("on", err)
		return
	}
	if _, known := c.kinds[r.Entity]; r.Entity != "" && !known {
		fail("entity", fmt.Errorf("%q is no kind of entity: use %s", r.Entity, strings.Join(c.kindNames(), ", ")))
		return
	}
	key, when := "when", def.When
	if def.Anomaly != nil {
		if key, when, err = def.Anomaly.condition(); err != nil {
			fail(key, err)
			return
		}
	}
	check := &checker{b: c.builder, on: on, types: types, kind: cmp.Or(r.Entity, "order"), drop: r.Late == Drop}
	cond, err := check.typed(when, Bool)
	if err != nil {
		fail(key, err)
		return
	}
	if def.Unless != "" {
		unless, err := check.typed(def.Unless, Bool)
		if err != nil {
			fail("unless", err)
			return
		}
		not := &expr{op: opNot, typ: Bool, kids: []*expr{unless}, kind: unless.kind, text: "not (" + unless.text + ")"}
		cond = &expr{op: opAnd, typ: Bool, kids: []*expr{cond, not}, kind: cond.kind, text: cond.text + " and " + not.text}
		if cond.kind == "" {
			cond.kind = not.kind
		} else if not.kind != "" && not.kind != cond.kind {
			cond.kind = manyKinds
		}
	}
	alternatives, err := clauses(nnf(cond, false))
	if err != nil {
		fail(key, err)
		return
	}
	c.clausesOf(r, def, check, types, alternatives, fail)
}

func (c *compiler) clausesOf(r *Rule, def *Definition, check *checker, types []string, alternatives []clause, fail func(string, error)) {
	if r.Entity == "" {
		r.Entity = "order"
		if kinds := alternatives[0].kinds(); len(kinds) == 1 {
			r.Entity = kinds[0]
		}
	}
	r.Hash = hashOf(r, def, types, alternatives)
	var bands []*bandExpr
	for i, d := range def.Bands {
		e, err := check.typed(d.When, Bool)
		key := fmt.Sprintf("bands.%d.when", i)
		switch {
		case err != nil:
			fail(key, err)
		case e.kind == manyKinds:
			fail(key, fault(e.at, "a band asks features of one kind of entity only"))
		case d.Score <= int(r.Score) || d.Score > 100:
			fail(fmt.Sprintf("bands.%d.score", i), fmt.Errorf("%d: a band raises the rule's score of %d, to 100 at most", d.Score, r.Score))
		case e.kind != "" && !slices.ContainsFunc(alternatives, func(a clause) bool { return slices.Contains(a.kinds(), e.kind) }):
			fail(key, fault(e.at, "the rule asks no feature of %s, so a band cannot", e.kind))
		default:
			bands = append(bands, &bandExpr{band{score: int64(d.Score), reason: d.Reason}, nnf(e, false)})
		}
	}
	slices.SortStableFunc(bands, func(a, b *bandExpr) int { return cmp.Compare(b.score, a.score) })
	if slices.ContainsFunc(alternatives, func(a clause) bool {
		return slices.ContainsFunc(a.kinds(), func(k string) bool { return isMulti(k) && r.Entity != k })
	}) {
		fail("entity", fmt.Errorf("an event has several sellers and products: a rule over their features is about them, so entity is seller or product"))
	}
	if r.State == Draft || r.State == Retired {
		return
	}
	c.plan(r, types, alternatives, bands, fail)
}

type bandExpr struct {
	band
	e *expr
}

// hashOf is over everything that decides whether a rule matches and whom it is about.
func hashOf(r *Rule, def *Definition, types []string, alternatives []clause) uint32 {
	h := xxhash.New()
	write := func(parts ...any) { _, _ = fmt.Fprintln(h, parts...) } // a hash does not fail
	write(r.Entity, r.Late, types)
	for _, a := range alternatives {
		write("or")
		for _, e := range a {
			write(e.text)
			for _, text := range readingTexts(e) {
				write(text)
			}
		}
	}
	for _, b := range def.Bands {
		write(b.When, b.Score)
	}
	return uint32(h.Sum64())
}

func readingTexts(e *expr) (all []string) {
	if e.op == opReading {
		all = append(all, e.reading.Text)
	}
	for _, k := range e.kids {
		all = append(all, readingTexts(k)...)
	}
	return all
}

// condition writes an anomaly as the condition that it stands for.
func (a *AnomalyDefinition) condition() (key, text string, err error) {
	of := ""
	if a.Of != "" {
		of = ", " + a.Of
	}
	if a.Change != "" {
		if a.Value != "" || a.Within == "" {
			return "anomaly", "", errors.New("change needs within, and no value")
		}
		return "anomaly.change", fmt.Sprintf("last(%s, %s%s, previous) != %s", a.Change, a.Within, of, a.Change), nil
	}
	if a.Value == "" || a.Window == "" || a.Sigma <= 0 || a.Least < 2 {
		return "anomaly", "", errors.New("give value, window, sigma above 0 and least (earlier values that are needed) of 2 or more; or change and within")
	}
	text = fmt.Sprintf("%s > mean(%s, %s%s, previous) + %g * stddev(%s, %s%s, previous) and count(%s%s, previous) >= %d",
		a.Value, a.Value, a.Window, of, a.Sigma, a.Value, a.Window, of, a.Window, of, a.Least)
	if a.Floor != "" {
		text += fmt.Sprintf(" and %s > %s", a.Value, a.Floor)
	}
	return "anomaly.value", text, nil
}

// orderRule compiles a rule that an order's own events decide.
func (c *compiler) orderRule(r *Rule, def *Definition, fail func(string, error)) {
	span := func(key, text string) time.Duration {
		if text == "" {
			return 0
		}
		d, err := window.ParseSpan(text)
		if err != nil {
			fail(key, err)
		}
		return d
	}
	var spec OrderSpec
	switch {
	case def.Reconcile != nil:
		spec.Reconcile = &Reconcile{def.Reconcile.Check, def.Reconcile.Tolerance, span("reconcile.settle", def.Reconcile.Settle)}
	case def.Sequence != nil:
		spec.Sequence = &Sequence{def.Sequence.Event, def.Sequence.Before, span("sequence.settle", def.Sequence.Settle)}
	default:
		spec.Expect = &Expect{def.Expect.Event, span("expect.within", def.Expect.Within), def.Expect.After, def.Expect.Unless}
	}
	if r.Late != Revise {
		fail("late", fmt.Errorf("%s has no meaning here: what an order's own events show always follows them", r.Late))
	}
	if r.Entity == "" {
		r.Entity = "order"
	}
	if _, known := c.kinds[r.Entity]; !known && r.Entity != "payment" {
		fail("entity", fmt.Errorf("%q is no kind of entity", r.Entity))
	}
	r.Hash = uint32(xxhash.Sum64String(fmt.Sprintf("%s %s %s %+v %+v %+v", r.Kind, r.Entity, r.Late, spec.Reconcile, spec.Sequence, spec.Expect)))
	o, err := newOrderRule(r, spec)
	if err != nil {
		fail(r.Kind, err)
		return
	}
	if r.State.Evaluated() {
		c.set.orders = append(c.set.orders, o)
	}
}
