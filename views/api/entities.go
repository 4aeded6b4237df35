package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/query"
	"weir/views/search"
)

// Entities reads customers, cards, addresses and the like. Get gives nil without an error where there is none.
type Entities interface {
	Get(kind, id string) (entity *views.Entity, partition int32, err error)
	// List gives the ids of a kind that begin with prefix and come after another, in their order, at most limit of them.
	List(kind, prefix, after string, limit int) ([]string, error)
	Progress() query.Progress
	Missing() bool
}

func (s *server) registerEntities(a huma.API) {
	huma.Register(a, huma.Operation{OperationID: "get-entity", Method: http.MethodGet, Path: "/v1/entities/{kind}/{id}", Tags: []string{"entities"},
		Summary: "A card, a customer, an address or the like: its features, newest events and alerts", Errors: []int{404, 503}}, s.getEntity)
	huma.Register(a, huma.Operation{OperationID: "list-entities", Method: http.MethodGet, Path: "/v1/entities/{kind}", Tags: []string{"entities"},
		Summary: "The entities of a kind, by the beginning of their id", Errors: []int{503},
		Description: "In the order of their ids, such as customers of whom only the beginning of the id is known."}, s.listEntities)
	s.registerTimeline(a)
	huma.Register(a, huma.Operation{OperationID: "get-customer", Method: http.MethodGet, Path: "/v1/customers/{id}", Tags: []string{"entities"},
		Summary: "A customer: newest orders with their state, features and alerts", Errors: []int{404, 503}}, s.getCustomer)
}

// Entity is the body of GET /v1/entities/{kind}/{id}.
type Entity struct {
	Entity   string           `json:"entity" doc:"kind:id" example:"card:fp_1"`
	At       *time.Time       `json:"at" doc:"of the features: the watermark; null where the entity has none"`
	Features []Feature        `json:"features"`
	Events   []alert.Place    `json:"events" doc:"the newest, newest first, at most 100"`
	Score    int64            `json:"score" doc:"0 to 100: of all rules that say something about the entity"`
	Alerts   []search.Summary `json:"alerts" doc:"newest first"`
	Meta     query.Meta       `json:"meta" doc:"of entities and alerts together"`
}

// Feature is one reading of an entity, as rules compare it.
type Feature struct {
	Text        string     `json:"text" example:"count(orders by customer, 5m)"`
	Type        string     `json:"type" enum:"number,money,text,bool,time,duration"`
	Value       any        `json:"value" doc:"a number, money, a text, a truth, a time, or a duration in seconds; null while unknown"`
	From        *time.Time `json:"from" doc:"the window (from, to]; null: all that is kept"`
	To          time.Time  `json:"to"`
	Entries     int64      `json:"entries" doc:"events that it is made of"`
	Exact       bool       `json:"exact" doc:"false: older events are kept in buckets, so the window's edge is off by less than step_seconds"`
	StepSeconds float64    `json:"step_seconds,omitempty"`
	Warming     bool       `json:"warming" doc:"rules take it as unknown still: its window reaches back before it began to be kept. The value is what is known so far"`
	KeptSince   *time.Time `json:"kept_since,omitempty" doc:"of a feature that came with a new rule: since when it is kept"`
	CompleteAt  *time.Time `json:"complete_at,omitempty" doc:"while it is warming: when its window will be complete; absent where it has no window, and never is"`
}

type entityInput struct {
	Kind string `path:"kind" maxLength:"64" doc:"customer, card, ip, device, email, address, seller, product, order, or a key of a rule" example:"card"`
	ID   string `path:"id" maxLength:"512" example:"fp_1"`
	Freshness
}

type entityOutput struct{ Body Entity }

