package shop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"weir/topology/event"
)

// Options of a Shop.
type Options struct {
	Seed   int64
	Start  time.Time // of the first order
	Rate   float64   // orders a second; a mean over the day where Rhythm is on
	Orders int64     // honest ones; 0: no end
	// LifeScale stretches the time from order to delivery: 1 takes days as parcels do, 0.001 minutes. 0 is 1, or less where so
	// many orders would be open at once that they do not fit (MaxOpen).
	LifeScale  float64
	Rhythm     bool    // orders follow the shoppers' day
	Duplicates float64 // share of events that are delivered twice
	Fraud      Mix     // what is planted, beside the honest orders
	Truth      bool    // keep account of what is planted, for Told
}

// MaxOpen is how many orders can be under way at once.
const MaxOpen = 1_000_000

// Record is one event to send. Value is valid until the next call of Next.
type Record struct {
	Due       event.UnixMilli // when it is sent; for a duplicate, later than At
	At        event.UnixMilli // event time
	Type      event.Type
	OrderID   string
	Value     []byte // canonical JSON
	Duplicate bool
}

// Shop makes events. It is not safe for concurrent use.
type Shop struct {
	options  Options
	seed     uint64
	start    int64
	prefix   []byte
	rand     random
	products []product
	popular  *rand.Zipf // products
	loyal    *rand.Zipf // customers
	demand   demand
	census   [16]uint32
	largest  uint32 // of census

	placed  int64
	arrival float64 // ms of the next order
	queue   queue
	open    int
	turned  int64
	pushed  uint64
	plants  plants

	event  event.Event
	record Record
	buffer []byte
}

// MaxLifeScale is the greatest life scale with which the open orders fit.
func MaxLifeScale(o Options) float64 {
	if o.Orders > 0 && o.Orders <= MaxOpen {
		return 1e9
	}
	room := 0.8 * MaxOpen
	if o.Rhythm {
		room = 0.6 * MaxOpen // some hours are busier than the mean
	}
	return room / (o.Rate * meanLife / 1000)
}

// New opens a shop.
func New(o Options) (*Shop, error) {
	if o.Rate <= 0 || o.Start.IsZero() || o.Duplicates < 0 || o.Duplicates > 0.5 || o.LifeScale < 0 || o.Orders < 0 {
		return nil, fmt.Errorf("shop: the options %+v are out of range", o)
	}
	fits := MaxLifeScale(o)
	if o.LifeScale == 0 {
		o.LifeScale = min(1, fits)
	}
	if o.LifeScale > fits {
		return nil, fmt.Errorf("at %g orders a second with life scale %g some %.0f orders would be open at once, the limit is %d: set the life scale to %.2g or less, or lower the rate",
			o.Rate, o.LifeScale, o.Rate*meanLife/1000*o.LifeScale, MaxOpen, fits)
	}
	if err := o.Fraud.check(); err != nil {
		return nil, err
	}
	s := &Shop{options: o, seed: mix(uint64(o.Seed)), start: o.Start.UnixMilli()}
	s.prefix = append(strconv.AppendUint(nil, mix(s.seed^uint64(s.start))>>28, 36), '-')
	s.rand = random(s.seed)
	s.products = catalogue(s.seed)
	source := rand.New(rand.NewPCG(s.seed, 1))
	s.popular = rand.NewZipf(source, 1.15, 8, products-1)
	s.census = census(o.Rate)
	s.largest = slices.Max(s.census[:])
	s.loyal = rand.NewZipf(source, 1.07, 0.02*float64(s.largest), uint64(s.largest-1))
	s.demand = demand{minute: -1, rhythm: o.Rhythm}
	s.arrival = float64(s.start)
	s.demand.at(s.start)
	s.sowAll()
	return s, nil
}

// LifeScale is the scale in use.
func (s *Shop) LifeScale() float64 { return s.options.LifeScale }

// Open is how many orders are under way.
func (s *Shop) Open() int { return s.open + s.plants.open }

// Turned is how many orders were not taken because MaxOpen were under way.
func (s *Shop) Turned() int64 { return s.turned }

// Next returns the next event in the order of Due. ok is false when all orders have come to their end.
func (s *Shop) Next() (*Record, bool) {
	for {
		if s.isArriving() {
			at := int64(s.arrival)
			s.arrive()
			if s.open >= MaxOpen {
				s.turned++
				continue
			}
			s.reset()
			o := s.place(at, &s.event)
			s.placed++
			s.open++
			return s.finish(o), true
		}
		if len(s.queue) == 0 {
			return nil, false
		}
		d := s.queue.pop()
		switch what := d.what.(type) {
		case *Record:
			s.record = *what
			return &s.record, true
		case *order:
			s.reset()
			s.advance(what, d.at, &s.event)
			return s.finish(what), true
		case *episode:
			s.reset()
			if o := s.visit(what, d.at, &s.event); o != nil {
				return s.finish(o), true
			}
		case *sower:
			s.sow(what, d.at)
		}
	}
}

// isArriving tells whether the next thing to happen is a new order.
func (s *Shop) isArriving() bool {
	if s.options.Orders > 0 && s.placed >= s.options.Orders {
		return false
	}
	return len(s.queue) == 0 || s.arrival <= float64(s.queue[0].at)
}

// arrive draws the time of the next order: a Poisson process whose rate follows the demand, by thinning.
func (s *Shop) arrive() {
	peak := 1.0
	if s.options.Rhythm {
		peak = maxFactor
	}
	for {
		s.arrival += s.rand.exponential() * 1000 / (s.options.Rate * peak)
		s.demand.at(int64(s.arrival))
		if !s.options.Rhythm || s.rand.float()*peak < s.demand.factor {
			return
		}
	}
}

func (s *Shop) reset() { s.event = event.Event{Items: s.event.Items[:0]} }

// finish writes the event, counts an order that is over, and may plan that the event is delivered again.
func (s *Shop) finish(o *order) *Record {
	e := &s.event
	s.buffer = event.AppendJSON(s.buffer[:0], e)
	s.record = Record{Due: e.At, At: e.At, Type: e.Type, OrderID: e.OrderID, Value: s.buffer}
	if s.options.Duplicates > 0 && o.rand.chance(s.options.Duplicates) {
		again := s.record
		again.Value = append([]byte(nil), s.buffer...)
		again.Due += event.UnixMilli(o.rand.between(20, 8000))
		again.Duplicate = true
		s.push(due{at: int64(again.Due), what: &again})
	}
	switch over := o.next == stepOver; {
	case o.visit != nil:
		s.planted(o, e, over)
	case over:
		s.open--
	}
	if s.options.Truth && o.looks != 0 && (o.looks != o.noted || e.Type == event.PaymentAttempted) {
		s.noteLooks(o, e)
	}
	return &s.record
}

// due is something that will happen.
type due struct {
	at  int64
	tie uint64 // first planned, first done
	// what is a *order for its next step, a *Record for a second delivery, an *episode for its next order, a *sower for its next
	// episode.
	what any
}

func (d *due) before(o *due) bool { return d.at < o.at || d.at == o.at && d.tie < o.tie }

// queue is a binary heap, the earliest first.
type queue []due

func (s *Shop) push(d due) {
	s.pushed++
	d.tie = s.pushed
	q := append(s.queue, d)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = d
	s.queue = q
}

func (q *queue) pop() due {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = due{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}
