package prom

import (
	"slices"
	"strings"

	"weir/topology/metric"
	"weir/views/query"
)

// part says what of a cell a series shows.
type part uint8

const (
	theValue     part = iota // of counts, sums and distinct values
	theEvents                // how many events a sum or a distribution is of
	theQuantiles             // one series for each quantile
	theSeconds               // the sum of a distribution
	theTop                   // one series for each of the most frequent values
	theRatio
)

// form is one name of the read API: a part of a metric's cells, as gauge or as counter.
type form struct {
	name    string // shop_revenue_total
	of      *metric.Metric
	part    part
	counter bool
	alerts  bool   // counted from the alerts, not from rows
	money   bool   // rows of different currencies must not meet
	kind    string // Prometheus' type: gauge, counter or summary
	unit    string // Prometheus' unit, "" where it has no word for it
	help    string
}

// catalogue is all names that can be asked for. It does not change.
type catalogue struct {
	forms  []*form // by name
	byName map[string]*form
	left   []string // names that two forms wanted; the metric declared later went without
}

const (
	prefix       = "shop_"
	secondsUnit  = "seconds"
	ratioUnit    = "ratio"
	totalSuffix  = "_total"
	eventsSuffix = "_events"
)

func newCatalogue(metrics *query.Catalogue, alerts bool) *catalogue {
	c := &catalogue{byName: map[string]*form{}}
	names := metrics.Names()
	for _, name := range names { // the values first, so that no suffix takes another metric's name
		c.add(valueForm(metrics.Get(name)))
	}
	for _, name := range names {
		for _, f := range furtherForms(c.byName[valueName(metrics.Get(name))]) {
			c.add(f)
		}
	}
	if alerts {
		for _, f := range alertForms() {
			c.add(f)
		}
	}
	slices.SortFunc(c.forms, func(a, b *form) int { return strings.Compare(a.name, b.name) })
	return c
}

func (c *catalogue) add(f *form) {
	if c.byName[f.name] != nil {
		c.left = append(c.left, f.name)
		return
	}
	c.byName[f.name] = f
	c.forms = append(c.forms, f)
}

func valueName(m *metric.Metric) string {
	switch {
	case m.Unit == metric.Seconds:
		return prefix + m.Name + "_" + secondsUnit
	case m.Kind == metric.Ratio && m.Unit != metric.Money:
		return prefix + strings.TrimSuffix(m.Name, "_rate") + "_" + ratioUnit
	}
	return prefix + m.Name
}

func valueForm(m *metric.Metric) *form {
	f := &form{name: valueName(m), of: m, kind: "gauge", help: m.Help, money: m.Unit == metric.Money}
	switch m.Kind {
	case metric.Quantiles:
		f.part, f.unit, f.kind = theQuantiles, secondsUnit, "summary"
	case metric.Top:
		f.part = theTop
	case metric.Ratio:
		f.part = theRatio
		if m.Unit != metric.Money {
			f.unit = ratioUnit
		}
		for _, p := range slices.Concat(m.Derived.Over, m.Derived.Under) {
			f.money = f.money || p.Sum && p.Metric.Unit == metric.Money
		}
	}
	return f
}

// furtherForms are the other names of the metric that has f as its value.
func furtherForms(f *form) []*form {
	if f == nil {
		return nil
	}
	further := func(name string, p part, counter bool, help string) *form {
		g := &form{name: name, of: f.of, part: p, counter: counter, alerts: f.alerts, money: f.money, kind: "gauge", help: strings.TrimSpace(f.help + " " + help)}
		if counter {
			g.kind = "counter"
		}
		return g
	}
	const counted = "A counter, for rate and increase."
	events := f.name + eventsSuffix
	switch f.of.Kind {
	case metric.Count:
		return []*form{further(f.name+totalSuffix, theValue, true, counted)}
	case metric.Sum:
		return []*form{
			further(f.name+totalSuffix, theValue, true, counted),
			further(events, theEvents, false, "How many events the sum is of."),
			further(events+totalSuffix, theEvents, true, "How many events the sum is of. "+counted),
		}
	case metric.Quantiles:
		return []*form{
			further(f.name+"_sum", theSeconds, true, "All added up. "+counted),
			further(f.name+"_count", theEvents, true, "How many there were. "+counted),
		}
	}
	return nil
}

// dense tells that a window without a row counts as 0, and not as unknown.
func (f *form) dense() bool {
	switch f.part {
	case theValue, theEvents, theSeconds:
		return true
	}
	return false
}

// labelNames are the labels that the form's series can have, but for the name.
func (f *form) labelNames() []string {
	out := append([]string{labelBy, labelWindow}, f.of.Labels...)
	switch f.part {
	case theQuantiles:
		out = append(out, labelQuantile)
	case theTop:
		out = append(out, labelValue)
	}
	return out
}
