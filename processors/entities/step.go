package entities

import (
	"encoding/binary"
	"math"
	"time"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// Input is a record of weir-observations, or a timer, for one entity.
type Input struct {
	Key       string          // kind:id
	Record    []byte          // a sequence of table.Observation; it is not changed
	Watermark event.UnixMilli // 0 = not known yet
	Since     []int64         // by index in Plan.Series: event time in ms since when it is kept; nil: all are complete
	Timer     bool            // the row's due time has passed; there is no record
}

// Counts is what a step adds to the group's counters, which say what they mean.
type Counts struct{ Observations, Duplicates, Late, Unjudged, Unknown, Folded, Dropped, Findings, Withdrawn int64 }

// Counters of this group in the marks row: exact, they commit with the rows.
const (
	CounterObservations = "observations"
	CounterDuplicates   = "duplicate_observations"
	CounterLate         = "late_observations"     // older than grace and the longest window: no use any more
	CounterUnjudged     = "unjudged_observations" // gates left as they were: later than grace, or their features were folded
	CounterUnknown      = "unknown_entities"      // records for a kind of entity that no rule asks about
	CounterFolded       = "folded_values"
	CounterDropped      = "dropped_observations" // that an overfull row gave up
	CounterFindings     = "findings"
	CounterWithdrawn    = "withdrawn"
	CounterDamaged      = "damaged_rows" // begun anew; what they were is in the dead letters
	CounterDeadLetters  = "dead_letters"
)

// each calls add for every count that is not 0.
func (c *Counts) each(add func(name string, n int64)) {
	for _, x := range [...]struct {
		name string
		n    int64
	}{
		{CounterObservations, c.Observations}, {CounterDuplicates, c.Duplicates}, {CounterLate, c.Late}, {CounterUnjudged, c.Unjudged},
		{CounterUnknown, c.Unknown}, {CounterFolded, c.Folded}, {CounterDropped, c.Dropped}, {CounterFindings, c.Findings},
		{CounterWithdrawn, c.Withdrawn},
	} {
		if x.n != 0 {
			add(x.name, x.n)
		}
	}
}

// Output is what follows. Its memory is used again by the next step, but for Row and Findings' messages.
type Output struct {
	Row       []byte // what the row is now; new memory
	Unchanged bool   // the row stays as it is
	Delete    bool   // the row goes
	Findings  []*table.Finding
	Counts    Counts

	scratch scratch
}

// scratch is the memory of a step.
type scratch struct {
	shape  shape
	src    [3][]byte // by source: the row, the record; the last is made
	made   []byte
	refs   []ref // the row's observations
	fresh  []ref // the record's
	folds  []fold
	excess []int
	kept   []int

	first   ref // the earliest fresh observation
	inner   bool
	touched []touch // by series; set if inner

	index    index
	memo     []reading // by index in Plan.Readings
	moment   uint64    // counts judged observations: what memo belongs to
	operands []table.Operand
	values   []rule.Value
	evidence rule.Evidence
	currency string // of the observation that is judged
	code     uint32 // currency's
	raised   []raised
}

// Step folds a record into the entity's row and judges what may be answered differently now. plan is the set's for the kind of
// entity, nil if it has none. It neither keeps nor changes row and record. An error leaves the row as it was.
func Step(set *rule.Set, plan *rule.Plan, row []byte, in *Input, out *Output) error {
	return step(parts{set}, plan, set.Grace, row, in, out)
}

func step(j judge, plan *rule.Plan, grace time.Duration, row []byte, in *Input, out *Output) error {
	out.Row, out.Unchanged, out.Delete, out.Findings, out.Counts = nil, false, false, out.Findings[:0], Counts{}
	if plan == nil {
		out.Unchanged, out.Delete = !in.Timer, in.Timer
		out.Counts.Unknown = 1
		return nil
	}
	s, wm := &out.scratch, int64(in.Watermark)
	s.shape.fit(plan, grace)
	l, err := s.begin(row, in.Record)
	if err != nil {
		return err
	}
	if !in.Timer {
		if err := s.take(in.Record, wm, &out.Counts); err != nil {
			return err
		}
		if !s.insert(wm, &out.Counts) {
			out.Unchanged = true
			return nil
		}
		s.touch()
	}
	compacted := s.crowded(in)
	if compacted {
		if err := s.compact(wm, &out.Counts); err != nil {
			return err
		}
	}
	if len(s.refs) == 0 && len(s.folds) == 0 {
		out.Delete, out.Unchanged = len(row) > 0, len(row) == 0
		return nil
	}
	out.Row = s.write(s.due(l.due, wm, compacted))
	s.raised = s.raised[:0]
	if err := s.judge(j, in, out); err != nil || len(s.raised) == 0 {
		return err
	}
	out.Row, err = s.remember(out.Row)
	return err
}

// begin takes the row apart.
func (s *scratch) begin(row, record []byte) (layout, error) {
	l, err := parseRow(row)
	if err != nil {
		return l, err
	}
	s.src[ofRow], s.src[ofRecord], s.made = row, record, s.made[:0]
	s.fresh, s.first, s.inner = s.fresh[:0], ref{}, false
	if s.refs, err = l.scan(row, s.refs[:0]); err != nil {
		return l, err
	}
	s.folds, err = readFolds(l.foldBytes, l.folds, s.folds)
	return l, err
}

// bytes is an observation before the row is written.
func (s *scratch) bytes(r *ref) []byte {
	b := s.made
	if r.src != ofMade {
		b = s.src[r.src]
	}
	return b[r.off : r.off+r.size]
}

// due is when the row wants its timer: when the newest observation is of no use any more. A time that was set before stays until half
// of it has passed, so that rows that change often move about in the index of timers seldom, and have no timer as long as they do.
func (s *scratch) due(before, watermark int64, compacted bool) int64 {
	if keep := s.shape.keep; before > watermark && before-watermark > (keep+patience(keep))/2 {
		return before
	}
	newest := int64(math.MinInt64)
	if n := len(s.refs); n > 0 {
		newest = s.refs[n-1].at
	}
	for i := range s.folds {
		for k := range s.folds[i].buckets {
			newest = max(newest, s.folds[i].buckets[k].last)
		}
	}
	switch due := newest + s.shape.keep + patience(s.shape.keep); {
	case due > watermark:
		return due
	case compacted:
		return 0 // what is left stays for ever
	default:
		return watermark + 1
	}
}

// patience is how long after its time a row that nothing happens to goes: most rows change before, and each timer costs as much as an
// event does. It is three times what the row keeps up to six hours, and a quarter of what it keeps if that is more.
func patience(keep int64) int64 {
	return max(min(3*keep, (6*time.Hour).Milliseconds()), keep/4)
}

// write makes the row's bytes. From here on the refs mean the new row.
func (s *scratch) write(due int64) []byte {
	foldBytes := s.foldSize()
	row := make([]byte, rowHeader, s.size())
	row[0] = rowVersion
	binary.LittleEndian.PutUint16(row[2:], uint16(len(s.folds)))
	binary.LittleEndian.PutUint32(row[4:], uint32(foldBytes))
	binary.LittleEndian.PutUint64(row[8:], uint64(due))
	binary.LittleEndian.PutUint32(row[16:], uint32(len(s.refs)))
	row = appendFolds(row, s.folds)
	for i := 0; i < len(s.refs); {
		src, begin, end := s.refs[i].src, s.refs[i].off, s.refs[i].off
		at := int32(len(row))
		for ; i < len(s.refs) && s.refs[i].src == src && s.refs[i].off == end; i++ { // a run of neighbours is copied at once
			r := &s.refs[i]
			end += r.size
			r.off, r.src = at+r.off-begin, ofRow
		}
		b := s.made
		if src != ofMade {
			b = s.src[src]
		}
		row = append(row, b[begin:end]...)
	}
	for i := range s.refs {
		if r := &s.refs[i]; r.late {
			row[int(r.off)+flagsAt] |= flagLate
		}
	}
	s.src[ofRow] = row
	return row
}
