package api

import (
	"context"
	"encoding/json"
	"fmt"

	"weir/views/live"
	"weir/views/query"
)

// LiveRows are the answers of this API as live push keeps them: rows that change, without the meta that changes with every record.
// Deps is set before anyone subscribes.
type LiveRows struct{ Deps *Deps }

var (
	_ live.OrderSource  = LiveRows{}
	_ live.StatusSource = LiveRows{}
)

// liveOrder is an Order without meta: frames have their own.
type liveOrder struct {
	Order
	Meta *struct{} `json:"meta,omitempty"` // hides the order's
}

// Order implements live.OrderSource.
func (l LiveRows) Order(id string) (json.RawMessage, error) {
	row, partition, err := l.Deps.Orders.Get(id)
	if row == nil || err != nil {
		return nil, err
	}
	return json.Marshal(liveOrder{Order: orderOf(id, partition, row, query.Meta{})})
}

// Progress implements live.OrderSource and live.StatusSource: of the table of orders.
func (l LiveRows) Progress() query.Progress { return l.Deps.Orders.Progress() }

// StatusRows implements live.StatusSource: group/<name>, partition/<group>/<topic>/<number>, table/<name>, and each other field of
// the status but time under its own name.
func (l LiveRows) StatusRows(ctx context.Context) (map[string]json.RawMessage, error) {
	out, err := (&server{Deps: *l.Deps}).status(ctx, nil)
	if err != nil {
		return nil, err
	}
	return statusRows(&out.Body)
}

func statusRows(st *Status) (map[string]json.RawMessage, error) {
	whole, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	rows := map[string]json.RawMessage{}
	if err := json.Unmarshal(whole, &rows); err != nil {
		return nil, err
	}
	for _, split := range []string{"groups", "tables", "time"} {
		delete(rows, split)
	}
	put := func(key string, v any) {
		data, failed := json.Marshal(v)
		if failed != nil {
			err = failed
			return
		}
		rows[key] = data
	}
	for _, g := range st.Groups {
		for _, p := range g.Partitions {
			put(fmt.Sprintf("partition/%s/%s/%d", g.Name, p.Topic, p.Partition), p)
		}
		g.Partitions = nil
		put("group/"+g.Name, struct {
			GroupStatus
			Partitions *struct{} `json:"partitions,omitempty"` // they are rows of their own
		}{GroupStatus: g})
	}
	for _, t := range st.Tables {
		put("table/"+t.Name, t)
	}
	return rows, err
}
