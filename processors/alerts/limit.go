package alerts

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// The bounds of a row. It is one Kafka record, and brokers take a megabyte.
const (
	maxAlerts       = 50
	maxHits         = 2_000 // kept of an alert while they may still change
	keptHits        = 200   // kept of an alert in any case
	fewHits         = 20    // kept of an alert in a row that is too large
	maxPending      = 256
	maxPendingBytes = 192 << 10
	maxHistory      = 100
	maxFormerly     = 20
	maxApplied      = 100
	maxRefusals     = 20
	maxRowBytes     = 640 << 10
	maxSpans        = 16 // of a rule's limit
)

// bound keeps the row within its bounds. What goes is the oldest, and is counted.
func (s *step) bound() {
	for _, a := range s.row.Alerts {
		if len(a.HitsKept) > keptHits {
			whole := len(a.HitsKept) - s.settledHits(a)
			s.trim(a, min(max(whole, keptHits), maxHits))
		}
	}
	if s.in.Finding == nil && s.in.Decision == nil {
		for _, a := range s.row.Alerts {
			s.forgetHits(a, a.HitsKept[:s.settledHits(a)])
		}
	}
	for len(s.row.Alerts) > maxAlerts {
		s.dropAlert()
	}
	for len(s.row.Pending) > maxPending || len(s.row.Pending) > 1 && pendingBytes(s.row.Pending) > maxPendingBytes {
		s.dropOldestPending()
	}
	if s.dirty && s.row.SizeVT() > maxRowBytes {
		s.shrink()
	}
}

// settledHits is how many of an alert's hits are not expected to change any more: the first ones.
func (s *step) settledHits(a *table.Alert) int {
	return sort.Search(len(a.HitsKept), func(i int) bool { return !s.settled(a.HitsKept[i].AtMs) })
}

// shrink makes a row smaller that would not fit into a record.
func (s *step) shrink() {
	oldest := slices.SortedFunc(slices.Values(s.row.Alerts), func(a, b *table.Alert) int { return cmp.Compare(a.LastMs, b.LastMs) })
	fits := func() bool { return s.row.SizeVT() <= maxRowBytes }
	for _, keep := range []int{keptHits, fewHits} {
		for _, a := range oldest {
			if s.trim(a, keep); fits() {
				return
			}
		}
	}
	for len(s.row.Pending) > 0 {
		s.dropOldestPending()
	}
	for _, a := range oldest {
		if a.Latest = nil; fits() {
			return
		}
	}
	for len(s.row.Alerts) > 1 && !fits() {
		s.dropAlert()
	}
	if fits() {
		return
	}
	for _, f := range s.row.Alerts[0].First { // one explanation alone: the numbers stay, the events that it cites go
		for _, p := range f.Predicates {
			p.Events = nil
		}
	}
}

// trim keeps the newest hits of an alert, beside them the first and the best, from which its identity and score follow.
func (s *step) trim(a *table.Alert, keep int) {
	spare := len(a.HitsKept) - keep
	if spare <= 0 {
		return
	}
	best := bestHit(a.HitsKept)
	var gone []*table.HitRef
	a.HitsKept = slices.DeleteFunc(a.HitsKept, func(h *table.HitRef) bool {
		if spare <= 0 || h == a.HitsKept[0] || h == best {
			return false
		}
		spare--
		gone = append(gone, h)
		return true
	})
	if len(gone) == 0 {
		return
	}
	s.forgetHits(a, gone)
	a.Orders, a.RiskMinor = risk(a.HitsKept, a.Currency)
	s.out.count(CounterTrimmed, int64(len(gone)))
	s.touch(a, "")
}

// foldedHits is how many hits of an alert are only counted.
func foldedHits(a *table.Alert) int64 { return max(a.Hits-int64(len(a.HitsKept)), 0) }

// oldestWhole is the index of the hit since which all are kept, in an alert that was trimmed.
func oldestWhole(a *table.Alert) int {
	i := 1
	if len(a.HitsKept) > 2 && bestHit(a.HitsKept) == a.HitsKept[1] {
		i = 2
	}
	return min(i, len(a.HitsKept)-1)
}

// dropAlert takes the alert out that will be missed least: withdrawn, ended, oldest.
func (s *step) dropAlert() {
	rank := func(a *table.Alert) int {
		switch {
		case a.Status == alert.Withdrawn:
			return 0
		case a.Episode == alert.Ended:
			return 1
		}
		return 2
	}
	a := slices.MinFunc(s.row.Alerts, func(a, b *table.Alert) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.LastMs, b.LastMs), cmp.Compare(a.Id, b.Id))
	})
	s.forgetHits(a, a.HitsKept)
	s.row.Alerts = slices.DeleteFunc(s.row.Alerts, func(b *table.Alert) bool { return a == b })
	s.out.count(CounterDropped, 1)
	s.dirty = true
}

func (s *step) dropOldestPending() {
	s.row.Pending = slices.Delete(s.row.Pending, 0, 1)
	s.out.count(CounterPending, 1)
	s.dirty = true
}

// dropPending drops the hits whose missing parts are not expected any more.
func (s *step) dropPending() {
	for len(s.row.Pending) > 0 && s.settled(s.row.Pending[0].AtMs) {
		s.dropOldestPending()
	}
}

func pendingBytes(pending []*table.Pending) (n int) {
	for _, p := range pending {
		n += p.SizeVT()
	}
	return n
}

// limitKey is the key of the row that counts a rule's alerts in this partition.
func limitKey(rule string) string { return "\x00limit/" + rule }

// span counts the alerts told of one tumbling span of event time.
type span struct{ start, count int64 }

// overLimit counts an alert that is about to be told against its rule's limit, and reports whether it is one too many. Spans are
// of the alerts' own time, so a backlog is held as the live stream was; of the newest spans only, and none that is older holds.
func (s *step) overLimit(r *rule.Rule, started event.UnixMilli) bool {
	every := r.Limit.Every.Milliseconds()
	if r.Limit.Count <= 0 || every <= 0 {
		return false
	}
	share := (r.Limit.Count + int64(s.in.Partitions) - 1) / int64(max(s.in.Partitions, 1))
	key := limitKey(r.ID)
	spans := decodeSpans(s.get(key))
	start := int64(started) - int64(started)%every
	i, found := slices.BinarySearchFunc(spans, start, func(sp span, start int64) int { return cmp.Compare(sp.start, start) })
	if !found {
		if i == 0 && len(spans) == maxSpans {
			return false
		}
		spans = slices.Insert(spans, i, span{start: start})
	}
	if spans[i].count >= share {
		return true
	}
	spans[i].count++
	s.out.Rows = append(s.out.Rows, Row{key, encodeSpans(spans[max(len(spans)-maxSpans, 0):])})
	return false
}

func encodeSpans(spans []span) (b []byte) {
	for _, sp := range spans {
		b = binary.AppendVarint(binary.AppendVarint(b, sp.start), sp.count)
	}
	return b
}

// decodeSpans reads as many spans as there are whole ones.
func decodeSpans(b []byte) (spans []span) {
	for len(spans) < maxSpans {
		start, n := binary.Varint(b)
		if n <= 0 {
			break
		}
		count, m := binary.Varint(b[n:])
		if m <= 0 {
			break
		}
		spans = append(spans, span{start, count})
		b = b[n+m:]
	}
	return spans
}
