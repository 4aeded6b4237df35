package api_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"weir/topology/alert"
	"weir/topology/table"
	"weir/views/api"
)

// The counts of each rule and hour are those of a plain loop over the rows, and together what the list of alerts counts.
func TestAlertsAreCountedByRuleAndHour(t *testing.T) {
	s := open(t)
	rng := rand.New(rand.NewPCG(4, 7))
	started := map[string][]time.Time{} // by rule
	shadow := map[string]bool{"r1": false, "r2": true, "r3": false}
	for i := range 400 {
		rule := fmt.Sprint("r", 1+rng.IntN(3))
		at := noon.Add(-time.Duration(rng.Int64N(int64(30*time.Hour))) + 2*time.Hour).Truncate(time.Millisecond) // some ahead of the watermark
		if i%50 == 0 {
			at = noon.Add(-time.Duration(rng.IntN(26)) * time.Hour) // on the edge of an hour
		}
		started[rule] = append(started[rule], at)
		s.fraud.put(fmt.Sprint("customer:c-", i), func(c *table.Case) {
			c.Alerts = append(c.Alerts, &table.Alert{Id: fmt.Sprint("a-", i), Rule: rule, Shadow: shadow[rule], Status: alert.Open, StartedMs: at.UnixMilli(), LastMs: at.UnixMilli()})
		})
	}
	for _, hours := range []int{1, 5, 24, 168} {
		for _, which := range []string{"exclude", "only", "include"} {
			var got api.HourlyAlerts
			if w := s.get(t, fmt.Sprintf("/v1/alerts/hourly?hours=%d&shadow=%s", hours, which), &got); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			want := []api.RuleHours{}
			for _, rule := range []string{"r1", "r2", "r3"} {
				if which == "exclude" && shadow[rule] || which == "only" && !shadow[rule] {
					continue
				}
				r := api.RuleHours{Rule: rule}
				for h := range hours {
					from, n := noon.Add(time.Duration(h-hours)*time.Hour), 0
					for _, at := range started[rule] {
						if !at.Before(from) && (at.Before(from.Add(time.Hour)) || h == hours-1) {
							n++
						}
					}
					r.Counts = append(r.Counts, n)
				}
				want = append(want, r)
			}
			if !got.From.Equal(noon.Add(-time.Duration(hours)*time.Hour)) || got.Hours != hours || !reflect.DeepEqual(got.Rules, want) {
				t.Errorf("%d h, %s:\n got %v\nwant %v", hours, which, got.Rules, want)
			}
			var list api.AlertList
			s.get(t, fmt.Sprintf("/v1/alerts?limit=1&started_from=now-%dh&shadow=%s", hours, which), &list)
			for _, r := range got.Rules {
				sum := 0
				for _, n := range r.Counts {
					sum += n
				}
				if list.Facets.Rule[r.Rule] != sum {
					t.Errorf("%d h, %s: %d alerts of %s, the list counts %d", hours, which, sum, r.Rule, list.Facets.Rule[r.Rule])
				}
			}
		}
	}
	for path, param := range map[string]string{"/v1/alerts/hourly?hours=0": "hours", "/v1/alerts/hourly?hours=169": "hours", "/v1/alerts/hourly?shadow=all": "shadow"} {
		if p := s.problem(t, path, 422); len(p.Errors) != 1 || p.Errors[0].Location != "query."+param {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
