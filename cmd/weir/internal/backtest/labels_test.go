package backtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/cmd/weir/internal/shop"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func hour(n int) time.Time    { return noon.Add(time.Duration(n) * time.Hour) }
func ms(at time.Time) int64   { return at.UnixMilli() }
func day(n float64) time.Time { return noon.Add(time.Duration(n * 24 * float64(time.Hour))) }

// anAlert has a hit at each time; its orders are one for each, "" for none.
func anAlert(entity string, score int64, orders string, hits ...time.Time) *table.Alert {
	a := &table.Alert{Rule: "r", Entity: entity, Score: score, Hits: int64(len(hits)), StartedMs: ms(hits[0]), LastMs: ms(hits[len(hits)-1])}
	ids := strings.Split(orders, ",")
	for i, at := range hits {
		h := &table.HitRef{Hit: uint64(i), AtMs: ms(at)}
		if i < len(ids) {
			h.OrderId = ids[i]
		}
		a.HitsKept = append(a.HitsKept, h)
	}
	return a
}

func someTruth(t *testing.T) *Truth {
	t.Helper()
	truth, err := NewTruth([]shop.Truth{
		{Pattern: "ring", Episode: "ring-1", From: hour(0), To: hour(2), Entities: []string{"ip:a", "customer:c1"},
			Orders: []string{"o1", "o2"}, Captured: map[string]string{"EUR": "1000"}},
		{Pattern: "ring", Episode: "ring-2", From: hour(3), To: hour(4), Entities: []string{"ip:a"},
			Orders: []string{"o3"}, Captured: map[string]string{"EUR": "500", "JPY": "70"}},
		{Pattern: "bot", Episode: "bot-1", From: hour(0), To: hour(1), Entities: []string{"card:x"}, Orders: []string{"o4"}},
		{Lookalike: "office", From: hour(0), To: day(3), Entities: []string{"ip:b"}, Orders: []string{"o9"}},
		{Pattern: "bot", Episode: "bot-later", From: day(30), To: day(31), Entities: []string{"card:z"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func TestWhatAnAlertTouches(t *testing.T) {
	truth := someTruth(t)
	for name, c := range map[string]struct {
		alert *table.Alert
		want  string
	}{
		"an entity, while it lasts":        {anAlert("customer:c1", 0, "", hour(1)), "ring-1@1h0m0s"},
		"an entity, within a week":         {anAlert("customer:c1", 0, "", hour(2).Add(afterwards)), "ring-1@170h0m0s"},
		"an entity, too late":              {anAlert("customer:c1", 0, "", hour(2).Add(afterwards+1e6)), ""},
		"an entity, too early":             {anAlert("customer:c1", 0, "", hour(-1)), ""},
		"an entity of two":                 {anAlert("ip:a", 0, "", hour(1), hour(3)), "ring-1@1h0m0s ring-2@3h0m0s"},
		"an order that it cites, any time": {anAlert("product:p", 0, "o7,o3", day(20), day(21)), "ring-2@504h0m0s"},
		"the order itself":                 {anAlert("order:o4", 0, "", day(9)), "bot-1@216h0m0s"},
		"by entity and order, once":        {anAlert("ip:a", 0, "o1", hour(1)), "ring-1@1h0m0s"},
		"a look-alike":                     {anAlert("ip:b", 0, "", hour(1)), "@1h0m0s"},
		"nothing":                          {anAlert("ip:c", 0, "o8", hour(1)), ""},
		"hits that are not kept": {func() *table.Alert {
			a := anAlert("card:x", 0, "", day(-1), day(9))
			a.Hits = 1000
			return a
		}(), "bot-1@0s"},
	} {
		var got []string
		for _, f := range truth.touches(c.alert, nil) {
			got = append(got, fmt.Sprint(truth.cases[f.index].episode, "@", f.at.Time().Sub(noon)))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: touches %q, want %q", name, text, c.want)
		}
	}
}

func TestLabelsAddUpByEpisode(t *testing.T) {
	truth := someTruth(t)
	s := newScored(truth)
	for _, a := range []*table.Alert{
		anAlert("customer:c1", 80, "", hour(1)),
		anAlert("ip:a", 40, "", hour(2), hour(3)), // both episodes of the ring
		anAlert("ip:b", 60, "", hour(1)),          // the office
		anAlert("ip:c", 20, "", hour(1)),
	} {
		s.add(a, truth.touches(a, nil))
	}
	l := s.tell(event.UnixMilli(ms(hour(0))), event.UnixMilli(ms(day(2))))
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if l.Episodes != 3 || l.Caught != 2 || l.Alerts != 4 || l.Touching != 2 || l.Precision != 0.5 {
		t.Errorf("labels %s", b)
	}
	if fmt.Sprint(l.Value, l.ValueCaught) != "[{1500 EUR 2} {70 JPY 0}] [{1500 EUR 2} {70 JPY 0}]" {
		t.Errorf("value %v caught %v", l.Value, l.ValueCaught)
	}
	var patterns []string
	for _, p := range l.Patterns {
		patterns = append(patterns, fmt.Sprint(p.Pattern, " ", p.Caught, "/", p.Episodes, " after ", p.DelaySeconds, p.Missed))
	}
	if got := strings.Join(patterns, "; "); got != "bot 0/1 after 0 [bot-1]; ring 2/2 after 3600 []" {
		t.Errorf("patterns: %s", got)
	}
	points := map[int64]string{}
	for _, p := range l.Curve {
		points[p.Score] = fmt.Sprintf("%d %.2f %.2f %v", p.Alerts, p.Precision, p.Recall, p.ValueCaught)
	}
	for score, want := range map[int64]string{
		0: "4 0.50 0.67 [{1500 EUR 2} {70 JPY 0}]", 25: "3 0.67 0.67 [{1500 EUR 2} {70 JPY 0}]", 45: "2 0.50 0.33 [{1000 EUR 2}]",
		65: "1 1.00 0.33 [{1000 EUR 2}]", 85: "0 0.00 0.00 []",
	} {
		if points[score] != want {
			t.Errorf("from score %d: %s, want %s", score, points[score], want)
		}
	}
	if len(l.Curve) != 21 {
		t.Errorf("%d points", len(l.Curve))
	}
	if fmt.Sprint(l.FalsePositives) != "[{ 1 map[r:1]} {office 1 map[r:1]}]" {
		t.Errorf("false positives %v", l.FalsePositives)
	}
}

func TestTruthIsReadAsTheGeneratorWritesIt(t *testing.T) {
	const file = `{"seed":7,"orders":20000,"fraud":{"ring":0.1}}

{"pattern":"ring","episode":"ring-1","from":"2026-03-01T12:00:00Z","to":"2026-03-01T14:00:00Z","entities":["ip:a"],"orders":["o1"],"captured":{"EUR":"12"}}
{"lookalike":"office","from":"2026-03-01T12:00:00Z","to":"2026-03-01T14:00:00Z","entities":["ip:b"],"orders":[],"count":4}
`
	truth, err := ReadTruth(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(truth.cases) != 2 || truth.cases[0].value["EUR"] != 12 || truth.cases[1].lookalike != "office" || len(truth.byOrder["o1"]) != 1 {
		t.Errorf("truth %+v", truth)
	}
	for _, bad := range []string{"{", `{"pattern":"ring","orders":3}`, `{"pattern":"ring","captured":{"EUR":"1.5"}}`} {
		if _, err := ReadTruth(strings.NewReader(file + bad)); err == nil || !strings.Contains(err.Error(), "line 5") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The rules in force catch what the generator plants; what a report says of that hangs together.
func TestPlantedFraudIsMeasured(t *testing.T) {
	o := shopOf(4000)
	o.Rate, o.Seed = 4000/(5*86400.0), 3
	records, truth := history(t, o)
	r := play(t, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: all(records), Truth: truth})
	l := r.All.Labels
	if r.Partial != "" || r.Events != int64(len(records)) || l.Caught == 0 || l.Caught > l.Episodes || l.Alerts != r.All.Alerts {
		t.Fatalf("partial %q, %d of %d events, %d alerts, labels %+v", r.Partial, r.Events, len(records), r.All.Alerts, l)
	}
	var episodes, caught int64
	for _, p := range l.Patterns {
		episodes, caught = episodes+p.Episodes, caught+p.Caught
	}
	if episodes != l.Episodes || caught != l.Caught || l.Curve[0].Recall != l.Recall {
		t.Errorf("patterns have %d of %d episodes, all have %d of %d; the curve begins with %v", caught, episodes, l.Caught, l.Episodes,
			l.Curve[0])
	}
	var alerts int64
	most := map[string]int64{}
	for i := range r.Rules {
		if x := &r.Rules[i]; x.State == string(rule.Live) {
			alerts += x.Alerts
			most[x.ID] = x.Labels.Caught
			if x.Labels.Caught > l.Caught {
				t.Errorf("%s alone catches more than all", x.ID)
			}
		}
	}
	if alerts != r.All.Alerts {
		t.Errorf("live rules have %d alerts, all %d", alerts, r.All.Alerts)
	}
	for i := 1; i < len(l.Curve); i++ {
		if l.Curve[i].Alerts > l.Curve[i-1].Alerts || l.Curve[i].Recall > l.Curve[i-1].Recall {
			t.Errorf("the curve rises at %d", l.Curve[i].Score)
		}
	}
	if most["card_testing"] == 0 {
		t.Errorf("caught by rule: %v", most)
	}
}

// A rule that watches over operations finds what is no fraud, and touches episodes by chance.
func TestOperationsAreNotHeldToTheTruth(t *testing.T) {
	c := &collection{run: &run{Options: Options{Truth: someTruth(t)}, first: event.UnixMilli(ms(hour(0)))}, to: event.UnixMilli(ms(day(2)))}
	c.all = c.newTally(0, "")
	fraud, operations := c.newTally(1, "velocity"), c.newTally(2, rule.Operations)
	c.orders = map[uint64]int32{}
	c.count(fraud, anAlert("customer:c1", 80, "", hour(1)))
	c.count(operations, anAlert("ip:a", 40, "", hour(2), hour(3)))
	if l := c.tell(c.all).Labels; l.Caught != 1 || l.Alerts != 1 || l.Precision != 1 || l.Unjudged != 1 {
		t.Errorf("all rules: %+v", l)
	}
	if out := c.tell(operations); out.Alerts != 1 || out.Labels != nil {
		t.Errorf("the rule: %+v", out)
	}
}
