package prom

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"weir/topology/event"
	"weir/topology/metric"
)

// labelNames are the labels that what the matchers select can have; no matchers select all. What there is follows from the
// catalogue, so no row is read.
func (q *querier) labelNames(sets [][]*labels.Matcher) ([]string, error) {
	found := map[string]struct{}{nameLabel: {}}
	err := q.eachSelected(sets, func(s *selection) error {
		for _, name := range s.form.labelNames() {
			found[name] = struct{}{}
		}
		return nil
	})
	return slices.Sorted(maps.Keys(found)), err
}

// labelValues are the values of a label in what the matchers select.
func (q *querier) labelValues(ctx context.Context, name string, sets [][]*labels.Matcher) ([]string, error) {
	found := map[string]struct{}{}
	read := map[*metric.Metric]bool{} // rows tell the same for every form
	err := q.eachSelected(sets, func(s *selection) error {
		switch {
		case name == nameLabel:
			found[s.form.name] = struct{}{}
		case name == labelWindow:
			found[s.window.Name] = struct{}{}
		case name == labelBy:
			found[byTotal] = struct{}{}
			for _, l := range s.form.of.Labels {
				found[l] = struct{}{}
			}
		case name == labelQuantile:
			for _, x := range s.quantiles {
				found[x.text] = struct{}{}
			}
		case slices.Contains(s.form.labelNames(), name):
			if read[s.form.of] && len(sets) <= 1 && len(s.match) == 0 {
				return nil
			}
			read[s.form.of] = true
			return q.eachSeries(ctx, s, func(of labels.Labels) { found[of.Get(name)] = struct{}{} })
		}
		return nil
	})
	delete(found, "")
	return slices.Sorted(maps.Keys(found)), err
}

// series are the label sets of what the matchers select.
func (q *querier) seriesOf(ctx context.Context, sets [][]*labels.Matcher) ([]labels.Labels, error) {
	found := map[string]labels.Labels{}
	err := q.eachSelected(sets, func(s *selection) error {
		return q.eachSeries(ctx, s, func(of labels.Labels) { found[of.String()] = of })
	})
	out := slices.Collect(maps.Values(found))
	slices.SortFunc(out, labels.Compare)
	return out, err
}

// eachSelected calls fn for each form and window that any of the sets of matchers selects.
func (q *querier) eachSelected(sets [][]*labels.Matcher, fn func(*selection) error) error {
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	for _, matchers := range sets {
		selections, _, err := q.catalogue.resolve(matchers, true)
		if err != nil {
			return err
		}
		for i := range selections {
			if err := fn(&selections[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachSeries calls fn for the labels of each series that the selection has in the time of the request. Which there are is read
// from the longest windows: those have the fewest rows, and each series has a row in them.
func (q *querier) eachSeries(ctx context.Context, s *selection, fn func(labels.Labels)) error {
	longest := *s
	for _, w := range s.form.of.Windows {
		if w.Fixed() && (!longest.window.Fixed() || w.Size > longest.window.Size) {
			longest.window = w
		}
	}
	from, to := event.UnixMilli(0), event.UnixMilli(1) // of a row for all time
	if w := longest.window; w.Fixed() {
		from, to = max(q.from.Add(-w.Size), q.watermark.Add(-w.Retention-w.Size))+1, q.to+1
	}
	series, _, err := q.readRows(ctx, &longest, from, to)
	if err != nil {
		return err
	}
	for _, x := range series {
		if _, ok := s.scale(x.values); ok {
			s.eachLabels(x, fn)
		}
	}
	return nil
}

func (s *selection) eachLabels(x *rows, fn func(labels.Labels)) {
	switch s.form.part {
	case theQuantiles:
		for _, at := range s.quantiles {
			fn(s.labels(x.values, labelQuantile, at.text))
		}
	case theTop:
		shown := map[string]bool{}
		for _, row := range x.list {
			for i, e := range row.cell.GetTop() {
				if i < topShown && !shown[e.Value] && s.allows(e.Value) {
					shown[e.Value] = true
					fn(s.labels(x.values, labelValue, e.Value))
				}
			}
		}
	default:
		fn(s.labels(x.values))
	}
}
