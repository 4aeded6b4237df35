package prom

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views/query"
	"weir/views/query/querytest"
)

func TestAnswersSayWhatTheyLack(t *testing.T) {
	table := day(t)
	h := serve(t, table)
	told := func(a answer, part string) {
		t.Helper()
		if a.Status != "success" || !strings.Contains(strings.Join(append(a.Warnings, a.Infos...), "\n"), part) {
			t.Errorf("nobody is told %q: %+v", part, a)
		}
	}
	told(get(t, h, "query_range", "query", "shop_orders", "start", unix(noon.Add(-72*time.Hour)), "end", unix(noon), "step", "3600"), "kept for 2d")
	told(get(t, h, "query", "query", "shop_sales"), "there is no metric shop_sales")
	told(get(t, h, "query", "query", `shop_orders{by="method"}`), `no label "method"`)
	told(get(t, h, "label/region/values", "limit", "1"), "truncated")
	table.Present(5)
	told(get(t, h, "query", "query", "shop_orders"), "5 of 8 partitions")
	told(get(t, h, "series", "match[]", "shop_orders"), "5 of 8 partitions")
	table.Present(8)
	if a := get(t, h, "query", "query", "sum(shop_orders)", "time", unix(noon)); len(a.Warnings)+len(a.Infos) > 0 {
		t.Errorf("a whole answer warns: %+v", a)
	}
}

func TestErrorsNameWhatToMend(t *testing.T) {
	table := day(t)
	h := serve(t, table)
	at := unix(noon)
	for _, c := range []struct {
		path, params, kind, part string
		code                     int
	}{
		{"query", "", "bad_data", "give an expression", 400},
		{"query", "query=sum(", "bad_data", "parse error", 400},
		{"query", "query=1&time=yesterday", "bad_data", "yesterday", 400},
		{"query", "query=1&timeout=soon", "bad_data", "soon", 400},
		{"query", "query=1&limit=-1", "bad_data", "limit", 400},
		{"query", "query=shop_orders{by=~\"r.*\"}", "bad_data", "chosen, not searched", 400},
		{"query", "query=shop_time_to_ship_seconds{quantile=\"p50\"}", "bad_data", "p50", 400},
		{"query", "query=" + strings.Repeat("+", maxExpression) + "1", "bad_data", "bytes", 400},
		{"query_range", "query=1&start=" + at + "&end=" + at, "bad_data", "step", 400},
		{"query_range", "query=1&step=60", "bad_data", "start and end", 400},
		{"query_range", "query=1&step=0&start=1&end=2", "bad_data", "step", 400},
		{"query_range", "query=1&step=1&start=3&end=2", "bad_data", "before start", 400},
		{"query_range", "query=1&step=1&start=0&end=11002", "bad_data", "11000 points", 400},
		{"query_range", "query=shop_orders[5m]&step=1&start=0&end=2", "bad_data", "expression type", 400},
		{"query", "query=shop_orders+%2B+on(channel)+shop_orders&time=" + at, "execution", "duplicate series", 422},
		{"series", "", "bad_data", "match[]", 400},
		{"series", "match[]={", "bad_data", "match[]", 400},
		{"labels", "match[]=" + strings.Repeat("a&match[]=", maxSelectors) + "a", "bad_data", "at most", 400},
		{"labels", "start=2&end=1", "bad_data", "before start", 400},
		{"metadata", "limit=x", "bad_data", "limit", 400},
		{"tsdb", "", "not_found", "query_range", 404},
	} {
		a := do(t, h, httptest.NewRequest(http.MethodGet, Prefix+c.path+"?"+strings.ReplaceAll(c.params, "\"", "%22"), nil))
		if a.code != c.code || a.ErrorType != c.kind || !strings.Contains(a.Error, c.part) {
			t.Errorf("%s?%.80s: %d %s %q", c.path, c.params, a.code, a.ErrorType, a.Error)
		}
	}
	if a := do(t, h, httptest.NewRequest(http.MethodDelete, Prefix+"query", nil)); a.code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %+v", a)
	}
	if a := post(t, h, "query", "query", strings.Repeat("1", maxBody)); a.code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too long: %d %s", a.code, a.Error)
	}
	table.Break(&query.NotReadyError{Table: "weir-metrics-table", Why: "it is being recovered"})
	if a := get(t, h, "query", "query", "shop_orders"); a.code != 503 || a.ErrorType != "unavailable" {
		t.Errorf("a table that is not ready: %+v", a)
	}
	table.Break(fmt.Errorf("the disk is gone"))
	if a := get(t, h, "query", "query", "shop_orders"); a.code != 500 || a.ErrorType != "internal" || strings.Contains(a.Error, "disk") {
		t.Errorf("a table that is broken: %+v", a)
	}
}

