package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"weir/processors/rule"
)

func setOf(t *testing.T, text string) *rule.Set {
	t.Helper()
	set, err := rule.Load("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRulesAreCountedOnOverTheirChanges(t *testing.T) {
	first := setOf(t, twoRules)
	reg := prometheus.NewPedanticRegistry()
	s, err := newRuleStats(reg, rule.NewCurrent(first))
	if err != nil {
		t.Fatal(err)
	}
	count := func(set *rule.Set, id string, asked, passed, broken int64) {
		stats := set.Rule(id).Stats()
		stats.Asked.Add(asked)
		stats.Passed.Add(passed)
		stats.Broken.Add(broken)
	}
	told := func() string {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range families {
			for _, m := range f.Metric {
				lines = append(lines, fmt.Sprintf("%s %s %v", f.GetName(), m.Label[0].GetValue(), m.Counter.GetValue()))
			}
		}
		return strings.Join(lines, "\n")
	}
	count(first, "big", 10, 4, 1)
	count(first, "unpaid", 20, 0, 0)
	second := setOf(t, strings.Split(twoRules, "  - id: unpaid")[0])
	s.replace(second)
	count(second, "big", 1, 1, 0)
	if got, want := told(), "weir_rule_asked_total big 11\nweir_rule_broken_total big 1\nweir_rule_passed_total big 5"; got != want {
		t.Errorf("after a rule was removed:\n%s\nwant\n%s", got, want)
	}
	third := setOf(t, strings.Replace(twoRules, "    when: total", "    state: paused\n    when: total", 1))
	s.replace(third)
	count(third, "unpaid", 2, 0, 0)
	if got, want := told(), "weir_rule_asked_total unpaid 2\nweir_rule_broken_total unpaid 0\nweir_rule_passed_total unpaid 0"; got != want {
		t.Errorf("after one was paused and the other came back:\n%s\nwant\n%s", got, want)
	}
}
