package prom

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/views/query"
	"weir/views/query/querytest"
)

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
