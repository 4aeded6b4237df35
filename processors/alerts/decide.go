package alerts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/topology/alert"
	"weir/topology/table"
)

// allowed are the statuses in which an action may be taken.
var allowed = map[string][]string{
	alert.Acknowledge:       {alert.Open, alert.Snoozed},
	alert.Confirm:           {alert.Open, alert.Acknowledged, alert.Snoozed, alert.FalsePositive},
	alert.MarkFalsePositive: {alert.Open, alert.Acknowledged, alert.Snoozed, alert.Confirmed},
	alert.Snooze:            {alert.Open, alert.Acknowledged, alert.Snoozed},
	alert.Close:             {alert.Open, alert.Acknowledged, alert.Snoozed, alert.Confirmed},
	alert.Reopen:            {alert.Acknowledged, alert.Confirmed, alert.FalsePositive, alert.Snoozed, alert.Closed},
	alert.Assign:            {alert.Open, alert.Acknowledged, alert.Confirmed, alert.FalsePositive, alert.Snoozed, alert.Closed},
	alert.Comment:           {alert.Open, alert.Acknowledged, alert.Confirmed, alert.FalsePositive, alert.Snoozed, alert.Closed, alert.Withdrawn},
}

// Bounds of a decision's texts, in bytes.
const (
	maxName   = 200
	maxReason = 2_000
)

// decide takes a decision, or refuses it with a sentence that tells the person why. The same decision again does nothing.
func (s *step) decide(d *table.Decision) {
	refused := func(r *table.Refusal) bool { return r.Decision == d.Id }
	if slices.Contains(s.row.Applied, d.Id) || slices.ContainsFunc(s.row.Refusals, refused) {
		s.out.count(CounterRepeated, 1)
		return
	}
	a := s.alertOf(d.Alert)
	if why := refusal(a, d); why != "" {
		r := &table.Refusal{Decision: d.Id, Alert: d.Alert, Why: why}
		if a != nil {
			r.Revision = a.Revision
		}
		s.row.Refusals = newestOf(append(s.row.Refusals, r), maxRefusals)
		s.dirty = true
		s.out.count(CounterRefused, 1)
		return
	}
	switch d.Action {
	case alert.Snooze:
		a.SnoozedUntilMs = d.UntilMs
	case alert.Assign:
		a.Assignee = d.Assignee
	}
	record(a, &table.Change{SeenAtMs: d.SeenAtMs, AtMs: a.LastMs, What: d.Action, Author: d.Author, Reason: d.Reason, Decision: d.Id})
	if status := alert.StatusAfter(d.Action); status != "" {
		a.Status = status
	}
	s.row.Applied = newestOf(append(s.row.Applied, d.Id), maxApplied)
	s.out.count(CounterDecisions, 1)
	s.touch(a, alert.TypeDecided)
}

// alertOf finds an alert by its id, or by one that it had; nil if there is none.
func (s *step) alertOf(id string) *table.Alert {
	for _, a := range s.row.Alerts {
		if a.Id == id {
			return a
		}
	}
	for _, a := range s.row.Alerts {
		if slices.Contains(a.Formerly, id) {
			return a
		}
	}
	return nil
}

// refusal tells why a decision cannot be taken; "" if it can.
func refusal(a *table.Alert, d *table.Decision) string {
	if a == nil {
		return fmt.Sprintf("there is no alert %q of %s: it may have expired", cut(d.Alert, maxName), d.Entity)
	}
	switch {
	case !alert.Known(d.Action):
		return fmt.Sprintf("there is no action %q: use acknowledge, confirm, false_positive, snooze, close, reopen, assign or comment",
			cut(d.Action, maxName))
	case d.ExpectedRevision != 0 && d.ExpectedRevision != a.Revision:
		return fmt.Sprintf("the alert is at revision %d, the decision was made at %d: look at it again", a.Revision, d.ExpectedRevision)
	case d.Author == "" || len(d.Author) > maxName:
		return fmt.Sprintf("a decision needs an author of at most %d bytes", maxName)
	case len(d.Reason) > maxReason:
		return fmt.Sprintf("the reason has %d bytes: keep it below %d", len(d.Reason), maxReason)
	case len(d.Assignee) > maxName:
		return fmt.Sprintf("the assignee has %d bytes: keep it below %d", len(d.Assignee), maxName)
	case d.Action == alert.Comment && strings.TrimSpace(d.Reason) == "":
		return "a comment needs a text: put it into reason"
	case d.Action == alert.Snooze && d.UntilMs <= d.SeenAtMs:
		return "to snooze an alert say until when: until must lie after the decision"
	}
	status := alert.StatusAt(a, time.UnixMilli(d.SeenAtMs))
	if slices.Contains(allowed[d.Action], status) {
		return ""
	}
	switch status {
	case alert.StatusAfter(d.Action):
		return "the alert is " + words(status) + " already"
	case alert.Withdrawn:
		return "the alert was withdrawn, because its hits hold no longer: it can only be commented on"
	}
	return "the alert is " + words(status) + ": reopen it first"
}

// words shows a name of the vocabulary to a person.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

func cut(text string, n int) string { return strings.ToValidUTF8(text[:min(len(text), n)], "") }

func newestOf[T any](all []T, n int) []T { return all[max(len(all)-n, 0):] }
