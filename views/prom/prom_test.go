package prom

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/topology/metric"
	"weir/views/query"
	"weir/views/query/querytest"
)

// noon is the watermark of most tests: a day of orders lies before it, and an hour after.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// day is a shop with rows of every kind, from the noon before to an hour after the watermark.
func day(t testing.TB) *querytest.Table {
	t.Helper()
	shop := querytest.OpenShop(querytest.New(), 7, 3)
	for at := noon.Add(-24 * time.Hour); at.Before(noon.Add(time.Hour)); at = at.Add(time.Minute) {
		shop.Minute(at, 1)
	}
	for i, at := 0, noon.Add(-24*time.Hour); at.Before(noon); i, at = i+1, at.Add(7*time.Minute) {
		for _, w := range querytest.Windows {
			start := at.Truncate(w.Length)
			shop.Saw(querytest.Key("customers", w.Name, start, "eu-west", []string{"DE", "FR"}[i%2]), fmt.Sprintf("c%d", i%40))
			shop.Sold(querytest.Key("top_products", w.Name, start, "Audio"), fmt.Sprintf("p%d", i%5), int64(1+i%3))
			shop.Add(querytest.Key("refunds", w.Name, start, "card", "eu-west", "EUR"), 1, int64(100+i))
			shop.Add(querytest.Key("revenue", w.Name, start, "card", "asia", "JP", "JPY"), 1, int64(1000+i))
			shop.Add(querytest.Key("items_sold", w.Name, start, "Audio", "EUR"), 1, int64(i%4))
		}
	}
	for at := noon.Add(-50 * time.Minute); at.Before(noon); at = at.Add(time.Minute) {
		shop.Add(querytest.Key("attempts", "5m:1m", at, "card"), 3, 0)
	}
	shop.Watermark(noon)
	return shop.Table
}

func serve(t testing.TB, table query.Metrics) http.Handler {
	t.Helper()
	return New(Config{Catalogue: querytest.Catalogue(), Metrics: table, Version: "test", Now: func() time.Time { return noon.Add(3 * time.Second) }})
}

// answer is what a client sees.
type answer struct {
	Status    string
	Data      json.RawMessage
	ErrorType string
	Error     string
	Warnings  []string
	Infos     []string
	code      int
}

func get(t testing.TB, h http.Handler, path string, params ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, Prefix+path+"?"+asForm(params...).Encode(), nil)
	return do(t, h, r)
}

func post(t testing.TB, h http.Handler, path string, params ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Prefix+path, strings.NewReader(asForm(params...).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(t, h, r)
}

func asForm(params ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	return v
}

func do(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{code: w.Code}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%s %s: %v\n%s", r.Method, r.URL, err, w.Body)
	}
	if (a.Status == "success") != (w.Code == http.StatusOK) {
		t.Fatalf("%s %s: status %q with code %d", r.Method, r.URL, a.Status, w.Code)
	}
	return a
}

// lineOf is one series of an answer; values by time in Unix seconds.
type lineOf struct {
	Metric map[string]string
	Value  []any
	Values [][]any
}

