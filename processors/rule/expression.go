package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"weir/topology/window"
)

// Limits of an expression.
const (
	maxSource = 4 << 10
	maxNodes  = 300
)

// faultAt is an error at a rune of an expression.
type faultAt struct {
	at  int
	msg string
}

func (f *faultAt) Error() string { return f.msg }

func fault(at int, format string, args ...any) error {
	return &faultAt{at, fmt.Sprintf(format, args...)}
}

// text is the source of an expression as it is shown to expr-lang's parser. Its syntax has no durations and no @lists, and some names
// of features are built-in functions there; so the first letter of each of these is replaced by one that makes it a plain name, and
// what was meant is read from the original at the same place.
type sourceText struct {
	runes []rune
	shown []rune
}

var durationText = regexp.MustCompile(`^([0-9]+(ms|s|m|h|d|w|y))+$`)

func newSourceText(src string) (*sourceText, error) {
	if len(src) > maxSource {
		return nil, fault(0, "the expression has %d bytes, the most is %d", len(src), maxSource)
	}
	t := &sourceText{runes: []rune(src)}
	t.shown = slices.Clone(t.runes)
	for i := 0; i < len(t.runes); {
		switch r := t.runes[i]; {
		case r == '"' || r == '\'' || r == '`':
			i = t.skipString(i)
		case r == '@':
			t.shown[i] = 'L'
			i = t.skipWord(i + 1)
		case unicode.IsDigit(r):
			end := t.skipWord(i)
			if durationText.MatchString(string(t.runes[i:end])) {
				t.shown[i] = 'D'
			}
			i = end
		case isWord(r):
			end := t.skipWord(i)
			if next := t.skipSpace(end); next < len(t.runes) && t.runes[next] == '(' && !slices.Contains(operatorWords, string(t.runes[i:end])) {
				t.shown[i] = unicode.ToUpper(r)
			}
			i = end
		default:
			i++
		}
	}
	return t, nil
}

var operatorWords = []string{"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches"}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func (t *sourceText) skipWord(i int) int {
	for i < len(t.runes) && isWord(t.runes[i]) {
		i++
	}
	return i
}

func (t *sourceText) skipSpace(i int) int {
	for i < len(t.runes) && unicode.IsSpace(t.runes[i]) {
		i++
	}
	return i
}

func (t *sourceText) skipString(i int) int {
	quote := t.runes[i]
	for i++; i < len(t.runes) && t.runes[i] != quote; i++ {
		if t.runes[i] == '\\' && quote != '`' {
			i++
		}
	}
	return i + 1
}

// word is the original text of a name.
func (t *sourceText) word(at int) string {
	start := at
	if at < len(t.runes) && t.runes[at] == '@' {
		at++
	}
	return string(t.runes[start:t.skipWord(at)])
}

// parseExpression gives expr-lang's tree of a source.
func parseExpression(src string) (node ast.Node, text *sourceText, err error) {
	if strings.TrimSpace(src) == "" {
		return nil, nil, fault(0, "an expression is missing")
	}
	if text, err = newSourceText(src); err != nil {
		return nil, nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fault(0, "the expression cannot be read: %v", r)
		}
	}()
	tree, err := parser.Parse(string(text.shown))
	if err != nil {
		at := 0
		msg := err.Error()
		if e, ok := err.(*file.Error); ok {
			at, msg = e.From, e.Message
		}
		msg, _, _ = strings.Cut(msg, "\n")
		return nil, nil, fault(at, "%s", msg)
	}
	return tree.Node, text, nil
}

// op is what an expression does.
type op uint8

const (
	opLiteral op = iota
	opField
	opReading
	opList // a literal list or @list: only right of in
	opAnd
	opOr
	opNot
	opCompare
	opIn
	opArith
	opNegate
	opCall
)

// expr is a checked expression.
type expr struct {
	op   op
	typ  ValueType
	sign string // of opCompare, opArith; name of opCall
	text string // as written
	at   int    // rune in the source
	kids []*expr

	num     float64  // of literals
	dec     decimal  // of number literals, exact
	str     string   // of text literals and names of fields
	flag    bool     // of bool literals
	field   *field   // of opField
	reading *reading // of opReading
	list    *list    // of opList
	re      *regexp.Regexp
	kind    string // of the entity whose readings are in it, "" = none
}

// reading is a Reading before its series has a place.
type reading struct {
	kind   string
	series *seriesSpec
	Reading
}

// decimal is mantissa · 10^−scale.
type decimal struct {
	mantissa int64
	scale    int
}

func (e *expr) isLiteral() bool { return e.op == opLiteral }

