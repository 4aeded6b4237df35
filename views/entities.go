package views

import (
	"time"

	"weir/topology/event"
	rows "weir/topology/table"
)

// Entity is what a row of weir-entities-table says about a customer, a card, an address or the like.
type Entity struct {
	At       event.UnixMilli // of the features
	Features []EntityFeature
	Events   []*rows.Place // where its newest events stand, newest first
}

// EntityFeature is one reading of an entity as rules compare it: an aggregate of what the entity did.
type EntityFeature struct {
	Text     string          // count(orders by customer, 5m)
	From, To event.UnixMilli // the window (From, To]; From 0 = all that is kept
	Type     string          // number, money (minor units), text, bool (0, 1), time (Unix ms), duration (ms)
	Known    bool
	Number   float64
	String   string // of texts
	Currency string // of money
	Entries  int64  // that it is made of
	Exact    bool   // else the window's edge is off by less than Step
	Step     time.Duration
	Since    event.UnixMilli // began to be kept then, so that it is unknown while its window reaches back further; 0 = it is complete
}

// EntityReader tells what an entity's row says at a time. reserved reads the reserved rows of its partition, nil where there is none.
type EntityReader func(kind, id string, row []byte, at event.UnixMilli, reserved func(key string) ([]byte, error)) (*Entity, error)

// MaxEntityEvents is how many events of an entity are told.
const MaxEntityEvents = 100

// Entities is the copy of weir-entities-table. Rows are the group's own; Deps.Entity reads them.
type Entities struct{ *view }

// Get tells about one entity, as of the watermark, and the partition that its row stands in; nil without an error where there is
// none.
func (e *Entities) Get(kind, id string) (*Entity, int32, error) {
	row, partition, err := e.row(kind + ":" + id)
	if row == nil || err != nil || e.deps.Entity == nil {
		return nil, partition, err
	}
	at := e.Progress().Watermark
	if at == 0 {
		at = event.UnixMilli(time.Now().UnixMilli())
	}
	reserved := func(key string) ([]byte, error) {
		if e.deps.Copies == nil {
			return nil, nil
		}
		return e.deps.Copies.Row(e.table, partition, key)
	}
	entity, err := e.deps.Entity(kind, id, row, at, reserved)
	return entity, partition, err
}

// List gives the ids of a kind that begin with prefix and come after another id, in their order, at most limit of them.
func (e *Entities) List(kind, prefix, after string, limit int) ([]string, error) {
	ok, _ := e.recovered()
	if !ok {
		return nil, e.incomplete()
	}
	start := kind + ":" + prefix
	end := start + "\xff" // no UTF-8 has it
	if from := kind + ":" + after + "\x00"; after != "" && from > start {
		start = from
	}
	s, release, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	defer release()
	return s.Keys(start, end, limit, len(kind)+1)
}
