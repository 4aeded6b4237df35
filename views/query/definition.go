package query

import (
	"fmt"
	"slices"
	"time"
)

// Kind is what the points of a metric are.
type Kind string

// The kinds of metrics.
const (
	Count     Kind = "count"
	Sum       Kind = "sum"
	Distinct  Kind = "distinct"
	Quantiles Kind = "quantiles"
	Top       Kind = "top"
	Sessions  Kind = "sessions"
	Ratio     Kind = "ratio" // derived: one sum or count over another
)

// Money is the unit of values in minor units of the currency that stands among the labels.
const Money = "money"

// CurrencyLabel is the label that money is never merged over.
const CurrencyLabel = "currency"

// Window is one resolution in which a metric is kept.
type Window struct {
	Name    string        `json:"name"`
	Length  time.Duration `json:"-"`
	Keep    time.Duration `json:"-"` // counted back from the watermark; 0 = for ever
	Aligned bool          `json:"-"` // tumbling: windows tile the time line, so that longer ranges are sums of them
}

// Definition is what a query must know of a metric.
type Definition struct {
	Name        string
	Description string
	Kind        Kind
	Unit        string // "", Money, "seconds", "ratio"
	Labels      []string
	Windows     []Window // finest first
	Grace       time.Duration
	Ratio       *Parts // of a derived metric
	Scale       int64  // whole units of quantiles for one unit told; 0 = 1

	money bool // values come from money, so rows of different currencies must not meet
}

// Parts are the terms of a derived metric: the sum of Over divided by the sum of Under.
type Parts struct {
	Over, Under []Part
}

// Part is one metric in a ratio: its count, or its sum where Sum is set, of the rows where Label is Value (all where Label is "").
type Part struct {
	Metric       string
	Sum          bool
	Label, Value string
}

// Catalogue is the set of metrics that can be asked for.
type Catalogue struct {
	byName map[string]*Definition
	names  []string
}

// NewCatalogue checks the definitions and completes derived ones from their parts: their labels are those that all parts have,
// their windows those that all parts keep.
func NewCatalogue(defs []Definition) (*Catalogue, error) {
	c := &Catalogue{byName: map[string]*Definition{}}
	for i := range defs {
		d := defs[i]
		if c.byName[d.Name] != nil {
			return nil, fmt.Errorf("metric %q is defined twice", d.Name)
		}
		if d.Ratio == nil && len(d.Windows) == 0 {
			return nil, fmt.Errorf("metric %q is kept in no window", d.Name)
		}
		if d.Ratio == nil && d.Unit == Money && !slices.Contains(d.Labels, CurrencyLabel) {
			return nil, fmt.Errorf("metric %q is money, so it needs the label %s", d.Name, CurrencyLabel)
		}
		d.Windows, d.money = slices.Clone(d.Windows), d.Unit == Money
		slices.SortStableFunc(d.Windows, func(a, b Window) int { return int(a.Length - b.Length) })
		c.byName[d.Name] = &d
		c.names = append(c.names, d.Name)
	}
	for _, name := range c.names {
		if d := c.byName[name]; d.Ratio != nil {
			if err := c.complete(d); err != nil {
				return nil, fmt.Errorf("derived metric %q: %w", name, err)
			}
		}
	}
	return c, nil
}

func (c *Catalogue) complete(d *Definition) error {
	first := true
	for _, p := range d.Ratio.all() {
		part := c.byName[p.Metric]
		switch {
		case part == nil:
			return fmt.Errorf("there is no metric %q", p.Metric)
		case part.Ratio != nil:
			return fmt.Errorf("its part %q is derived too", p.Metric)
		case p.Label != "" && !slices.Contains(part.Labels, p.Label):
			return fmt.Errorf("its part %q has no label %q", p.Metric, p.Label)
		}
		d.Grace = max(d.Grace, part.Grace)
		d.money = d.money || p.Sum && part.money
		if first {
			d.Labels, d.Windows, first = slices.Clone(part.Labels), slices.Clone(part.Windows), false
		}
		d.Labels = slices.DeleteFunc(d.Labels, func(l string) bool { return l == p.Label || !slices.Contains(part.Labels, l) })
		d.Windows = slices.DeleteFunc(d.Windows, func(w Window) bool {
			return !slices.ContainsFunc(part.Windows, func(o Window) bool { return o.Name == w.Name && o.Length == w.Length })
		})
	}
	if first {
		return fmt.Errorf("it has no parts")
	}
	if d.money && !slices.Contains(d.Labels, CurrencyLabel) {
		return fmt.Errorf("it divides money, so all its parts need the label %s", CurrencyLabel)
	}
	if len(d.Windows) == 0 {
		return fmt.Errorf("its parts have no window in common")
	}
	return nil
}

func (p *Parts) all() []Part { return append(slices.Clone(p.Over), p.Under...) }

// Get is the metric of that name, nil where there is none.
func (c *Catalogue) Get(name string) *Definition { return c.byName[name] }

// Names are all metrics in the order of their definition.
func (c *Catalogue) Names() []string { return c.names }

func (d *Definition) window(name string) (Window, bool) {
	i := slices.IndexFunc(d.Windows, func(w Window) bool { return w.Name == name })
	if i < 0 {
		return Window{}, false
	}
	return d.Windows[i], true
}

func (d *Definition) windowNames() []string {
	names := make([]string, len(d.Windows))
	for i, w := range d.Windows {
		names[i] = w.Name
	}
	return names
}

func (d *Definition) scale() float64 { return float64(max(1, d.Scale)) }
