package views

import "time"

// Entity is what a row of weir-entities-table says about a customer, a card, an address or the like.
type Entity struct {
	Features []EntityFeature
	Events   []EntityEvent // the newest that the row still holds, newest first
	Total    int           // events that the row holds
}

// EntityFeature is one reading of an entity: an aggregate of what it did, as rules read it.
type EntityFeature struct {
	Text   string        // count(orders by customer, 5m)
	Window time.Duration // 0 = all that is kept
	Type   string        // number, money, text, bool, time, duration
	Known  bool
	Value  string // as explanations show it; "" while unknown
}

// EntityEvent is one event as the entity saw it.
type EntityEvent struct {
	ID, Type, OrderID string
	At                time.Time
	Topic             string
	Partition         int32
	Offset            int64
	RiskMinor         int64  // the order's total, in Currency
	Currency          string // "" = none
}

// Entities is the copy of weir-entities-table. Rows are the group's own; Deps.Entity reads them.
type Entities struct{ *view }

// Get tells about one entity and the partition that its row stands in; nil without an error where there is none.
func (e *Entities) Get(kind, id string) (*Entity, int32, error) {
	row, partition, err := e.row(kind + ":" + id)
	if row == nil || err != nil || e.deps.Entity == nil {
		return nil, partition, err
	}
	entity, err := e.deps.Entity(kind, id, row)
	return entity, partition, err
}
