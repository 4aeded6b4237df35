package metrics

import (
	"fmt"
	"slices"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// Outcome is what became of a delta or of a timer.
type Outcome uint8

// The outcomes.
const (
	Merged     Outcome = iota + 1 // the row has it
	Late                          // its window was closed: the row, if it is still kept, counts it as late
	Redirected                    // the window has its series: the delta belongs to RedirectKey
	Closed                        // sessions ended; Deltas count them
	Expired                       // the row is past its retention
	Unknown                       // no such metric or window is declared (any more)
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case Merged:
		return "merged"
	case Late:
		return "late"
	case Redirected:
		return "redirected"
	case Closed:
		return "closed"
	case Expired:
		return "expired"
	case Unknown:
		return "unknown"
	}
	return "none"
}

// Input is one delta for a row, or the row's timer.
type Input struct {
	Key       string
	Delta     *table.Cell     // Step may change it; nil with Timer
	Watermark event.UnixMilli // of the partition; 0 = unknown
	// Series is how many rows the window has in this partition; it matters when the row is new. Partitions is among how many
	// partitions a metric's max_series is shared out; 0 = one.
	Series     int64
	Partitions int32
	Timer      bool // the watermark has reached Deadline
}

// Output is what follows.
type Output struct {
	Outcome     Outcome
	Unchanged   bool   // nothing is to be stored
	Delete      bool   // the row is to be deleted
	RedirectKey string // the row that takes the delta instead; it stands in the same partition
	Late        int64  // contributions that came too late, also where no row is left to count them
	Deltas      []metric.Delta
}

// Reset makes o ready for the next Step.
func (o *Output) Reset() { *o = Output{Deltas: o.Deltas[:0]} }

// Step folds a delta, or a timer, into a row, which is empty if isNew. An error means that bytes of the row or of the delta are
// damaged; nothing of the row is then to be stored.
//
// Sessions are late or not when their events arrive, never when they have ended and are counted in windows: the watermark that ended
// them may have come a long way at once. An event that comes later than the gap but within the grace makes a session of its own.
func Step(set *metric.Set, row *table.Cell, isNew bool, in *Input, out *Output) error {
	m := set.MetricOf(in.Key)
	if m == nil {
		out.Outcome, out.Unchanged = Unknown, true
		return nil
	}
	if in.Timer {
		due(set, m, row, in, out)
		return nil
	}
	if expiry, fixed := set.Expiry(in.Key); fixed && in.Watermark >= expiry {
		out.Outcome, out.Unchanged = Expired, true
		if after, ok := set.LateAfter(in.Key); ok && m.Session == nil && in.Watermark > after { // within the grace only its rows are gone
			out.Outcome, out.Late = Late, lateCount(in.Delta)
		}
		return nil
	}
	if isNew && in.Series >= share(m.MaxSeries, in.Partitions) {
		if other, ok := set.OtherKey(in.Key); ok && other != in.Key {
			out.Outcome, out.RedirectKey = Redirected, other
			return nil
		}
	}
	if after, ok := set.LateAfter(in.Key); ok && m.Session == nil && in.Watermark > after {
		out.Outcome, out.Late = Late, lateCount(in.Delta)
		metric.MergeLate(row, in.Delta)
		return nil
	}
	out.Outcome = Merged
	if out.Late = dropLate(set, m, in); out.Late > 0 {
		out.Outcome = Late
		row.Late += out.Late
		if isNew && len(in.Delta.Slices)+len(in.Delta.Sessions) == 0 {
			out.Unchanged = true // no row for what nobody can read
			return nil
		}
	}
	if err := m.Merge(row, in.Delta); err != nil {
		return fmt.Errorf("merging a delta into row %q: %w", in.Key, err)
	}
	return nil
}

func lateCount(delta *table.Cell) int64 { return delta.Late + max(delta.Count, -delta.Count) }

// share is how many rows of a window one partition keeps: an equal part, rounded up.
func share(maxSeries int, partitions int32) int64 {
	n := int64(max(partitions, 1))
	return (int64(maxSeries) + n - 1) / n
}

// dropLate takes out of the delta for a row that is kept for all time the sessions and slices that come too late, and returns how many
// contributions they held.
func dropLate(set *metric.Set, m *metric.Metric, in *Input) (late int64) {
	if in.Watermark == 0 || len(in.Delta.Slices)+len(in.Delta.Sessions) == 0 {
		return 0
	}
	if w := set.WindowOf(in.Key); w != nil && len(in.Delta.Slices) > 0 {
		before := sliceCount(in.Delta)
		w.TrimSlices(in.Delta, in.Watermark)
		return before - sliceCount(in.Delta)
	}
	in.Delta.Sessions = slices.DeleteFunc(in.Delta.Sessions, func(s *table.Session) bool {
		if in.Watermark <= event.UnixMilli(s.EndMs).Add(m.Grace) {
			return false
		}
		late += s.Count
		return true
	})
	return late
}

func sliceCount(c *table.Cell) (n int64) {
	for _, s := range c.Slices {
		if s.Cell != nil {
			n += lateCount(s.Cell)
		}
	}
	return n
}

// due handles a row whose deadline the watermark has reached.
func due(set *metric.Set, m *metric.Metric, row *table.Cell, in *Input, out *Output) {
	if at, fixed := set.Expiry(in.Key); fixed {
		out.Outcome, out.Delete = Expired, at <= in.Watermark
		out.Unchanged = !out.Delete
		return
	}
	if w := set.WindowOf(in.Key); w != nil {
		w.TrimSlices(row, in.Watermark)
		out.Outcome, out.Delete = Expired, len(row.Slices) == 0
		return
	}
	out.Outcome = Closed
	for _, s := range metric.CloseSessions(row, in.Watermark, m.Session.Gap) {
		out.Deltas = append(out.Deltas, metric.SessionDelta(m, s)...)
	}
	out.Delete = len(row.Sessions) == 0
}

// Deadline is when Step wants to be called with Timer for a row: at the end of its retention, when its next session closes, or when
// its oldest slice is past use. It is false for rows of metrics that are not declared.
func Deadline(set *metric.Set, key string, row *table.Cell) (event.UnixMilli, bool) {
	if at, ok := set.Expiry(key); ok {
		return at, true
	}
	return set.CellExpiry(key, row)
}
