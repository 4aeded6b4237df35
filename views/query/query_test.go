package query_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/topology/table"
	"weir/views/query"
	"weir/views/query/querytest"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ask(t *testing.T, src query.Metrics, metric, params string) *query.Answer {
	t.Helper()
	a, err := run(src, metric, params)
	if err != nil {
		t.Fatalf("%s?%s: %v", metric, params, err)
	}
	return a
}

func run(src query.Metrics, metric, params string) (*query.Answer, error) {
	v, err := url.ParseQuery(params)
	if err != nil {
		return nil, err
	}
	q, err := querytest.Catalogue().Parse(metric, v)
	if err != nil {
		return nil, err
	}
	return query.Run(q, src, noon.Add(time.Hour))
}

func TestRevenueKeepsCurrenciesApart(t *testing.T) {
	db := querytest.New()
	db.Add(querytest.Key("revenue", "1m", noon, "card", "eu-west", "DE", "EUR"), 2, 1500)
	db.Add(querytest.Key("revenue", "1m", noon, "wallet", "eu-west", "FR", "EUR"), 1, 9_007_199_254_740_993)
	db.Add(querytest.Key("revenue", "1m", noon, "card", "us", "US", "JPY"), 1, 70)
	db.Watermark(noon.Add(40 * time.Second))

	a := ask(t, db, "revenue", "window=1m&by=region")
	got, _ := json.Marshal(a)
	want := `{"metric":"revenue","kind":"sum","unit":"money","window":"1m","series":[` +
		`{"labels":{"currency":"EUR","region":"eu-west"},"exponent":2,"points":[{"start":"2026-01-01T12:00:00Z","end":"2026-01-01T12:01:00Z","value":"9007199254742493","count":3,"final":false}]},` +
		`{"labels":{"currency":"JPY","region":"us"},"exponent":0,"points":[{"start":"2026-01-01T12:00:00Z","end":"2026-01-01T12:01:00Z","value":"70","count":1,"final":false}]}],` +
		`"meta":{"watermark":"2026-01-01T12:00:40Z"`
	if !strings.HasPrefix(string(got), want) {
		t.Errorf("got  %s\nwant %s…", got, want)
	}
	if p := a.Meta.Partitions; p.Present != 8 || p.Expected != 8 {
		t.Errorf("partitions = %+v", p)
	}
}

func TestPointsBecomeFinalOnceGraceHasPassed(t *testing.T) {
	db := querytest.New()
	db.Add(querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), 1, 0)
	final := func() bool { return ask(t, db, "orders", "").Series[0].Points[0].Final }
	db.Watermark(noon.Add(24*time.Hour + 59*time.Second))
	if final() {
		t.Error("a window is final before its end and grace have passed")
	}
	db.Watermark(noon.Add(24*time.Hour + time.Minute))
	if !final() {
		t.Error("a window is not final although its end and grace have passed")
	}
}

func TestDerivedMetrics(t *testing.T) {
	db := querytest.New()
	db.Add(querytest.Key("gmv", "1m", noon, "eu", "DE", "web", "EUR"), 2, 1001)
	db.Add(querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), 2, 0)
	db.Add(querytest.Key("payments_captured", "1m", noon, "card", "eu", "DE"), 3, 0)
	db.Add(querytest.Key("payments_failed", "1m", noon, "card", "eu", "DE", "insufficient_funds"), 1, 0)
	db.Add(querytest.Key("deliveries", "1m", noon, "dhl", "eu", "DE", "true"), 3, 0)
	db.Add(querytest.Key("deliveries", "1m", noon, "dhl", "eu", "DE", "false"), 1, 0)
	db.Add(querytest.Key("deliveries", "1m", noon, "dhl", "eu", "DE", "unknown"), 5, 0)
	db.Add(querytest.Key("refunds", "1m", noon, "card", "eu", "USD"), 1, 10)

	for _, c := range []struct {
		metric string
		value  any
		labels string
	}{
		{"aov", "501", "EUR"}, // 500.5, halves away from zero
		{"payment_success_rate", 0.75, ""},
		{"on_time_rate", 0.75, ""},
		{"refund_rate", nil, "USD"}, // refunds, but no revenue in that currency
	} {
		a := ask(t, db, c.metric, "window=all&from=2026-01-01T12:00:00Z&to=2026-01-01T12:01:00Z")
		if len(a.Series) != 1 || a.Series[0].Points[0].Value != c.value || a.Series[0].Labels["currency"] != c.labels {
			t.Errorf("%s = %+v, want %v", c.metric, a.Series, c.value)
		}
	}
}

