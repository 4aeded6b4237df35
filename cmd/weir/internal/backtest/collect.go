package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

// collection reads a table of alerts.
type collection struct {
	run      *run
	journey  *journey
	from, to event.UnixMilli
	rules    map[string]*tally
	all      *tally              // of live rules
	entities map[uint64]struct{} // that live rules alerted about
	orders   map[uint64]int32    // cited by live rules: the rule's number, manyRules if there are several
	shared   map[string]int64    // entities that other live rules alerted about, by rule
	sample   sample
	found    []touch
	crowded  bool // too many orders to tell all apart
}

const (
	manyRules  = -1
	maxOrders  = 1_000_000 // told apart by rule, and
	maxSamples = 5
)

// tally counts while the table is read.
type tally struct {
	Tally
	number int32
	orders map[uint64]struct{}
	risk   map[string]int64
	labels *scored
	sample sample
	names  map[uint64]struct{} // entities
}

func (c *collection) newTally(number int) *tally {
	t := &tally{number: int32(number), orders: map[uint64]struct{}{}, risk: map[string]int64{}, names: map[uint64]struct{}{}, sample: sample{most: maxSamples}}
	if c.run.Truth != nil {
		t.labels = newScored(c.run.Truth)
	}
	return t
}

// collect reads the table of alerts of a journey.
func (r *run) collect(j *journey) (*collection, error) {
	c := &collection{run: r, journey: j, rules: map[string]*tally{}, entities: map[uint64]struct{}{}, orders: map[uint64]int32{},
		shared: map[string]int64{}, sample: sample{most: r.MaxAlerts}}
	c.from, c.to = r.reported()
	c.all = c.newTally(0)
	for i, rl := range j.set.Rules() {
		c.rules[rl.ID] = c.newTally(i)
	}
	var failed error
	j.cluster.Each(topology.GroupAlerts, func(key string, row []byte) bool {
		if key[0] == 0 {
			return true
		}
		var stored table.Case
		if failed = stored.UnmarshalVT(row); failed != nil {
			failed = fmt.Errorf("alerts of %s: %w", key, failed)
			return false
		}
		c.entity(key, &stored)
		return true
	})
	return c, failed
}

// entity counts the alerts about one entity.
func (c *collection) entity(key string, row *table.Case) {
	score := alert.CaseScore(row)
	var live, standing []string // rules that have alerts here
	for _, a := range row.Alerts {
		t := c.rules[a.Rule]
		if at := event.UnixMilli(a.StartedMs); t == nil || at < c.from || at >= c.to {
			continue
		}
		if !c.count(t, a) {
			continue
		}
		if !slices.Contains(standing, a.Rule) {
			standing = append(standing, a.Rule)
			t.Entities++
			if c.run.Against != nil {
				t.names[xxhash.Sum64String(key)] = struct{}{}
			}
		}
		if !a.Shadow && !slices.Contains(live, a.Rule) {
			live = append(live, a.Rule)
		}
		for _, s := range []*sample{&t.sample, &c.sample} {
			if s.wants(a.Id) {
				s.add(c.run.show(a, score))
			}
		}
	}
	if len(live) > 0 {
		c.all.Entities++
		c.entities[xxhash.Sum64String(key)] = struct{}{}
	}
	for _, id := range standing {
		if others := len(live); others > 1 || others == 1 && live[0] != id {
			c.shared[id]++
		}
	}
}

// count counts one alert, and reports whether it stands.
func (c *collection) count(t *tally, a *table.Alert) bool {
	tallies := []*tally{t, c.all}
	if a.Shadow {
		tallies = tallies[:1]
	}
	if c.run.Truth != nil && a.Status != alert.Withdrawn && !a.Held {
		c.found = c.run.Truth.touches(a, c.found)
	}
	for _, t := range tallies {
		switch {
		case a.Status == alert.Withdrawn:
			t.Withdrawn++
			continue
		case a.Held:
			t.Held++
		default:
			t.Alerts++
			if t.labels != nil {
				t.labels.add(a, c.found)
			}
		}
		t.Hits += a.Hits
		for _, h := range a.HitsKept {
			c.order(t, h)
		}
	}
	if a.Status == alert.Withdrawn {
		return false
	}
	if !a.Shadow {
		for _, h := range a.HitsKept {
			id := xxhash.Sum64String(h.OrderId)
			if n, known := c.orders[id]; known && n != t.number {
				c.orders[id] = manyRules
			} else if !known && len(c.orders) < maxOrders {
				c.orders[id] = t.number
			}
		}
	}
	return true
}

