package window

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/topology/event"
)

// Kind says how a window is cut.
type Kind uint8

// The kinds of windows. The zero Kind is no window.
const (
	Tumbling Kind = iota + 1 // [start, start+size), one after the other
	Hopping                  // [start, start+size), one beginning every advance
	Sliding                  // (t−size, t] for every t, kept in slices of advance
	Session                  // as long as moments are at most size apart
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Tumbling:
		return "tumbling"
	case Hopping:
		return "hopping"
	case Sliding:
		return "sliding"
	case Session:
		return "session"
	}
	return "none"
}

// Window is a way to cut event time. It is comparable; make one with Parse or the function named as its kind.
//
// Invariant: Size and Advance are whole milliseconds above zero (a session has no Advance), and 0 < Advance < Size for
// hopping windows, 0 < Advance ≤ Size and Size a multiple of Advance for sliding ones.
type Window struct {
	Kind    Kind
	Size    time.Duration // the window's length; the gap of a session
	Advance time.Duration // tumbling: Size; hopping: from one start to the next; sliding: the length of a slice
}

// MaxSize bounds every window. MaxPieces bounds the windows that one moment falls into, and the slices of a sliding window.
const (
	MaxSize   = 366 * day
	MaxPieces = 10_000
)

// MakeTumbling returns windows of that length, one after the other.
func MakeTumbling(size time.Duration) (Window, error) {
	return Window{Tumbling, size, size}.checked()
}

// MakeHopping returns windows of that length, one beginning every advance. Hopping by the window's own length is tumbling.
func MakeHopping(size, advance time.Duration) (Window, error) {
	if size == advance {
		return MakeTumbling(size)
	}
	return Window{Hopping, size, advance}.checked()
}

// MakeSliding returns the windows (t−size, t] kept in slices of step. Reading one at t counts exactly the moments of the
// slices that begin in (t−size, t]: its older edge is later than t−size by less than step, and where t is not the newest
// moment its newer edge is later than t by less than step.
func MakeSliding(size, step time.Duration) (Window, error) {
	return Window{Sliding, size, step}.checked()
}

// MakeSession returns sessions that end when no moment has followed for gap.
func MakeSession(gap time.Duration) (Window, error) {
	return Window{Session, gap, 0}.checked()
}

func (w Window) checked() (Window, error) {
	switch {
	case w.Size <= 0 || w.Size > MaxSize:
		return Window{}, fmt.Errorf("%s window of %v: the length must be above 0 and at most %s", w.Kind, w.Size, FormatSpan(MaxSize))
	case w.Size%time.Millisecond != 0 || w.Advance%time.Millisecond != 0:
		return Window{}, fmt.Errorf("%s window of %v by %v: use whole milliseconds", w.Kind, w.Size, w.Advance)
	case w.Kind == Tumbling, w.Kind == Session:
		return w, nil
	case w.Advance <= 0 || w.Advance > w.Size:
		return Window{}, fmt.Errorf("%s window of %v by %v: the second duration must be above 0 and not longer than the first", w.Kind, w.Size, w.Advance)
	case w.Kind == Sliding && w.Size%w.Advance != 0:
		return Window{}, fmt.Errorf("sliding window of %v by %v: the window must hold a whole number of slices", w.Size, w.Advance)
	case w.Size/w.Advance >= MaxPieces:
		return Window{}, fmt.Errorf("%s window of %v by %v has more than %d pieces: use a longer second duration", w.Kind, w.Size, w.Advance, MaxPieces)
	}
	return w, nil
}

// Parse reads a window in the notation of the package comment: "1m", "5m:1m", "sliding-5m:10s", "session-30m".
func Parse(text string) (Window, error) {
	form, rest := Tumbling, text
	if after, ok := strings.CutPrefix(text, "sliding-"); ok {
		form, rest = Sliding, after
	} else if after, ok := strings.CutPrefix(text, "session-"); ok {
		form, rest = Session, after
	}
	first, second, pair := strings.Cut(rest, ":")
	size, err := ParseSpan(first)
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	var advance time.Duration
	if pair {
		if advance, err = ParseSpan(second); err != nil {
			return Window{}, fmt.Errorf("window %q: %w", text, err)
		}
	}
	switch {
	case form == Sliding && !pair:
		err = errors.New("name the length of a slice too, such as sliding-5m:10s")
	case form == Session && pair:
		err = errors.New("a session has a gap only, such as session-30m")
	}
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	var w Window
	switch {
	case form == Session:
		w, err = MakeSession(size)
	case form == Sliding:
		w, err = MakeSliding(size, advance)
	case pair:
		w, err = MakeHopping(size, advance)
	default:
		w, err = MakeTumbling(size)
	}
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", text, err)
	}
	return w, nil
}

