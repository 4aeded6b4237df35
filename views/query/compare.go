package query

import (
	"math/big"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/window"
)

// comparePrevious compares each point with its counterpart in the period of the same length right before.
const comparePrevious = "previous"

// Previous is a point's counterpart in the period before.
type Previous struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Value  any       `json:"value" doc:"as the point's"`
	Count  int64     `json:"count"`
	Delta  any       `json:"delta" doc:"the point's value less this one; null where either is null"`
	Change *float64  `json:"change" doc:"delta as a share of this value; null where that is zero or null"`
}

func (q *Query) parseCompare(text string) error {
	switch {
	case text == "":
	case text != comparePrevious:
		return wrong("compare", "%q is not known; use %s", text, comparePrevious)
	case q.from.kind == 0:
		return wrong("compare", "needs from: the period before a range without a beginning is not known")
	default:
		q.Compare = true
	}
	return nil
}

// before is the plan of the period before, and how far each start moved.
func (q *Query) before(now Plan, p Progress, clock time.Time) (Plan, func(Point) time.Time, error) {
	to := now.To
	if to == endOfTime {
		to = q.endOf(p, clock)
	}
	plan := Plan{Watermark: now.Watermark}
	var err error
	counterpart := func(Point) time.Time { return time.Time{} } // window=all: there is one point
	switch {
	case q.unit != nil:
		if plan, err = q.unitsBefore(now, p); err == nil {
			at := make(map[event.UnixMilli]event.UnixMilli, len(now.Spans))
			for i, s := range now.Spans {
				at[s.From] = plan.Spans[i].From
			}
			counterpart = func(pt Point) time.Time { return at[event.UnixMilli(pt.Start.UnixMilli())].Time() }
		}
	case q.Window == WindowAll:
		length := time.Duration(to-now.From) * time.Millisecond
		plan.From, plan.To = now.From.Add(-length), now.From
		plan.Segments = tile(nil, q.def.tiles, window.Floor(plan.From, q.finestKept(plan.From, p.Watermark).Size), plan.To)
		err = q.allKept(plan.Segments, p.Watermark)
	default:
		w, _ := q.def.window(q.Window)
		if w.Kind == window.Sliding {
			return plan, nil, wrong("compare", "window %s slides: there is one, at the watermark", w.Name)
		}
		from := now.From
		if len(now.Segments) > 0 {
			from = now.Segments[0].From
		}
		length := time.Duration(to-from) * time.Millisecond
		length = (length + w.Advance - 1) / w.Advance * w.Advance
		plan.From, plan.To = from.Add(-length), from
		plan.Segments = []Segment{{w, plan.From, plan.To}}
		counterpart = func(pt Point) time.Time { return pt.Start.Add(-length) }
		err = q.allKept(plan.Segments, p.Watermark)
	}
	if wrongParam, ok := IsParam(err); ok {
		err = wrong("compare", "the period before cannot be read: %s", wrongParam.Detail)
	}
	return plan, counterpart, err
}

// unitsBefore are as many units of the calendar as the plan has, right before them.
func (q *Query) unitsBefore(now Plan, p Progress) (Plan, error) {
	plan := Plan{Watermark: now.Watermark}
	if len(now.Spans) == 0 {
		return plan, nil
	}
	start := now.Spans[0].From.Time().In(q.zone)
	spans := make([]Span, len(now.Spans))
	for i := len(spans) - 1; i >= 0; i-- {
		start = q.unit.floor(start.Add(-time.Minute))
		spans[i] = q.span(start)
		if err := q.composed(spans[i], p.Watermark); err != nil {
			return plan, err
		}
	}
	plan.Spans, plan.Segments = spans, q.spanTiles(spans)
	plan.From, plan.To = spans[0].From, spans[len(spans)-1].To
	return plan, nil
}

func (q *Query) allKept(segments []Segment, watermark event.UnixMilli) error {
	for _, s := range segments {
		if err := q.kept(s, watermark); err != nil {
			return err
		}
	}
	return nil
}

// compare gives each point its counterpart among the earlier series.
func compare(series, earlier []Series, by []string, counterpart func(Point) time.Time, all bool) {
	type place struct {
		labels string
		start  time.Time
	}
	at := func(s *Series, start time.Time) place {
		parts := make([]string, len(by))
		for i, l := range by {
			parts[i] = s.Labels[l]
		}
		if all {
			start = time.Time{}
		}
		return place{strings.Join(parts, "\x00"), start.UTC()}
	}
	found := map[place]Point{}
	for i := range earlier {
		for _, p := range earlier[i].Points {
			found[at(&earlier[i], p.Start)] = p
		}
	}
	for i := range series {
		for n := range series[i].Points {
			p := &series[i].Points[n]
			was, ok := found[at(&series[i], counterpart(*p))]
			if !ok {
				continue
			}
			p.Previous = &Previous{Start: was.Start, End: was.End, Value: was.Value, Count: was.Count}
			p.Previous.Delta, p.Previous.Change = difference(p.Value, was.Value)
		}
	}
}

// difference is a − b in the form of the values, and as a share of b.
func difference(a, b any) (delta any, change *float64) {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		p, isA := new(big.Int).SetString(x, 10)
		q, isB := new(big.Int).SetString(y, 10)
		if !ok || !isA || !isB {
			return nil, nil
		}
		d := new(big.Int).Sub(p, q)
		if q.Sign() != 0 {
			share, _ := new(big.Rat).SetFrac(d, new(big.Int).Abs(q)).Float64()
			change = &share
		}
		return d.String(), change
	case int64:
		if y, ok := b.(int64); ok {
			return x - y, share(float64(x-y), float64(y))
		}
	case uint64:
		if y, ok := b.(uint64); ok {
			return int64(x) - int64(y), share(float64(x)-float64(y), float64(y))
		}
	case float64:
		if y, ok := b.(float64); ok {
			return x - y, share(x-y, y)
		}
	}
	return nil, nil
}

func share(delta, of float64) *float64 {
	if of == 0 {
		return nil
	}
	if of < 0 {
		of = -of
	}
	s := delta / of
	return &s
}
