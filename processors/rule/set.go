package rule

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"weir/topology/event"
	"weir/topology/table"
)

// Set is a compiled document. It does not change: a new document makes a new Set.
type Set struct {
	Revision int64 // of the rule book it was made of; 0 = the built-in or configured file
	Grace    time.Duration
	rules    []*Rule
	byID     map[string]*Rule
	plans    map[string]*Plan
	parts    map[uint32]*Part
	types    [256]*typePlan // what group orders does with each type of events
	orders   []*orderRule
	named    map[string][]string // declared features by "kind text" of their readings
}

// State is where a rule is in its life.
type State string

// The states. Only shadow and live rules are evaluated; what shadow rules find is recorded apart and told to nobody.
const (
	Draft   State = "draft"
	Shadow  State = "shadow"
	Live    State = "live"
	Paused  State = "paused"
	Retired State = "retired"
)

// Evaluated reports whether rules in this state are evaluated.
func (s State) Evaluated() bool { return s == Shadow || s == Live }

// Late says what an event that comes after the watermark has passed its time still does to a rule.
type Late string

// The policies of late events.
const (
	Revise    Late = "revise"     // what it changes is found or withdrawn, at its own time
	CountOnly Late = "count_only" // features count it; nothing before the watermark is found or withdrawn
	Drop      Late = "drop"       // this rule's features leave it out
)

// Severity orders the queue.
type Severity string

// The severities, least first.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Operations is the typology of rules that find what goes wrong in the shop, such as an order that is never shipped. It is no fraud:
// where alerts are held to a truth of fraud, theirs do not count.
const Operations = "operations"

// Rule is a compiled rule.
type Rule struct {
	ID       string
	Version  int64  // counts changes of the definition in the rule book; 1 in a file
	Hash     uint32 // of everything that decides whether it matches
	State    State
	Title    string
	Reason   string // for a person: why this is suspicious
	Source   string // of the thresholds
	Typology string
	Severity Severity
	Score    int64         // 0 to 100
	Entity   string        // the kind of entity that alerts are about: customer, card, …, order
	Cooldown time.Duration // without a hit for so long, an episode ends; > 0
	Limit    Limit         // of alerts told
	Late     Late
	Kind     string  // when, reconcile, sequence, expect, anomaly
	Parts    []*Part // of all clauses; none for rules that group orders decides alone
	Text     string  // the definition as YAML, without its state
	Tests    []TestCase

	bands []band // those that the event alone decides, highest first
	about func(*Facts) string
	stats RuleStats
}

// RuleStats counts what happened to a rule in this process.
type RuleStats struct {
	Asked  atomic.Int64 // times it was asked about an event; a rule of an order's own events, about an order
	Passed atomic.Int64 // times its conditions over the event held, and features are asked next, if there are any; or it held for the order
	Broken atomic.Int64 // evaluations that a defect ended; the rule did not match there
}

// Stats are the rule's counts.
func (r *Rule) Stats() *RuleStats { return &r.stats }

// band is a score that holds under a condition.
type band struct {
	score  int64
	reason string
	cond   condFn
}

// Limit is a fuse: alerts of a rule beyond Count in Every are recorded but told to nobody. Each partition has its equal share.
type Limit struct {
	Count int64 // 0 = none
	Every time.Duration
}

// Plan is what group entities keeps and reads for one kind of entity.
type Plan struct {
	Kind     string
	Series   []Series      // sorted by ID
	Readings []Reading     // features; parts name them by index
	Horizon  time.Duration // the longest window; 0 = an observation is kept for ever (limited by caps)
	// Open are, by event.Type, the parts that ask nothing of an event but its type: they are asked about each observation of that type,
	// without a gate that says so. Such a part is the only one of its clause, and its alerts are about the entity itself or the order.
	Open [][]*Part
}

// OpenOf are the open parts for events of a type.
func (p *Plan) OpenOf(t uint8) []*Part {
	if int(t) >= len(p.Open) {
		return nil
	}
	return p.Open[t]
}

