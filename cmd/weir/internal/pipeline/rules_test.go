package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/configs"
	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/rulebook"
	"weir/views/api"
)

const twoRules = `rules:
  - id: big
    title: A big order
    reason: it is big
    when: total > 100.00
  - id: unpaid
    title: Shipped before it was paid
    reason: goods left unpaid
    state: shadow
    sequence: {event: dispatched, before: paid}
`

// office is a cluster with a configuration whose file has two rules.
type office struct {
	cfg *configs.Config
	reg *prometheus.Registry
}

func newOffice(t *testing.T) *office {
	t.Helper()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(twoRules), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := configs.Load(configs.Sourced{Environ: []string{"WEIR_KAFKA_BROKERS=" + b.Addr(), "WEIR_RULES_FILE=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	return &office{cfg: &loaded.Config, reg: prometheus.NewRegistry()}
}

func (o *office) topics(t *testing.T) {
	t.Helper()
	specs, err := o.cfg.TopicSpecs()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := client.EnsureTopics(t.Context(), kadm.NewClient(cl), specs); err != nil {
		t.Fatal(err)
	}
}

// follow starts an instance.
func (o *office) follow(t *testing.T) *RuleFollower {
	t.Helper()
	f, err := FollowRules(t.Context(), o.cfg, Deps{Logger: slog.New(slog.DiscardHandler), Registry: o.reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func TestARuleIsInForceOnEveryInstance(t *testing.T) {
	o := newOffice(t)
	early := o.follow(t) // before there are topics, as a view server may be
	if set := early.Current().Load(); set.Revision != 0 || len(set.Rules()) != 2 || set.Rule("big").Version != 1 {
		t.Errorf("the file's rules: %+v", set)
	}
	o.topics(t)
	second := o.follow(t)
	a := NewRulesAPI(second)
	rules, err := a.Put(t.Context(), "big", "title: A very big order\nreason: it is big\nwhen: total > 500.00\n", api.RuleChange{Author: "ann", On: 0})
	if err != nil {
		t.Fatal(err)
	}
	if r := rules.Rules[0]; rules.Revision != 1 || r.ID != "big" || r.Version != 2 || r.Author != "ann" || r.State != "live" || r.Title != "A very big order" {
		t.Errorf("%+v", rules)
	}
	if rules.Rules[1].ChangedAt != nil || rules.Rules[1].State != "shadow" {
		t.Errorf("the other rule came with the file: %+v", rules.Rules[1])
	}
	late := o.follow(t)
	if set := late.Current().Load(); set.Revision != 1 || set.Rule("big").Version != 2 {
		t.Errorf("an instance starts with the rules in force: %+v", set)
	}
	eventually(t, "revision 1 on an instance that was there before its topic", func() bool {
		set := early.Current().Load()
		return set.Revision == 1 && set.Rule("big").Version == 2 && set.Rule("big").Title == "A very big order"
	})
	families, err := o.reg.Gather()
	if err != nil || len(families) != 4 {
		t.Fatalf("%v %v", err, families)
	}
	if f := families[3]; f.GetName() != "weir_rules_revision" || f.Metric[0].Gauge.GetValue() != 1 {
		t.Errorf("%v", f)
	}
}

// An older version of weir may not understand the newest rules: it goes on with those that it has, and says so.
func TestRulesThatDoNotCompileHereLeaveTheOthersInForce(t *testing.T) {
	o := newOffice(t)
	o.topics(t)
	f := o.follow(t)
	a := NewRulesAPI(f)
	if _, err := a.SetState(t.Context(), "unpaid", "live", api.RuleChange{Author: "ann", On: -1}); err != nil {
		t.Fatal(err)
	}
	book, err := f.RuleBook.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := book.Document
	next.Rules = append(next.Rules, rulebook.Rule{ID: "future", YAML: "id: future\nforesee: tomorrow\n", State: "live"})
	if _, err := f.Write(t.Context(), book, next, "a newer weir", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a problem", func() bool { return a.Status().Problem != "" })
	if s := a.Status(); s.Revision != 1 || !strings.Contains(s.Problem, "revision 2: ") || !strings.Contains(s.Problem, "foresee") {
		t.Errorf("%+v", s)
	}
	if rules := a.Rules(); rules.Revision != 2 || len(rules.Rules) != 3 || rules.Problem == "" || f.Current().Load().Revision != 1 {
		t.Errorf("%+v", rules)
	}
	started := o.follow(t)
	if s := NewRulesAPI(started).Status(); s.Revision != 0 || s.Problem == "" {
		t.Errorf("an instance that starts with rules that it does not understand has the file's: %+v", s)
	}
	if _, err := f.Write(t.Context(), rulebook.Book{Revision: 2}, book.Document, "ann", "back"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "revision 3", func() bool { s := a.Status(); return s.Revision == 3 && s.Problem == "" })
}

func TestRulesAreRefusedWithPlacesInTheTextThatWasSent(t *testing.T) {
	o := newOffice(t)
	o.topics(t)
	a := NewRulesAPI(o.follow(t))
	for name, c := range map[string]struct {
		text         string
		line, column int
		says         string
	}{
		"a bare rule":      {"title: x\nreason: y\nwhen: totl > 1.00\n", 3, 7, "totl"},
		"one with its id":  {"id: big\ntitle: x\nreason: y\nwhen: totl > 1.00\n", 4, 7, "totl"},
		"a document":       {"rules:\n  - id: big\n    title: x\n    reason: y\n    when: totl > 1.00\n", 5, 11, "totl"},
		"an unknown field": {"title: x\nwhne: y\n", 2, 1, "whne"},
		"no YAML":          {"title: [x\n", 0, 0, ""},
		"another rule":     {"id: other\ntitle: x\nreason: y\nwhen: total > 1.00\n", 0, 0, "defines other"},
	} {
		_, err := a.Put(t.Context(), "big", c.text, api.RuleChange{Author: "ann", On: -1})
		var refused *api.RuleProblems
		if !errors.As(err, &refused) || len(refused.Problems) == 0 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := refused.Problems[0]
		if c.line > 0 && (p.Line != c.line || p.Column != c.column) || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %+v, want %d:%d", name, p, c.line, c.column)
		}
	}
	if _, err := a.Check("rules: [{id: new, title: x, reason: y, when: total > 1.00}]\n"); err == nil || !strings.Contains(err.Error(), "block style") {
		t.Errorf("an entry that the book would not keep as it is: %v", err)
	}
	if r := a.Rules(); r.Revision != 0 {
		t.Errorf("something was changed: %+v", r)
	}
	effects, err := a.Check("rules:\n  - id: new\n    title: x\n    reason: y\n    when: total > 1.00\n")
	if err != nil || len(effects) != 1 || effects[0] != (api.RuleEffect{Kind: "rule", ID: "new", Change: "added", To: "live"}) {
		t.Errorf("%v %+v", err, effects)
	}
	if _, err := a.Check("rules:\n  - id: new\n    when: totl > 1.00\n"); err == nil {
		t.Error("a mistake is not told")
	}
}

func TestChangesAtOnceByTheAPI(t *testing.T) {
	o := newOffice(t)
	o.topics(t)
	servers := []*RulesAPI{NewRulesAPI(o.follow(t)), NewRulesAPI(o.follow(t))}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := map[string]bool{}
	for n := range 8 {
		wg.Go(func() {
			id := fmt.Sprint("rule_", n)
			text := fmt.Sprintf("title: x\nreason: y\nwhen: total > %d.00\n", n+1)
			_, err := servers[n%2].Put(t.Context(), id, text, api.RuleChange{Author: "ann", On: -1})
			var conflict *api.RuleConflict
			if err != nil && !errors.As(err, &conflict) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			done[id] = err == nil
		})
	}
	wg.Wait()
	eventually(t, "the same rules on both", func() bool { return servers[0].Rules().Revision == servers[1].Rules().Revision })
	have := map[string]bool{}
	for _, r := range servers[0].Rules().Rules {
		have[r.ID] = true
	}
	for id, ok := range done {
		if have[id] != ok {
			t.Errorf("%s was accepted: %v, and is there: %v", id, ok, have[id])
		}
	}
	had := servers[0].Rules().Revision
	_, err := servers[0].SetState(t.Context(), "big", "paused", api.RuleChange{Author: "ann", On: had - 1})
	var conflict *api.RuleConflict
	if !errors.As(err, &conflict) || conflict.Newest != had {
		t.Errorf("%v", err)
	}
	if _, err := servers[0].SetState(t.Context(), "big", "paused", api.RuleChange{Author: "ben", Comment: "loud", On: had}); err != nil {
		t.Error(err)
	}
	history, err := servers[1].History(t.Context(), "big")
	if err != nil || len(history) < 2 || history[0].Change != "state" || history[0].State != "paused" || history[0].Comment != "loud" || history[0].Author != "ben" {
		t.Errorf("%v %+v", err, history)
	}
	if _, err := servers[1].History(t.Context(), "nothing"); !errors.Is(err, api.ErrNoRule) {
		t.Errorf("%v", err)
	}
	revisions, err := servers[1].Revisions(t.Context())
	if err != nil || int64(len(revisions)) != had+2 || revisions[0].Effects[0] != (api.RuleEffect{Kind: "rule", ID: "big", Change: "state", From: "live", To: "paused"}) {
		t.Errorf("%v %+v", err, revisions)
	}
}
