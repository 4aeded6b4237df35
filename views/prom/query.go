package prom

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"weir/topology/event"
)

// query and queryRange run an expression.
func (s *server) query(ctx context.Context, r *http.Request) (any, annotations.Annotations, error) {
	now := s.Now()
	at, err := timeParam(r, "time", now)
	if err != nil {
		return nil, nil, err
	}
	return s.run(ctx, r, times{at, at, 0}, func(ctx context.Context, in storage.Queryable, opts promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewInstantQuery(ctx, in, opts, r.Form.Get("query"), at)
	})
}

func (s *server) queryRange(ctx context.Context, r *http.Request) (any, annotations.Annotations, error) {
	var start, end time.Time
	var err error
	if start, err = timeParam(r, "start", time.Time{}); err != nil {
		return nil, nil, err
	}
	if end, err = timeParam(r, "end", time.Time{}); err != nil {
		return nil, nil, err
	}
	step, err := durationParam(r, "step", 0)
	switch {
	case err != nil:
		return nil, nil, err
	case start.IsZero() || end.IsZero():
		return nil, nil, badData("start and end are needed")
	case end.Before(start):
		return nil, nil, badData(`invalid parameter "end": end timestamp must not be before start time`)
	case step < time.Millisecond:
		return nil, nil, badData(`invalid parameter "step": give a step of at least a millisecond`)
	case end.Sub(start)/step > maxPoints:
		return nil, nil, badData("exceeded maximum resolution of %d points per timeseries. Try decreasing the query resolution (?step=XX)", maxPoints)
	}
	return s.run(ctx, r, times{start, end, step}, func(ctx context.Context, in storage.Queryable, opts promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewRangeQuery(ctx, in, opts, r.Form.Get("query"), start, end, step)
	})
}

type prepared func(context.Context, storage.Queryable, promql.QueryOpts) (promql.Query, error)

func (s *server) run(ctx context.Context, r *http.Request, at times, prepare prepared) (any, annotations.Annotations, error) {
	timeout, err := durationParam(r, "timeout", queryTimeout)
	if err != nil {
		return nil, nil, err
	}
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	expr, err := s.expression(r, at)
	if err != nil {
		return nil, nil, err
	}
	lookback, err := durationParam(r, "lookback_delta", s.catalogue.lookback(expr))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, min(timeout, queryTimeout))
	defer cancel()
	leave, err := s.turn(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	in := storage.QueryableFunc(func(from, to int64) (storage.Querier, error) {
		return s.open(event.UnixMilli(from), event.UnixMilli(to))
	})
	q, err := prepare(ctx, in, promql.NewPrometheusQueryOpts(false, lookback, nil))
	if err != nil {
		return nil, nil, badData("invalid parameter \"query\": %v", err)
	}
	defer q.Close()
	out := q.Exec(ctx)
	if out.Err != nil {
		return nil, out.Warnings, out.Err
	}
	value, cut := truncate(out.Value, limit)
	if cut {
		out.Warnings.Add(errTruncated)
	}
	return result{value.Type(), appendValue(nil, value)}, s.partial(out.Warnings), nil
}

var errTruncated = errors.New("results truncated due to limit")

// turn waits until fewer than maxRunning queries run.
func (s *server) turn(ctx context.Context) (leave func(), err error) {
	select {
	case s.turns <- struct{}{}:
		if err := ctx.Err(); err != nil { // both came at once
			<-s.turns
			return nil, err
		}
		return func() { <-s.turns }, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, &apiError{http.StatusServiceUnavailable, "timeout", "other queries are running; the query had no turn in time. Try again"}
	}
}
