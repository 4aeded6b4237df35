package alerts

import (
	"testing"

	"weir/topology/event"
	"weir/topology/table"
)

func FuzzRecordsAreReadOrRefused(f *testing.F) {
	good, _ := found("velocity", 1, 0).MarshalVT()
	decision, _ := (&table.Decision{Id: "d1", Alert: "a", Entity: entity, Action: "confirm", Author: "ana", SeenAtMs: 1}).MarshalVT()
	row, _ := (&table.Case{Pending: []*table.Pending{{}}, DueMs: 77}).MarshalVT()
	for _, seed := range [][]byte{nil, good, decision, row, {0x0a, 0xff}} {
		f.Add(entity, seed)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		d := newDesk(t, velocity())
		if finding, err := parseFinding(key, value); err == nil {
			d.step(Input{Finding: finding})
		}
		if decision, err := parseDecision(key, value); err == nil {
			d.step(Input{Decision: decision})
		}
		var c table.Case
		at, ok := dueAt(value)
		if c.UnmarshalVT(value) == nil && c.DueMs > 0 && (!ok || at != event.UnixMilli(c.DueMs)) && !repeats(value) {
			t.Errorf("the row is due at %d, read was %d", c.DueMs, at)
		}
	})
}

// repeats reports that an encoding gives the field of due_ms more than once: weir's own never do, and then the last counts.
func repeats(row []byte) bool {
	var c table.Case
	if c.UnmarshalVT(row) != nil {
		return false
	}
	canonical, err := c.MarshalVT()
	return err != nil || len(canonical) != len(row)
}

func TestWhatIsNoRecordOfOursIsRefused(t *testing.T) {
	encode := func(m interface{ MarshalVT() ([]byte, error) }) []byte {
		raw, err := m.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	part := func(n, of uint32) *table.Finding {
		f := found("velocity", 1, 0)
		f.Part, f.Parts = n, of
		return f
	}
	for name, c := range map[string]struct {
		key   string
		value []byte
		ok    bool
	}{
		"a finding":                 {entity, encode(found("velocity", 1, 0)), true},
		"of another entity":         {"customer:c2", encode(found("velocity", 1, 0)), false},
		"without a rule":            {entity, encode(found("", 1, 0)), false},
		"no message":                {entity, []byte("{}"), false},
		"a part beyond the parts":   {entity, encode(part(2, 2)), false},
		"too many parts":            {entity, encode(part(2, 200)), false},
		"a withdrawal by its names": {entity, encode(withdrawn(part(2, 3))), true},
	} {
		if _, err := parseFinding(c.key, c.value); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		d  *table.Decision
		ok bool
	}{
		"a decision":        {&table.Decision{Id: "d", Entity: entity, SeenAtMs: 1}, true},
		"without an id":     {&table.Decision{Entity: entity, SeenAtMs: 1}, false},
		"without a time":    {&table.Decision{Id: "d", Entity: entity}, false},
		"of another entity": {&table.Decision{Id: "d", Entity: "ip:1", SeenAtMs: 1}, false},
	} {
		if _, err := parseDecision(entity, encode(c.d)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
