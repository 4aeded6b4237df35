package live

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type stats struct {
	connections, subscriptions, cohorts            prometheus.Gauge
	frames, bytes, merged, gaps, refused, failures prometheus.Counter
	closes                                         *prometheus.CounterVec
	refresh                                        prometheus.Histogram
}

func newStats(reg prometheus.Registerer) *stats {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_live_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_live_" + name, Help: help})
	}
	s := &stats{
		connections:   gauge("connections", "Open websocket connections."),
		subscriptions: gauge("subscriptions", "Subscriptions of all connections."),
		cohorts:       gauge("cohorts", "Distinct subscriptions, each computed once for all that share it."),
		frames:        counter("frames_total", "Frames written to clients."),
		bytes:         counter("bytes_total", "Bytes of frames written to clients, before compression."),
		merged:        counter("merged_deltas_total", "Deltas that stand for several which a slow client missed."),
		gaps:          counter("gaps_total", "Snapshots sent because a client missed more than can be merged."),
		refused:       counter("refused_total", "Connections refused before the upgrade."),
		failures:      counter("refresh_failures_total", "Refreshes of a subscription that failed and are tried again."),
		closes:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_live_closes_total", Help: "Connections closed by the server, by close code."}, []string{"code"}),
		refresh: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_live_refresh_seconds", Help: "Time to recompute the changed part of one subscription.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
	}
	if reg != nil {
		reg.MustRegister(s.connections, s.subscriptions, s.cohorts, s.frames, s.bytes, s.merged, s.gaps, s.refused, s.failures, s.closes, s.refresh)
	}
	return s
}

func (s *stats) closed(code int) { s.closes.WithLabelValues(strconv.Itoa(code)).Inc() }
