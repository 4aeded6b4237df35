package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// Document is a rule file as it was written: nothing is checked yet but its shape.
type Document struct {
	Name     string
	Defaults Defaults
	Features []FeatureDefinition
	Lists    []ListDefinition
	Rules    []Definition
}

// Defaults hold for all features and rules that say nothing else.
type Defaults struct {
	Grace    string `yaml:"grace,omitempty"`    // how long after its time an event still changes features and alerts; 1h
	Cooldown string `yaml:"cooldown,omitempty"` // 30m
	Limit    string `yaml:"limit,omitempty"`    // 1000/1h
	Cap      int    `yaml:"cap,omitempty"`      // entries that a feature keeps exactly; 256
}

// FeatureDefinition declares a named feature: what is kept of an entity, and how it is read.
type FeatureDefinition struct {
	Name           string   `yaml:"name"`
	Help           string   `yaml:"help"`
	On             words    `yaml:"on"`    // types of events
	Where          string   `yaml:"where"` // over the event and its order
	Key            string   `yaml:"key"`   // customer, card, ip, device, email, address, order, seller, product, or an expression with Kind
	Kind           string   `yaml:"kind"`  // names the entities of a key that is an expression
	Value          string   `yaml:"value"` // an expression over the event and its order; none for count, rate, since_first, since_last
	Agg            string   `yaml:"agg"`
	Windows        words    `yaml:"windows"` // durations, or all
	IncludeCurrent *bool    `yaml:"include_current"`
	Cap            int      `yaml:"cap"`
	Method         string   `yaml:"method"`   // exact, buckets(5m), hll
	Quantile       *float64 `yaml:"quantile"` // of percentile

	Text string `yaml:"-"`
	at   source
}

// ListDefinition is a list that rules refer to as @name.
type ListDefinition struct {
	Name    string      `yaml:"name"`
	Help    string      `yaml:"help"`
	Entries []ListEntry `yaml:"entries"`

	Text string `yaml:"-"`
	at   source
}

// ListEntry is a text, or an address range such as 10.0.0.0/8, until a day.
type ListEntry struct {
	Value string `yaml:"value"`
	Until string `yaml:"until"` // RFC 3339 time or date; "" = for ever
	Note  string `yaml:"note"`
}

// Definition declares a rule. Exactly one of When, Reconcile, Sequence, Expect and Anomaly says what it looks for.
type Definition struct {
	ID       string `yaml:"id"`
	Title    string `yaml:"title"`
	Reason   string `yaml:"reason"`
	Source   string `yaml:"source"`
	Typology string `yaml:"typology"` // Operations says that it looks for no fraud
	Severity string `yaml:"severity"`
	Score    *int   `yaml:"score"`
	State    State  `yaml:"state"`
	Late     Late   `yaml:"late"`
	Entity   string `yaml:"entity"`
	Cooldown string `yaml:"cooldown"`
	Limit    string `yaml:"limit"`

	On     words            `yaml:"on"`
	When   string           `yaml:"when"`
	Unless string           `yaml:"unless"`
	Bands  []BandDefinition `yaml:"bands"`

	Reconcile *ReconcileDefinition `yaml:"reconcile"`
	Sequence  *SequenceDefinition  `yaml:"sequence"`
	Expect    *ExpectDefinition    `yaml:"expect"`
	Anomaly   *AnomalyDefinition   `yaml:"anomaly"`

	Tests []TestCase `yaml:"tests"`

	Text string `yaml:"-"` // as written, without its state
	at   source
}

// BandDefinition raises the score of a hit.
type BandDefinition struct {
	When   string `yaml:"when"`
	Score  int    `yaml:"score"`
	Reason string `yaml:"reason"`
}

// ReconcileDefinition is Reconcile as written.
type ReconcileDefinition struct {
	Check     string `yaml:"check"`
	Tolerance string `yaml:"tolerance"`
	Settle    string `yaml:"settle"`
}

