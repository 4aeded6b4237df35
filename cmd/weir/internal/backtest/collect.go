package backtest

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
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

// newTally begins to count. What watches over operations is not held to the truth.
func (c *collection) newTally(number int, typology string) *tally {
	t := &tally{number: int32(number), orders: map[uint64]struct{}{}, risk: map[string]int64{},
		names: map[uint64]struct{}{}, sample: sample{most: maxSamples}}
	if c.run.Truth != nil && typology != rule.Operations {
		t.labels = newScored(c.run.Truth)
	}
	return t
}

// collect reads the table of alerts of a journey.
func (r *run) collect(j *journey) (*collection, error) {
	c := &collection{run: r, journey: j, rules: map[string]*tally{}, entities: map[uint64]struct{}{}, orders: map[uint64]int32{},
		shared: map[string]int64{}, sample: sample{most: r.MaxAlerts}}
	c.from, c.to = r.reported()
	c.all = c.newTally(0, "")
	for i, rl := range j.set.Rules() {
		c.rules[rl.ID] = c.newTally(i, rl.Typology)
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
func (c *collection) count(own *tally, a *table.Alert) bool {
	tallies := []*tally{own, c.all}
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
			switch {
			case t.labels == nil:
			case own.labels == nil:
				t.labels.unjudged++
			default:
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
			if n, known := c.orders[id]; known && n != own.number {
				c.orders[id] = manyRules
			} else if !known && len(c.orders) < maxOrders {
				c.orders[id] = own.number
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
