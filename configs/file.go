package configs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// entry is a value as the file gives it.
type entry struct {
	text string   // of a scalar or of a list of scalars, with commas
	node ast.Node // of anything else
	line int
}

// maxFileBytes bounds a configuration file: a larger one is not a configuration.
const maxFileBytes = 1 << 20

// readEntries flattens a YAML document to keys and values. Unknown keys are errors that name the line and the nearest key.
func readEntries(name string, data []byte) (map[string]entry, error) {
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: has %d bytes, the limit is %d", name, len(data), maxFileBytes)
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: is not YAML: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	r := reader{name: name, entries: map[string]entry{}}
	for i, doc := range f.Docs {
		if i > 0 && doc.Body != nil {
			return nil, fmt.Errorf("%s:%d: a second document begins here; one is read", name, doc.Body.GetToken().Position.Line)
		}
		if doc.Body != nil {
			r.mapping(doc.Body, "")
		}
	}
	return r.entries, errors.Join(r.errs...)
}

type reader struct {
	name    string
	entries map[string]entry
	errs    []error
}

func (r *reader) fail(n ast.Node, format string, args ...any) {
	line := n.GetToken().Position.Line
	r.errs = append(r.errs, fmt.Errorf("%s:%d: "+format, append([]any{r.name, line}, args...)...))
}

func (r *reader) mapping(n ast.Node, prefix string) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	case *ast.NullNode, *ast.CommentGroupNode:
		return
	default:
		if prefix == "" {
			r.fail(n, "the file must be a mapping of keys to values")
		} else {
			r.fail(n, "%s has keys of its own: %s", prefix, strings.Join(childrenOf(prefix), ", "))
		}
		return
	}
	for _, v := range values {
		path := v.Key.GetToken().Value
		if prefix != "" {
			path = prefix + "." + path
		}
		key, ok := keysByPath[path]
		switch {
		case ok:
			r.value(key, v.Key, v.Value)
		case len(childrenOf(path)) > 0:
			r.mapping(v.Value, path)
		default:
			r.fail(v.Key, "there is no key %s%s", path, suggestion(path, allPaths()))
		}
	}
}

func (r *reader) value(k Key, at, n ast.Node) {
	if old, ok := r.entries[k.Path]; ok {
		r.fail(at, "%s is given twice, first in line %d", k.Path, old.line)
		return
	}
	e := entry{line: at.GetToken().Position.Line}
	switch v := n.(type) {
	case *ast.NullNode:
		return // "key:" alone leaves the default
	case *ast.SequenceNode:
		if !k.IsList() {
			r.fail(at, "%s takes one value, not a list", k.Path)
			return
		}
		if k.isStructured() {
			e.node = n
			break
		}
		texts := make([]string, 0, len(v.Values))
		for _, item := range v.Values {
			text, ok := scalar(item)
			if !ok {
				r.fail(item, "%s takes a list of plain values", k.Path)
				return
			}
			if strings.Contains(text, ",") {
				r.fail(item, "%s: %q has a comma, which separates values", k.Path, text)
				return
			}
			texts = append(texts, text)
		}
		e.text = strings.Join(texts, ",")
	default:
		text, ok := scalar(n)
		if !ok || k.isStructured() {
			r.fail(at, "%s takes %s", k.Path, k.wants())
			return
		}
		e.text = text
	}
	r.entries[k.Path] = e
}

func (k Key) wants() string {
	switch {
	case k.Path == "webhooks":
		return `a list such as [{name: desk, url: "https://desk.example.com/alerts"}]`
	case k.isStructured():
		return "a list such as [{topic: orders, mapping: canonical}]"
	case k.IsList():
		return "a list of plain values"
	default:
		return "one plain value"
	}
}

// scalar is the text of a plain value as it was written.
func scalar(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.StringNode:
		return v.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// allPaths are the keys and the sections that hold them, for suggestions.
func allPaths() []string {
	known := map[string]bool{}
	for path := range keysByPath {
		known[path] = true
		for i := strings.LastIndexByte(path, '.'); i > 0; i = strings.LastIndexByte(path, '.') {
			path = path[:i]
			known[path] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// childrenOf are the keys directly below a path.
func childrenOf(path string) []string {
	seen := map[string]bool{}
	for _, k := range keys {
		if rest, ok := strings.CutPrefix(k.Path, path+"."); ok {
			name, _, _ := strings.Cut(rest, ".")
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
