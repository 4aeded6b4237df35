package api

import (
	"context"
	"slices"
	"time"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
	"weir/views/search"
)

// Customer is the body of GET /v1/customers/{id}.
type Customer struct {
	CustomerID string           `json:"customer_id"`
	Since      *time.Time       `json:"customer_created_at" doc:"as the newest order told it"`
	Country    string           `json:"country" doc:"of the newest order"`
	Orders     []OrderSummary   `json:"orders" doc:"the newest, newest first, at most 50: those that the customer's newest events and alerts name"`
	Features   []Feature        `json:"features"`
	Events     []alert.Place    `json:"events" doc:"the newest, newest first, at most 100"`
	Score      int64            `json:"score" doc:"0 to 100: of all rules that say something about the customer"`
	Alerts     []search.Summary `json:"alerts" doc:"newest first"`
	Meta       query.Meta       `json:"meta" doc:"of orders, entities and alerts together"`
}

// OrderSummary is an order in a list.
type OrderSummary struct {
	OrderID     string     `json:"order_id"`
	Status      string     `json:"status" enum:"waiting,created,paid,dispatched,delivered,cancelled"`
	CreatedAt   *time.Time `json:"created_at" doc:"null while waiting"`
	LastEventAt *time.Time `json:"last_event_at"`
	Total       *Money     `json:"total" doc:"null while waiting"`
	Captured    *Money     `json:"captured"`
	Refunded    *Money     `json:"refunded"`
	Country     string     `json:"country,omitempty"`
}

// maxCustomerOrders is how many orders of a customer are looked up.
const maxCustomerOrders = 50

type customerInput struct {
	ID string `path:"id" maxLength:"512" doc:"the customer's id" example:"c-1"`
	Freshness
}

type customerOutput struct{ Body Customer }

func (s *server) getCustomer(_ context.Context, in *customerInput) (*customerOutput, error) {
	known, err := s.customer(in.ID, in.Freshness)
	if err != nil {
		return nil, err
	}
	e := known.entity
	out := Customer{CustomerID: in.ID, Orders: []OrderSummary{}, Features: e.Features, Events: e.Events, Score: e.Score, Alerts: e.Alerts, Meta: known.meta}
	var newest *table.Order
	for _, o := range known.orders {
		out.Orders = append(out.Orders, orderSummary(o.id, o.row))
		if o.row.Created && o.row.CreatedAtMs >= newest.GetCreatedAtMs() {
			newest = o.row
		}
	}
	slices.SortStableFunc(out.Orders, func(a, b OrderSummary) int { return lastOf(b).Compare(lastOf(a)) })
	if newest != nil {
		out.Since, out.Country = instant(newest.CustomerCreatedAtMs), newest.Country
	}
	return &customerOutput{out}, nil
}

// knownCustomer is what the tables have of a customer.
type knownCustomer struct {
	entity *Entity
	cases  *table.Case  // nil where there is none
	orders []knownOrder // of those that entity and cases name: the customer's own, and those that wait to be created
	meta   query.Meta
}

type knownOrder struct {
	id        string
	row       *table.Order
	partition int32
}

// customer reads all that is known of one. Its errors are for the client.
func (s *server) customer(id string, in Freshness) (*knownCustomer, error) {
	e, c, err := s.entity("customer", id)
	if err != nil {
		return nil, err
	}
	progress := together(s.Orders.Progress(), together(s.Entities.Progress(), s.Alerts.Progress()))
	if err := in.enough(progress, s.Now()); err != nil {
		return nil, err
	}
	out := &knownCustomer{entity: e, cases: c, meta: progress.Meta()}
	for _, order := range ordersOf(e, c) {
		row, partition, err := s.Orders.Get(order)
		if err != nil {
			return nil, s.problem(err)
		}
		if row != nil && (!row.Created || row.CustomerId == id) {
			out.orders = append(out.orders, knownOrder{order, row, partition})
		}
	}
	return out, nil
}

// ordersOf are the orders that an entity's newest events and alerts name, at most maxCustomerOrders.
func ordersOf(e *Entity, c *table.Case) []string {
	var ids []string
	add := func(id string) {
		if id != "" && len(ids) < maxCustomerOrders && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, p := range e.Events {
		add(p.OrderID)
	}
	for _, a := range c.GetAlerts() {
		for _, id := range search.OrdersOf(a, maxCustomerOrders) {
			add(id)
		}
	}
	return ids
}

func lastOf(o OrderSummary) time.Time {
	if o.LastEventAt == nil {
		return time.Time{}
	}
	return *o.LastEventAt
}

func orderSummary(id string, row *table.Order) OrderSummary {
	o := OrderSummary{OrderID: id, Status: statusOf(row), LastEventAt: instant(row.LastAtMs)}
	if row.Created {
		created := event.UnixMilli(row.CreatedAtMs).Time()
		total, captured, refunded := money(row.TotalMinor, row.Currency), money(row.CapturedMinor, row.Currency), money(row.RefundedMinor, row.Currency)
		o.CreatedAt, o.Total, o.Captured, o.Refunded, o.Country = &created, &total, &captured, &refunded, row.Country
	}
	return o
}
