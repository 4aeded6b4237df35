package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/api"
	"weir/views/query"
	"weir/views/query/querytest"
)

func (s *shop) ask(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	s.ServeHTTP(w, r)
	return w
}

// An answer that only became fresher has not changed: 304, and its header says how fresh.
func TestAnswersAreNotSentTwice(t *testing.T) {
	s := open(t)
	key := querytest.Key("revenue", "1m", noon, "card", "eu-west", "DE", "EUR")
	s.Add(key, 2, 1500)
	const path = "/v1/metrics/revenue?window=1m"
	first := s.ask(t, path)
	tag := first.Header().Get("ETag")
	if first.Code != 200 || !strings.HasPrefix(tag, `W/"`) || first.Header().Get("Weir-Watermark") != "2026-01-01T12:00:00Z" || first.Header().Get("Weir-As-Of") == "" {
		t.Fatalf("%d %v", first.Code, first.Header())
	}
	s.Watermark(noon.Add(time.Second))
	again := s.ask(t, path, "If-None-Match", `"other", `+tag)
	if again.Code != 304 || again.Body.Len() > 0 || again.Header().Get("Weir-Watermark") != "2026-01-01T12:00:01Z" || again.Header().Get("ETag") != tag {
		t.Errorf("%d %v %s", again.Code, again.Header(), again.Body)
	}
	s.Add(key, 1, 1)
	if w := s.ask(t, path, "If-None-Match", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after a change: %d %v", w.Code, w.Header())
	}
	if w := s.ask(t, "/v1/metrics/nothing", "If-None-Match", "*"); w.Code != 404 || w.Header().Get("ETag") != "" {
		t.Errorf("a problem: %d %v", w.Code, w.Header())
	}
}

