package metric

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/window"
)

// Kind is how the contributions of a metric are put together.
type Kind string

// The kinds of metrics.
const (
	Count     Kind = "count"
	Sum       Kind = "sum" // and count
	Distinct  Kind = "distinct"
	Quantiles Kind = "quantiles"
	Top       Kind = "top"
	Ratio     Kind = "ratio" // derived at query time; it has no rows
)

// Units that mean something to weir; others are for people.
const (
	Money   = "money"   // minor units of the currency in the label currency
	Seconds = "seconds" // cells hold milliseconds
)

// Window is one way in which a metric's time is cut, and how long its rows are kept.
type Window struct {
	window.Window
	Name      string // canonical text, as in keys
	Retention time.Duration
}

// Metric is a compiled definition. It does not change.
type Metric struct {
	Name, Help string
	Kind       Kind
	Unit       string
	On         string // what it counts, for people; "" for derived ones
	Labels     []string
	Windows    []Window // finest first
	Grace      time.Duration
	MaxSeries  int
	Session    *Session // nil unless it counts sessions
	Derived    *Derived // nil unless it is a ratio

	number number
	text   textField // what distinct and top are of
	where  *condition
	labels []textField
	source source
}

// Session tells how a metric's sessions are cut. Open sessions are kept in rows of their own, whose window is Window.
type Session struct {
	By     string
	Gap    time.Duration
	Window string // its name in keys: session-30m
}

// Derived is how a ratio is made of other metrics' cells.
type Derived struct{ Over, Under []Part }

// Part is one term: the counts, or sums, of a metric's rows whose Label is Value (of all rows where Label is "").
type Part struct {
	Metric       *Metric
	Sum          bool
	Label, Value string
}

// Set is the metrics that run together. It does not change, and any number of goroutines may use it.
type Set struct {
	metrics []*Metric // in order of declaration
	byName  map[string]*Metric
	plans   [256]*plan // by event type
	funnel  *plan
	bundles []*bundle
	outputs []output
}

// Limits of a set.
const (
	MaxMetrics = 500
	maxLabels  = 8
	maxWindows = 8
)

// Compile checks definitions and makes them ready to run. Errors are *DefinitionError.
func Compile(defs []Definition) (*Set, error) {
	s := &Set{byName: make(map[string]*Metric, len(defs))}
	if len(defs) > MaxMetrics {
		return nil, &DefinitionError{MaxMetrics, defs[MaxMetrics].Name, "name", fmt.Errorf("a set has at most %d metrics", MaxMetrics)}
	}
	for i := range defs {
		m, field, err := compile(&defs[i])
		if err == nil && s.byName[m.Name] != nil {
			field, err = "name", errors.New("the name is taken by an earlier metric")
		}
		if err != nil {
			return nil, &DefinitionError{i, defs[i].Name, field, err}
		}
		s.metrics = append(s.metrics, m)
		s.byName[m.Name] = m
	}
	for i, m := range s.metrics {
		if m.Kind != Ratio {
			continue
		}
		if field, err := s.derive(m, defs[i].Ratio); err != nil {
			return nil, &DefinitionError{i, m.Name, field, err}
		}
	}
	s.bundle()
	s.listOutputs()
	return s, nil
}

// Lookup returns the metric of that name, nil where there is none.
func (s *Set) Lookup(name string) *Metric { return s.byName[name] }

// Metrics returns all metrics in order of declaration.
func (s *Set) Metrics() []*Metric { return slices.Clone(s.metrics) }