// Method is how a series keeps its entries.
type Method uint8

// The methods.
const (
	Exact   Method = iota // every entry up to Cap, then the oldest fold into buckets of Step
	Buckets               // buckets of Step from the start: a window's edge is off by less than Step
	HLL                   // buckets whose distinct values are a HyperLogLog (2 % at 100,000)
)

// Series is a stream of values of one kind of entity that several readings share: on which events, under which condition, which
// value. It is identified by its meaning, not by its name, so that rules come and go without touching its state.
type Series struct {
	ID      uint32
	Text    string // "total of order.created by customer", for people
	Type    ValueType
	Method  Method
	Step    time.Duration // of buckets
	Cap     int           // entries kept exactly
	Horizon time.Duration // the longest window that reads it; 0 = all
}

// Agg is what a reading makes of the entries in its window.
type Agg uint8

// The aggregates. Money is read only in the currency of the event that is judged.
const (
	Count      Agg = iota // entries
	Sum                   // numbers or money; 0 with no entry
	Mean                  // unknown with no entry
	Stddev                // of the population (n); unknown with fewer than 2 entries
	Min                   // unknown with no entry
	Max                   // unknown with no entry
	Distinct              // different values; texts, numbers
	Last                  // value of the newest entry; unknown with none
	Rate                  // entries per hour of the window
	SinceFirst            // from the oldest entry in the window to the event: a duration; unknown with none
	SinceLast             // from the newest entry to the event: a duration; unknown with none
	Percentile            // of numbers or money, nearest rank (the ⌈q·n⌉-th smallest); unknown with none
)

// Reading is one feature: an aggregate of a series over (t − Window, t], where t is the time of the event that is judged.
type Reading struct {
	Series   int // index in Plan.Series
	Agg      Agg
	Window   time.Duration // 0 = everything that is kept
	Previous bool          // the event itself is left out (include_current: false)
	Quantile float64       // of Percentile, in (0, 1]
	Result   ValueType
	Text     string // "count(orders by customer, 5m)"
	Late     Late   // Drop: entries that came late are left out
}

// ValueType is the type of an expression, an operand or a reading.
type ValueType uint8

// The types.
const (
	NoType   ValueType = iota
	Number             // float64
	Money              // minor units of the currency of the event that is judged, as float64: exact to 2^53
	Text               // of a series: packed, see table.PackText
	Bool               //
	Time               // Unix milliseconds
	Duration           // milliseconds
)

// Value is a result. Known is false for an unknown one.
type Value struct {
	Type  ValueType
	Known bool
	Num   float64
	Text  string
}

// Tri is a three-valued truth.
type Tri int8

// The truths.
const (
	False   Tri = -1
	Unknown Tri = 0
	True    Tri = 1
)

// Part is what one clause of a rule asks of one kind of entity.
type Part struct {
	ID       uint32 // hash of rule hash, clause and kind: stable as long as the definition is
	Rule     *Rule
	Clause   int
	Index    int // of the clause's parts, from 0
	Of       int // parts of the clause
	Kind     string
	Readings []int // indexes in Plan.Readings, in the order in which Holds wants them
	cond     condFn
	bands    []band
	atoms    []atom
	texts    []string // of Readings
	operands []operandFn
	clause   *clausePlan
}

// Evidence is what a part is asked with: readings in the order of p.Readings, operands as the gate carried them, and the currency of
// the observation. It is used again from one question to the next.
type Evidence struct{ frame frame }

// Of sets the evidence, which keeps the slices until the next Of.
func (e *Evidence) Of(operands []table.Operand, readings []Value, currency string) *Evidence {
	f := &e.frame
	f.operands, f.readings = operands, readings
	if currency != f.currency {
		f.currency = currency
		f.digits, _ = event.Exponent(currency)
	}
	return e
}

// Operands are what the gate carried.
func (e *Evidence) Operands() []table.Operand { return e.frame.operands }

