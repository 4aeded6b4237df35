package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/cmd/weir/internal/backtest"
	"weir/cmd/weir/internal/shop"
)

// inProcess runs a command in this process.
func inProcess(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, system{strings.NewReader(""), &o, &e, nil})
	return code, o.String(), e.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const pastRules = `
features:
  - name: cards_of_ip
    on: payment.attempted
    key: ip
    value: card.fingerprint
    agg: distinct
    windows: 10m
rules:
  - id: card_testing
    on: payment.attempted
    entity: ip
    when: cards_of_ip >= 5
    tests:
      - name: one card is none
        events: |
          12:00 order.created     o1 customer=c1 total=5.00 EUR ip=192.0.2.1
          12:01 payment.attempted o1 amount=5.00 EUR card=a ip=192.0.2.1
        alerts: none
  - id: pricey
    entity: customer
    when: total > 400.00
    state: draft
`

func TestRuleFilesAreCheckedTestedAndPriced(t *testing.T) {
	good := writeFile(t, "rules.yaml", pastRules)
	for command, wanted := range map[string][]string{
		"check": {"1 draft, 1 live", "1 series of 1 kinds"},
		"cost":  {"cards_of_ip", "EXPECTED FOR 1000000"},
		"test":  {"ok      card_testing: one card is none\n1 of 1 tests ok"},
	} {
		code, out, errs := inProcess(t, "rules", command, good)
		for _, want := range wanted {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: %d, want %q\n%s%s", command, code, want, out, errs)
			}
		}
	}
	failing := writeFile(t, "failing.yaml", strings.Replace(pastRules, "alerts: none", "alerts: ip:192.0.2.1", 1))
	code, out, _ := inProcess(t, "rules", "test", failing)
	if code != exitFailed || !strings.Contains(out, "FAILED  card_testing: one card is none\n      - ip:192.0.2.1\n") {
		t.Errorf("a test that fails: %d\n%s", code, out)
	}
	bad := writeFile(t, "bad.yaml", strings.Replace(pastRules, "cards_of_ip >= 5", "cards_of_ipp >= 5", 1))
	for _, command := range []string{"check", "test", "cost", "backtest"} {
		code, _, errs := inProcess(t, "rules", command, bad)
		if code != exitRefused || !strings.Contains(errs, "bad.yaml:13:11: rule card_testing: when:") {
			t.Errorf("%s of a mistake: %d\n%s", command, code, errs)
		}
	}
}

// aDay writes what a shop does to files of events, one for each stream, and one with its truth.
func aDay(t *testing.T) (events []string, truth string) {
	t.Helper()
	s, err := shop.New(shop.Options{Seed: 4, Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Rate: 0.01, Orders: 500, LifeScale: 0.05,
		Fraud: shop.Mix{"card_testing_bot": 0.3}, Truth: true})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]*bytes.Buffer{"orders": {}, "payments": {}, "shipments": {}}
	for r, ok := s.Next(); ok; r, ok = s.Next() {
		fmt.Fprintf(texts[r.Type.Stream()], "%s\n", r.Value)
	}
	var known bytes.Buffer
	for _, told := range s.Close() {
		if err := json.NewEncoder(&known).Encode(told); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(texts["payments"], "{no event")
	for _, name := range sortedNames(texts) {
		events = append(events, writeFile(t, name+".ndjson", texts[name].String()))
	}
	return events, writeFile(t, "truth.ndjson", known.String())
}

func TestABacktestReadsFilesAndTellsWhatItFound(t *testing.T) {
	events, truth := aDay(t)
	rules := writeFile(t, "rules.yaml", pastRules)
	args := []string{"rules", "backtest", rules, "--truth", truth, "--events", strings.Join(events, ",")}
	code, out, errs := inProcess(t, append(args, "--format", "json")...)
	var r backtest.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("%d %v\n%s%s", code, err, out, errs)
	}
	if r.All.Alerts == 0 || r.All.Labels.Recall != 1 || len(r.Alerts) < int(r.All.Alerts) || r.Late+r.Unjudged != 0 {
		t.Errorf("in all %+v, %d late, labels %+v", r.All, r.Late+r.Unjudged, r.All.Labels)
	}
	if len(r.Rules) != 2 || r.Rules[1].State != "shadow" || r.Rules[1].Alerts == 0 {
		t.Errorf("a draft is tried as if in shadow: %d rules", len(r.Rules))
	}
	if len(r.Warnings) != 2 || r.Warnings[0] != "1 lines were refused" || !strings.Contains(r.Warnings[1], "payments.ndjson:") {
		t.Errorf("warnings %q", r.Warnings)
	}
	live, _, _ := inProcess(t, append(args, "--live", "--against", rules)...)
	if live != 0 {
		t.Errorf("--live: %d", live)
	}
	code, out, _ = inProcess(t, append(args, "--live", "--against", rules, "--limit-events", "4000")...)
	for _, want := range []string{"PARTIAL: it ended before the events did (event limit)", "episodes of planted fraud caught", "COMPARED WITH",
		"for example card_testing: ip:", "SCORE FROM"} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--from", "yesterday"}, exitUsage, `--from: "yesterday" is no time`},
		{[]string{"--from", "2026-03-02", "--to", "2026-03-01"}, exitFailed, "is empty"},
		{[]string{"--events", "nowhere.ndjson"}, exitFailed, "cannot be read"},
		{[]string{"--truth", rules}, exitFailed, "line 2 of the truth"},
	} {
		if code, _, errs := inProcess(t, append(args, c.args...)...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
}
