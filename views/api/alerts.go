package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
	"weir/views/search"
)

// Alerts finds and reads alerts.
type Alerts interface {
	Search(q *search.Query) (*search.Answer, error)
	// Sharing gives alerts about any of the entities or with any of the orders, but the one of the id.
	Sharing(entities, orders []string, but string, limit int) ([]search.Shared, error)
	// Find tells which alert has the id now, or had it before, and about which entity it is; "" where there is none.
	Find(id string) (now, entity string, err error)
	// Case reads the row of an entity; nil without an error where there is none.
	Case(entity string) (*table.Case, error)
	// Watch tells, by one token, that the entity's row has changed and can be found so.
	Watch(entity string) (changes <-chan struct{}, stop func())
	// Started calls fn, in no order, for each alert whose first hit lies in [from, to). fn must not keep it.
	Started(from, to event.UnixMilli, fn func(*search.Alert)) error
	Progress() query.Progress
	Missing() bool
}

func (s *server) registerAlerts(a huma.API) {
	tags := []string{"alerts"}
	huma.Register(a, huma.Operation{OperationID: "list-alerts", Method: http.MethodGet, Path: "/v1/alerts", Tags: tags,
		Summary: "Alerts, those first that matter most", Errors: []int{422, 503},
		Description: "Values of one filter are alternatives, by commas or repeated; different filters must all hold. facets count what matches by value, " +
			"each without its own filter. The page after begins at next, given as cursor with the same filters and sort."}, s.listAlerts)
	huma.Register(a, huma.Operation{OperationID: "hourly-alerts", Method: http.MethodGet, Path: "/v1/alerts/hourly", Tags: tags,
		Summary: "How many alerts of each rule began in each hour", Errors: []int{422, 503}}, s.hourlyAlerts)
	huma.Register(a, huma.Operation{OperationID: "get-alert", Method: http.MethodGet, Path: "/v1/alerts/{id}", Tags: tags,
		Summary: "One alert: why, since when, what was decided, and the other alerts of its entity", Errors: []int{404, 503},
		Description: "Found under each id that it ever had. ETag begins with its revision and serves as the If-Match of a decision."}, s.getAlert)
	huma.Register(a, huma.Operation{OperationID: "related-alerts", Method: http.MethodGet, Path: "/v1/alerts/{id}/related", Tags: tags,
		Summary: "What the alert's orders have in common with other alerts", Errors: []int{404, 422, 503},
		Description: "Looks at the newest orders of the alert: at who placed them, with which cards, addresses, devices and from where, " +
			"and at the alerts about these."}, s.relatedAlerts)
	huma.Register(a, huma.Operation{OperationID: "decide-alert", Method: http.MethodPost, Path: "/v1/alerts/{id}/decisions", Tags: tags,
		Summary: "Decide on an alert", Errors: []int{404, 409, 412, 422, 503}, Description: "200: the decision is taken, and the alert is as it is now. " +
			"202: it is written and will be taken or refused, but that was not seen within 5 s. 409 and 412: it was refused, detail says why. " +
			"Repeated with the same Idempotency-Key it is taken once."}, s.decideAlert)
	huma.Register(a, huma.Operation{OperationID: "decide-alerts", Method: http.MethodPost, Path: "/v1/alerts/decisions", Tags: tags,
		Summary: "Decide on many alerts at once", Errors: []int{422, 503},
		Description: "Each alert has its own result, whose status is what a decision on it alone would have been answered with."}, s.decideAlerts)
	// Money belongs to topology/alert, which knows nothing of HTTP; what it means is told here.
	if m := a.OpenAPI().Components.Schemas.Map()["Money"]; m != nil {
		m.Properties["amount"].Description = "minor units; a string, since it may pass 2^53"
		m.Properties["exponent"].Description = "decimal places of the currency"
	}
}

