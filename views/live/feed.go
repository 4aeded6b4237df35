package live

import "encoding/json"

// Topics opens what clients subscribe to.
type Topics interface {
	// Open checks the filter of a topic and returns its feed, not yet read. Feeds with equal keys are interchangeable.
	// An error that is a *Problem is told to the client as it is.
	Open(topic string, filter map[string][]string) (Feed, error)
}

// Feed keeps the rows that one cohort shows. Touch may be called at any time; the other methods are called one at a time.
type Feed interface {
	Key() string
	// Info describes the rows once, in the snapshot: a JSON object.
	Info() json.RawMessage
	// Touch notes what changed and tells whether it concerns this feed. It reads no rows.
	Touch(Changed) bool
	// Refresh reads what was touched and tells how the rows changed since the Refresh before.
	Refresh() ([]Op, error)
	// Rows calls fn for every row, in the order of keys.
	Rows(fn func(key string, row json.RawMessage))
	// Row is the row of key, nil where there is none.
	Row(key string) json.RawMessage
	// Freshness is that of the last Refresh.
	Freshness() Freshness
}

// Telling is a Feed of which no row may come and go untold: its cohort looks at every change at once, whatever the interval, and a
// delta that stands for several first tells a row that is gone again.
type Telling interface{ TellsAll() }

// Watching is a Feed over single rows of a table too busy to tell of each: the hub hears only of the keys that feeds watch.
type Watching interface{ Watches() []string }
