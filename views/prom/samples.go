package prom

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/metric/sketch"
	"weir/topology/window"
	"weir/views/query"
)

const (
	// aliveWindows is how long a series is remembered that has no rows any more, and after how many windows a counter restarts.
	aliveWindows = 60
	// leastHold is how long the newest sample of a short window holds.
	leastHold = 5 * time.Minute

	millisecondsInSecond = 1000
)

// hold is how long the newest sample of a series holds, unless another one or the end of the series comes before.
func hold(w window.Window) time.Duration { return max(leastHold, w.Advance) }

// sample is a value at a time, in Unix milliseconds.
type sample struct {
	at int64
	v  float64
}

// line is one series with its samples, oldest first. Where it has a gap it has a stale marker.
type line struct {
	labels  labels.Labels
	samples []sample
}

// notes are what whoever asked should know of an answer.
type notes []string

// lines reads what a selection has between two times, both inclusive.
func (r *reader) lines(ctx context.Context, s *selection, from, to event.UnixMilli) ([]line, notes, error) {
	var told notes
	w := s.window
	if oldest := r.watermark.Add(-w.Retention); w.Fixed() && from < oldest {
		told = append(told, fmt.Sprintf("window %s of %s is kept for %s, back to %s; ask for a coarser window to see further",
			w.Name, s.form.of.Name, window.FormatSpan(w.Retention), oldest.Time().Format(time.RFC3339)))
		from = oldest
	}
	span := r.span(s, from, to)
	series, first, err := r.readRows(ctx, s, span.read, span.end)
	if err != nil {
		return nil, told, err
	}
	span.first = max(span.first, first)
	var out []line
	unknown := 0
	for _, x := range series {
		scale, ok := s.scale(x.values)
		if !ok {
			unknown++
			continue
		}
		more, err := r.build(s, x, span, scale)
		if err != nil {
			return nil, told, err
		}
		out = append(out, more...)
	}
	if unknown > 0 {
		told = append(told, fmt.Sprintf("%d series of %s are left out: their currency is not in ISO 4217, so that nobody knows its major unit", unknown, s.form.name))
	}
	return out, told, nil
}

// span is a run of windows, by their starts: what is read, and what has samples. The ends are exclusive.
type span struct {
	read, first, end event.UnixMilli
	shown            int64 // samples before this are left out
}

// span finds the windows whose ends lie between two times and which the watermark has passed.
func (r *reader) span(s *selection, from, to event.UnixMilli) span {
	w := s.window
	if !w.Fixed() { // one row for all time, read at the watermark
		if r.watermark < from || r.watermark > to {
			return span{}
		}
		return span{read: 0, end: 1, first: r.watermark, shown: int64(from)}
	}
	size := event.UnixMilli(w.Size.Milliseconds())
	first := ceil(from-size, w.Advance)
	end := window.Floor(min(to, r.watermark)-size, w.Advance).Add(w.Advance)
	out := span{read: first, first: first, end: end, shown: int64(from)}
	if s.form.dense() {
		period := aliveWindows * w.Advance
		out.read = max(0, window.Floor(first, period).Add(-period))
		out.first = out.read
		if s.form.counter {
			out.first = max(0, window.Floor(first, period))
		}
	}
	return out
}

func ceil(t event.UnixMilli, step time.Duration) event.UnixMilli {
	if f := window.Floor(t, step); f != t {
		return f.Add(step)
	}
	return t
}

// scale is what values are divided by: money goes from minor to major units. It is false where that is not known.
func (s *selection) scale(values []string) (float64, bool) {
	if s.form.of.Unit != metric.Money || s.form.part == theEvents {
		return 1, true
	}
	for n, i := range s.keep {
		if s.form.of.Labels[i] == currencyKey {
			if digits := query.Exponent(values[n]); digits != nil {
				return math.Pow10(*digits), true
			}
		}
	}
	return 0, false
}

// build makes the series of one label set: several where it has quantiles or ranks.
func (r *reader) build(s *selection, x *rows, span span, scale float64) ([]line, error) {
	switch s.form.part {
	case theQuantiles:
		return r.quantiles(s, x, span)
	case theTop:
		return r.ranks(s, x, span)
	}
	at := make([]point, 0, len(x.list))
	for i := range x.list {
		p, ok, err := s.point(&x.list[i], scale)
		if err != nil {
			return nil, err
		}
		if ok {
			at = append(at, p)
		}
	}
	samples, err := r.spread(s, at, span)
	if err != nil || len(samples) == 0 {
		return nil, err
	}
	return []line{{s.labels(x.values), samples}}, nil
}

// point is the value of one window.
type point struct {
	start event.UnixMilli
	v     float64
}

func (s *selection) point(row *row, scale float64) (p point, ok bool, err error) {
	p.start = row.start
	switch s.form.part {
	case theEvents:
		p.v = float64(row.count)
	case theSeconds:
		p.v = float64(row.sum) / millisecondsInSecond
	case theRatio:
		if row.count == 0 {
			return p, false, nil
		}
		p.v = float64(row.sum) / float64(row.count) / scale
	default:
		switch s.form.of.Kind {
		case metric.Distinct:
			n, err := sketch.EstimateDistinct(row.cell.GetDistinct())
			p.v = float64(n)
			return p, true, err
		case metric.Count:
			p.v = float64(row.count)
		default:
			p.v = float64(row.sum) / scale
		}
	}
	return p, true, nil
}

func (r *reader) quantiles(s *selection, x *rows, span span) ([]line, error) {
	wanted := make([]float64, len(s.quantiles))
	for i, q := range s.quantiles {
		wanted[i] = q.at
	}
	points := make([][]point, len(wanted))
	for _, row := range x.list {
		values, err := sketch.QuantilesAt(row.cell.GetQuantiles(), wanted...)
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			points[i] = append(points[i], point{row.start, v / millisecondsInSecond})
		}
	}
	var out []line
	for i, q := range s.quantiles {
		samples, err := r.spread(s, points[i], span)
		if err != nil {
			return nil, err
		}
		if len(samples) > 0 {
			out = append(out, line{s.labels(x.values, labelQuantile, q.text), samples})
		}
	}
	return out, nil
}

// topShown is how many values of a top-k metric have a series in one window.
const topShown = 20

func (r *reader) ranks(s *selection, x *rows, span span) ([]line, error) {
	points := map[string][]point{}
	var order []string
	for _, row := range x.list {
		for i, e := range row.cell.GetTop() {
			if i == topShown {
				break
			}
			if !s.allows(e.Value) {
				continue
			}
			if points[e.Value] == nil {
				if r.series--; r.series < 0 {
					return nil, errTooManySeries
				}
				order = append(order, e.Value)
			}
			points[e.Value] = append(points[e.Value], point{row.start, float64(e.Count)})
		}
	}
	var out []line
	for _, v := range order {
		samples, err := r.spread(s, points[v], span)
		if err != nil {
			return nil, err
		}
		if len(samples) > 0 {
			out = append(out, line{s.labels(x.values, labelValue, v), samples})
		}
	}
	return out, nil
}

func (s *selection) allows(value string) bool {
	for _, m := range s.values {
		if !m.Matches(value) {
			return false
		}
	}
	return true
}
