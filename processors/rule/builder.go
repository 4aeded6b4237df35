package rule

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/window"
)

// builder collects what definitions name while a document is compiled.
type builder struct {
	defaults Defaults
	cap      int
	features map[string]*feature
	lists    map[string]*list
	kinds    map[string]*expr // nil for those of keyKinds
	series   map[uint32]*seriesSpec
	problems Problems
}

// feature is a named feature: a reading for each window.
type feature struct {
	def      FeatureDefinition
	readings []reading
}

// seriesSpec is a Series with what group orders needs to fill it.
type seriesSpec struct {
	Series
	kind  string
	types []string
	where *expr
	value *expr
	kept  bool // something reads it
}

// list is a set of texts, address ranges and numbers. A text maps to the time at which it leaves the list, 0 = never.
type list struct {
	named   bool
	name    string
	texts   map[string]int64
	ranges  []rangeUntil
	numbers []float64
}

type rangeUntil struct {
	prefix netip.Prefix
	until  int64
}

func (l *list) has(text string, at int64) bool {
	if until, ok := l.texts[text]; ok && (until == 0 || at < until) {
		return true
	}
	if len(l.ranges) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	for _, r := range l.ranges {
		if r.prefix.Contains(addr) && (r.until == 0 || at < r.until) {
			return true
		}
	}
	return false
}

func newBuilder(d Defaults) *builder {
	b := &builder{defaults: d, cap: cmp.Or(d.Cap, defaultCap), features: map[string]*feature{}, lists: map[string]*list{},
		kinds: map[string]*expr{}, series: map[uint32]*seriesSpec{}}
	for _, k := range keyKinds {
		b.kinds[k] = nil
	}
	return b
}

const (
	defaultCap = 256
	maxCap     = 2000
)

func (b *builder) kindNames() (names []string) {
	for k := range b.kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func (b *builder) problem(at source, name, key string, err error) {
	offset := 0
	var f *faultAt
	if errors.As(err, &f) {
		offset = f.at
	}
	b.problems = append(b.problems, at.problem(name, key, offset, "%s: %v", key, err))
}

var nameText = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)

func (b *builder) addList(def *ListDefinition) {
	fail := func(key string, err error) { b.problem(def.at, "list "+def.Name, key, err) }
	if !nameText.MatchString(def.Name) {
		fail("name", errors.New("use lower-case letters, digits and _, a letter first"))
		return
	}
	if len(def.Entries) > maxListEntries {
		fail("entries", fmt.Errorf("the list has %d entries, the most is %d", len(def.Entries), maxListEntries))
		return
	}
	l := &list{named: true, name: def.Name, texts: map[string]int64{}}
	for i, e := range def.Entries {
		var until int64
		if e.Until != "" {
			at, err := time.Parse(time.RFC3339, e.Until)
			if err != nil {
				at, err = time.Parse(time.DateOnly, e.Until)
			}
			if err != nil {
				fail("entries", fmt.Errorf("entry %d: %q is neither a date such as 2026-12-31 nor a time", i+1, e.Until))
				continue
			}
			until = at.UnixMilli()
		}
		if prefix, err := netip.ParsePrefix(e.Value); err == nil {
			if len(l.ranges) >= maxRanges {
				fail("entries", fmt.Errorf("there are more than %d address ranges", maxRanges))
				return
			}
			l.ranges = append(l.ranges, rangeUntil{prefix, until})
			continue
		}
		l.texts[e.Value] = until
	}
	if b.lists[def.Name] != nil {
		fail("name", errors.New("there are two lists of this name"))
	}
	b.lists[def.Name] = l
}

const maxRanges = 200 // they are tried one by one

