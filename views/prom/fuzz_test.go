package prom

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequests sends any parameters to any path: every answer is JSON in Prometheus' form, and none is a fault of the server.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		"query?query=1%2B1&time=4", "query?query=shop_orders&time=2026-01-02T12:00:00Z&limit=1", "query?query=sum(shop_orders[5m:1s])&timeout=1",
		"query_range?query=rate(shop_orders_total[5m])&start=1767350000&end=1767355200&step=60", "query_range?query=1&start=0&end=1e18&step=1e15",
		"query?query=shop_orders offset -1y", "query?query=shop_customers{by=\"region,region,\"}", "query?query={__name__=~\".%2B\"}&time=1767355200",
		"query?query=shop_time_to_ship_seconds{quantile=~\"0\\\\.5|1\"}&lookback_delta=1ms", "query?query=shop_orders @ 1767355200.5",
		"labels?match[]=shop_orders&start=NaN", "label/region/values?start=-Inf&end=Inf", "label/__name__/values?limit=3",
		"series?match[]={region!=\"\"}&start=1767350000&end=1767355200", "metadata?metric=x&limit=1&limit_per_metric=z", "format_query?query=sum(a)by(b)",
		"query_exemplars?query=(", "status/buildinfo", "rules?type=alert", "query?query=shop_attempts{window=~\"sliding.*|5m:1m\"}&time=1767355200",
	} {
		path, params, _ := strings.Cut(seed, "?")
		f.Add(path, params, strings.Contains(seed, "sum"))
	}
	h := serve(f, fewOrders())
	f.Fuzz(func(t *testing.T, path, params string, post bool) {
		target := &url.URL{Path: Prefix + path, RawQuery: params}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if post {
			r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(params))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			target.RawQuery = ""
		}
		r.URL = target
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 { // the path was put in order
			return
		}
		var a answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatalf("%d: %v: %s", w.Code, err, w.Body)
		}
		if w.Code == http.StatusInternalServerError || (a.Status == "success") != (w.Code == http.StatusOK) || (a.Error == "") != (a.Status == "success") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
