package webhook

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"weir/topology/alert"
)

// Limits of one receiver.
const (
	maxWaiting      = 1_000     // events in memory; further ones stay in Kafka
	maxWaitingBytes = 32 << 20  // of their records
	maxOpen         = 10_000    // events after the first unfinished one, most of them done
	maxFlying       = 32        // requests under way
	circuitAfter    = 5         // failures in a row after which one request at a time is sent
	noOffset        = int64(-1) // of a partition that was not committed here
)

// schedule decides what one receiver is sent next. It reads no clock and sends nothing; its caller guards it with a lock.
//
// An entity's deliveries form a line, of which only the first is sent. The heads of all lines that nobody has in hand are in a heap
// by the time they are due. While the receiver fails continuously the circuit is open: one request at a time, and a growing wait after
// each that fails. Waiting for the circuit spends no attempts.
type schedule struct {
	maxAttempts int
	random      func() float64 // in [0, 1)

	partitions map[int32]*progress
	lines      map[lineKey][]*delivery
	heads      heads
	waiting    int
	bytes      int
	opened     int // deliveries in the partitions' open lists
	flying     int
	seq        int64

	failures     int // in a row
	circuitOpen  bool
	circuitUntil time.Time
	probes       int       // that have failed since it opened
	holdUntil    time.Time // asked for by Retry-After
}

func newSchedule(maxAttempts int) *schedule {
	return &schedule{maxAttempts: maxAttempts, random: rand.Float64, partitions: map[int32]*progress{}, lines: map[lineKey][]*delivery{}}
}

// begin takes a partition from an offset on. Where nothing is committed yet, that offset is to be.
func (s *schedule) begin(partition int32, offset int64, committed bool) {
	s.forget(partition)
	p := &progress{next: offset, committed: noOffset}
	if committed {
		p.committed = offset
	}
	s.partitions[partition] = p
}

// room is how many more records may be read.
func (s *schedule) room() int {
	if s.bytes >= maxWaitingBytes {
		return 0
	}
	return max(min(maxWaiting-s.waiting, maxOpen-s.opened), 0)
}

// pass notes a record that the receiver is not told. It reports whether the record is a new one of a partition held here.
func (s *schedule) pass(partition int32, offset int64) bool {
	p := s.partitions[partition]
	if p == nil || p.idle != nil || offset < p.next {
		return false
	}
	p.next = offset + 1
	return true
}

// add puts an event into its entity's line.
func (s *schedule) add(r record, e *alert.Event) {
	if d := s.open(r, e); d != nil {
		key := d.line()
		s.lines[key] = append(s.lines[key], d)
		if len(s.lines[key]) == 1 {
			heap.Push(&s.heads, d)
		}
	}
}

// addRefused takes a record that cannot be told to anybody. The caller writes the dead letter and calls finish; nil: the record is not
// of here.
func (s *schedule) addRefused(r record) *delivery {
	d := s.open(r, nil)
	if d != nil {
		s.partitions[r.partition].busy++
	}
	return d
}

func (s *schedule) open(r record, e *alert.Event) *delivery {
	if !s.pass(r.partition, r.offset) {
		return nil
	}
	p := s.partitions[r.partition]
	s.seq++
	d := &delivery{record: r, event: e, seq: s.seq}
	p.open = append(p.open, d)
	s.opened++
	s.waiting++
	s.bytes += len(r.value)
	return d
}

func (d *delivery) line() lineKey { return lineKey{d.partition, d.key} }

// take hands out the next delivery to attempt now. With none it says when to ask again; the zero time: when something has changed.
func (s *schedule) take(now time.Time) (*delivery, time.Time) {
	most := maxFlying
	if s.circuitOpen {
		most = 1
	}
	if s.flying >= most || len(s.heads) == 0 {
		return nil, time.Time{}
	}
	at := s.heads[0].dueAt
	for _, t := range []time.Time{s.circuitUntil, s.holdUntil} {
		if t.After(at) {
			at = t
		}
	}
	if at.After(now) {
		return nil, at
	}
	d := heap.Pop(&s.heads).(*delivery)
	d.attempts++
	d.probe = s.circuitOpen
	s.flying++
	s.partitions[d.partition].busy++
	return d, time.Time{}
}

// verdict is what is done with a delivery after its attempt.
type verdict int

const (
	delivered verdict = iota
	retried
	buried    // to the dead letters; the caller writes them and calls finish
	abandoned // its partition belongs to another instance now, or this one is stopping
)