// isConstant reports whether e is made of literals alone. An amount of money is one: it takes the currency of whatever it stands beside.
func (e *expr) isConstant() bool {
	switch e.op {
	case opField, opReading:
		return false
	case opLiteral:
		return true
	}
	for _, k := range e.kids {
		if !k.isConstant() {
			return false
		}
	}
	return len(e.kids) > 0
}

// checker turns expr-lang's tree into a checked expression.
type checker struct {
	b     *builder
	src   *sourceText
	on    streams // of the events that it is evaluated for; 0 = readings only
	types []string
	kind  string // default kind of inline features; "" = there are none (conditions of features)
	drop  bool   // readings leave late entries out
	nodes int
}

func (c *checker) fault(n ast.Node, format string, args ...any) error {
	return fault(n.Location().From, format, args...)
}

// typed checks an expression that must be of a type.
func (c *checker) typed(src string, want ValueType) (*expr, error) {
	e, err := c.parse(src)
	if err != nil {
		return nil, err
	}
	if e.typ != want {
		return nil, fault(e.at, "this is %s where %s is wanted", e.typ, want)
	}
	return e, nil
}

func (c *checker) parse(src string) (*expr, error) {
	node, text, err := parseExpression(src)
	if err != nil {
		return nil, err
	}
	c.src, c.nodes = text, 0
	e, err := c.check(node)
	if err != nil {
		return nil, err
	}
	if e.op == opList {
		return nil, fault(e.at, "a list stands only to the right of in")
	}
	return e, nil
}

func (t ValueType) String() string {
	return [...]string{"nothing", "a number", "an amount of money", "a text", "a condition", "a time", "a duration"}[t]
}

// span is the source of a node: from its first rune to its last.
func (c *checker) span(n ast.Node) string {
	from, to := extent(n)
	from, to = max(from, 0), min(to, len(c.src.runes))
	for to < len(c.src.runes) && open(c.src.runes[from:to]) {
		to++
	}
	return strings.Join(strings.Fields(string(c.src.runes[from:to])), " ")
}

// open reports whether a text has brackets that are not closed: the place of a node ends with its last part.
func open(text []rune) bool {
	depth, quote := 0, rune(0)
	for i, r := range text {
		switch {
		case quote != 0:
			if r == quote && (quote == '`' || i == 0 || text[i-1] != '\\') {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case r == '(' || r == '[':
			depth++
		case r == ')' || r == ']':
			depth--
		}
	}
	return depth > 0
}

func extent(n ast.Node) (from, to int) {
	l := n.Location()
	from, to = l.From, l.To
	grow := func(kids ...ast.Node) {
		for _, k := range kids {
			f, t := extent(k)
			from, to = min(from, f), max(to, t)
		}
	}
	switch v := n.(type) {
	case *ast.BinaryNode:
		grow(v.Left, v.Right)
	case *ast.UnaryNode:
		grow(v.Node)
	case *ast.MemberNode:
		grow(v.Node, v.Property)
	case *ast.CallNode:
		grow(v.Callee)
		grow(v.Arguments...)
	case *ast.ArrayNode:
		grow(v.Nodes...)
	}
	return from, to
}

func (c *checker) check(n ast.Node) (*expr, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, c.fault(n, "the expression is too large: it has more than %d parts", maxNodes)
	}
	e := &expr{at: n.Location().From, text: c.span(n)}
	switch v := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return e, c.number(e)
	case *ast.BoolNode:
		e.typ, e.flag = Bool, v.Value
		return e, nil
	case *ast.StringNode:
		e.typ, e.str = Text, v.Value
		return e, nil
	case *ast.IdentifierNode:
		return c.identifier(e)
	case *ast.MemberNode:
		return c.member(e, v)
	case *ast.UnaryNode:
		return c.unary(e, v)
	case *ast.BinaryNode:
		return c.binary(e, v)
	case *ast.CallNode:
		return c.call(e, v)
	case *ast.ArrayNode:
		return c.array(e, v)
	}
	return nil, c.fault(n, "%s is not part of the rule language", e.text)
}

// number reads a literal from its source, so that money is exact.
func (c *checker) number(e *expr) error {
	end := e.at
	for end < len(c.src.runes) && (unicode.IsDigit(c.src.runes[end]) || c.src.runes[end] == '.' || c.src.runes[end] == '_') {
		end++
	}
	text := strings.ReplaceAll(string(c.src.runes[e.at:end]), "_", "")
	e.text = text
	whole, part, _ := strings.Cut(text, ".")
	if len(whole)+len(part) > 15 || whole == "" {
		return fault(e.at, "%q is no number: write up to 15 digits", text)
	}
	for _, r := range whole + part {
		if r < '0' || r > '9' {
			return fault(e.at, "%q is no number", text)
		}
		e.dec.mantissa = 10*e.dec.mantissa + int64(r-'0')
	}
	e.dec.scale = len(part)
	e.typ, e.num = Number, float64(e.dec.mantissa)/pow10(len(part))
	return nil
}

