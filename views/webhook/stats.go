package webhook

import "github.com/prometheus/client_golang/prometheus"

// stats are the series of all receivers.
type stats struct {
	deliveries, retries *prometheus.CounterVec
	lag                 *prometheus.GaugeVec
	seconds             *prometheus.HistogramVec
}

// receiverStats are the series of one.
type receiverStats struct {
	delivered, dead, retries prometheus.Counter
	lag                      prometheus.Gauge
	seconds                  prometheus.Observer
}

func newStats(reg prometheus.Registerer) *stats {
	s := &stats{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_webhook_deliveries_total",
			Help: "Events of alerts that a receiver has taken (delivered) or that went to the dead letters (dead_letter)."}, []string{"receiver", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_webhook_retries_total",
			Help: "Requests that repeat an earlier one."}, []string{"receiver"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_webhook_lag_events",
			Help: "Records of the topic alerts, of the partitions held here, that a receiver is behind."}, []string{"receiver"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_webhook_seconds", Help: "Time of one request to a receiver.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 9)}, []string{"receiver"}),
	}
	if reg != nil {
		reg.MustRegister(s.deliveries, s.retries, s.lag, s.seconds)
	}
	return s
}

func (s *stats) of(receiver string) *receiverStats {
	return &receiverStats{
		delivered: s.deliveries.WithLabelValues(receiver, "delivered"), dead: s.deliveries.WithLabelValues(receiver, "dead_letter"),
		retries: s.retries.WithLabelValues(receiver), lag: s.lag.WithLabelValues(receiver), seconds: s.seconds.WithLabelValues(receiver),
	}
}