type alertsInput struct {
	Status      []string `query:"status,explode" doc:"open, acknowledged, confirmed, false_positive, snoozed, closed, withdrawn" example:"open"`
	Severity    []string `query:"severity,explode" doc:"low, medium, high, critical"`
	Rule        []string `query:"rule,explode" doc:"ids of rules"`
	Entity      []string `query:"entity,explode" doc:"kind:id; only repeated, since an id may hold commas" example:"customer:c-1"`
	Kind        []string `query:"kind,explode" doc:"kinds of entities: customer, card, ip …"`
	Episode     []string `query:"episode,explode" doc:"active: hits may still join the alert; ended"`
	Assignee    []string `query:"assignee,explode"`
	Q           string   `query:"q" doc:"part of a title or an entity, in any case of letters; or a whole order id or alert id"`
	MinScore    string   `query:"min_score" doc:"0 to 100, of the alert or of its case" example:"50"`
	Shadow      string   `query:"shadow" doc:"alerts of rules in shadow: exclude (default), only, include"`
	StartedFrom string   `query:"started_from" doc:"first hit: RFC 3339, a date, now-1h (now is the watermark) or wall-1h; inclusive" example:"now-24h"`
	StartedTo   string   `query:"started_to" doc:"exclusive"`
	LastFrom    string   `query:"last_from" doc:"last hit; inclusive"`
	LastTo      string   `query:"last_to" doc:"exclusive"`
	Sort        string   `query:"sort" doc:"priority (default): score of the case × amount at risk; newest or recent: first or last hit; risk. Greatest first"`
	Limit       string   `query:"limit" doc:"1 to 500, default 100"`
	Cursor      string   `query:"cursor" doc:"next of the page before"`
	Formats
	Freshness
}

func (in *alertsInput) params() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"q": in.Q, "min_score": in.MinScore, "shadow": in.Shadow,
		"started_from": in.StartedFrom, "started_to": in.StartedTo, "last_from": in.LastFrom, "last_to": in.LastTo,
		"sort": in.Sort, "limit": in.Limit, "cursor": in.Cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, values := range map[string][]string{"status": in.Status, "severity": in.Severity, "rule": in.Rule, "entity": in.Entity, "kind": in.Kind,
		"episode": in.Episode, "assignee": in.Assignee} {
		if len(values) > 0 {
			v[name] = values
		}
	}
	return v
}

// AlertList is the body of GET /v1/alerts.
type AlertList struct {
	Alerts  []search.Summary `json:"alerts"`
	Next    string           `json:"next" doc:"cursor of the page after; empty: this is the last one"`
	Total   int              `json:"total" doc:"alerts that match, on all pages"`
	Facets  Facets           `json:"facets"`
	LeftOut int              `json:"left_out" doc:"old, ended alerts that are more than the server can search; GET /v1/entities/{kind}/{id} has them"`
	Meta    query.Meta       `json:"meta"`
}

// Facets count alerts by value.
type Facets struct {
	Status   map[string]int `json:"status"`
	Severity map[string]int `json:"severity"`
	Rule     map[string]int `json:"rule"`
}

type alertsOutput struct{ Body AlertList }

func (s *server) listAlerts(_ context.Context, in *alertsInput) (*alertsOutput, error) {
	if s.Alerts == nil {
		return nil, noFraud()
	}
	q, err := search.Parse(in.params())
	if err != nil {
		return nil, s.problem(err)
	}
	progress := s.Alerts.Progress()
	if err := in.enough(progress, s.Now()); err != nil {
		return nil, err
	}
	a, err := s.Alerts.Search(q)
	if err != nil {
		return nil, s.problem(err)
	}
	return &alertsOutput{AlertList{Alerts: summaries(a.Alerts), Next: a.Next, Total: a.Total, Facets: Facets(a.Facets), LeftOut: a.LeftOut,
		Meta: progress.Meta()}}, nil
}

// alertsProgress is how far the alerts have come, where that is enough.
func (s *server) alertsProgress(in Freshness) (query.Progress, error) {
	if s.Alerts == nil {
		return query.Progress{}, noFraud()
	}
	p := s.Alerts.Progress()
	return p, in.enough(p, s.Now())
}

func noFraud() error { return huma.Error503ServiceUnavailable("this server follows no alerts") }

