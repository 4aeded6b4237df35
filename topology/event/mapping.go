package event

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapping says how the JSON of a topic becomes canonical events. The zero Mapping with Inherit is the canonical shape.
//
// Fields, Constants and Defaults are keyed by canonical field names: "order_id", "client.ip", "card.country". The lines of
// an order are "items", the path of the array, and "items.product_id" and so on, paths inside each element.
type Mapping struct {
	// Fields gives each field's source in the record: a path (user_id, customer.id, items[0].category, ["dotted.name"]), a
	// template ({event_type}:{order_id}), or alternatives of both separated by "|", of which the first present one counts.
	// An empty source is none.
	Fields map[string]string `yaml:"fields"`
	// Constants give a field the same value in every record.
	Constants map[string]string `yaml:"constants"`
	// Defaults give a field a value where the record has none.
	Defaults map[string]string `yaml:"defaults"`
	// Types translates the record's type: OrderPlaced: order.created. "ignore" passes over records of that type; the key "*"
	// stands for all types not listed and can only be ignored. Without Types the record must use the canonical names.
	Types map[string]string `yaml:"types"`
	// Money tells in which unit amounts are: "major" (the default; 12.50) or "minor" (1250).
	Money string `yaml:"money"`
	// Inherit reads every field that is not in Fields or Constants under its canonical name.
	Inherit bool `yaml:"inherit"`
}

// typeIgnored is the value in Mapping.Types that passes a type over.
const typeIgnored = "ignore"

var canonical = func() *Parser {
	p, err := Compile(Mapping{Inherit: true})
	if err != nil {
		panic(err)
	}
	return p
}()

// Canonical returns the Parser of the canonical shape.
func Canonical() *Parser { return canonical }

// Compile makes the Parser of a mapping. An error names the key of the mapping that is wrong.
func Compile(m Mapping) (*Parser, error) {
	c := compilation{mapping: m, record: newTree(maxSlots), line: newTree(maxLineSlots), parser: &Parser{limits: DefaultLimits()}}
	if err := c.checkKeys(); err != nil {
		return nil, err
	}
	switch m.Money {
	case "", "major":
	case "minor":
		c.parser.moneyIsMinor = true
	default:
		return nil, fmt.Errorf(`money: is %q, want "major" or "minor"`, m.Money)
	}
	for f := range fields {
		if err := c.field(f); err != nil {
			return nil, err
		}
	}
	if err := c.types(); err != nil {
		return nil, err
	}
	p := c.parser
	p.root, p.slots, p.lineSlots = c.record.root, c.record.slots, c.line.slots
	return p, nil
}

// CompileAll compiles the mapping of each topic. An error names the topic and the key.
func CompileAll(byTopic map[string]Mapping) (map[string]*Parser, error) {
	parsers := make(map[string]*Parser, len(byTopic))
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		p, err := Compile(byTopic[topic])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", topic, err)
		}
		parsers[topic] = p
	}
	return parsers, nil
}

// compilation is the making of one Parser.
type compilation struct {
	mapping      Mapping
	record, line *tree
	readsItems   bool
	parser       *Parser
}

func (c *compilation) checkKeys() error {
	m := c.mapping
	for _, section := range []struct {
		name   string
		values map[string]string
	}{{"fields", m.Fields}, {"constants", m.Constants}, {"defaults", m.Defaults}} {
		for _, name := range slices.Sorted(maps.Keys(section.values)) {
			f, ok := fieldsByName[name]
			if !ok {
				return fmt.Errorf("%s: there is no field %q, the fields are %s", section.name, name, fieldList())
			}
			if section.name == "fields" {
				continue
			}
			if f == fieldItems || f.ofItem() {
				return fmt.Errorf("%s.%s: an order's items can only come from the record", section.name, name)
			}
			if err := checkFixed(f, section.values[name]); err != nil {
				return fmt.Errorf("%s.%s: %w", section.name, name, err)
			}
		}
	}
	for name := range m.Constants {
		if m.Fields[name] != "" {
			return fmt.Errorf("constants.%s: the field is in fields too; use defaults for a value where the record has none", name)
		}
	}
	return nil
}