func TestStaleAnswersAreRefusedWhereAsked(t *testing.T) {
	s := open(t)
	now := noon.Add(time.Hour) // by the server's clock
	s.orders.rows["o-1"] = &table.Order{Created: true, Currency: "EUR"}
	s.orders.progress = query.Progress{Present: 8, Expected: 8, AsOf: now.Add(-10 * time.Second), Watermark: event.UnixMilli(noon.UnixMilli())}
	if w := s.ask(t, "/v1/orders/o-1?max_staleness=10s"); w.Code != 200 || w.Header().Get("Age") != "10" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	refused := func(what string) {
		t.Helper()
		if p := s.problem(t, "/v1/orders/o-1?max_staleness=9s", 503); len(p.Errors) != 1 || p.Errors[0].Location != "query.max_staleness" || !strings.Contains(p.Detail, what) {
			t.Errorf("%+v", p)
		}
	}
	refused("10s ago")
	if w := s.ask(t, "/v1/orders/o-1?max_staleness=9s"); w.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", w.Header())
	}
	s.orders.progress.CaughtUpAt = now.Add(-time.Minute)
	refused("10s ago") // what is newer counts
	s.orders.progress.CaughtUpAt = now.Add(-2 * time.Second)
	if w := s.ask(t, "/v1/orders/o-1?max_staleness=2s"); w.Code != 200 || w.Header().Get("Age") != "2" || w.Header().Get("Weir-Caught-Up-At") != "2026-01-01T12:59:58Z" {
		t.Errorf("a quiet shop: %d %v %s", w.Code, w.Header(), w.Body)
	}
	s.orders.progress.AsOf, s.orders.progress.Present = now, 7
	refused("7 of 8")
	if w := s.ask(t, "/v1/orders/o-1"); w.Code != 200 || w.Header().Get("Weir-Partial") != "7/8" || !strings.Contains(w.Body.String(), `"partial":true`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for path, param := range map[string]string{"/v1/orders/o-1?max_staleness=soon": "max_staleness", "/v1/metrics/revenue?format=": "format",
		"/v1/metrics/revenue?format=xml": "format", "/v1/entities/card?limit=": "limit", "/v1/entities/card?limit=1&limit=2": "limit", "/v1/alerts?sort=risk&sort=risk": "sort"} {
		if p := s.problem(t, path, 422); len(p.Errors) != 1 || p.Errors[0].Location != "query."+param {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestListsAsTables(t *testing.T) {
	s := open(t)
	evil := `=HYPERLINK("http://x")`
	s.Add(querytest.Key("revenue", "1m", noon, url.PathEscape(evil), "eu%2Cwest", "DE", "EUR"), 2, -1500)
	s.Add(querytest.Key("revenue", "1m", noon, "card", "eu%2Cwest", "DE", "EUR"), 1, 900)
	const path = "/v1/metrics/revenue?window=1m&by=method,region"
	w := s.ask(t, path, "Accept", "text/csv")
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") || w.Header().Get("Weir-Watermark") == "" {
		t.Fatalf("%d %v %v", w.Code, w.Header(), err)
	}
	got := fmt.Sprintf("%q", rows)
	want := `[["currency" "method" "region" "start" "end" "value" "count" "final" "late" "exponent"] ` +
		`["EUR" "'=HYPERLINK(\"http://x\")" "eu,west" "2026-01-01T12:00:00Z" "2026-01-01T12:01:00Z" "-1500" "2" "false" "0" "2"] ` +
		`["EUR" "card" "eu,west" "2026-01-01T12:00:00Z" "2026-01-01T12:01:00Z" "900" "1" "false" "0" "2"]]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	lines := strings.Split(strings.TrimSpace(s.ask(t, path+"&format=ndjson").Body.String()), "\n")
	var line query.Row
	if err := json.Unmarshal([]byte(lines[0]), &line); len(lines) != 2 || err != nil || line.Labels["method"] != evil || line.Value != "-1500" {
		t.Errorf("%v %q", err, lines)
	}
	// A problem is a problem, in whatever form the answer was wanted; and who wants either gets JSON.
	for header, content := range map[string]string{"text/csv": "application/problem+json", "*/*": "application/problem+json"} {
		if w := s.ask(t, "/v1/metrics/nothing", "Accept", header); w.Code != 404 || w.Header().Get("Content-Type") != content {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	if w := s.ask(t, path, "Accept", "text/html, */*;q=0.8"); w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v", w.Header())
	}
	s.alert(anAlert("a-1", "velocity", "customer:+c", 60, "o-1"))
	for _, list := range []string{"/v1/alerts", "/v1/entities/customer"} {
		if w := s.ask(t, list+"?format=csv"); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") {
			t.Errorf("%s: %d %v %s", list, w.Code, w.Header(), w.Body)
		}
	}
}

func TestMethodsThatAPathDoesNotTake(t *testing.T) {
	s := open(t)
	for _, method := range []string{"TRACE", "DELETE", "PATCH"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/v1/alerts", nil))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

// A customer's events come in the order in which they happened, whatever order they arrived in, with what rules and people made of them.
func TestTimelineOfACustomer(t *testing.T) {
	s := open(t)
	at := func(d time.Duration) int64 { return noon.Add(d).UnixMilli() }
	s.orders.rows["o-1"] = &table.Order{Created: true, CustomerId: "c-1", Currency: "EUR", Entries: []*table.Entry{
		{Type: uint32(event.OrderCreated), AtMs: at(0), ArrivedAtMs: at(time.Minute), Topic: "orders", Offset: 4, Counted: true},
		{Type: uint32(event.PaymentCaptured), AtMs: at(-time.Minute), ArrivedAtMs: at(2 * time.Minute), Topic: "payments", Offset: 9, AmountMinor: 1200, Currency: "EUR", Counted: true},
	}}
	s.orders.rows["o-2"] = &table.Order{Created: true, CustomerId: "c-2", Entries: []*table.Entry{{Type: uint32(event.OrderCreated), AtMs: at(0), Topic: "orders"}}}
	s.fraud.entities["customer:c-1"] = &views.Entity{At: event.UnixMilli(at(0)), Events: []*table.Place{{OrderId: "o-1"}, {OrderId: "o-2"}},
		Features: []views.EntityFeature{{Text: "count(orders by customer, 1h)", Type: "number", Known: true, Number: 1, From: event.UnixMilli(at(-time.Hour)), To: event.UnixMilli(at(0)),
			Since: event.UnixMilli(at(-time.Minute))}}}
	a := anAlert("a-1", "velocity", "customer:c-1", 60, "o-1")
	a.StartedMs = at(30 * time.Second)
	a.History = []*table.Change{{SeenAtMs: at(time.Hour), AtMs: at(0), What: "confirm", Author: "ann", Reason: "stolen card"}}
	s.alert(a)
	look := func(params string) (out string, next string) {
		var tl api.Timeline
		s.get(t, "/v1/customers/c-1/timeline?"+params, &tl)
		for _, e := range tl.Entries {
			out += e.What + " "
			if e.Kind == "payment" && (e.Amount.Amount != "1200" || !e.ArrivedAt.After(e.Time) || e.Place.Offset != 9) {
				t.Errorf("%+v", e)
			}
		}
		return out, tl.Next
	}
	if got, _ := look("order=oldest"); got != "payment.captured order.created opened confirm " {
		t.Error(got)
	}
	got, next := look("limit=3")
	if got != "confirm opened order.created " {
		t.Error(got)
	}
	if got, next = look("limit=3&cursor=" + url.QueryEscape(next)); got != "payment.captured " || next != "" {
		t.Error(got, next)
	}
	s.problem(t, "/v1/customers/c-1/timeline?cursor=bm9uZQ", 422)
	s.problem(t, "/v1/customers/c-9/timeline", 404)

	var c api.Customer
	s.get(t, "/v1/customers/c-1", &c)
	if f := c.Features[0]; !f.Warming || f.CompleteAt == nil || !f.CompleteAt.Equal(noon.Add(59*time.Minute)) {
		t.Errorf("%+v", f)
	}
	for n := range 5 {
		s.fraud.entities[fmt.Sprint("customer:d-", n)] = &views.Entity{}
	}
	var ids []string
	for cursor := ""; ; {
		var list api.EntityList
		s.get(t, "/v1/entities/customer?prefix=d-&limit=2&cursor="+cursor, &list)
		for _, e := range list.Entities {
			ids = append(ids, e.ID)
		}
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if fmt.Sprint(ids) != "[d-0 d-1 d-2 d-3 d-4]" {
		t.Error(ids)
	}
}

// A write that is repeated with its key is done once.
func TestRepeatedWritesOfRules(t *testing.T) {
	s, book := openRules(t)
	header := map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k-1"}
	put := func(yaml string) int {
		return s.send(t, request{"PUT", "/v1/rules/card_testing", `{"yaml": "when: amount > ` + yaml + `", "author": "cem"}`, header}, nil).Code
	}
	if first, again := put("7"), put("7"); first != 200 || again != 200 || len(book.changes) != 1 {
		t.Errorf("%d %d, %d changes", first, again, len(book.changes))
	}
	if other := put("8"); other != 422 {
		t.Errorf("another request with the same key: %d", other)
	}
	header["Idempotency-Key"] = "k-2"
	if other := put("8"); other != 200 || len(book.changes) != 2 {
		t.Errorf("%d, %d changes", other, len(book.changes))
	}
}