// answered takes a delivery back after an attempt.
func (s *schedule) answered(d *delivery, a Answer, now time.Time) verdict {
	s.flying--
	m := a.meaning()
	s.judge(d, m, now)
	if a.RetryAfter > 0 && m == again {
		if until := now.Add(a.RetryAfter); until.After(s.holdUntil) {
			s.holdUntil = until
		}
	}
	switch {
	case d.dropped:
		return abandoned
	case m == taken:
		s.finish(d)
		return delivered
	case m == refused || d.attempts >= s.maxAttempts:
		return buried
	}
	d.dueAt = now.Add(backoff(d.attempts, s.random()))
	s.release(d)
	return retried
}

// judge opens and closes the circuit. A refusal is a sign of life. Requests sent before the circuit opened say nothing new when they
// fail after it.
func (s *schedule) judge(d *delivery, m meaning, now time.Time) {
	if m != again {
		s.failures, s.circuitOpen, s.probes, s.circuitUntil = 0, false, 0, time.Time{}
		return
	}
	s.failures++
	switch {
	case !s.circuitOpen && s.failures >= circuitAfter:
		s.circuitOpen = true
	case s.circuitOpen && d.probe:
		s.probes++
	default:
		return
	}
	s.circuitUntil = now.Add(backoff(s.probes+1, s.random()))
}

// giveBack takes a delivery back whose attempt was broken off here: it counts for nothing.
func (s *schedule) giveBack(d *delivery) {
	s.flying--
	d.attempts--
	s.release(d)
}

// release puts a delivery that is still first in its line back among the heads.
func (s *schedule) release(d *delivery) {
	if d.dropped {
		return
	}
	p := s.partitions[d.partition]
	s.unbusy(p)
	if p.idle == nil {
		heap.Push(&s.heads, d)
	}
}

// finish is called when the event is delivered or in the dead letters.
func (s *schedule) finish(d *delivery) {
	if d.dropped {
		return
	}
	p := s.partitions[d.partition]
	d.done = true
	s.waiting--
	s.bytes -= len(d.value)
	d.value = nil
	for len(p.open) > 0 && p.open[0].done {
		p.open[0] = nil
		p.open = p.open[1:]
		s.opened--
	}
	if d.event != nil {
		d.event = nil
		s.next(d.line(), p)
	}
	s.unbusy(p)
}

// next ends the first of a line.
func (s *schedule) next(key lineKey, p *progress) {
	rest := s.lines[key][1:]
	if len(rest) == 0 {
		delete(s.lines, key)
		return
	}
	s.lines[key] = rest
	if p.idle == nil {
		heap.Push(&s.heads, rest[0])
	}
}

func (s *schedule) unbusy(p *progress) {
	p.busy--
	if p.busy == 0 && p.idle != nil {
		close(p.idle)
	}
}

// close takes nothing more of a partition. The channel is closed when nothing of it is in anybody's hands.
func (s *schedule) close(partition int32) <-chan struct{} {
	p := s.partitions[partition]
	if p == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	if p.idle != nil {
		return p.idle
	}
	p.idle = make(chan struct{})
	if p.busy == 0 {
		close(p.idle)
	}
	s.heads = slices.DeleteFunc(s.heads, func(d *delivery) bool { return d.partition == partition })
	heap.Init(&s.heads)
	return p.idle
}

// forget drops a partition. What is still in somebody's hands is not taken back.
func (s *schedule) forget(partition int32) {
	p := s.partitions[partition]
	if p == nil {
		return
	}
	s.close(partition)
	delete(s.partitions, partition)
	for _, d := range p.open {
		if !d.done {
			d.dropped = true
			s.waiting--
			s.bytes -= len(d.value)
			delete(s.lines, d.line())
		}
	}
	s.opened -= len(p.open)
}

// committable are the positions that have moved since they were committed, of the partitions named, or of all.
func (s *schedule) committable(partitions ...int32) map[int32]int64 {
	moved := map[int32]int64{}
	for partition, p := range s.partitions {
		if at := p.upTo(); at != p.committed && (len(partitions) == 0 || slices.Contains(partitions, partition)) {
			moved[partition] = at
		}
	}
	return moved
}

// committed notes what Kafka has taken.
func (s *schedule) committed(partition int32, at int64) {
	if p := s.partitions[partition]; p != nil {
		p.committed = at
	}
}
