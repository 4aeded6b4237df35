package query

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/topology/metric"
)

// Limits of one query.
const (
	MaxPoints    = 11_000
	MaxRows      = 1_000_000 // rows of the table that one query may read
	MaxTop       = 100
	maxQuantiles = 16
	maxWhere     = 32
	// WindowAll merges the whole range into one point.
	WindowAll = "all"
)

// ParamError says which parameter is wrong and how to mend it.
type ParamError struct {
	Param  string
	Detail string
	Status int // HTTP status: 404 for an unknown metric, else 422
}

func (e *ParamError) Error() string { return e.Param + ": " + e.Detail }

// IsParam tells whether an error is the asker's to mend.
func IsParam(err error) (*ParamError, bool) {
	var p *ParamError
	ok := errors.As(err, &p)
	return p, ok
}

func wrong(param, format string, args ...any) *ParamError {
	return &ParamError{Param: param, Detail: fmt.Sprintf(format, args...), Status: 422}
}

// parameters are the names that Parse knows.
var parameters = []string{"window", "from", "to", "tz", "by", "where", "quantiles", "top", "compare"}

// Parse checks the parameters of a query over one metric. Errors are *ParamError.
//
//	window     1m, 1h, 1d (what the metric keeps), all, or day, week, month, quarter, year; default the finest
//	from, to   RFC 3339, a date, or now-1h / wall-1h; now is the metric's watermark (the wall clock until there is one)
//	tz         zone of dates and of day, week, month, quarter, year and 1d; default UTC
//	by         labels to keep, by commas; money always keeps currency
//	where      label:value, repeatable; values of one label are alternatives, different labels must all hold
//	quantiles  0.5,0.95 …
//	top        how many entries of a top-k metric; of others how many series are kept apart, the rest is (other)
//	compare    previous: each point with its counterpart in the period of the same length before
func (c *Catalogue) Parse(name string, params url.Values) (*Query, error) {
	def := c.defs[name]
	if def == nil {
		return nil, &ParamError{Param: "name", Status: 404, Detail: fmt.Sprintf("there is no metric %q; GET /v1/metrics lists them", name)}
	}
	for p := range params {
		if !slices.Contains(parameters, p) {
			return nil, wrong(p, "is not a parameter of a metric query; use %s", strings.Join(parameters, ", "))
		}
	}
	q := &Query{Def: def.Metric, def: def}
	steps := []func(url.Values) error{once("tz", q.parseZone), once("window", q.parseWindow), q.parseRange, q.parseBy, q.parseQuantiles, once("top", q.parseTop),
		once("compare", q.parseCompare)}
	for _, step := range steps {
		if err := step(params); err != nil {
			return nil, err
		}
	}
	where, err := parseWhere(params["where"])
	if err != nil {
		return nil, err
	}
	if err := q.bind(where); err != nil {
		return nil, err
	}
	q.key = q.canonical(where)
	return q, nil
}

func one(params url.Values, name string) (string, error) {
	v := params[name]
	if len(v) > 1 {
		return "", wrong(name, "is given %d times; give it once", len(v))
	}
	if len(v) == 0 {
		return "", nil
	}
	return v[0], nil
}

// once reads a parameter that may be given once; "" where it is not.
func once(name string, parse func(text string) error) func(url.Values) error {
	return func(params url.Values) error {
		text, err := one(params, name)
		if err != nil {
			return err
		}
		return parse(text)
	}
}

func (q *Query) parseWindow(w string) error {
	switch {
	case w == "":
		w = q.Def.Windows[0].Name
	case w == WindowAll, q.calendar(w):
		if len(q.def.tiles) == 0 {
			return wrong("window", "the windows of %s overlap, so they cannot be merged; use %s", q.Def.Name, strings.Join(q.def.windowNames(), ", "))
		}
	default:
		if _, ok := q.def.window(w); !ok {
			return wrong("window", "%s is not kept in windows of %q; use %s, %s or a window of the calendar: %s", q.Def.Name, w,
				strings.Join(q.def.windowNames(), ", "), WindowAll, unitNames())
		}
	}
	q.Window = w
	return nil
}

