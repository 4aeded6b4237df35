package alerts

import (
	"cmp"
	"slices"

	"weir/topology/alert"
	"weir/topology/table"
)

// absorb gives an alert what another knows that becomes part of it: its ids, and what people have decided. Of two decisions the
// later one counts.
func absorb(a, other *table.Alert) {
	theirs, ours := newest(other.History, setsStatus), newest(a.History, setsStatus)
	if ours == nil || theirs != nil && compareChanges(theirs, ours) > 0 {
		a.SnoozedUntilMs = other.SnoozedUntilMs
	}
	theirs, ours = newest(other.History, assigns), newest(a.History, assigns)
	if ours == nil || theirs != nil && compareChanges(theirs, ours) > 0 {
		a.Assignee = other.Assignee
	}
	for _, c := range other.History {
		if c.Decision != "" && !slices.ContainsFunc(a.History, func(d *table.Change) bool { return d.Decision == c.Decision }) {
			record(a, c)
		}
	}
	a.Formerly = append(append(a.Formerly, other.Formerly...), other.Id)
	a.Revision = max(a.Revision, other.Revision)
	a.Status = statusOf(a.History)
}

// statusOf is the status that the decisions of a history add up to.
func statusOf(history []*table.Change) string {
	if c := newest(history, setsStatus); c != nil {
		return alert.StatusAfter(c.What)
	}
	return alert.Open
}

func setsStatus(c *table.Change) bool { return c.Decision != "" && alert.StatusAfter(c.What) != "" }
func assigns(c *table.Change) bool    { return c.Decision != "" && c.What == alert.Assign }

func newest(history []*table.Change, which func(*table.Change) bool) *table.Change {
	for _, c := range slices.Backward(history) {
		if which(c) {
			return c
		}
	}
	return nil
}

// compareChanges orders a history: by the wall clock where there is one.
func compareChanges(a, b *table.Change) int {
	when := func(c *table.Change) int64 { return cmp.Or(c.SeenAtMs, c.AtMs) }
	return cmp.Or(cmp.Compare(when(a), when(b)), cmp.Compare(a.Decision, b.Decision), cmp.Compare(b.What, a.What))
}

// record adds to the history, which stays in order. Beyond its bound the oldest goes that no status or assignee follows from.
func record(a *table.Alert, c *table.Change) {
	i, _ := slices.BinarySearchFunc(a.History, c, compareChanges)
	a.History = slices.Insert(a.History, i, c)
	if len(a.History) <= maxHistory {
		return
	}
	status, assigned := newest(a.History, setsStatus), newest(a.History, assigns)
	i = slices.IndexFunc(a.History, func(c *table.Change) bool { return c != status && c != assigned })
	a.History = slices.Delete(a.History, i, i+1)
}
