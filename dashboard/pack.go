package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// The page's modules and the libraries are sent as one script: one request instead of thirty, and half as much to send. They stay
// modules in the source, and nothing is built beforehand: the server joins and minifies them when it starts.

// bundle is a script, and the modules that it was made of.
type bundle struct {
	script  []byte
	modules []string
}

// pack makes one script of the module named and of all that it imports, by ./name or by the names in libraries, which are paths of files.
func pack(files fs.FS, name string, libraries map[string]string) (bundle, error) {
	var out bundle
	var mu sync.Mutex // modules are loaded at once
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{"./" + name},
		Bundle:      true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
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
	out.script = result.OutputFiles[0].Contents
	return out, nil
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

// flush takes the indentation away, which templates would carry into the script. Our modules hold no text in which it means anything.
func flush(source string) string {
	lines := strings.Split(source, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, " ")
	}
	return strings.Join(lines, "\n")
}
