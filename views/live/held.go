package live

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"weir/views/query"
)

// heldRows are what a feed shows: its rows by key as of the last Refresh, and how current they are.
type heldRows struct {
	rows  map[string]json.RawMessage
	fresh query.Progress
}

// Rows implements Feed.
func (h *heldRows) Rows(fn func(key string, row json.RawMessage)) {
	for _, key := range slices.Sorted(maps.Keys(h.rows)) {
		fn(key, h.rows[key])
	}
}

// Row implements Feed.
func (h *heldRows) Row(key string) json.RawMessage { return h.rows[key] }

// Freshness implements Feed.
func (h *heldRows) Freshness() Freshness { return FreshnessOf(h.fresh) }

// put holds row under key, nil for none, and adds to ops what that changes.
func (h *heldRows) put(ops []Op, key string, row json.RawMessage) []Op {
	switch {
	case bytes.Equal(h.rows[key], row):
		return ops
	case row == nil:
		delete(h.rows, key)
	default:
		h.rows[key] = row
	}
	return append(ops, Op{key, row})
}

// replace holds rows in the place of all others and tells what that changes, in the order of keys. Feeds that only replace can share
// rows: only put writes to them.
func (h *heldRows) replace(rows map[string]json.RawMessage) []Op {
	var ops []Op
	for key, row := range rows {
		if !bytes.Equal(h.rows[key], row) {
			ops = append(ops, Op{key, row})
		}
	}
	for key := range h.rows {
		if rows[key] == nil {
			ops = append(ops, Op{Key: key})
		}
	}
	slices.SortFunc(ops, func(a, b Op) int { return strings.Compare(a.Key, b.Key) })
	h.rows = rows
	return ops
}
