package rule

import (
	"math"
	"slices"
	"strconv"
	"time"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// atom is one comparison of a rule, ready to be explained.
type atom struct {
	text    string
	sign    string
	left    showFn
	right   showFn // nil: a plain condition
	reading int    // what left is read from, index in Part.Readings; -1: no feature by itself
	others  []other
	cond    condFn // of an alternative: told only where it holds; nil: it holds wherever the part does
}

// other is a reading inside a comparison that is more than it: its value is told by itself.
type other struct {
	text  string
	index int
	typ   ValueType
}

type showFn func(*frame) string

// explainer makes atoms in the context of a maker.
type explainer struct{ m *maker }

// atoms are the comparisons of a condition.
func (x explainer) atoms(e *expr) []atom { return x.under(e, false) }

func (x explainer) under(e *expr, alternative bool) (all []atom) {
	if e.op == opAnd || e.op == opOr {
		for _, k := range e.kids {
			all = append(all, x.under(k, alternative || e.op == opOr)...)
		}
		return all
	}
	all = x.leaf(e)
	if alternative {
		for i := range all {
			all[i].cond = x.m.cond(e)
		}
	}
	return all
}

func (x explainer) leaf(e *expr) []atom {
	if e.op == opCompare || e.op == opIn {
		a := atom{text: e.text, sign: e.sign, reading: -1, left: x.show(e.kids[0]), right: x.show(e.kids[1])}
		x.readings(e, &a)
		return []atom{a}
	}
	a := atom{text: e.text, reading: -1, left: x.show(e)}
	x.readings(e, &a)
	return []atom{a}
}

// readings finds the features of a comparison.
func (x explainer) readings(e *expr, a *atom) {
	if e.kind == "" {
		return
	}
	if len(e.kids) > 0 && e.kids[0].op == opReading {
		a.reading = x.m.local(e.kids[0].reading)
	}
	var walk func(*expr)
	walk = func(k *expr) {
		if k.op == opReading {
			i := x.m.local(k.reading)
			if i != a.reading && !slices.ContainsFunc(a.others, func(o other) bool { return o.index == i }) {
				a.others = append(a.others, other{k.reading.Text, i, k.typ})
			}
		}
		for _, kid := range k.kids {
			walk(kid)
		}
	}
	walk(e)
}

func (x explainer) show(e *expr) showFn {
	switch {
	case e.op == opList:
		text := e.text
		return func(*frame) string { return text }
	case e.typ == Text:
		t := x.m.text(e)
		return func(f *frame) string {
			s, ok := t(f)
			return shown(Value{Text, ok, 0, s}, f.currency)
		}
	case e.typ == Bool:
		c := x.m.cond(e)
		return func(f *frame) string { return [...]string{"false", "unknown", "true"}[c(f)+1] }
	}
	n, typ := x.m.num(e), e.typ
	return func(f *frame) string {
		v, ok := n(f)
		return shown(Value{typ, ok, v, ""}, f.currency)
	}
}

// shown is a value for a person.
func shown(v Value, currency string) string {
	if !v.Known {
		return "unknown"
	}
	switch v.Type {
	case Text:
		return v.Text
	case Money:
		digits, _ := event.Exponent(currency)
		return string(event.AppendMajor(nil, int64(math.Round(v.Num)), digits)) + " " + currency
	case Time:
		return time.UnixMilli(int64(v.Num)).UTC().Format("2006-01-02T15:04:05.999Z07:00")
	case Duration:
		return duration(time.Duration(v.Num) * time.Millisecond)
	}
	if v.Num == math.Trunc(v.Num) && math.Abs(v.Num) < 1e15 {
		return strconv.FormatInt(int64(v.Num), 10)
	}
	return strconv.FormatFloat(v.Num, 'g', 6, 64)
}

func duration(d time.Duration) string {
	if d < 0 {
		return "-" + duration(-d)
	}
	if d == 0 || d%time.Minute == 0 {
		return window.FormatSpan(d)
	}
	text := d.Round(time.Millisecond).String()
	if d%time.Second == 0 && d < time.Minute { // not 0m10s
		return window.FormatSpan(d)
	}
	return text
}

// Show is a reading's value for a person. Money is in the currency.
func Show(v Value, currency string) string { return shown(v, currency) }

// predicates explains atoms over a frame.
func predicates(atoms []atom, f *frame, texts func(i int) string) (out []*table.Predicate, feature []int) {
	for i := range atoms {
		a := &atoms[i]
		if a.cond != nil && a.cond(f) != True {
			continue
		}
		p := &table.Predicate{Text: a.text, Observed: a.left(f), Operator: a.sign}
		if a.right != nil {
			p.Threshold = a.right(f)
		}
		if a.reading >= 0 {
			p.Feature = texts(a.reading)
		}
		out, feature = append(out, p), append(feature, a.reading)
		for _, o := range a.others {
			v := f.readings[o.index]
			v.Type = o.typ
			out = append(out, &table.Predicate{Text: o.text, Observed: shown(v, f.currency), Feature: o.text})
			feature = append(feature, o.index)
		}
	}
	return out, feature
}

func (p *Part) explain(e *Evidence) (explained []*table.Predicate, feature []int) {
	defer p.Rule.contain()
	return predicates(p.atoms, &e.frame, func(i int) string { return p.texts[i] })
}

func (p *Part) score(e *Evidence, gate uint8) (score int64, reason string) {
	defer p.Rule.contain()
	score, reason = p.Rule.Score, p.Rule.Reason
	if g := int64(gate); g > score {
		score, reason = g, p.Rule.bandReason(g)
	}
	for i := range p.bands {
		if b := &p.bands[i]; b.score > score && b.cond(&e.frame) == True {
			score, reason = b.score, b.reason
		}
	}
	if reason == "" {
		reason = p.Rule.Reason
	}
	return score, reason
}

// bandReason is the reason of a band that the event alone decided.
func (r *Rule) bandReason(score int64) string {
	for _, b := range r.bands {
		if b.score == score {
			return b.reason
		}
	}
	return ""
}
