package rule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"weir/topology/event"
	"weir/topology/table"
)

// Cost is what a set takes in state and time. Bytes are those of group entities' rows; times are estimates from measurements on one
// core, see the constants.
type Cost struct {
	Kinds  []KindCost   `json:"kinds"`
	Series []SeriesCost `json:"series"`
	Rules  []RuleCost   `json:"rules"`
	Events []EventCost  `json:"events"`
	// Micros is the mean over a shop's usual mix of events.
	Micros float64 `json:"micros_an_event"`
}

// KindCost is what one entity of a kind takes.
type KindCost struct {
	Kind     string        `json:"kind"`
	Series   int           `json:"series"`
	Readings int           `json:"readings"`
	Horizon  time.Duration `json:"horizon_ns"` // after which an event is forgotten; 0 = never, but for the caps
	Entries  int           `json:"entries"`    // events kept one by one, at most
	EventB   int64         `json:"event_bytes"`
	MostB    int64         `json:"most_bytes"` // of a row: all entries and buckets
}

// SeriesCost is what a series takes of one entity.
type SeriesCost struct {
	ID       uint32        `json:"id"`
	Kind     string        `json:"kind"`
	Text     string        `json:"text"`
	Features []string      `json:"features"` // declared features that read it
	Rules    []string      `json:"rules"`
	Horizon  time.Duration `json:"horizon_ns"`
	Entries  int           `json:"entries"` // kept one by one, at most
	Buckets  int           `json:"buckets"` // at most
	MostB    int64         `json:"most_bytes"`
}

// RuleCost is what a rule takes. Series that others read too are in it whole.
type RuleCost struct {
	ID       string   `json:"id"`
	State    State    `json:"state"`
	Kinds    []string `json:"kinds"` // of the entities that it asks
	Readings int      `json:"readings"`
	Series   int      `json:"series"`
	Alone    int      `json:"alone"`      // series that nothing else reads
	MostB    int64    `json:"most_bytes"` // of all its series, one entity of each kind
	AloneB   int64    `json:"alone_bytes"`
	Micros   float64  `json:"micros_an_event"`
}

// EventCost is what one event of a type does.
type EventCost struct {
	Type     string  `json:"type"`
	Clauses  int     `json:"clauses"`  // asked
	Entities int     `json:"entities"` // kinds of entities that may take something of it
	Values   int     `json:"values"`   // for them
	Gates    int     `json:"gates"`    // for them, if all open
	Micros   float64 `json:"micros"`
}

// Sizes of group entities' rows, see there.
const (
	observationBytes = 47 + 6 + 70 // head, lengths, and what the ids of event, order and topic usually take
	valueBytes       = 12
	bucketBytes      = 88
	sketchBytes      = 4096 // of a bucket that counts distinct values with an HLL, once it is full
	foldBuckets      = 64   // of an exact series that is over its cap, for the whole horizon
	mostBuckets      = 256
	rowBytes         = 600 << 10
)

// Microseconds of CPU, from backtests of a shop's events without rules and with those that are shipped. Only a part of the gates
// opens: gateMicros is of one that may. Alerts come on top: each took some 80.
const (
	eventMicros  = 7.5
	clauseMicros = 0.1
	entityMicros = 2.2
	valueMicros  = 0.1
	gateMicros   = 0.3
)

// mix is how often each type comes in a hundred events of a shop.
var mix = map[event.Type]float64{
	event.OrderCreated: 13, event.OrderUpdated: 1, event.OrderCancelled: 1, event.PaymentAttempted: 14, event.PaymentAuthorized: 12,
	event.PaymentCaptured: 12, event.PaymentFailed: 1, event.PaymentRefunded: 1, event.ShipmentCreated: 11, event.ShipmentDispatched: 11,
	event.ShipmentInTransit: 11, event.ShipmentDelivered: 12,
}

// Cost tells what the set takes.
func (s *Set) Cost() Cost {
	var c Cost
	users := s.users()
	for _, kind := range sortedKeys(s.plans) {
		p := s.plans[kind]
		k := KindCost{Kind: kind, Series: len(p.Series), Readings: len(p.Readings), Horizon: p.Horizon, EventB: observationBytes}
		for i := range p.Series {
			one := s.seriesCost(p, i, users)
			c.Series = append(c.Series, one)
			k.Entries = max(k.Entries, one.Entries)
			k.EventB += valueBytes
			k.MostB += one.MostB
		}
		k.MostB = min(k.MostB+int64(k.Entries)*observationBytes, rowBytes)
		c.Kinds = append(c.Kinds, k)
	}
	for _, r := range s.rules {
		c.Rules = append(c.Rules, s.ruleCost(r, users))
	}
	var weights float64
	for t, tp := range s.types {
		weight := mix[event.Type(t)]
		weights += weight
		c.Micros += weight * eventMicros
		if tp == nil {
			continue
		}
		e := tp.cost(event.Type(t).String())
		c.Events = append(c.Events, e)
		c.Micros += weight * (e.Micros - eventMicros)
	}
	c.Micros /= weights
	return c
}

