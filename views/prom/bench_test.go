package prom

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/views/query/querytest"
)

// BenchmarkRange is a chart of a day in minutes with twenty series: 28,800 rows.
func BenchmarkRange(b *testing.B) {
	table := querytest.New()
	for at := noon.Add(-24 * time.Hour); at.Before(noon); at = at.Add(time.Minute) {
		for i := range 20 {
			table.Add(querytest.Key("orders", "1m", at, "eu-west", fmt.Sprintf("C%02d", i), "web", "EUR"), int64(1+i), 0)
			table.Took(querytest.Key("time_to_ship", "1m", at, "dhl", "eu-west", fmt.Sprintf("C%02d", i)), time.Duration(1+i)*time.Hour)
		}
	}
	table.Watermark(noon)
	h := serve(b, table)
	for _, expr := range []string{
		`shop_orders`,
		`sum by (country) (sum_over_time(shop_orders[1m]))`,
		`sum(rate(shop_orders_total[5m]))`,
		`shop_time_to_ship_seconds{quantile="0.95"}`,
		`shop_time_to_ship_seconds{quantile="0.95",by="total"}`,
	} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			form := asForm("query", expr, "start", unix(noon.Add(-24*time.Hour)), "end", unix(noon), "step", "60").Encode()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, Prefix+"query_range", strings.NewReader(form))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
				b.ReportMetric(float64(w.Body.Len()), "bytes/answer")
			}
		})
	}
}
