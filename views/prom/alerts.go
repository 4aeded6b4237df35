package prom

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/window"
	"weir/views/search"
)

// Alerts tells of the fraud alerts. views.Alerts implements it.
type Alerts interface {
	// Started calls fn for each alert whose first hit lies in [from, to).
	Started(from, to event.UnixMilli, fn func(*search.Alert)) error
}

// alertLabels are the labels of both metrics of alerts. The status is what it is now, also in windows long past.
var alertLabels = []string{"rule", "severity", "status", "kind", "shadow"}

// alertForms are names that no metric declares: alerts are rows of another table. They count like metrics of kind count.
func alertForms() []*form {
	kept := 3 * 366 * 24 * time.Hour
	var windows []metric.Window
	for _, size := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		w := window.Window{Kind: window.Tumbling, Size: size, Advance: size}
		windows = append(windows, metric.Window{Window: w, Name: w.String(), Retention: kept})
	}
	started := &metric.Metric{Name: "alerts_started", Kind: metric.Count, Unit: "alerts", Labels: alertLabels, Windows: windows,
		Help: "Fraud alerts, in the window of their first hit, by the status that they have now."}
	now := &metric.Metric{Name: "alerts", Kind: metric.Count, Unit: "alerts", Labels: alertLabels,
		Windows: []metric.Window{{Window: window.Window{Kind: window.Sliding, Size: time.Minute, Advance: time.Minute}, Name: "now"}},
		Help:    "Fraud alerts as they are now, whenever they began. There is no past of it: it has one sample, at the watermark."}
	out := []*form{valueForm(started), valueForm(now)}
	for _, f := range out {
		f.alerts = true
	}
	return append(out, furtherForms(out[0])...)
}

// runAlerts does for alerts what run does for rows.
func (in *scan) runAlerts(from, to event.UnixMilli) error {
	s := in.selection
	known := map[string]seen{}
	if !s.window.Fixed() {
		from, to = 0, event.UnixMilli(latest.UnixMilli())
	}
	var failed error
	err := in.alerts.Started(from, to, func(a *search.Alert) {
		if failed == nil {
			failed = in.spend()
		}
		if failed != nil {
			return
		}
		start := in.watermark
		if s.window.Fixed() {
			start = window.Floor(a.Started, s.window.Advance)
			in.first = min(in.first, start)
		}
		kind, _, _ := strings.Cut(a.Entity, ":")
		values := []string{a.Rule.Value(), a.Severity.Value(), a.Status.Value(), kind, fmt.Sprint(a.Shadow)}
		key := strings.Join(values, "\x00")
		series, ok := known[key]
		if !ok {
			if series, failed = in.match(values, alertLabels); failed != nil {
				return
			}
			known[key] = series
		}
		if series.into != nil {
			series.into.list = append(series.into.list, row{start: start, count: 1})
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// match finds the series of label values, whose names stand beside them.
func (in *scan) match(values, names []string) (seen, error) {
	s := in.selection
	at := func(i int) string { return values[slices.Index(names, s.form.of.Labels[i])] } // parts of ratios have labels of their own
	for _, c := range s.match {
		if !c.Matches(at(c.label)) {
			return seen{}, nil
		}
	}
	keep := make([]string, len(s.keep))
	for n, i := range s.keep {
		keep[n] = strings.Clone(at(i))
	}
	kept := metric.Key{Labels: keep}.String()
	into := in.byKept[kept]
	if into == nil {
		if in.series--; in.series < 0 {
			return seen{}, errTooManySeries
		}
		into = &rows{values: keep}
		in.byKept[kept] = into
		in.out = append(in.out, into)
	}
	return seen{into, values}, nil
}
