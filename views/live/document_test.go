package live_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"weir/views/live"
)

// document is asyncapi.yaml as clients get it.
func document(t *testing.T) any {
	t.Helper()
	data, err := live.Document()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// within finds what stands at a path of an object.
func within(t *testing.T, doc any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		doc = doc.(map[string]any)[name]
	}
	found, ok := doc.(map[string]any)
	if !ok {
		t.Fatalf("the document has no %v", path)
	}
	return found
}

// The document is valid by the schema that AsyncAPI publishes for its version 3.1.0 (Apache-2.0, github.com/asyncapi/spec-json-schemas).
func TestDocumentIsAsyncAPI(t *testing.T) {
	packed, err := os.Open("testdata/asyncapi-3.1.0.schema.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(plain)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("asyncapi.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(document(t)); err != nil {
		t.Error(err)
	}
}

// schemas are those of the messages of a channel, by message.
func schemas(t *testing.T, channel string) map[string]*jsonschema.Schema {
	t.Helper()
	doc := document(t)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // what AsyncAPI's schemas extend
	c.AssertFormat()
	if err := c.AddResource("weir.json", doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]*jsonschema.Schema{}
	for name := range within(t, doc, "channels", channel, "messages") {
		schema, err := c.Compile("weir.json#/components/messages/" + name + "/payload")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = schema
	}
	return out
}

// scripted is one line of a transcript.
type scripted struct {
	Client, Server json.RawMessage
	Open, Cut      int
	State          map[string]held
	Closed         *struct{ Code int }
}

func script(t *testing.T, name string) (lines []scripted) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "transcripts", name+".ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		var line scripted
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEveryFrameAndCloseCodeIsAsDocumented(t *testing.T) {
	by, seen, codes := schemas(t, "socket"), map[string]bool{}, map[string]bool{}
	check := func(name string, frame json.RawMessage) {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(frame))
		if err != nil {
			t.Fatal(err)
		}
		kind := fmt.Sprint(value.(map[string]any)["type"])
		schema := by[kind]
		if schema == nil {
			t.Errorf("%s: a frame of type %q is not documented", name, kind)
			return
		}
		seen[kind] = true
		if err := schema.Validate(value); err != nil && !refused(frame) {
			t.Errorf("%s: %s\n%v", name, frame, err)
		}
	}
	for name := range transcripts {
		for _, line := range script(t, name) {
			switch {
			case line.Client != nil:
				check(name, line.Client)
			case line.Server != nil:
				check(name, line.Server)
			case line.Closed != nil:
				codes[fmt.Sprint(line.Closed.Code)] = true
			}
		}
	}
	if want := slices.Sorted(maps.Keys(by)); !slices.Equal(slices.Sorted(maps.Keys(seen)), want) {
		t.Errorf("transcripts have the frames %v of %v", slices.Sorted(maps.Keys(seen)), want)
	}
	documented := slices.Sorted(maps.Keys(within(t, document(t), "channels", "socket", "x-close-codes")))
	if got := slices.Sorted(maps.Keys(codes)); !slices.Equal(got, documented) {
		t.Errorf("transcripts end with the codes %v of %v", got, documented)
	}
}

// refused tells of the frames that a transcript has to show how the server refuses them.
func refused(frame []byte) bool {
	return strings.Contains(string(frame), `"topic":"weather"`) || strings.Contains(string(frame), `"topic":"broken"`)
}

func TestFramesThatAreNotAsDocumentedAreFound(t *testing.T) {
	by := schemas(t, "socket")
	for kind, frame := range map[string]string{
		"delta": `{"type":"delta","id":"a","epoch":"e","from":1,"to":2,"ops":[["x","key"]],"server_time":"2026-01-01T12:00:00Z","watermark":null,"as_of":null,"caught_up_at":null,"lag_records":0,"partitions":{"present":8,"expected":8}}`,
		"sub":   `{"type":"sub","id":"a","topic":"metrics/orders","interval_ms":1}`,
		"gap":   `{"type":"gap"}`,
		"tick":  `{"type":"tick","server_time":"yesterday","watermark":null,"as_of":null,"caught_up_at":null,"lag_records":0,"partitions":{"present":8,"expected":8}}`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(frame))
		if err != nil {
			t.Fatal(err)
		}
		if by[kind].Validate(value) == nil {
			t.Errorf("%s passes", frame)
		}
	}
}

// The client of these tests holds what each transcript says it must.
func TestClientFollowsTheTranscripts(t *testing.T) {
	states := 0
	for name := range transcripts {
		c := &client{t: t, subs: map[string]*state{}, frames: map[string]int{}, last: map[string]json.RawMessage{}}
		for n, line := range script(t, name) {
			switch {
			case line.Client != nil:
				var f struct{ Type, ID string }
				if err := json.Unmarshal(line.Client, &f); err != nil {
					t.Fatal(err)
				}
				if f.Type == "sub" && c.subs[f.ID] == nil {
					c.subs[f.ID] = &state{rows: map[string]string{}}
				}
			case line.Server != nil:
				if err := c.apply(line.Server); err != nil {
					t.Fatalf("%s, line %d: %v", name, n+1, err)
				}
			}
			for id, want := range line.State {
				states++
				s := c.subs[id]
				if !s.whole || s.seq != want.Seq || len(s.rows) != len(want.Rows) {
					t.Errorf("%s, line %d: the client stands at %d with %d rows, and must at %d with %d", name, n+1, s.seq, len(s.rows), want.Seq, len(want.Rows))
				}
				for key, row := range want.Rows {
					if s.rows[key] != string(row) {
						t.Errorf("%s, line %d: row %s is %s, and must be %s", name, n+1, key, s.rows[key], row)
					}
				}
			}
		}
	}
	if states < 10 {
		t.Errorf("only %d states were compared", states)
	}
}
