package query_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/views/query"
	"weir/views/query/querytest"
)

// Days, weeks, months and years of a zone are what a calendar of that zone says of every single event, over both changes of its clocks.
func TestCalendarsOfZones(t *testing.T) {
	for _, zone := range []string{"Europe/Madrid", "America/New_York", "Asia/Kolkata", "UTC", "Pacific/Chatham"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []time.Time{noon, time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)} {
			rng := rand.New(rand.NewPCG(3, uint64(change.Unix())))
			db := querytest.New()
			var sales []time.Time
			for range 1500 {
				at := change.Add(time.Duration(rng.IntN(46*3600)-24*3600) * time.Second)
				sales = append(sales, at)
				for _, w := range querytest.Windows {
					db.Add(querytest.Key("orders", w.Name, at.Truncate(w.Length), "eu", "DE", "web", "EUR"), 1, 0)
				}
			}
			db.Watermark(change.Add(22 * time.Hour))
			for _, window := range []string{"day", "1d", "week", "month", "year"} {
				want := map[string]int{}
				for _, at := range sales {
					l := at.In(loc)
					start := time.Date(l.Year(), l.Month(), l.Day(), 0, 0, 0, 0, loc)
					switch window {
					case "week":
						for start.Weekday() != time.Monday {
							start = start.AddDate(0, 0, -1)
						}
					case "month":
						start = time.Date(l.Year(), l.Month(), 1, 0, 0, 0, 0, loc)
					case "year":
						start = time.Date(l.Year(), 1, 1, 0, 0, 0, 0, loc)
					}
					want[start.Format(time.RFC3339)]++
				}
				first := change.AddDate(-1, 0, -2).In(loc)
				if window == "day" || window == "1d" {
					first = change.Add(-24 * time.Hour).In(loc)
				}
				params := url.Values{"window": {window}, "tz": {zone}, "from": {first.AddDate(0, 0, -1).Format(time.RFC3339)}, "to": {change.AddDate(1, 0, 0).Format(time.RFC3339)}}
				a, err := run(db, "orders", params.Encode())
				if p, ok := query.IsParam(err); ok && zone != "UTC" {
					if p.Param != "tz" || !strings.Contains(p.Detail, "kept for") {
						t.Errorf("%s %s: %v", zone, window, err)
					}
					continue
				} else if err != nil {
					t.Errorf("%s %s: %v", zone, window, err)
					continue
				}
				got := map[string]int{}
				for _, s := range a.Series {
					for _, p := range s.Points {
						got[p.Start.Format(time.RFC3339)] += int(p.Count)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s of %s around %s:\ngot  %v\nwant %v", window, zone, change, got, want)
				}
			}
		}
	}
}

// Without from, days reach back as far as what they are made of is kept; a date is one of the zone.
func TestOpenRangesOfDays(t *testing.T) {
	db := querytest.New()
	for d := range 200 {
		at := noon.AddDate(0, 0, -d)
		for _, w := range querytest.Windows {
			db.Add(querytest.Key("orders", w.Name, at.Truncate(w.Length), "eu", "DE", "web", "EUR"), 1, 0)
		}
	}
	db.Watermark(noon)
	for zone, days := range map[string]int{"UTC": 200, "Europe/Madrid": 90, "Asia/Kolkata": 2} {
		points := ask(t, db, "orders", "window=day&tz="+zone).Series[0].Points
		if n := len(points); n < days-1 || n > days+1 {
			t.Errorf("%d days of %s", n, zone)
		}
		if last := points[len(points)-1]; last.End.Sub(last.Start) != 24*time.Hour || !last.Start.Before(noon) || !last.End.After(noon) {
			t.Errorf("%s: the last day is %v", zone, last)
		}
	}
	one := ask(t, db, "orders", "window=day&tz=Europe/Madrid&from=2025-12-24&to=2025-12-25").Series[0].Points
	if len(one) != 1 || one[0].Start.Format(time.RFC3339) != "2025-12-24T00:00:00+01:00" {
		t.Errorf("%+v", one)
	}
	for params, param := range map[string]string{"window=day&tz=Mars": "tz", "window=day&tz=Local": "tz", "tz=" + strings.Repeat("x", 80): "tz",
		"window=day&tz=Europe/Madrid&from=2025-01-01": "tz", "window=month&from=2020-01-01": "from", "compare=last": "compare", "compare=previous": "compare",
		"window=1m&from=now-47h&compare=previous": "compare", "window=fortnight": "window"} {
		if _, err := run(db, "orders", params); err == nil {
			t.Errorf("%s: no error", params)
		} else if p, ok := query.IsParam(err); !ok || p.Param != param {
			t.Errorf("%s: %v, want an error about %s", params, err, param)
		}
	}
	q, err := querytest.Catalogue().Parse("orders", url.Values{"window": {"week"}})
	if err != nil || q.Followable() == nil {
		t.Errorf("%v: weeks are followed", err)
	}
}

