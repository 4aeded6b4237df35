package sim

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

// Partition is one partition of a group: its rows, counters and event time.
type Partition struct {
	c   *Cluster
	g   *group
	num int32
	in  *instance // its owner

	rows  Rows              // committed
	dirty map[string][]byte // of the open transaction; nil = deleted

	state         // as of now
	saved   state // as of the last commit
	changes bool  // sources, watermark or counters differ from saved

	timers deadlines
	fired  []deadline // since the last commit
	sent   sentMark
}

// state is what commits or vanishes beside the rows.
type state struct {
	position  map[string]int // next record to read, by topic
	sources   []source
	watermark event.UnixMilli
	counters  map[string]int64
	idle      bool
}

func (s state) clone() state {
	s.position, s.sources, s.counters = maps.Clone(s.position), slices.Clone(s.sources), maps.Clone(s.counters)
	return s
}

// source is one origin of event time: an input topic, or a partition of the group before.
type source struct {
	topic     string // or the group before
	partition int32
	at        event.UnixMilli // greatest seen; 0 = nothing yet
	idle      bool
	seenAt    time.Time
}

func newPartition(c *Cluster, g *group, num int32) *Partition {
	p := &Partition{c: c, g: g, num: num, rows: c.cfg.Rows(g.Name, num), dirty: map[string][]byte{}}
	p.state = state{position: map[string]int{}, counters: map[string]int64{}}
	for _, topic := range g.Sources {
		p.sources = append(p.sources, source{topic: topic, seenAt: c.now})
	}
	for _, name := range g.Upstream { // a group that has not spoken yet holds the watermark back
		p.sources = append(p.sources, source{topic: name})
	}
	p.saved = p.state.clone()
	return p
}

// Number is the partition's number.
func (p *Partition) Number() int32 { return p.num }

// Now is the wall clock.
func (p *Partition) Now() time.Time { return p.c.now }

// Watermark is the event time up to which all sources have been read, as of the last barrier; 0 = not known yet.
func (p *Partition) Watermark() event.UnixMilli { return p.watermark }

// Get returns a row, nil if there is none. The bytes must not be changed.
func (p *Partition) Get(key string) []byte {
	if row, ok := p.dirty[key]; ok {
		return row
	}
	return p.rows.Get(key)
}

// Set writes a row; the cluster keeps value. Nil deletes it.
func (p *Partition) Set(key string, value []byte) { p.dirty[key] = value }

// Delete removes a row by a tombstone.
func (p *Partition) Delete(key string) { p.dirty[key] = nil }

// Count adds to a counter that commits with the rows.
func (p *Partition) Count(name string, n int64) {
	p.counters[name] += n
	p.changes = true
}

// Emit sends a record to the partition of its key, in the open transaction.
func (p *Partition) Emit(topic, key string, value []byte, headers map[string][]byte) {
	p.in.emitTo(client.Partition([]byte(key), p.c.cfg.Partitions), Record{Topic: topic, Key: key, Value: value, Headers: headers})
}

// Observe notes the event time of an input record.
func (p *Partition) Observe(topic string, at event.UnixMilli) {
	for i := range p.sources {
		if s := &p.sources[i]; s.topic == topic && at > s.at {
			s.at, p.changes = at, true
		}
	}
}

// touch notes that a record of a topic was read now.
func (p *Partition) touch(topic string) {
	for i := range p.sources {
		if s := &p.sources[i]; s.topic == topic {
			s.seenAt, s.idle = p.c.now, false
		}
	}
}

// mark takes a watermark of the group before.
func (p *Partition) mark(value []byte) error {
	var m table.Mark
	if err := m.UnmarshalVT(value); err != nil {
		return fmt.Errorf("watermark record: %w", err)
	}
	find := func(n int32) int {
		return slices.IndexFunc(p.sources, func(s source) bool { return s.topic == m.Source && s.partition == n })
	}
	for n := range m.Partitions {
		if find(n) < 0 {
			p.sources = append(p.sources, source{topic: m.Source, partition: n})
		}
	}
	s := &p.sources[find(m.Partition)]
	s.at, s.idle = max(s.at, event.UnixMilli(m.WatermarkMs)), m.Idle
	p.changes = true
	return nil
}

