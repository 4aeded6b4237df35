package webhook

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/alert"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

var (
	accepted = Answer{Status: 202}
	down     = Answer{Status: 503}
	notFound = Answer{Status: 404}
)

// halves is a schedule of one partition from offset 0 whose jitter is always half of what it may be.
func halves(maxAttempts int) *schedule {
	s := newSchedule(maxAttempts)
	s.random = func() float64 { return 0.5 }
	s.begin(0, 0, true)
	return s
}

func (s *schedule) put(offset int64, entity string) {
	s.add(record{key: entity, value: []byte("{}"), offset: offset}, &alert.Event{ID: fmt.Sprint(offset)})
}

// sent takes a delivery that must be there.
func sent(t *testing.T, s *schedule, now time.Time) *delivery {
	t.Helper()
	d, again := s.take(now)
	if d == nil {
		t.Fatalf("nothing to send at %s; next at %s", now, again)
	}
	return d
}

func TestAnEntitysNextEventWaitsForTheOneBefore(t *testing.T) {
	s := halves(12)
	s.put(0, "card:a")
	s.put(1, "card:a")
	s.put(2, "card:b")
	first, other := sent(t, s, noon), sent(t, s, noon)
	if first.offset != 0 || other.offset != 2 {
		t.Fatalf("sent %d and %d, want 0 and 2", first.offset, other.offset)
	}
	if d, _ := s.take(noon); d != nil {
		t.Fatalf("offset %d was sent beside the one before it", d.offset)
	}
	if v := s.answered(first, down, noon); v != retried {
		t.Fatal("not tried again")
	}
	if d, again := s.take(noon); d != nil || !again.Equal(noon.Add(250*time.Millisecond)) {
		t.Fatalf("next at %s, want after half of 500ms", again)
	}
	if s.answered(sent(t, s, noon.Add(time.Second)), accepted, noon) != delivered || sent(t, s, noon).offset != 1 {
		t.Error("the second event does not follow the first")
	}
}

func TestOnlyWhatIsDeliveredIsCommitted(t *testing.T) {
	s := halves(1)
	s.put(0, "card:a")
	s.pass(0, 1) // not wanted
	s.put(2, "card:b")
	s.pass(0, 3)
	a, b := sent(t, s, noon), sent(t, s, noon)
	s.answered(b, accepted, noon)
	if moved := s.committable(); len(moved) > 0 {
		t.Errorf("%v would be committed while offset 0 is under way", moved)
	}
	if v := s.answered(a, down, noon); v != buried {
		t.Fatalf("verdict %d, want the dead letters after the last attempt", v)
	}
	if moved := s.committable(); len(moved) > 0 {
		t.Errorf("%v would be committed before the dead letter is written", moved)
	}
	s.finish(a)
	if moved := s.committable(); moved[0] != 4 {
		t.Errorf("got %v, want 4", moved)
	}
	s.committed(0, 4)
	if moved := s.committable(); len(moved) > 0 {
		t.Errorf("%v would be committed twice", moved)
	}
}

func TestWhileAReceiverFailsOneRequestAtATimeIsSent(t *testing.T) {
	s := halves(12)
	for i := range int64(40) {
		s.put(i, fmt.Sprint("card:", i))
	}
	var flying []*delivery
	for range maxFlying {
		flying = append(flying, sent(t, s, noon))
	}
	if d, _ := s.take(noon); d != nil {
		t.Fatalf("more than %d under way", maxFlying)
	}
	for _, d := range flying { // all at once: one outage, not 32
		s.answered(d, down, noon)
	}
	if _, again := s.take(noon); !again.Equal(noon.Add(250 * time.Millisecond)) {
		t.Errorf("the first probe is at %s, want after half of 500ms", again.Sub(noon))
	}
	now := noon.Add(time.Second)
	for _, pause := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
		probe := sent(t, s, now)
		if d, _ := s.take(now); d != nil {
			t.Fatal("two probes at once")
		}
		s.answered(probe, down, now)
		if _, again := s.take(now); !again.Equal(now.Add(pause)) {
			t.Fatalf("the next probe is %s later, want %s", again.Sub(now), pause)
		}
		now = now.Add(pause)
	}
	s.answered(sent(t, s, now), accepted, now)
	for i := range maxFlying {
		if d, _ := s.take(now.Add(time.Minute)); d == nil {
			t.Fatalf("after the receiver answered, %d are sent at once", i)
		}
	}
}

