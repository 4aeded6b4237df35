package query

import (
	"time"

	"weir/topology/event"
)

// Metrics is the table of metric rows as one view server holds it.
type Metrics interface {
	// Scan calls fn for each row with start ≤ key < limit until fn fails. Within a partition keys come in order; key and value
	// are valid only during the call. Rows of the engine are left out.
	Scan(start, limit string, fn func(key string, value []byte) error) error
	// Progress says how current and how complete the table is.
	Progress() Progress
}

// Snapshots is implemented by Metrics that can hold still: what a query reads in several scans is then of one moment.
type Snapshots interface {
	// Snapshot is the table as it is now. The copy under it stays open until release is called.
	Snapshot() (m Metrics, release func(), err error)
}

// Hold gives the source as it is at one moment, if it can, for the scans of one query. release ends it.
func Hold(src Metrics) (m Metrics, release func(), err error) {
	if s, ok := src.(Snapshots); ok {
		return s.Snapshot()
	}
	return src, func() {}, nil
}

// Progress is how far a table has come.
type Progress struct {
	Watermark  event.UnixMilli // the least of the partitions'; 0 while unknown
	AsOf       time.Time       // when the newest record that is in the table was written; zero while unknown
	CaughtUpAt time.Time       // everything sent until then is in the table, as was seen; zero while unknown
	LagRecords int64           // records known to be missing
	Present    int             // partitions that are recovered
	Expected   int             // partitions that there are
}

// CurrentAt is of when the table is: where nothing is sent nothing is written, and yet nothing is missing. Zero while unknown.
func (p Progress) CurrentAt() time.Time {
	if p.CaughtUpAt.After(p.AsOf) {
		return p.CaughtUpAt
	}
	return p.AsOf
}

// Listener hears what happens in a table. It is called by the table's goroutine and must not block.
type Listener interface {
	RowChanged(key string) // the row was stored or deleted
	ProgressChanged()      // the watermark or the set of recovered partitions moved
	Resync()               // rows may have changed without RowChanged
}

// NotReadyError is what reads of a table give before it can be read.
type NotReadyError struct{ Table, Why string }

func (e *NotReadyError) Error() string {
	return e.Table + " cannot be read yet: " + e.Why + ". Try again in a moment."
}
