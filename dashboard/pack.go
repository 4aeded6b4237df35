package dashboard

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The page's own modules are sent as one script: a request instead of twenty, and a third less to send, since they share their words.
// They stay modules: each is a function of its own in the pack, in an order in which what is imported stands first. This is no compiler:
// it knows the few forms in which our modules import and export, and refuses every other.
var (
	importLine = regexp.MustCompile(`^import (?:(\{[^}]*\}|\* as \w+|\w+) from )?'([^']+)'$`)
	exportLine = regexp.MustCompile(`^export ((?:async )?function|const|class) (\w+)`)
	comment    = regexp.MustCompile(`^(//( |$)|/\*\*|\* |\*/)`)
	renamed    = regexp.MustCompile(` as `)
)

// pack makes one module of the one named and of all that it imports by ./name. read gives a module's source.
func pack(name string, read func(name string) (string, error)) (string, error) {
	p := &packer{read: read, state: map[string]int{}}
	if err := p.add(name); err != nil {
		return "", err
	}
	var out strings.Builder
	for i, lib := range p.libraries {
		fmt.Fprintf(&out, "import * as v%d from '%s'\n", i, lib)
	}
	for i, body := range p.modules {
		fmt.Fprintf(&out, "const m%d = (() => {\n%s})()\n", i, body)
	}
	return out.String(), nil
}

type packer struct {
	read      func(string) (string, error)
	state     map[string]int // 0 unknown, −1 being read, else its place in modules plus one
	modules   []string
	libraries []string
}

func (p *packer) add(name string) error {
	if p.state[name] != 0 {
		if p.state[name] < 0 {
			return fmt.Errorf("%s: imports itself by way of others", name)
		}
		return nil
	}
	p.state[name] = -1
	source, err := p.read(name)
	if err != nil {
		return err
	}
	var body strings.Builder
	var exports []string
	for n, line := range strings.Split(source, "\n") {
		line = strings.TrimLeft(line, " ")
		switch {
		case line == "" || comment.MatchString(line):
			continue
		case strings.HasPrefix(line, "import "):
			if line, err = p.imported(line); err != nil {
				return fmt.Errorf("%s:%d: %w", name, n+1, err)
			}
		case strings.HasPrefix(line, "export "):
			m := exportLine.FindStringSubmatch(line)
			if m == nil {
				return fmt.Errorf("%s:%d: export a function, a const or a class by its name, so that it can be packed: %s", name, n+1, line)
			}
			exports, line = append(exports, m[2]), strings.TrimPrefix(line, "export ")
		}
		if line != "" {
			body.WriteString(line + "\n")
		}
	}
	fmt.Fprintf(&body, "return { %s }\n", strings.Join(exports, ", "))
	p.modules = append(p.modules, body.String())
	p.state[name] = len(p.modules)
	return nil
}

// imported is an import as a declaration in the pack.
func (p *packer) imported(line string) (string, error) {
	m := importLine.FindStringSubmatch(line)
	if m == nil {
		return "", fmt.Errorf("write an import as one line, import { a, b } from './name.js', so that it can be packed: %s", line)
	}
	what, from, value := m[1], m[2], ""
	if strings.HasPrefix(from, "./") {
		from = path.Clean(from)
		if err := p.add(from); err != nil {
			return "", err
		}
		value = fmt.Sprintf("m%d", p.state[from]-1)
	} else {
		if !slices.Contains(p.libraries, from) {
			p.libraries = append(p.libraries, from)
		}
		value = fmt.Sprintf("v%d", slices.Index(p.libraries, from))
	}
	switch {
	case what == "":
		return "", nil
	case strings.HasPrefix(what, "* as "):
		return fmt.Sprintf("const %s = %s", what[len("* as "):], value), nil
	case strings.HasPrefix(what, "{"):
		return fmt.Sprintf("const %s = %s", renamed.ReplaceAllString(what, ": "), value), nil
	}
	return fmt.Sprintf("const { default: %s } = %s", what, value), nil
}