func pow10(n int) float64 {
	p := 1.0
	for range n {
		p *= 10
	}
	return p
}

func (c *checker) identifier(e *expr) (*expr, error) {
	word := c.src.word(e.at)
	e.text = word
	switch {
	case strings.HasPrefix(word, "@"):
		l := c.b.lists[word[1:]]
		if l == nil {
			return nil, fault(e.at, "there is no list %s", word)
		}
		e.op, e.list, e.typ = opList, l, Text
		return e, nil
	case durationText.MatchString(word):
		d, err := window.ParseSpan(word)
		if err != nil {
			return nil, fault(e.at, "%v", err)
		}
		e.typ, e.num = Duration, float64(d.Milliseconds())
		return e, nil
	}
	if f := c.b.features[word]; f != nil {
		return c.feature(e, f, "")
	}
	return c.field(e, word)
}

func (c *checker) field(e *expr, name string) (*expr, error) {
	f, ok := fields[name]
	if !ok {
		return nil, fault(e.at, "there is no field or feature %q%s", name, c.near(name))
	}
	if c.on != 0 && f.on&c.on == 0 {
		return nil, fault(e.at, "%s is not known of %s", name, strings.Join(c.types, ", "))
	}
	e.op, e.typ, e.str, e.field = opField, f.typ, name, &f
	return e, nil
}

// near suggests the known name that is closest to a wrong one.
func (c *checker) near(name string) string {
	best, least := "", 3
	try := func(known string) {
		if d := distance(name, known); d < least {
			best, least = known, d
		}
	}
	for known := range fields {
		try(known)
	}
	for known := range c.b.features {
		try(known)
	}
	if best == "" {
		return "; fields are " + fieldNames()
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// member is a field of a nested name, or a feature with its window.
func (c *checker) member(e *expr, v *ast.MemberNode) (*expr, error) {
	base, ok := v.Node.(*ast.IdentifierNode)
	if !ok || v.Optional || v.Method {
		return nil, c.fault(v, "%s is not part of the rule language", e.text)
	}
	from := base.Location().From
	name := c.src.word(from)
	e.at = from
	if p, ok := v.Property.(*ast.StringNode); ok && c.b.features[name] == nil {
		e.text = name + "." + p.Value
		return c.field(e, e.text)
	}
	f := c.b.features[name]
	if f == nil {
		return nil, fault(from, "there is no feature %q%s", name, c.near(name))
	}
	id, ok := v.Property.(*ast.IdentifierNode)
	if !ok {
		return nil, fault(from, "write the window of a feature as in %s[%s]", name, f.def.Windows[0])
	}
	span := c.src.word(id.Location().From)
	e.text = name + "[" + span + "]"
	return c.feature(e, f, span)
}

func (c *checker) feature(e *expr, f *feature, span string) (*expr, error) {
	if c.kind == "" {
		return nil, fault(e.at, "%s is a feature: here only the event and its order can be named", f.def.Name)
	}
	if span == "" && len(f.readings) > 1 {
		return nil, fault(e.at, "%s has several windows: write %s[%s]", f.def.Name, f.def.Name, f.def.Windows[0])
	}
	i := 0
	if span != "" {
		want, err := parseWindow(span)
		if err != nil {
			return nil, fault(e.at, "%v", err)
		}
		if i = slices.IndexFunc(f.readings, func(r reading) bool { return r.Window == want }); i < 0 {
			return nil, fault(e.at, "%s has no window %s: it has %s", f.def.Name, span, strings.Join(f.def.Windows, ", "))
		}
	}
	r := f.readings[i]
	return c.readingExpr(e, r), nil
}

func (c *checker) readingExpr(e *expr, r reading) *expr {
	if c.drop {
		r.Late = Drop
		r.Text += " without late ones"
	}
	e.op, e.typ, e.reading, e.kind = opReading, r.Result, &r, r.kind
	return e
}

// parseWindow reads a duration or all.
func parseWindow(text string) (time.Duration, error) {
	if text == "all" {
		return 0, nil
	}
	d, err := window.ParseSpan(text)
	if err != nil {
		return 0, err
	}
	if d < time.Second || d > maxWindow {
		return 0, fmt.Errorf("a window of %s: use 1s to %s", text, window.FormatSpan(maxWindow))
	}
	return d, nil
}

const maxWindow = 400 * 24 * time.Hour
