package entities

import (
	"math"
	"slices"
	"time"

	"weir/processors/rule"
)

// series is a rule.Series in milliseconds.
type series struct {
	id       uint32
	typ      rule.ValueType
	method   rule.Method
	cap      int
	step     int64
	horizon  int64 // 0 = for ever
	distinct bool  // a reading counts its distinct values
}

// shape is what a step wants to know of a plan, computed once for each.
type shape struct {
	plan     *rule.Plan
	grace    int64
	series   []series
	horizon  int64 // of the plan; 0 = for ever
	keep     int64 // how long the newest observation can change a row that nothing happens to
	leastCap int   // with no more observations than that no series is over its cap
	bucketed bool  // a series is buckets from the start
}

// foldsOf is how many buckets a window has unless the series says otherwise.
const foldsOf = 64

func (h *shape) fit(plan *rule.Plan, grace time.Duration) {
	if h.plan == plan && h.grace == grace.Milliseconds() {
		return
	}
	*h = shape{plan: plan, grace: grace.Milliseconds(), horizon: plan.Horizon.Milliseconds(), leastCap: math.MaxInt, series: h.series[:0]}
	for _, p := range plan.Series {
		s := series{id: p.ID, typ: p.Type, method: p.Method, cap: p.Cap, step: p.Step.Milliseconds(), horizon: p.Horizon.Milliseconds()}
		if s.step <= 0 {
			s.step = max(s.horizon/foldsOf, time.Second.Milliseconds())
			if s.horizon == 0 {
				s.step = (24 * time.Hour).Milliseconds()
			}
		}
		if s.method == rule.Exact && s.cap > 0 {
			h.leastCap = min(h.leastCap, s.cap)
		}
		h.bucketed = h.bucketed || s.method != rule.Exact
		h.keep = max(h.keep, s.horizon)
		h.series = append(h.series, s)
	}
	h.keep += h.grace
	for _, r := range plan.Readings {
		if r.Agg == rule.Distinct {
			h.series[r.Series].distinct = true
		}
	}
}

// find is the index of a series, -1 for one that the plan does not have. hint is where it is looked for first: an observation's values
// are mostly in the plan's order.
func (h *shape) find(id uint32, hint int) int {
	for i := hint; i < min(hint+4, len(h.series)); i++ {
		if h.series[i].id == id {
			return i
		}
	}
	i, ok := slices.BinarySearchFunc(h.series, id, func(s series, id uint32) int { return int(int64(s.id) - int64(id)) })
	if !ok {
		return -1
	}
	return i
}

// forgotten is the time at and before which an observation is of no use to any window: the watermark is past its horizon and the grace.
func (h *shape) forgotten(watermark int64) int64 {
	if watermark == 0 || h.horizon == 0 {
		return math.MinInt64
	}
	return watermark - h.grace - h.horizon
}

// settled is the time at and before which nothing is judged any more.
func (h *shape) settled(watermark int64) int64 {
	if watermark == 0 {
		return math.MinInt64
	}
	return watermark - h.grace
}
