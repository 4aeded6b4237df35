package rule

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

func (c *checker) kidsOf(e *expr, nodes ...ast.Node) error {
	for _, n := range nodes {
		k, err := c.check(n)
		if err != nil {
			return err
		}
		e.kids = append(e.kids, k)
	}
	return nil
}

// settle tells of which kind the readings of e are. A condition may join several; anything else needs them in one place.
func (c *checker) settle(e *expr) error {
	for _, k := range e.kids {
		switch {
		case k.kind == "" || k.kind == e.kind:
		case e.kind == "":
			e.kind = k.kind
		case e.op == opAnd || e.op == opOr || e.op == opNot:
			e.kind = manyKinds
		default:
			return fault(e.at, "%s compares a feature of %s with one of %s: they are kept in different places; compare each with a number", e.text, e.kind, k.kind)
		}
	}
	return nil
}

// manyKinds is the kind of a condition over entities of several kinds.
const manyKinds = "\x00many"

func (c *checker) unary(e *expr, v *ast.UnaryNode) (*expr, error) {
	if err := c.kidsOf(e, v.Node); err != nil {
		return nil, err
	}
	k := e.kids[0]
	e.kind = k.kind
	switch v.Operator {
	case "not", "!":
		if k.typ != Bool || k.op == opList {
			return nil, fault(k.at, "not wants a condition; %s is %s", k.text, k.typ)
		}
		e.op, e.typ = opNot, Bool
	case "-":
		if k.typ != Number && k.typ != Money && k.typ != Duration {
			return nil, fault(k.at, "%s is %s: it has no negative", k.text, k.typ)
		}
		e.op, e.typ = opNegate, k.typ
		if k.isLiteral() {
			k.num, k.dec.mantissa, k.text = -k.num, -k.dec.mantissa, e.text
			return k, nil
		}
	case "+":
		return k, nil
	default:
		return nil, fault(e.at, "%s is not part of the rule language", v.Operator)
	}
	return e, nil
}

func (c *checker) binary(e *expr, v *ast.BinaryNode) (*expr, error) {
	if err := c.kidsOf(e, v.Left, v.Right); err != nil {
		return nil, err
	}
	l, r := e.kids[0], e.kids[1]
	e.sign = v.Operator
	if l.op == opList || r.op == opList && v.Operator != "in" {
		return nil, fault(e.at, "a list stands only to the right of in")
	}
	var err error
	switch v.Operator {
	case "and", "&&", "or", "||":
		e.op, e.typ = opAnd, Bool
		if v.Operator == "or" || v.Operator == "||" {
			e.op = opOr
		}
		for _, k := range e.kids {
			if k.typ != Bool {
				return nil, fault(k.at, "%s is %s; %s joins conditions", k.text, k.typ, v.Operator)
			}
		}
	case "==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith", "matches":
		err = c.compare(e)
	case "in":
		err = c.in(e)
	case "+", "-", "*", "/", "%":
		err = c.arith(e)
	default:
		err = fault(e.at, "%s is not part of the rule language", v.Operator)
	}
	if err != nil {
		return nil, err
	}
	return e, c.settle(e)
}

// align gives a number literal the type of what it stands beside.
func align(l, r *expr) bool {
	switch {
	case l.typ == r.typ:
		return true
	case l.typ == Money && r.isLiteral() && r.typ == Number:
		r.typ = Money
		return true
	case r.typ == Money && l.isLiteral() && l.typ == Number:
		l.typ = Money
		return true
	}
	return false
}

func (c *checker) compare(e *expr) error {
	l, r := e.kids[0], e.kids[1]
	e.op, e.typ = opCompare, Bool
	if !align(l, r) {
		return fault(e.at, "%s is %s, %s is %s: they cannot be compared", l.text, l.typ, r.text, r.typ)
	}
	ordered := e.sign == "<" || e.sign == "<=" || e.sign == ">" || e.sign == ">="
	words := e.sign == "contains" || e.sign == "startsWith" || e.sign == "endsWith" || e.sign == "matches"
	switch {
	case ordered && (l.typ == Text || l.typ == Bool):
		return fault(e.at, "%s has no order: use == or !=", l.text)
	case words && l.typ != Text:
		return fault(e.at, "%s works on texts", e.sign)
	case words && (l.kind != "" || r.kind != ""):
		return fault(e.at, "%s works on fields only: of a feature, texts are known by their hash", e.sign)
	case l.isLiteral() && r.isLiteral():
		return fault(e.at, "%s compares two constants", e.text)
	}
	if e.sign == "matches" {
		if !r.isLiteral() {
			return fault(r.at, "matches wants a constant pattern")
		}
		re, err := regexp.Compile(r.str)
		if err != nil {
			return fault(r.at, "%v", err)
		}
		e.re = re
	}
	if l.typ == Text && (r.isLiteral() && r.str == "" || l.isLiteral() && l.str == "") {
		return fault(e.at, "a missing text equals nothing, not even \"\": write known(%s) or not known(%s)", l.text, l.text)
	}
	return nil
}