func (q *Query) parseRange(params url.Values) error {
	for _, b := range []struct {
		name string
		into *instant
	}{{"from", &q.from}, {"to", &q.to}} {
		text, err := one(params, b.name)
		if err != nil {
			return err
		}
		if *b.into, err = parseInstant(b.name, text, q.zone); err != nil {
			return err
		}
	}
	if q.from.kind == 'a' && q.to.kind == 'a' && q.from.at >= q.to.at {
		return wrong("to", "must be after from")
	}
	return nil
}

func (q *Query) parseBy(params url.Values) error {
	asked := map[string]bool{}
	for _, list := range params["by"] {
		for l := range strings.SplitSeq(list, ",") {
			if l = strings.TrimSpace(l); l == "" {
				continue
			}
			if !slices.Contains(q.Def.Labels, l) {
				return wrong("by", "%s has no label %q; it has %s", q.Def.Name, l, strings.Join(q.Def.Labels, ", "))
			}
			asked[l] = true
		}
	}
	for _, l := range q.Def.Labels { // in the declared order
		if asked[l] || q.def.money && l == currencyLabel {
			q.By = append(q.By, l)
		}
	}
	return nil
}

func (q *Query) parseQuantiles(params url.Values) error {
	if q.Def.Kind != metric.Quantiles {
		if len(params["quantiles"]) > 0 {
			return wrong("quantiles", "%s is a %s; only metrics of kind quantiles have them", q.Def.Name, q.Def.Kind)
		}
		return nil
	}
	for _, list := range params["quantiles"] {
		for text := range strings.SplitSeq(list, ",") {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0 && v <= 1) {
				return wrong("quantiles", "%q is not a number from 0 to 1", text)
			}
			q.Quantiles = append(q.Quantiles, v)
		}
	}
	if len(q.Quantiles) == 0 {
		q.Quantiles = []float64{0.5, 0.9, 0.95, 0.99}
	}
	slices.Sort(q.Quantiles)
	q.Quantiles = slices.Compact(q.Quantiles)
	if len(q.Quantiles) > maxQuantiles {
		return wrong("quantiles", "at most %d of them", maxQuantiles)
	}
	return nil
}

func (q *Query) parseTop(text string) error {
	if text == "" {
		if q.Def.Kind == metric.Top {
			q.TopN = 10
		}
		return nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 1 || n > MaxTop:
		return wrong("top", "must be a number from 1 to %d", MaxTop)
	case q.Def.Kind == metric.Top:
		q.TopN = n
	case len(q.By) == 0 || len(q.By) == 1 && q.By[0] == currencyLabel:
		return wrong("top", "keeps the greatest series of a label apart; say of which by by, such as by=%s", q.Def.Labels[0])
	default:
		q.SeriesN = n
	}
	return nil
}

// parseWhere reads label:value conditions. Commas separate conditions; a comma within a value is written %2C (once more escaped
// in a URL), as in row keys.
func parseWhere(list []string) (map[string][]string, error) {
	where := map[string][]string{}
	count := 0
	for _, text := range list {
		for cond := range strings.SplitSeq(text, ",") {
			if cond == "" {
				continue
			}
			label, value, ok := strings.Cut(cond, ":")
			if !ok || label == "" {
				return nil, wrong("where", "%q must be label:value", cond)
			}
			plain, err := url.PathUnescape(value)
			if err != nil {
				return nil, wrong("where", "%q holds a broken percent escape", cond)
			}
			if plain == "" {
				plain = metric.None
			}
			if count++; count > maxWhere {
				return nil, wrong("where", "at most %d conditions", maxWhere)
			}
			where[label] = append(where[label], plain)
		}
	}
	for _, values := range where {
		slices.Sort(values)
	}
	return where, nil
}
