package alerts

import (
	"maps"
	"slices"
	"time"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// Input is one thing that happens to an entity: a finding, a decision, or (neither) its timer.
type Input struct {
	Entity    string
	Finding   *table.Finding  // Step keeps it
	Decision  *table.Decision // Step keeps its texts
	Watermark event.UnixMilli // 0 = not known yet: nothing ends

	Rule       func(id string) *rule.Rule // nil: there is none
	Grace      time.Duration              // rule.Set.Grace
	Partitions int32                      // of the table: each has its share of a rule's limit
	Retention  time.Duration
	// Get reads a row beside the entity's: of a hit or a limit. Nil: there is none.
	Get func(key string) []byte
}

// Output is what follows from an Input.
type Output struct {
	Unchanged bool   // the row is as it was
	Delete    bool   // the row is over
	Rows      []Row  // beside the entity's, to be written
	Tell      []Told // what changed and is not secret, in the order of the row's alerts
	Counts    []Count
}

// Row is a row beside the entity's; no value deletes it.
type Row struct {
	Key   string
	Value []byte
}

// Told is an alert whose change goes to topic alerts.
type Told struct {
	Type  string // alert.TypeOpened, …
	At    event.UnixMilli
	Alert *table.Alert
	From  []string // ids that it had, or that alerts had which are now part of it
}

// Count is an addition to a counter.
type Count struct {
	Name string
	N    int64
}

// Counters of this group in the marks row.
const (
	CounterFindings    = "findings"
	CounterHits        = "hits" // found, less withdrawn
	CounterOpened      = "alerts_opened"
	CounterWithdrawn   = "alerts_withdrawn"
	CounterHeld        = "alerts_held" // over their rule's limit
	CounterDropped     = "alerts_dropped"
	CounterDecisions   = "decisions"
	CounterRefused     = "decisions_refused"
	CounterRepeated    = "decisions_repeated"
	CounterPending     = "pending_dropped"    // hits that were never complete
	CounterTrimmed     = "hits_trimmed"       // of which only the count is left
	CounterNotRun      = "findings_not_run"   // of rules that are unknown, paused or retired
	CounterUnknown     = "withdrawn_unknown"  // of hits that are not known (any more)
	CounterAfterFold   = "hits_after_trimmed" // among hits of which only the count is left: known or not cannot be told
	CounterExpired     = "findings_expired"   // so old that their row has gone, or goes with them
	CounterDeadLetters = "dead_letters"
	CounterTimerPanics = "timer_panics"
)

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Rows)
	clear(o.Tell)
	*o = Output{Rows: o.Rows[:0], Tell: o.Tell[:0], Counts: o.Counts[:0]}
}

func (o *Output) count(name string, n int64) {
	if n != 0 {
		o.Counts = append(o.Counts, Count{name, n})
	}
}

// Step folds a finding, a decision or a timer into the row of an entity. The row must not be used after an error of the caller's Get.
func Step(row *table.Case, in *Input, out *Output) {
	s := &step{in: in, row: row, out: out, changed: map[*table.Alert]*change{}}
	switch {
	case in.Finding != nil:
		out.count(CounterFindings, 1)
		s.finding(in.Finding)
	case in.Decision != nil:
		s.decide(in.Decision)
	}
	s.settle()
}

// step is what one call of Step knows.
type step struct {
	in      *Input
	row     *table.Case
	out     *Output
	changed map[*table.Alert]*change
	dirty   bool   // something of the row changed
	fresh   *known // the hit that this step is about, as it is now
}

// change is what a step did to an alert.
type change struct {
	kind string // of the event, "" = none
	rank int    // of kind: one step tells one thing of an alert
	from []string
	// ended: it was when the step began, and that is told only once.
	ended bool
}

var ranks = map[string]int{
	alert.TypeUpdated: 1, alert.TypeEnded: 2, alert.TypeDecided: 3, alert.TypeMoved: 4, alert.TypeOpened: 5, alert.TypeWithdrawn: 6,
}

// touch notes that an alert changed, and what to tell of it.
func (s *step) touch(a *table.Alert, kind string, from ...string) {
	c := s.changed[a]
	if c == nil {
		c = new(change)
		s.changed[a] = c
	}
	if r := ranks[kind]; r > c.rank {
		c.kind, c.rank = kind, r
	}
	c.from = append(c.from, from...)
	s.dirty = true
}

// passed reports whether the watermark has passed a time.
func (s *step) passed(at event.UnixMilli) bool { return s.in.Watermark > at }

// settled reports whether what happened at a time is not expected to change any more.
func (s *step) settled(at int64) bool {
	return s.passed(event.UnixMilli(at).Add(s.in.Grace))
}

// settle does what follows from the watermark and the bounds, and ends the step.
func (s *step) settle() {
	s.dropPending()
	for _, a := range s.row.Alerts {
		s.settleEpisode(a)
	}
	s.bound()
	if s.expired() {
		s.expire()
		return
	}
	due := s.due()
	if due != s.row.DueMs {
		s.row.DueMs, s.dirty = due, true
	}
	if !s.dirty || s.empty() {
		s.out.Unchanged = true
		return
	}
	s.row.Revision++
	s.tell()
}