func TestARefusalIsASignOfLife(t *testing.T) {
	s := halves(12)
	for i := range int64(20) {
		s.put(i, "card:a")
		d := sent(t, s, noon)
		if s.answered(d, notFound, noon) != buried || s.circuitOpen {
			t.Fatal("a refused event is for the dead letters, and says nothing about the next")
		}
		s.finish(d)
	}
}

func TestRetryAfterHoldsTheWholeReceiver(t *testing.T) {
	s := halves(12)
	s.put(0, "card:a")
	s.put(1, "card:b")
	s.answered(sent(t, s, noon), Answer{Status: 429, RetryAfter: time.Minute}, noon)
	if d, again := s.take(noon.Add(59 * time.Second)); d != nil || !again.Equal(noon.Add(time.Minute)) {
		t.Errorf("next at %s, want after a minute", again)
	}
	sent(t, s, noon.Add(time.Minute))
}

func TestThereIsRoomForALimitedNumberOfEvents(t *testing.T) {
	s := halves(12)
	for i := range int64(maxWaiting) {
		s.put(i, "card:a")
	}
	if s.room() != 0 {
		t.Errorf("room for %d more", s.room())
	}
	s.answered(sent(t, s, noon), accepted, noon)
	if s.room() != 1 {
		t.Errorf("room for %d, want 1", s.room())
	}
	s.forget(0)
	if s.room() != maxWaiting {
		t.Errorf("room for %d after the partition has gone", s.room())
	}
	s.begin(0, 0, true)
	s.add(record{key: "card:a", value: make([]byte, maxWaitingBytes)}, new(alert.Event))
	if s.room() != 0 {
		t.Errorf("room for %d beside %d bytes", s.room(), maxWaitingBytes)
	}
}

func TestAPartitionThatComesBackStartsWhereItWasCommitted(t *testing.T) {
	s := halves(12)
	s.put(0, "card:a")
	old := sent(t, s, noon)
	idle := s.close(0)
	select {
	case <-idle:
		t.Fatal("idle with a request under way")
	default:
	}
	s.put(1, "card:b") // read before it was taken away
	s.forget(0)
	s.begin(0, 0, true)
	s.put(0, "card:a")
	s.put(1, "card:a")
	if v := s.answered(old, accepted, noon); v != abandoned {
		t.Errorf("verdict %d of a request from before, want abandoned", v)
	}
	if moved := s.committable(); len(moved) > 0 {
		t.Errorf("%v would be committed by an answer from before", moved)
	}
	again := sent(t, s, noon)
	if again.offset != 0 {
		t.Fatalf("sent %d first", again.offset)
	}
	s.answered(again, accepted, noon)
	if sent(t, s, noon).offset != 1 || s.flying != 1 {
		t.Error("the line is broken")
	}
}

func TestARecordThatIsReadAgainIsSentOnce(t *testing.T) {
	s := halves(12)
	s.put(0, "card:a")
	s.put(1, "card:b")
	s.put(0, "card:c") // a fetch that began anew
	for range 2 {
		s.answered(sent(t, s, noon), accepted, noon)
	}
	if d, _ := s.take(noon); d != nil {
		t.Errorf("offset %d is sent again", d.offset)
	}
}

func TestADeadLetterOfAPartitionThatIsGoneFinishesNothing(t *testing.T) {
	s := halves(1)
	s.put(0, "card:a")
	d := sent(t, s, noon)
	if s.answered(d, down, noon) != buried {
		t.Fatal("not for the dead letters")
	}
	s.forget(0)
	s.begin(0, 0, true)
	s.put(0, "card:a")
	s.finish(d)
	if moved := s.committable(); len(moved) > 0 || s.waiting != 1 {
		t.Errorf("%v would be committed, %d waiting", moved, s.waiting)
	}
}

