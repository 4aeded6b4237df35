package prom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
	"weir/topology/window"
	"weir/views/query"
)

// reader reads rows for one request, and counts what it may still read.
type reader struct {
	src       query.Metrics
	progress  query.Progress
	watermark event.UnixMilli // the wall clock while the table's is not known
	rows      int             // left to read
	series    int             // left to build
	samples   int             // left to build
	alerts    Alerts          // nil: nothing is known of them
}

// LimitError says that a query asks for too much.
type LimitError struct{ Detail string }

func (e *LimitError) Error() string { return e.Detail }

var errTooManySeries = &LimitError{fmt.Sprintf("the query reads more than %d series; match fewer, or merge them with by", maxSeries)}

// row is what one window holds of one series. For ratios sum is what stands above and count what stands below.
type row struct {
	start      event.UnixMilli
	count, sum int64
	cell       *table.Cell // of kinds that are more than count and sum
}

// rows is one series before it has samples.
type rows struct {
	values []string // of the labels kept
	list   []row    // by start, each once
}

// readRows reads the windows that begin in [from, to), merged to the labels that the selection keeps. first is the earliest
// start of any row of the metric there, matched or not; to where there is none.
func (r *reader) readRows(ctx context.Context, s *selection, from, to event.UnixMilli) (out []*rows, first event.UnixMilli, err error) {
	in := scan{reader: r, ctx: ctx, selection: s, byKept: map[string]*rows{}, first: to, watermark: r.watermark}
	if from >= to {
		return nil, to, nil
	}
	if s.form.alerts {
		err = in.runAlerts(from, to)
	} else if s.form.of.Derived == nil {
		err = in.run(s.form.of, nil, false, from, to)
	} else {
		for _, p := range s.form.of.Derived.Over {
			if err == nil {
				err = in.run(p.Metric, &p, false, from, to)
			}
		}
		for _, p := range s.form.of.Derived.Under {
			if err == nil {
				err = in.run(p.Metric, &p, true, from, to)
			}
		}
	}
	if err != nil {
		return nil, to, err
	}
	for _, x := range in.out {
		if x.list, err = in.settle(x.list); err != nil {
			return nil, to, err
		}
	}
	return in.out, in.first, nil
}

// scan is one selection being read.
type scan struct {
	*reader
	ctx       context.Context
	selection *selection
	byKept    map[string]*rows
	out       []*rows
	first     event.UnixMilli
	watermark event.UnixMilli
}

// seen is what the scan knows of one combination of label values.
type seen struct {
	into   *rows // nil: does not match
	labels []string
}

const startLength = len("2006-01-02T15:04:05Z")

// run reads the rows of one metric, for one part of a ratio or for itself.
func (in *scan) run(m *metric.Metric, p *metric.Part, under bool, from, to event.UnixMilli) error {
	s := in.selection
	start, limit := metric.Range(m.Name, s.window.Name, from, to)
	cut := len(m.Name) + 1 + len(s.window.Name) + 1
	known := map[string]seen{}
	var lastText string
	var at event.UnixMilli
	spare := &table.Cell{}
	return in.src.Scan(start, limit, func(key string, value []byte) error {
		if err := in.spend(); err != nil {
			return err
		}
		if len(key) <= cut+startLength {
			return fmt.Errorf("row key %q is too short", key)
		}
		if text := key[cut : cut+startLength]; text != lastText {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return fmt.Errorf("row key %q: %w", key, err)
			}
			lastText, at = strings.Clone(text), event.UnixMilli(t.UnixMilli())
			in.first = min(in.first, at)
		}
		tail := key[cut+startLength+1:]
		series, ok := known[tail]
		if !ok {
			var err error
			if series, err = in.meet(m, key); err != nil {
				return err
			}
			known[strings.Clone(tail)] = series
		}
		if series.into == nil {
			return nil
		}
		spare.ResetVT()
		if err := spare.UnmarshalVT(value); err != nil {
			return fmt.Errorf("row %q: %w", key, err)
		}
		kept, err := in.add(series, m, p, under, at, spare)
		if kept {
			spare = &table.Cell{}
		}
		return err
	})
}

func (in *scan) spend() error {
	if in.rows--; in.rows < 0 {
		return &LimitError{fmt.Sprintf("the query reads more than %d rows; ask for a shorter range, a coarser window or fewer metrics", maxRows)}
	}
	if in.rows%1024 == 0 {
		return in.ctx.Err()
	}
	return nil
}

// meet matches a combination of label values that was not seen before.
func (in *scan) meet(m *metric.Metric, key string) (seen, error) {
	k, err := metric.ParseKey(key)
	if err != nil {
		return seen{}, err
	}
	if len(k.Labels) != len(m.Labels) {
		return seen{}, fmt.Errorf("row key %q has %d labels where %s has %d", key, len(k.Labels), m.Name, len(m.Labels))
	}
	return in.match(k.Labels, m.Labels)
}

// add appends what a cell says to its series; kept tells that the cell is needed further.
func (in *scan) add(to seen, m *metric.Metric, p *metric.Part, under bool, at event.UnixMilli, c *table.Cell) (kept bool, err error) {
	if w := in.selection.window; w.Kind == window.Sliding {
		at = in.watermark
		if c, err = query.Slide(m, w.Window, c, at); err != nil {
			return false, err
		}
	}
	r := row{start: at, count: c.Count, sum: c.Sum}
	switch {
	case p != nil:
		r.sum, r.count = p.Amount(to.labels, c), 0
		if under {
			r.sum, r.count = 0, r.sum
		}
	case in.selection.needsCells():
		r.cell, kept = c, true
	}
	to.into.list = append(to.into.list, r)
	return kept, nil
}

func (s *selection) needsCells() bool {
	return s.form.part == theQuantiles || s.form.part == theTop || s.form.of.Kind == metric.Distinct
}

// settle puts rows in order and merges those of one start.
func (in *scan) settle(list []row) ([]row, error) {
	slices.SortFunc(list, func(a, b row) int { return int(min(1, max(-1, a.start-b.start))) })
	out := list[:0]
	for _, r := range list {
		if n := len(out); n == 0 || out[n-1].start != r.start {
			out = append(out, r)
			continue
		}
		into := &out[len(out)-1]
		into.count += r.count
		into.sum += r.sum
		if r.cell != nil {
			if err := in.selection.form.of.Merge(into.cell, r.cell); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
