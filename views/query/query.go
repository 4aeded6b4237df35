package query

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/topology/metric"
)

// Query is a checked question. It holds no time that moves: relative ranges are resolved when it is planned.
type Query struct {
	Def       *metric.Metric
	def       *definition
	Window    string // a window's name, or WindowAll
	By        []string
	Quantiles []float64
	TopN      int  // entries of a top-k metric
	SeriesN   int  // 0, or how many series are kept apart
	Compare   bool // with the period before
	unit      *unit
	zone      *time.Location
	from, to  instant
	terms     []term
	key       string
}

// term is one metric that the query reads.
type term struct {
	def   *metric.Metric
	by    []int // positions in the metric's labels of the query's labels
	conds []condition
	under bool // of a ratio: the divisor
	sum   bool // of a ratio: sum instead of count
}

// condition holds where the label at a position is one of the values (as they stand in keys).
type condition struct {
	label  int
	values map[string]struct{}
}

// Key is the query in canonical form: equal keys mean equal answers over equal rows.
func (q *Query) Key() string { return q.key }

// bind turns names of labels into positions in the keys of each metric that is read.
func (q *Query) bind(where map[string][]string) error {
	for label := range where {
		if !slices.Contains(q.Def.Labels, label) {
			return wrong("where", "%s has no label %q; it has %s", q.Def.Name, label, strings.Join(q.Def.Labels, ", "))
		}
	}
	if q.Def.Derived == nil {
		q.terms = []term{q.newTerm(q.Def, where)}
		return nil
	}
	for i, p := range slices.Concat(q.Def.Derived.Over, q.Def.Derived.Under) {
		t := q.newTerm(p.Metric, where)
		t.under, t.sum = i >= len(q.Def.Derived.Over), p.Sum
		if p.Label != "" {
			t.conds = append(t.conds, condition{slices.Index(t.def.Labels, p.Label), map[string]struct{}{escapeLabel(p.Value): {}}})
		}
		q.terms = append(q.terms, t)
	}
	return nil
}

func (q *Query) newTerm(def *metric.Metric, where map[string][]string) term {
	t := term{def: def}
	for _, l := range q.By {
		t.by = append(t.by, slices.Index(def.Labels, l))
	}
	for _, label := range slices.Sorted(maps.Keys(where)) {
		c := condition{slices.Index(def.Labels, label), map[string]struct{}{}}
		for _, v := range where[label] {
			c.values[escapeLabel(v)] = struct{}{}
		}
		t.conds = append(t.conds, c)
	}
	return t
}

func (q *Query) canonical(where map[string][]string) string {
	v := url.Values{"window": {q.Window}, "by": {strings.Join(q.By, ",")}}
	for label, values := range where {
		for _, value := range slices.Compact(values) {
			v.Add("where", label+":"+escapeLabel(value))
		}
	}
	slices.Sort(v["where"])
	for name, i := range map[string]instant{"from": q.from, "to": q.to} {
		if i.kind != 0 {
			v.Set(name, fmt.Sprintf("%c%d/%d", i.kind, i.at, i.back))
		}
	}
	if q.Quantiles != nil {
		v.Set("quantiles", fmt.Sprint(q.Quantiles))
	}
	if n := max(q.TopN, q.SeriesN); n != 0 {
		v.Set("top", strconv.Itoa(n))
	}
	if q.unit != nil {
		v.Set("tz", q.zone.String())
	}
	if q.Compare {
		v.Set("compare", comparePrevious)
	}
	return q.Def.Name + "?" + v.Encode()
}

// Reads tells whether the query reads rows of that metric.
func (q *Query) Reads(metric string) bool {
	return slices.ContainsFunc(q.terms, func(t term) bool { return t.def.Name == metric })
}