// The schedule against a plain list of what was read: whatever the receiver answers and however partitions come and go, an entity's
// events are first sent in order, none is left out, and nothing unfinished is committed.
func TestNothingIsLostNorOvertaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 60
		p := &plain{schedule: newSchedule(3), entities: rapid.SliceOfN(rapid.IntRange(0, nobody), n, n).Draw(t, "entities"), now: noon, done: map[int64]bool{}}
		p.random = func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "jitter") }
		p.begin(0, 0, true)
		for range 300 {
			switch choice := rapid.IntRange(0, 13).Draw(t, "step"); {
			case choice < 3 && p.read < n && p.room() > 0:
				p.readOne()
			case choice < 7:
				p.send(t)
			case choice < 12 && len(p.flying) > 0:
				p.answer(t)
			case choice == 12:
				p.commit(t)
			case choice == 13 && rapid.IntRange(0, 5).Draw(t, "crash") == 0:
				p.crash()
			}
		}
		p.takeAll()
		if at := p.committable()[0]; at != n && p.committed != n {
			t.Fatalf("everything was answered and %d can be committed; waiting %d, flying %d, heads %d", at, p.waiting, p.schedule.flying, len(p.heads))
		}
		if p.waiting != 0 || p.bytes != 0 || p.opened != 0 || len(p.lines) != 0 || p.schedule.flying != 0 {
			t.Fatalf("left over: waiting %d, bytes %d, opened %d, lines %d, flying %d", p.waiting, p.bytes, p.opened, len(p.lines), p.schedule.flying)
		}
	})
}

// nobody is the entity whose events the receiver is not told.
const nobody = 6

// plain is a schedule of one partition, and the list of what was read of it.
type plain struct {
	*schedule
	entities  []int // by offset
	now       time.Time
	read      int64
	committed int64
	done      map[int64]bool
	flying    []*delivery
}

func (p *plain) readOne() {
	if e := p.entities[p.read]; e == nobody {
		p.pass(0, p.read)
		p.done[p.read] = true
	} else {
		p.put(p.read, fmt.Sprint(e))
	}
	p.read++
}

// send takes the next one, or lets time pass until there is one.
func (p *plain) send(t *rapid.T) {
	d, again := p.take(p.now)
	if d == nil {
		if again.After(p.now) {
			p.now = again
		}
		return
	}
	p.flying = append(p.flying, d)
	if len(p.flying) > maxFlying || p.circuitOpen && p.schedule.flying > 1 {
		t.Fatalf("%d under way, circuit open: %v", len(p.flying), p.circuitOpen)
	}
	for o := range d.offset {
		if p.entities[o] == p.entities[d.offset] && !p.done[o] {
			t.Fatalf("offset %d is sent before %d of the same entity", d.offset, o)
		}
	}
}

func (p *plain) answer(t *rapid.T) {
	i := rapid.IntRange(0, len(p.flying)-1).Draw(t, "which")
	d := p.flying[i]
	p.flying = append(p.flying[:i], p.flying[i+1:]...)
	answer := rapid.SampledFrom([]Answer{accepted, accepted, down, notFound, {Status: 429, RetryAfter: time.Minute}}).Draw(t, "answer")
	switch p.answered(d, answer, p.now) {
	case delivered:
		p.done[d.offset] = true
	case buried:
		p.done[d.offset] = true
		p.finish(d)
	}
}

func (p *plain) commit(t *rapid.T) {
	moved, ok := p.committable()[0]
	if !ok {
		return
	}
	for o := range moved {
		if !p.done[o] {
			t.Fatalf("%d would be committed, and %d is not done", moved, o)
		}
	}
	p.committed = moved
	p.schedule.committed(0, moved)
}

// crash begins again where something was committed last.
func (p *plain) crash() {
	p.forget(0)
	p.begin(0, p.committed, true)
	p.read = p.committed
}

// takeAll is a receiver that takes everything at last.
func (p *plain) takeAll() {
	p.random = func() float64 { return 0 }
	for range 20 * len(p.entities) {
		if p.read < int64(len(p.entities)) {
			p.put(p.read, fmt.Sprint(p.entities[p.read]))
			p.read++
		}
		p.now = p.now.Add(time.Hour)
		for _, d := range p.flying {
			p.answered(d, accepted, p.now)
			p.done[d.offset] = true
		}
		p.flying = nil
		if d, _ := p.take(p.now); d != nil {
			p.flying = append(p.flying, d)
		}
	}
}
