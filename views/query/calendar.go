package query

import (
	"strings"
	"time"
	_ "time/tzdata" // zones do not depend on the machine

	"weir/topology/event"
	"weir/topology/window"
)

// unit is a window of the calendar: its length depends on the zone and the date, so it is not kept but composed of windows that are.
type unit struct {
	name  string
	floor func(t time.Time) time.Time // the start of the unit that t is in, in t's zone
	next  func(start time.Time) time.Time
}

var units = []unit{
	{"day", midnight, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"week", func(t time.Time) time.Time { return midnight(t).AddDate(0, 0, -(int(t.Weekday())+6)%7) }, // from Monday
		func(t time.Time) time.Time { return t.AddDate(0, 0, 7) }},
	{"month", func(t time.Time) time.Time { return firstOf(t, t.Month()) }, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"quarter", func(t time.Time) time.Time { return firstOf(t, (t.Month()-1)/3*3+1) }, func(t time.Time) time.Time { return t.AddDate(0, 3, 0) }},
	{"year", func(t time.Time) time.Time { return firstOf(t, time.January) }, func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

func firstOf(t time.Time, month time.Month) time.Time {
	return time.Date(t.Year(), month, 1, 0, 0, 0, 0, t.Location())
}

func unitNames() string {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return strings.Join(names, ", ")
}

const (
	dayWindow = "1d" // in a zone of its own it is a day of that zone
	maxZone   = 64   // bytes of a zone's name
	maxSpans  = 1_200
)

// Span is one window of the calendar, as it was asked for.
type Span struct{ From, To event.UnixMilli }

func (q *Query) parseZone(text string) error {
	q.zone = time.UTC
	if text == "" {
		return nil
	}
	const usage = "is no zone of the IANA database, such as Europe/Madrid or UTC"
	if len(text) > maxZone || strings.EqualFold(text, "local") {
		return wrong("tz", "%.64q %s", text, usage)
	}
	zone, err := time.LoadLocation(text)
	if err != nil {
		return wrong("tz", "%q %s", text, usage)
	}
	q.zone = zone
	return nil
}

// calendar takes the window's name for a unit of the calendar, if it is one.
func (q *Query) calendar(name string) bool {
	if name == dayWindow && q.zone != time.UTC {
		name = "day"
	}
	for i := range units {
		if units[i].name == name {
			q.unit = &units[i]
			return true
		}
	}
	return false
}

// spans are the units of the calendar whose starts are in [from, to). Without from they reach back as far as windows are kept.
func (q *Query) spans(from, to event.UnixMilli, open bool, p Progress) ([]Span, error) {
	var out []Span
	if open {
		last := q.unit.floor((to - 1).Time().In(q.zone))
		for len(out) < maxSpans {
			s := q.span(last)
			if s.From <= 0 || q.composed(s, p.Watermark) != nil {
				break
			}
			out = append([]Span{s}, out...)
			last = q.unit.floor(last.Add(-time.Minute))
		}
		if len(out) == 0 { // say why
			return nil, q.composed(q.span(last), p.Watermark)
		}
		return out, nil
	}
	start := q.unit.floor(from.Time().In(q.zone))
	if event.UnixMilli(start.UnixMilli()) < from {
		start = q.unit.next(start)
	}
	for event.UnixMilli(start.UnixMilli()) < to {
		if len(out) == maxSpans {
			return nil, wrong("from", "the range has more than %d windows of a %s; ask for a shorter range or a longer window", maxSpans, q.unit.name)
		}
		out = append(out, q.span(start))
		start = q.unit.next(start)
	}
	for _, s := range out {
		if err := q.composed(s, p.Watermark); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (q *Query) span(start time.Time) Span {
	return Span{event.UnixMilli(start.UnixMilli()), event.UnixMilli(q.unit.next(start).UnixMilli())}
}

// composed tells why a unit of the calendar cannot be put together from the windows that are kept.
func (q *Query) composed(s Span, watermark event.UnixMilli) error {
	finest := q.def.tiles[0]
	start := s.From.Time()
	if window.Floor(s.From, finest.Size) != s.From || window.Floor(s.To, finest.Size) != s.To {
		return wrong("tz", "a %s of %s begins at %s UTC, and %s is kept in windows of %s, which cannot be cut there; use a zone whose offset is a multiple of that, or UTC",
			q.unit.name, q.zone, start.Format("15:04"), q.Def.Name, finest.Name)
	}
	for _, seg := range tile(nil, q.def.tiles, s.From, s.To) {
		if watermark == 0 || seg.From.Add(seg.Window.Size) >= watermark.Add(-seg.Window.Retention) {
			continue
		}
		oldest := watermark.Add(-seg.Window.Retention).Time().Format(time.RFC3339)
		if q.zone == time.UTC {
			return wrong("from", "window %s of %s, of which a %s is made, is kept for %s, back to %s; ask for a later from",
				seg.Window.Name, q.Def.Name, q.unit.name, window.FormatSpan(seg.Window.Retention), oldest)
		}
		return wrong("tz", "a %s of %s begins at %s UTC, so that windows of %s are needed at its ends; they are kept for %s, back to %s. Ask for a later from, or without tz",
			q.unit.name, q.zone, start.Format("15:04"), seg.Window.Name, window.FormatSpan(seg.Window.Retention), oldest)
	}
	return nil
}

// tiles are the windows that the spans are made of.
func (q *Query) spanTiles(spans []Span) []Segment {
	var out []Segment
	for _, s := range spans {
		for _, seg := range tile(nil, q.def.tiles, s.From, s.To) {
			if n := len(out); n > 0 && out[n-1].Window.Name == seg.Window.Name && out[n-1].To == seg.From {
				out[n-1].To = seg.To
				continue
			}
			out = append(out, seg)
		}
	}
	return out
}

// Followable tells why a query cannot be kept current, but only be asked.
func (q *Query) Followable() error {
	switch {
	case q.unit != nil:
		return wrong("window", "windows of the calendar can be asked for, not followed; use %s or %s", strings.Join(q.def.windowNames(), ", "), WindowAll)
	case q.Compare:
		return wrong("compare", "a comparison can be asked for, not followed")
	case q.SeriesN > 0:
		return wrong("top", "the greatest series can be asked for, not followed")
	}
	return nil
}

// endOf is what an open end means where a range must have one: behind the window that the newest events fall into.
func (q *Query) endOf(p Progress, now time.Time) event.UnixMilli {
	newest := p.Watermark
	if newest == 0 {
		newest = event.UnixMilli(now.UnixMilli())
	}
	switch {
	case q.unit != nil:
		return q.span(q.unit.floor(newest.Time().In(q.zone))).To
	case q.Window == WindowAll:
		return newest + 1
	}
	w, _ := q.def.window(q.Window)
	return window.Floor(newest, w.Advance).Add(w.Advance)
}
