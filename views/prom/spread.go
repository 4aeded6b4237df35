package prom

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"weir/topology/event"
)

var stale = math.Float64frombits(value.StaleNaN)

// spread puts points, which are in order, on the line of time: zeros or stale markers where windows have no row, and a restart
// every aliveWindows where the form is a counter.
func (r *reader) spread(s *selection, points []point, in span) ([]sample, error) {
	if len(points) == 0 {
		return nil, nil
	}
	var out []sample
	var err error
	switch {
	case s.form.dense() && s.window.Fixed():
		out, err = r.dense(s, points, in)
	default:
		out, err = r.sparse(s, points, in)
	}
	if err != nil || len(out) == 0 {
		return nil, err
	}
	last := out[len(out)-1]
	if !value.IsStaleNaN(last.v) {
		out = append(out, sample{last.at + hold(s.window.Window).Milliseconds(), stale})
	}
	return out, nil
}

func (r *reader) take(n int) error {
	if r.samples -= n; r.samples < 0 {
		return &LimitError{fmt.Sprintf("the query reads more than %d samples; ask for a shorter range, a coarser window or fewer series", maxSamples)}
	}
	return nil
}

func (r *reader) sparse(s *selection, points []point, in span) ([]sample, error) {
	if err := r.take(2 * len(points)); err != nil {
		return nil, err
	}
	size, advance := event.UnixMilli(s.window.Size.Milliseconds()), event.UnixMilli(s.window.Advance.Milliseconds())
	if !s.window.Fixed() {
		return []sample{{int64(points[0].start), points[0].v}}, nil
	}
	out := make([]sample, 0, len(points)+2)
	for i, p := range points {
		out = append(out, sample{int64(p.start + size), p.v})
		next := p.start + advance
		if next < in.end && (i+1 == len(points) || points[i+1].start > next) {
			out = append(out, sample{int64(next + size), stale})
		}
	}
	return out, nil
}

func (r *reader) dense(s *selection, points []point, in span) ([]sample, error) {
	size, advance := event.UnixMilli(s.window.Size.Milliseconds()), event.UnixMilli(s.window.Advance.Milliseconds())
	n := int((in.end - in.first) / advance)
	if n <= 0 {
		return nil, nil
	}
	if err := r.take(n + n/aliveWindows + 2); err != nil {
		return nil, err
	}
	period := aliveWindows * advance
	out := make([]sample, 0, n+n/aliveWindows+2)
	show := func(at int64, v float64) {
		if at >= in.shown {
			out = append(out, sample{at, v})
		}
	}
	sum, i := 0.0, 0
	for i < len(points) && points[i].start < in.first {
		i++
	}
	for start := in.first; start < in.end; start += advance {
		v := 0.0
		if i < len(points) && points[i].start == start {
			v = points[i].v
			i++
		}
		if s.form.counter {
			if start%period == 0 || start == in.first {
				sum = 0
				show(int64(start)+1, 0)
			}
			sum += v
			v = sum
		}
		show(int64(start+size), v)
	}
	return out, nil
}