func compile(d *Definition) (m *Metric, field string, err error) {
	if !validName(d.Name) {
		return nil, "name", fmt.Errorf("%q: use at most 64 lower-case letters, digits and _, a letter first", d.Name)
	}
	m = &Metric{Name: d.Name, Help: d.Help, Unit: d.Unit, MaxSeries: d.MaxSeries}
	if d.Ratio != nil {
		if d.On != "" || d.Value != "" || d.Labels != nil || d.Windows != nil {
			return nil, "ratio", errors.New("a ratio takes labels and windows from its parts: leave out on, value, labels and windows")
		}
		m.Kind = Ratio
		if m.Unit == "" {
			m.Unit = "ratio"
		}
		return m, "", nil
	}
	if m.source, err = parseSource(d.On, d.Each); err != nil {
		if d.Each != "" && d.Each != "item" {
			return nil, "each", err
		}
		return nil, "on", err
	}
	m.On = m.source.String()
	if err := m.compileValue(d.Value, d.Session != nil); err != nil {
		return nil, "value", err
	}
	if d.Where != "" {
		c, err := parseCondition(d.Where)
		if err == nil {
			c.get, err = m.source.text(c.field)
		}
		if err != nil {
			return nil, "where", err
		}
		m.where = &c
	}
	if err := m.compileLabels(d.Labels); err != nil {
		return nil, "labels", err
	}
	if d.Session != nil {
		if field, err := m.compileSession(d.Session); err != nil {
			return nil, field, err
		}
	}
	if err := m.compileWindows(d.Windows); err != nil {
		return nil, "windows", err
	}
	if m.Grace, err = window.ParseSpan(d.Grace); err != nil {
		return nil, "grace", err
	}
	if d.MaxSeries < 1 || d.MaxSeries > 10_000_000 {
		return nil, "max_series", fmt.Errorf("%d: choose from 1 to 10,000,000", d.MaxSeries)
	}
	return m, "", nil
}

var call = regexp.MustCompile(`^(distinct|top)\((\w+)(?: by (quantity|count))?\)$`)

func (m *Metric) compileValue(value string, session bool) error {
	numbers := map[string]number{"sum(total)": total, "sum(amount)": amount, "sum(quantity)": quantity, "sum(price*quantity)": itemPrice}
	parts := call.FindStringSubmatch(value)
	var err error
	switch {
	case value == "count":
		m.Kind = Count
	case numbers[value] != noNumber:
		m.Kind, m.number = Sum, numbers[value]
	case value == "quantiles(seconds since created)" && !session:
		m.Kind, m.number = Quantiles, age
	case value == "quantiles(seconds of session)" && session:
		m.Kind = Quantiles
	case parts != nil && parts[1] == "distinct" && parts[3] == "":
		m.Kind = Distinct
		m.text, err = m.source.text(parts[2])
	case parts != nil && parts[1] == "top" && parts[3] != "":
		m.Kind, m.number = Top, one
		if parts[3] == "quantity" {
			m.number = quantity
		}
		m.text, err = m.source.text(parts[2])
	default:
		return fmt.Errorf("%q: choose from count, sum(total), sum(amount), sum(quantity), sum(price*quantity), distinct(FIELD), "+
			"quantiles(seconds since created), top(FIELD by quantity), top(FIELD by count), and for sessions count and quantiles(seconds of session)", value)
	}
	if err != nil {
		return err
	}
	return m.checkValue(value, session)
}

func (m *Metric) checkValue(value string, session bool) error {
	switch {
	case (m.number == quantity || m.number == itemPrice) && !m.source.each:
		return fmt.Errorf("%s is of an item: add each: item", value)
	case m.number == total && (m.source.each || m.source.funnel || m.source.event.Stream() != "orders"):
		return fmt.Errorf("%s is of an order's event, once", value)
	case m.number == amount && m.source.event.Stream() != "payments":
		return fmt.Errorf("%s is of a payment's event", value)
	case m.source.funnel && m.Kind != Count:
		return errors.New("the funnel can only be counted, because an order may leave a stage again")
	case session && m.Kind != Count && m.Kind != Quantiles:
		return fmt.Errorf("sessions have no %s: choose count or quantiles(seconds of session)", value)
	}
	unit := m.Unit
	switch {
	case m.number == total || m.number == amount || m.number == itemPrice:
		unit = Money
	case m.Kind == Quantiles:
		unit = Seconds
	case m.Unit == Money || m.Unit == Seconds:
		return fmt.Errorf("%s is not in %s", value, m.Unit)
	}
	if m.Unit != "" && m.Unit != unit {
		return fmt.Errorf("%s is in %s, not in %s", value, unit, m.Unit)
	}
	m.Unit = unit
	return nil
}

