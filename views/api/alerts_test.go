package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/api"
	"weir/views/query"
	"weir/views/search"
)

// fraud is a table of cases with its index, entities, and a group that takes decisions.
type fraud struct {
	mu       sync.Mutex
	index    *search.Index
	cases    map[string]*table.Case
	entities map[string]*views.Entity
	watchers map[string][]chan struct{}
	decided  []*table.Decision
	group    func(f *fraud, d *table.Decision) // what happens to a decision that is written; nil: nothing
	refuse   error                             // of Kafka
	missing  bool                              // the table of entities
}

func (f *fraud) put(entity string, change func(c *table.Case)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cases[entity].CloneVT()
	if c == nil {
		c = &table.Case{}
	}
	change(c)
	f.cases[entity] = c
	f.index.Put(entity, search.Of(entity, c, noon))
	for _, ch := range f.watchers[entity] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (f *fraud) Search(q *search.Query) (*search.Answer, error) {
	return f.index.Search(q, search.Moment{Watermark: event.UnixMilli(noon.UnixMilli()), Now: noon}), nil
}

func (f *fraud) Sharing(entities, orders []string, but string, limit int) ([]search.Shared, error) {
	return f.index.Sharing(entities, orders, but, limit), nil
}

func (f *fraud) Started(from, to event.UnixMilli, fn func(*search.Alert)) error {
	f.index.Started(from, to, fn)
	return nil
}

func (f *fraud) Find(id string) (now, entity string, err error) {
	a, _ := f.index.Find(id)
	return a.ID, a.Entity, nil
}

func (f *fraud) Case(entity string) (*table.Case, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cases[entity], nil
}

func (f *fraud) Watch(entity string) (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{}, 1)
	f.watchers[entity] = append(f.watchers[entity], ch)
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers[entity] = slices.DeleteFunc(f.watchers[entity], func(other chan struct{}) bool { return other == ch })
	}
}

func (f *fraud) Progress() query.Progress {
	return query.Progress{Watermark: event.UnixMilli(noon.UnixMilli()), Present: 8, Expected: 8}
}
func (f *fraud) Missing() bool { return false }

func (f *fraud) Decide(_ context.Context, decisions []*table.Decision) []error {
	errs := make([]error, len(decisions))
	for i, d := range decisions {
		if errs[i] = f.refuse; f.refuse != nil {
			continue
		}
		f.decided = append(f.decided, d)
		if f.group != nil {
			go f.group(f, d)
		}
	}
	return errs
}

// takes is a group that takes what fits the revision, once.
func takes(f *fraud, d *table.Decision) {
	f.put(d.Entity, func(c *table.Case) {
		for _, a := range c.Alerts {
			switch {
			case a.Id != d.Alert || slices.Contains(c.Applied, d.Id):
			case d.ExpectedRevision != 0 && d.ExpectedRevision != a.Revision:
				c.Refusals = append(c.Refusals, &table.Refusal{Decision: d.Id, Alert: d.Alert, Why: "somebody was faster", Revision: a.Revision})
			case a.Status == alert.Closed:
				c.Refusals = append(c.Refusals, &table.Refusal{Decision: d.Id, Alert: d.Alert, Why: "the alert is closed: reopen it first", Revision: a.Revision})
			default:
				a.Status, a.Revision = alert.StatusAfter(d.Action), a.Revision+1
				a.History = append(a.History, &table.Change{SeenAtMs: d.SeenAtMs, What: d.Action, Author: d.Author, Reason: d.Reason, Decision: d.Id})
				c.Applied = append(c.Applied, d.Id)
			}
		}
	})
}

// entitiesOf are the entities of the fake.
type entitiesOf struct{ *fraud }

func (e entitiesOf) Get(kind, id string) (*views.Entity, int32, error) {
	if e.missing {
		return nil, 0, &query.NotReadyError{Table: "weir-entities-table", Why: "it does not exist"}
	}
	return e.entities[kind+":"+id], 3, nil
}
func (e entitiesOf) List(kind, prefix, after string, limit int) (out []string, err error) {
	for key := range e.entities {
		if k, id, _ := strings.Cut(key, ":"); k == kind && strings.HasPrefix(id, prefix) && id > after {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), limit)], nil
}
func (e entitiesOf) Missing() bool { return e.missing }

func anAlert(id, rule, entity string, score int64, orders ...string) *table.Alert {
	a := &table.Alert{Id: id, Rule: rule, Title: "Title of " + rule, Entity: entity, Status: alert.Open, Episode: alert.Active, Severity: "high", Score: score,
		Revision: 1, StartedMs: noon.UnixMilli(), LastMs: noon.UnixMilli(), RiskMinor: 123_45, Currency: "EUR", Orders: int64(len(orders)), Hits: int64(len(orders))}
	for _, o := range orders {
		a.HitsKept = append(a.HitsKept, &table.HitRef{OrderId: o})
	}
	return a
}

