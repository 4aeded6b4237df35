package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/api"
	"weir/views/query"
	"weir/views/query/querytest"
	"weir/views/search"
)

var rewrite = flag.Bool("rewrite", false, "write openapi.json anew")

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type orders struct {
	rows     map[string]*table.Order
	err      error
	progress query.Progress
}

func (o *orders) Get(id string) (*table.Order, int32, error) { return o.rows[id], 3, o.err }
func (o *orders) Progress() query.Progress                   { return o.progress }

type statusOf func() (api.Status, error)

func (f statusOf) Status(context.Context) (api.Status, error) { return f() }

type shop struct {
	*querytest.Table
	orders *orders
	ready  string
	status statusOf
	fraud  *fraud
	deps   api.Deps
	http.Handler
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{Table: querytest.New(), orders: &orders{rows: map[string]*table.Order{}, progress: query.Progress{Present: 8, Expected: 8}}}
	s.fraud = &fraud{index: search.New(1000), cases: map[string]*table.Case{}, entities: map[string]*views.Entity{}, watchers: map[string][]chan struct{}{}}
	s.Watermark(noon)
	s.status = func() (api.Status, error) {
		return api.Status{Groups: []api.GroupStatus{}, Counters: map[string]int64{}}, nil
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total", Help: "h"}))
	s.deps = api.Deps{
		Catalogue: querytest.Catalogue(), Metrics: s.Table, Orders: s.orders, Gatherer: reg, Version: "test",
		Ready: func() (bool, string) { return s.ready == "", s.ready }, Status: statusOf(func() (api.Status, error) { return s.status() }),
		Dashboard: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("page")) }),
		Now:       func() time.Time { return noon.Add(time.Hour) },
		Alerts:    s.fraud, Entities: entitiesOf{s.fraud}, Commands: s.fraud,
	}
	s.Handler = api.New(s.deps)
	return s
}

func (s *shop) get(t *testing.T, path string, into any) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
	}
	return w
}

type problem struct {
	Title, Detail string
	Status        int
	Errors        []struct{ Message, Location string }
	Tables        []api.TableStatus
}

func (s *shop) problem(t *testing.T, path string, status int) problem {
	t.Helper()
	var p problem
	w := s.get(t, path, &p)
	if w.Code != status || p.Status != status || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s %s, want a problem with %d", path, w.Code, w.Header().Get("Content-Type"), w.Body, status)
	}
	return p
}

