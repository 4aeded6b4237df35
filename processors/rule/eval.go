package rule

import (
	"math"
	"slices"
	"strings"
	"time"

	"weir/topology/table"
)

type (
	numFn  func(*frame) (float64, bool)
	textFn func(*frame) (string, bool)
	condFn func(*frame) Tri
)

func truth(b bool) Tri {
	if b {
		return True
	}
	return False
}

// maker compiles expressions to closures. Where an event is evaluated hoist is nil; where an entity answers, what only the event can
// tell is an operand that came with the gate, and hoist gives its place.
type maker struct {
	hoist func(*expr) int
	local func(*reading) int
}

// carried reports whether e comes with the gate.
func (m *maker) carried(e *expr) bool {
	return m.hoist != nil && e.kind == "" && !e.isConstant() && e.op != opList
}

func (m *maker) num(e *expr) numFn {
	if m.carried(e) {
		i := m.hoist(e)
		return func(f *frame) (float64, bool) {
			if i >= len(f.operands) {
				return 0, false
			}
			o := &f.operands[i]
			return o.Number(), o.Kind != table.OperandUnknown
		}
	}
	switch e.op {
	case opLiteral:
		if e.typ == Money {
			return moneyLiteral(e.dec)
		}
		n := e.num
		return func(*frame) (float64, bool) { return n, true }
	case opField:
		return e.field.num
	case opReading:
		i := m.local(e.reading)
		return func(f *frame) (float64, bool) { return f.readings[i].Num, f.readings[i].Known }
	case opNegate:
		k := m.num(e.kids[0])
		return func(f *frame) (float64, bool) { n, ok := k(f); return -n, ok }
	case opArith:
		return m.arith(e)
	case opCall:
		return m.function(e)
	}
	return func(*frame) (float64, bool) { return 0, false }
}

// moneyLiteral is an amount written in major units, in the minor units of the event's currency.
func moneyLiteral(d decimal) numFn {
	var by [5]float64 // by digits of the currency
	for digits := range by {
		if digits >= d.scale {
			by[digits] = float64(d.mantissa) * pow10(digits-d.scale)
		} else {
			by[digits] = float64(d.mantissa) / pow10(d.scale-digits)
		}
	}
	return func(f *frame) (float64, bool) {
		if f.currency == "" || f.digits >= len(by) {
			return 0, false
		}
		return by[f.digits], true
	}
}

func (m *maker) arith(e *expr) numFn {
	l, r := m.num(e.kids[0]), m.num(e.kids[1])
	var do func(a, b float64) float64
	switch e.sign {
	case "+":
		do = func(a, b float64) float64 { return a + b }
	case "-":
		do = func(a, b float64) float64 { return a - b }
	case "*":
		do = func(a, b float64) float64 { return a * b }
	case "/":
		do = func(a, b float64) float64 { return a / b }
	default:
		do = math.Mod
	}
	return func(f *frame) (float64, bool) {
		a, ok := l(f)
		if !ok {
			return 0, false
		}
		b, ok := r(f)
		if !ok {
			return 0, false
		}
		n := do(a, b)
		return n, !math.IsNaN(n) && !math.IsInf(n, 0) // a division by zero is unknown
	}
}

func (m *maker) function(e *expr) numFn {
	k := m.num(e.kids[0])
	switch e.sign {
	case "abs":
		return func(f *frame) (float64, bool) { n, ok := k(f); return math.Abs(n), ok }
	case "hour":
		return func(f *frame) (float64, bool) {
			n, ok := k(f)
			return float64(time.UnixMilli(int64(n)).UTC().Hour()), ok
		}
	case "weekday": // Monday is 1, Sunday 7
		return func(f *frame) (float64, bool) {
			n, ok := k(f)
			return float64((time.UnixMilli(int64(n)).UTC().Weekday()+6)%7 + 1), ok
		}
	}
	return func(*frame) (float64, bool) { return 0, false }
}

func (m *maker) text(e *expr) textFn {
	if m.carried(e) {
		i := m.hoist(e)
		return func(f *frame) (string, bool) {
			if i >= len(f.operands) {
				return "", false
			}
			return f.operands[i].Text, f.operands[i].Kind == table.OperandText
		}
	}
	switch e.op {
	case opLiteral:
		s := e.str
		return func(*frame) (string, bool) { return s, true }
	case opField:
		get := e.field.text
		return func(f *frame) (string, bool) { s := get(f.facts); return s, s != "" }
	case opReading:
		i := m.local(e.reading)
		return func(f *frame) (string, bool) { return f.readings[i].Text, f.readings[i].Known }
	case opArith:
		l, r := m.text(e.kids[0]), m.text(e.kids[1])
		return func(f *frame) (string, bool) {
			a, ok := l(f)
			if !ok {
				return "", false
			}
			b, ok := r(f)
			return a + b, ok
		}
	case opCall: // lower
		k := m.text(e.kids[0])
		return func(f *frame) (string, bool) { s, ok := k(f); return strings.ToLower(s), ok }
	}
	return func(*frame) (string, bool) { return "", false }
}

// packed makes a text comparable with one that was read from an entity.
func packed(t textFn) textFn {
	return func(f *frame) (string, bool) {
		s, ok := t(f)
		if len(s) > 7 && s[0] != '#' {
			s = table.UnpackText(table.PackText(s))
		}
		return s, ok
	}
}

