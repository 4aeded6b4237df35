package webhook

import (
	"time"

	"weir/topology/alert"
)

// record is a record of the topic alerts.
type record struct {
	key       string
	value     []byte
	partition int32
	offset    int64
}

// delivery is one event on its way to the receiver.
type delivery struct {
	record
	event    *alert.Event
	attempts int
	dueAt    time.Time // the zero time: at once
	seq      int64     // earlier ones go first
	probe    bool      // sent while the circuit was open
	done     bool
	dropped  bool // its partition was given away
}

// lineKey names the events that wait for each other: those of one entity.
type lineKey struct {
	partition int32
	entity    string
}

// progress is how far a partition is.
type progress struct {
	next      int64       // offset after the last record that was read
	open      []*delivery // from the first unfinished one
	committed int64
	busy      int           // deliveries in somebody's hands
	idle      chan struct{} // not nil: nothing more is taken; closed when busy is 0
}

// upTo is the offset that may be committed: everything before it is delivered, unwanted or in the dead letters.
func (p *progress) upTo() int64 {
	if len(p.open) > 0 {
		return p.open[0].offset
	}
	return p.next
}
