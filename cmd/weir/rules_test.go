package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/views/api"
)

const shopRules = `# ours
features:
  - name: card_payments
    on: payment.captured
    key: card
    agg: count
    windows: [10m, 1h]

rules:
  - id: fast_card
    title: A card pays often
    reason: One card paid many times within ten minutes
    severity: high
    entity: card
    on: payment.captured
    when: card_payments[10m] > 3   # of ten
    state: shadow

  - id: shipped_unpaid
    title: Shipped before it was paid
    reason: Goods left the house unpaid
    sequence:
      event: dispatched
      before: paid
`

// desk is someone who changes rules on a cluster of their own.
type desk struct {
	t     *testing.T
	kafka string
	dir   string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	_, kafka := cluster(t)
	d := &desk{t: t, kafka: kafka, dir: t.TempDir()}
	d.file("none.yaml", "rules: []\n")
	if out, code := d.run("", "topics", "--ensure", "--brokers", kafka); code != 0 {
		t.Fatal(out)
	}
	return d
}

func (d *desk) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// run runs weir in this process, as user ann; where the book is empty, no rules are in force.
func (d *desk) run(stdin string, args ...string) (out string, code int) {
	var both strings.Builder
	sys := system{strings.NewReader(stdin), &both, &both, []string{"USER=ann", "WEIR_KAFKA_BROKERS=" + d.kafka, "WEIR_RULES_FILE=" + filepath.Join(d.dir, "none.yaml")}}
	code = run(args, sys)
	return both.String(), code
}