func TestErrorsNameTheParameter(t *testing.T) {
	db := querytest.New()
	db.Watermark(noon)
	for params, param := range map[string]string{
		"window=5m": "window", "from=yesterday": "from", "to=now-x": "to", "from=2026-01-02&to=2026-01-01": "to",
		"by=colour": "by", "where=region": "where", "where=colour:red": "where", "where=region:%25zz": "where", "top=3": "top", "quantiles=0.5": "quantiles",
		"frm=now": "frm", "window=1m&from=2025-01-01": "from", "window=1m&window=1h": "window",
		"window=1m&from=2025-12-31T12:00:00Z&to=2027-01-01": "from",
	} {
		_, err := run(db, "orders", params)
		if p, ok := query.IsParam(err); !ok || p.Param != param || p.Status != 422 {
			t.Errorf("%s: %v, want an error about %s", params, err, param)
		}
	}
	_, err := run(db, "nonsense", "")
	if p, ok := query.IsParam(err); !ok || p.Status != 404 {
		t.Errorf("unknown metric: %v", err)
	}
}

func TestLimits(t *testing.T) {
	db := querytest.New()
	for i := range query.MaxPoints + 1 {
		db.Add(querytest.Key("orders", "1m", noon, fmt.Sprintf("r%05d", i), "DE", "web", "EUR"), 1, 0)
	}
	if _, err := run(db, "orders", "by=region"); err == nil {
		t.Error("an answer with too many points was given")
	} else if p, ok := query.IsParam(err); !ok || p.Param != "by" {
		t.Errorf("too many points: %v", err)
	}
	if a := ask(t, db, "orders", ""); a.Series[0].Points[0].Count != query.MaxPoints+1 {
		t.Error("merging rows is not limited by their number")
	}
}

// The oracle keeps single events and adds them up for every question; the table holds their windows.
type sale struct {
	at       time.Time
	region   string
	currency string
	minor    int64
}