// settleEpisode ends the episode of an alert when no hit can join it any more.
func (s *step) settleEpisode(a *table.Alert) {
	if a.Episode != alert.Active || a.Status == alert.Withdrawn {
		return
	}
	r := s.in.Rule(a.Rule)
	if r != nil && !s.passed(event.UnixMilli(a.LastMs).Add(r.Cooldown)) {
		return
	}
	a.Episode = alert.Ended
	ended := a.LastMs
	if r != nil {
		ended += r.Cooldown.Milliseconds()
	}
	record(a, &table.Change{AtMs: ended, What: alert.ChangeEnded})
	if c := s.changed[a]; c != nil && c.ended {
		return
	}
	s.touch(a, alert.TypeEnded)
}

// due is when the row wants its timer.
func (s *step) due() int64 {
	due := event.UnixMilli(0)
	want := func(at event.UnixMilli) {
		if due == 0 || at < due {
			due = at
		}
	}
	grace := s.in.Grace
	sweep := max(grace.Milliseconds()/sweepsPerGrace, 1)
	for _, a := range s.row.Alerts {
		if r := s.in.Rule(a.Rule); a.Episode == alert.Active && a.Status != alert.Withdrawn && r != nil {
			want(event.UnixMilli(a.LastMs).Add(r.Cooldown) + 1)
		}
		if i := s.settledHits(a); i < len(a.HitsKept) {
			at := int64(event.UnixMilli(a.HitsKept[i].AtMs).Add(grace))
			want(event.UnixMilli((at/sweep+1)*sweep) + 1)
		}
	}
	for _, p := range s.row.Pending {
		want(event.UnixMilli(p.AtMs).Add(grace) + 1)
	}
	if at := s.expiry(); at > 0 {
		want(at + 1)
	}
	return int64(due)
}

// sweepsPerGrace is how often the rows of hits that are settled are looked for.
const sweepsPerGrace = 8

// expiry is when the whole row goes; 0 = by the decision that made it.
func (s *step) expiry() event.UnixMilli {
	last := int64(0)
	for _, a := range s.row.Alerts {
		last = max(last, a.LastMs)
	}
	for _, p := range s.row.Pending {
		last = max(last, p.AtMs)
	}
	if last == 0 && s.in.Decision != nil { // nothing but a refusal
		last = s.in.Decision.SeenAtMs
	}
	if last == 0 {
		return event.UnixMilli(s.row.DueMs) - 1
	}
	return event.UnixMilli(last).Add(s.in.Retention)
}

func (s *step) empty() bool {
	return len(s.row.Alerts) == 0 && len(s.row.Pending) == 0 && len(s.row.Applied) == 0 && len(s.row.Refusals) == 0
}

func (s *step) expired() bool {
	if s.empty() {
		return s.row.Revision > 0 // else it never was
	}
	at := s.expiry()
	return at > 0 && s.passed(at)
}

// expire deletes the row and what stands beside it. The ends of its episodes are told even where the watermark passed them and the
// retention in one step: whoever was told that an alert opened waits for that.
func (s *step) expire() {
	for _, a := range s.row.Alerts {
		s.forgetHits(a, a.HitsKept)
	}
	if s.row.Revision == 0 { // a finding as old as rows that have gone leaves nothing
		s.out.Rows, s.out.Counts = s.out.Rows[:0], s.out.Counts[:0]
		s.out.Unchanged = true
	} else {
		maps.DeleteFunc(s.changed, func(_ *table.Alert, c *change) bool { return c.kind != alert.TypeEnded })
		s.tell()
	}
	if s.in.Finding != nil {
		s.out.count(CounterExpired, 1)
	}
	s.out.Delete = !s.out.Unchanged
}

// tell puts what changed into the output.
func (s *step) tell() {
	for _, a := range s.row.Alerts {
		c := s.changed[a]
		if c == nil {
			continue
		}
		a.Revision++
		if c.kind == "" || a.Shadow || a.Held {
			continue
		}
		a.Told = a.Hits
		from := slices.DeleteFunc(c.from, func(id string) bool { return id == a.Id })
		slices.Sort(from)
		s.out.Tell = append(s.out.Tell, Told{Type: c.kind, At: s.toldAt(a, c.kind), Alert: a, From: slices.Compact(from)})
	}
}

// toldAt is the time of an event about an alert.
func (s *step) toldAt(a *table.Alert, kind string) event.UnixMilli {
	switch r := s.in.Rule(a.Rule); {
	case kind == alert.TypeDecided:
		return event.UnixMilli(s.in.Decision.SeenAtMs)
	case kind == alert.TypeOpened:
		return event.UnixMilli(a.StartedMs)
	case kind == alert.TypeEnded && r != nil:
		return event.UnixMilli(a.LastMs).Add(r.Cooldown)
	}
	return event.UnixMilli(a.LastMs)
}
