package query

import (
	"slices"

	"weir/topology/metric"
	"weir/topology/window"
)

// currencyLabel is the label that money is never merged over.
const currencyLabel = "currency"

// Catalogue is the set of metrics that can be asked for.
type Catalogue struct {
	defs  map[string]*definition
	names []string
}

// NewCatalogue makes a set of metrics ready to be asked for.
func NewCatalogue(set *metric.Set) *Catalogue {
	c := &Catalogue{defs: map[string]*definition{}}
	for _, m := range set.Metrics() {
		d := &definition{Metric: m, money: m.Unit == metric.Money}
		if m.Derived != nil {
			for _, p := range slices.Concat(m.Derived.Over, m.Derived.Under) {
				d.money = d.money || p.Sum && p.Metric.Unit == metric.Money
			}
		}
		for _, w := range m.Windows { // each a whole number of the one before, so that longer ranges are sums of them
			if n := len(d.tiles); w.Kind == window.Tumbling && (n == 0 || w.Size%d.tiles[n-1].Size == 0) {
				d.tiles = append(d.tiles, w)
			}
		}
		c.defs[m.Name] = d
		c.names = append(c.names, m.Name)
	}
	return c
}

// Get is the metric of that name, nil where there is none.
func (c *Catalogue) Get(name string) *metric.Metric {
	if d := c.defs[name]; d != nil {
		return d.Metric
	}
	return nil
}

// Names are all metrics in the order of their declaration.
func (c *Catalogue) Names() []string { return c.names }

// definition is what a query must know of a metric.
type definition struct {
	*metric.Metric
	money bool            // values come from money, so rows of different currencies must not meet
	tiles []metric.Window // tumbling windows that tile the time line, finest first
}

func (d *definition) window(name string) (metric.Window, bool) {
	i := slices.IndexFunc(d.Windows, func(w metric.Window) bool { return w.Name == name })
	if i < 0 {
		return metric.Window{}, false
	}
	return d.Windows[i], true
}

func (d *definition) windowNames() []string {
	names := make([]string, len(d.Windows))
	for i, w := range d.Windows {
		names[i] = w.Name
	}
	return names
}