func (b *builder) addFeature(def *FeatureDefinition) {
	fail := func(key string, err error) { b.problem(def.at, "feature "+def.Name, key, err) }
	if !nameText.MatchString(def.Name) {
		fail("name", errors.New("use lower-case letters, digits and _, a letter first"))
		return
	}
	if _, ok := fields[def.Name]; ok || b.features[def.Name] != nil || aggs[def.Name].result != NoType {
		fail("name", errors.New("something else has this name: choose another"))
		return
	}
	spec := readingSpec{agg: def.Agg, types: def.On, previous: def.IncludeCurrent != nil && !*def.IncludeCurrent, cap: def.Cap}
	before := len(b.problems)
	on, err := checkTypes(def.On)
	if err != nil {
		fail("on", err)
		return
	}
	c := &checker{b: b, on: on, types: def.On}
	if def.Where != "" {
		if spec.where, err = c.typed(def.Where, Bool); err != nil {
			fail("where", err)
		}
	}
	a, ok := aggs[def.Agg]
	switch {
	case !ok:
		fail("agg", fmt.Errorf("%q is none of %s", def.Agg, strings.Join(aggNames(), ", ")))
		return
	case a.value && def.Value == "":
		fail("agg", fmt.Errorf("%s wants a value", def.Agg))
	case !a.value && def.Value != "":
		fail("value", fmt.Errorf("%s takes no value", def.Agg))
	case a.value:
		if spec.value, err = c.parse(def.Value); err != nil {
			fail("value", err)
		}
	}
	if def.Quantile != nil {
		spec.quantile = *def.Quantile
	}
	if spec.kind, err = b.key(c, def); err != nil {
		fail("key", err)
	}
	if spec.method, spec.step, err = parseMethod(def.Method); err != nil {
		fail("method", err)
	}
	if len(def.Windows) == 0 || len(def.Windows) > 8 {
		fail("windows", errors.New("give one to eight windows, such as [10m, 1h], or all"))
	}
	f := &feature{def: *def}
	for _, w := range def.Windows {
		if spec.window, err = parseWindow(w); err != nil {
			fail("windows", err)
			continue
		}
		if len(b.problems) > before {
			continue
		}
		r, err := b.reading(spec)
		if err != nil {
			fail("agg", err)
			continue
		}
		f.readings = append(f.readings, *r)
	}
	if len(b.problems) == before {
		b.features[def.Name] = f
		for _, r := range f.readings {
			b.keep(&r)
		}
	} else {
		b.features[def.Name] = nil
	}
}

// key is the kind of entity of a feature.
func (b *builder) key(c *checker, def *FeatureDefinition) (string, error) {
	if slices.Contains(keyKinds, def.Key) {
		if def.Kind != "" && def.Kind != def.Key {
			return "", fmt.Errorf("kind names the entities of a key that is an expression; %s has its name", def.Key)
		}
		return def.Key, nil
	}
	if known, ok := b.kinds[def.Key]; ok && def.Kind == "" && known != nil {
		return def.Key, nil
	}
	e, err := c.typed(def.Key, Text)
	if err != nil {
		return "", err
	}
	if !nameText.MatchString(def.Kind) || slices.Contains(keyKinds, def.Kind) || def.Kind == "payment" {
		return "", errors.New("a key that is an expression needs a kind: a name of its own for its entities")
	}
	if before, ok := b.kinds[def.Kind]; ok && before.text != e.text {
		return "", fmt.Errorf("%s is the kind of another key already: %s", def.Kind, before.text)
	}
	b.kinds[def.Kind] = e
	return def.Kind, nil
}

func checkTypes(names []string) (on streams, err error) {
	if len(names) == 0 {
		return 0, errors.New("name the types of events, such as order.created")
	}
	for _, n := range names {
		t, ok := event.ParseType(n)
		if !ok {
			return 0, fmt.Errorf("%q is no type of events", n)
		}
		on |= streamsOf(t)
	}
	return on, nil
}

