package engine

import (
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

// Tx is what a hook may do at the barrier: all of it belongs to the transaction that is open.
type Tx struct{ g *generation }

// Partitions are those owned by this instance, in order.
func (tx *Tx) Partitions() []*Partition {
	ps := make([]*Partition, 0, len(tx.g.owned))
	for _, p := range tx.g.owned {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *Partition) int { return int(a.num - b.num) })
	return ps
}

// Emit sends a record to the partition of its key. The engine keeps value.
func (tx *Tx) Emit(topic, key string, value []byte) { tx.EmitTo(topic, -1, key, value) }

// EmitTo sends a record to a partition by number.
func (tx *Tx) EmitTo(topic string, partition int32, key string, value []byte) {
	tx.g.rt.stats.emitted.Inc()
	tx.g.s.produce(&kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value}, nil)
}

// PartitionsOf is how many partitions a topic of Spec.MarkTopics has.
func (tx *Tx) PartitionsOf(topic string) int32 { return tx.g.markPartitions[topic] }

// PartitionOf is the partition among n to which records of a key go.
func PartitionOf(key string, n int32) int32 { return client.Partition([]byte(key), n) }

// markEvery is how often a partition tells the next group how far it has come.
const markEvery = time.Second

// told is the watermark that the next group may know by now. What a timer finds must not come behind a watermark that is past its
// deadline: it would be late there. So a watermark is told once the rows that were committed when it was reached are in the index and
// their timers have been called. Rows that came since do not count: where events keep coming late there is always one whose deadline
// has passed.
//
// A partition whose watermark is not told yet is not idle for the next group, which asks idle ones no more.
func (p *Partition) told() (at event.UnixMilli, idle bool) {
	if !p.rt.spec.TimersSend || p.store == nil {
		return p.watermark, p.idle
	}
	at = max(p.marked, p.store.firedUpTo(p.watermark))
	return at, p.idle && at == p.watermark
}

// markDue reports whether the watermark should be sent downstream now.
func (p *Partition) markDue(now time.Time) bool {
	if len(p.rt.spec.MarkTopics) == 0 {
		return false
	}
	at, idle := p.told()
	if at == p.marked && idle == p.markedIdle {
		return false // a partition that never had a record says so too, once it is idle: it must not hold the others back
	}
	return idle != p.markedIdle || now.Sub(p.markedAt) >= markEvery
}

// sendMarks tells every partition of the next group this group's watermarks.
func (g *generation) sendMarks(tx *Tx, now time.Time) error {
	for _, p := range tx.Partitions() {
		if !p.markDue(now) {
			continue
		}
		at, idle := p.told()
		m := table.Mark{Source: g.rt.name, Partition: p.num, Partitions: g.partitions, WatermarkMs: int64(at), Idle: idle}
		value, err := m.MarshalVT()
		if err != nil {
			return err
		}
		key := markPrefix + g.rt.name + "/" + strconv.Itoa(int(p.num))
		for _, topic := range g.rt.spec.MarkTopics {
			for to := range g.markPartitions[topic] {
				tx.EmitTo(topic, to, key, value)
			}
		}
		p.markedAt, p.marked, p.markedIdle = now, at, idle // taken back by restore if the transaction is aborted
	}
	return nil
}

// watermarks recomputes every partition's watermark.
func (g *generation) watermarks() {
	now := time.Now()
	for _, p := range g.owned {
		p.advance(now)
	}
}

// timersPerBarrier bounds how many deadlines one transaction handles; the rest follow in the next.
const timersPerBarrier = 20_000

// fireTimers calls the Timer hook for rows whose deadline the watermark has passed.
func (g *generation) fireTimers() error {
	hook := g.rt.spec.Hooks.Timer
	if hook == nil {
		return nil
	}
	if g.backlog() && !g.timersLeft && !g.due(time.Now()) {
		return nil // once a transaction: the watermark moves at every barrier, and each look at the index costs
	}
	tx := &Tx{g: g}
	left := timersPerBarrier
	defer func() { g.timersLeft = left <= 0 }()
	for _, p := range g.owned {
		if p.store == nil || p.watermark < p.store.nextDeadline || left <= 0 {
			continue
		}
		n, err := p.store.fire(p.watermark, left, func(key string, row []byte) error { return hook(tx, p, key, row) })
		if err != nil {
			return err
		}
		left -= n
		g.worked = g.worked || n > 0
		g.rt.stats.timers.Add(float64(n))
	}
	return nil
}