// String returns the canonical text, which Parse reads back into the same window.
func (w Window) String() string {
	switch w.Kind {
	case Tumbling:
		return FormatSpan(w.Size)
	case Hopping:
		return FormatSpan(w.Size) + ":" + FormatSpan(w.Advance)
	case Sliding:
		return "sliding-" + FormatSpan(w.Size) + ":" + FormatSpan(w.Advance)
	case Session:
		return "session-" + FormatSpan(w.Size)
	}
	return ""
}

// Fixed reports whether the window's rows have a start of their own: tumbling and hopping ones. A sliding window or a
// session keeps one row for all time.
func (w Window) Fixed() bool { return w.Kind == Tumbling || w.Kind == Hopping }

// Floor returns the greatest multiple of step that is not after t: the start of t's tumbling window, or of its slice.
func Floor(t event.UnixMilli, step time.Duration) event.UnixMilli {
	ms := step.Milliseconds()
	q := int64(t) % ms
	if q < 0 {
		q += ms
	}
	return t - event.UnixMilli(q)
}

// Start returns the start of the newest window that holds t, or of t's slice. A session has none: 0.
func (w Window) Start(t event.UnixMilli) event.UnixMilli {
	if w.Kind == Session {
		return 0
	}
	return Floor(t, w.Advance)
}

// End returns the exclusive end of the window, or of the slice, that begins at start.
func (w Window) End(start event.UnixMilli) event.UnixMilli {
	if w.Kind == Sliding {
		return start.Add(w.Advance)
	}
	return start.Add(w.Size)
}

// Assign appends to starts the start of every window that holds t, in ascending order: one for tumbling windows,
// ⌈size/advance⌉ or one fewer for hopping ones, the slice for sliding ones, none for sessions.
func (w Window) Assign(starts []event.UnixMilli, t event.UnixMilli) []event.UnixMilli {
	return w.Covering(starts, t, 1)
}

// Covering appends the start of every window that holds the whole of [from, from+length), where that span is no longer
// than the window and lies within one advance (as a tumbling window does whose size divides both).
func (w Window) Covering(starts []event.UnixMilli, from event.UnixMilli, lengthMs int64) []event.UnixMilli {
	switch w.Kind {
	case Tumbling, Sliding:
		return append(starts, Floor(from, w.Advance))
	case Hopping:
		end := from + event.UnixMilli(lengthMs)
		advance := event.UnixMilli(w.Advance.Milliseconds())
		first := Floor(end-event.UnixMilli(w.Size.Milliseconds())+advance-1, w.Advance)
		for s := first; s <= from; s += advance {
			starts = append(starts, s)
		}
	}
	return starts
}

// Holds reports whether the window, or slice, that begins at start holds t.
func (w Window) Holds(start, t event.UnixMilli) bool {
	return w.Kind != Session && start <= t && t < w.End(start)
}

// InSlide reports whether the slice that begins at start is read by the sliding window (at−size, at].
func (w Window) InSlide(start, at event.UnixMilli) bool {
	return start <= at && start > at-event.UnixMilli(w.Size.Milliseconds())
}

// Granule returns the greatest length that divides every window's cut, so that sums over granules add up to each of the
// windows. It is 0 when there is no window but sessions.
func Granule(windows []Window) time.Duration {
	var g time.Duration
	for _, w := range windows {
		if w.Kind == Session {
			continue
		}
		g = gcd(g, w.Advance)
		if w.Kind == Hopping {
			g = gcd(g, w.Size)
		}
	}
	return g
}

func gcd(a, b time.Duration) time.Duration {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
