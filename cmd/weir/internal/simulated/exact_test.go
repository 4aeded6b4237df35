package simulated

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// exactEnv asks for more events than a quick test has: make exact.
const exactEnv = "WEIR_EXACT_EVENTS"

func exactEvents(t *testing.T, quick int) int {
	text := os.Getenv(exactEnv)
	switch {
	case text == "" && testing.Short():
		return quick / 4
	case text == "":
		return quick
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no count of events", exactEnv, text)
	}
	return n
}

// told collects what findings say, of those that stand.
type told struct {
	standing map[string]*table.Finding // by rule and event
	err      error
}

func (c *told) take(value []byte) {
	f := new(table.Finding)
	if err := f.UnmarshalVT(value); err != nil {
		c.err = err
		return
	}
	if f.Withdrawn {
		c.err = fmt.Errorf("a rule that always holds was withdrawn: %v", f)
		return
	}
	c.standing[f.Rule+" "+f.Event.GetId()] = f
}

func (c *told) Process(_ *sim.Partition, r *sim.Record) error {
	c.take(r.Value)
	return c.err
}
func (c *told) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (c *told) Rollback()                                                {}
func (c *told) Deadline(string, []byte) (event.UnixMilli, bool)          { return 0, false }
func (c *told) Timer(*sim.Partition, string, []byte) error               { return nil }

// exam holds what was told to what the history says.
type exam struct {
	*told
	history  *history
	probings []probing
	next     int            // of the history's sightings
	oldest   map[string]int // by entity: the first event that is in any window
	features int64
	events   int64
	most     int // events behind one feature
	unknown  int64
}

const longestProbe = 24 * time.Hour

// until examines the events up to a time, and forgets what was told of them.
func (x *exam) until(at int64) error {
	for ; x.next < len(x.history.sightings) && x.history.sightings[x.next].at <= at; x.next++ {
		s := x.history.sightings[x.next]
		for i := range x.probings {
			if err := x.event(&x.probings[i], s); err != nil {
				return err
			}
		}
		x.events++
	}
	for key, f := range x.standing {
		if f.AtMs <= at {
			return fmt.Errorf("%s was found, and should not have been: %v", key, f)
		}
	}
	return nil
}

func (x *exam) event(g *probing, s *sighting) error {
	id := s.entity(g.kind)
	if id == "" || !slices.Contains(g.on, s.kind) {
		return nil
	}
	key, entity := g.id+" "+s.id, g.kind+":"+id
	f := x.standing[key]
	if f == nil || f.Entity != entity || f.AtMs != s.at || f.OrderId != s.order || len(f.Predicates) < len(g.probes) {
		return fmt.Errorf("%s of %s: found %v", key, entity, f)
	}
	delete(x.standing, key)
	explained := map[string]*table.Predicate{}
	for _, p := range f.Predicates {
		if p.Feature != "" {
			explained[p.Feature] = p
		}
	}
	events := x.history.by[entity]
	from := x.oldest[entity]
	for events[from].at <= s.at-longestProbe.Milliseconds() {
		from++
	}
	x.oldest[entity] = from
	for i := range g.probes {
		p := &g.probes[i]
		want, behind := p.read(g.on, s, events[from:])
		if err := examine(explained[p.text(g.kind, g.on)], p, want, s, behind, entity); err != nil {
			return fmt.Errorf("%s, %s of %s: %w", key, p.text(g.kind, g.on), entity, err)
		}
		x.features++
		x.most = max(x.most, len(behind))
		if !want.Known {
			x.unknown++
		}
	}
	return nil
}

// examine holds one explained feature to what it must be.
func examine(got *table.Predicate, p *probe, want rule.Value, s *sighting, behind []*sighting, entity string) error {
	ids, total := p.cited(want, behind)
	text := rule.Show(want, s.currency)
	if got == nil || got.Observed != text || got.EventsTotal != int64(total) || got.Entity != entity || got.ToMs != s.at ||
		got.FromMs != s.at-p.window.Milliseconds() {
		return fmt.Errorf("told %v, want %q with %d events", got, text, total)
	}
	if ids == nil && total > 0 {
		return nil
	}
	for i, e := range got.Events {
		if i >= len(ids) || e.Id != ids[i] {
			return fmt.Errorf("cites event %d %v, want %v", i, e, ids)
		}
	}
	if len(got.Events) != len(ids) {
		return fmt.Errorf("cites %d events, want %v", len(got.Events), ids)
	}
	return nil
}

