package engine

import (
	"testing"
	"time"

	"weir/topology/event"
	"weir/topology/table"
)

// quietPartition is a partition of three source topics that has had no record for a minute.
func quietPartition(now time.Time) *Partition {
	p := newPartition(&Runtime{cfg: Config{Idle: 30 * time.Second}, spec: Spec{Sources: []string{"orders", "payments", "shipments"}}}, 0)
	for _, topic := range p.rt.spec.Sources {
		p.sources = append(p.sources, source{name: topic, claim: &claim{topicPartition: topicPartition{topic, 0}, position: -1, lastAt: now.Add(-time.Minute)}})
	}
	p.advance(now)
	return p
}

// arrives is one record, after which the topic is read to its end.
func (p *Partition) arrives(topic string, at event.UnixMilli, now time.Time) {
	for i := range p.sources {
		if p.sources[i].name == topic {
			p.sources[i].claim.lastAt = now
		}
	}
	p.Observe(topic, at)
	p.advance(now)
}

const day = event.UnixMilli(24 * 60 * 60 * 1000)

// A file that is replayed into a quiet installation fills one topic a moment before the next. Were the others still taken for idle then,
// the first topic alone would carry event time months ahead, and all that follows on the others would be late.
func TestSilenceBeforeAReplayIsNoIdleness(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := quietPartition(now)
	p.arrives("orders", 90*day, now)
	p.arrives("payments", 30*day, now.Add(time.Second))
	if p.Watermark() != 0 {
		t.Errorf("watermark %v before the shipments", p.Watermark())
	}
	p.arrives("shipments", 10*day, now.Add(2*time.Second))
	if p.Watermark() != 10*day {
		t.Errorf("watermark %v, want that of the slowest source", p.Watermark())
	}
}

func TestASourceThatStaysSilentHoldsNothingBack(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := quietPartition(now)
	p.arrives("orders", 20*day, now)
	p.arrives("payments", 10*day, now.Add(29*time.Second))
	if p.Watermark() != 0 {
		t.Errorf("watermark %v while the shipments may still come", p.Watermark())
	}
	p.arrives("orders", 21*day, now.Add(30*time.Second))
	if p.Watermark() != 10*day {
		t.Errorf("watermark %v, want that of the payments", p.Watermark())
	}
}

// The same holds for a group that takes event time from the partitions of the group before it.
func TestAQuietUpstreamPartitionMayWakeWithTheOthers(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := newPartition(&Runtime{cfg: Config{Idle: 30 * time.Second}}, 0)
	mark := func(partition int32, at event.UnixMilli, idle bool, now time.Time) {
		m := table.Mark{Source: "upstream", Partition: partition, Partitions: 2, WatermarkMs: int64(at), Idle: idle}
		value, err := m.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Mark(value); err != nil {
			t.Fatal(err)
		}
		p.advance(now)
	}
	mark(0, day, true, now)
	mark(1, day, true, now)
	if p.Watermark() != day {
		t.Fatalf("watermark %v", p.Watermark())
	}
	mark(0, 60*day, false, now.Add(time.Minute))
	if p.Watermark() != day {
		t.Errorf("watermark %v, though the other partition's records may be on their way", p.Watermark())
	}
	mark(1, 3*day, false, now.Add(61*time.Second))
	if p.Watermark() != 3*day {
		t.Errorf("watermark %v, want that of the slower partition", p.Watermark())
	}
	mark(1, 3*day, true, now.Add(2*time.Minute))
	if p.Watermark() != 60*day {
		t.Errorf("watermark %v: a partition that has become idle holds it back", p.Watermark())
	}
}

// Partitions of a group that have not spoken yet hold the watermark back, whichever of them speaks first.
func TestEveryPartitionUpstreamHasToSpeak(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, first := range []int32{0, 1} {
		p := newPartition(&Runtime{cfg: Config{Idle: 30 * time.Second}, spec: Spec{Upstream: []string{"orders", "entities"}}}, 0)
		p.committedMarks = &table.Marks{}
		p.restore(now)
		mark := func(group string, partition int32, at event.UnixMilli) {
			t.Helper()
			m := table.Mark{Source: group, Partition: partition, Partitions: 2, WatermarkMs: int64(at)}
			value, err := m.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Mark(value); err != nil {
				t.Fatal(err)
			}
			p.advance(now)
		}
		mark("orders", first, 3*day)
		mark("entities", first, 3*day)
		if p.Watermark() != 0 {
			t.Errorf("partition %d spoke first: watermark %v before the other one has spoken", first, p.Watermark())
		}
		p.committed()
		p.restore(now) // a restart knows who has not spoken
		mark("orders", 1-first, 4*day)
		if p.Watermark() != 0 {
			t.Errorf("partition %d spoke first: watermark %v before all entities have spoken", first, p.Watermark())
		}
		mark("entities", 1-first, 2*day)
		if p.Watermark() != 2*day {
			t.Errorf("partition %d spoke first: watermark %v, want that of the slowest", first, p.Watermark())
		}
	}
}
