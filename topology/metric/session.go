package metric

import (
	"slices"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/metric/sketch"
	"weir/topology/table"
	"weir/topology/window"
)

// A metric with sessions has two sorts of rows. One row a shopper (METRIC/session-30m/1970-01-01T00:00:00Z/SHOPPER) keeps the
// open sessions; it grows by deltas that hold sessions of single events. When the watermark has passed a session's end by more than
// the gap, no further event can join it: CloseSessions takes it out, and SessionDelta tells what to add to the metric's ordinary
// rows, in the windows in which the session ended.

// shopper is what one shopper did since the last drain, in spans that no pause longer than the gap divides. Spans may touch each
// other: MergeSessions joins them when they are drained.
type shopper struct{ spans []span }

type span struct {
	start, end, count int64
	labels            []string // of the first event
}

func (a *Accumulator) addSession(b *bundle, f *Facts) {
	m := b.metrics[0]
	by := m.text(f, nil)
	if by == "" || b.where != nil && !b.where.holds(f, nil) {
		return // an event of nobody joins no session
	}
	at := int64(max(firstMoment, min(lastMoment, f.At)))
	if len(by) > MaxLabelBytes {
		by = labelValue(by)
	}
	labels := a.seriesOf(b, f, nil).values
	shoppers := a.open[b.index]
	known := shoppers[by]
	if known == nil {
		if shoppers == nil {
			shoppers = map[string]*shopper{}
			a.open[b.index] = shoppers
		}
		known = &a.shopperRoom.take(1)[0]
		known.spans = a.spanRoom.take(1)[:0]
		shoppers[strings.Clone(by)] = known // the row that the text came from goes back to its pool
	}
	known.add(at, labels, m.Session.Gap.Milliseconds())
}

func (p *shopper) add(at int64, labels []string, gap int64) {
	for i := range p.spans {
		s := &p.spans[i]
		if at < s.start-gap || at > s.end+gap {
			continue
		}
		if at < s.start || at == s.start && slices.Compare(labels, s.labels) < 0 {
			s.start, s.labels = at, labels
		}
		s.end = max(s.end, at)
		s.count++
		return
	}
	p.spans = append(p.spans, span{at, at, 1, labels})
}

// MergeSessions returns the sessions that both lists make together: two are one if they are at most gap apart. The merged session has
// the labels of the earlier one. Both lists are sorted by start; none of delta's entries is taken. The outcome does not
// depend on the order in which sessions are merged.
func MergeSessions(sessions, delta []*table.Session, gap time.Duration) []*table.Session {
	for _, d := range delta {
		sessions = append(sessions, &table.Session{StartMs: d.StartMs, EndMs: d.EndMs, Count: d.Count, Labels: slices.Clone(d.Labels)})
	}
	slices.SortFunc(sessions, compareSessions)
	merged := sessions[:0]
	for _, s := range sessions {
		if n := len(merged); n > 0 && s.StartMs-merged[n-1].EndMs <= gap.Milliseconds() {
			last := merged[n-1]
			last.EndMs = max(last.EndMs, s.EndMs)
			last.Count += s.Count
			continue
		}
		merged = append(merged, s)
	}
	clear(sessions[len(merged):])
	return merged
}

// compareSessions orders by start; of events at the same moment the one with lesser labels counts as the earlier.
func compareSessions(a, b *table.Session) int {
	switch {
	case a.StartMs < b.StartMs:
		return -1
	case a.StartMs > b.StartMs:
		return 1
	}
	return slices.Compare(a.Labels, b.Labels)
}

// CloseSessions takes the sessions out of the cell that no event after the watermark can join, and returns them.
func CloseSessions(cell *table.Cell, watermark event.UnixMilli, gap time.Duration) (closed []*table.Session) {
	open := cell.Sessions[:0:0]
	for _, s := range cell.Sessions {
		if closes(s, gap) <= watermark {
			closed = append(closed, s)
		} else {
			open = append(open, s)
		}
	}
	cell.Sessions = open
	return closed
}

// NextClose returns the least watermark at which CloseSessions closes one of the cell's sessions, and false if none is open.
func NextClose(cell *table.Cell, gap time.Duration) (next event.UnixMilli, ok bool) {
	for _, s := range cell.Sessions {
		if at := closes(s, gap); !ok || at < next {
			next, ok = at, true
		}
	}
	return next, ok
}

// closes is the first millisecond at which an event no longer joins the session.
func closes(s *table.Session, gap time.Duration) event.UnixMilli {
	return event.UnixMilli(s.EndMs).Add(gap) + 1
}

// Delta is a contribution to one metric row.
type Delta struct {
	Key  string
	Cell *table.Cell
}

// SessionDelta returns what a closed session adds to the rows of its metric: a count of 1 and its length (0 for a single event), in
// every window that holds the session's end.
func SessionDelta(m *Metric, session *table.Session) []Delta {
	var deltas []Delta
	end := event.UnixMilli(session.EndMs)
	length := session.EndMs - session.StartMs
	for _, w := range m.Windows {
		for _, start := range w.Assign(nil, end) {
			c := &table.Cell{Count: 1}
			if m.Kind == Quantiles {
				c.Sum, c.Min, c.Max, c.Ranged = length, length, length, true
				c.Quantiles = sketch.AppendQuantiles(nil, []int64{length})
			}
			deltas = append(deltas, Delta{Key{m.Name, w.Name, start, session.Labels}.String(), c})
		}
	}
	return deltas
}

// SlidingValue returns what a sliding window holds at a moment: its slices that begin in (at−size, at], merged. See
// window.MakeSliding for the error of the edges.
func (m *Metric) SlidingValue(w window.Window, cell *table.Cell, at event.UnixMilli) (*table.Cell, error) {
	sum := new(table.Cell)
	for _, s := range cell.Slices {
		if s.Cell != nil && w.InSlide(event.UnixMilli(s.StartMs), at) {
			if err := m.Merge(sum, s.Cell); err != nil {
				return nil, err
			}
		}
	}
	return sum, nil
}

// TrimSlices drops the slices of a sliding window's row that no reading within the retention can need, and says whether there
// were any.
func (w *Window) TrimSlices(cell *table.Cell, watermark event.UnixMilli) bool {
	before := len(cell.Slices)
	cell.Slices = slices.DeleteFunc(cell.Slices, func(s *table.Slice) bool { return w.sliceExpiry(s) <= watermark })
	return len(cell.Slices) < before
}

func (w *Window) sliceExpiry(s *table.Slice) event.UnixMilli {
	return w.End(event.UnixMilli(s.StartMs)).Add(w.Size + w.Retention)
}

// CellExpiry returns the watermark at which a row that is kept for all time has to be looked at again: when its next session closes
// or its oldest slice is dropped. A row with neither can be deleted at once: it returns 0. It is false for rows that Expiry knows and
// for keys that the set does not know.
func (s *Set) CellExpiry(key string, cell *table.Cell) (event.UnixMilli, bool) {
	m, w, _, ok := s.row(key)
	switch {
	case !ok || w != nil && w.Fixed():
		return 0, false
	case w == nil:
		at, _ := NextClose(cell, m.Session.Gap)
		return at, true
	case len(cell.Slices) == 0:
		return 0, true
	}
	return w.sliceExpiry(cell.Slices[0]), true
}

// WindowOf returns the window that a row's key names, nil for the rows of open sessions and for keys that the set does not know.
func (s *Set) WindowOf(key string) *Window {
	_, w, _, _ := s.row(key)
	return w
}