// Readings are the features of the part.
func (e *Evidence) Readings() []Value { return e.frame.readings }

// Currency is the observation's, "" = none.
func (e *Evidence) Currency() string { return e.frame.currency }

// Holds decides the part. After a defect it is unknown.
func (p *Part) Holds(e *Evidence) (holds Tri) {
	defer p.Rule.contain()
	return p.cond(&e.frame)
}

// Score is the score and reason of a hit of this part: those of its highest band that holds, else the rule's own. gate is the score
// that the event alone decided (table.Gate.Score), 0 for none.
func (p *Part) Score(e *Evidence, gate uint8) (score int64, reason string) { return p.score(e, gate) }

// Explain gives the predicates of the part with what was observed. The caller adds windows, entity and events to those with a
// Feature: feature[i] is the index in p.Readings that predicate i compares, -1 for none.
func (p *Part) Explain(e *Evidence) (predicates []*table.Predicate, feature []int) {
	return p.explain(e)
}

// Facts is an event that counts, with its order.
type Facts struct {
	Type    event.Type
	At      event.UnixMilli
	OrderID string
	Order   *table.Order
	Entry   *table.Entry
	// Partition of the order's topics; topic, offset and id are the entry's.
	Partition int32
}

// Observed is what follows from one event for fraud. Its memory is used again.
type Observed struct {
	Observations []EntityObservation
	Findings     []*table.Finding // of rules without features

	obs      table.Observation
	gates    []gateFor
	operands []table.Operand // of gates
	state    observing
}

// EntityObservation is a record's worth for one entity.
type EntityObservation struct {
	Key  string // kind:id
	Body []byte // one encoded table.Observation
}

// Observe tells what an event means to features and rules. The same facts give the same result.
func (s *Set) Observe(f *Facts, out *Observed) { s.observe(f, out) }

// Hit is something that an order's own events show.
type Hit struct {
	Rule       *Rule
	Key        uint64 // tells the rule's hits of one order apart
	Entity     string
	At         event.UnixMilli
	Event      *table.Entry // at which it holds; nil: a deadline passed
	Detail     string
	Predicates []*table.Predicate
}

// Judge gives the hits of an order's own rules (reconcile, sequence, expect) that hold once everything up to the watermark has been
// seen, in the order of (rule id, key), and when it has to be asked again though no event comes (0 = never). It is a function of
// the order's entries and the watermark.
func (s *Set) Judge(orderID string, o *table.Order, partition int32, watermark event.UnixMilli) (hits []Hit, due event.UnixMilli) {
	return s.judge(orderID, o, partition, watermark)
}

// JudgesOrders reports whether there are order rules at all.
func (s *Set) JudgesOrders() bool { return len(s.orders) > 0 }

// Plan is what group entities keeps for a kind of entity; nil if nothing.
func (s *Set) Plan(kind string) *Plan { return s.plans[kind] }

// Kinds lists the kinds of entities of which something is kept, sorted.
func (s *Set) Kinds() []string { return slices.Sorted(maps.Keys(s.plans)) }

// Part finds a part by the id that a gate carries; nil if this set has no such part (any more).
func (s *Set) Part(id uint32) *Part { return s.parts[id] }

// Rule finds a rule by its id; nil if there is none.
func (s *Set) Rule(id string) *Rule { return s.byID[id] }

// Rules lists all rules in the order of their ids, whatever their state.
func (s *Set) Rules() []*Rule { return s.rules }

// Current holds the set that is in force. Each group takes it once a transaction, so that one transaction sees one set.
type Current struct{ set atomic.Pointer[Set] }

// NewCurrent holds s.
func NewCurrent(s *Set) *Current {
	c := new(Current)
	c.set.Store(s)
	return c
}

// Load returns the set in force.
func (c *Current) Load() *Set { return c.set.Load() }

// Store puts another set in force.
func (c *Current) Store(s *Set) { c.set.Store(s) }
