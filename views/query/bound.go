package query

import (
	"time"

	"weir/topology/event"
)

// Bound is one end of a range of time, as parameters write it: RFC 3339, a date, now-1h or wall-1h. The zero Bound is open.
type Bound struct{ in instant }

// ParseBound reads the value of a parameter. An empty one is open. Errors are *ParamError.
func ParseBound(param, text string) (Bound, error) {
	in, err := parseInstant(param, text, time.UTC)
	return Bound{in}, err
}

// Open tells that there is no bound.
func (b Bound) Open() bool { return b.in.kind == 0 }

// Moves tells that the bound is relative, so that it moves with the watermark or the clock.
func (b Bound) Moves() bool { return b.in.relative() }

// At is the bound's time, 0 for an open one. now in a bound is the watermark, and the wall clock until there is one.
func (b Bound) At(watermark event.UnixMilli, now time.Time) event.UnixMilli {
	if b.Open() {
		return 0
	}
	return b.in.resolve(watermark, now)
}
