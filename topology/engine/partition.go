package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/topology/event"
	"weir/topology/table"
)

// MarksKey is the reserved row in which each table partition keeps what it knows of event time, with its exact counts.
// Keys that begin with a zero byte are the engine's; a reader of the table skips them.
const MarksKey = "\x00marks"

// markPrefix begins the key of a watermark record on a topic between two groups.
const markPrefix = "\x00mark/"

// CounterMisplaced counts input records whose key belongs to another partition by murmur2.
const CounterMisplaced = "misplaced_keys"

// IsReserved reports whether a table key is the engine's own.
func IsReserved(key string) bool { return len(key) > 0 && key[0] == 0 }

// IsMark reports whether an input record is an upstream watermark, to be given to Partition.Mark.
func IsMark(key string) bool {
	return len(key) >= len(markPrefix) && key[:len(markPrefix)] == markPrefix
}

// Partition is one partition of a group on this instance. Between barriers it belongs to the goroutine that runs the partition's
// callbacks; at the barrier to the engine.
type Partition struct {
	rt    *Runtime
	num   int32
	store *Store

	inputs    map[string]*batch // by topic
	sources   []source
	watermark event.UnixMilli
	counters  map[string]int64
	dirty     bool // sources or counters differ from the committed marks row
	idle      bool
	wokeAt    time.Time // wall time since when not all sources are idle
	misplaced int64     // records since the last barrier whose key belongs elsewhere

	committedMarks *table.Marks
	markedAt       time.Time // when the watermark was last sent downstream
	marked         event.UnixMilli
	markedIdle     bool
}

// source is one origin of event time: an input topic, or a partition of the group upstream.
type source struct {
	name      string
	partition int32
	at        event.UnixMilli // greatest seen; 0 = nothing yet
	seenAt    time.Time       // wall time of the last record
	idle      bool
	claim     *claim // nil for upstream partitions

	alignedAt event.UnixMilli // at, when sources were compared last
	advance   event.UnixMilli // how far the last fetch took it
}

func newPartition(rt *Runtime, num int32) *Partition {
	return &Partition{rt: rt, num: num, counters: map[string]int64{}}
}

// Number is the partition's number.
func (p *Partition) Number() int32 { return p.num }

// Watermark is the event time up to which all sources have been read, as of the last barrier. 0 = not known yet.
func (p *Partition) Watermark() event.UnixMilli { return p.watermark }

// Observe notes the event time of an input record of a source topic.
func (p *Partition) Observe(topic string, at event.UnixMilli) {
	for i := range p.sources {
		if s := &p.sources[i]; s.name == topic {
			if at > s.at {
				s.at, p.dirty = at, true
			}
			s.idle = false
			return
		}
	}
}

// Mark takes an upstream watermark record.
func (p *Partition) Mark(value []byte) error {
	var m table.Mark
	if err := m.UnmarshalVT(value); err != nil {
		return fmt.Errorf("watermark record: %w", err)
	}
	if m.Partitions <= 0 || m.Partitions > maxSources || m.Partition < 0 || m.Partition >= m.Partitions {
		return fmt.Errorf("watermark record of %s names partition %d of %d", m.Source, m.Partition, m.Partitions)
	}
	s := p.upstream(&m)
	s.at, s.idle, s.seenAt = max(s.at, event.UnixMilli(m.WatermarkMs)), m.Idle, time.Now()
	p.dirty = true
	return nil
}

// upstream is the source that a mark speaks of. All partitions of its group are known from the first mark on, whichever speaks first:
// those that have not spoken hold the watermark back.
func (p *Partition) upstream(m *table.Mark) *source {
	known := int32(0)
	for i := range p.sources {
		if p.sources[i].name == m.Source {
			known++
		}
	}
	if i := p.find(m.Source, m.Partition); i >= 0 && known >= m.Partitions {
		return &p.sources[i]
	}
	for n := range m.Partitions {
		if p.find(m.Source, n) < 0 {
			p.sources = append(p.sources, source{name: m.Source, partition: n})
		}
	}
	return &p.sources[p.find(m.Source, m.Partition)]
}

func (p *Partition) find(name string, partition int32) int {
	return slices.IndexFunc(p.sources, func(s source) bool { return s.partition == partition && s.name == name })
}

// maxSources bounds how many upstream partitions are followed.
const maxSources = 4096

// Count adds to an exact counter: it commits with the rows, so a crash neither loses nor doubles it.
func (p *Partition) Count(name string, n int64) {
	p.counters[name] += n
	p.dirty = true
}

// Get reads any row of the partition; nil if there is none. The bytes must not be changed.
func (p *Partition) Get(key string) ([]byte, error) {
	if p.store == nil {
		return nil, p.noTable()
	}
	return p.store.Get(key)
}

// Set writes any row of the partition. The engine keeps value.
func (p *Partition) Set(key string, value []byte) error {
	if p.store == nil {
		return p.noTable()
	}
	return p.store.Set(key, value)
}

// Delete removes any row of the partition; its changelog gets a tombstone.
func (p *Partition) Delete(key string) error { return p.Set(key, nil) }

func (p *Partition) noTable() error {
	if p.rt.stock {
		return nil // unmodified goka reaches one row at a time: rows beside it are done without
	}
	return errors.New("this group keeps no table")
}