func (l lineOf) at(t testing.TB) map[int64]float64 {
	t.Helper()
	out := map[int64]float64{}
	for _, p := range append(slices.Clone(l.Values), l.Value) {
		if p == nil {
			continue
		}
		v, err := strconv.ParseFloat(p[1].(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		out[int64(p[0].(float64))] = v
	}
	return out
}

func lines(t testing.TB, a answer) []lineOf {
	t.Helper()
	if a.Status != "success" {
		t.Fatalf("%d %s: %s", a.code, a.ErrorType, a.Error)
	}
	var data struct{ Result []lineOf }
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatalf("%v\n%s", err, a.Data)
	}
	return data.Result
}

// valueOf is the only value of an instant query at noon, or at another time.
func valueOf(t testing.TB, h http.Handler, expr string, at time.Time) float64 {
	t.Helper()
	ls := lines(t, get(t, h, "query", "query", expr, "time", at.Format(time.RFC3339Nano)))
	if len(ls) != 1 {
		t.Fatalf("%s has %d series: %v", expr, len(ls), ls)
	}
	for _, v := range ls[0].at(t) {
		return v
	}
	return math.NaN()
}

func values(t testing.TB, a answer) []string {
	t.Helper()
	var out []string
	if err := json.Unmarshal(a.Data, &out); err != nil || a.Status != "success" {
		t.Fatalf("%v\n%+v", err, a)
	}
	return out
}

func TestValuesAreThoseOfTheQueryAPI(t *testing.T) {
	table := day(t)
	h := serve(t, table)
	catalogue := querytest.Catalogue()
	compared := 0
	for _, name := range catalogue.Names() {
		m := catalogue.Get(name)
		for _, w := range m.Windows {
			if w.Kind.String() == "sliding" {
				continue
			}
			for by := range len(m.Labels) + 2 { // none, each label by itself, all
				compared += compareWithQuery(t, h, table, m, w, by)
			}
		}
	}
	if compared < 20_000 {
		t.Errorf("only %d values were compared", compared)
	}
}

func compareWithQuery(t *testing.T, h http.Handler, table query.Metrics, m *metric.Metric, w metric.Window, by int) int {
	t.Helper()
	from := noon.Add(-24 * time.Hour).Truncate(w.Advance) // so that every step is the end of a window
	params := url.Values{"window": {w.Name}, "from": {from.Add(-w.Size).Format(time.RFC3339)}, "to": {noon.Format(time.RFC3339)}}
	selector := fmt.Sprintf("window=%q", w.Name)
	switch {
	case by == 0:
		selector += `,by="total"`
	case by <= len(m.Labels):
		params.Set("by", m.Labels[by-1])
		selector += fmt.Sprintf(",by=%q", m.Labels[by-1])
	default:
		params.Set("by", strings.Join(m.Labels, ","))
	}
	q, err := querytest.Catalogue().Parse(m.Name, params)
	if err != nil {
		t.Fatal(err)
	}
	want, err := query.Run(q, table, noon)
	if err != nil {
		t.Skipf("%s: %v", m.Name, err)
	}
	expr := valueName(m) + "{" + selector + "}"
	got := lines(t, post(t, h, "query_range", "query", expr, "start", from.Format(time.RFC3339), "end", noon.Format(time.RFC3339), "step", fmt.Sprint(w.Advance.Seconds())))
	shown := map[string]map[int64]float64{}
	for _, l := range got {
		key := ""
		for _, name := range append(slices.Clone(q.By), labelQuantile, labelValue) {
			key += l.Metric[name] + "/"
		}
		shown[key] = l.at(t)
	}
	compared := 0
	for _, s := range want.Series {
		key := ""
		for _, name := range q.By {
			key += s.Labels[name] + "/"
		}
		for _, p := range s.Points {
			if p.End.After(noon) || p.End.Before(from) || p.End.Sub(from)%w.Advance != 0 {
				continue
			}
			for suffix, v := range wanted(t, m, s, p) {
				got, ok := shown[key+suffix][p.End.Unix()]
				if !ok || math.Abs(got-v) > 1e-9*math.Abs(v)+tolerance(m) {
					t.Fatalf("%s %s at %s: is %v (%t), the query API says %v", expr, key+suffix, p.End, got, ok, v)
				}
				delete(shown[key+suffix], p.End.Unix())
				compared++
			}
		}
	}
	for key, rest := range shown {
		for at, v := range rest {
			if v != 0 || m.Kind == metric.Quantiles || m.Kind == metric.Ratio {
				t.Fatalf("%s %s at %s is %v, where the query API has nothing", expr, key, time.Unix(at, 0).UTC(), v)
			}
		}
	}
	return compared
}

// tolerance: the query API rounds averages of money to minor units.
func tolerance(m *metric.Metric) float64 {
	if m.Kind == metric.Ratio && m.Unit == metric.Money {
		return 0.0051
	}
	return 0
}

// wanted are the values of a point of the query API, by what the labels quantile and value say.
func wanted(t *testing.T, m *metric.Metric, s query.Series, p query.Point) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	switch {
	case m.Kind == metric.Quantiles:
		for q, v := range p.Quantiles {
			out[q+"//"] = v
		}
	case m.Kind == metric.Top:
		for _, e := range p.Top {
			out["/"+e.Value+"/"] = float64(e.Count)
		}
	case p.Value == nil:
	default:
		v, err := strconv.ParseFloat(fmt.Sprint(p.Value), 64)
		if err != nil {
			t.Fatal(err)
		}
		if s.Exponent != nil {
			v /= math.Pow10(*s.Exponent)
		}
		out["//"] = v
	}
	return out
}

