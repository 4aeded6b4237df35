package backtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
