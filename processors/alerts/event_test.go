package alerts

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/table"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// schema is as much of JSON Schema as alert.schema.json uses. What it does not know fails.
type schema struct{ defs map[string]any }

func (s schema) check(at string, rules map[string]any, value any) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, at+" "+fmt.Sprintf(format, args...)) }
	for _, word := range slices.Sorted(maps.Keys(rules)) {
		want := rules[word]
		switch word {
		case "$schema", "title", "description", "$defs":
		case "$ref":
			faults = append(faults, s.check(at, s.defs[filepath.Base(want.(string))].(map[string]any), value)...)
		case "const":
			if value != want {
				fault("is %v, not %v", value, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), value) {
				fault("is %v, not one of %v", value, want)
			}
		case "type":
			if kind := kindOf(value); kind != want {
				fault("is of type %s, not %v", kind, want)
			}
		case "pattern":
			if text, _ := value.(string); !regexp.MustCompile(want.(string)).MatchString(text) {
				fault("is %q, which %v does not match", text, want)
			}
		case "format":
			if _, err := time.Parse(time.RFC3339Nano, value.(string)); err != nil {
				fault("is no time: %v", err)
			}
		case "minimum":
			if value.(float64) < want.(float64) {
				fault("is %v, below %v", value, want)
			}
		case "maximum":
			if value.(float64) > want.(float64) {
				fault("is %v, above %v", value, want)
			}
		case "maxItems":
			if n := len(value.([]any)); float64(n) > want.(float64) {
				fault("has %d items", n)
			}
		case "required":
			for _, name := range want.([]any) {
				if _, ok := value.(map[string]any)[name.(string)]; !ok {
					fault("lacks %v", name)
				}
			}
		case "properties":
			for name, inner := range value.(map[string]any) {
				described, ok := want.(map[string]any)[name].(map[string]any)
				if !ok {
					fault("has %s, which is not described", name)
					continue
				}
				faults = append(faults, s.check(at+"."+name, described, inner)...)
			}
		case "items":
			for i, inner := range value.([]any) {
				faults = append(faults, s.check(fmt.Sprint(at, "[", i, "]"), want.(map[string]any), inner)...)
			}
		default:
			fault("cannot be checked: the test does not know the word %s", word)
		}
	}
	return faults
}

func kindOf(value any) string {
	switch v := value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

func loadSchema(t *testing.T) func(event []byte) []string {
	raw, err := os.ReadFile("alert.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	s := schema{defs: root["$defs"].(map[string]any)}
	return func(event []byte) []string {
		var value any
		if err := json.Unmarshal(event, &value); err != nil {
			t.Fatal(err)
		}
		return s.check("event", root, value)
	}
}

// tellings plays the life of an alert and returns what topic alerts gets.
func tellings(t *testing.T) (events [][]byte) {
	d := newDesk(t, velocity())
	names := topology.Names{Prefix: "shop-"}
	step := func(in Input) {
		t.Helper()
		row := d.read()
		out := d.step(in)
		if err := row.UnmarshalVT(d.row); err != nil {
			t.Fatal(err)
		}
		for i := range out.Tell {
			value, err := cloudEvent(names, d.read(), &out.Tell[i])
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, value)
		}
	}
	f := found("velocity", 1, 10)
	f.Predicates = []*table.Predicate{{Text: "count(failed by customer, 5m) > 5", Feature: "count(failed by customer, 5m)", Entity: entity, Observed: "7",
		Operator: ">", Threshold: "5", FromMs: int64(minute(5)), ToMs: int64(minute(10)), EventsTotal: 7, Events: []*table.Place{
			{Topic: "payments", Partition: 3, Offset: 1207, Id: "e7", AtMs: int64(minute(10)), Type: "payment.failed", OrderId: "o1"}}},
		{Text: "order.total > 10.00 EUR", Observed: "12.00 EUR", Operator: ">", Threshold: "10.00 EUR"}}
	step(Input{Finding: f})
	step(Input{Finding: found("velocity", 2, 12)})
	decide := func(id, action string, at int) {
		step(Input{Decision: &table.Decision{Id: id, Alert: idAt(10), Entity: entity, Action: action, Author: "ana", Reason: "known tester",
			SeenAtMs: int64(minute(at)), UntilMs: int64(minute(90)), Assignee: "ben"}})
	}
	decide("d1", alert.Assign, 13)
	decide("d2", alert.Snooze, 14)
	step(Input{Finding: found("velocity", 3, 4)})
	d.watermark = minute(60)
	step(Input{})
	for hit, at := range map[uint64]int{1: 10, 2: 12, 3: 4} {
		if at != 4 {
			step(Input{Finding: withdrawn(found("velocity", hit, at))})
		}
	}
	step(Input{Finding: withdrawn(found("velocity", 3, 4))})
	return events
}

func TestEventsAreCloudEventsAsTheSchemaSays(t *testing.T) {
	check := loadSchema(t)
	var golden bytes.Buffer
	types, ids := map[string]bool{}, map[string]bool{}
	for _, value := range tellings(t) {
		for _, f := range check(value) {
			t.Error(f)
		}
		var e struct{ ID, Type string }
		if err := json.Unmarshal(value, &e); err != nil {
			t.Fatal(err)
		}
		if ids[e.ID] {
			t.Errorf("two events have the id %s", e.ID)
		}
		ids[e.ID], types[e.Type] = true, true
		if err := json.Indent(&golden, value, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden.WriteByte('\n')
	}
	if len(types) != 6 {
		t.Errorf("told were only %v", types)
	}
	const path = "testdata/events.json"
	if *rewrite {
		if err := os.WriteFile(path, golden.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden.Bytes(), want) {
		t.Errorf("events are not those of %s; if they should be, run with -rewrite:\n%s", path, golden.Bytes())
	}
}

func TestTheSchemaRefusesWhatIsNoEvent(t *testing.T) {
	check := loadSchema(t)
	good := tellings(t)[0]
	for _, change := range [][2]string{
		{`"specversion":"1.0"`, `"specversion":"2"`}, {`"type":"weir.alert.opened"`, `"type":"opened"`}, {`"subject":`, `"object":`},
		{`"score":50`, `"score":101`}, {`"amount":"1000"`, `"amount":10.00`}, {`"started":"2026`, `"started":"26`}, {`"observed":"7",`, ``},
	} {
		bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, good) {
			t.Errorf("the event has no %s", change[0])
		}
		if len(check(bad)) == 0 {
			t.Errorf("with %s the schema has nothing to say", change[1])
		}
	}
}
