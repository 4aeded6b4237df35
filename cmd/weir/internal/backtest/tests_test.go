package backtest

import (
	"fmt"
	"strings"
	"testing"

	"weir/processors/rule"
)

const testedRules = `
features:
  - {name: cards_per_ip, on: payment.attempted, key: ip, value: card.fingerprint, agg: distinct, windows: 10m}
rules:
  - id: card_testing
    on: payment.attempted
    entity: ip
    when: cards_per_ip[10m] >= 3
    state: shadow
    tests:
      - name: three cards
        events: |
          12:00 order.created     o1 customer=c1 total=5.00 EUR ip=192.0.2.1
          12:01 payment.attempted o1 amount=5.00 EUR card=a ip=192.0.2.1
          12:02 payment.attempted o1 amount=5.00 EUR card=b ip=192.0.2.1
          12:03 payment.attempted o1 amount=5.00 EUR card=c ip=192.0.2.1
          12:04 payment.attempted o1 amount=5.00 EUR card=c ip=192.0.2.1
        alerts: ip:192.0.2.1 hits 2
      - name: not so fast
        events: |
          12:00 order.created     o1 customer=c1 total=5.00 EUR ip=192.0.2.1
          12:01 payment.attempted o1 amount=5.00 EUR card=a ip=192.0.2.1
          12:02 payment.attempted o1 amount=5.00 EUR card=b ip=192.0.2.1
          12:13 payment.attempted o1 amount=5.00 EUR card=c ip=192.0.2.1
        alerts: none
      - name: wrong
        events: |
          12:00 order.created     o1 customer=c1 total=5.00 EUR ip=192.0.2.1
          12:01 payment.attempted o1 amount=5.00 EUR card=a ip=192.0.2.1
        alerts: |
          ip:192.0.2.1
      - events: 12:00 order.crated o1
        alerts: none
      - events: 12:00 payment.captured o1 amount=1.234 EUR
        alerts: none
      - events: 12:00 order.created o1 customer=c1 total=1.00 EUR
        alerts: customer c1
  - id: stuck
    expect: {event: dispatched, within: 48h, after: paid}
    tests:
      - name: the clock finds it
        events: |
          12:00 order.created    o1 customer=c1 total=20.00 EUR
          12:01 payment.captured o1 amount=20.00 EUR
          advance 2026-01-03T12:02
        alerts: order:o1 hits 1
      - name: in time so far
        events: |
          12:00 order.created    o1 customer=c1 total=20.00 EUR
          12:01 payment.captured o1 amount=20.00 EUR
          advance 2026-01-03T11:59
        alerts: none
`

func TestTestsBesideRulesAreRun(t *testing.T) {
	d, err := rule.Parse("rules.yaml", []byte(testedRules))
	if err != nil {
		t.Fatal(err)
	}
	results, err := RunTests(d)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.Rule, "/", r.Name, " ", r.OK, " ", strings.SplitN(r.Mistake, ":", 3), r.Missing, r.Extra))
	}
	want := []string{
		"card_testing/three cards true [] [] []",
		"card_testing/not so fast true [] [] []",
		"card_testing/wrong false [] [ip:192.0.2.1] []",
		`card_testing/test 4 false [events  12 00 order.crated o1: "order.crated" is no event type] [] []`,
		`card_testing/test 5 false [events  12 00 payment.captured o1 amount=1.234 EUR: bad_money: amount: "1.234" has more decimals than EUR, which has 2] [] []`,
		`card_testing/test 6 false [alerts  "customer c1"  write ENTITY, ENTITY hits N, or none, such as customer:c1 hits 3] [] []`,
		"stuck/the clock finds it true [] [] []",
		"stuck/in time so far true [] [] []",
	}
	for i := range max(len(got), len(want)) {
		if at(got, i) != at(want, i) {
			t.Errorf("test %d:\n%s\nwant\n%s", i+1, at(got, i), at(want, i))
		}
	}
}

func at(lines []string, i int) string {
	if i >= len(lines) {
		return "(none)"
	}
	return lines[i]
}

func TestExpectedAlertsAreMatchedOneByOne(t *testing.T) {
	for _, c := range []struct{ want, got, missing, extra []string }{
		{[]string{"ip:a", "ip:a hits 2"}, []string{"ip:a hits 1", "ip:a hits 2"}, nil, nil},
		{[]string{"ip:a"}, []string{"ip:ab hits 1"}, []string{"ip:a"}, []string{"ip:ab hits 1"}},
		{[]string{"ip:a", "ip:a"}, []string{"ip:a hits 3"}, []string{"ip:a"}, nil},
		{nil, []string{"ip:a hits 3"}, nil, []string{"ip:a hits 3"}},
	} {
		missing, extra := difference(c.want, c.got)
		if fmt.Sprint(missing, extra) != fmt.Sprint(c.missing, c.extra) {
			t.Errorf("want %v, got %v: missing %v, extra %v", c.want, c.got, missing, extra)
		}
	}
}
