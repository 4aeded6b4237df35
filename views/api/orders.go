package api

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
)

// Money is an amount in minor units of its currency.
type Money = alert.Money

func money(minor int64, currency string) Money {
	m := Money{Amount: strconv.FormatInt(minor, 10), Currency: currency}
	m.Exponent, _ = event.Exponent(currency)
	return m
}

// Order is the body of GET /v1/orders/{id}.
type Order struct {
	OrderID   string     `json:"order_id"`
	Partition int32      `json:"partition"`
	Status    string     `json:"status" enum:"waiting,created,paid,dispatched,delivered,cancelled" doc:"waiting: payments or shipments came, the order did not yet"`
	Facts     *Facts     `json:"facts" doc:"null while waiting"`
	State     OrderState `json:"state"`
	Timeline  []Entry    `json:"timeline" doc:"every event applied, in event time"`
	Meta      query.Meta `json:"meta"`
}

// Facts are what order.created told, and the current total.
type Facts struct {
	CreatedAt         time.Time  `json:"created_at"`
	CustomerID        string     `json:"customer_id"`
	CustomerSince     *time.Time `json:"customer_created_at,omitempty"`
	Total             Money      `json:"total"`
	CreatedTotal      Money      `json:"created_total" doc:"the total at creation, which gmv counted"`
	Region            string     `json:"region,omitempty"`
	Country           string     `json:"country,omitempty"`
	Channel           string     `json:"channel,omitempty"`
	Category          string     `json:"category,omitempty"`
	Coupon            string     `json:"coupon,omitempty"`
	PromisedAt        *time.Time `json:"promised_at,omitempty"`
	BillingCountry    string     `json:"billing_country,omitempty"`
	ShippingCountry   string     `json:"shipping_country,omitempty"`
	ShippingAddressID string     `json:"shipping_address_hash,omitempty"`
	EmailHash         string     `json:"email_hash,omitempty"`
	Client            *Client    `json:"client,omitempty"`
	Items             []Item     `json:"items"`
}

// Client is where the shopper came from.
type Client struct {
	IP        string `json:"ip,omitempty"`
	DeviceID  string `json:"device_id,omitempty"`
	SessionID string `json:"session_id,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"product_id"`
	Category  string `json:"category,omitempty"`
	SellerID  string `json:"seller_id,omitempty"`
	Quantity  int64  `json:"quantity"`
	Price     Money  `json:"price" doc:"of one unit"`
}

// OrderState follows from the timeline.
type OrderState struct {
	Captured     *Money     `json:"captured" doc:"in the order's currency"`
	Refunded     *Money     `json:"refunded"`
	PaidAt       *time.Time `json:"paid_at" doc:"when captures reached the total"`
	DispatchedAt *time.Time `json:"dispatched_at"`
	DeliveredAt  *time.Time `json:"delivered_at"`
	CancelledAt  *time.Time `json:"cancelled_at"`
	LastEventAt  *time.Time `json:"last_event_at"`
	Duplicates   int64      `json:"duplicates" doc:"redelivered events that were recognised"`
	Findings     []string   `json:"findings"`
	Raised       []Raised   `json:"raised" doc:"rules that hold of this order by itself: its amounts, its sequence, what was expected of it"`
}

// Raised is a rule that holds of an order.
type Raised struct {
	Rule   string `json:"rule"`
	Entity string `json:"entity" doc:"that its alert is about" example:"order:o-1001"`
}

// Card is what a payment told of its card.
type Card struct {
	Fingerprint string `json:"fingerprint,omitempty"`
	BIN         string `json:"bin,omitempty"`
	Last4       string `json:"last4,omitempty"`
	Country     string `json:"country,omitempty"`
	Funding     string `json:"funding,omitempty"`
}

// Entry is one event of an order's life.
type Entry struct {
	ID         string     `json:"id,omitempty" doc:"the event's"`
	Type       string     `json:"type"`
	Time       time.Time  `json:"time" doc:"event time"`
	ArrivedAt  *time.Time `json:"arrived_at" doc:"the record's Kafka timestamp"`
	Topic      string     `json:"topic"`
	Partition  int32      `json:"partition"`
	Offset     int64      `json:"offset"`
	Amount     *Money     `json:"amount,omitempty"`
	Source     string     `json:"source,omitempty" doc:"payment method or carrier"`
	Reference  string     `json:"reference,omitempty" doc:"payment or shipment id"`
	Country    string     `json:"country,omitempty" doc:"of the card or the shipment"`
	Reason     string     `json:"reason,omitempty" doc:"decline code or reason of cancelling"`
	ExpectedAt *time.Time `json:"expected_at,omitempty"`
	Card       *Card      `json:"card,omitempty"`
	Client     *Client    `json:"client,omitempty" doc:"of a payment"`
	Counted    bool       `json:"counted" doc:"false while it waits for its order"`
}