// checkFixed refuses constants and defaults that no record could hold.
func checkFixed(f field, value string) error {
	ok := value != ""
	switch f.form() {
	case formCurrency:
		_, ok = lookupCurrency(value)
	case formCountry:
		_, ok = lookupCountry(value)
	case formType:
		if _, ok = ParseType(value); !ok {
			return fmt.Errorf("there is no type %q, the types are %s", value, typeList())
		}
	}
	if !ok {
		return fmt.Errorf("%q is no value of this field", value)
	}
	return nil
}

// field compiles the source of one field into the plans of its streams.
func (c *compilation) field(f field) error {
	expression, set := c.mapping.Fields[f.String()]
	constant, isConstant := c.mapping.Constants[f.String()]
	if !set && c.mapping.Inherit && !isConstant {
		expression = strings.TrimPrefix(f.String(), "items.")
	}
	if f == fieldItems {
		return c.items(expression)
	}
	tree := c.record
	if f.ofItem() {
		tree = c.line
		if set && expression != "" && !c.readsItems {
			return fmt.Errorf("fields.%s: needs fields.items, the path of the array of lines", f)
		}
	}
	var terms []term
	if expression != "" {
		var err error
		if terms, err = tree.terms(expression, f.textual()); err != nil {
			return fmt.Errorf("fields.%s: %w", f, err)
		}
	}
	if value, ok := c.mapping.Defaults[f.String()]; ok && !isConstant {
		constant, isConstant = value, true
	}
	if isConstant {
		terms = append(terms, term{slot: -1, constant: []byte(constant)})
		if f.textual() {
			c.parser.textReserve += len(constant)
		}
	}
	if len(terms) == 0 {
		if f.required() {
			return fmt.Errorf("fields.%s: missing, every event needs it", f)
		}
		return nil
	}
	c.plan(f, terms, expression)
	return nil
}

// templateReserve is room for a template's text in an event's buffer; more costs an allocation.
const templateReserve = 64

func (c *compilation) plan(f field, terms []term, expression string) {
	s := source{field: f, form: f.form(), slot: -1, rest: terms, said: expression}
	if terms[0].slot >= 0 {
		s.slot, s.rest = terms[0].slot, terms[1:]
		s.optional = len(s.rest) == 0 && !f.required()
	}
	if f.textual() && slices.ContainsFunc(s.rest, func(t term) bool { return t.parts != nil }) {
		c.parser.textReserve += templateReserve
	}
	switch {
	case f == fieldType:
		c.parser.typeSource = s
	case f.ofItem():
		c.parser.lines = append(c.parser.lines, s)
	default:
		for stream := range streams {
			if fieldSpecs[f].of[stream] {
				c.parser.plans[stream] = append(c.parser.plans[stream], s)
			}
		}
	}
}

func (c *compilation) items(path string) error {
	if path == "" {
		return nil
	}
	steps, err := parsePath(path)
	if err != nil {
		return fmt.Errorf("fields.items: %w", err)
	}
	lines, err := c.record.at(steps)
	if err != nil {
		return fmt.Errorf("fields.items: %w", err)
	}
	lines.each = c.line.root
	c.readsItems = true
	return nil
}

func (c *compilation) types() error {
	p := c.parser
	if len(c.mapping.Types) == 0 {
		p.types = typesByName
		return nil
	}
	p.types = make(map[string]Type, len(c.mapping.Types))
	for _, name := range []string{c.mapping.Constants["type"], c.mapping.Defaults["type"]} {
		if t, ok := ParseType(name); ok {
			p.types[name] = t
		}
	}
	for value, name := range c.mapping.Types {
		t, ok := ParseType(name)
		switch {
		case name == typeIgnored && value == "*":
			p.otherTypesIgnored = true
			continue
		case name == typeIgnored:
			t = ignored
		case value == "*":
			return fmt.Errorf("types.*: is %q, but all other types can only be %q", name, typeIgnored)
		case !ok:
			return fmt.Errorf("types.%s: there is no type %q, want %q or one of %s", value, name, typeIgnored, typeList())
		}
		p.types[value] = t
	}
	return nil
}

// fieldList names all fields for a person who wrote another one.
func fieldList() string {
	return strings.Join(slices.Sorted(maps.Keys(fieldsByName)), ", ")
}
