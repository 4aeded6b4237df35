package dashboard

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func packedFrom(t *testing.T, files map[string]string) (bundle, error) {
	t.Helper()
	in := fstest.MapFS{"vendor/lib.mjs": {Data: []byte("export const lib = () => '  from the library'")}}
	for name, source := range files {
		in[name] = &fstest.MapFile{Data: []byte(source)}
	}
	return pack(in, "a.js", map[string]string{"lib": "vendor/lib.mjs"})
}

func TestModulesAndLibrariesBecomeOneScript(t *testing.T) {
	got, err := packedFrom(t, map[string]string{
		"a.js": "// A comment.\nimport { x as y } from './b.js'\nimport { lib } from 'lib'\n\nconsole.log(y, lib(), `one\n    two`)\n",
		"b.js": "/** Doc. */\nexport const x = 'from b', unused = 'nobody asks for this'\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	script := string(got.script)
	for _, want := range []string{"from b", "  from the library", "one\ntwo"} {
		if !strings.Contains(script, want) {
			t.Errorf("%q is not in the script:\n%s", want, script)
		}
	}
	for _, not := range []string{"comment", "Doc", "import", "nobody asks"} {
		if strings.Contains(script, not) {
			t.Errorf("%q is in the script:\n%s", not, script)
		}
	}
	if len(got.modules) != 3 {
		t.Errorf("made of %v, want three modules", got.modules)
	}
}

func TestWhatCannotBePackedIsRefused(t *testing.T) {
	for source, says := range map[string]string{
		"import { x } from './nowhere.js'\nx()":  "a.js:1: open nowhere.js: file does not exist",
		"\nimport x from 'react'\nx()":           "a.js:2: react is no library of the page",
		"import { y } from './b.js'\ny()":        "a.js:1: No matching export in \"embedded:b.js\" for import \"y\"",
		"const x = 1\nconst x = 2":               "a.js:2: The symbol \"x\" has already been declared",
		"let x = `never ends":                    "a.js:1: Unterminated string literal",
		"const x = 1\nx = 2\nconsole.log(x)\n\n": "a.js:2",
	} {
		_, err := packedFrom(t, map[string]string{"a.js": source, "b.js": "export const x = 1"})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", source, err, says)
		}
	}
}

// What the page loads is one script: each of our modules is in it, so none is there that nobody imports.
func TestEveryModuleIsPacked(t *testing.T) {
	files, err := fs.Glob(web, "web/*.js")
	if err != nil || len(files) < 10 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		if !slices.Contains(packed().modules, strings.TrimPrefix(file, "web/")) {
			t.Errorf("%s is imported by nobody", file)
		}
	}
}