func TestComparisonWithThePeriodBefore(t *testing.T) {
	db := querytest.New()
	add := func(ago time.Duration, region string, n int64) {
		at := noon.Add(-ago)
		for _, w := range querytest.Windows {
			db.Add(querytest.Key("gmv", w.Name, at.Truncate(w.Length), region, "DE", "web", "EUR"), n, n*1000)
		}
	}
	const day = 24 * time.Hour
	add(30*time.Minute, "eu", 6)
	add(90*time.Minute, "eu", 4)
	add(day+30*time.Minute, "us", 5)
	add(30*time.Minute, "us", 1)
	db.Watermark(noon)
	look := func(params string) (out string) {
		t.Helper()
		for _, s := range ask(t, db, "gmv", params+"&compare=previous").Series {
			for _, p := range s.Points {
				out += fmt.Sprint(s.Labels["region"], " ", p.Value)
				if b := p.Previous; b != nil {
					out += fmt.Sprint(" was ", b.Value, " at ", b.Start.Format("02T15:04"), " ", b.Delta)
					if b.Change != nil {
						out += fmt.Sprintf(" %+.2f", *b.Change)
					}
				}
				out += "; "
			}
		}
		return out
	}
	for params, want := range map[string]string{
		"window=all&from=2026-01-01T11:00:00Z&to=2026-01-01T12:00:00Z":          " 7000 was 4000 at 01T10:00 3000 +0.75; ",
		"window=1h&from=2026-01-01T11:00:00Z&to=2026-01-01T12:00:00Z&by=region": "eu 6000 was 4000 at 01T10:00 2000 +0.50; us 1000; ",
		"window=day&from=2026-01-01&to=2026-01-02&by=region":                    "eu 10000; us 1000 was 5000 at 31T00:00 -4000 -0.80; ",
		"window=all&from=2026-01-01&to=2026-01-02&by=region":                    "eu 10000; us 1000 was 5000 at 31T00:00 -4000 -0.80; ",
	} {
		if got := look(params); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", params, got, want)
		}
	}
}

// The series beyond the greatest are merged, not added up: what two of them have in common counts once.
func TestGreatestSeriesAndTheOthers(t *testing.T) {
	db := querytest.New()
	for i, n := range []int64{50, 40, 30, 20, 10} {
		region := fmt.Sprint("r", i)
		db.Add(querytest.Key("orders", "1m", noon, region, "DE", "web", "EUR"), n, 0)
		db.Add(querytest.Key("gmv", "1m", noon, region, "DE", "web", "EUR"), n, n*100)
		db.Add(querytest.Key("gmv", "1m", noon, region, "DE", "web", "USD"), n, (100-n)*100)
		for c := range n {
			db.Saw(querytest.Key("customers", "1m", noon, region, "DE"), fmt.Sprint("c", c))
		}
	}
	db.Watermark(noon)
	look := func(metric, params string) (out string) {
		for _, s := range ask(t, db, metric, params).Series {
			out += fmt.Sprint(s.Labels["region"], s.Labels["currency"], "=", s.Points[0].Value, " ")
		}
		return out
	}
	for _, c := range []struct{ metric, params, want string }{
		{"orders", "by=region,currency&top=2", "(other)EUR=60 r0EUR=50 r1EUR=40 "},
		{"orders", "by=region&top=5", "r0=50 r1=40 r2=30 r3=20 r4=10 "},
		{"gmv", "by=region&top=1", "(other)EUR=10000 (other)USD=26000 r0EUR=5000 r4USD=9000 "},
		{"customers", "by=region&top=3", "(other)=20 r0=50 r1=40 r2=30 "},
		{"aov", "by=region&top=4&where=currency:EUR", "(other)EUR=100 r0EUR=100 r1EUR=100 r2EUR=100 r3EUR=100 "},
	} {
		if got := look(c.metric, c.params); got != c.want {
			t.Errorf("%s?%s: %s, want %s", c.metric, c.params, got, c.want)
		}
	}
}
