package api

import (
	"context"
	"slices"

	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
	"weir/views/search"
)

type relatedInput struct {
	ID    string `path:"id" maxLength:"64" doc:"the alert's id, also one that it had before"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
	Freshness
}

// Related is the body of GET /v1/alerts/{id}/related.
type Related struct {
	Entities []SharedEntity `json:"entities" doc:"of the alert's newest orders"`
	Alerts   []RelatedAlert `json:"alerts" doc:"about these entities, or of the same orders; those first that matter most"`
	Orders   []string       `json:"orders" doc:"that were looked at, newest first"`
	Meta     query.Meta     `json:"meta"`
}

// SharedEntity is one entity of an alert's orders.
type SharedEntity struct {
	Entity string   `json:"entity" doc:"kind:id"`
	Orders []string `json:"orders" doc:"of the alert"`
}

// RelatedAlert is another alert with what it has in common.
type RelatedAlert struct {
	search.Summary
	SharedOrders []string `json:"shared_orders" doc:"orders that both alerts are about"`
}

type relatedOutput struct{ Body Related }

// The bounds of looking for what is related.
const (
	relatedOrders   = 20
	relatedEntities = 100
)

func (s *server) relatedAlerts(_ context.Context, in *relatedInput) (*relatedOutput, error) {
	progress, err := s.alertsProgress(in.Freshness)
	if err != nil {
		return nil, err
	}
	_, a, err := s.alertByID(in.ID)
	if err != nil {
		return nil, err
	}
	out := Related{Orders: search.OrdersOf(a, relatedOrders), Entities: []SharedEntity{{a.Entity, []string{}}}, Alerts: []RelatedAlert{}, Meta: progress.Meta()}
	for _, id := range out.Orders {
		row, _, err := s.Orders.Get(id)
		if err != nil {
			return nil, s.problem(err)
		}
		for _, key := range entitiesOf(id, row) {
			i := slices.IndexFunc(out.Entities, func(e SharedEntity) bool { return e.Entity == key })
			if i < 0 {
				if len(out.Entities) >= relatedEntities {
					continue
				}
				i = len(out.Entities)
				out.Entities = append(out.Entities, SharedEntity{Entity: key})
			}
			out.Entities[i].Orders = append(out.Entities[i].Orders, id)
		}
	}
	keys := make([]string, len(out.Entities))
	for i, e := range out.Entities {
		keys[i] = e.Entity
	}
	shared, err := s.Alerts.Sharing(keys, out.Orders, a.Id, in.Limit)
	if err != nil {
		return nil, s.problem(err)
	}
	for i := range shared {
		out.Alerts = append(out.Alerts, RelatedAlert{shared[i].Summary(), append([]string{}, shared[i].Orders...)})
	}
	return &relatedOutput{out}, nil
}

// entitiesOf are who and what an order ties together: what an honest shop's orders seldom share. Products and sellers are not among them.
func entitiesOf(id string, row *table.Order) []string {
	if row == nil {
		return nil
	}
	var out []string
	add := func(kind, id string) {
		if key := kind + ":" + id; id != "" && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	client := func(c *table.Client) {
		add("ip", c.GetIp())
		add("device", c.GetDeviceId())
	}
	add("order", id)
	add("customer", row.CustomerId)
	add("email", row.EmailHash)
	add("address", row.ShippingAddressHash)
	client(row.Client)
	for _, e := range row.Entries {
		if event.Type(e.Type) >= event.PaymentAttempted {
			add("card", e.Card.GetFingerprint())
			client(e.Client)
		}
	}
	return out
}