func (s *shop) alert(a *table.Alert) {
	s.fraud.put(a.Entity, func(c *table.Case) {
		c.Alerts = append(c.Alerts, a)
		slices.SortFunc(c.Alerts, func(a, b *table.Alert) int { return strings.Compare(a.Rule, b.Rule) })
	})
}

func (s *shop) post(t *testing.T, path string, header map[string]string, body string, into any) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	s.ServeHTTP(w, r)
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
	}
	return w
}

func TestAlertsAreListed(t *testing.T) {
	s := open(t)
	for n := range 5 {
		s.alert(anAlert(fmt.Sprintf("a-%d", n), "velocity", fmt.Sprint("card:", n), int64(50+n), "o-1"))
	}
	s.alert(anAlert("b-1", "mismatch", "order:o-9", 99))
	var page api.AlertList
	w := s.get(t, "/v1/alerts?rule=velocity&min_score=51&limit=3", &page)
	if w.Code != 200 || len(page.Alerts) != 3 || page.Total != 4 || page.Next == "" || page.Alerts[0].ID != "a-4" || page.Meta.Partitions.Present != 8 || page.Meta.Watermark == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a := page.Alerts[0]; a.CaseScore != 54 || *a.AtRisk != (api.Money{Amount: "12345", Currency: "EUR", Exponent: 2}) || !a.Started.Equal(noon) || a.Title != "Title of velocity" {
		t.Errorf("%+v", a)
	}
	if page.Facets.Rule["mismatch"] != 1 || page.Facets.Rule["velocity"] != 4 || page.Facets.Status["open"] != 4 || page.Facets.Severity["high"] != 4 {
		t.Errorf("%+v", page.Facets)
	}
	var rest api.AlertList
	s.get(t, "/v1/alerts?rule=velocity&min_score=51&limit=3&cursor="+page.Next, &rest)
	if len(rest.Alerts) != 1 || rest.Alerts[0].ID != "a-1" || rest.Next != "" {
		t.Errorf("%+v", rest)
	}
	for path, location := range map[string]string{"/v1/alerts?status=opened": "query.status", "/v1/alerts?limit=501": "query.limit", "/v1/alerts?state=open": "query.state",
		"/v1/alerts?sort=risk&cursor=" + page.Next: "query.cursor", "/v1/alerts?started_from=soon": "query.started_from"} {
		if p := s.problem(t, path, 422); len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestAnAlertIsExplained(t *testing.T) {
	s := open(t)
	a := anAlert("a-1", "velocity", "card:1", 60, "o-1", "o-2", "o-1")
	a.Formerly, a.Revision = []string{"a-0"}, 7
	a.First = []*table.Finding{{OrderId: "o-0", Predicates: []*table.Predicate{{Text: "count(orders by card, 5m) > 3", Observed: "4", Operator: ">", Threshold: "3",
		Events: []*table.Place{{Topic: "orders", Partition: 2, Offset: 9, Id: "e-1", AtMs: noon.UnixMilli(), Type: "order.created", OrderId: "o-1"}}, EventsTotal: 4}}}}
	a.History = []*table.Change{{AtMs: noon.UnixMilli(), What: "opened"}}
	a.Status, a.SnoozedUntilMs = alert.Snoozed, noon.Add(-time.Minute).UnixMilli()
	s.alert(a)
	s.alert(anAlert("a-2", "spend", "card:1", 50))
	for _, id := range []string{"a-1", "a-0"} {
		var d api.AlertDetail
		w := s.get(t, "/v1/alerts/"+id, &d)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("ETag"), `"7-`) || d.Alert.ID != "a-1" || d.Alert.Status != alert.Open || d.Alert.SnoozedUntil != "" {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if !slices.Equal(d.OrderIDs, []string{"o-1", "o-2", "o-0"}) || d.Case.Score != 80 || d.Alert.CaseScore != 80 || len(d.Case.Alerts) != 1 || d.Case.Alerts[0].ID != "a-2" {
			t.Errorf("%s", w.Body)
		}
		if len(d.Alert.Explanation) != 1 || d.Alert.Explanation[0].Observed != "4" || d.Alert.Explanation[0].Events[0].Offset != 9 || len(d.Alert.History) != 1 {
			t.Errorf("%s", w.Body)
		}
	}
	if p := s.problem(t, "/v1/alerts/a-9", 404); p.Errors[0].Location != "path.id" {
		t.Errorf("%+v", p)
	}
}

func TestRelatedAlertsShareWhatTheOrdersHave(t *testing.T) {
	s := open(t)
	s.orders.rows["o-1"] = &table.Order{Created: true, CustomerId: "c-1", EmailHash: "e-1", Client: &table.Client{Ip: "1.2.3.4"}, Entries: []*table.Entry{
		{Type: uint32(event.PaymentAttempted), Card: &table.Card{Fingerprint: "fp-1"}, Client: &table.Client{DeviceId: "d-1"}},
		{Type: uint32(event.PaymentAttempted), Card: &table.Card{Fingerprint: "fp-1"}}}}
	s.orders.rows["o-2"] = &table.Order{Created: true, CustomerId: "c-2", EmailHash: "e-1"}
	s.alert(anAlert("a-1", "velocity", "customer:c-1", 60, "o-2", "o-1"))
	s.alert(anAlert("a-2", "cards", "card:fp-1", 50, "o-8"))
	s.alert(anAlert("a-3", "mismatch", "order:o-7", 90, "o-2"))
	s.alert(anAlert("a-4", "mismatch", "order:o-5", 90, "o-5"))
	var r api.Related
	if w := s.get(t, "/v1/alerts/a-1/related", &r); w.Code != 200 {
		t.Fatal(w.Body)
	}
	entities := map[string]string{}
	for _, e := range r.Entities {
		entities[e.Entity] = strings.Join(e.Orders, " ")
	}
	for key, orders := range map[string]string{"customer:c-1": "o-1", "card:fp-1": "o-1", "device:d-1": "o-1", "ip:1.2.3.4": "o-1", "email:e-1": "o-1 o-2", "customer:c-2": "o-2", "order:o-2": "o-2"} {
		if entities[key] != orders {
			t.Errorf("%s is shared by %q, want %q", key, entities[key], orders)
		}
	}
	var alerts []string
	for _, a := range r.Alerts {
		alerts = append(alerts, a.ID+" "+strings.Join(a.SharedOrders, ","))
	}
	if !slices.Equal(alerts, []string{"a-3 o-2", "a-2 "}) {
		t.Errorf("%q", alerts)
	}
	s.problem(t, "/v1/alerts/a-9/related", 404)
	s.problem(t, "/v1/alerts/a-1/related?limit=101", 422)
}

func TestADecisionIsTakenOnceAndAnsweredWithTheAlert(t *testing.T) {
	s := open(t)
	s.fraud.group = takes
	s.alert(anAlert("a-1", "velocity", "card:1", 60))
	decide := func(header map[string]string, body string) (*httptest.ResponseRecorder, api.Decided) {
		var d api.Decided
		w := s.post(t, "/v1/alerts/a-1/decisions", header, body, &d)
		return w, d
	}
	confirm := `{"action":"confirm","author":"ann","reason":"called the bank"}`
	once := map[string]string{"If-Match": `"1"`, "Idempotency-Key": "k-1"}
	for range 2 { // the repetition finds the alert changed, by itself
		w, d := decide(once, confirm)
		if w.Code != 200 || w.Header().Get("ETag") != `"2"` || !d.Taken || d.Alert.Status != alert.Confirmed || d.Alert.History[0].Author != "ann" || d.Alert.History[0].Decision != d.Decision {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if len(s.fraud.decided) != 1 {
		t.Errorf("%d decisions written", len(s.fraud.decided))
	}
	if d := s.fraud.decided[0]; d.Entity != "card:1" || d.ExpectedRevision != 1 || d.SeenAtMs != noon.Add(time.Hour).UnixMilli() {
		t.Errorf("%v", d)
	}
	var p problem
	w := s.post(t, "/v1/alerts/a-1/decisions", map[string]string{"If-Match": `"1"`}, confirm, &p)
	if w.Code != 412 || len(s.fraud.decided) != 1 || p.Errors[0].Location != "header.If-Match" { // seen before it is written
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = s.post(t, "/v1/alerts/a-1/decisions", map[string]string{"If-Match": `"5"`}, confirm, &p) // of another server that is ahead, or a lie: the group tells
	if w.Code != 412 || p.Detail != "somebody was faster" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w, _ := decide(nil, `{"action":"close","author":"ann"}`); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = s.post(t, "/v1/alerts/a-1/decisions", nil, confirm, &p)
	if w.Code != 409 || p.Detail != "the alert is closed: reopen it first" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestADecisionThatIsNotSeenYetIsToldSo(t *testing.T) {
	s := open(t)
	s.alert(anAlert("a-1", "velocity", "card:1", 60))
	ctx, cancel := context.WithCancel(t.Context())
	s.fraud.group = func(*fraud, *table.Decision) { cancel() } // the client goes before anything is seen
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/alerts/a-1/decisions", strings.NewReader(`{"action":"acknowledge","author":"ann"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var d api.Decided
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 202 || d.Taken || d.Decision == "" || d.Alert.Status != alert.Open {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
	s.fraud.refuse = errors.New("no broker answers")
	var p problem
	if w := s.post(t, "/v1/alerts/a-1/decisions", nil, `{"action":"acknowledge","author":"ann"}`, &p); w.Code != 503 || !strings.Contains(p.Detail, "Idempotency-Key") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDecisionsThatCannotBeAreRefusedAtOnce(t *testing.T) {
	s := open(t)
	s.alert(anAlert("a-1", "velocity", "card:1", 60))
	for body, location := range map[string]string{
		`{"action":"forget","author":"ann"}`:                                             "body.action",
		`{"action":"close","author":" "}`:                                                "body.author",
		`{"action":"close"}`:                                                             "body",
		`{"action":"comment","author":"ann"}`:                                            "body.reason",
		`{"action":"snooze","author":"ann"}`:                                             "body.until",
		`{"action":"snooze","author":"ann","until":"2026-01-01T12:59:59Z"}`:              "body.until",
		`{"action":"close","author":"ann","reson":"x"}`:                                  "body.reson",
		`{"action":"close","author":"ann","reason":"` + strings.Repeat("x", 2001) + `"}`: "body.reason",
	} {
		var p problem
		if w := s.post(t, "/v1/alerts/a-1/decisions", nil, body, &p); w.Code != 422 || len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
	ok := `{"action":"close","author":"ann"}`
	var p problem
	if w := s.post(t, "/v1/alerts/a-1/decisions", map[string]string{"If-Match": "soon"}, ok, &p); w.Code != 422 || p.Errors[0].Location != "header.If-Match" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.post(t, "/v1/alerts/a-9/decisions", nil, ok, &p); w.Code != 404 || p.Errors[0].Location != "path.id" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(s.fraud.decided) != 0 {
		t.Errorf("%v", s.fraud.decided)
	}
}

func TestManyAlertsAreDecidedOnAtOnce(t *testing.T) {
	s := open(t)
	s.fraud.group = takes
	for n := range 3 {
		s.alert(anAlert(fmt.Sprint("a-", n), "velocity", fmt.Sprint("card:", n%2), 60)) // a-0 and a-2 are of one entity
	}
	closed := anAlert("a-3", "velocity", "card:3", 60)
	closed.Status = alert.Closed
	s.alert(closed)
	var out struct{ Results []api.BulkResult }
	body := `{"alerts":[{"id":"a-0"},{"id":"a-1","revision":1},{"id":"a-2","revision":9},{"id":"a-3"},{"id":"a-4"}],"action":"false_positive","author":"ann"}`
	for round := range 2 {
		w := s.post(t, "/v1/alerts/decisions", map[string]string{"Idempotency-Key": "bulk-1"}, body, &out)
		if w.Code != 200 || len(out.Results) != 5 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var got []string
		for _, r := range out.Results {
			status := ""
			if r.Alert != nil {
				status = r.Alert.Status
			}
			got = append(got, fmt.Sprint(r.ID, " ", r.Status, " ", status))
		}
		if want := []string{"a-0 200 false_positive", "a-1 200 false_positive", "a-2 412 open", "a-3 409 closed", "a-4 404 "}; !slices.Equal(got, want) {
			t.Errorf("round %d: %q, want %q", round, got, want)
		}
	}
	if len(s.fraud.decided) != 4 {
		t.Errorf("%d decisions written", len(s.fraud.decided))
	}
	var p problem
	if w := s.post(t, "/v1/alerts/decisions", nil, `{"alerts":[{"id":"a-0"},{"id":"a-0"}],"action":"close","author":"ann"}`, &p); w.Code != 422 || p.Errors[0].Location != "body.alerts[1].id" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	many := `{"alerts":[` + strings.Repeat(`{"id":"x"},`, 200) + `{"id":"y"}],"action":"close","author":"ann"}`
	if w := s.post(t, "/v1/alerts/decisions", nil, many, &p); w.Code != 422 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAnEntityIsToldWithItsFeatures(t *testing.T) {
	s := open(t)
	at := event.UnixMilli(noon.UnixMilli())
	s.fraud.entities["card:fp/1"] = &views.Entity{At: at, Features: []views.EntityFeature{
		{Text: "count(orders by card, 5m)", From: at.Add(-5 * time.Minute), To: at, Type: "number", Known: true, Number: 7, Entries: 7, Exact: true},
		{Text: "sum(total of orders by card)", To: at, Type: "money", Known: true, Number: 61250, Currency: "EUR", Step: time.Hour},
		{Text: "last(country of orders by card)", To: at, Type: "text", Known: true, String: "DE"},
		{Text: "since_last(orders by card)", To: at, Type: "duration", Known: true, Number: 1500},
		{Text: "mean(total of orders by card)", To: at, Type: "money"},
	}, Events: []*table.Place{{Topic: "orders", Partition: 1, Offset: 5, Id: "e-1", Type: "order.created", OrderId: "o-1", AtMs: noon.UnixMilli()}}}
	s.alert(anAlert("a-1", "velocity", "card:fp/1", 60))
	var body struct {
		At       time.Time
		Features []struct {
			Text  string
			Value any
			From  *time.Time
			Exact bool
			Step  float64 `json:"step_seconds"`
		}
		Events []alert.Place
		Score  int64
		Alerts []search.Summary
		Meta   query.Meta
	}
	if w := s.get(t, "/v1/entities/card/fp%2F1", &body); w.Code != 200 {
		t.Fatal(w.Body)
	}
	want := []string{"7", "map[amount:61250 currency:EUR exponent:2]", "DE", "1.5", "<nil>"}
	for i, f := range body.Features {
		if fmt.Sprint(f.Value) != want[i] {
			t.Errorf("%s is %v, want %s", f.Text, f.Value, want[i])
		}
	}
	if !body.At.Equal(noon) || len(body.Features) != 5 || body.Features[0].From == nil || body.Features[1].From != nil || body.Features[1].Step != 3600 || body.Score != 60 ||
		len(body.Alerts) != 1 || body.Events[0].OrderID != "o-1" || body.Meta.Partitions.Present != 16 {
		t.Errorf("%+v", body)
	}
	if p := s.problem(t, "/v1/entities/card/none", 404); p.Errors[0].Location != "path.id" {
		t.Errorf("%+v", p)
	}
	s.fraud.missing = true // only group alerts runs: what it knows is told
	if w := s.get(t, "/v1/entities/card/fp%2F1", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"a-1"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestACustomerIsToldWithOrders(t *testing.T) {
	s := open(t)
	order := func(id, customer string, after time.Duration) {
		at := noon.Add(after).UnixMilli()
		s.orders.rows[id] = &table.Order{Created: true, CustomerId: customer, CreatedAtMs: at, LastAtMs: at, TotalMinor: 500, Currency: "JPY", Country: "c" + id, PaidAtMs: at,
			CustomerCreatedAtMs: noon.AddDate(-1, 0, 0).UnixMilli()}
	}
	order("o-1", "c-1", 0)
	order("o-2", "c-1", time.Hour)
	order("o-3", "c-2", time.Hour) // the alert cites it, but it is another customer's
	s.fraud.entities["customer:c-1"] = &views.Entity{Features: []views.EntityFeature{}, Events: []*table.Place{{OrderId: "o-1"}, {OrderId: "o-1"}, {OrderId: "o-4"}}}
	s.alert(anAlert("a-1", "velocity", "customer:c-1", 60, "o-3", "o-2"))
	var c api.Customer
	if w := s.get(t, "/v1/customers/c-1", &c); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if len(c.Orders) != 2 || c.Orders[0].OrderID != "o-2" || c.Orders[1].OrderID != "o-1" || c.Orders[0].Status != "paid" || *c.Orders[0].Total != (api.Money{Amount: "500", Currency: "JPY"}) {
		t.Errorf("%+v", c.Orders)
	}
	if c.Country != "co-2" || !c.Since.Equal(noon.AddDate(-1, 0, 0)) || c.Score != 60 || len(c.Alerts) != 1 || len(c.Events) != 3 || c.Meta.Partitions.Expected != 24 {
		t.Errorf("%+v", c)
	}
	s.problem(t, "/v1/customers/c-9", 404)
}

// A server of an installation that never had the groups for fraud serves everything else.
func TestWithoutFraudTheRestIsServed(t *testing.T) {
	s := open(t)
	s.Handler = api.New(api.Deps{Orders: s.orders, Metrics: s.Table})
	for _, path := range []string{"/v1/alerts", "/v1/alerts/a-1", "/v1/alerts/a-1/related", "/v1/entities/card/1", "/v1/customers/c-1"} {
		s.problem(t, path, 503)
	}
	if w := s.get(t, "/v1/status", nil); w.Code != 200 {
		t.Error(w.Body)
	}
}