func TestMetricQuery(t *testing.T) {
	s := open(t)
	s.Add(querytest.Key("revenue", "1m", noon, "card", "eu-west", "DE", "EUR"), 2, 1500)
	s.Add(querytest.Key("revenue", "1m", noon, "card", "us", "US", "USD"), 1, 900)
	w := s.get(t, "/v1/metrics/revenue?window=1m&from=2026-01-01T12:00:00Z&to=2026-01-01T13:00:00Z&by=region,currency&where=region:eu-west", nil)
	want := `{"metric":"revenue","kind":"sum","unit":"money","window":"1m","series":[{"labels":{"currency":"EUR","region":"eu-west"},"exponent":2,` +
		`"points":[{"start":"2026-01-01T12:00:00Z","end":"2026-01-01T12:01:00Z","value":"1500","count":2,"final":false}]}],"meta":{"watermark":"2026-01-01T12:00:00Z","as_of":`
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestProblemsNameTheParameter(t *testing.T) {
	s := open(t)
	for path, location := range map[string]string{
		"/v1/metrics/revenue?window=5m":    "query.window",
		"/v1/metrics/revenue?by=colour":    "query.by",
		"/v1/metrics/revenue?where=region": "query.where",
		"/v1/metrics/revenue?from=soon":    "query.from",
		"/v1/metrics/revenue?form=now":     "query.form",
	} {
		if p := s.problem(t, path, 422); len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if p := s.problem(t, "/v1/metrics/weather", 404); p.Errors[0].Location != "path.name" {
		t.Errorf("%+v", p)
	}
	s.problem(t, "/v1/nothing", 404)
	s.Break(errors.New("disk on fire"))
	if p := s.problem(t, "/v1/metrics/revenue", 500); strings.Contains(p.Detail, "fire") {
		t.Error("an inner error is told to the world")
	}
	s.Break(&query.NotReadyError{Table: "weir-metrics-table", Why: "it is starting"})
	s.problem(t, "/v1/metrics/revenue", 503)
}

func TestOrder(t *testing.T) {
	s := open(t)
	at := func(d time.Duration) int64 { return noon.Add(d).UnixMilli() }
	s.orders.rows["o-1"] = &table.Order{
		Created: true, CreatedAtMs: at(0), CustomerId: "c-1", Currency: "JPY", TotalMinor: 1200, CreatedTotalMinor: 1100, Region: "apac", PaidAtMs: at(time.Minute),
		CapturedMinor: 1200, Duplicates: 1, Items: []*table.Item{{ProductId: "p", Quantity: 2, PriceMinor: 600}}, LastAtMs: at(time.Minute),
		Entries: []*table.Entry{
			{Type: uint32(event.OrderCreated), AtMs: at(0), AmountMinor: 1100, Currency: "JPY", Topic: "orders", Offset: 7, ArrivedAtMs: at(time.Second), Counted: true},
			{Type: uint32(event.PaymentCaptured), AtMs: at(time.Minute), AmountMinor: 1200, Currency: "JPY", Source: "card", Reference: "pay-1", Topic: "payments", Offset: 9, Counted: true,
				EventId: "e-2", Card: &table.Card{Fingerprint: "fp-1", Last4: "4242"}, Client: &table.Client{Ip: "1.2.3.4"}},
		},
		Raised: []*table.Raised{{Rule: "duplicate_capture", Entity: "order:o-1"}},
	}
	s.orders.rows["o-2"] = &table.Order{Entries: []*table.Entry{{Type: uint32(event.PaymentCaptured), AtMs: at(0), AmountMinor: 5, Currency: "EUR", Topic: "payments"}}}

	var o api.Order
	s.get(t, "/v1/orders/o-1", &o)
	if o.Status != "paid" || o.Facts.Total != (api.Money{Amount: "1200", Currency: "JPY", Exponent: 0}) || o.Facts.CreatedTotal.Amount != "1100" || o.State.Captured.Amount != "1200" || o.Partition != 3 {
		t.Errorf("%+v", o)
	}
	if len(o.Timeline) != 2 || o.Timeline[0].Type != "order.created" || o.Timeline[0].Offset != 7 || o.Timeline[0].ArrivedAt.Sub(o.Timeline[0].Time) != time.Second ||
		o.Timeline[1].Amount.Amount != "1200" || o.Timeline[1].Topic != "payments" || o.Timeline[1].Partition != 3 {
		t.Errorf("%+v", o.Timeline)
	}
	if e := o.Timeline[1]; e.ID != "e-2" || *e.Card != (api.Card{Fingerprint: "fp-1", Last4: "4242"}) || e.Client.IP != "1.2.3.4" || o.Timeline[0].Card != nil ||
		o.Timeline[0].Client != nil || !slices.Equal(o.State.Raised, []api.Raised{{Rule: "duplicate_capture", Entity: "order:o-1"}}) {
		t.Errorf("%+v, raised %+v", o.Timeline, o.State.Raised)
	}
	o = api.Order{}
	s.get(t, "/v1/orders/o-2", &o)
	if o.Status != "waiting" || o.Facts != nil || o.State.Captured != nil || o.Timeline[0].Counted || o.Timeline[0].Amount.Exponent != 2 {
		t.Errorf("an order that waits: %+v", o)
	}
	if p := s.problem(t, "/v1/orders/o-3", 404); p.Errors[0].Location != "path.id" {
		t.Errorf("%+v", p)
	}
	s.orders.progress.Present = 7 // it may be in the partition that is missing
	s.problem(t, "/v1/orders/o-3", 503)
}

func TestHealthAndReadiness(t *testing.T) {
	s := open(t)
	if s.get(t, "/healthz", nil).Code != 200 || s.get(t, "/readyz", nil).Code != 200 {
		t.Error("not healthy or not ready")
	}
	s.ready, s.orders.progress.Present = "weir-orders-table: 3 of 8 partitions recovered", 3
	if p := s.problem(t, "/readyz", 503); !strings.Contains(p.Detail, "3 of 8") || len(p.Tables) != 4 || !p.Tables[1].Partial || p.Tables[0].Partial {
		t.Errorf("%+v", p)
	}
	if s.get(t, "/healthz", nil).Code != 200 {
		t.Error("a process that recovers is alive")
	}
	if w := s.get(t, "/metrics", nil); !strings.Contains(w.Body.String(), "weir_test_total 0") {
		t.Errorf("%s", w.Body)
	}
	if w := s.get(t, "/", nil); w.Body.String() != "page" {
		t.Errorf("%s", w.Body)
	}
}

func TestStatusTellsGroupsAndTables(t *testing.T) {
	s := open(t)
	s.status = func() (api.Status, error) {
		return api.Status{Groups: []api.GroupStatus{{Name: "weir-orders", Instances: 2, LagRecords: 5, Partitions: []api.PartitionStatus{}}}, Counters: map[string]int64{"late": 3}, Late: 3}, nil
	}
	var st api.Status
	s.get(t, "/v1/status", &st)
	if len(st.Groups) != 1 || st.Late != 3 || len(st.Tables) != 4 || st.Tables[0].Partitions.Present != 8 || st.Version != "test" {
		t.Errorf("%+v", st)
	}
	s.status = func() (api.Status, error) { return api.Status{}, errors.New("broker 10.0.0.1:9092 does not answer") }
	if p := s.problem(t, "/v1/status", 503); !strings.Contains(p.Detail, "10.0.0.1:9092") {
		t.Errorf("%+v", p)
	}
}

func TestOverviewFollowsTheData(t *testing.T) {
	type body struct {
		Metrics  []api.MetricInfo
		Overview api.Overview
	}
	look := func(fill func(*shop)) api.Overview {
		s := open(t)
		fill(s)
		var b body
		s.get(t, "/v1/metrics", &b)
		if len(b.Metrics) != len(querytest.Catalogue().Names()) {
			t.Errorf("%d metrics", len(b.Metrics))
		}
		return b.Overview
	}
	add := func(s *shop, at time.Time, currency string, n int64) {
		for _, w := range querytest.Windows {
			s.Add(querytest.Key("orders", w.Name, at.Truncate(w.Length), "eu", "DE", "web", currency), n, 0)
		}
	}
	if o := look(func(*shop) {}); o.Range != "1h" || o.Currency != "" || o.Currencies == nil {
		t.Errorf("an empty shop: %+v", o)
	}
	busy := look(func(s *shop) {
		add(s, noon.Add(-10*time.Minute), "USD", 100)
		add(s, noon.Add(-10*time.Minute), "EUR", 300)
	})
	if busy.Range != "1h" || busy.Window != "1m" || busy.Currency != "EUR" || len(busy.Currencies) != 2 || *busy.Currencies[1].Exponent != 2 {
		t.Errorf("a busy shop: %+v", busy)
	}
	slow := look(func(s *shop) {
		for d := range 20 {
			add(s, noon.AddDate(0, 0, -d), "BRL", 5)
		}
	})
	if slow.Range != "30d" || slow.Window != "1d" || slow.Currency != "BRL" {
		t.Errorf("a slow shop: %+v", slow)
	}
}

// openapi.json is what clients are generated from, so it changes only on purpose: go test ./views/api -rewrite
func TestOpenAPIDoesNotDrift(t *testing.T) {
	raw, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var now bytes.Buffer
	if err := json.Indent(&now, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	now.WriteByte('\n')
	if *rewrite {
		if err := os.WriteFile("openapi.json", now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, now.Bytes()) {
		t.Error("openapi.json differs from the handlers; if that is meant, run go test ./views/api -rewrite and commit it")
	}
	served := open(t).get(t, "/openapi.json", nil)
	var doc struct{ Paths map[string]any }
	if err := json.Unmarshal(served.Body.Bytes(), &doc); err != nil || doc.Paths["/v1/metrics/{name}"] == nil {
		t.Errorf("/openapi.json: %v %.200s", err, served.Body)
	}
}
