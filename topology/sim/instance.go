package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

// instance is one process of a group: its partitions, and the one transaction that it has open.
type instance struct {
	c          *Cluster
	g          *group
	proc       Processor
	partitions []*Partition
	output     []Record // of the open transaction
	pending    int      // records processed in it
}

// MarkPrefix begins the key of a record that carries a watermark from one group to the next, as in the engine.
const MarkPrefix = "\x00mark/"

// open reports whether there is something to commit.
func (in *instance) open() bool {
	return in.pending > 0 || len(in.output) > 0 || slices.ContainsFunc(in.partitions, (*Partition).changed)
}

func (in *instance) hasInput() bool {
	return slices.ContainsFunc(in.partitions, func(p *Partition) bool { return len(p.readable()) > 0 })
}

// step processes a few records of one topic of one partition, then stands at the barrier: timers fire, and the transaction may be
// committed, refused or lost.
func (in *instance) step() error {
	rng := in.c.rng
	var ready []*Partition
	for _, p := range in.partitions {
		if len(p.readable()) > 0 {
			ready = append(ready, p)
		}
	}
	if len(ready) > 0 {
		p := ready[rng.IntN(len(ready))]
		topics := p.readable()
		if err := in.process(p, topics[rng.IntN(len(topics))], 1+rng.IntN(in.c.cfg.MaxBatch)); err != nil {
			return err
		}
	}
	if err := in.barrier(); err != nil {
		return err
	}
	switch {
	case rng.Float64() < in.c.cfg.CrashChance:
		in.crash()
	case len(ready) == 0 || rng.Float64() < in.c.cfg.CommitChance:
		return in.tryCommit()
	}
	return nil
}

func (in *instance) process(p *Partition, topic string, n int) error {
	log := in.c.log(topic, p.num)
	from := p.position[topic]
	for i := from; i < min(from+n, log.end()); i++ {
		r := log.records[i-log.dropped]
		p.position[topic] = i + 1
		if in.pending == 0 {
			in.begin()
		}
		in.pending++
		in.c.stats.Records++
		p.touch(topic)
		if len(r.Key) >= len(MarkPrefix) && r.Key[:len(MarkPrefix)] == MarkPrefix {
			if err := p.mark(r.Value); err != nil {
				return err
			}
			continue
		}
		if err := in.proc.Process(p, &r); err != nil {
			return fmt.Errorf("%s/%d offset %d key %q: %w", topic, p.num, i, r.Key, err)
		}
	}
	return nil
}

// begin tells the processor that a transaction starts. One that timers open begins with the set of the one before.
func (in *instance) begin() {
	if b, ok := in.proc.(Beginner); ok {
		b.Begin()
	}
}

// barrier moves watermarks on and fires timers.
func (in *instance) barrier() error {
	for _, p := range in.partitions {
		p.advance(in.c.now)
		if err := p.fire(); err != nil {
			return err
		}
	}
	return nil
}

// tryCommit commits, or has the commit refused.
func (in *instance) tryCommit() error {
	rng := in.c.rng
	if rng.Float64() < in.c.cfg.AbortChance {
		in.abort()
		return nil
	}
	if err := in.commit(); err != nil {
		return err
	}
	if rng.Float64() < in.c.cfg.RebalanceChance {
		for _, other := range in.g.instances {
			other.abort() // what a revoked instance has open is refused
		}
		in.c.assign(in.g)
		in.c.stats.Rebalances++
	}
	return nil
}

func (in *instance) commit() error {
	if err := in.proc.BeforeCommit(in.emit); err != nil {
		return err
	}
	for _, p := range in.partitions {
		if p.markDue(in.c.now) {
			if err := in.sendMark(p); err != nil {
				return err
			}
		}
	}
	for _, r := range in.output {
		in.c.append(r)
	}
	in.output, in.pending = in.output[:0], 0
	for _, p := range in.partitions {
		p.commit()
	}
	in.c.stats.Commits++
	return nil
}

func (in *instance) abort() {
	in.drop()
	in.proc.Rollback()
	in.c.stats.Aborts++
}

func (in *instance) crash() {
	in.drop()
	in.proc = in.g.New()
	in.c.stats.Crashes++
}

func (in *instance) drop() {
	in.output, in.pending = in.output[:0], 0
	for _, p := range in.partitions {
		p.rollback()
	}
}

func (in *instance) emit(topic, key string, value []byte) {
	in.emitTo(client.Partition([]byte(key), in.c.cfg.Partitions), Record{Topic: topic, Key: key, Value: value})
}

func (in *instance) emitTo(partition int32, r Record) {
	r.Partition = partition
	in.output = append(in.output, r)
}

func (in *instance) markDue() bool {
	return slices.ContainsFunc(in.partitions, func(p *Partition) bool { return p.markDue(in.c.now) })
}

// sendMark tells every partition of the next group how far p has come.
func (in *instance) sendMark(p *Partition) error {
	m := table.Mark{Source: in.g.Name, Partition: p.num, Partitions: in.c.cfg.Partitions, WatermarkMs: int64(p.watermark), Idle: p.idle}
	value, err := m.MarshalVT()
	if err != nil {
		return err
	}
	for _, topic := range in.g.MarkTopics {
		for to := range in.c.cfg.Partitions {
			in.emitTo(to, Record{Topic: topic, Key: MarkPrefix + in.g.Name + "/" + strconv.Itoa(int(p.num)), Value: value})
		}
	}
	p.sent = sentMark{at: in.c.now, watermark: p.watermark, idle: p.idle}
	in.c.stats.Marks++
	return nil
}

// sentMark is what the next group was last told of a partition.
type sentMark struct {
	at        time.Time
	watermark event.UnixMilli
	idle      bool
}