func TestAnswersEqualSumsOverEvents(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	db := querytest.New()
	var sales []sale
	for range 4000 {
		s := sale{noon.Add(-time.Duration(rng.IntN(40*3600)) * time.Second), []string{"eu", "us", "apac"}[rng.IntN(3)], []string{"EUR", "USD"}[rng.IntN(2)], rng.Int64N(10_000)}
		sales = append(sales, s)
		for _, w := range querytest.Windows {
			db.Add(querytest.Key("revenue", w.Name, s.at.Truncate(w.Length), "card", s.region, "DE", s.currency), 1, s.minor)
		}
	}
	db.Watermark(noon)
	for range 300 {
		from := noon.Add(-time.Duration(rng.IntN(45*60)) * time.Minute)
		to := from.Add(time.Duration(1+rng.IntN(45*60)) * time.Minute)
		window := []string{"1m", "1h", "1d", "all"}[rng.IntN(4)]
		region := []string{"", "eu", "us"}[rng.IntN(3)]
		params := url.Values{"window": {window}, "from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}
		if window == "1m" && to.Sub(from) > query.MaxPoints*time.Minute {
			continue
		}
		if region != "" {
			params.Set("where", "region:"+region)
		}
		want := map[string]int64{}
		for _, s := range sales {
			start := s.at.Truncate(time.Minute)
			if window == "1h" {
				start = s.at.Truncate(time.Hour)
			} else if window == "1d" {
				start = s.at.Truncate(24 * time.Hour)
			}
			if start.Before(from) || !start.Before(to) || region != "" && s.region != region {
				continue
			}
			key := s.currency
			if window != "all" {
				key += start.Format(time.RFC3339)
			}
			want[key] += s.minor
		}
		got := map[string]int64{}
		for _, series := range ask(t, db, "revenue", params.Encode()).Series {
			for _, p := range series.Points {
				key := series.Labels["currency"]
				if window != "all" {
					key += p.Start.Format(time.RFC3339)
				}
				var n int64
				if _, err := fmt.Sscan(p.Value.(string), &n); err != nil {
					t.Fatal(err)
				}
				got[key] += n
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("revenue?%s\ngot  %v\nwant %v", params.Encode(), got, want)
		}
	}
}

func TestSketchesMergeOverRegionsAndTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	db := querytest.New()
	type seen struct {
		region string
		took   int64
	}
	var all []seen
	customers := map[string]map[string]bool{"eu": {}, "us": {}}
	sold := map[string]int64{}
	for i := range 3000 {
		region := []string{"eu", "us"}[rng.IntN(2)]
		at := noon.Add(time.Duration(rng.IntN(50)) * time.Minute)
		took := 60 + rng.Int64N(90_000)
		all = append(all, seen{region, took})
		db.Took(querytest.Key("time_to_ship", "1m", at, "dhl", region, "DE"), time.Duration(took)*time.Second)
		customer := fmt.Sprintf("c%d", rng.IntN(200))
		customers[region][customer] = true
		db.Saw(querytest.Key("customers", "1m", at, region, "DE"), customer)
		product := fmt.Sprintf("p%d", min(rng.IntN(60), rng.IntN(60)))
		sold[product] += int64(i % 3)
		db.Sold(querytest.Key("top_products", "1m", at, []string{"Audio", "Home"}[i%2]), product, int64(i%3))
	}
	window := "window=all&from=2026-01-01T12:00:00Z&to=2026-01-01T12:59:00Z"

	for _, region := range []string{"", "eu", "us"} {
		params := window + "&quantiles=0,0.5,0.95,1"
		if region != "" {
			params += "&where=region:" + region
		}
		var took []int64
		for _, s := range all {
			if region == "" || s.region == region {
				took = append(took, s.took)
			}
		}
		slices.Sort(took)
		p := ask(t, db, "time_to_ship", params).Series[0].Points[0]
		for _, q := range []float64{0, 0.5, 0.95, 1} {
			exact := float64(took[int(q*float64(len(took)-1))])
			if got := p.Quantiles[fmt.Sprint(q)]; got < exact*0.99-1 || got > exact*1.01+1 {
				t.Errorf("region %q: quantile %v is %v, exactly %v", region, q, got, exact)
			}
		}
		if p.Value != p.Quantiles["0.5"] || p.Count != int64(len(took)) {
			t.Errorf("value %v, count %d", p.Value, p.Count)
		}
	}
	for _, s := range ask(t, db, "customers", window+"&by=region").Series {
		if want := uint64(len(customers[s.Labels["region"]])); s.Points[0].Value != want {
			t.Errorf("%v: %v distinct customers, want %d", s.Labels, s.Points[0].Value, want)
		}
	}
	top := ask(t, db, "top_products", window+"&top=5").Series[0].Points[0].Top
	if len(top) != 5 {
		t.Fatalf("%d entries", len(top))
	}
	for i, e := range top {
		if e.Count != sold[e.Value] || e.Error != 0 || i > 0 && top[i-1].Count < e.Count {
			t.Errorf("entry %d is %+v, sold %d", i, e, sold[e.Value])
		}
	}
	if again := ask(t, db, "top_products", window+"&top=5").Series[0].Points[0].Top; fmt.Sprint(again) != fmt.Sprint(top) {
		t.Error("asking twice gives two answers: merging changed the rows")
	}
}

func TestHoppingWindowsOverlap(t *testing.T) {
	db := querytest.New()
	for i := range 5 {
		db.Add(querytest.Key("attempts", "5m:1m", noon.Add(time.Duration(i)*time.Minute), "card"), int64(i+1), 0)
	}
	points := ask(t, db, "attempts", "window=5m:1m&from=2026-01-01T12:01:00Z&to=2026-01-01T12:03:00Z").Series[0].Points
	if len(points) != 2 || points[0].Value != int64(2) || points[1].End.Sub(points[1].Start) != 5*time.Minute {
		t.Errorf("%+v", points)
	}
	if _, err := run(db, "attempts", "window=all"); err == nil {
		t.Error("overlapping windows were merged")
	}
}

func TestSlidingWindowsAreReadAtTheWatermark(t *testing.T) {
	db := querytest.New()
	row := &table.Cell{Count: 99}
	for s := 0; s < 600; s += 10 {
		row.Slices = append(row.Slices, &table.Slice{StartMs: noon.Add(time.Duration(s) * time.Second).UnixMilli(), Cell: &table.Cell{Count: 1}})
	}
	db.Set(querytest.Key("attempts", "sliding-5m:10s", time.Unix(0, 0), "card"), row)
	for at, want := range map[time.Duration]int64{0: 1, 55 * time.Second: 6, 5 * time.Minute: 30, 20 * time.Minute: 0} {
		db.Watermark(noon.Add(at))
		p := ask(t, db, "attempts", "window=sliding-5m:10s").Series[0].Points[0]
		if p.Value != want || !p.End.Equal(noon.Add(at)) || p.End.Sub(p.Start) != 5*time.Minute {
			t.Errorf("%v after noon: %+v, want %d", at, p, want)
		}
	}
}

func TestLabelsWithCommasAndSlashes(t *testing.T) {
	db := querytest.New()
	db.Add(querytest.Key("items_sold", "1m", noon, "Books%2C used%2Fold", "EUR"), 1, 3)
	db.Add(querytest.Key("items_sold", "1m", noon, "Books", "EUR"), 1, 4)
	a := ask(t, db, "items_sold", "by=category&where="+url.QueryEscape("category:Books%2C used%2Fold"))
	if len(a.Series) != 1 || a.Series[0].Labels["category"] != "Books, used/old" || a.Series[0].Points[0].Value != "3" {
		t.Errorf("%+v", a.Series)
	}
}

func TestRelativeRangesFollowTheWatermark(t *testing.T) {
	db := querytest.New()
	old := time.Date(2017, 11, 24, 10, 30, 20, 0, time.UTC) // a replay: years behind the clock
	for i := range 120 {
		db.Add(querytest.Key("orders", "1m", old.Truncate(time.Minute).Add(-time.Duration(i)*time.Minute), "eu", "DE", "web", "EUR"), 1, 0)
	}
	db.Watermark(old)
	points := ask(t, db, "orders", "from=now-1h").Series[0].Points
	if len(points) != 61 || points[0].Start.Format("15:04") != "09:30" {
		t.Errorf("%d points from %v", len(points), points[0].Start)
	}
	if a := ask(t, db, "orders", "from=wall-1h"); len(a.Series) != 0 {
		t.Error("wall-1h counts back from the clock, where there is nothing")
	}
}

func TestLateContributionsAreToldApart(t *testing.T) {
	db := querytest.New()
	db.Set(querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), &table.Cell{Count: 4, Late: 2})
	p := ask(t, db, "orders", "").Series[0].Points[0]
	if p.Count != 4 || p.Late != 2 {
		t.Errorf("count %d, late %d", p.Count, p.Late)
	}
}

