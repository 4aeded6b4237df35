package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/broker"
	"weir/topology/table"
	"weir/views/api"
)

// groundRules are in force from the start: one rule that each order breaks, which group orders finds alone, and one that is found by way
// of group entities.
const groundRules = `
defaults:
  limit: none
rules:
  - id: steady
    title: An order
    reason: there is one
    entity: order
    when: total > 0
  - id: returning
    title: A customer comes back
    reason: twice in a month
    entity: customer
    cooldown: 1h
    when: count(30d, customer) >= 2
`

// addedRule comes while orders flow. Its name is before the others', as is what it finds: where steady was seen, this one would have been.
const addedRule = `
rules:
  - id: added
    title: An order
    reason: there is one
    entity: order
    when: total > 0
`

// ruledFleet is processes whose rules change while they work.
type ruledFleet struct {
	*fleet
	cl      *kgo.Client
	in      *crashInput
	metrics map[string]string // address by process
	probes  int
}

func newRuledFleet(t *testing.T, addr, source, prefix, rules string) *ruledFleet {
	t.Helper()
	f := &ruledFleet{fleet: &fleet{t: t, addr: addr, source: source, prefix: prefix, session: 6 * time.Second, dir: t.TempDir(), running: map[string]*running{}},
		cl: dial(t, addr), metrics: map[string]string{}}
	f.settings = "rules: {file: " + f.file("ground.yaml", rules) + "}\n"
	return f
}

func (f *ruledFleet) file(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *ruledFleet) start(name string) {
	f.t.Helper()
	f.metrics[name] = vacant(f.t)
	f.fleet.start(name, "--listen", f.metrics[name])
}

// metric is a figure of a process; -1 as long as it does not tell any.
func (f *ruledFleet) metric(name, series string) float64 {
	f.t.Helper()
	res, err := http.Get("http://" + f.metrics[name] + "/metrics")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			return n
		}
	}
	return -1
}

// rules runs weir rules … against the installation and returns what it says; it wants its exit code.
func (f *ruledFleet) rules(code int, args ...string) string {
	f.t.Helper()
	config := f.file("desk.yaml", f.config())
	r := weir(f.t, invocation{args: append(append([]string{"rules"}, args...), "--config", config)})
	if r.code != code {
		f.t.Fatalf("weir rules %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r.out + r.err
}

// inForce waits until a revision is in force in all processes, and tells how long that took since a command began and ended.
func (f *ruledFleet) inForce(revision float64, what string, began time.Time) {
	f.t.Helper()
	ended := time.Now()
	for name, r := range f.running {
		r.eventually(what+" is not in force in "+name, func() string {
			if n := f.metric(name, "weir_rules_revision"); n != revision {
				return fmt.Sprintf("the revision is %v", n)
			}
			return ""
		})
	}
	f.t.Logf("%s is in force in all %d processes %v after the command began, %v after it ended", what, len(f.running),
		time.Since(began).Round(time.Millisecond), time.Since(ended).Round(time.Millisecond))
}

// order sends an order of a customer of its own, at the time that the input has come to.
func (f *ruledFleet) order(id string) {
	f.t.Helper()
	at, _ := f.in.at.Load().(string)
	value, err := json.Marshal(map[string]any{"id": "e-" + id, "type": "order.created", "time": cmp.Or(at, "2026-01-01T00:00:00Z"), "order_id": id, "customer_id": "c-" + id,
		"currency": "EUR", "total": "10.00", "items": []any{map[string]any{"product_id": "p1", "quantity": 1, "price": "10.00"}}})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.cl.ProduceSync(f.t.Context(), &kgo.Record{Topic: f.in.topic("orders"), Key: []byte(id), Value: value}).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

// orders sends n orders and returns their entities.
func (f *ruledFleet) orders(name string, n int) (entities []string) {
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		f.order(id)
		entities = append(entities, "order:"+id)
	}
	return entities
}

// probe sends orders until those of one round, which meet every partition of orders and of alerts, are found as they should be: from
// then on all that comes is. The rules of a process are taken up once a transaction, so this is a moment after they are in force.
func (f *ruledFleet) probe(added bool) {
	f.t.Helper()
	const partitions = 4
	deadline := time.Now().Add(patience)
	for {
		var met [2][partitions]bool
		var round []string
		for slices.Contains(met[0][:], false) || slices.Contains(met[1][:], false) {
			f.probes++
			id := fmt.Sprintf("probe-%d", f.probes)
			met[0][partitionOf(id, partitions)], met[1][partitionOf("order:"+id, partitions)] = true, true
			f.order(id)
			round = append(round, "order:"+id)
		}
		f.found("steady", round)
		if have := f.have("added"); !slices.ContainsFunc(round, func(entity string) bool { return have[entity] != added }) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("orders are not found as the rules say: rule added should be %v", added)
		}
	}
}

// have are the entities about which topic alerts has told something of a rule.
func (f *ruledFleet) have(rule string) map[string]bool {
	f.t.Helper()
	l := readLedger(f.t, f.cl, f.prefix+topology.Alerts)
	all := map[string]bool{}
	for _, a := range l.standing {
		if a.Rule == rule {
			all[a.Entity] = true
		}
	}
	return all
}

// found waits until a rule has an alert about each of the entities.
func (f *ruledFleet) found(rule string, entities []string) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		have := f.have(rule)
		missing := slices.DeleteFunc(slices.Clone(entities), func(entity string) bool { return have[entity] })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("rule %s has no alert about %d of %d entities, such as %s", rule, len(missing), len(entities), missing[0])
		}
		time.Sleep(100 * time.Millisecond) // between two looks
	}
}

