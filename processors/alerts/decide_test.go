package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/topology/alert"
	"weir/topology/table"
)

// deskWith is a desk with one alert, and a way to decide on it.
func deskWith(t *testing.T) (*desk, func(d *table.Decision) string) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0))
	n := 0
	return d, func(decision *table.Decision) string {
		n++
		decision.Entity = entity
		if decision.Alert == "" {
			decision.Alert = idAt(0)
		}
		if decision.Author == "" {
			decision.Author = "ana"
		}
		if decision.Id == "" {
			decision.Id = fmt.Sprint("d", n)
		}
		if decision.SeenAtMs == 0 {
			decision.SeenAtMs = int64(minute(60)) + int64(n)*1000
		}
		d.step(Input{Decision: decision})
		for _, r := range d.read().Refusals {
			if r.Decision == decision.Id {
				return r.Why
			}
		}
		return ""
	}
}

func TestTheLifeOfAnAlert(t *testing.T) {
	d, decide := deskWith(t)
	for _, step := range []struct{ action, status string }{
		{alert.Acknowledge, alert.Acknowledged}, {alert.Confirm, alert.Confirmed}, {alert.MarkFalsePositive, alert.FalsePositive},
		{alert.Reopen, alert.Open}, {alert.Close, alert.Closed}, {alert.Comment, alert.Closed}, {alert.Reopen, alert.Open},
		{alert.Assign, alert.Open},
	} {
		if why := decide(&table.Decision{Action: step.action, Reason: "because", Assignee: "ben"}); why != "" {
			t.Errorf("%s was refused: %s", step.action, why)
		}
		if a := d.only(); a.Status != step.status {
			t.Errorf("%s made it %s, want %s", step.action, a.Status, step.status)
		}
	}
	a := d.only()
	if a.Assignee != "ben" || len(a.History) != 9 || d.counts[CounterDecisions] != 8 {
		t.Errorf("alert is %v after %d decisions", a, d.counts[CounterDecisions])
	}
	if c := a.History[len(a.History)-1]; c.Author != "ana" || c.Reason != "because" || c.Decision != "d8" || c.AtMs != int64(minute(0)) {
		t.Errorf("history ends with %v", c)
	}
}

func TestDecisionsThatCannotBeTakenAreRefusedWithASentence(t *testing.T) {
	d, decide := deskWith(t)
	revision := d.only().Revision
	for _, c := range []struct {
		decision *table.Decision
		want     string
	}{
		{&table.Decision{Action: alert.Confirm, Alert: "nothing"}, `there is no alert "nothing" of customer:c1`},
		{&table.Decision{Action: "forget"}, `there is no action "forget"`},
		{&table.Decision{Action: alert.Confirm, ExpectedRevision: revision + 1}, "the alert is at revision 1, the decision was made at 2"},
		{&table.Decision{Action: alert.Reopen}, "the alert is open already"},
		{&table.Decision{Action: alert.Comment, Reason: " "}, "a comment needs a text"},
		{&table.Decision{Action: alert.Snooze, UntilMs: 5, SeenAtMs: 5}, "until must lie after"},
		{&table.Decision{Action: alert.Confirm, Reason: strings.Repeat("x", maxReason+1)}, "keep it below 2000"},
		{&table.Decision{Action: alert.Confirm, Author: strings.Repeat("x", maxName+1)}, "an author"},
		{&table.Decision{Action: alert.Assign, Assignee: strings.Repeat("x", maxName+1)}, "keep it below 200"},
	} {
		if why := decide(c.decision); !strings.Contains(why, c.want) {
			t.Errorf("%v was refused by %q, want %q", c.decision, why, c.want)
		}
	}
	if a := d.only(); a.Status != alert.Open || a.Revision != revision || len(a.History) != 1 {
		t.Errorf("the alert changed: %v", a)
	}
	if d.counts[CounterRefused] != 9 || d.counts[CounterDecisions] != 0 {
		t.Errorf("counted %v", d.counts)
	}
	decide(&table.Decision{Action: alert.Close})
	if why := decide(&table.Decision{Action: alert.Confirm}); why != "the alert is closed: reopen it first" {
		t.Errorf("confirming a closed alert: %q", why)
	}
	d.feed(withdrawn(found("velocity", 1, 0)))
	if why := decide(&table.Decision{Action: alert.Reopen}); !strings.Contains(why, "was withdrawn") {
		t.Errorf("reopening a withdrawn alert: %q", why)
	}
}