// join begins a generation: event time and counts continue from the committed marks row.
func (p *Partition) join(g *generation, now time.Time) error {
	p.idle, p.wokeAt = false, now
	p.sources = p.sources[:0]
	for _, topic := range p.rt.spec.Sources {
		p.sources = append(p.sources, source{name: topic, partition: p.num, seenAt: now, claim: g.claims[topicPartition{topic, p.num}]})
	}
	p.committedMarks = &table.Marks{}
	if p.store != nil {
		row, err := p.store.Get(MarksKey)
		if err != nil {
			return err
		}
		if row != nil {
			if err := p.committedMarks.UnmarshalVT(row); err != nil {
				return fmt.Errorf("marks row of partition %d: %w", p.num, err)
			}
		}
	}
	p.restore(now)
	if p.store != nil { // recovery has written all rows, with their deadlines
		p.store.settledTo, p.store.flushingTo, p.store.indexedTo = p.watermark, p.watermark, p.watermark
	}
	return nil
}

// restore goes back to the committed marks.
func (p *Partition) restore(now time.Time) {
	m := p.committedMarks
	p.markedAt, p.marked, p.markedIdle = time.Time{}, 0, false
	p.watermark = event.UnixMilli(m.WatermarkMs)
	p.counters = maps.Clone(m.Counters)
	if p.counters == nil {
		p.counters = map[string]int64{}
	}
	upstream := len(p.rt.spec.Sources) == 0
	if upstream {
		p.sources = p.sources[:0]
	}
	for i := range p.sources {
		p.sources[i].at = 0
	}
	for _, saved := range m.Sources {
		if upstream {
			p.sources = append(p.sources, source{name: saved.Source, partition: saved.Partition, at: event.UnixMilli(saved.WatermarkMs), idle: saved.Idle, seenAt: now})
			continue
		}
		for i := range p.sources {
			if p.sources[i].name == saved.Source {
				p.sources[i].at = event.UnixMilli(saved.WatermarkMs)
			}
		}
	}
	for _, name := range p.rt.spec.Upstream { // a group that has not spoken yet holds the watermark back
		if p.find(name, 0) < 0 {
			p.sources = append(p.sources, source{name: name, seenAt: now})
		}
	}
	p.dirty = false
}

func (p *Partition) rollback() {
	if p.store != nil {
		p.store.rollback()
	}
	p.restore(time.Now())
}

// changed reports whether there is something to commit besides input records.
func (p *Partition) changed() bool {
	return p.dirty || p.store != nil && len(p.store.dirty) > 0
}

// advance recomputes the watermark at the barrier.
func (p *Partition) advance(now time.Time) {
	if p.misplaced > 0 {
		p.Count(CounterMisplaced, p.misplaced)
		p.misplaced = 0
	}
	if len(p.sources) == 0 {
		return
	}
	idle, last := p.quiet(now)
	if p.idle && !idle {
		p.wokeAt = now
	}
	// When records come again after all was quiet, those of the other sources may be on their way: a replayed file fills one topic a
	// moment before the next. Their silence until now says nothing about that.
	patient := now.Sub(p.wokeAt) < p.rt.cfg.Idle
	least, greatest, known := event.UnixMilli(1<<62), event.UnixMilli(0), true
	for i := range p.sources {
		s := &p.sources[i]
		greatest = max(greatest, s.at)
		if s.idle && !patient {
			continue
		}
		if s.at == 0 {
			known = false
		}
		least = min(least, s.at)
	}
	p.idle = idle
	at := least
	switch {
	case idle && greatest > 0:
		at = greatest
		if !last.IsZero() { // event time goes on by the wall clock, so that deadlines pass in a quiet shop too
			quiet := now.Sub(last) - p.rt.cfg.Idle
			at = at.Add(quiet.Truncate(idleStep))
		}
	case idle || !known:
		return
	}
	if len(p.rt.spec.Sources) > 0 { // upstream marks allow for it already
		at -= event.UnixMilli(p.rt.cfg.Disorder.Milliseconds())
	}
	if at > p.watermark {
		p.watermark, p.dirty = at, true
	}
}

// quiet reports whether every source is idle, and when the last record came.
func (p *Partition) quiet(now time.Time) (idle bool, last time.Time) {
	idle = true
	for i := range p.sources {
		s := &p.sources[i]
		if s.claim != nil {
			s.idle = s.claim.caughtUp() && now.Sub(s.claim.lastAt) >= p.rt.cfg.Idle
			if s.claim.lastAt.After(last) {
				last = s.claim.lastAt
			}
		}
		idle = idle && s.idle
	}
	return idle, last
}

// idleStep is how often an idle partition's event time moves: each move costs a transaction.
const idleStep = 10 * time.Second

func (c *claim) caughtUp() bool { return c.position < 0 || c.position >= c.end }

// writeMarks puts the marks row among the dirty rows if it changed.
func (p *Partition) writeMarks() error {
	if p.store == nil || !p.dirty {
		return nil
	}
	m := p.marks()
	row, err := m.MarshalVT()
	if err != nil {
		return err
	}
	return p.store.Set(MarksKey, row)
}

func (p *Partition) marks() *table.Marks {
	m := &table.Marks{WatermarkMs: int64(p.watermark), Counters: maps.Clone(p.counters)}
	for _, s := range p.sources {
		m.Sources = append(m.Sources, &table.Mark{Source: s.name, Partition: s.partition, Partitions: int32(len(p.sources)), WatermarkMs: int64(s.at), Idle: s.idle && s.claim == nil})
	}
	return m
}

func (p *Partition) committed() {
	if p.dirty {
		p.committedMarks = p.marks()
		p.dirty = false
	}
}