// TestRulesChangeUnderLoad adds, pauses and fails to change rules while two processes work, and compares what the other rules have found
// with a run in which nothing was changed.
func TestRulesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	const source = "shop-"
	f := newRuledFleet(t, b.Addr(), source, "changed-", groundRules)
	f.in = &crashInput{cl: f.cl, prefix: source, lines: fraudEvents(t, 1500), over: 30 * time.Second}
	f.in.makeTopics(t)
	f.start("one")
	f.start("two")
	var producing sync.WaitGroup
	hurry := make(chan struct{})
	producing.Go(func() { f.in.produce(t, hurry) })
	finish := sync.OnceFunc(func() {
		close(hurry)
		producing.Wait()
	})
	defer finish()

	f.inForce(0, "the file of rules", time.Now())
	before := f.orders("before", 20)
	f.found("steady", before)
	began := time.Now()
	f.rules(0, "apply", f.file("added.yaml", addedRule))
	f.inForce(1, "a new rule", began)
	f.probe(true)
	during := f.orders("during", 20)
	f.found("added", during)

	f.refuseBadFiles()
	also := f.orders("also", 20)
	f.found("added", also)

	began = time.Now()
	f.rules(0, "disable", "added")
	f.inForce(2, "a pause", began)
	f.probe(false)
	after := f.orders("after", 20)
	f.found("steady", after)
	finish()
	f.settle(f.cl)

	added := f.have("added")
	for _, entity := range append(before, after...) {
		if added[entity] {
			t.Errorf("rule added has an alert about %s, though it was not in force then", entity)
		}
	}
	for name, r := range f.running {
		r.neverFailed()
		if n := strings.Count(r.log.String(), `msg="rules in force"`); n != 3 {
			t.Errorf("process %s took up rules %d times, want 3", name, n)
		}
		if n := f.metric(name, `weir_rule_asked_total{rule="steady"}`); n <= 0 {
			t.Errorf("process %s asked rule steady %v times", name, n)
		}
	}
	f.agreesWith(source)
	f.stop()
}

// refuseBadFiles wants files with a mistake to be refused whole.
func (f *ruledFleet) refuseBadFiles() {
	f.t.Helper()
	good := strings.Replace(addedRule, "id: added", "id: another", 1)
	before := f.rules(0, "export")
	for name, bad := range map[string]string{
		"a mistake in its second rule": good + "  - id: bad\n    title: t\n    when: totl > 0\n",
		"a mistake in a change":        good + "  - id: steady\n    title: t\n    when: total >\n",
	} {
		said := f.rules(2, "apply", f.file("bad.yaml", bad))
		if !strings.Contains(said, "bad.yaml:10:1") || !strings.Contains(said, "nothing was changed") {
			f.t.Errorf("%s is not told with its place: %s", name, said)
		}
	}
	if after := f.rules(0, "export"); after != before {
		f.t.Errorf("a file that was refused has changed the rules:\n%s\nwere\n%s", after, before)
	}
	var list api.Rules
	if err := json.Unmarshal([]byte(f.rules(0, "list", "--format", "json")), &list); err != nil || list.Revision != 1 || len(list.Rules) != 3 {
		f.t.Errorf("%v %+v", err, list)
	}
	for name := range f.running {
		if n := f.metric(name, "weir_rules_revision"); n != 1 {
			f.t.Errorf("revision %v is in force in %s", n, name)
		}
	}
}

// agreesWith compares the alerts of the ground rules with those of a process whose rules never changed, on the same input.
func (f *ruledFleet) agreesWith(source string) {
	f.t.Helper()
	peaceful := newRuledFleet(f.t, f.addr, source, "unchanged-", groundRules)
	peaceful.in = f.in
	peaceful.start("only")
	peaceful.settle(f.cl)
	sameGround(f.t, peaceful, f)
	l := readLedger(f.t, f.cl, f.prefix+topology.Alerts)
	for _, fault := range append(l.faults, l.compare(f.cases(), 0)...) {
		f.t.Errorf("topic alerts: %s", fault)
	}
	f.t.Logf("told of the run whose rules changed: %s, opened by rule %v", l, l.rules)
	peaceful.stop()
}

// cases are the rows of group alerts.
func (f *ruledFleet) cases() map[string][]byte {
	f.t.Helper()
	rows := readTable(f.t, f.cl, f.prefix+topology.TableAlerts)
	takeMarks(f.t, rows, map[string]int64{})
	return rows
}

// ground are the alerts of the rules that were there from the start.
func (f *ruledFleet) ground() map[string]*table.Alert {
	f.t.Helper()
	all := alertsOf(f.t, f.cases())
	for key, a := range all {
		if a.Rule != "steady" && a.Rule != "returning" {
			delete(all, key)
		}
	}
	return all
}

// sameGround waits until both runs have the same alerts of the rules that were there from the start.
func sameGround(t *testing.T, peaceful, other *ruledFleet) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		want, got := peaceful.ground(), other.ground()
		diffs := compareAlerts(want, got)
		if len(diffs) == 0 && len(want) > 0 {
			t.Logf("%d alerts of the rules that were there from the start are equal", len(want))
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d differences among %d alerts:\n%s", len(diffs), len(want), strings.Join(diffs[:min(len(diffs), 15)], "\n"))
		}
		time.Sleep(500 * time.Millisecond) // timers may still be due on either side
	}
}