// rules runs weir rules … and wants its exit code and what it says.
func (d *desk) rules(code int, says string, args ...string) string {
	d.t.Helper()
	out, got := d.run("", append([]string{"rules"}, args...)...)
	if got != code || !regexp.MustCompile(says).MatchString(out) {
		d.t.Errorf("weir rules %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), got, code, says, out)
	}
	return out
}

func (d *desk) list() map[string]api.Rule {
	d.t.Helper()
	var list api.Rules
	if err := json.Unmarshal([]byte(d.rules(0, "", "list", "--format", "json")), &list); err != nil {
		d.t.Fatal(err)
	}
	byID := map[string]api.Rule{}
	for _, r := range list.Rules {
		byID[r.ID] = r
	}
	return byID
}

func TestRulesAreAppliedShownAndChanged(t *testing.T) {
	d := newDesk(t)
	file := d.file("shop.yaml", shopRules)
	d.rules(0, `revision 0, 0 rules`, "list")
	d.rules(0, `(?s)added +feature +card_payments.*added +rule +fast_card +shadow.*nothing was changed \(--dry-run\): revision 0`, "apply", file, "--dry-run")
	d.rules(0, `added rule shipped_unpaid live\n(.*\n)?3 changes to revision 0; 0 rules stay the same`, "diff", file)
	d.rules(0, `added +rule +shipped_unpaid +live\nrevision 1 is in force`, "apply", file, "--comment", "the first")
	d.rules(0, `nothing to change: revision 1 says the same`, "apply", file)
	d.rules(0, `(?m)^fast_card +shadow +1 +high +when +card +A card pays often +ann +20\d\d-`, "list")
	d.rules(0, `# fast_card: shadow, version 1, changed by ann, .*; revision 1\nid: fast_card\n`, "show", "fast_card")
	d.rules(1, `there is no rule "slow_card"`, "show", "slow_card")

	d.rules(0, `fast_card +shadow → live\nrevision 2 is in force`, "enable", "fast_card", "--author", "ben", "--comment", "it is good")
	if r := d.list()["fast_card"]; r.State != "live" || r.Version != 1 || r.Author != "ben" {
		t.Errorf("a state is no new version: %+v", r)
	}
	tighter := d.file("tighter.yaml", strings.Replace(strings.Replace(shopRules, "> 3 ", "> 2 ", 1), "    state: shadow\n", "", 1))
	d.rules(0, `(?s)changed rule fast_card\n--- revision 2\n\+\+\+ applied\n.*\n-when: card_payments\[10m\] > 3   # of ten\n\+when: card_payments\[10m\] > 2   # of ten\n.*1 changes to revision 2; 1 rules stay`, "diff", tighter)
	d.rules(0, `changed +rule +fast_card *\nrevision 3`, "apply", tighter)
	if r := d.list()["fast_card"]; r.State != "live" || r.Version != 2 || r.Author != "ann" {
		t.Errorf("a rule that says no state keeps its own: %+v", r)
	}
	if r := d.list()["shipped_unpaid"]; r.Version != 1 || r.Kind != "sequence" {
		t.Errorf("%+v", r)
	}
	d.rules(0, `shipped_unpaid +live → paused`, "disable", "shipped_unpaid")
	d.rules(1, `there is no rule nothing`, "retire", "shipped_unpaid", "nothing")
	d.rules(0, `(?m)^3 .* ann +changed fast_card`, "history")
	d.rules(0, `(?s)3 .*changed +live +2.*2 .*ben +state +live +1 +it is good.*1 .*added +shadow +1 +the first`, "history", "fast_card")
}

func TestARollbackIsANewRevision(t *testing.T) {
	d := newDesk(t)
	file := d.file("shop.yaml", shopRules)
	d.rules(0, `revision 1`, "apply", file)
	d.rules(0, `revision 2`, "enable", "fast_card")
	d.rules(0, `(?s)removed +rule +shipped_unpaid +was live.*revision 3`, "apply", "--prune", d.file("one.yaml", strings.Split(shopRules, "  - id: shipped_unpaid")[0]))
	d.rules(0, `(?s)added +rule +shipped_unpaid +live.*revision 4`, "rollback", "1")
	if r := d.list()["fast_card"]; r.State != "shadow" || r.Version != 1 {
		t.Errorf("%+v", r)
	}
	d.rules(0, `(?m)^4 .* ann .* back to revision 1$`, "history")
	d.rules(0, `revision 5`, "rollback", "0")
	d.rules(0, `revision 5, 0 rules`, "list")
	d.rules(1, `revision 9 is not kept`, "rollback", "9")
	d.rules(2, `"last" is no revision`, "rollback", "last")
	d.rules(2, `weir rules rollback REVISION`, "rollback")
}

func TestAnExportIsAppliedAgain(t *testing.T) {
	d := newDesk(t)
	d.rules(0, `revision 1`, "apply", d.file("shop.yaml", shopRules))
	exported, code := d.run("", "rules", "export")
	if code != 0 || !strings.Contains(exported, "card_payments[10m] > 3   # of ten") {
		t.Fatalf("%d\n%s", code, exported)
	}
	if out, code := d.run(exported, "rules", "apply", "-", "--prune"); code != 0 || !strings.Contains(out, "nothing to change") {
		t.Errorf("%d\n%s", code, out)
	}
	other := newDesk(t)
	other.rules(0, `revision 1`, "apply", other.file("exported.yaml", exported))
	if got := other.list()["fast_card"]; got.State != "shadow" || got.Text != d.list()["fast_card"].Text {
		t.Errorf("%+v", got)
	}
}

func TestAFileWithMistakesIsRefusedWhole(t *testing.T) {
	d := newDesk(t)
	bad := strings.Replace(strings.Replace(shopRules, "card_payments[10m]", "card_paymnets[10m]", 1), "before: paid", "before: payed", 1)
	out := d.rules(2, `nothing was changed, because of 2 mistakes in the rules`, "apply", d.file("bad.yaml", bad))
	for _, says := range []string{`bad.yaml:16:11: rule fast_card: .*card_paymnets`, `bad.yaml:23:\d+: rule shipped_unpaid: .*payed`} {
		if !regexp.MustCompile(says).MatchString(out) {
			t.Errorf("%q is not told:\n%s", says, out)
		}
	}
	if strings.Contains(out, "--help") {
		t.Errorf("a mistake in a file is none in the command line:\n%s", out)
	}
	d.rules(0, `revision 0, 0 rules`, "list")
	d.rules(2, `odd.yaml:3:5: .*whne`, "apply", d.file("odd.yaml", "rules:\n  - id: x\n    whne: y\n"))
	d.rules(2, `rule fast_card is in .*shop.yaml as well`, "apply", d.file("shop.yaml", shopRules), d.file("again.yaml", strings.Split(shopRules, "  - id: shipped")[0][strings.Index(shopRules, "rules:"):]))
	d.rules(1, `no such file`, "apply", filepath.Join(d.dir, "absent.yaml"))
	d.rules(2, `weir rules apply FILE`, "apply")
}

func TestTheFileIsInForceUntilSomeoneChangesIt(t *testing.T) {
	d := newDesk(t)
	d.file("none.yaml", shopRules)
	d.rules(0, `(?m)^fast_card +shadow +1 .* -$`, "list")
	d.rules(0, `# fast_card: shadow, version 1, changed by .*none.yaml, -; revision 0`, "show", "fast_card")
	d.rules(0, `fast_card +shadow → live\nrevision 1`, "enable", "fast_card")
	if rules := d.list(); len(rules) != 2 || rules["fast_card"].Author != "ann" || rules["shipped_unpaid"].ChangedAt != nil {
		t.Errorf("%+v", rules)
	}
	d.file("none.yaml", "rules: []\n") // the book is in force now
	if rules := d.list(); len(rules) != 2 {
		t.Errorf("%+v", rules)
	}
}

func TestRulesWithoutTheirTopic(t *testing.T) {
	d := newDesk(t)
	d.rules(1, "topics --ensure", "list", "--prefix", "other-")
	d.rules(1, "topics --ensure", "apply", d.file("shop.yaml", shopRules), "--prefix", "other-")
	d.kafka = vacant(t)
	d.rules(1, "refused.*start Kafka", "list")
}

// Whoever changes rules, from the command line or by the API, changes them where weir runs.
func TestAChangeOfRulesReachesARunningWeir(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	up := startUp(t, "rules:\n  file: "+filepath.Join(d.dir, "none.yaml")+"\n")
	d.kafka = up.kafka
	inForce := func(revision int64) {
		t.Helper()
		up.eventually("the rules are not in force", func() string {
			var st api.Status
			if status, body := up.get("/v1/status", &st); status != http.StatusOK || st.Rules == nil || st.Rules.Revision != revision || st.Rules.Problem != "" {
				return body
			}
			return ""
		})
	}
	inForce(0)
	d.rules(0, `revision 1`, "apply", d.file("shop.yaml", shopRules))
	inForce(1)
	req, err := http.NewRequest(http.MethodPut, up.api+"/v1/rules/fast_card?author=ben", strings.NewReader("title: A card pays often\nreason: Often\nentity: card\non: payment.captured\nwhen: card_payments[1h] > 9\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/yaml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"2"` {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	inForce(2)
	if r := d.list()["fast_card"]; r.Version != 2 || r.Author != "ben" || r.State != "shadow" {
		t.Errorf("%+v", r)
	}
}
