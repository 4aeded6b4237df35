package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/topology"
	"weir/topology/broker"
)

// ruleFile is a file of one rule.
func ruleFile(when string) string {
	return "rules:\n  - id: poison\n    title: t\n    reason: r\n    entity: order\n    when: " + when + "\n"
}

// Whatever would be too much to read or to evaluate, or makes no sense, is refused with its place, and no rule changes.
func TestPoisonedRulesAreRefused(t *testing.T) {
	d := newDesk(t)
	d.rules(0, `revision 1`, "apply", d.file("shop.yaml", shopRules))
	for name, c := range map[string]struct{ text, says string }{
		"a huge expression":              {ruleFile("total > 0" + strings.Repeat(" or total > 0", 500)), `6:11: .*the most is 4096`},
		"ten thousand parentheses":       {ruleFile(strings.Repeat("(", 10_000) + "total > 0" + strings.Repeat(")", 10_000)), `6:11: .*the most is 4096`},
		"an endless nest":                {ruleFile(strings.Repeat("not ", 1_000) + "(total > 0)"), `6:\d+: .*more than 300 parts`},
		"an endless sum":                 {ruleFile("total" + strings.Repeat("+total", 600) + " > 0"), `6:\d+: .*more than 300 parts`},
		"a loop":                         {ruleFile(`"any(1..1000000000, {# > 5})"`), `6:\d+: `},
		"a large range":                  {ruleFile("total in 1..1000000000"), `6:\d+: `},
		"a function of another language": {ruleFile(`repeat("a", 1000000000) == "b"`), `6:11: .*no function repeat`},
		"a type error":                   {ruleFile(`total > "a"`), `6:17: .*cannot be compared`},
		"an unknown field":               {ruleFile("totl > 0"), `6:11: .*did you mean total`},
		"half an expression":             {ruleFile("total >"), `6:\d+: `},
		"a broken pattern":               {ruleFile(`email matches "("`), `6:\d+: .*regexp`},
		"a pattern that multiplies":      {ruleFile(`email matches "(((a{1000}){1000}){1000})"`), `6:\d+: .*regexp`},
		"a window without end":           {ruleFile("count(99999999999999d, customer) > 1"), `6:\d+: .*longer than`},
		"a number without end":           {ruleFile("total > 1e400"), `6:\d+: `},
		"a file that multiplies":         {"lists:\n  - name: a\n    entries: &a [x, x]\n  - name: b\n    entries: [*a, *a]\nrules: []\n", `3:14: anchors and aliases`},
		"brackets without end":           {"rules: " + strings.Repeat("[", 100_000), `1:\d+: `},
		"too many rules":                 {"rules:\n" + manyRules(501), `there are 50\d rules.*the most are 500`},
		"no rule file":                   {"\x00\x01\x02", `1:1: `},
		"a cooldown of nothing":          {ruleFile("total > 0") + "    cooldown: 0s\n", `7:\d+: .*cooldown`},
		"more than is kept":              {"features:\n  - name: f\n    on: order.created\n    key: customer\n    agg: count\n    cap: 1000000000\n    windows: [1h]\nrules: []\n", `\d:\d+: .*cap`},
	} {
		out, code := d.run("", "rules", "apply", d.file("poison.yaml", c.text))
		if code != exitRefused || !regexp.MustCompile(`poison\.yaml.*`+c.says).MatchString(out) {
			t.Errorf("%s: exit code %d, want %s with its place:\n%.500s", name, code, c.says, out)
		}
	}
	d.rules(0, `revision 1, 2 rules`, "list")
}

func manyRules(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("  - id: r%d\n    title: t\n    when: total > %d\n", i, i)
	}
	return text
}

