package orders

import "slices"

// outbox keeps what is observed of each entity, in the order in which it was counted, until the commit sends it. Its memory is used
// again. One goroutine at a time may use it: there is one for each partition.
type outbox struct {
	index  map[string]int32 // of boxes
	boxes  []box
	pieces []piece
	bytes  []byte // all pieces
	room   int    // boxes that index was ever large enough for
}

// box is one entity: a list of pieces.
type box struct {
	key         string
	first, last int32
}

// piece is one observation.
type piece struct {
	from, to int
	next     int32 // −1 = none
}

const (
	maxObservationsBytes = 256 << 10 // of one record, unless a single observation is larger
	heldBytes            = 256       // of observations weigh as much as a record in what a transaction may hold
	keptBoxes            = 4096      // and
	keptBytes            = 1 << 20   // are kept however little is used of them
)

// add appends an observation to those of an entity. The body is copied.
func (o *outbox) add(key string, body []byte) {
	from := len(o.bytes)
	o.bytes = append(o.bytes, body...)
	o.link(key, int32(len(o.pieces)), int32(len(o.pieces)))
	o.pieces = append(o.pieces, piece{from, len(o.bytes), -1})
}

// link hangs a list of pieces on an entity's.
func (o *outbox) link(key string, first, last int32) {
	if i, ok := o.index[key]; ok {
		b := &o.boxes[i]
		o.pieces[b.last].next, b.last = first, last
		return
	}
	if o.index == nil {
		o.index = map[string]int32{}
	}
	o.index[key] = int32(len(o.boxes))
	o.boxes = append(o.boxes, box{key, first, last})
}

// merge appends all that other holds.
func (o *outbox) merge(other *outbox) {
	bytes, pieces := len(o.bytes), int32(len(o.pieces))
	o.bytes = append(o.bytes, other.bytes...)
	o.pieces = slices.Grow(o.pieces, len(other.pieces))
	for _, p := range other.pieces {
		if p.next >= 0 {
			p.next += pieces
		}
		o.pieces = append(o.pieces, piece{p.from + bytes, p.to + bytes, p.next})
	}
	for _, b := range other.boxes {
		o.link(b.key, b.first+pieces, b.last+pieces)
	}
}

// drain sends one record an entity, or a few where one would be too large, and empties the outbox. send keeps value.
func (o *outbox) drain(send func(key string, value []byte)) {
	if len(o.boxes) == 0 {
		return
	}
	room := make([]byte, 0, len(o.bytes))
	for _, b := range o.boxes {
		start := len(room)
		for i := b.first; i >= 0; i = o.pieces[i].next {
			p := &o.pieces[i]
			if n := len(room) - start; n > 0 && n+p.to-p.from > maxObservationsBytes {
				send(b.key, room[start:len(room):len(room)])
				start = len(room)
			}
			room = append(room, o.bytes[p.from:p.to]...)
		}
		send(b.key, room[start:len(room):len(room)])
	}
	o.reset()
}

// drainOutboxes sends what all partitions have observed, one record an entity.
func drainOutboxes(all []*outbox, send func(key string, value []byte)) {
	var into *outbox
	for _, o := range all {
		switch {
		case len(o.boxes) == 0:
		case into == nil:
			into = o
		default:
			into.merge(o)
			o.reset()
		}
	}
	if into != nil {
		into.drain(send)
	}
}

// held is how much waits, in records.
func (o *outbox) held() int { return max(len(o.boxes), len(o.bytes)/heldBytes) }

// reset empties the outbox. After a burst its memory shrinks.
func (o *outbox) reset() {
	if n := len(o.boxes); n > o.room {
		o.room = n
	} else if o.room > keptBoxes && n < o.room/8 || cap(o.bytes) > keptBytes && len(o.bytes) < cap(o.bytes)/8 {
		*o = outbox{}
		return
	}
	clear(o.index)
	clear(o.boxes) // lets go of the keys
	o.boxes, o.pieces, o.bytes = o.boxes[:0], o.pieces[:0], o.bytes[:0]
}
