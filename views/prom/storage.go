package prom

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"weir/topology/event"
)

// querier is the engine's storage for one query. Everything it reads is of one moment of the table.
type querier struct {
	*reader
	catalogue *catalogue
	from, to  event.UnixMilli
	release   func()
}

var _ storage.Querier = (*querier)(nil)

// Close implements storage.Querier.
func (q *querier) Close() error {
	q.release()
	return nil
}

// Select implements storage.Querier.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to := q.from, q.to
	if hints != nil {
		from, to = event.UnixMilli(hints.Start), event.UnixMilli(hints.End)
	}
	out := &seriesSet{at: -1, warnings: annotations.New()}
	selections, told, err := q.catalogue.resolve(matchers, false)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	out.tell(told)
	for i := range selections {
		more, told, err := q.lines(ctx, &selections[i], from, to)
		if err != nil {
			return storage.ErrSeriesSet(readError{err})
		}
		out.tell(told)
		out.lines = append(out.lines, more...)
	}
	slices.SortFunc(out.lines, func(a, b line) int { return labels.Compare(a.labels, b.labels) })
	return out
}

// seriesSet implements storage.SeriesSet over lines in memory.
type seriesSet struct {
	lines    []line
	at       int
	warnings *annotations.Annotations
}

func (s *seriesSet) tell(notes []string) {
	for _, n := range notes {
		s.warnings.Add(errors.New(n))
	}
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.lines) }
func (s *seriesSet) At() storage.Series                { return &s.lines[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return *s.warnings }

// Labels implements storage.Series.
func (l *line) Labels() labels.Labels { return l.labels }

// Iterator implements storage.Series.
func (l *line) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	if it, ok := reuse.(*iterator); ok {
		*it = iterator{samples: l.samples, at: -1}
		return it
	}
	return &iterator{samples: l.samples, at: -1}
}

// iterator walks the samples of one series.
type iterator struct {
	samples []sample
	at      int
}

func (it *iterator) Next() chunkenc.ValueType {
	if it.at++; it.at >= len(it.samples) {
		it.at = len(it.samples)
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

// unixMilli is an alias so that go vet does not take Seek for an io.Seeker's.
type unixMilli = int64

// Seek finds the first sample that is not before t, from where the iterator stands.
func (it *iterator) Seek(t unixMilli) chunkenc.ValueType {
	from := max(0, it.at)
	i, _ := slices.BinarySearchFunc(it.samples[from:], t, func(s sample, t int64) int { return int(min(1, max(-1, s.at-t))) })
	it.at = from + i
	if it.at >= len(it.samples) {
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

func (it *iterator) At() (int64, float64) { s := it.samples[it.at]; return s.at, s.v }
func (it *iterator) AtT() int64           { return it.samples[it.at].at }
func (it *iterator) AtST() int64          { return 0 }
func (it *iterator) Err() error           { return nil }

// AtHistogram implements chunkenc.Iterator: there are no histograms.
func (it *iterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	return it.AtT(), nil
}

// AtFloatHistogram implements chunkenc.Iterator: there are no histograms.
func (it *iterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return it.AtT(), nil
}

// LabelValues implements storage.Querier; the engine does not ask for them.
func (q *querier) LabelValues(ctx context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values, err := q.labelValues(ctx, name, [][]*labels.Matcher{matchers})
	return values, nil, err
}

// LabelNames implements storage.Querier; the engine does not ask for them.
func (q *querier) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, err := q.labelNames([][]*labels.Matcher{matchers})
	return names, nil, err
}
