package query

import (
	"cmp"
	"maps"
	"slices"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// Row is one point with its labels: what package live sends.
type Row struct {
	Labels   map[string]string `json:"labels"`
	Exponent *int              `json:"exponent,omitempty"`
	Point
}

// Keyed is a row and the key under which clients keep it: start/labels; all/labels where the
// range is merged; the window's name/labels where it slides.
type Keyed struct {
	Key string
	Row Row
}

// Buckets are the starts that the table holds, oldest first.
func (t *Table) Buckets() []Bucket {
	out := make([]Bucket, 0, len(t.buckets))
	for b := range t.buckets {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b Bucket) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Window, b.Window))
	})
	return out
}

// Rows are the points of one bucket. With WindowAll a bucket is no point: use All.
func (t *Table) Rows(b Bucket) ([]Keyed, error) {
	w, _ := t.q.def.window(b.Window)
	if w.Kind == window.Sliding {
		return t.rows(w.Name+"/", t.buckets[b], t.plan.Watermark.Add(-w.Size), t.plan.Watermark)
	}
	prefix := b.Start.Time().Format(startLayout) + "/"
	return t.rows(prefix, t.buckets[b], b.Start, b.Start.Add(w.Size))
}

func (t *Table) rows(prefix string, groups map[string]*group, start, end event.UnixMilli) ([]Keyed, error) {
	out := make([]Keyed, 0, len(groups))
	for _, label := range slices.Sorted(maps.Keys(groups)) {
		labels, err := t.q.labels(label)
		if err != nil {
			return nil, err
		}
		p, err := t.q.point(groups[label], start, end, t.plan.Watermark)
		if err != nil {
			return nil, err
		}
		out = append(out, Keyed{prefix + label, Row{Labels: labels, Exponent: t.q.exponent(labels), Point: p}})
	}
	return out, nil
}

// All merges every bucket into one point for each label set (window=all). Its start and end are those of the range, or of the
// windows found where the range is open.
func (t *Table) All() ([]Keyed, error) {
	first, last := t.plan.From, t.plan.To
	buckets := t.Buckets()
	if n := len(buckets); n > 0 {
		if first == 0 {
			first = buckets[0].Start
		}
		if last == endOfTime {
			last = 0
			for _, b := range buckets {
				w, _ := t.q.def.window(b.Window)
				last = max(last, b.Start.Add(w.Size))
			}
		}
	}
	merged, err := t.merged(buckets)
	if err != nil {
		return nil, err
	}
	return t.rows(WindowAll+"/", merged, first, last)
}

// units puts every bucket into the window of the calendar that it is a part of.
func (t *Table) units() ([]Keyed, error) {
	var out []Keyed
	buckets := t.Buckets()
	for _, s := range t.plan.Spans {
		n := 0
		for n < len(buckets) && buckets[n].Start < s.To {
			n++
		}
		merged, err := t.merged(buckets[:n])
		if err != nil {
			return nil, err
		}
		rows, err := t.rows(s.From.Time().Format(startLayout)+"/", merged, s.From, s.To)
		if err != nil {
			return nil, err
		}
		if out = append(out, rows...); len(out) > MaxPoints {
			return nil, errTooManyPoints
		}
		buckets = buckets[n:]
	}
	return out, nil
}

// merged is one group for each label set of the buckets.
func (t *Table) merged(buckets []Bucket) (map[string]*group, error) {
	merged := map[string]*group{}
	for _, b := range buckets {
		for label, g := range t.buckets[b] {
			into := merged[label]
			if into == nil {
				if into = (&group{make([]*table.Cell, len(g.cells))}); len(merged) >= MaxPoints {
					return nil, errTooManyPoints
				}
				merged[label] = into
			}
			if err := t.merge(into, g); err != nil {
				return nil, err
			}
		}
	}
	return merged, nil
}

// merge adds the cells of g to those of into, and leaves g as it is.
func (t *Table) merge(into, g *group) error {
	for i, c := range g.cells {
		switch {
		case c == nil:
		case into.cells[i] == nil:
			into.cells[i] = c.CloneVT()
		default:
			if err := t.q.terms[i].def.Merge(into.cells[i], c); err != nil {
				return err
			}
		}
	}
	return nil
}
