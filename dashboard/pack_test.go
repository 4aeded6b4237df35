package dashboard

import (
	"fmt"
	"strings"
	"testing"
)

func packed(t *testing.T, files map[string]string) (string, error) {
	t.Helper()
	return pack("a.js", func(name string) (string, error) {
		source, ok := files[name]
		if !ok {
			return "", fmt.Errorf("there is no %s", name)
		}
		return source, nil
	})
}

func TestModulesArePackedInTheOrderOfTheirImports(t *testing.T) {
	got, err := packed(t, map[string]string{
		"a.js": "// A comment.\nimport { x as y, z } from './b.js'\nimport lib from 'lib'\nimport './c.js'\nimport * as all from './c.js'\n\ny(z, lib, all)\n",
		"b.js": "import { k } from './c.js'\n/** Doc. */\nexport const x = k\n  export async function z() {}\n",
		"c.js": "import 'lib'\nexport const k = 1 // stays\n",
	})
	want := `import * as v0 from 'lib'
const m0 = (() => {
const k = 1 // stays
return { k }
})()
const m1 = (() => {
const { k } = m0
const x = k
async function z() {}
return { x, z }
})()
const m2 = (() => {
const { x: y, z } = m1
const { default: lib } = v0
const all = m0
y(z, lib, all)
return {  }
})()
`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestWhatCannotBePackedIsRefused(t *testing.T) {
	for source, says := range map[string]string{
		"import {\n  x } from './b.js'":       "a.js:1: write an import as one line",
		"export default function () {}":       "a.js:1: export a function",
		"export { x }":                        "export a function",
		"export let x = 1":                    "export a function",
		"import { x } from './nowhere.js'":    "there is no nowhere.js",
		"import { x } from './b.js'\nx()\n":   "imports itself",
		"const x = 1\nimport y from 'a', 'b'": "a.js:2",
	} {
		_, err := packed(t, map[string]string{"a.js": source, "b.js": "import { y } from './a.js'\nexport const x = y"})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", source, err, says)
		}
	}
}
