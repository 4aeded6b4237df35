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
	from := noon.Add(-min(max(12*time.Hour, w.Advance), w.Retention)).Truncate(w.Advance) // so that every step is the end of a window
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
		t.Fatalf("%s: %v", m.Name, err)
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
