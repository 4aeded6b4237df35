package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// whole is the scanner's verdict on a complete record.
func whole(b []byte) (Kind, Fault) {
	i, kind, fault := Value(b, Space(b, 0), 0)
	if fault == OK && Space(b, i) != len(b) {
		fault = Syntax
	}
	return kind, fault
}

var seeds = []string{
	`{}`, `[]`, `0`, `-0`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `1E-7`, `-1.5e+10`, `+1`, `0x1`, `NaN`, `Infinity`, `tru`, `true`, `false`, `null`, `nul`,
	`""`, `"`, `"a`, `"\"`, `"\u12"`, `"\u00e9"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\x"`, `"\/\b\f\n\r\t\\\""`,
	"\"a\x00\"", "\"a\tb\"", "\"\x7f\"", "\"\xff\"", "\"\xc3\x28\"", "\"\xed\xa0\x80\"", `"日本語のテキスト"`, `"longer than eight bytes é and on"`,
	`{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" : [1, 2 ,{"b":null}] } `, `{"a":1,"a":2}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`,
	`1 2`, `{}}`, ``, ` `, "\ufeff{}", `[[[[[[]]]]]]`, `{"a":tru}`, `"\u000`, `"\ud83d\u`, `"\ud83d\`, `"1234567\"89"`, "\v1", "1\f",
}

// FuzzScan: a record is accepted if, and only if, jsontext accepts it (duplicate names are the caller's business), and a
// string's text is encoding/json's.
func FuzzScan(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, fault := whole(b)
		if fault == Depth {
			return
		}
		want := jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true))
		if (fault == OK) != want {
			t.Fatalf("%q: scanner says %v, jsontext says valid=%v", b, fault, want)
		}
		if fault != OK {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q: accepted, but encoding/json refuses it", b)
		}
		if kind == String || kind == Escaped {
			var text string
			if err := json.Unmarshal(b, &text); err != nil {
				t.Fatal(err)
			}
			raw := strings.TrimSpace(string(b))
			raw = raw[1 : len(raw)-1]
			if kind == Escaped {
				raw = string(AppendUnescaped(nil, []byte(raw)))
			}
			if raw != text {
				t.Fatalf("%q: text %q, encoding/json %q", b, raw, text)
			}
		}
	})
}

func TestTruncationIsTold(t *testing.T) {
	const record = `{"a":[1.5e3,"x\u00e9\ud83d\ude00",{"b":true}],"c":null}`
	for n := 1; n < len(record); n++ {
		if _, fault := whole([]byte(record[:n])); fault == OK {
			t.Errorf("%q: accepted", record[:n])
		}
	}
}

func TestDepthIsLimited(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, fault := whole(nested(MaxDepth)); fault != OK {
		t.Errorf("%d deep: %v", MaxDepth, fault)
	}
	if _, fault := whole(nested(MaxDepth + 1)); fault != Depth {
		t.Errorf("%d deep: %v, want Depth", MaxDepth+1, fault)
	}
	if _, fault := whole([]byte(strings.Repeat(`{"a":`, 1_000_000))); fault != Depth {
		t.Errorf("a million braces: %v, want Depth", fault)
	}
	if !jsontext.Value(nested(MaxDepth)).IsValid() {
		t.Errorf("the oracle refuses %d deep", MaxDepth)
	}
}