// poisonRules may be applied, and do what they can to be in the way: they divide by zero, ask for what events do not have, match
// everything, make patterns work, take each event's time, and gather all events of the shop in one entity.
const poisonRules = `
features:
  - name: everything
    on: [order.created, payment.attempted, payment.captured, shipment.dispatched]
    key: '"all"'
    kind: shop
    agg: count
    windows: [30d]
  - name: everyone
    on: order.created
    key: '"all"'
    kind: shop
    value: customer
    agg: distinct
    windows: [30d]
rules:
  - id: divides
    title: Divides by zero on most events
    reason: none
    entity: order
    when: total / (total - total) > 1
  - id: divides_counts
    title: Divides by what is zero for a customer's first order
    reason: none
    entity: customer
    when: count(1h, customer) / (count(1d, customer) - 1) > 100000
  - id: unknown
    title: Asks for what no event has
    reason: none
    entity: customer
    when: email contains "no such text" and coupon == "none of these"
  - id: patterns
    title: Works hard for nothing
    reason: none
    entity: order
    when: customer matches "PATTERN"
  - id: nested
    title: As deep as it may be
    reason: none
    entity: order
    when: NESTED
  - id: floods
    title: Everything
    reason: none
    entity: order
    on: [order.created, payment.attempted, payment.captured, shipment.dispatched, shipment.delivered]
    when: known(order)
  - id: gathers
    title: The whole shop is one entity
    reason: none
    entity: customer
    when: everything >= 1 and everyone >= 1
`

func poison() string {
	text := strings.Replace(poisonRules, "PATTERN", "^"+strings.Repeat("(a|b|c|.)*", 80)+"$", 1)
	return strings.Replace(text, "NESTED", strings.Repeat("(", 1500)+"total > 0"+strings.Repeat(")", 1500)+strings.Repeat(" and total > 1", 60), 1)
}

// TestPoisonedRulesLeaveTheOthersAlone plays the same events with and without rules that are in the way.
func TestPoisonedRulesLeaveTheOthersAlone(t *testing.T) {
	longForm(t)
	t.Parallel()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	const source = "shop-"
	lines := fraudEvents(t, 1000) // half of them come before the poison
	healthy := newRuledFleet(t, b.Addr(), source, "healthy-", groundRules)
	healthy.in = &crashInput{cl: healthy.cl, prefix: source, lines: lines[:len(lines)/2], over: time.Second}
	healthy.in.makeTopics(t)
	healthy.start("only")
	healthy.in.produce(t, nil)

	poisoned := newRuledFleet(t, b.Addr(), source, "poisoned-", groundRules)
	poisoned.start("only")
	poisoned.inForce(0, "the file of rules", time.Now())
	healthy.settle(healthy.cl)
	poisoned.settle(poisoned.cl)
	began := time.Now()
	poisoned.rules(0, "apply", poisoned.file("poison.yaml", poison()))
	poisoned.inForce(1, "poison", began)
	more := &crashInput{cl: healthy.cl, prefix: source, lines: lines[len(lines)/2:], over: time.Second}
	more.produce(t, nil)
	healthy.settle(healthy.cl)
	poisoned.settle(poisoned.cl)

	sameGround(t, healthy, poisoned)
	for _, rule := range []string{"divides", "divides_counts", "unknown", "patterns", "nested", "floods", "gathers"} {
		asked, broken := poisoned.metric("only", `weir_rule_asked_total{rule="`+rule+`"}`), poisoned.metric("only", `weir_rule_broken_total{rule="`+rule+`"}`)
		if asked <= 0 || broken != 0 {
			t.Errorf("rule %s was asked %v times and broke %v times", rule, asked, broken)
		}
	}
	l := readLedger(t, poisoned.cl, poisoned.prefix+topology.Alerts)
	for _, fault := range append(l.faults, l.compare(poisoned.cases(), 0)...) {
		t.Errorf("topic alerts: %s", fault)
	}
	t.Logf("told with the poison: %s, opened by rule %v", l, l.rules)
	for _, f := range []*ruledFleet{healthy, poisoned} {
		f.running["only"].neverFailed()
		f.stop()
	}
}
