package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// The modules and the libraries are sent as a few scripts: one with what every page needs, and one for each page that app.js imports when
// it is gone to. That is half as much as the modules would be, and a page waits for no other. They stay modules in the source, and
// nothing is built beforehand: the server joins and minifies them when it starts.

// bundle is the scripts by name, each with those that it imports at once, and the modules that they were made of.
type bundle struct {
	scripts map[string][]byte
	imports map[string][]string
	modules []string
}

// entry is the script that the page begins with.
const entry = "all.js"

// pack makes scripts of the module named and of all that it imports, by ./name or by the names in libraries, which are paths of files.
func pack(files fs.FS, name string, libraries map[string]string) (bundle, error) {
	out := bundle{scripts: map[string][]byte{}, imports: map[string][]string{}}
	var mu sync.Mutex // modules are loaded at once
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: "./" + name, OutputPath: strings.TrimSuffix(entry, ".js")}},
		Bundle:              true, Splitting: true, Outdir: "/", ChunkNames: "part-[hash]", Metafile: true,
		Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		LegalComments: api.LegalCommentsNone, // the licences are served beside the libraries
		TreeShaking:   api.TreeShakingTrue,
		LogLevel:      api.LogLevelSilent,
		Plugins: []api.Plugin{{Name: "embedded", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
				return resolve(a, libraries)
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				source, err := fs.ReadFile(files, a.Path)
				if err != nil {
					return api.OnLoadResult{}, err
				}
				mu.Lock()
				out.modules = append(out.modules, a.Path)
				mu.Unlock()
				text := string(source)
				if path.Dir(a.Path) == "." {
					text = flush(text)
				}
				return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
			})
		}}},
	})
	var errs []error
	for _, e := range append(result.Errors, result.Warnings...) {
		where := name
		if e.Location != nil {
			where = fmt.Sprintf("%s:%d", strings.TrimPrefix(e.Location.File, "embedded:"), e.Location.Line)
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, e.Text))
	}
	if len(errs) > 0 {
		return out, errors.Join(errs...)
	}
	var meta struct {
		Outputs map[string]struct {
			Imports []struct{ Path, Kind string }
		}
	}
	if err := json.Unmarshal([]byte(result.Metafile), &meta); err != nil {
		return out, err
	}
	for _, file := range result.OutputFiles {
		out.scripts[path.Base(file.Path)] = file.Contents
	}
	for file, of := range meta.Outputs {
		for _, i := range of.Imports {
			if i.Kind == "import-statement" {
				out.imports[path.Base(file)] = append(out.imports[path.Base(file)], path.Base(i.Path))
			}
		}
	}
	return out, nil
}

// with is a script and all that it imports at once, itself first.
func (b bundle) with(name string) []string {
	list := []string{name}
	for i := 0; i < len(list); i++ {
		for _, next := range b.imports[list[i]] {
			if !slices.Contains(list, next) {
				list = append(list, next)
			}
		}
	}
	return list
}

func resolve(a api.OnResolveArgs, libraries map[string]string) (api.OnResolveResult, error) {
	to := libraries[a.Path]
	switch {
	case strings.HasPrefix(a.Path, "./"):
		to = path.Join(path.Dir(a.Importer), a.Path)
	case to == "":
		return api.OnResolveResult{}, fmt.Errorf("%s is no library of the page: import ./name.js, or what the import map of index.html names", a.Path)
	}
	return api.OnResolveResult{Path: to, Namespace: "embedded"}, nil
}

// betweenTags are the ends of lines in templates at which nothing is shown.
var betweenTags = strings.NewReplacer(">\n<", "><", ">\n${", ">${", "}\n<", "}<")

// flush takes the indentation away, which templates would carry into the script, and the ends of lines between their tags. Our modules hold
// no text in which either means anything.
func flush(source string) string {
	lines := strings.Split(source, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, " ")
	}
	return betweenTags.Replace(strings.Join(lines, "\n"))
}