// examined makes the cluster that is examined: groups orders and entities, and more.
func examined(t *testing.T, cfg sim.Config, rules string, more ...func(*rule.Current) sim.Group) *sim.Cluster {
	t.Helper()
	set, err := rule.Load("the test's rules", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	none, err := metric.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	settings := orders.DefaultSettings()
	settings.Retention = 2 * 24 * time.Hour // of a long history only the end is in memory
	current := rule.NewCurrent(set)
	groups := Groups(settings, none, current, cfg.Partitions)
	groups = slices.DeleteFunc(groups, func(g sim.Group) bool { return g.Name != topology.GroupOrders && g.Name != topology.GroupEntities })
	for _, m := range more {
		groups = append(groups, m(current))
	}
	cfg.Start = clockStart
	c, err := sim.New(cfg, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func produce(c *sim.Cluster, all []delivery) {
	for _, d := range all {
		c.Produce(sim.Record{Topic: d.topic(), Key: d.order, Value: d.record(), Timestamp: event.UnixMilli(d.comes)})
	}
}

// uneven cuts deliveries into pieces as transactions do: some of one event, some of thousands.
func uneven(seed uint64, all []delivery, each func(piece []delivery) error) error {
	rng := rand.New(rand.NewPCG(seed, 0x7069656365))
	for len(all) > 0 {
		n := min(1+rng.IntN([]int{2, 50, 500, 4000}[rng.IntN(4)]), len(all))
		if err := each(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// TestEveryFeatureIsExact compares every feature at every event, as findings tell it, with what comes out of reading all earlier events
// again. Events come late, again, and in every order that topics and partitions allow.
func TestEveryFeatureIsExact(t *testing.T) {
	all := crowd(1, exactEvents(t, 6_000))
	x := &exam{told: &told{standing: map[string]*table.Finding{}}, history: newHistory(all), probings: probings(), oldest: map[string]int{}}
	collect := func(*rule.Current) sim.Group {
		return sim.Group{Name: "collector", Inputs: []string{topology.Findings}, New: func() sim.Processor { return x.told }}
	}
	c := examined(t, sim.Config{Stream: true, Partitions: 8}, probeRules(x.probings), collect)
	soonest := make([]int64, len(all)+1) // the least time of what is still to come
	soonest[len(all)] = all[len(all)-1].comes
	for i := len(all) - 1; i >= 0; i-- {
		soonest[i] = min(soonest[i+1], all[i].at-2*minute) // payments before their order wait for it
	}
	late, newest, began, fed := 0, int64(0), time.Now(), 0
	err := uneven(1, all, func(piece []delivery) error {
		for _, d := range piece {
			if d.at < newest {
				late++
			}
			newest = max(newest, d.at)
		}
		produce(c, piece)
		if err := c.Settle(); err != nil {
			return err
		}
		fed += len(piece)
		if testing.Verbose() && fed/100_000 > (fed-len(piece))/100_000 {
			t.Logf("%d events after %s, %d features compared", fed, time.Since(began).Round(time.Second), x.features)
		}
		return x.until(soonest[fed] - 1)
	})
	if err == nil {
		err = x.until(soonest[len(all)])
	}
	if err != nil {
		t.Fatal(err)
	}
	nothingWasLost(t, c)
	duplicates := c.Counters(topology.GroupOrders)["duplicates"]
	t.Logf("%d events (%d came out of order, %d again), %d features of %d entities compared, up to %d events behind one, %d unknown; %s",
		len(all), late, duplicates, x.features, len(x.history.by), x.most, x.unknown, time.Since(began).Round(time.Second))
	if late == 0 || duplicates == 0 || x.unknown == 0 || x.most < 65 && len(all) >= 6_000 {
		t.Error("the events were too easy")
	}
}

// nothingWasLost checks that the run was within the bounds in which features are exact.
func nothingWasLost(t *testing.T, c *sim.Cluster) {
	t.Helper()
	counters := c.Counters(topology.GroupEntities)
	for _, name := range []string{"late_observations", "unjudged_observations", "folded_values", "dropped_observations",
		"damaged_rows", "dead_letters"} {
		if n := counters[name]; n != 0 {
			t.Errorf("%s is %d: the comparison is not fair", name, n)
		}
	}
	if n := c.Counters(topology.GroupOrders)["dead_letters"]; n != 0 {
		t.Errorf("%d events are dead letters", n)
	}
}

// TestEveryFeatureIsExactWhateverFails is the same on clusters that crash, abort and rebalance.
func TestEveryFeatureIsExactWhateverFails(t *testing.T) {
	for seed := range uint64(4) {
		all := crowd(100+seed, 1_200)
		x := &exam{told: &told{standing: map[string]*table.Finding{}}, history: newHistory(all), probings: probings(), oldest: map[string]int{}}
		c := examined(t, sim.Config{Seed: seed, Partitions: []int32{1, 4, 8, 5}[seed], Instances: 1 + int(seed%3), MaxBatch: 50,
			CrashChance: 0.03, AbortChance: 0.2, RebalanceChance: 0.2}, probeRules(x.probings))
		err := uneven(seed, all, func(piece []delivery) error {
			produce(c, piece)
			return c.Settle()
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Records(topology.Findings) {
			if !strings.HasPrefix(r.Key, sim.MarkPrefix) {
				x.take(r.Value)
			}
		}
		if x.err != nil {
			t.Fatal(x.err)
		}
		if err := x.until(1 << 62); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		nothingWasLost(t, c)
		if s := c.Stats(); s.Crashes == 0 || s.Aborts == 0 || x.features == 0 {
			t.Errorf("nothing went wrong: %+v", s)
		}
	}
}
