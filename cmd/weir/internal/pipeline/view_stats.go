package pipeline

import (
	"github.com/prometheus/client_golang/prometheus"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/topology"
	"weir/views"
)

// viewStats are the series of the view server about its copies of the groups' tables, and the exact counts that it finds in them:
// those are of the whole installation, whichever process counted.
type viewStats struct {
	views *views.Views
}

var (
	exactCount = prometheus.NewDesc("weir_view_exact_count",
		"Exact counts that a group keeps with its rows, of the whole installation: events, dead_letters, late, … as in /v1/status.", []string{"group", "counter"}, nil)
	viewLag = prometheus.NewDesc("weir_view_lag_records",
		"Records that the view server's copy of a table is behind.", []string{"table"}, nil)
	viewWatermark = prometheus.NewDesc("weir_view_watermark_seconds",
		"Event time (Unix seconds) up to which a table counts everything, as the view server's copy has it.", []string{"table"}, nil)
	viewPartitions = prometheus.NewDesc("weir_view_partitions",
		"Partitions of a table: present are recovered in the view server's copy, expected are all.", []string{"table", "state"}, nil)
)

// watched are counters of what should not happen: they are told as 0 before the first time, so that an increase from nothing is seen.
var watched = map[string][]string{
	topology.GroupOrders:   {orders.CounterDeadLetters, orders.CounterExpired, orders.CounterOrphaned},
	topology.GroupMetrics:  {metrics.CounterLate, metrics.CounterRedirected},
	topology.GroupEntities: {entities.CounterDeadLetters, entities.CounterDropped},
	topology.GroupAlerts:   {alerts.CounterDeadLetters, alerts.CounterDropped, alerts.CounterHeld},
}

// Describe implements prometheus.Collector.
func (s *viewStats) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{exactCount, viewLag, viewWatermark, viewPartitions} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *viewStats) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, g := range groupViews(s.views) {
		counters := g.view.Counters()
		for _, name := range watched[g.name] {
			counters[name] += 0
		}
		for name, n := range counters {
			gauge(exactCount, float64(n), g.name, name)
		}
		p := g.view.Progress()
		gauge(viewLag, float64(p.LagRecords), g.table)
		gauge(viewPartitions, float64(p.Present), g.table, "present")
		gauge(viewPartitions, float64(p.Expected), g.table, "expected")
		if p.Watermark != 0 {
			gauge(viewWatermark, float64(p.Watermark)/1000, g.table)
		}
	}
}
