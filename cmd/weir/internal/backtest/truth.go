package backtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"weir/cmd/weir/internal/shop"
	"weir/topology/event"
	"weir/topology/table"
)

// Truth is what is known to be fraud, and what only looks like it.
type Truth struct {
	cases    []knownCase
	byEntity map[string][]int32 // indexes of cases
	byOrder  map[string][]int32
}

// knownCase is an episode of fraud, or an honest circumstance that looks like one.
type knownCase struct {
	pattern, lookalike, episode string
	from, to                    event.UnixMilli
	value                       map[string]int64 // minor units that were captured, by currency
}

// afterwards is how long after an episode an alert about one of its entities still catches it.
const afterwards = 7 * 24 * time.Hour

const (
	maxTruthLine  = 16 << 20
	maxTruthCases = 1_000_000
)

// ReadTruth reads what `weir generate --truth` writes: a line of JSON for each shop.Truth. Lines that name neither a pattern nor a
// look-alike are passed over.
func ReadTruth(r io.Reader) (*Truth, error) {
	t := &Truth{byEntity: map[string][]int32{}, byOrder: map[string][]int32{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxTruthLine)
	for n := 1; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		var line shop.Truth
		var names struct{ Pattern, Lookalike string }
		err := json.Unmarshal(lines.Bytes(), &names)
		if err == nil && names.Pattern == "" && names.Lookalike == "" {
			continue // the line that tells of the run
		}
		if err == nil {
			err = json.Unmarshal(lines.Bytes(), &line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the truth is no line of `weir generate --truth`: %w", n, err)
		}
		if len(t.cases) == maxTruthCases {
			return nil, fmt.Errorf("the truth has more than %d cases", maxTruthCases)
		}
		if err := t.Add(&line); err != nil {
			return nil, fmt.Errorf("line %d of the truth: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the truth: %w", err)
	}
	return t, nil
}

// NewTruth is what a shop has told.
func NewTruth(told []shop.Truth) (*Truth, error) {
	t := &Truth{byEntity: map[string][]int32{}, byOrder: map[string][]int32{}}
	for i := range told {
		if err := t.Add(&told[i]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Add takes one more.
func (t *Truth) Add(line *shop.Truth) error {
	c := knownCase{pattern: line.Pattern, lookalike: line.Lookalike, episode: line.Episode,
		from: event.UnixMilli(line.From.UnixMilli()), to: event.UnixMilli(line.To.UnixMilli()), value: map[string]int64{}}
	for currency, text := range line.Captured {
		minor, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("captured is %q: want minor units", text)
		}
		c.value[currency] = minor
	}
	i := int32(len(t.cases))
	t.cases = append(t.cases, c)
	for _, e := range line.Entities {
		t.byEntity[e] = append(t.byEntity[e], i)
	}
	for _, o := range line.Orders {
		t.byOrder[o] = append(t.byOrder[o], i)
	}
	return nil
}

// touch is a case that an alert has to do with, and when it first does.
type touch struct {
	index int32
	at    event.UnixMilli
}

// touches finds the cases that an alert has to do with: it has a hit at one of their orders, or is about one of their entities while
// they last or within a week. The same case comes once.
func (t *Truth) touches(a *table.Alert, found []touch) []touch {
	found = found[:0]
	add := func(i int32, at event.UnixMilli) {
		for k := range found {
			if found[k].index == i {
				found[k].at = min(found[k].at, at)
				return
			}
		}
		found = append(found, touch{i, at})
	}
	for _, h := range a.HitsKept {
		for _, i := range t.byOrder[h.OrderId] {
			add(i, event.UnixMilli(h.AtMs))
		}
	}
	if id, ok := strings.CutPrefix(a.Entity, "order:"); ok {
		for _, i := range t.byOrder[id] {
			add(i, event.UnixMilli(a.StartedMs))
		}
	}
	for _, i := range t.byEntity[a.Entity] {
		if at, ok := t.cases[i].during(a); ok {
			add(i, at)
		}
	}
	return found
}

// during finds the first hit of an alert while the case lasts.
func (c *knownCase) during(a *table.Alert) (event.UnixMilli, bool) {
	end := c.to.Add(afterwards)
	for _, h := range a.HitsKept { // sorted by time
		if at := event.UnixMilli(h.AtMs); at >= c.from && at <= end {
			return at, true
		}
	}
	if int(a.Hits) > len(a.HitsKept) { // hits that are not kept lie in between
		at := max(c.from, event.UnixMilli(a.StartedMs))
		return at, at <= min(end, event.UnixMilli(a.LastMs))
	}
	return 0, false
}