type orderInput struct {
	ID string `path:"id" maxLength:"512" doc:"the order's id" example:"o-1001"`
	Freshness
}

type orderOutput struct{ Body Order }

func (s *server) getOrder(_ context.Context, in *orderInput) (*orderOutput, error) {
	progress := s.Orders.Progress()
	if err := in.enough(progress, s.Now()); err != nil {
		return nil, err
	}
	row, partition, err := s.Orders.Get(in.ID)
	if err != nil {
		return nil, s.problem(err)
	}
	if row == nil {
		detail := fmt.Sprintf("there is no order %q", in.ID)
		if progress.Present < progress.Expected {
			detail += fmt.Sprintf(" in the %d of %d partitions that are recovered; try again", progress.Present, progress.Expected)
			return nil, tryAgain(huma.Error503ServiceUnavailable(detail))
		}
		return nil, huma.Error404NotFound(detail, &huma.ErrorDetail{Message: detail, Location: "path.id", Value: in.ID})
	}
	return &orderOutput{orderOf(in.ID, partition, row, progress.Meta())}, nil
}

func instant(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := event.UnixMilli(ms).Time()
	return &t
}

func orderOf(id string, partition int32, row *table.Order, meta query.Meta) Order {
	o := Order{OrderID: id, Partition: partition, Status: statusOf(row), Meta: meta, Timeline: make([]Entry, 0, len(row.Entries)),
		State: OrderState{PaidAt: instant(row.PaidAtMs), DispatchedAt: instant(row.DispatchedAtMs), DeliveredAt: instant(row.DeliveredAtMs),
			CancelledAt: instant(row.CancelledAtMs), LastEventAt: instant(row.LastAtMs), Duplicates: row.Duplicates, Findings: append([]string{}, row.Findings...),
			Raised: make([]Raised, 0, len(row.Raised))}}
	for _, r := range row.Raised {
		o.State.Raised = append(o.State.Raised, Raised{r.Rule, r.Entity})
	}
	if row.Created {
		o.Facts = factsOf(row)
		captured, refunded := money(row.CapturedMinor, row.Currency), money(row.RefundedMinor, row.Currency)
		o.State.Captured, o.State.Refunded = &captured, &refunded
	}
	for _, e := range row.Entries {
		entry := Entry{ID: e.EventId, Type: event.Type(e.Type).String(), Time: event.UnixMilli(e.AtMs).Time(), ArrivedAt: instant(e.ArrivedAtMs),
			Topic: e.Topic, Partition: partition, Offset: e.Offset, Source: e.Source, Reference: e.Reference, Country: e.Country,
			Reason: e.Reason, ExpectedAt: instant(e.ExpectedAtMs), Client: clientOf(e.Client), Counted: e.Counted}
		if c := e.Card; c != nil {
			entry.Card = &Card{c.Fingerprint, c.Bin, c.Last4, c.Country, c.Funding}
		}
		if e.Currency != "" {
			m := money(e.AmountMinor, e.Currency)
			entry.Amount = &m
		}
		o.Timeline = append(o.Timeline, entry)
	}
	return o
}

func factsOf(row *table.Order) *Facts {
	f := &Facts{CreatedAt: event.UnixMilli(row.CreatedAtMs).Time(), CustomerID: row.CustomerId, CustomerSince: instant(row.CustomerCreatedAtMs),
		Total: money(row.TotalMinor, row.Currency), CreatedTotal: money(row.CreatedTotalMinor, row.Currency),
		Region: row.Region, Country: row.Country, Channel: row.Channel, Category: row.Category, Coupon: row.Coupon, PromisedAt: instant(row.PromisedAtMs),
		BillingCountry: row.BillingCountry, ShippingCountry: row.ShippingCountry, ShippingAddressID: row.ShippingAddressHash, EmailHash: row.EmailHash,
		Items: make([]Item, 0, len(row.Items))}
	f.Client = clientOf(row.Client)
	for _, it := range row.Items {
		f.Items = append(f.Items, Item{it.ProductId, it.Category, it.SellerId, it.Quantity, money(it.PriceMinor, row.Currency)})
	}
	return f
}

func clientOf(c *table.Client) *Client {
	if c == nil || c.Ip == "" && c.DeviceId == "" && c.SessionId == "" && c.UserAgent == "" {
		return nil
	}
	return &Client{c.Ip, c.DeviceId, c.SessionId, c.UserAgent}
}

func statusOf(row *table.Order) string {
	switch {
	case !row.Created:
		return "waiting"
	case row.CancelledAtMs != 0:
		return "cancelled"
	case row.DeliveredAtMs != 0:
		return "delivered"
	case row.DispatchedAtMs != 0:
		return "dispatched"
	case row.PaidAtMs != 0:
		return "paid"
	default:
		return "created"
	}
}
