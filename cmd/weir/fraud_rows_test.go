package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"weir/configs"
	"weir/processors/entities"
	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

func shippedRules(t *testing.T) *rule.Set {
	t.Helper()
	name, data, err := new(configs.Config).RulesFile()
	if err != nil {
		t.Fatal(err)
	}
	set, err := rule.Load(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// compareFraud tells every difference between what two runs know of entities and alerts.
func compareFraud(t *testing.T, set *rule.Set, want, got tables) (diffs []string) {
	t.Helper()
	diffs = compareAlerts(alertsOf(t, want.cases), alertsOf(t, got.cases))
	if a, b := want.fraud["hits"], got.fraud["hits"]; a != b {
		diffs = append(diffs, fmt.Sprintf("hits are %d, want %d: %v, want %v", b, a, got.fraud, want.fraud))
	}
	for _, counter := range []string{"alerts_dropped", "dead_letters", "damaged_rows", "late_observations", "unjudged_observations"} {
		if n := got.fraud[counter]; n != 0 {
			diffs = append(diffs, fmt.Sprintf("counter %s is %d", counter, n))
		}
	}
	at := max(want.watermark, got.watermark)
	if want.watermark != got.watermark {
		diffs = append(diffs, fmt.Sprintf("the watermark of the entities is %v, want %v", got.watermark.Time(), want.watermark.Time()))
	}
	keys := map[string]struct{}{}
	for _, rows := range []tables{want, got} {
		for key := range rows.entities {
			keys[key] = struct{}{}
		}
	}
	for key := range keys {
		if a, b := want.entities[key], got.entities[key]; !bytes.Equal(a, b) {
			diffs = append(diffs, compareEntity(t, set, key, a, b, at)...)
		}
	}
	slices.Sort(diffs)
	return diffs
}

// compareEntity compares what rules can ask of an entity from the watermark less the grace on. What is older is cut away from rows
// now and then, so their bytes depend on when they were written; a row that says nothing any more may be gone. Of such a row no currency is
// known, so that a sum of nothing is unknown where it is 0 of a row that still stands; rules are judged in the currency of their event.
func compareEntity(t *testing.T, set *rule.Set, key string, want, got []byte, watermark event.UnixMilli) (diffs []string) {
	t.Helper()
	for _, back := range []time.Duration{0, set.Grace / 2, set.Grace} {
		at := watermark.Add(-back)
		a, err := entities.Features(set, key, want, at)
		if err != nil {
			t.Fatalf("row of %s: %v", key, err)
		}
		b, err := entities.Features(set, key, got, at)
		if err != nil {
			t.Fatalf("row of %s: %v", key, err)
		}
		for i := range a {
			if a[i].Entries != b[i].Entries || !sameReading(a[i].Value, b[i].Value) && !(a[i].Entries == 0 && a[i].Currency != b[i].Currency) {
				diffs = append(diffs, fmt.Sprintf("%s: %s at %v is %+v of %d entries, want %+v of %d", key, a[i].Text, at.Time(), b[i].Value, b[i].Entries, a[i].Value, a[i].Entries))
			}
		}
	}
	return diffs
}

// sameReading allows for sums that were added up in another order.
func sameReading(a, b rule.Value) bool {
	if a.Type != b.Type || a.Known != b.Known || a.Text != b.Text {
		return false
	}
	return !a.Known || math.Abs(a.Num-b.Num) <= 1e-9*max(math.Abs(a.Num), 1)
}

// alertsOf are the alerts that stand, by rule and id, as far as they follow from the events alone: without what people decided, and
// without the way on which they came to be.
func alertsOf(t *testing.T, cases map[string][]byte) map[string]*table.Alert {
	t.Helper()
	all := map[string]*table.Alert{}
	for key, row := range cases {
		var c table.Case
		if err := c.UnmarshalVT(row); err != nil {
			t.Fatalf("alerts of %s: %v", key, err)
		}
		for _, a := range c.Alerts {
			if a.Status == alert.Withdrawn {
				continue
			}
			if a.Entity != key || all[a.Rule+" "+a.Id] != nil {
				t.Fatalf("alert %s of %s stands in the row of %s, or twice", a.Id, a.Entity, key)
			}
			a.Status, a.Revision, a.History, a.Formerly, a.HitsKept, a.Told, a.Assignee, a.SnoozedUntilMs = "", 0, nil, nil, nil, 0, "", 0
			all[a.Rule+" "+a.Id] = a
		}
	}
	return all
}

func compareAlerts(want, got map[string]*table.Alert) (diffs []string) {
	for key, a := range want {
		if b := got[key]; b == nil {
			diffs = append(diffs, fmt.Sprintf("alert %s is lost: %v", key, a))
		} else if !a.EqualVT(b) {
			diffs = append(diffs, fmt.Sprintf("alert %s is\n\t%v\nwant\n\t%v", key, b, a))
		}
	}
	for key, b := range got {
		if want[key] == nil {
			diffs = append(diffs, fmt.Sprintf("alert %s is too many: %v", key, b))
		}
	}
	slices.SortFunc(diffs, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return diffs
}