// order counts an order that an alert cites, once.
func (c *collection) order(t *tally, h *table.HitRef) {
	if h.OrderId == "" {
		return
	}
	id := xxhash.Sum64String(h.OrderId)
	if _, known := t.orders[id]; known {
		return
	}
	if len(t.orders) == maxOrders {
		c.crowded = true
		return
	}
	t.orders[id] = struct{}{}
	if h.Currency != "" {
		t.risk[h.Currency] += h.RiskMinor
	}
}

// tell finishes a tally.
func (c *collection) tell(t *tally) Tally {
	out := t.Tally
	out.Orders, out.AtRisk = int64(len(t.orders)), money(t.risk)
	if days := c.days(); days > 0 {
		out.AlertsPerDay = float64(out.Alerts) / days
	}
	if t.labels != nil {
		out.Labels = t.labels.tell(c.run.first, c.to)
	}
	return out
}

func (c *collection) days() float64 { return c.to.Time().Sub(c.from.Time()).Hours() / 24 }

// sharedOrders counts a rule's orders that other live rules cite, too.
func (c *collection) sharedOrders(t *tally) (n int64) {
	for id := range t.orders {
		if by, known := c.orders[id]; known && by != t.number {
			n++
		}
	}
	return n
}

// reported is the time that the report is about.
func (r *run) reported() (from, to event.UnixMilli) {
	from, to = r.first, r.last+1
	if !r.From.IsZero() {
		from = event.UnixMilli(r.From.UnixMilli())
	}
	if !r.To.IsZero() {
		to = min(to, event.UnixMilli(r.To.UnixMilli()))
	}
	return from, max(from, to)
}

// show is an alert's representation.
func (r *run) show(a *table.Alert, caseScore int64) alert.Alert {
	shown := alert.Of(a, caseScore)
	if r.Partitions > 0 {
		for _, predicates := range [][]alert.Predicate{shown.Explanation, shown.Latest} {
			for i := range predicates {
				for k := range predicates[i].Events {
					e := &predicates[i].Events[k]
					e.Partition = client.Partition([]byte(e.OrderID), r.Partitions)
				}
			}
		}
	}
	return *shown
}

// report makes the report of what was played.
func (r *run) report() (*Report, error) {
	c, err := r.collect(r.tried)
	if err != nil {
		return nil, err
	}
	from, to := r.reported()
	out := &Report{Partial: r.partial, From: from.Time(), To: to.Time(), Days: c.days(), Events: r.events, All: c.tell(c.all),
		Micros: micros(r.tried.took, r.events), Alerts: c.sample.take()}
	out.AlertsLeftOut = c.sample.left
	o, e := r.tried.counts(topology.GroupOrders), r.tried.counts(topology.GroupEntities)
	out.Refused, out.Repeated = o[orders.CounterDeadLetters], o[orders.CounterDuplicates]
	out.Late, out.Unjudged = e[entities.CounterLate], e[entities.CounterUnjudged]
	var other *collection
	if r.against != nil {
		if other, err = r.collect(r.against); err != nil {
			return nil, err
		}
		out.Against = r.compare(c, other)
	}
	for _, rl := range r.tried.set.Rules() {
		out.Rules = append(out.Rules, c.rule(rl, other))
	}
	out.Warnings = r.warnings(c)
	if err := r.tried.err(); err != nil {
		return nil, err
	}
	out.Seconds = time.Since(r.began).Seconds()
	return out, nil
}

func (c *collection) rule(rl *rule.Rule, other *collection) RuleReport {
	t := c.rules[rl.ID]
	stats := rl.Stats()
	out := RuleReport{ID: rl.ID, Title: rl.Title, State: string(rl.State), Kind: rl.Kind, Severity: string(rl.Severity), Tally: c.tell(t),
		Asked: stats.Asked.Load(), Passed: stats.Passed.Load(), Broken: stats.Broken.Load(), Samples: t.sample.take()}
	out.Shared = Overlap{Entities: c.shared[rl.ID], Orders: c.sharedOrders(t)}
	if other == nil {
		return out
	}
	out.Against = &Overlap{}
	for id := range t.orders {
		if _, known := other.orders[id]; known {
			out.Against.Orders++
		}
	}
	for id := range t.names {
		if _, known := other.entities[id]; known {
			out.Against.Entities++
		}
	}
	return out
}

