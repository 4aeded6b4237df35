package prom

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"weir/topology/event"
)

// lists opens a reading for the requests about labels.
func (s *server) lists(ctx context.Context, r *http.Request, read func(context.Context, *querier, [][]*labels.Matcher) (any, error)) (any, annotations.Annotations, error) {
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	matchers, err := s.matchers(r)
	if err != nil {
		return nil, nil, err
	}
	from, to, err := s.listed(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	leave, err := s.turn(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	q, err := s.open(from, to)
	if err != nil {
		return nil, nil, err
	}
	defer q.release()
	data, err := read(ctx, q, matchers)
	if err != nil {
		return nil, nil, err
	}
	data, cut := cutList(data, limit)
	warnings := *annotations.New()
	if cut {
		warnings.Add(errTruncated)
	}
	return data, s.partial(warnings), nil
}

// listed is the time that a request about labels is about: the last day before the watermark unless it says so.
func (s *server) listed(r *http.Request) (from, to event.UnixMilli, err error) {
	latest := s.Metrics.Progress().Watermark.Time()
	if s.Metrics.Progress().Watermark == 0 {
		latest = s.Now()
	}
	end, err := timeParam(r, "end", latest)
	if err != nil {
		return 0, 0, err
	}
	start, err := timeParam(r, "start", end.Add(-24*time.Hour))
	if err == nil && end.Before(start) {
		err = badData(`invalid parameter "end": end timestamp must not be before start time`)
	}
	return event.UnixMilli(start.UnixMilli()), event.UnixMilli(end.UnixMilli()), err
}

func (s *server) matchers(r *http.Request) ([][]*labels.Matcher, error) {
	texts := r.Form["match[]"]
	if len(texts) > maxSelectors {
		return nil, badData("at most %d match[] in one request", maxSelectors)
	}
	var out [][]*labels.Matcher
	for _, text := range texts {
		m, err := s.parser.ParseMetricSelector(text)
		if err != nil {
			return nil, badData(`invalid parameter "match[]": %v`, err)
		}
		out = append(out, m)
	}
	return out, nil
}

func (s *server) labels(ctx context.Context, r *http.Request) (any, annotations.Annotations, error) {
	return s.lists(ctx, r, func(_ context.Context, q *querier, sets [][]*labels.Matcher) (any, error) { return q.labelNames(sets) })
}

func (s *server) labelValues(ctx context.Context, r *http.Request) (any, annotations.Annotations, error) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") { // how clients write names that paths cannot hold
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	return s.lists(ctx, r, func(ctx context.Context, q *querier, sets [][]*labels.Matcher) (any, error) {
		return q.labelValues(ctx, name, sets)
	})
}

func (s *server) series(ctx context.Context, r *http.Request) (any, annotations.Annotations, error) {
	if len(r.Form["match[]"]) == 0 {
		return nil, nil, badData("no match[] parameter provided")
	}
	return s.lists(ctx, r, func(ctx context.Context, q *querier, sets [][]*labels.Matcher) (any, error) {
		return q.seriesOf(ctx, sets)
	})
}