// advance recomputes the watermark. It never goes back, and is not known before every source that is not idle has spoken.
func (p *Partition) advance(now time.Time) {
	if len(p.sources) == 0 {
		return
	}
	if p.c.cfg.Idle > 0 && len(p.g.Sources) > 0 {
		for i := range p.sources {
			s := &p.sources[i]
			s.idle = p.position[s.topic] == p.end(s.topic) && now.Sub(s.seenAt) >= p.c.cfg.Idle
		}
	}
	least, greatest, idle := event.UnixMilli(0), event.UnixMilli(0), true
	for _, s := range p.sources {
		greatest = max(greatest, s.at)
		if s.idle {
			continue
		}
		if idle || s.at < least {
			least = s.at
		}
		idle = false
	}
	p.changes = p.changes || idle != p.idle
	p.idle = idle
	if idle {
		least = greatest
	}
	if least > 0 && len(p.g.Sources) > 0 { // the marks of the group before have allowed for it
		least = least.Add(-p.c.cfg.Disorder)
	}
	if least > p.watermark {
		p.watermark, p.changes = least, true
	}
}

func (p *Partition) end(topic string) int {
	if logs := p.c.topics[topic]; logs != nil {
		return logs[p.num].end()
	}
	return 0
}

// readable returns the inputs that have records to read.
func (p *Partition) readable() (topics []string) {
	for _, topic := range p.g.Inputs {
		if p.position[topic] < p.end(topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

func (p *Partition) changed() bool { return p.changes || len(p.dirty) > 0 || len(p.fired) > 0 }

// markDue reports whether the next group should be told now. A partition that never had a record tells that it is idle, or the next
// group would wait for it for ever.
func (p *Partition) markDue(now time.Time) bool {
	if len(p.g.MarkTopics) == 0 || (p.watermark == p.sent.watermark && p.idle == p.sent.idle) {
		return false
	}
	return p.idle != p.sent.idle || now.Sub(p.sent.at) >= markEvery
}

func (p *Partition) commit() {
	fired := make(map[string]bool, len(p.fired))
	for _, d := range p.fired {
		fired[d.key] = true
	}
	for key, row := range p.dirty {
		before := p.rows.Get(key)
		p.rows.Set(key, row)
		if row == nil {
			if before != nil {
				p.c.stats.Tombstones++
			}
			continue
		}
		at, ok := p.in.proc.Deadline(key, row)
		if !ok {
			continue
		}
		if before != nil { // most rows change without moving their deadline
			if was, ok := p.in.proc.Deadline(key, before); ok && was == at && !fired[key] {
				continue
			}
		}
		heap.Push(&p.timers, deadline{at, key})
	}
	clear(p.dirty)
	p.fired = p.fired[:0]
	p.saved, p.changes = p.state.clone(), false
}

func (p *Partition) rollback() {
	clear(p.dirty)
	for _, d := range p.fired {
		heap.Push(&p.timers, d)
	}
	p.fired = p.fired[:0]
	p.state, p.changes = p.saved.clone(), false
	p.sent = sentMark{} // a mark may have been lost: it is sent again
}

// fire calls Timer for committed rows whose deadline has passed. A row may have several entries: those it moved away from do nothing.
func (p *Partition) fire() error {
	for len(p.timers) > 0 && p.timers[0].at <= p.watermark {
		d := heap.Pop(&p.timers).(deadline)
		p.fired = append(p.fired, d)
		row := p.Get(d.key)
		if row == nil {
			continue
		}
		if at, ok := p.in.proc.Deadline(d.key, row); !ok || at != d.at {
			continue
		}
		p.c.stats.Timers++
		if err := p.in.proc.Timer(p, d.key, row); err != nil {
			return fmt.Errorf("timer of row %q: %w", d.key, err)
		}
	}
	return nil
}

// deadline is one entry of the timer heap.
type deadline struct {
	at  event.UnixMilli
	key string
}

type deadlines []deadline

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].key < d[j].key
}
func (d deadlines) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)   { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