// SequenceDefinition is Sequence as written.
type SequenceDefinition struct {
	Event  string `yaml:"event"`
	Before string `yaml:"before"`
	Settle string `yaml:"settle"`
}

// ExpectDefinition is Expect as written.
type ExpectDefinition struct {
	Event  string `yaml:"event"`
	Within string `yaml:"within"`
	After  string `yaml:"after"`
	Unless words  `yaml:"unless"`
}

// AnomalyDefinition compares a value with the entity's own history: above mean + Sigma standard deviations of at least Least earlier
// ones, or, with Change, another text than the last one Within a time.
type AnomalyDefinition struct {
	Value  string  `yaml:"value"`
	Of     string  `yaml:"of"`
	Window string  `yaml:"window"`
	Sigma  float64 `yaml:"sigma"`
	Least  int     `yaml:"least"`
	Floor  string  `yaml:"floor"` // values up to this are none
	Change string  `yaml:"change"`
	Within string  `yaml:"within"`
}

// TestCase is an example beside its rule: events in the language of scenarios, and the alerts of this rule that follow from them, one
// a line: ENTITY, or ENTITY hits N.
type TestCase struct {
	Name   string `yaml:"name"`
	Events string `yaml:"events"`
	Alerts string `yaml:"alerts"`
}

// words is a word or a list of them.
type words []string

// UnmarshalYAML is given the node, not its text, as is that of ListEntry: goccy/go-yaml looks at the whole file to make the text of one
// node, which takes minutes where there are thousands of them.
func (w *words) UnmarshalYAML(node ast.Node) error {
	if _, list := node.(*ast.SequenceNode); list {
		return yaml.NodeToValue(node, (*[]string)(w))
	}
	*w = make(words, 1)
	return yaml.NodeToValue(node, &(*w)[0])
}

// UnmarshalYAML takes an entry that is only a text, too.
func (e *ListEntry) UnmarshalYAML(node ast.Node) error {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		type plain ListEntry
		return yaml.NodeToValue(node, (*plain)(e), yaml.Strict())
	}
	return yaml.NodeToValue(node, &e.Value)
}

// Hash is over the definition's text: it tells whether a rule was changed.
func (d *Definition) Hash() uint32 { return uint32(xxhash.Sum64String(d.Text)) }

// Problem is something wrong in a document.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"` // or feature, or list
	Message string `json:"message"`
}

