package query

import (
	"math"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/window"
)

// endOfTime is the bound of an open range: later than any window start that fits a key.
const endOfTime = event.UnixMilli(253402300799999) // 9999-12-31T23:59:59.999Z

// Segment is a run of windows of one length, by their starts: from inclusive, to exclusive.
type Segment struct {
	Window   metric.Window
	From, To event.UnixMilli
}

// Plan is what a query reads at one moment.
type Plan struct {
	From, To  event.UnixMilli // the range, resolved; 0 and endOfTime where open
	Watermark event.UnixMilli
	Segments  []Segment
	Spans     []Span // the windows of the calendar that the segments are put together to; nil: none were asked for
}

// Plan resolves the range against the watermark and the clock. Errors are *ParamError: a range that is no longer kept.
func (q *Query) Plan(p Progress, now time.Time) (Plan, error) {
	plan := Plan{From: 0, To: endOfTime, Watermark: p.Watermark}
	if q.from.kind != 0 {
		plan.From = max(0, q.from.resolve(p.Watermark, now))
	}
	if q.to.kind != 0 {
		plan.To = min(endOfTime, q.to.resolve(p.Watermark, now))
	}
	if q.unit != nil {
		to, from := plan.To, plan.From
		if to == endOfTime {
			to = q.endOf(p, now)
		}
		if q.from.relative() {
			from = event.UnixMilli(q.unit.floor(from.Time().In(q.zone)).UnixMilli())
		}
		var err error
		plan.Spans, err = q.spans(from, to, q.from.kind == 0, p)
		plan.Segments = q.spanTiles(plan.Spans)
		return plan, err
	}
	if q.Window == WindowAll {
		if q.from.relative() {
			plan.From = window.Floor(plan.From, q.finestKept(plan.From, p.Watermark).Size)
		}
		plan.Segments = tile(nil, q.def.tiles, plan.From, plan.To)
	} else {
		w, _ := q.def.window(q.Window) // Parse has checked it
		from := plan.From
		if q.from.relative() {
			from = window.Floor(from, w.Advance) // so that a relative range begins with the window it falls into
		}
		switch {
		case w.Kind == window.Sliding: // one row for all time, read at the watermark
			plan.Segments = []Segment{{w, metric.Placeholder, metric.Placeholder + 1}}
		case from < plan.To:
			plan.Segments = []Segment{{w, from, plan.To}}
		}
	}
	return plan, q.allKept(plan.Segments, p.Watermark)
}

func (i instant) resolve(watermark event.UnixMilli, now time.Time) event.UnixMilli {
	switch {
	case i.kind == 'a':
		return i.at
	case i.kind == 'n' && watermark != 0:
		return watermark.Add(-i.back)
	default:
		return event.UnixMilli(now.UnixMilli()).Add(-i.back)
	}
}

func (i instant) relative() bool { return i.kind == 'n' || i.kind == 'w' }

// finestKept is the finest window that still holds rows at t.
func (q *Query) finestKept(t, watermark event.UnixMilli) metric.Window {
	for _, w := range q.def.tiles {
		if watermark == 0 || t.Add(w.Size) >= watermark.Add(-w.Retention) {
			return w
		}
	}
	return q.def.tiles[len(q.def.tiles)-1]
}

// kept refuses ranges that begin before what is kept, rather than answer them in part. An open range means all that is kept.
func (q *Query) kept(s Segment, watermark event.UnixMilli) error {
	if s.From == 0 || watermark == 0 {
		return nil
	}
	oldest := watermark.Add(-s.Window.Retention)
	if s.From.Add(s.Window.Size) >= oldest {
		return nil
	}
	return wrong("from", "window %s of %s is kept for %s, back to %s; ask for a later from or a coarser window",
		s.Window.Name, q.Def.Name, window.FormatSpan(s.Window.Retention), oldest.Time().Format(time.RFC3339))
}

// tile covers [from, to) with the coarsest windows that fit and finer ones at its ends; windows come finest first. What is
// finer than the finest window is rounded outwards at from and by starts at to.
func tile(out []Segment, windows []metric.Window, from, to event.UnixMilli) []Segment {
	if from >= to {
		return out
	}
	last := len(windows) - 1
	w := windows[last]
	if last == 0 {
		return append(out, Segment{w, window.Floor(from, w.Size), to})
	}
	inner, end := ceil(from, w.Size), to
	if to != endOfTime {
		end = window.Floor(to, w.Size)
	}
	if inner >= end {
		return tile(out, windows[:last], from, to)
	}
	out = tile(out, windows[:last], from, inner)
	out = append(out, Segment{w, inner, end})
	return tile(out, windows[:last], end, to)
}

func ceil(t event.UnixMilli, step time.Duration) event.UnixMilli {
	f := window.Floor(t, step)
	if f == t {
		return t
	}
	return f.Add(step)
}

// starts is how many windows a segment has at most; open ones have no number.
func (s Segment) starts() float64 {
	if s.From == 0 || s.To == endOfTime {
		return 0
	}
	return math.Ceil(float64(s.To-s.From) / float64(s.Window.Advance.Milliseconds()))
}

// subtract is the part of the segments a that is not in b.
func subtract(a, b []Segment) []Segment {
	for _, cut := range b {
		var rest []Segment
		for _, s := range a {
			if s.Window.Name != cut.Window.Name || s.To <= cut.From || cut.To <= s.From {
				rest = append(rest, s)
				continue
			}
			if s.From < cut.From {
				rest = append(rest, Segment{s.Window, s.From, cut.From})
			}
			if cut.To < s.To {
				rest = append(rest, Segment{s.Window, cut.To, s.To})
			}
		}
		a = rest
	}
	return a
}

func within(segments []Segment, window string, start event.UnixMilli) bool {
	for _, s := range segments {
		if s.Window.Name == window && s.From <= start && start < s.To {
			return true
		}
	}
	return false
}