func (m *Metric) compileLabels(labels []string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels: at most %d", len(labels), maxLabels)
	}
	for i, name := range labels {
		get, err := m.source.text(name)
		if err != nil {
			return err
		}
		if slices.Contains(labels[:i], name) {
			return fmt.Errorf("%s is named twice", name)
		}
		m.labels = append(m.labels, get)
	}
	m.Labels = slices.Clone(labels)
	if m.Unit == Money && !slices.Contains(labels, "currency") {
		return errors.New("sums of money need the label currency: weir never adds up different currencies")
	}
	return nil
}

func (m *Metric) compileSession(d *SessionDefinition) (field string, err error) {
	if m.source.funnel || m.source.each {
		return "session", errors.New("sessions are made of events, not of stages or items")
	}
	if m.text, err = m.source.text(d.By); err != nil {
		return "session.by", err
	}
	gap, err := window.ParseSpan(d.Gap)
	if err != nil {
		return "session.gap", err
	}
	w, err := window.MakeSession(gap)
	if err != nil {
		return "session.gap", err
	}
	m.Session = &Session{By: d.By, Gap: gap, Window: w.String()}
	return "", nil
}

func (m *Metric) compileWindows(defs []WindowDefinition) error {
	if len(defs) == 0 || len(defs) > maxWindows {
		return fmt.Errorf("%d windows: declare from 1 to %d, here or in defaults", len(defs), maxWindows)
	}
	for _, d := range defs {
		w, err := window.Parse(d.Every)
		if err != nil {
			return err
		}
		keep, err := window.ParseSpan(d.Keep)
		if err != nil {
			return fmt.Errorf("keep of %s: %w", d.Every, err)
		}
		switch {
		case w.Kind == window.Session:
			return fmt.Errorf("%s: sessions are declared with the key session; windows are those in which they are counted when they have ended", d.Every)
		case w.Kind == window.Sliding && m.Session != nil:
			return fmt.Errorf("%s: sessions are counted in tumbling or hopping windows", d.Every)
		case w.Size%time.Second != 0 || w.Advance%time.Second != 0:
			return fmt.Errorf("%s: use whole seconds", d.Every)
		case keep < w.Size:
			return fmt.Errorf("%s is kept for %s, less than its own length", d.Every, d.Keep)
		case w.Kind == window.Sliding && (w.Size+keep)/w.Advance > window.MaxPieces:
			return fmt.Errorf("%s kept for %s is more than %d slices in a row: use longer slices or keep it shorter", d.Every, d.Keep, window.MaxPieces)
		case slices.ContainsFunc(m.Windows, func(o Window) bool { return o.Window == w }):
			return fmt.Errorf("%s is declared twice", w)
		}
		m.Windows = append(m.Windows, Window{w, w.String(), keep})
	}
	slices.SortStableFunc(m.Windows, func(a, b Window) int { return int(a.Size.Seconds() - b.Size.Seconds()) })
	return nil
}

// derive completes a ratio from its parts: its labels and windows are those that all of them have.
func (s *Set) derive(m *Metric, d *RatioDefinition) (field string, err error) {
	m.Derived = new(Derived)
	var fixed []string
	for _, side := range []struct {
		name string
		defs []PartDefinition
		into *[]Part
	}{{"over", d.Over, &m.Derived.Over}, {"under", d.Under, &m.Derived.Under}} {
		if len(side.defs) == 0 {
			return "ratio", fmt.Errorf("%s names no part", side.name)
		}
		for i := range side.defs {
			p, err := s.part(&side.defs[i])
			if err != nil {
				return fmt.Sprintf("ratio.%s[%d]", side.name, i), err
			}
			*side.into = append(*side.into, p)
			fixed = append(fixed, p.Label)
		}
	}
	money := false
	parts := append(slices.Clone(m.Derived.Over), m.Derived.Under...)
	m.Labels, m.Windows = slices.Clone(parts[0].Metric.Labels), slices.Clone(parts[0].Metric.Windows)
	for _, p := range parts {
		m.Grace = max(m.Grace, p.Metric.Grace)
		m.MaxSeries = max(m.MaxSeries, p.Metric.MaxSeries)
		money = money || p.Sum && p.Metric.Unit == Money
		m.Labels = slices.DeleteFunc(m.Labels, func(l string) bool {
			return slices.Contains(fixed, l) || !slices.Contains(p.Metric.Labels, l)
		})
		m.Windows = slices.DeleteFunc(m.Windows, func(w Window) bool {
			return !slices.ContainsFunc(p.Metric.Windows, func(o Window) bool { return o.Window == w.Window })
		})
	}
	switch {
	case len(m.Windows) == 0:
		return "ratio", errors.New("its parts have no window in common")
	case money && !slices.Contains(m.Labels, "currency"):
		return "ratio", errors.New("it divides money, so all its parts need the label currency")
	}
	return "", nil
}

