package prom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir/views/query/querytest"
)

// fewOrders is a shop whose rows fit on a page: ten minutes of orders, payments and parcels.
func fewOrders() *querytest.Table {
	table := querytest.New()
	for i := range 10 {
		at := noon.Add(time.Duration(i-10) * time.Minute)
		for _, w := range querytest.Windows {
			start := at.Truncate(w.Length)
			place := [][]string{{"eu-west", "DE", "EUR"}, {"us", "US", "USD"}}[i%2]
			table.Add(querytest.Key("orders", w.Name, start, place[0], place[1], "web", place[2]), int64(i+1), 0)
			table.Add(querytest.Key("gmv", w.Name, start, place[0], place[1], "web", place[2]), int64(i+1), int64(1000*i))
			table.Took(querytest.Key("time_to_ship", w.Name, start, "dhl", place[0], place[1]), time.Duration(i+1)*time.Hour)
			table.Sold(querytest.Key("top_products", w.Name, start, "Audio"), fmt.Sprintf("p%d", i%3), int64(i+1))
		}
	}
	table.Watermark(noon)
	return table
}

// TestGrafanaIsAnswered plays the requests of testdata/grafana.txt: those that Grafana's Prometheus data source makes, as its client
// (pkg/promlib) and its language provider form them. go test ./views/prom -run Grafana -rewrite writes the answers anew.
func TestGrafanaIsAnswered(t *testing.T) {
	h := serve(t, fewOrders())
	datadriven.RunTest(t, "testdata/grafana.txt", func(t *testing.T, d *datadriven.TestData) string {
		path := Prefix + d.CmdArgs[0].Key
		form := strings.ReplaceAll(d.Input, "\n", "&")
		r := httptest.NewRequest(http.MethodGet, path+"?"+form, nil)
		if d.Cmd == "POST" {
			r = httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return fmt.Sprintf("%d %s\n%s", w.Code, w.Header().Get("Content-Type"), readable(t, w.Body.Bytes()))
	})
}

// readable writes an answer with a line for each entry of a list.
func readable(t *testing.T, body []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, body); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	text := strings.ReplaceAll(out.String(), runtime.Version(), "GO")
	for _, cut := range []string{`{"metric":`, `{"__name__":`, `"shop_`} {
		text = strings.ReplaceAll(text, ","+cut, ",\n "+cut)
	}
	return text + "\n"
}