func parseMethod(text string) (Method, time.Duration, error) {
	switch {
	case text == "" || text == "exact":
		return Exact, 0, nil
	case text == "hll":
		return HLL, 0, nil
	case strings.HasPrefix(text, "buckets(") && strings.HasSuffix(text, ")"):
		step, err := window.ParseSpan(text[len("buckets(") : len(text)-1])
		if err == nil && (step < time.Second || step > 31*24*time.Hour) {
			err = errors.New("a bucket is one second to 31 days long")
		}
		return Buckets, step, err
	}
	return 0, 0, fmt.Errorf("%q is none of exact, buckets(5m), hll", text)
}

// reading makes a reading and finds or makes its series.
func (b *builder) reading(spec readingSpec) (*reading, error) {
	a := aggs[spec.agg]
	r := &reading{kind: spec.kind, Reading: Reading{Agg: a.agg, Window: spec.window, Previous: spec.previous, Quantile: spec.quantile, Result: a.result}}
	typ := NoType
	if spec.value != nil {
		typ = spec.value.typ
	}
	switch a.agg {
	case Sum, Mean, Stddev, Min, Max, Percentile:
		if typ != Number && typ != Money && typ != Duration {
			return nil, fmt.Errorf("%s wants numbers, money or durations, %s is %s", spec.agg, spec.value.text, typ)
		}
		r.Result = typ
	case Last:
		if typ == Bool {
			return nil, fmt.Errorf("last of a condition: use count with where instead")
		}
		r.Result = typ
	case Distinct:
		if typ == Bool {
			return nil, fmt.Errorf("a condition has two values: use count with where instead")
		}
	}
	if a.agg == Percentile && (spec.quantile <= 0 || spec.quantile > 1) {
		return nil, fmt.Errorf("a quantile lies above 0 and not above 1")
	}
	if spec.method == HLL && a.agg != Distinct {
		return nil, fmt.Errorf("hll counts distinct values; use exact or buckets for %s", spec.agg)
	}
	if spec.cap < 0 || spec.cap > maxCap {
		return nil, fmt.Errorf("cap is %d: use 1 to %d", spec.cap, maxCap)
	}
	r.series = b.seriesOf(spec, typ)
	span := "all"
	if spec.window > 0 {
		span = window.FormatSpan(spec.window)
	}
	r.Text = fmt.Sprintf("%s(%s, %s", spec.agg, r.series.Text, span)
	if a.agg == Percentile {
		r.Text = fmt.Sprintf("%s(%s, %g, %s", spec.agg, r.series.Text, spec.quantile, span)
	}
	if spec.previous {
		r.Text += ", previous"
	}
	r.Text += ")"
	return r, nil
}

func (b *builder) seriesOf(spec readingSpec, typ ValueType) *seriesSpec {
	types := slices.Compact(slices.Sorted(slices.Values(spec.types)))
	text := strings.Join(types, ", ") + " by " + spec.kind
	if spec.value != nil {
		text = spec.value.text + " of " + text
	}
	if spec.where != nil {
		text += " where " + spec.where.text
	}
	identity := fmt.Sprintf("%s|%d|%d|%d", text, typ, spec.method, spec.step)
	if key := b.kinds[spec.kind]; key != nil {
		identity += "|" + key.text
	}
	id := uint32(xxhash.Sum64String(identity))
	s := b.series[id]
	if s == nil {
		s = &seriesSpec{kind: spec.kind, types: types, where: spec.where, value: spec.value,
			Series: Series{ID: id, Text: text, Type: typ, Method: spec.method, Step: spec.step, Horizon: -1}}
		b.series[id] = s
	}
	s.Cap = max(s.Cap, cmp.Or(spec.cap, b.cap))
	return s
}

// keep makes a reading's series one that is kept, for as long as the reading's window.
func (b *builder) keep(r *reading) {
	s := r.series
	s.kept = true
	switch {
	case r.Window == 0 || s.Horizon == 0:
		s.Horizon = 0
	default:
		s.Horizon = max(s.Horizon, r.Window)
	}
}
