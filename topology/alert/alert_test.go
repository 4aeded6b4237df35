package alert

import (
	"testing"

	"weir/topology/table"
)

func TestCaseScoreAddsRulesUpAndStaysBelowAHundred(t *testing.T) {
	of := func(rule, status string, score int64) *table.Alert {
		return &table.Alert{Rule: rule, Status: status, Score: score}
	}
	for name, c := range map[string]struct {
		alerts []*table.Alert
		want   int64
	}{
		"nothing":                       {nil, 0},
		"one rule":                      {[]*table.Alert{of("a", Open, 40)}, 40},
		"one rule twice":                {[]*table.Alert{of("a", Open, 40), of("a", Confirmed, 30)}, 40},
		"two rules":                     {[]*table.Alert{of("a", Open, 50), of("b", Acknowledged, 50)}, 75},
		"three, rounded":                {[]*table.Alert{of("a", Open, 33), of("b", Snoozed, 33), of("c", Open, 33)}, 70},
		"beyond a hundred":              {[]*table.Alert{of("a", Open, 100), of("b", Open, 100)}, 100},
		"what says nothing":             {[]*table.Alert{of("a", Closed, 50), of("b", FalsePositive, 50), of("c", Withdrawn, 50)}, 0},
		"a shadow":                      {[]*table.Alert{{Rule: "a", Status: Open, Score: 50, Shadow: true}}, 0},
		"the best is closed":            {[]*table.Alert{of("a", Closed, 90), of("a", Open, 20)}, 20},
		"a rule held back says so here": {[]*table.Alert{{Rule: "a", Status: Open, Score: 50, Held: true}}, 50},
	} {
		if got := CaseScore(&table.Case{Alerts: c.alerts}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestTheIdentityOfAnAlertIsAContract(t *testing.T) {
	if got, want := ID("velocity", 1, "customer:c1", 1767269400000), "4cf16834506dbb30"; got != want {
		t.Errorf("id is %s, was %s: alerts that were told would be lost", got, want)
	}
	seen := map[string]bool{}
	for _, id := range []string{ID("a", 1, "b", 1), ID("a", 11, "b", 1), ID("a", 1, "b", 11), ID("a", 1, "b1", 1), ID("ab", 1, "", 1)} {
		if seen[id] || len(id) != 16 {
			t.Errorf("id %s", id)
		}
		seen[id] = true
	}
}

func TestEveryActionIsKnown(t *testing.T) {
	for _, action := range []string{Acknowledge, Confirm, MarkFalsePositive, Snooze, Close, Reopen, Assign, Comment} {
		if !Known(action) {
			t.Errorf("%s is not known", action)
		}
	}
	if Known("opened") || StatusAfter(Comment) != "" || StatusAfter(Reopen) != Open {
		t.Error("what is no action, or sets no status, does")
	}
}
