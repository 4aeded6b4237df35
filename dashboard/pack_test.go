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
	script := string(got.scripts[entry])
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

// A page that is imported when it is gone to is a script of its own, and what both need is in a third.
func TestPagesAreScriptsOfTheirOwn(t *testing.T) {
	got, err := packedFrom(t, map[string]string{
		"a.js":    "import { both } from './both.js'\nconsole.log(both, import('./page.js'))\n",
		"page.js": "import { both } from './both.js'\nexport const page = () => 'the page' + both\n",
		"both.js": "export const both = 'what both need'\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := got.with(entry); len(all) != 2 || len(got.scripts) != 3 {
		t.Fatalf("%d scripts, of which %v are loaded at once", len(got.scripts), all)
	}
	for _, name := range got.with(entry) {
		if strings.Contains(string(got.scripts[name]), "the page") {
			t.Errorf("%s has the page in it", name)
		}
	}
}

// All script that one page loads, whichever it is, stays small enough to be there before anybody waits.
func TestScriptsStaySmall(t *testing.T) {
	all, total := packed(), 0
	size := func(names []string) (n int) {
		for _, name := range names {
			n += len(scripts()["/"+name].gzipped)
		}
		return n
	}
	for name := range all.scripts {
		total += len(scripts()["/"+name].gzipped)
		of := all.with(entry)
		for _, more := range all.with(name) {
			if !slices.Contains(of, more) {
				of = append(of, more)
			}
		}
		if n := size(of); n > 70<<10 || n < 10<<10 {
			t.Errorf("%s: a page with it loads %d bytes of compressed script, at most 70 KiB", name, n)
		} else {
			t.Logf("%s: a page with it loads %d bytes of compressed script", name, n)
		}
	}
	t.Logf("%d bytes at first, %d in all", size(all.with(entry)), total)
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