// compare sets the two sides against each other.
func (r *run) compare(c, other *collection) *Against {
	out := &Against{All: other.tell(other.all), Micros: micros(r.against.took, r.events)}
	for _, rl := range r.against.set.Rules() {
		out.Rules = append(out.Rules, RuleTally{rl.ID, string(rl.State), other.tell(other.rules[rl.ID])})
	}
	for id := range c.entities {
		if _, both := other.entities[id]; both {
			out.Both.Entities++
		}
	}
	for id := range c.orders {
		if _, both := other.orders[id]; both {
			out.Both.Orders++
		}
	}
	out.OnlyNow = Overlap{int64(len(c.entities)) - out.Both.Entities, int64(len(c.orders)) - out.Both.Orders}
	out.OnlyThen = Overlap{int64(len(other.entities)) - out.Both.Entities, int64(len(other.orders)) - out.Both.Orders}
	return out
}

// warnings tell what makes the report less than the truth.
func (r *run) warnings(c *collection) (all []string) {
	warn := func(n int64, format string) {
		if n > 0 {
			all = append(all, fmt.Sprintf(format, n))
		}
	}
	o, e, a := r.tried.counts(topology.GroupOrders), r.tried.counts(topology.GroupEntities), r.tried.counts(topology.GroupAlerts)
	warn(o[orders.CounterDeadLetters], "%d events were refused: malformed, too old, or too many of one order")
	warn(o[orders.CounterWaiting], "%d events wait for their order.created, which never came: no rule saw them")
	warn(e[entities.CounterLate]+e[entities.CounterUnjudged],
		"%d observations came later than the rules' grace: are the events in the order in which they arrived?")
	warn(e[entities.CounterDropped], "%d observations were dropped by entities with too many")
	warn(a[alerts.CounterDropped], "%d alerts were dropped by entities with too many; they are not counted")
	warn(a[alerts.CounterTrimmed], "%d hits are counted, but their orders are not: their alerts have too many")
	for _, rl := range r.tried.set.Rules() {
		warn(rl.Stats().Broken.Load(), "%d evaluations of rule "+rl.ID+" were ended by a defect")
	}
	if c.crowded {
		all = append(all, fmt.Sprintf("a rule cites more than %d orders: orders and amounts at risk are of the first ones", maxOrders))
	}
	return all
}

func micros(took time.Duration, events int64) float64 {
	if events == 0 {
		return 0
	}
	return float64(took.Microseconds()) / float64(events)
}

func money(sums map[string]int64) []Money {
	out := make([]Money, 0, len(sums))
	for currency, minor := range sums {
		digits, _ := event.Exponent(currency)
		out = append(out, Money{minor, currency, digits})
	}
	slices.SortFunc(out, func(a, b Money) int { return strings.Compare(a.Currency, b.Currency) })
	return out
}

// sample keeps some alerts, the same ones whatever the order in which they come: ids are hashes, the least ones stay.
type sample struct {
	most  int
	kept  []alert.Alert
	left  int64
	bound string // ids from here on are too great; "" = none
}

func (s *sample) wants(id string) bool {
	if s.bound != "" && id >= s.bound {
		s.left++
		return false
	}
	return true
}

func (s *sample) add(a alert.Alert) {
	if len(s.kept) >= 2*s.most {
		s.shrink()
	}
	s.kept = append(s.kept, a)
}

func (s *sample) shrink() {
	if len(s.kept) <= s.most {
		return
	}
	slices.SortFunc(s.kept, func(a, b alert.Alert) int { return cmp.Compare(a.ID, b.ID) })
	s.left += int64(len(s.kept) - s.most)
	s.bound = s.kept[s.most].ID
	clear(s.kept[s.most:])
	s.kept = s.kept[:s.most]
}

// take returns them by their start.
func (s *sample) take() []alert.Alert {
	s.shrink()
	slices.SortFunc(s.kept, func(a, b alert.Alert) int { return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID)) })
	if s.kept == nil {
		return []alert.Alert{}
	}
	return s.kept
}
