package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
)

// Timeline is the body of GET /v1/customers/{id}/timeline.
type Timeline struct {
	CustomerID string          `json:"customer_id"`
	Entries    []TimelineEntry `json:"entries" doc:"by event time"`
	Orders     int             `json:"orders" doc:"that the entries are of: the customer's newest, at most 50"`
	Next       string          `json:"next" doc:"cursor of the page after; empty: this is the last one"`
	Meta       query.Meta      `json:"meta" doc:"of orders, entities and alerts together"`
}

// TimelineEntry is one thing that happened to a customer.
type TimelineEntry struct {
	ID        string       `json:"id" doc:"of the entry, for cursors"`
	Time      time.Time    `json:"time" doc:"event time; of a decision when it was made"`
	ArrivedAt *time.Time   `json:"arrived_at" doc:"when weir's topics got the event; null where nothing arrived: an alert follows from events"`
	Kind      string       `json:"kind" enum:"order,payment,shipment,alert,decision"`
	What      string       `json:"what" doc:"the event's type; of an alert opened, ended, withdrawn or merged; of a decision its action" example:"payment.captured"`
	OrderID   string       `json:"order_id,omitempty"`
	Amount    *Money       `json:"amount,omitempty"`
	Source    string       `json:"source,omitempty" doc:"payment method or carrier"`
	Reference string       `json:"reference,omitempty" doc:"payment or shipment id"`
	Reason    string       `json:"reason,omitempty" doc:"decline code, reason of cancelling, why the rule finds it suspicious, or why somebody decided so"`
	Counted   *bool        `json:"counted,omitempty" doc:"false: the event waits for its order"`
	Alert     string       `json:"alert,omitempty" doc:"its id"`
	Rule      string       `json:"rule,omitempty"`
	Title     string       `json:"title,omitempty"`
	Severity  string       `json:"severity,omitempty"`
	Author    string       `json:"author,omitempty"`
	Place     *alert.Place `json:"place,omitempty" doc:"where the event stands"`
}

type timelineInput struct {
	ID string `path:"id" maxLength:"512" pattern:"^[^\\x00-\\x1f]+$" doc:"the customer's id" example:"c-1"`
	Paging
	Order string `query:"order" enum:"newest,oldest" default:"newest" doc:"which come first"`
	Formats
	Freshness
}

type timelineOutput struct{ Body Timeline }

func (s *server) registerTimeline(a huma.API) {
	huma.Register(a, huma.Operation{OperationID: "get-customer-timeline", Method: http.MethodGet, Path: "/v1/customers/{id}/timeline", Tags: []string{"entities"},
		Summary: "What happened to a customer: orders, payments, shipments, alerts and decisions", Errors: []int{404, 503},
		Description: "By event time, each with when it arrived. Of the newest 50 orders that the customer's newest events and alerts name."}, s.getTimeline)
}

func (s *server) getTimeline(_ context.Context, in *timelineInput) (*timelineOutput, error) {
	known, err := s.customer(in.ID, in.Freshness)
	if err != nil {
		return nil, err
	}
	out := Timeline{CustomerID: in.ID, Orders: len(known.orders), Meta: known.meta}
	var entries []TimelineEntry
	for _, o := range known.orders {
		entries = append(entries, orderEntries(o.id, o.partition, o.row)...)
	}
	for _, a := range known.cases.GetAlerts() {
		entries = append(entries, alertEntries(a)...)
	}
	slices.SortStableFunc(entries, func(a, b TimelineEntry) int {
		order := cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
		if in.Order == "newest" {
			return -order
		}
		return order
	})
	out.Entries, out.Next, err = page(entries, in.Paging, func(e TimelineEntry) string { return e.ID })
	return &timelineOutput{out}, err
}

func orderEntries(id string, partition int32, row *table.Order) []TimelineEntry {
	out := make([]TimelineEntry, 0, len(row.Entries))
	for _, e := range row.Entries {
		counted := e.Counted
		entry := TimelineEntry{ID: id + "/" + e.Topic + "/" + strconv.FormatInt(e.Offset, 10), Time: event.UnixMilli(e.AtMs).Time(), ArrivedAt: instant(e.ArrivedAtMs),
			Kind: streamOf(event.Type(e.Type)), What: event.Type(e.Type).String(), OrderID: id, Source: e.Source, Reference: e.Reference, Reason: e.Reason, Counted: &counted,
			Place: &alert.Place{Topic: e.Topic, Partition: partition, Offset: e.Offset, ID: e.EventId, Type: event.Type(e.Type).String(), OrderID: id,
				Time: event.UnixMilli(e.AtMs).Time().Format(time.RFC3339Nano)}}
		if e.Currency != "" {
			m := money(e.AmountMinor, e.Currency)
			entry.Amount = &m
		}
		out = append(out, entry)
	}
	return out
}

func streamOf(t event.Type) string {
	switch {
	case t.IsShipment():
		return "shipment"
	case t.IsPayment():
		return "payment"
	}
	return "order"
}

// alertEntries are what happened to an alert, and that it began where its history no longer says so.
func alertEntries(a *table.Alert) []TimelineEntry {
	one := func(n int, kind, what string, at int64) TimelineEntry {
		e := TimelineEntry{ID: "alert/" + a.Id + "/" + strconv.Itoa(n), Time: event.UnixMilli(at).Time(), Kind: kind, What: what, Alert: a.Id, Rule: a.Rule, Title: a.Title,
			Severity: a.Severity}
		return e
	}
	var out []TimelineEntry
	opened := false
	for n, h := range a.History {
		at, kind := h.AtMs, "alert"
		if h.SeenAtMs != 0 {
			at, kind = h.SeenAtMs, "decision"
		}
		e := one(n+1, kind, h.What, at)
		e.Author, e.Reason = h.Author, h.Reason
		if h.What == "opened" {
			opened, e.Reason = true, a.Reason
		}
		out = append(out, e)
	}
	if !opened {
		e := one(0, "alert", "opened", a.StartedMs)
		e.Reason = a.Reason
		out = append(out, e)
	}
	return out
}
