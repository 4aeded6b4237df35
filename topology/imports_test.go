package topology_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The one-way rule of DESIGN.md §6: cmd → configs → {processors, views, dashboard} → topology → libraries. A package may
// import packages of its own unit and of lower layers; units of one layer never import each other.
var layers = [][]string{{"cmd"}, {"configs"}, {"processors", "views", "dashboard"}, {"topology"}}

// restricted libraries, and the files (path.Match patterns) that may import them: they are hidden behind these.
var restricted = map[string][]string{
	"github.com/lovoo/goka":                   {"topology/engine/*.go", "processors/*/group.go", "views/*.go"},
	"github.com/IBM/sarama":                   {"topology/engine/*.go"},
	"github.com/syndtr/goleveldb":             {"topology/engine/*.go"},
	"github.com/prometheus/prometheus":        {"views/prom/*.go"},
	"github.com/twmb/franz-go/pkg/kfake":      {"topology/broker/*.go"},
	"github.com/evanw/esbuild":                {"dashboard/pack.go"},
	"github.com/twmb/franz-go/pkg/sasl/plain": {"topology/client/*.go"},
	"github.com/twmb/franz-go/pkg/sasl/scram": {"topology/client/*.go"},
}

// exceptions are files that break the rule on libraries for now. One that no longer does must go from here.
var exceptions = map[string]string{
	"cmd/weir/internal/pipeline/server.go": "github.com/lovoo/goka", // names the type of a view's options
}

type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string
	Module          *struct{ Path, Dir string }
}

func ownPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Module", "weir/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var ps []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	if len(ps) < 10 {
		t.Fatalf("go list found only %d packages", len(ps))
	}
	return ps
}

// place returns the layer of a package and its unit there: processors/orders is one, views with everything below it
// another. The rule language stands between the groups and topology. All of topology is one unit, in which Go itself forbids cycles.
func place(t *testing.T, pkg string) (layer int, unit string) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(pkg, "weir/"), "/")
	for n, names := range layers {
		i := 2 * n
		if slices.Contains(names, parts[0]) {
			switch {
			case len(parts) > 1 && parts[1] == "rule" && parts[0] == "processors":
				return i + 1, "processors/rule" // the language that the groups share
			case len(parts) > 1 && parts[0] == "processors":
				return i, parts[0] + "/" + parts[1]
			}
			return i, parts[0]
		}
	}
	t.Fatalf("%s belongs to no layer; DESIGN.md §6 names them", pkg)
	return 0, ""
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range ownPackages(t) {
		layer, unit := place(t, p.ImportPath)
		for _, to := range p.Imports {
			if to != "weir" && !strings.HasPrefix(to, "weir/") {
				continue
			}
			toLayer, toUnit := place(t, to)
			switch {
			case toLayer < layer:
				t.Errorf("%s imports %s, which stands above it", p.ImportPath, to)
			case toLayer == layer && toUnit != unit:
				t.Errorf("%s imports its sibling %s; what both need belongs to topology", p.ImportPath, to)
			}
		}
	}
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	used := map[string]bool{}
	for _, p := range ownPackages(t) {
		rel, err := filepath.Rel(p.Module.Dir, p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			file := path.Join(filepath.ToSlash(rel), name)
			for _, spec := range f.Imports {
				to, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				lib, ok := forbidden(t, file, to)
				switch {
				case !ok:
				case exceptions[file] == lib:
					used[file] = true
				default:
					t.Errorf("%s imports %s; only %s may", file, to, strings.Join(restricted[lib], ", "))
				}
			}
		}
	}
	for file, lib := range exceptions {
		if !used[file] {
			t.Errorf("%s no longer imports %s: remove the exception", file, lib)
		}
	}
}

// forbidden tells whether a file may not import a package, and of which restricted library that is.
func forbidden(t *testing.T, file, to string) (string, bool) {
	t.Helper()
	for lib, allowed := range restricted {
		if to != lib && !strings.HasPrefix(to, lib+"/") {
			continue
		}
		return lib, !slices.ContainsFunc(allowed, func(pattern string) bool {
			ok, err := path.Match(pattern, file)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		})
	}
	return "", false
}