func (s *Set) part(d *PartDefinition) (Part, error) {
	m := s.byName[d.Metric]
	if m == nil || m.Kind == Ratio {
		return Part{}, fmt.Errorf("%q is no metric with rows of its own", d.Metric)
	}
	p := Part{Metric: m, Sum: m.Kind == Sum}
	switch d.Of {
	case "":
	case "count":
		p.Sum = false
	case "sum":
		if m.Kind != Sum {
			return p, fmt.Errorf("%s has no sum", m.Name)
		}
	default:
		return p, fmt.Errorf("of %q: choose count or sum", d.Of)
	}
	if d.Where != "" {
		c, err := parseCondition(d.Where)
		if err != nil {
			return p, err
		}
		if c.negate || len(c.values) != 1 || !slices.Contains(m.Labels, c.field) {
			return p, fmt.Errorf("condition %q: write label == value with a label of %s (%s)", d.Where, m.Name, strings.Join(m.Labels, ", "))
		}
		p.Label, p.Value = c.field, c.values[0]
	}
	return p, nil
}

// row finds what a key belongs to.
func (s *Set) row(key string) (m *Metric, w *Window, start event.UnixMilli, ok bool) {
	name, win, text, _, ok := cutKey(key)
	if !ok {
		return nil, nil, 0, false
	}
	if m = s.byName[name]; m == nil || m.Kind == Ratio {
		return nil, nil, 0, false
	}
	if start, ok = parseStart(text); !ok {
		return nil, nil, 0, false
	}
	for i := range m.Windows {
		if m.Windows[i].Name == win {
			return m, &m.Windows[i], start, true
		}
	}
	return m, nil, start, m.Session != nil && m.Session.Window == win
}

// MetricOf returns the metric that a row's key belongs to, nil if the set has none.
func (s *Set) MetricOf(key string) *Metric {
	m, _, _, ok := s.row(key)
	if !ok {
		return nil
	}
	return m
}

// Expiry returns the watermark at which a row is to be deleted: its window's end + retention. It is false for rows that are kept
// for all time, whose cells tell (CellExpiry), and for keys that the set does not know.
func (s *Set) Expiry(key string) (event.UnixMilli, bool) {
	_, w, start, ok := s.row(key)
	if !ok || w == nil || !w.Fixed() {
		return 0, false
	}
	return w.End(start).Add(w.Retention), true
}

// LateAfter returns the watermark beyond which a row takes no more updates: its window's end + grace. It is false where
// Expiry is.
func (s *Set) LateAfter(key string) (event.UnixMilli, bool) {
	m, w, start, ok := s.row(key)
	if !ok || w == nil || !w.Fixed() {
		return 0, false
	}
	return w.End(start).Add(m.Grace), true
}

// OtherKey returns the key of the row that takes in the series beyond max_series: every label is Other, but for the
// currency, so that money never mixes currencies. It is false where there is no such row.
func (s *Set) OtherKey(key string) (string, bool) {
	m, w, _, ok := s.row(key)
	if !ok || w == nil || len(m.Labels) == 0 {
		return "", false
	}
	k, err := ParseKey(key)
	if err != nil || len(k.Labels) != len(m.Labels) {
		return "", false
	}
	for i, name := range m.Labels {
		if name != "currency" {
			k.Labels[i] = Other
		}
	}
	return k.String(), true
}