func TestLimitsHold(t *testing.T) {
	table := querytest.New()
	for i := range maxSeries + 1 {
		table.Add(querytest.Key("items_sold", "1m", noon.Add(-time.Minute), fmt.Sprintf("c%d", i), "EUR"), 1, 1)
	}
	table.Watermark(noon)
	h := serve(t, table)
	for _, expr := range []string{`shop_items_sold`, `sum(shop_items_sold)`, `shop_items_sold_total`} {
		if a := get(t, h, "query", "query", expr, "time", unix(noon)); a.code != 422 || !strings.Contains(a.Error, "series") {
			t.Errorf("%s over too many series: %d %s", expr, a.code, a.Error)
		}
	}
	if got := valueOf(t, h, `shop_items_sold{by="total"}`, noon); got != maxSeries+1 {
		t.Errorf("merged they are %v", got)
	}
	table = day(t)
	h = serve(t, table)
	for _, expr := range []string{
		`sum_over_time(vector(1)[1000d:1ms])`, `sum(sum_over_time(shop_orders[1h:1ms]))`, `count_over_time(absent(shop_x)[100y:1h])`,
		`max_over_time(sum_over_time(shop_orders[1m:1s])[4d:1h])`, `sum_over_time(vector(1)[1000*1d:1ms])`, `sum_over_time(vector(1)[290y:1ms])`,
	} {
		if a := get(t, h, "query", "query", expr, "time", unix(noon)); a.code != 400 || !strings.Contains(a.Error, "subqueries") {
			t.Errorf("%s: %d %.200s %s", expr, a.code, a.Error, a.Data)
		}
	}
	if a := get(t, h, "query", "query", `sum(sum_over_time({__name__=~"shop_(orders|gmv|revenue|funnel|deliveries)"}[5h:100ms]))`, "time", unix(noon)); a.code != 422 || !strings.Contains(a.Error, "samples") {
		t.Errorf("a subquery with too many samples: %d %s", a.code, a.Error)
	}
	if a := get(t, h, "query", "query", `count_over_time(shop_orders[1h:1s])`, "time", unix(noon), "timeout", "0"); a.code != 503 || a.ErrorType != "timeout" {
		t.Errorf("a query without time: %d %s %s", a.code, a.ErrorType, a.Error)
	}
}

// TestQueriesRunBesideChanges is for the race detector: more queries than have a turn, while rows come.
func TestQueriesRunBesideChanges(t *testing.T) {
	table := fewOrders()
	h := serve(t, table)
	var clients sync.WaitGroup
	for i := range 3 * maxRunning {
		clients.Go(func() {
			expr := []string{`sum(shop_orders)`, `sum(rate(shop_gmv_total[5m]))`, `shop_time_to_ship_seconds{by="total"}`}[i%3]
			for range 5 {
				if a := post(t, h, "query_range", "query", expr, "start", unix(noon.Add(-time.Hour)), "end", unix(noon), "step", "60"); a.code != http.StatusOK {
					t.Errorf("%s: %d %s", expr, a.code, a.Error)
				}
				if a := get(t, h, "label/region/values"); a.code != http.StatusOK {
					t.Errorf("label values: %d %s", a.code, a.Error)
				}
			}
		})
	}
	for i := range 200 {
		table.Add(querytest.Key("orders", "1m", noon.Add(-time.Duration(i%30)*time.Minute), "eu-west", "DE", "web", "EUR"), 1, 0)
	}
	clients.Wait()
}
