package rule

import (
	"strings"
	"testing"
)

// Short files that mean huge documents, or that would make a reader of YAML go as deep as they do, are refused at once and with the place.
func TestFilesThatWouldOverwhelmAreRefused(t *testing.T) {
	bomb := "lists:\n  - name: a\n    entries: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for _, c := range []string{"b a", "c b", "d c", "e d", "f e", "g f", "h g", "i h", "j i"} {
		this, last := c[:1], c[2:]
		bomb += "  - name: " + this + "\n    entries: &" + this + " [" + strings.TrimSuffix(strings.Repeat("*"+last+", ", 10), ", ") + "]\n"
	}
	for name, c := range map[string]struct{ text, says string }{
		"aliases of aliases": {bomb, "f:3:14: anchors and aliases"},
		"merged keys":        {"rules:\n  - {id: a}\n  - <<: x\n", "f:3:5: anchors and aliases"},
		"tags":               {"rules:\n  - id: a\n    when: !known(coupon)\n", "f:3:11: tags"},
		"complex keys":       {"? rules\n: []\n", "f:1:1: keys written with ?"},
		"brackets":           {"rules:\n  - " + strings.Repeat("[", 50_000), "f:2:21: there are more than 16 brackets"},
		"braces":             {"rules: " + strings.Repeat("{a: ", 50_000), "f:1:72: there are more than 16 brackets"},
		"lists within lists": {"rules:\n  " + strings.Repeat("- ", 50_000), "f:2:19: there are more than 8 lists"},
		"very many entries":  {"rules: [" + strings.Repeat("x,", 126_000) + "x]", "f:1:250006: the file has more than 250000 words and signs"},
		"too many to count":  {"rules: [" + strings.Repeat("x,", 900_000) + "x]", "f: the file has more than 500000 words and signs"},
	} {
		_, err := Parse("f", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	if _, err := Parse("f", []byte("rules:\n  - id: a\n    when: '!known(coupon)'\n")); err != nil {
		t.Errorf("a text in quotes is refused: %v", err)
	}
}

// Reading takes a time that grows with the file: a list of the greatest length, in each way of writing it, and the same with a mistake.
func TestLongListsAreRead(t *testing.T) {
	const n = maxListEntries
	for name, text := range map[string]string{
		"a line each":     "entries:\n" + strings.Repeat("      - x\n", n),
		"one line":        "entries: [" + strings.Repeat("x, ", n-1) + "x]\n",
		"with their ends": "entries:\n" + strings.Repeat("      - {value: x, until: 2026-02-01}\n", n/3),
	} {
		d, err := Parse("f", []byte("lists:\n  - name: a\n    "+text+"rules: []\n"))
		if err != nil || len(d.Lists[0].Entries) < n/3 || d.Lists[0].Entries[n/3-1].Value != "x" {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	for name, text := range map[string]string{
		"f:1:9: string was used": "rules: [" + strings.Repeat("x, ", n) + "x]\n",
		"f:4:11: unknown field":  "lists:\n  - name: a\n    entries:\n        - wrong: x\n" + strings.Repeat("        - x\n", n),
	} {
		if _, err := Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s: %.200v", name, err)
		}
	}
}