func (c *checker) in(e *expr) error {
	l, r := e.kids[0], e.kids[1]
	e.op, e.typ = opIn, Bool
	if r.op != opList {
		return fault(r.at, "in wants a list: [\"a\", \"b\"] or @name")
	}
	if l.kind != "" && r.list.named {
		return fault(l.at, "%s is a feature: named lists are compared with fields only", l.text)
	}
	if l.typ != r.typ {
		return fault(e.at, "%s is %s, the list has %s", l.text, l.typ, r.typ)
	}
	return nil
}

func (c *checker) array(e *expr, v *ast.ArrayNode) (*expr, error) {
	if err := c.kidsOf(e, v.Nodes...); err != nil {
		return nil, err
	}
	if len(e.kids) == 0 {
		return nil, fault(e.at, "the list is empty")
	}
	e.op, e.list = opList, &list{texts: map[string]int64{}}
	for _, k := range e.kids {
		if !k.isLiteral() || k.typ != e.kids[0].typ || k.typ != Text && k.typ != Number {
			return nil, fault(k.at, "a list has constants of one type, texts or numbers")
		}
		if k.typ == Text {
			e.list.texts[k.str] = 0
		} else {
			e.list.numbers = append(e.list.numbers, k.num)
		}
	}
	e.typ, e.kids = e.kids[0].typ, nil
	return e, nil
}

func (c *checker) arith(e *expr) error {
	l, r := e.kids[0], e.kids[1]
	e.op = opArith
	number := func(t ValueType) bool { return t == Number || t == Money || t == Duration }
	switch {
	case e.sign == "+" && l.typ == Text && r.typ == Text && l.kind == "" && r.kind == "":
		e.typ = Text
	case (e.sign == "+" || e.sign == "-") && align(l, r) && number(l.typ):
		e.typ = l.typ
	case e.sign == "-" && l.typ == Time && r.typ == Time:
		e.typ = Duration
	case (e.sign == "+" || e.sign == "-") && l.typ == Time && r.typ == Duration:
		e.typ = Time
	case e.sign == "*" && number(l.typ) && r.typ == Number:
		e.typ = l.typ
	case e.sign == "*" && l.typ == Number && number(r.typ):
		e.typ = r.typ
	case e.sign == "/" && number(l.typ) && r.typ == Number:
		e.typ = l.typ
	case e.sign == "/" && number(l.typ) && l.typ == r.typ:
		e.typ = Number
	case e.sign == "%" && l.typ == Number && r.typ == Number:
		e.typ = Number
	default:
		return fault(e.at, "%s %s %s: there is no such operation on %s and %s", l.text, e.sign, r.text, l.typ, r.typ)
	}
	return nil
}

// aggs are the inline features and what they take.
var aggs = map[string]struct {
	agg    Agg
	value  bool // takes an expression
	result ValueType
}{
	"count": {Count, false, Number}, "sum": {Sum, true, NoType}, "mean": {Mean, true, NoType}, "stddev": {Stddev, true, NoType},
	"min": {Min, true, NoType}, "max": {Max, true, NoType}, "distinct": {Distinct, true, Number}, "last": {Last, true, NoType},
	"rate": {Rate, false, Number}, "since_first": {SinceFirst, false, Duration}, "since_last": {SinceLast, false, Duration},
	"percentile": {Percentile, true, NoType},
}