func TestADecisionThatComesAgainDoesNothing(t *testing.T) {
	d, decide := deskWith(t)
	same := &table.Decision{Id: "d1", Action: alert.Assign, Assignee: "ben", ExpectedRevision: 1}
	refused := &table.Decision{Id: "d2", Action: alert.Reopen}
	decide(same)
	decide(refused)
	before := d.row
	decide(same)
	decide(refused)
	if string(d.row) != string(before) || d.counts[CounterRepeated] != 2 || !d.out.Unchanged {
		t.Error("the row changed")
	}
}

func TestOfTwoPeopleWhoSawTheSameRevisionOneDecides(t *testing.T) {
	d, decide := deskWith(t)
	first := decide(&table.Decision{Action: alert.Confirm, ExpectedRevision: 1, Author: "ana"})
	second := decide(&table.Decision{Action: alert.MarkFalsePositive, ExpectedRevision: 1, Author: "ben"})
	if first != "" || second == "" || d.only().Status != alert.Confirmed {
		t.Errorf("refused %q and %q, the alert is %s", first, second, d.only().Status)
	}
}

func TestASnoozedAlertIsOpenOnceItsTimeHasCome(t *testing.T) {
	d, decide := deskWith(t)
	decide(&table.Decision{Action: alert.Snooze, SeenAtMs: 1000, UntilMs: 5000})
	a := d.only()
	if at := alert.StatusAt(a, time.UnixMilli(4999)); at != alert.Snoozed {
		t.Errorf("before its time it is %s", at)
	}
	if at := alert.StatusAt(a, time.UnixMilli(5000)); at != alert.Open {
		t.Errorf("after its time it is %s", at)
	}
	if why := decide(&table.Decision{Action: alert.Reopen, SeenAtMs: 6000}); why != "the alert is open already" {
		t.Errorf("refused by %q", why)
	}
	if why := decide(&table.Decision{Action: alert.Acknowledge, SeenAtMs: 6000}); why != "" {
		t.Errorf("refused by %q", why)
	}
}

func TestHitsOnAnAlertThatWasDecidedLeaveItsStatus(t *testing.T) {
	for _, action := range []string{alert.Acknowledge, alert.Confirm, alert.Close, alert.MarkFalsePositive} {
		d, decide := deskWith(t)
		decide(&table.Decision{Action: action})
		d.feed(found("velocity", 2, 5))
		if a := d.only(); a.Hits != 2 || a.Status != alert.StatusAfter(action) {
			t.Errorf("after %s and a hit: %v", action, a)
		}
		d.feed(found("velocity", 3, 30))
		if all := d.standing(); len(all) != 2 || all[1].Status != alert.Open {
			t.Errorf("after %s and the cooldown: %v", action, all)
		}
	}
}

func TestWhatIsKeptOfDecisionsIsBounded(t *testing.T) {
	d, decide := deskWith(t)
	decide(&table.Decision{Id: "kept", Action: alert.Confirm})
	for range 150 {
		decide(&table.Decision{Action: alert.Comment, Reason: "hm"})
		decide(&table.Decision{Action: alert.Confirm})
	}
	row := d.read()
	if a := row.Alerts[0]; len(a.History) != maxHistory || a.Status != alert.Confirmed ||
		!slices.ContainsFunc(a.History, func(c *table.Change) bool { return c.Decision == "kept" }) {
		t.Errorf("history of %d, status %s", len(a.History), a.Status)
	}
	if len(row.Applied) != maxApplied || len(row.Refusals) != maxRefusals {
		t.Errorf("%d applied, %d refused", len(row.Applied), len(row.Refusals))
	}
}

func TestARefusalForNobodyGoesInTime(t *testing.T) {
	d := newDesk(t, velocity())
	d.step(Input{Decision: &table.Decision{Id: "d1", Alert: "x", Entity: entity, Action: alert.Confirm, Author: "ana", SeenAtMs: int64(start)}})
	if row := d.read(); len(row.Refusals) != 1 || row.DueMs == 0 {
		t.Fatalf("row is %v", row)
	}
	d.pass(start.Add(d.retention) + 1)
	if d.row != nil {
		t.Error("the row is still there")
	}
}
