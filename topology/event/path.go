package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A source expression says where a mapped field comes from: alternatives separated by "|", the first one present wins.
// An alternative is a path (customer.id, items[0].category, ["dotted.name"]) or a template ({event_type}:{order_id}) whose
// parts must all be present.

// step goes one level down: to a member by name, or, with an empty name, to an element by index.
type step struct {
	name  string
	index int
}

// maxIndex is the last element of an array that a path can name.
const maxIndex = 99

func parsePath(path string) ([]step, error) {
	var steps []step
	rest := path
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, `["`):
			name, after, ok := strings.Cut(rest[2:], `"]`)
			if !ok || name == "" {
				return nil, fmt.Errorf(`path %q: [" has no "]`, path)
			}
			steps, rest = append(steps, step{name: name}), after
		case rest[0] == '[':
			digits, after, ok := strings.Cut(rest[1:], "]")
			index, err := strconv.ParseUint(digits, 10, 8)
			if !ok || err != nil || index > maxIndex || len(steps) == 0 {
				return nil, fmt.Errorf("path %q: want an index as in lines[0], from 0 to %d", path, maxIndex)
			}
			steps, rest = append(steps, step{index: int(index)}), after
		default:
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			name := rest[:end]
			if name == "" || strings.ContainsAny(name, "{}|\"] \t") {
				return nil, fmt.Errorf(`path %q: want names joined by dots, as in customer.id; other names as ["the name"]`, path)
			}
			steps, rest = append(steps, step{name: name}), rest[end:]
		}
		if strings.HasPrefix(rest, ".") {
			if rest = rest[1:]; rest == "" || rest[0] == '[' {
				return nil, fmt.Errorf("path %q: a name must follow the dot", path)
			}
		} else if rest != "" && rest[0] != '[' {
			return nil, fmt.Errorf("path %q: want a dot after ]", path)
		}
	}
	if steps == nil {
		return nil, errors.New("the path is empty")
	}
	return steps, nil
}

// term is one alternative: a slot, a constant, or a template.
type term struct {
	slot     int // −1 when it is no path
	constant []byte
	parts    []part
}

// part is a piece of a template: a slot's text, or, with slot −1, the literal.
type part struct {
	literal string
	slot    int
}

// node is a place in a record that some field is read from, or that lies on the way to one.
type node struct {
	path  string
	slot  int  // where its value is noted
	text  bool // some field keeps its text
	names names
	elems []*node // by index; nil where nobody looks
	each  *node   // the lines of an order: the tree of each element, which has slots of its own
}

// names finds a node's members by name.
type names struct {
	byLength [][]member
	inner    bool // there is at least one
}

type member struct {
	name string // never empty
	last byte   // of the name: differs among most names of one length, and spares comparing them
	node *node
}

func (n *names) find(name []byte) *node {
	if len(name) >= len(n.byLength) || len(name) == 0 {
		return nil
	}
	sameLength, last := n.byLength[len(name)], name[len(name)-1]
	for i := range sameLength {
		if m := &sameLength[i]; m.last == last && m.name == string(name) {
			return m.node
		}
	}
	return nil
}

func (n *names) add(name string, at *node) {
	for len(n.byLength) <= len(name) {
		n.byLength = append(n.byLength, nil)
	}
	n.byLength[len(name)] = append(n.byLength[len(name)], member{name, name[len(name)-1], at})
	n.inner = true
}

// tree is under construction: the root of a record's or a line's nodes and the count of its slots.
type tree struct {
	root  *node
	slots int
	limit int
}

func newTree(limit int) *tree { return &tree{root: new(node), limit: limit} }

// at returns the node of a path, made where it is missing.
func (t *tree) at(steps []step) (*node, error) {
	n := t.root
	for _, s := range steps {
		var next *node
		if s.name != "" {
			if next = n.names.find([]byte(s.name)); next == nil {
				next = &node{slot: t.slots, path: strings.TrimPrefix(n.path+"."+s.name, ".")}
				n.names.add(s.name, next)
				t.slots++
			}
		} else {
			for len(n.elems) <= s.index {
				n.elems = append(n.elems, nil)
			}
			if next = n.elems[s.index]; next == nil {
				next = &node{slot: t.slots, path: n.path + "[" + strconv.Itoa(s.index) + "]"}
				n.elems[s.index] = next
				t.slots++
			}
		}
		if n = next; t.slots > t.limit {
			return nil, fmt.Errorf("the mapping looks at more than %d places of a record", t.limit)
		}
	}
	return n, nil
}

// slotOf returns the slot that the path's scalar is put in.
func (t *tree) slotOf(path string, text bool) (int, error) {
	steps, err := parsePath(path)
	if err != nil {
		return 0, err
	}
	n, err := t.at(steps)
	if err != nil {
		return 0, err
	}
	n.text = n.text || text
	return n.slot, nil
}

// terms compiles a source expression.
func (t *tree) terms(expression string, text bool) ([]term, error) {
	var all []term
	for alternative := range strings.SplitSeq(expression, "|") {
		alternative = strings.TrimSpace(alternative)
		if strings.ContainsAny(alternative, "{}") && !strings.HasPrefix(alternative, `["`) {
			parts, err := t.template(alternative)
			if err != nil {
				return nil, err
			}
			all = append(all, term{slot: -1, parts: parts})
			continue
		}
		slot, err := t.slotOf(alternative, text)
		if err != nil {
			return nil, err
		}
		all = append(all, term{slot: slot})
	}
	return all, nil
}

func (t *tree) template(template string) ([]part, error) {
	var parts []part
	for rest := template; rest != ""; {
		literal, after, open := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("template %q: } without {", template)
		}
		if literal != "" {
			parts = append(parts, part{literal: literal, slot: -1})
		}
		if !open {
			break
		}
		path, after, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("template %q: { without }", template)
		}
		slot, err := t.slotOf(strings.TrimSpace(path), true)
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", template, err)
		}
		parts, rest = append(parts, part{slot: slot}), after
	}
	return parts, nil
}