func (s *server) getEntity(_ context.Context, in *entityInput) (*entityOutput, error) {
	e, _, err := s.entity(in.Kind, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.enough(together(s.Entities.Progress(), s.Alerts.Progress()), s.Now()); err != nil {
		return nil, err
	}
	return &entityOutput{*e}, nil
}

// entity reads what both tables know of one. Its errors are for the client. A table that does not exist has nothing to tell.
func (s *server) entity(kind, id string) (*Entity, *table.Case, error) {
	if s.Alerts == nil || s.Entities == nil {
		return nil, nil, noFraud()
	}
	key := kind + ":" + id
	progress := together(s.Entities.Progress(), s.Alerts.Progress())
	out := &Entity{Entity: key, Features: []Feature{}, Events: []alert.Place{}, Alerts: []search.Summary{}, Meta: progress.Meta()}
	known, _, err := s.Entities.Get(kind, id)
	if err != nil && (!s.Entities.Missing() || s.Alerts.Missing()) {
		return nil, nil, s.problem(err)
	}
	var c *table.Case
	if !s.Alerts.Missing() {
		if c, err = s.Alerts.Case(key); err != nil {
			return nil, nil, s.problem(err)
		}
	}
	if known == nil && c == nil {
		detail := fmt.Sprintf("nothing is known of %s %q: no event named it within what is kept", kind, id)
		return nil, nil, huma.Error404NotFound(detail, &huma.ErrorDetail{Message: detail, Location: "path.id", Value: id})
	}
	if known != nil {
		at := known.At.Time()
		out.At = &at
		for i := range known.Features {
			out.Features = append(out.Features, featureOf(&known.Features[i]))
		}
		for _, p := range known.Events {
			out.Events = append(out.Events, placeOf(p))
		}
	}
	if c != nil {
		out.Score, out.Alerts = alert.CaseScore(c), s.alertsOf(key, c, "")
	}
	return out, c, nil
}

// together is the progress of an answer that is made of two tables: the older, of both.
func together(a, b query.Progress) query.Progress {
	a.Watermark = min(a.Watermark, b.Watermark)
	if b.AsOf.Before(a.AsOf) {
		a.AsOf = b.AsOf
	}
	if b.CaughtUpAt.Before(a.CaughtUpAt) {
		a.CaughtUpAt = b.CaughtUpAt
	}
	a.LagRecords += b.LagRecords
	a.Present += b.Present
	a.Expected += b.Expected
	return a
}

func featureOf(f *views.EntityFeature) Feature {
	out := Feature{Text: f.Text, Type: f.Type, From: instant(int64(f.From)), To: f.To.Time(), Entries: f.Entries, Exact: f.Exact,
		StepSeconds: f.Step.Seconds(), KeptSince: instant(int64(f.Since)), Warming: f.Since > 0 && f.From < f.Since}
	if out.Warming && f.From > 0 {
		complete := f.Since.Add(time.Duration(f.To-f.From) * time.Millisecond).Time()
		out.CompleteAt = &complete
	}
	if !f.Known {
		return out
	}
	switch f.Type {
	case "money":
		out.Value = money(int64(f.Number), f.Currency)
	case "text":
		out.Value = f.String
	case "bool":
		out.Value = f.Number != 0
	case "time":
		out.Value = event.UnixMilli(f.Number).Time()
	case "duration":
		out.Value = f.Number / 1000
	default:
		out.Value = f.Number
	}
	return out
}

func placeOf(p *table.Place) alert.Place {
	return alert.Place{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset, ID: p.Id, Type: p.Type, OrderID: p.OrderId,
		Time: event.UnixMilli(p.AtMs).Time().Format(time.RFC3339Nano)}
}

// EntityList is the body of GET /v1/entities/{kind}.
type EntityList struct {
	Entities []EntityRef `json:"entities"`
	Next     string      `json:"next" doc:"cursor of the page after; empty: this is the last one"`
	Meta     query.Meta  `json:"meta"`
}

// EntityRef names an entity.
type EntityRef struct {
	Entity string `json:"entity" doc:"kind:id" example:"customer:c-1"`
	ID     string `json:"id"`
}

type entitiesInput struct {
	Kind   string `path:"kind" maxLength:"64" doc:"customer, card, ip, device, email, address, seller, product, order, or a key of a rule" example:"customer"`
	Prefix string `query:"prefix" maxLength:"512" doc:"the beginning of the ids; empty: all" example:"c"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"of a page"`
	Cursor string `query:"cursor" maxLength:"1024" pattern:"^[A-Za-z0-9_-]*$" doc:"next of the page before"`
	Formats
	Freshness
}

type entitiesOutput struct{ Body EntityList }

func (s *server) listEntities(_ context.Context, in *entitiesInput) (*entitiesOutput, error) {
	if s.Entities == nil {
		return nil, noFraud()
	}
	progress := s.Entities.Progress()
	if err := in.enough(progress, s.Now()); err != nil {
		return nil, err
	}
	after, err := keyOf(in.Cursor)
	if err != nil {
		return nil, err
	}
	out := EntityList{Entities: []EntityRef{}, Meta: progress.Meta()}
	if s.Entities.Missing() {
		return &entitiesOutput{out}, nil
	}
	ids, err := s.Entities.List(in.Kind, in.Prefix, after, in.Limit+1)
	if err != nil {
		return nil, s.problem(err)
	}
	if len(ids) > in.Limit {
		ids = ids[:in.Limit]
		out.Next = cursorOf(ids[in.Limit-1])
	}
	for _, id := range ids {
		out.Entities = append(out.Entities, EntityRef{in.Kind + ":" + id, id})
	}
	return &entitiesOutput{out}, nil
}
