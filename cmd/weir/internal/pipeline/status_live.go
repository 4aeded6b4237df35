package pipeline

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"weir/views/api"
)

// livePrefix begins the names of the hub's metrics, which /metrics tells as well.
const livePrefix = "weir_live_"

// gathered are this process's gauges and counters of the websocket by name; a label follows after a space.
func gathered(g prometheus.Gatherer) map[string]float64 {
	out := map[string]float64{}
	if g == nil {
		return out
	}
	families, err := g.Gather()
	if err != nil {
		return out // /metrics says why
	}
	for _, f := range families {
		name, ok := strings.CutPrefix(f.GetName(), livePrefix)
		if !ok {
			continue
		}
		for _, m := range f.GetMetric() {
			key := name
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			if c := m.GetCounter(); c != nil {
				out[key] = c.GetValue()
			} else if g := m.GetGauge(); g != nil {
				out[key] = g.GetValue()
			}
		}
	}
	return out
}

// live tells of the hub; nil where this process has none.
func (s *statusSource) live(a *asked) *api.LiveStatus {
	m := a.metrics
	if _, ok := m["connections"]; !ok {
		return nil
	}
	l := &api.LiveStatus{Connections: int64(m["connections"]), Subscriptions: int64(m["subscriptions"]), Shared: int64(m["cohorts"]),
		Merged: int64(m["merged_deltas_total"]), Gaps: int64(m["gaps_total"]), Refused: int64(m["refused_total"]), Closed: map[string]int64{}}
	rate := func(name string) *float64 {
		if r, ok := s.history.CountRate(name); ok {
			return &r
		}
		return nil
	}
	l.BytesRate, l.FramesRate = rate("bytes_total"), rate("frames_total")
	if merged := rate("merged_deltas_total"); merged != nil && l.FramesRate != nil && *l.FramesRate > 0 {
		share := min(*merged / *l.FramesRate, 1)
		l.MergedShare = &share
	}
	for key, n := range m {
		if code, ok := strings.CutPrefix(key, "closes_total "); ok {
			l.Closed[code] = int64(n)
		}
	}
	return l
}

// gatherer is the process's registry, if it has one.
func gatherer(deps Deps) prometheus.Gatherer {
	if deps.Registry == nil {
		return nil
	}
	return deps.Registry
}