func TestEqualQuestionsShareAKey(t *testing.T) {
	c := querytest.Catalogue()
	key := func(params string) string {
		v, _ := url.ParseQuery(params)
		q, err := c.Parse("revenue", v)
		if err != nil {
			t.Fatal(err)
		}
		return q.Key()
	}
	equal := []string{"by=region,method&where=region:eu&where=region:us", "by=method&by=region&where=region:us,region:eu,region:us", "window=1m&by=currency,region,method&where=region:us,region:eu"}
	for _, p := range equal[1:] {
		if key(p) != key(equal[0]) {
			t.Errorf("%s and %s ask the same but differ: %s, %s", p, equal[0], key(p), key(equal[0]))
		}
	}
	different := []string{"", "window=1h", "from=now-1h", "from=wall-1h", "to=now", "by=region", "where=region:eu", "where=method:eu"}
	var keys []string
	for _, p := range different {
		keys = append(keys, key(p))
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != len(different) {
		t.Error("different questions share a key")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("window=1m&from=now-1h&by=region&where=region:eu")
	f.Add("window=all&to=2026-01-01&quantiles=0.5&top=4")
	f.Add("window=week&tz=Europe/Madrid&from=2026-03-01&compare=previous&by=region&top=3")
	c := querytest.Catalogue()
	db := querytest.New()
	db.Watermark(noon)
	f.Fuzz(func(t *testing.T, text string) {
		params, err := url.ParseQuery(text)
		if err != nil {
			t.Skip()
		}
		for _, name := range c.Names() {
			q, err := c.Parse(name, params)
			if err == nil {
				_, err = query.Run(q, db, noon)
			}
			if _, ok := query.IsParam(err); err != nil && !ok {
				t.Fatalf("%s?%s: %v is not about a parameter", name, text, err)
			}
		}
	})
}