func summaries(alerts []search.Alert) []search.Summary {
	out := make([]search.Summary, len(alerts))
	for i := range alerts {
		out[i] = alerts[i].Summary()
	}
	return out
}

// AlertDetail is the body of GET /v1/alerts/{id}.
type AlertDetail struct {
	Alert    *alert.Alert `json:"alert"`
	OrderIDs []string     `json:"order_ids" doc:"of its hits, newest first, at most 100"`
	Case     Case         `json:"case"`
	Meta     query.Meta   `json:"meta"`
}

// Case is everything that rules say about one entity.
type Case struct {
	Entity string           `json:"entity"`
	Score  int64            `json:"score" doc:"0 to 100: of all rules that say something about the entity"`
	Alerts []search.Summary `json:"alerts" doc:"the entity's other alerts, newest first"`
}

type alertInput struct {
	ID string `path:"id" maxLength:"64" doc:"the alert's id, also one that it had before" example:"9f3c2a7755d01b44"`
	Freshness
}

type alertOutput struct {
	ETag string `header:"ETag"`
	Body AlertDetail
}

// maxOrderIDs is how many of an alert's orders are told, maxOthers how many other alerts of its entity.
const (
	maxOrderIDs = 100
	maxOthers   = 100
)

func (s *server) getAlert(_ context.Context, in *alertInput) (*alertOutput, error) {
	progress, err := s.alertsProgress(in.Freshness)
	if err != nil {
		return nil, err
	}
	c, a, err := s.alertByID(in.ID)
	if err != nil {
		return nil, err
	}
	body := AlertDetail{Alert: s.shown(c, a), OrderIDs: search.OrdersOf(a, maxOrderIDs), Meta: progress.Meta(),
		Case: Case{a.Entity, alert.CaseScore(c), s.alertsOf(a.Entity, c, a.Id)}}
	return &alertOutput{etag(a), body}, nil
}

// alertByID reads an alert and the row that it stands in. Its error is for the client.
func (s *server) alertByID(id string) (*table.Case, *table.Alert, error) {
	now, entity, err := s.Alerts.Find(id)
	if err != nil {
		return nil, nil, s.problem(err)
	}
	if now == "" {
		return nil, nil, noAlert(id)
	}
	c, err := s.Alerts.Case(entity)
	if err != nil {
		return nil, nil, s.problem(err)
	}
	a := alertIn(c, id)
	if a == nil {
		return nil, nil, noAlert(id)
	}
	return c, a, nil
}

func noAlert(id string) error {
	detail := fmt.Sprintf("there is no alert %q; it may have expired", id)
	return huma.Error404NotFound(detail, &huma.ErrorDetail{Message: detail, Location: "path.id", Value: id})
}

// alertIn finds an alert by its id, or by one that it had.
func alertIn(c *table.Case, id string) *table.Alert {
	for _, a := range c.GetAlerts() {
		if a.Id == id {
			return a
		}
	}
	for _, a := range c.GetAlerts() {
		if slices.Contains(a.Formerly, id) {
			return a
		}
	}
	return nil
}

// shown is the alert as it is outside, with the status of now.
func (s *server) shown(c *table.Case, a *table.Alert) *alert.Alert {
	out := alert.Of(a, alert.CaseScore(c))
	if out.Status = alert.StatusAt(a, s.Now()); out.Status != alert.Snoozed {
		out.SnoozedUntil = ""
	}
	return out
}

func etag(a *table.Alert) string { return strconv.Quote(strconv.FormatInt(a.Revision, 10)) }

// alertsOf are the alerts of an entity, newest first, but the one of the id.
func (s *server) alertsOf(entity string, c *table.Case, but string) []search.Summary {
	all := slices.DeleteFunc(search.Of(entity, c, s.Now()), func(a search.Alert) bool { return a.ID == but })
	slices.SortStableFunc(all, func(a, b search.Alert) int { return int(min(1, max(-1, int64(b.Last-a.Last)))) })
	return summaries(all[:min(len(all), maxOthers)])
}
