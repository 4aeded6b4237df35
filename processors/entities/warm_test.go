package entities

import (
	"errors"
	"testing"

	"weir/processors/rule"
)

func TestASeriesIsCompleteOnceItIsFilled(t *testing.T) {
	set, err := rule.Load("rules", []byte("rules:\n  - {id: a, entity: customer, when: \"count(10m) > 1\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := set.Plan("customer").Series[0].ID
	var n began
	row := appendSince(map[uint32]int64{})
	if row, err = n.update(set, row, 5000); err != nil || n.since["customer"][0] != 5000 {
		t.Fatalf("a new series is known since %v (%v)", n.since, err)
	}
	for _, step := range []struct{ since, want int64 }{{6000, 5000}, {3000, 3000}, {4000, 3000}, {0, 0}, {1, 0}} {
		key, value := WarmRecord(id, 0)
		if step.since != 0 {
			key, value = WarmRecord(id, 1)
			value[0], value[1] = byte(step.since), byte(step.since>>8)
		}
		changed, err := n.warm(set, row, key, value)
		if err != nil {
			t.Fatal(err)
		}
		if changed != nil {
			row = changed
		}
		if n.since["customer"][0] != step.want {
			t.Errorf("filled since %d: complete since %d, want %d", step.since, n.since["customer"][0], step.want)
		}
	}
	if changed, err := n.warm(set, row, warmPrefix+"1", make([]byte, 8)); changed != nil || err != nil {
		t.Errorf("a series that nobody knows: %v, %v", changed, err)
	}
	for _, key := range []string{warmPrefix, warmPrefix + "xyz", warmPrefix + "1ffffffff"} {
		if _, err := n.warm(set, row, key, make([]byte, 8)); !errors.Is(err, errRecord) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := n.warm(set, row, warmPrefix+"1", nil); !errors.Is(err, errRecord) {
		t.Errorf("no value: %v", err)
	}
}