func (m *maker) cond(e *expr) condFn {
	if m.carried(e) {
		i := m.hoist(e)
		return func(f *frame) Tri {
			if i >= len(f.operands) || f.operands[i].Kind == table.OperandUnknown {
				return Unknown
			}
			return truth(f.operands[i].Bits != 0)
		}
	}
	switch e.op {
	case opLiteral:
		v := truth(e.flag)
		return func(*frame) Tri { return v }
	case opAnd:
		l, r := m.cond(e.kids[0]), m.cond(e.kids[1])
		return func(f *frame) Tri {
			a := l(f)
			if a == False {
				return False
			}
			return min(a, r(f))
		}
	case opOr:
		l, r := m.cond(e.kids[0]), m.cond(e.kids[1])
		return func(f *frame) Tri {
			a := l(f)
			if a == True {
				return True
			}
			return max(a, r(f))
		}
	case opNot:
		k := m.cond(e.kids[0])
		return func(f *frame) Tri { return -k(f) }
	case opCompare:
		if e.kids[0].typ == Text {
			return m.compareTexts(e)
		}
		return m.compareNumbers(e)
	case opIn:
		return m.in(e)
	case opCall: // known
		return m.known(e.kids[0])
	}
	return func(*frame) Tri { return Unknown }
}

func (m *maker) known(e *expr) condFn {
	switch e.typ {
	case Text:
		k := m.text(e)
		return func(f *frame) Tri { _, ok := k(f); return truth(ok) }
	case Bool:
		k := m.cond(e)
		return func(f *frame) Tri { return truth(k(f) != Unknown) }
	}
	k := m.num(e)
	return func(f *frame) Tri { _, ok := k(f); return truth(ok) }
}

func (m *maker) compareNumbers(e *expr) condFn {
	if e.kids[0].typ == Bool {
		l, r := m.cond(e.kids[0]), m.cond(e.kids[1])
		same := e.sign == "=="
		return func(f *frame) Tri {
			a, b := l(f), r(f)
			if a == Unknown || b == Unknown {
				return Unknown
			}
			return truth((a == b) == same)
		}
	}
	l, r := m.num(e.kids[0]), m.num(e.kids[1])
	var holds func(a, b float64) bool
	switch e.sign {
	case "==":
		holds = func(a, b float64) bool { return a == b }
	case "!=":
		holds = func(a, b float64) bool { return a != b }
	case "<":
		holds = func(a, b float64) bool { return a < b }
	case "<=":
		holds = func(a, b float64) bool { return a <= b }
	case ">":
		holds = func(a, b float64) bool { return a > b }
	default:
		holds = func(a, b float64) bool { return a >= b }
	}
	return func(f *frame) Tri {
		a, ok := l(f)
		if !ok {
			return Unknown
		}
		b, ok := r(f)
		if !ok {
			return Unknown
		}
		return truth(holds(a, b))
	}
}

func (m *maker) compareTexts(e *expr) condFn {
	l, r := m.text(e.kids[0]), m.text(e.kids[1])
	if e.kind != "" {
		l, r = packed(l), packed(r)
	}
	var holds func(a, b string) bool
	switch e.sign {
	case "==":
		holds = func(a, b string) bool { return a == b }
	case "!=":
		holds = func(a, b string) bool { return a != b }
	case "contains":
		holds = strings.Contains
	case "startsWith":
		holds = strings.HasPrefix
	case "endsWith":
		holds = strings.HasSuffix
	default:
		re := e.re
		holds = func(a, _ string) bool { return re.MatchString(a) }
	}
	return func(f *frame) Tri {
		a, ok := l(f)
		if !ok {
			return Unknown
		}
		b, ok := r(f)
		if !ok {
			return Unknown
		}
		return truth(holds(a, b))
	}
}

func (m *maker) in(e *expr) condFn {
	yes := truth(e.sign != signNotIn)
	l := e.kids[1].list
	if e.kids[0].typ == Number {
		n := m.num(e.kids[0])
		return func(f *frame) Tri {
			v, ok := n(f)
			switch {
			case !ok:
				return Unknown
			case slices.Contains(l.numbers, v):
				return yes
			}
			return -yes
		}
	}
	t := m.text(e.kids[0])
	if e.kind != "" {
		known := &list{texts: map[string]int64{}}
		for s := range l.texts {
			known.texts[table.UnpackText(table.PackText(s))] = 0
		}
		l, t = known, packed(t)
	}
	return func(f *frame) Tri {
		s, ok := t(f)
		switch {
		case !ok:
			return Unknown
		case l.has(s, f.at()):
			return yes
		}
		return -yes
	}
}

func (f *frame) at() int64 {
	if f.facts == nil {
		return 0
	}
	return int64(f.facts.At)
}

// signNotIn is the sign of a negated in.
const signNotIn = "not in"

// operandFn evaluates what a gate carries.
type operandFn func(*frame) table.Operand

func (m *maker) operand(e *expr) operandFn {
	kind := map[ValueType]table.OperandKind{Number: table.OperandNumber, Money: table.OperandMoney, Text: table.OperandText, Bool: table.OperandBool,
		Time: table.OperandTime, Duration: table.OperandDuration}[e.typ]
	switch e.typ {
	case Text:
		t := m.text(e)
		return func(f *frame) table.Operand {
			s, ok := t(f)
			if !ok {
				return table.Operand{}
			}
			if len(s) > table.MaxText {
				s = s[:table.MaxText]
			}
			return table.Operand{Kind: kind, Text: s}
		}
	case Bool:
		c := m.cond(e)
		return func(f *frame) table.Operand {
			switch c(f) {
			case True:
				return table.Operand{Kind: kind, Bits: 1}
			case False:
				return table.Operand{Kind: kind}
			}
			return table.Operand{}
		}
	}
	n := m.num(e)
	return func(f *frame) table.Operand {
		v, ok := n(f)
		if !ok {
			return table.Operand{}
		}
		return table.Operand{Kind: kind, Bits: math.Float64bits(v)}
	}
}