// seriesUse names a series of a kind.
type seriesUse struct {
	kind  string
	index int
}

// users are the rules that read each series.
func (s *Set) users() map[seriesUse][]string {
	users := map[seriesUse][]string{}
	for _, r := range s.rules {
		for _, p := range r.Parts {
			for _, i := range p.Readings {
				use := seriesUse{p.Kind, s.plans[p.Kind].Readings[i].Series}
				if !slices.Contains(users[use], r.ID) {
					users[use] = append(users[use], r.ID)
				}
			}
		}
	}
	return users
}

func (s *Set) seriesCost(p *Plan, i int, users map[seriesUse][]string) SeriesCost {
	one := &p.Series[i]
	c := SeriesCost{ID: one.ID, Kind: p.Kind, Text: one.Text, Rules: users[seriesUse{p.Kind, i}], Horizon: one.Horizon, Features: []string{}}
	distinct := false
	for k := range p.Readings {
		if p.Readings[k].Series != i {
			continue
		}
		distinct = distinct || p.Readings[k].Agg == Distinct
		for _, name := range s.named[p.Kind+" "+p.Readings[k].Text] {
			if !slices.Contains(c.Features, name) {
				c.Features = append(c.Features, name)
			}
		}
	}
	c.Buckets = foldBuckets
	if one.Method == Exact {
		c.Entries = one.Cap
	}
	if one.Step > 0 {
		c.Buckets = mostBuckets
		if one.Horizon > 0 {
			c.Buckets = min(int(one.Horizon/one.Step)+1, mostBuckets)
		}
	}
	bucket := int64(bucketBytes)
	if one.Method == HLL && distinct {
		bucket += sketchBytes
	}
	c.MostB = min(int64(c.Entries)*valueBytes+int64(c.Buckets)*bucket, rowBytes)
	return c
}

func (s *Set) ruleCost(r *Rule, users map[seriesUse][]string) RuleCost {
	c := RuleCost{ID: r.ID, State: r.State, Kinds: []string{}}
	seen := map[seriesUse]bool{}
	for _, p := range r.Parts {
		if !slices.Contains(c.Kinds, p.Kind) {
			c.Kinds = append(c.Kinds, p.Kind)
		}
		c.Readings += len(p.Readings)
		for _, i := range p.Readings {
			use := seriesUse{p.Kind, s.plans[p.Kind].Readings[i].Series}
			if seen[use] {
				continue
			}
			seen[use] = true
			one := s.seriesCost(s.plans[p.Kind], use.index, users)
			c.Series++
			c.MostB += one.MostB
			if len(one.Rules) == 1 && len(one.Features) == 0 {
				c.Alone++
				c.AloneB += one.MostB
			}
		}
	}
	var weights float64
	for t, tp := range s.types {
		weight := mix[event.Type(t)]
		weights += weight
		if tp == nil {
			continue
		}
		for _, cl := range tp.clauses {
			if cl.rule == r {
				c.Micros += weight * (clauseMicros + gateMicros*float64(len(cl.parts)))
			}
		}
	}
	c.Micros /= weights
	return c
}

// cost is what an event of a type does.
func (tp *typePlan) cost(name string) EventCost {
	c := EventCost{Type: name, Clauses: len(tp.clauses), Entities: len(tp.kinds)}
	for _, kp := range tp.kinds {
		c.Values += len(kp.series)
		c.Gates += tp.gates(kp.kind)
	}
	c.Micros = eventMicros + clauseMicros*float64(c.Clauses) + entityMicros*float64(c.Entities) + valueMicros*float64(c.Values) +
		gateMicros*float64(c.Gates)
	return c
}

// gates is how many gates an event can open for one entity of a kind.
func (tp *typePlan) gates(kind string) (n int) {
	for _, cl := range tp.clauses {
		for _, p := range cl.parts {
			if p.Kind == kind {
				n++
			}
		}
	}
	return n
}

// limits refuses a document of which one event would bring an entity more than an observation holds.
func (c *compiler) limits(file string) (all Problems) {
	tell := func(name, kind, what string, n, most int) {
		all = append(all, Problem{File: file, Message: fmt.Sprintf("an event of type %s would bring each %s %d %s, the most is %d: "+
			"make fewer rules and features of one kind of entity on that type, or let them share conditions", name, kind, n, what, most)})
	}
	for t, tp := range c.set.types {
		if tp == nil {
			continue
		}
		name := event.Type(t).String()
		for _, kp := range tp.kinds {
			if n := tp.gates(kp.kind); n > table.MaxGates {
				tell(name, kp.kind, "questions of rules", n, table.MaxGates)
			}
			if n := len(kp.series); n > table.MaxValues {
				tell(name, kp.kind, "values of features", n, table.MaxValues)
			}
		}
	}
	return all
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