func (p Problem) String() string {
	text := p.File
	if p.Line > 0 {
		text += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	if p.Rule != "" {
		text += ": " + p.Rule
	}
	return strings.TrimPrefix(text+": "+p.Message, ": ")
}

// Problems is everything that is wrong with a document.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Limits of a document.
const (
	maxDocumentBytes = 2 << 20
	maxRules         = 500
	maxFeatures      = 500
	maxLists         = 100
	maxListEntries   = 50_000
)

// Parse reads a document. name begins the positions in errors, which are Problems.
func Parse(name string, data []byte) (*Document, error) {
	fail := func(err error) error {
		var syntax yaml.Error
		if ok := asYAMLError(err, &syntax); ok && syntax.GetToken() != nil { // its Error prints the line, however long that is
			at := syntax.GetToken().Position
			return Problems{{File: name, Line: at.Line, Column: at.Column, Message: syntax.GetMessage()}}
		}
		return Problems{{File: name, Message: err.Error()}}
	}
	if len(data) > maxDocumentBytes {
		return nil, Problems{{File: name, Message: fmt.Sprintf("the file has %d bytes, the most is %d", len(data), maxDocumentBytes)}}
	}
	if crowded(data) {
		return nil, Problems{{File: name, Message: fmt.Sprintf("the file has more than %d words and signs", 2*maxTokens)}}
	}
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(name, tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, fail(err)
	}
	var raw struct {
		Defaults Defaults            `yaml:"defaults"`
		Features []FeatureDefinition `yaml:"features"`
		Lists    []ListDefinition    `yaml:"lists"`
		Rules    []Definition        `yaml:"rules"`
	}
	if err := yaml.UnmarshalWithOptions(data, &raw, yaml.Strict()); err != nil {
		return nil, fail(err)
	}
	d := &Document{Name: name, Defaults: raw.Defaults, Features: raw.Features, Lists: raw.Lists, Rules: raw.Rules}
	lines := strings.Split(string(data), "\n")
	for i, s := range items(file, "features", len(d.Features), name, lines) {
		d.Features[i].at, d.Features[i].Text = s, s.text("")
	}
	for i, s := range items(file, "lists", len(d.Lists), name, lines) {
		d.Lists[i].at, d.Lists[i].Text = s, s.text("")
	}
	for i, s := range items(file, "rules", len(d.Rules), name, lines) {
		d.Rules[i].at, d.Rules[i].Text = s, s.text("state:")
	}
	return d, nil
}

func asYAMLError(err error, target *yaml.Error) bool {
	for e := err; e != nil; {
		if y, ok := e.(yaml.Error); ok {
			*target = y
			return true
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		e = u.Unwrap()
	}
	return false
}

// source is where a definition stands in its file.
type source struct {
	file  string
	lines []string // of the whole file
	first int      // its lines, [first, end), from 0
	end   int
	dent  int // columns before its keys
	node  ast.Node
}

// items finds the entries of a list at the top of the document.
func items(file *ast.File, key string, n int, name string, lines []string) []source {
	if n == 0 {
		return nil
	}
	found := make([]source, n)
	path, err := yaml.PathString("$." + key)
	if err != nil {
		return found
	}
	node, err := path.FilterFile(file)
	if err != nil {
		return found
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok || len(list.Values) != n {
		return found
	}
	for i, v := range list.Values {
		at := firstToken(v)
		s := source{file: name, lines: lines, first: at.Line - 1, dent: at.Column - 1, node: v}
		s.end = s.first + 1
		for s.end < len(lines) && (strings.TrimSpace(lines[s.end]) == "" || indent(lines[s.end]) >= s.dent) {
			s.end++
		}
		for s.end > s.first+1 && strings.TrimSpace(lines[s.end-1]) == "" {
			s.end--
		}
		found[i] = s
	}
	return found
}

type position struct{ Line, Column int }

func firstToken(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		if m.IsFlowStyle {
			return position{m.Start.Position.Line, m.Start.Position.Column}
		}
		n = m.Values[0].Key
	} else if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	p := n.GetToken().Position
	return position{p.Line, p.Column}
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// text is the definition by itself, without lines of its own that begin with skip.
func (s source) text(skip string) string {
	var b strings.Builder
	for i := s.first; i < s.end && i < len(s.lines); i++ {
		line := s.lines[i]
		if len(line) >= s.dent {
			line = line[s.dent:]
		}
		if skip != "" && strings.HasPrefix(line, skip) {
			continue
		}
		b.WriteString(strings.TrimRight(line, " \t\r") + "\n")
	}
	return b.String()
}

// problem is one at a key of the definition; offset is in runes from the beginning of its value, -1 for the key itself.
func (s source) problem(rule, key string, offset int, format string, args ...any) Problem {
	p := Problem{File: s.file, Rule: rule, Message: fmt.Sprintf(format, args...), Line: s.first + 1, Column: s.dent + 1}
	if s.node == nil {
		p.Line, p.Column = 0, 0
		return p
	}
	value := lookup(s.node, key)
	if value == nil {
		return p
	}
	if literal, ok := value.(*ast.LiteralNode); ok {
		p.Line, p.Column = s.inBlock(literal, max(offset, 0))
		return p
	}
	at := value.GetToken().Position
	p.Line, p.Column = at.Line, at.Column
	if offset > 0 {
		p.Column += offset
	}
	if text, ok := value.(*ast.StringNode); ok && strings.ContainsAny(text.Token.Origin, `"'`) && strings.HasPrefix(strings.TrimSpace(text.Token.Origin), text.Token.Origin[strings.IndexAny(text.Token.Origin, `"'`):][:1]) && offset >= 0 {
		p.Column++
	}
	return p
}

// inBlock is the place of a rune of a block scalar (| or >): each of its lines gives its runes and one more.
func (s source) inBlock(n *ast.LiteralNode, offset int) (line, column int) {
	line = n.Start.Position.Line // from 0, because the block begins on the next one
	if line >= len(s.lines) {
		return line, 1
	}
	dent := indent(s.lines[line])
	for line+1 < s.end {
		content := len([]rune(s.lines[line])) - dent
		if offset <= content {
			break
		}
		offset -= max(content, 0) + 1
		line++
	}
	return line + 1, dent + offset + 1
}

// lookup finds the value of a key such as when, or bands.1.when.
func lookup(n ast.Node, key string) ast.Node {
	for part := range strings.SplitSeq(key, ".") {
		switch v := n.(type) {
		case *ast.MappingNode:
			n = nil
			for _, pair := range v.Values {
				if pair.Key.String() == part {
					n = pair.Value
				}
			}
		case *ast.MappingValueNode:
			if n = nil; v.Key.String() == part {
				n = v.Value
			}
		case *ast.SequenceNode:
			i := 0
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(v.Values) {
				return nil
			}
			n = v.Values[i]
		default:
			return nil
		}
		if n == nil {
			return nil
		}
	}
	return n
}

// Merge is d with the definitions of over: those of a name that d has are replaced, others are added.
func (d *Document) Merge(over *Document) *Document {
	m := &Document{Name: over.Name, Defaults: d.Defaults}
	if over.Defaults != (Defaults{}) {
		m.Defaults = over.Defaults
	}
	m.Features = merge(d.Features, over.Features, func(f FeatureDefinition) string { return f.Name })
	m.Lists = merge(d.Lists, over.Lists, func(l ListDefinition) string { return l.Name })
	m.Rules = merge(d.Rules, over.Rules, func(r Definition) string { return r.ID })
	return m
}

func merge[T any](base, over []T, name func(T) string) []T {
	out := slices.Clone(base)
	for _, o := range over {
		if i := slices.IndexFunc(base, func(b T) bool { return name(b) == name(o) }); i >= 0 {
			out[i] = o
		} else {
			out = append(out, o)
		}
	}
	return out
}

// Without is d without the rules of these ids.
func (d *Document) Without(ids ...string) *Document {
	c := *d
	c.Rules = slices.DeleteFunc(slices.Clone(d.Rules), func(r Definition) bool { return slices.Contains(ids, r.ID) })
	return &c
}

// YAML is the document as a file.
func (d *Document) YAML() []byte {
	var b strings.Builder
	if d.Defaults != (Defaults{}) {
		text, err := yaml.Marshal(map[string]Defaults{"defaults": d.Defaults})
		if err == nil {
			b.Write(text)
			b.WriteByte('\n')
		}
	}
	section := func(name string, texts []string) {
		if len(texts) == 0 {
			return
		}
		b.WriteString(name + ":\n")
		for _, text := range texts {
			for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
				switch {
				case i == 0:
					line = "  - " + line
				case line != "":
					line = "    " + line
				}
				b.WriteString(line + "\n")
			}
			b.WriteByte('\n')
		}
	}
	section("features", texts(d.Features, func(f FeatureDefinition) string { return f.Text }))
	section("lists", texts(d.Lists, func(l ListDefinition) string { return l.Text }))
	section("rules", texts(d.Rules, func(r Definition) string {
		if r.State == "" {
			return r.Text
		}
		return strings.TrimRight(r.Text, "\n") + "\nstate: " + string(r.State) + "\n"
	}))
	return []byte(b.String())
}

func texts[T any](all []T, text func(T) string) (out []string) {
	for _, v := range all {
		out = append(out, text(v))
	}
	return out
}