func (c *checker) call(e *expr, v *ast.CallNode) (*expr, error) {
	callee, ok := v.Callee.(*ast.IdentifierNode)
	if !ok {
		return nil, c.fault(v, "%s is not part of the rule language", e.text)
	}
	name := c.src.word(callee.Location().From)
	e.at = callee.Location().From
	if _, ok := aggs[name]; ok {
		return c.inline(e, name, v.Arguments)
	}
	e.op, e.sign = opCall, name
	if err := c.kidsOf(e, v.Arguments...); err != nil {
		return nil, err
	}
	want := func(t ...ValueType) error {
		if len(e.kids) != 1 || e.kids[0].op == opList || !slices.Contains(t, e.kids[0].typ) {
			return fault(e.at, "%s takes one argument, %s", name, t[0])
		}
		e.kind = e.kids[0].kind
		return nil
	}
	switch name {
	case "known":
		e.typ = Bool
		return e, want(Text, Number, Money, Bool, Time, Duration)
	case "abs":
		err := want(Number, Money, Duration)
		if err == nil {
			e.typ = e.kids[0].typ
		}
		return e, err
	case "hour", "weekday":
		e.typ = Number
		return e, want(Time)
	case "lower":
		e.typ = Text
		if err := want(Text); err != nil {
			return nil, err
		}
		if e.kind != "" {
			return nil, fault(e.at, "lower works on fields only")
		}
		return e, nil
	}
	return nil, fault(e.at, "there is no function %s: features are %s; functions known, abs, hour, weekday, lower", name, strings.Join(aggNames(), ", "))
}

func aggNames() (names []string) {
	for n := range aggs {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// inline is a feature written where it is used: agg([value,] [quantile,] [window,] [kind,] [previous]).
func (c *checker) inline(e *expr, name string, args []ast.Node) (*expr, error) {
	if c.kind == "" {
		return nil, fault(e.at, "%s(…) is a feature: here only the event and its order can be named", name)
	}
	spec := readingSpec{agg: name, kind: c.kind, types: c.types, window: -1}
	word := func() string {
		if len(args) == 0 {
			return ""
		}
		if id, ok := args[0].(*ast.IdentifierNode); ok {
			return c.src.word(id.Location().From)
		}
		return ""
	}
	if aggs[name].value {
		if len(args) == 0 {
			return nil, fault(e.at, "%s wants a value: %s(total, 1h)", name, name)
		}
		inner := &checker{b: c.b, src: c.src, on: c.on, types: c.types, nodes: c.nodes}
		value, err := inner.check(args[0])
		if err != nil {
			return nil, err
		}
		spec.value, args = value, args[1:]
	}
	if name == "percentile" {
		if len(args) == 0 {
			return nil, fault(e.at, "percentile wants a value and a quantile: percentile(total, 0.95, 30d)")
		}
		q, err := c.check(args[0])
		if err != nil {
			return nil, err
		}
		if !q.isLiteral() || q.typ != Number {
			return nil, fault(q.at, "a quantile is a number such as 0.95")
		}
		spec.quantile, args = q.num, args[1:]
	}
	if w := word(); w == "all" || durationText.MatchString(w) {
		d, err := parseWindow(w)
		if err != nil {
			return nil, fault(e.at, "%v", err)
		}
		spec.window, args = d, args[1:]
	}
	if spec.window < 0 {
		return nil, fault(e.at, "%s wants a window such as 1h, or all", name)
	}
	if w := word(); w != "" && w != "previous" {
		if _, ok := c.b.kinds[w]; !ok {
			return nil, fault(args[0].Location().From, "%s is no kind of entity: use %s", w, strings.Join(c.b.kindNames(), ", "))
		}
		spec.kind, args = w, args[1:]
	}
	if word() == "previous" {
		spec.previous, args = true, args[1:]
	}
	if len(args) > 0 {
		return nil, fault(args[0].Location().From, "%s takes a value, a window, a kind of entity and previous, in this order", name)
	}
	if spec.kind == "order" && c.kind == "order" && len(spec.types) == 0 {
		return nil, fault(e.at, "say on which events")
	}
	r, err := c.b.reading(spec)
	if err != nil {
		return nil, fault(e.at, "%v", err)
	}
	return c.readingExpr(e, *r), nil
}

// readingSpec is a feature, named or inline, before it is checked.
type readingSpec struct {
	agg      string
	kind     string
	types    []string
	where    *expr
	value    *expr
	window   time.Duration
	previous bool
	quantile float64
	method   Method
	step     time.Duration
	cap      int
}
