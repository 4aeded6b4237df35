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
}

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
	entity, err := e.deps.Entity(kind, id, row, at)
	return entity, partition, err
}
