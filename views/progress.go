package views

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lovoo/goka"

	"weir/topology/engine"
	"weir/topology/event"
	rows "weir/topology/table"
	"weir/views/query"
)

// PartitionState is how one partition of the copy stands.
type PartitionState struct {
	Partition int32
	Recovered bool
	Next      int64 // offset after the last record that was read
	Lag       int64 // records behind the newest end of the topic that is known
}

// look reads goka's state of the partitions.
func (v *view) look() {
	v.mu.RLock()
	if v.goka == nil {
		v.mu.RUnlock()
		return
	}
	stats := v.goka.Stats(context.Background())
	v.mu.RUnlock()
	ends := v.knownEnds()
	states := make([]PartitionState, len(stats.Partitions))
	for p, s := range stats.Partitions {
		if int(p) >= len(states) {
			continue
		}
		st := PartitionState{Partition: p, Recovered: s.Status == goka.PartitionRunning || s.Status == goka.PartitionConnecting && v.wasRecovered(p)}
		var end int64
		if s.Recovery != nil {
			st.Next, end = max(0, s.Recovery.Offset), s.Recovery.Hwm
		}
		if s.Input != nil && s.Input.Count > 0 {
			st.Next = s.Input.LastOffset + 1
		}
		if int(p) < len(ends) && ends[p] >= 0 {
			end = ends[p] // goka's own look at the end is up to a minute old
		}
		st.Lag = max(0, end-st.Next)
		states[p] = st
	}
	v.progressMu.Lock()
	before := present(v.partitions)
	changed := len(states) != len(v.partitions) || before != present(states)
	v.partitions, v.failure, v.missing = states, nil, false
	v.progressMu.Unlock()
	if l, ok := v.listen(); ok && changed {
		l.ProgressChanged()
	}
}

// NoteEnds tells the view where its topic ends, by partition; −1 is unknown.
func (v *view) NoteEnds(ends []int64) {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	v.ends = ends
}

func (v *view) knownEnds() []int64 {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return v.ends
}

// NoteCaughtUp tells the view that everything sent until then is in it.
func (v *view) NoteCaughtUp(at time.Time) { v.caughtUpAt.Store(at.UnixMilli()) }

// wasRecovered keeps a partition present while it only reconnects.
func (v *view) wasRecovered(p int32) bool {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return int(p) < len(v.partitions) && v.partitions[p].Recovered
}

func present(states []PartitionState) int {
	n := 0
	for _, s := range states {
		if s.Recovered {
			n++
		}
	}
	return n
}

// Progress implements query.Metrics.
func (v *view) Progress() query.Progress {
	v.renewMarks()
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	p := query.Progress{Watermark: v.watermark, Expected: len(v.partitions), Present: present(v.partitions)}
	for _, s := range v.partitions {
		p.LagRecords += s.Lag
	}
	if ms := v.asOf.Load(); ms != 0 {
		p.AsOf = time.UnixMilli(ms).UTC()
	}
	if ms := v.caughtUpAt.Load(); ms != 0 {
		p.CaughtUpAt = time.UnixMilli(ms).UTC()
	}
	return p
}

// renewMarks reads the marks if they moved. Invariant: whoever was told that they moved sees them after this, also if another asked
// first and is still reading.
func (v *view) renewMarks() {
	v.marksMu.Lock()
	defer v.marksMu.Unlock()
	if !v.marksMoved.Swap(false) {
		return
	}
	if err := v.readMarks(); err != nil {
		v.marksMoved.Store(true) // again next time
		var starting *query.NotReadyError
		if !errors.As(err, &starting) {
			v.log.Warn("the marks of a table cannot be read", "error", err)
		}
	}
}

// Partitions are the states of all partitions, and the error that keeps the view from running, if there is one.
func (v *view) Partitions() ([]PartitionState, error) {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return append([]PartitionState(nil), v.partitions...), v.failure
}

// Counters are the exact counts that the group keeps with its rows, summed over partitions.
func (v *view) Counters() map[string]int64 {
	v.Progress()
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	out := make(map[string]int64, len(v.counters))
	for name, n := range v.counters {
		out[name] = n
	}
	return out
}

// readMarks takes the least watermark and the sum of counters of the partitions' reserved rows.
func (v *view) readMarks() error {
	var watermark event.UnixMilli
	counters := map[string]int64{}
	err := v.scan(engine.MarksKey, engine.MarksKey+"\x00", func(_ string, value []byte) error {
		var m rows.Marks
		if err := m.UnmarshalVT(value); err != nil {
			return fmt.Errorf("marks row: %w", err)
		}
		if at := event.UnixMilli(m.WatermarkMs); at != 0 && (watermark == 0 || at < watermark) {
			watermark = at
		}
		for name, n := range m.Counters {
			counters[name] += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.progressMu.Lock()
	v.watermark, v.counters = watermark, counters
	v.progressMu.Unlock()
	return nil
}
