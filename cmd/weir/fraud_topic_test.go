package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// ledger is what a reader of topic alerts knows at its end.
type ledger struct {
	standing map[string]alert.Alert // that were opened, and neither withdrawn nor moved since
	events   map[string]int         // by type
	rules    map[string]int         // alerts opened, by rule
	faults   []string

	ids  map[string]bool // of the events
	last map[string]int64
}

func newLedger() *ledger {
	return &ledger{standing: map[string]alert.Alert{}, events: map[string]int{}, rules: map[string]int{}, ids: map[string]bool{}, last: map[string]int64{}}
}

func (l *ledger) String() string {
	return fmt.Sprintf("%d events %v", len(l.ids), l.events)
}

// readLedger reads a topic of alerts as far as it is committed now.
func readLedger(t *testing.T, cl *kgo.Client, topic string) *ledger {
	t.Helper()
	l := newLedger()
	for _, r := range readCommitted(t, cl, topic) {
		var e alert.Event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatalf("%s: %v in %s", topic, err, r.Value)
		}
		if string(r.Key) != e.Subject || e.Data == nil || e.Data.Alert == nil || e.Data.Entity != e.Subject {
			l.fault("the record of key %q says %s", r.Key, r.Value)
			continue
		}
		l.take(&e)
	}
	return l
}

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// take holds an event against those before it. Events of an alert stand in one partition, so they come in their order.
func (l *ledger) take(e *alert.Event) {
	id := e.Data.ID
	if l.ids[e.ID] {
		l.fault("event %s came twice", e.ID)
	}
	if e.ID != fmt.Sprintf("%s/%d", id, e.Data.Revision) || e.Data.Revision <= l.last[id] {
		l.fault("event %s (%s) came after revision %d", e.ID, e.Type, l.last[id])
	}
	l.ids[e.ID], l.last[id] = true, e.Data.Revision
	l.events[e.Type]++
	moved := false
	if e.Data.Moved != nil {
		for _, from := range e.Data.Moved.From {
			_, stood := l.standing[from]
			moved = moved || stood
			delete(l.standing, from)
		}
	}
	_, stood := l.standing[id]
	switch {
	case e.Type == alert.TypeOpened && stood:
		l.fault("alert %s was opened again though it stands (event %s)", id, e.ID)
	case e.Type != alert.TypeOpened && !stood && !moved:
		l.fault("alert %s does not stand, yet event %s is %s", id, e.ID, e.Type)
	}
	if e.Type == alert.TypeOpened {
		l.rules[e.Data.Rule]++
	}
	if e.Type == alert.TypeWithdrawn {
		delete(l.standing, id)
		return
	}
	l.standing[id] = *e.Data.Alert
}

// compare tells where the ledger and the rows of the alerts differ. Alerts may have gone that have ended and had no hit since a time; 0
// says that none has.
func (l *ledger) compare(cases map[string][]byte, gone event.UnixMilli) (faults []string) {
	rest := maps.Clone(l.standing)
	for key, row := range cases {
		var c table.Case
		if err := c.UnmarshalVT(row); err != nil {
			return []string{fmt.Sprintf("row of %s: %v", key, err)}
		}
		for _, a := range c.Alerts {
			told, ok := rest[a.Id]
			delete(rest, a.Id)
			switch secret := a.Shadow || a.Held || a.Status == alert.Withdrawn; {
			case secret && ok:
				faults = append(faults, fmt.Sprintf("alert %s of %s was told, but it is %s, shadow %v, held %v", a.Id, a.Entity, a.Status, a.Shadow, a.Held))
			case !secret && !ok:
				faults = append(faults, fmt.Sprintf("alert %s (%s, %s) was not told", a.Id, a.Rule, a.Entity))
			case !secret && (told.Hits != a.Told || told.Rule != a.Rule || told.Entity != a.Entity):
				faults = append(faults, fmt.Sprintf("alert %s: told were %d hits of %s about %s, but the row knows of %d", a.Id, told.Hits, told.Rule, told.Entity, a.Told))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rest)) {
		last, err := time.Parse(time.RFC3339Nano, rest[id].Last)
		if err != nil {
			faults = append(faults, fmt.Sprintf("alert %s: %v", id, err))
		}
		if rest[id].Episode == alert.Ended && last.Before(gone.Time()) {
			continue
		}
		faults = append(faults, fmt.Sprintf("alert %s (%s, %s) was told, but there is none", id, rest[id].Rule, rest[id].Entity))
	}
	return faults
}
