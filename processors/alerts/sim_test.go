package alerts

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/table"
)

// teller stands for the groups that find: it passes findings on at their own time.
type teller struct{}

const said = "said"

func (teller) Process(p *sim.Partition, r *sim.Record) error {
	p.Observe(said, r.Timestamp)
	if len(r.Value) > 0 {
		p.Emit(topology.Findings, r.Key, r.Value, nil)
	}
	return nil
}
func (teller) BeforeCommit(func(string, string, []byte)) error { return nil }
func (teller) Rollback()                                       {}
func (teller) Deadline(string, []byte) (event.UnixMilli, bool) { return 0, false }
func (teller) Timer(*sim.Partition, string, []byte) error      { return nil }

func newCluster(t *testing.T, cfg sim.Config, rules ...*rule.Rule) *sim.Cluster {
	byID := map[string]*rule.Rule{}
	for _, r := range rules {
		byID[r.ID] = r
	}
	load := func() (func(string) *rule.Rule, time.Duration) {
		return func(id string) *rule.Rule { return byID[id] }, 24 * time.Hour
	}
	c, err := sim.New(cfg,
		sim.Group{Name: "teller", Inputs: []string{said}, Sources: []string{said}, MarkTopics: []string{topology.Findings},
			New: func() sim.Processor { return teller{} }},
		simulate(load, cfg.Partitions, 0, "teller"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func produce(t *testing.T, c *sim.Cluster, topic, key string, at event.UnixMilli, m interface{ MarshalVT() ([]byte, error) }) {
	t.Helper()
	value, err := m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	c.Produce(sim.Record{Topic: topic, Key: key, Value: value, Timestamp: at})
}

func settle(t *testing.T, c *sim.Cluster) {
	t.Helper()
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
}

// reach tells every partition that event time has come to a point.
func reach(c *sim.Cluster, at event.UnixMilli) {
	for n := range 200 {
		c.Produce(sim.Record{Topic: said, Key: fmt.Sprint("tick", n), Timestamp: at})
	}
}

// rows are the entities' rows.
func rows(t *testing.T, c *sim.Cluster) map[string]*table.Case {
	all := map[string]*table.Case{}
	for key, raw := range c.Rows(topology.GroupAlerts) {
		if key[0] == 0 {
			continue
		}
		all[key] = new(table.Case)
		if err := all[key].UnmarshalVT(raw); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestAlertsAreTheSameWhateverFails(t *testing.T) {
	rules := []*rule.Rule{velocity()}
	var want string
	for _, partitions := range []int32{1, 4, 8} {
		for seed := range uint64(4) {
			cfg := sim.Config{Seed: seed, Partitions: partitions, Instances: 3,
				CrashChance: 0.1 * float64(seed), AbortChance: 0.05 * float64(seed), RebalanceChance: 0.1}
			c := newCluster(t, cfg, rules...)
			rng := rand.New(rand.NewPCG(seed, 1))
			for _, n := range rng.Perm(400) { // disorder within an entity is of another seed each time
				f := found("velocity", uint64(n), n*7%600)
				f.Entity = fmt.Sprint("customer:c", n%20)
				produce(t, c, said, f.Entity, event.UnixMilli(f.AtMs), f)
				if n%5 == 0 {
					produce(t, c, said, f.Entity, event.UnixMilli(f.AtMs), &table.Finding{Rule: f.Rule, RuleHash: f.RuleHash, Hit: f.Hit, Withdrawn: true})
				}
			}
			reach(c, minute(600))
			settle(t, c)
			all := rows(t, c)
			var text strings.Builder
			for _, key := range slices.Sorted(maps.Keys(all)) {
				text.WriteString(key + "\n" + strings.Join(seen(all[key]), "\n") + "\n")
			}
			if want == "" {
				want = text.String()
			}
			if text.String() != want {
				t.Fatalf("%d partitions, seed %d: alerts are\n%s\nwere\n%s", partitions, seed, text.String(), want)
			}
			checkTold(t, c, all)
		}
	}
}

// checkTold holds topic alerts to the table: no change is told twice, and the newest event of each alert is the row's.
func checkTold(t *testing.T, c *sim.Cluster, rows map[string]*table.Case) {
	type cloudEvent struct {
		ID, Type, Subject string
		Data              struct {
			ID, Status, Episode string
			Revision, Hits      int64
			Moved               struct{ From []string }
		}
	}
	ids, newest := map[string]bool{}, map[string]cloudEvent{}
	for _, r := range c.Records(topology.Alerts) {
		var e cloudEvent
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		if ids[e.ID] || e.Subject != r.Key {
			t.Fatalf("%s with key %s is told twice or of another entity", e.ID, r.Key)
		}
		ids[e.ID] = true
		for _, from := range e.Data.Moved.From {
			delete(newest, from)
		}
		newest[e.Data.ID] = e
	}
	standing := 0
	for _, row := range rows {
		for _, a := range row.Alerts {
			if a.Status == alert.Withdrawn {
				continue
			}
			standing++
			if e, ok := newest[a.Id]; !ok || e.Data.Episode != a.Episode || e.Data.Status != a.Status {
				t.Fatalf("of alert %v was told %v", a, e)
			}
		}
	}
	for id, e := range newest {
		if e.Type == alert.TypeWithdrawn {
			delete(newest, id)
		}
	}
	if standing != len(newest) || standing == 0 {
		t.Fatalf("%d alerts stand, told are %d", standing, len(newest))
	}
}

func TestDecisionsAndFindingsMeetInTheRow(t *testing.T) {
	c := newCluster(t, sim.Config{Seed: 1, Partitions: 4}, velocity())
	produce(t, c, said, entity, minute(0), found("velocity", 1, 0))
	settle(t, c)
	decide := func(d *table.Decision) { produce(t, c, topology.Commands, entity, minute(1), d) }
	decide(&table.Decision{Id: "d1", Alert: idAt(0), Entity: entity, Action: alert.Confirm, Author: "ana", SeenAtMs: 5})
	decide(&table.Decision{Id: "d1", Alert: idAt(0), Entity: entity, Action: alert.Confirm, Author: "ana", SeenAtMs: 5})
	decide(&table.Decision{Entity: entity})
	c.Produce(sim.Record{Topic: topology.Findings, Key: entity, Value: []byte("nonsense")})
	settle(t, c)
	if a := rows(t, c)[entity].Alerts[0]; a.Status != alert.Confirmed {
		t.Errorf("alert is %v", a)
	}
	if letters := c.Records(topology.DeadLetters); len(letters) != 2 || len(letters[0].Headers[event.HeaderReason]) == 0 {
		t.Errorf("dead letters are %v", letters)
	}
	counters := c.Counters(topology.GroupAlerts)
	if counters[CounterDecisions] != 1 || counters[CounterRepeated] != 1 || counters[CounterDeadLetters] != 2 || counters[CounterHits] != 1 {
		t.Errorf("counters are %v", counters)
	}
	reach(c, minute(1).Add(DefaultRetention))
	settle(t, c)
	for key := range c.Rows(topology.GroupAlerts) {
		if !strings.HasPrefix(key, "\x00marks") {
			t.Errorf("after the retention %q is left", key)
		}
	}
}