func TestWindowsAddUpExactly(t *testing.T) {
	table := day(t)
	h := serve(t, table)
	at := noon.Add(-17 * time.Minute)
	const byRow = `sum(sum_over_time(shop_orders[3h]))`
	var want float64
	q, err := querytest.Catalogue().Parse("orders", url.Values{"window": {"1m"}, "from": {at.Add(-3 * time.Hour).Format(time.RFC3339)}, "to": {at.Format(time.RFC3339)}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := query.Run(q, table, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.Series[0].Points {
		want += float64(p.Count)
	}
	for _, expr := range []string{
		byRow,
		`sum(increase(shop_orders_total[3h] anchored))`, // over three restarts
		`sum(sum_over_time(shop_orders{by="total"}[3h]))`,
		`sum(sum_over_time(shop_gmv_events[3h]))`,
		`sum(increase(shop_gmv_events_total[3h] anchored))`,
		`sum(sum_over_time(shop_funnel{stage="created"}[3h]))`,
	} {
		if got := valueOf(t, h, expr, at); math.Abs(got-want) > 1e-6 || want < 100 {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
	plain := valueOf(t, h, `sum(increase(shop_orders_total[3h]))`, at)
	if math.Abs(plain-want) > 0.03*want { // plain increase extrapolates to the ends of its range
		t.Errorf("increase without anchored is %v, want about %v", plain, want)
	}
	if r := valueOf(t, h, `sum(rate(shop_orders_total[3h] anchored)) * 3 * 3600`, at); math.Abs(r-want) > 1e-6 {
		t.Errorf("rate comes to %v, want %v", r, want)
	}
}

func TestCountersDoNotDependOnWhoAsks(t *testing.T) {
	h := serve(t, day(t))
	whole := lines(t, get(t, h, "query_range", "query", `shop_orders_total{by="total"}`, "start", unix(noon.Add(-5*time.Hour)), "end", unix(noon), "step", "60"))[0].at(t)
	if len(whole) != 301 {
		t.Fatalf("%d samples", len(whole))
	}
	for at, v := range whole {
		if got := valueOf(t, h, `shop_orders_total{by="total"}`, time.Unix(at, 0)); got != v {
			t.Errorf("at %s it is %v and in a range %v", time.Unix(at, 0).UTC(), got, v)
		}
	}
	for at := noon.Add(-4 * time.Hour); at.Before(noon); at = at.Add(time.Minute) {
		step := whole[at.Add(time.Minute).Unix()] - whole[at.Unix()]
		if at.Minute() == 0 {
			step = whole[at.Add(time.Minute).Unix()] // restarted on the hour
		}
		if want := valueOf(t, h, `shop_orders{by="total"}`, at.Add(time.Minute)); step != want {
			t.Errorf("from %s the counter grew by %v, the window has %v", at, step, want)
		}
	}
}

func unix(t time.Time) string { return fmt.Sprint(t.Unix()) }

func TestOpenWindowsAreNotShown(t *testing.T) {
	table := day(t)
	table.Watermark(noon.Add(-30 * time.Second))
	h := serve(t, table)
	before := valueOf(t, h, `shop_orders{by="total"}`, noon.Add(-time.Minute))
	if got := valueOf(t, h, `shop_orders{by="total"}`, noon); got != before {
		t.Errorf("while the newest window is open the last closed one is shown: %v, want %v", got, before)
	}
	table.Watermark(noon)
	open := querytest.Key("orders", "1m", noon.Add(-time.Minute), "eu-west", "DE", "web", "EUR")
	table.Set(querytest.Key("orders", "1m", noon.Add(-time.Minute), "us", "US", "web", "USD"), nil)
	table.Add(open, 1000, 0)
	if got := valueOf(t, h, `shop_orders{by="total"}`, noon); got < 1000 {
		t.Errorf("once the watermark has passed its end the window is shown: %v", got)
	}
	if at := valueOf(t, h, `timestamp(shop_orders{by="total"})`, noon.Add(3*time.Minute)); at != float64(noon.Unix()) {
		t.Errorf("the sample stands at %v, want the end of the window %v", at, noon.Unix())
	}
}

func TestSeriesHoldAndEnd(t *testing.T) {
	h := serve(t, day(t))
	for _, c := range []struct {
		expr  string
		after time.Duration
		want  int
	}{
		{`shop_orders{by="total"}`, 5*time.Minute - time.Second, 1},
		{`shop_orders{by="total"}`, 5 * time.Minute, 0},
		{`shop_orders{by="total",window="1h"}`, time.Hour - time.Second, 1},
		{`shop_orders{by="total",window="1h"}`, time.Hour, 0},
		{`shop_orders{by="total",window="1d"}`, 12*time.Hour - time.Second, 1}, // the day that ended at midnight
		{`shop_orders{by="total",window="1d"}`, 12 * time.Hour, 0},
	} {
		if got := lines(t, get(t, h, "query", "query", c.expr, "time", unix(noon.Add(c.after)))); len(got) != c.want {
			t.Errorf("%s has %d series %s after the newest window", c.expr, len(got), c.after)
		}
	}
}

func TestQuietWindowsAreZeroAndUnknownOnesAreGaps(t *testing.T) {
	table := querytest.New()
	for _, at := range []time.Duration{-9 * time.Minute, -4 * time.Minute} {
		table.Add(querytest.Key("orders", "1m", noon.Add(at), "eu-west", "DE", "web", "EUR"), 2, 0)
		table.Add(querytest.Key("gmv", "1m", noon.Add(at), "eu-west", "DE", "web", "EUR"), 2, 5000)
		table.Took(querytest.Key("time_to_ship", "1m", noon.Add(at), "dhl", "eu-west", "DE"), time.Hour)
	}
	table.Watermark(noon)
	h := serve(t, table)
	for expr, want := range map[string]string{
		`shop_orders`:       ". . 2 0 0 0 0 2 0 0 0",
		`shop_orders_total`: ". . 2 2 2 2 2 4 4 4 4",
		`shop_gmv`:          ". . 50 0 0 0 0 50 0 0 0",
		`shop_aov`:          ". . 25 . . . . 25 . . .",
		`shop_time_to_ship_seconds{quantile="0.5"}`:       ". . 3600 . . . . 3600 . . .",
		`shop_time_to_ship_seconds_count`:                 ". . 1 1 1 1 1 2 2 2 2",
		`shop_time_to_ship_seconds{quantile=~"0\\.50|1"}`: ". . 3600 . . . . 3600 . . .|. . 3600 . . . . 3600 . . .",
	} {
		var got []string
		for _, l := range lines(t, get(t, h, "query_range", "query", expr, "start", unix(noon.Add(-10*time.Minute)), "end", unix(noon), "step", "1m")) {
			var row []string
			at := l.at(t)
			for m := noon.Add(-10 * time.Minute); !m.After(noon); m = m.Add(time.Minute) {
				if v, ok := at[m.Unix()]; ok {
					row = append(row, fmt.Sprint(v))
				} else {
					row = append(row, ".")
				}
			}
			got = append(got, strings.Join(row, " "))
		}
		if text := strings.Join(got, "|"); text != want {
			t.Errorf("%s\n is %s\nnot %s", expr, text, want)
		}
	}
}

func TestWhatCannotBeAddedUpIsMergedWithBy(t *testing.T) {
	table := querytest.New()
	at := noon.Add(-time.Hour)
	for _, country := range []string{"DE", "FR"} {
		for i := range 10 {
			table.Saw(querytest.Key("customers", "1h", at, "eu-west", country), fmt.Sprintf("c%d", i))
		}
	}
	table.Add(querytest.Key("revenue", "1h", at, "card", "eu-west", "DE", "EUR"), 1, 1050)
	table.Add(querytest.Key("revenue", "1h", at, "card", "eu-west", "FR", "EUR"), 1, 950)
	table.Add(querytest.Key("revenue", "1h", at, "card", "asia", "JP", "JPY"), 1, 500)
	table.Add(querytest.Key("revenue", "1h", at, "card", "asia", "JP", "???"), 1, 500)
	table.Watermark(noon)
	h := serve(t, table)
	for expr, want := range map[string]string{
		`shop_customers{window="1h",by="total"}`:                "{by=total} 10",
		`shop_customers{window="1h",by="region"}`:               "{by=region region=eu-west} 10",
		`shop_customers{window="1h",by="total",country="DE"}`:   "{by=total country=DE} 10",
		`shop_customers{window="1h",by="total",country=~"F.*"}`: "{by=total} 10",
		`sum(shop_customers{window="1h"})`:                      "{} 20",
		`shop_revenue{window="1h",by="total"}`:                  "{by=total currency=EUR} 20 {by=total currency=JPY} 500",
		`sum by (currency) (shop_revenue{window="1h"})`:         "{currency=EUR} 20 {currency=JPY} 500",
		`shop_customers{window="1h",by="total",country="XX"}`:   "",
	} {
		a := get(t, h, "query", "query", expr, "time", unix(noon))
		var got []string
		for _, l := range lines(t, a) {
			delete(l.Metric, nameLabel)
			delete(l.Metric, labelWindow)
			text := strings.TrimPrefix(fmt.Sprint(l.Metric), "map")
			text = "{" + strings.ReplaceAll(strings.Trim(text, "[]"), ":", "=") + "}"
			got = append(got, fmt.Sprintf("%s %v", text, l.at(t)[noon.Unix()]))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s\n is %s\nnot %s", expr, text, want)
		}
		if unknown := strings.Contains(expr, "revenue"); unknown != (len(a.Warnings) == 1) {
			t.Errorf("%s: warnings %q", expr, a.Warnings)
		}
	}
}

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
		{"query", "query=sum(shop_orders)+%2B+on(region)+shop_orders&time=" + at, "execution", "", 422},
		{"series", "", "bad_data", "match[]", 400},
		{"series", "match[]={", "bad_data", "match[]", 400},
		{"labels", "match[]=" + strings.Repeat("a&match[]=", maxSelectors) + "a", "bad_data", "at most", 400},
		{"labels", "start=2&end=1", "bad_data", "before start", 400},
		{"metadata", "limit=x", "bad_data", "limit", 400},
		{"tsdb", "", "not_found", "query_range", 404},
	} {
		a := do(t, h, httptest.NewRequest(http.MethodGet, Prefix+c.path+"?"+strings.ReplaceAll(c.params, "\"", "%22"), nil))
		if c.kind == "execution" && a.Status == "success" {
			continue
		}
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
	if a := get(t, h, "query", "query", `count_over_time(shop_orders[1h:1s])`, "time", unix(noon), "timeout", "0.000001"); a.code != 503 || a.ErrorType != "timeout" {
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
