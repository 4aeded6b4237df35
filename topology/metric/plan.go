package metric

import (
	"fmt"

	"weir/topology/event"
	"weir/topology/window"
)

// plan is what one kind of facts adds to.
type plan struct {
	bundles  []*bundle
	sessions []*bundle // of one session metric each
}

// bundle is the metrics that count the same facts under the same labels in the same windows: they share one look-up.
//
// Facts are added up in granules, the longest spans of time that divide all the windows; granules are rolled up into windows when
// the accumulator is drained. So a window costs nothing while facts are added.
type bundle struct {
	index    int
	metrics  []*Metric
	labels   []textField
	where    *condition
	source   source
	windows  []Window
	granule  int64 // milliseconds
	sketches bool  // a metric needs more than count and sum
}

// bundle sorts the stored metrics into bundles and plans.
func (s *Set) bundle() {
	known := map[string]*bundle{}
	for _, m := range s.metrics {
		if m.Kind == Ratio {
			continue
		}
		where := ""
		if m.where != nil {
			where = m.where.text
		}
		id := fmt.Sprint(m.source, where, m.Labels, m.Windows)
		if m.Session != nil {
			id = m.Name
		}
		b := known[id]
		if b == nil {
			b = &bundle{index: len(s.bundles), labels: m.labels, where: m.where, source: m.source, windows: m.Windows}
			windows := make([]window.Window, len(m.Windows))
			for i, w := range m.Windows {
				windows[i] = w.Window
			}
			b.granule = window.Granule(windows).Milliseconds()
			known[id] = b
			s.bundles = append(s.bundles, b)
			p := s.planFor(m.source)
			if m.Session != nil {
				p.sessions = append(p.sessions, b)
			} else {
				p.bundles = append(p.bundles, b)
			}
		}
		b.metrics = append(b.metrics, m)
		b.sketches = b.sketches || m.Kind != Count && m.Kind != Sum
	}
}

func (s *Set) planFor(from source) *plan {
	at := &s.plans[from.event]
	if from.funnel {
		at = &s.funnel
	}
	if *at == nil {
		*at = new(plan)
	}
	return *at
}

// Counts reports whether some metric counts events of that type.
func (s *Set) Counts(t event.Type) bool { return s.plans[t] != nil }
