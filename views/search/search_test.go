package search

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// found is an alert as the oracle sees it: the row's, with the entity that has it.
type found struct {
	*table.Alert
	entity    string
	caseScore int64
}

func (f found) rank(sort Sort) float64 {
	risk := float64(f.RiskMinor) / 100
	switch sort {
	case ByNewest:
		return float64(f.StartedMs)
	case ByRecent:
		return float64(f.LastMs)
	case ByRisk:
		return risk
	}
	return float64(max(f.Score, f.caseScore)) * max(1, risk)
}

func (f found) orderIDs() (out []string) {
	for _, h := range f.HitsKept {
		out = append(out, h.OrderId)
	}
	return out
}

// naive answers a question by looking at every alert with the plain parameters.
func naive(cases map[string]*table.Case, params url.Values, leaveOut string) []found {
	has := func(name, value string) bool {
		return name == leaveOut || len(params[name]) == 0 || slices.Contains(params[name], value)
	}
	instant := func(name string) int64 {
		t, err := time.Parse(time.RFC3339, params.Get(name))
		if err != nil {
			return 0
		}
		return t.UnixMilli()
	}
	var out []found
	for entity, c := range cases {
		for _, a := range c.Alerts {
			f := found{a, entity, alert.CaseScore(c)}
			kind, _, _ := strings.Cut(entity, ":")
			text := params.Get("q")
			var least int64
			_, _ = fmt.Sscan(params.Get("min_score"), &least)
			switch {
			case !has("status", a.Status), !has("rule", a.Rule), !has("severity", a.Severity), !has("entity", entity), !has("kind", kind),
				!has("episode", a.Episode), !has("assignee", a.Assignee):
			case params.Get("shadow") == "" && a.Shadow, params.Get("shadow") == "only" && !a.Shadow:
			case max(a.Score, f.caseScore) < least:
			case instant("started_from") != 0 && a.StartedMs < instant("started_from"), instant("last_to") != 0 && a.LastMs >= instant("last_to"):
			case text != "" && !strings.Contains(strings.ToLower(a.Title), strings.ToLower(text)) && !strings.Contains(strings.ToLower(entity), strings.ToLower(text)) &&
				a.Id != text && !slices.Contains(a.Formerly, text) && !slices.Contains(f.orderIDs(), text):
			default:
				out = append(out, f)
			}
		}
	}
	sort := Sort(cmp.Or(params.Get("sort"), string(ByPriority)))
	slices.SortFunc(out, func(a, b found) int { return cmp.Or(cmp.Compare(b.rank(sort), a.rank(sort)), cmp.Compare(a.Id, b.Id)) })
	return out
}

func drawCase(t *rapid.T, entity string) *table.Case {
	c := &table.Case{}
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	minute := func(name string) int64 {
		return noon.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, name)) * time.Minute).UnixMilli()
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "alerts") {
		rule := pick("rule", "r1", "r2", "r3")
		a := &table.Alert{Id: fmt.Sprintf("%s-%d", entity, i), Entity: entity, Rule: rule, Title: "Title of " + rule,
			Status: pick("status", Statuses...), Severity: pick("severity", Severities...), Episode: pick("episode", episodes...),
			Assignee: pick("assignee", "", "ann"), Currency: pick("currency", "EUR", "JPY"), Shadow: rapid.Bool().Draw(t, "shadow"),
			Score: rapid.Int64Range(0, 100).Draw(t, "score"), RiskMinor: rapid.Int64Range(0, 500).Draw(t, "risk"), StartedMs: minute("started"), LastMs: minute("last"),
			Revision: rapid.Int64Range(1, 3).Draw(t, "revision")}
		if rapid.Bool().Draw(t, "renamed") {
			a.Formerly = []string{a.Id + "-before"}
		}
		for range rapid.IntRange(0, 3).Draw(t, "hits") {
			a.HitsKept = append(a.HitsKept, &table.HitRef{OrderId: pick("order", "o-1", "o-2", "o-3")})
		}
		if a.Status == alert.Snoozed {
			a.SnoozedUntilMs = noon.Add(time.Minute).UnixMilli()
		}
		c.Alerts = append(c.Alerts, a)
	}
	slices.SortFunc(c.Alerts, func(a, b *table.Alert) int { return cmp.Compare(a.Rule, b.Rule) })
	return c
}

func drawParams(t *rapid.T) url.Values {
	v := url.Values{}
	some := func(name string, of ...string) {
		if rapid.IntRange(0, 3).Draw(t, name+"?") == 0 {
			v[name] = rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, len(of), rapid.ID[string]).Draw(t, name)
		}
	}
	maybe := func(name string, of ...string) {
		if rapid.IntRange(0, 2).Draw(t, name+"?") == 0 {
			v.Set(name, rapid.SampledFrom(of).Draw(t, name))
		}
	}
	some("status", Statuses...)
	some("rule", "r1", "r2", "nothing")
	some("severity", Severities...)
	some("entity", "customer:C-1", "card:2", "card:9")
	some("kind", "customer", "card", "seller")
	some("episode", episodes...)
	some("assignee", "ann", "bob")
	maybe("q", "title of R1", "C-1", "c-1", "o-2", "card:2-0", "card:2-1-before", "nothing")
	maybe("min_score", "30", "90")
	maybe("shadow", "only", "include")
	maybe("started_from", "2026-01-01T12:03:00Z")
	maybe("last_to", "2026-01-01T12:06:00Z")
	maybe("sort", sorts...)
	return v
}

func parse(t interface{ Fatalf(string, ...any) }, params url.Values) *Query {
	q, err := Parse(params)
	if err != nil {
		t.Fatalf("%v: %v", params, err)
	}
	return q
}

// Whatever rows come and go, pages and facets equal those of a loop over all rows.
func TestTheIndexAnswersAsALoopOverAllRowsDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, cases := New(DefaultMax), map[string]*table.Case{}
		for range rapid.IntRange(1, 12).Draw(t, "updates") {
			entity := rapid.SampledFrom([]string{"customer:C-1", "card:2", "card:3", "seller:4"}).Draw(t, "entity")
			c := drawCase(t, entity)
			if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
				c = &table.Case{}
			}
			cases[entity] = c
			x.Put(entity, Of(entity, c, noon))
		}
		params := drawParams(t)
		want := naive(cases, params, "")
		params.Set("limit", fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "limit")))
		var got []string
		for pages := 0; ; pages++ {
			a := x.Search(parse(t, params), Moment{Now: noon})
			if a.Total != len(want) {
				t.Fatalf("%v: %d alerts, want %d", params, a.Total, len(want))
			}
			for _, alert := range a.Alerts {
				got = append(got, alert.ID)
			}
			checkFacets(t, cases, params, a.Facets)
			if a.Next == "" {
				break
			}
			params.Set("cursor", a.Next)
			if pages > 100 {
				t.Fatalf("the pages do not end")
			}
		}
		var ids []string
		for _, f := range want {
			ids = append(ids, f.Id)
		}
		if !slices.Equal(got, ids) {
			t.Fatalf("%v: %v, want %v", params, got, ids)
		}
		for entity, c := range cases {
			for _, a := range c.Alerts {
				for _, id := range append([]string{a.Id}, a.Formerly...) {
					if f, ok := x.Find(id); !ok || f.ID != a.Id || f.Entity != entity {
						t.Fatalf("%s is found as %q of %q", id, f.ID, f.Entity)
					}
				}
			}
		}
	})
}

func checkFacets(t *rapid.T, cases map[string]*table.Case, params url.Values, got Facets) {
	for _, f := range []struct {
		name string
		got  map[string]int
		of   func(found) string
	}{{"status", got.Status, func(f found) string { return f.Status }}, {"severity", got.Severity, func(f found) string { return f.Severity }},
		{"rule", got.Rule, func(f found) string { return f.Rule }}} {
		want := map[string]int{}
		for _, alert := range naive(cases, params, f.name) {
			want[f.of(alert)]++
		}
		if !maps.Equal(f.got, want) {
			t.Fatalf("%v: facet %s is %v, want %v", params, f.name, f.got, want)
		}
	}
}

// Changed may say yes too often, never no when the answer differs.
func TestNoChangeOfAnAnswerGoesUnnoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New(DefaultMax)
		params := drawParams(t)
		params.Set("limit", "3")
		q := parse(t, params)
		at := Moment{Now: noon}
		look := func() (string, map[string]bool, uint64) {
			a := x.Search(q, at)
			shown := map[string]bool{}
			text := ""
			for _, alert := range a.Alerts {
				shown[alert.ID] = true
				alert.formerly = slices.Clone(alert.formerly)
				text += fmt.Sprintln(alert.ID, alert.Status.Value(), alert.Severity.Value(), alert.Score, alert.CaseScore, alert.RiskMinor, alert.Started, alert.Last, alert.Revision)
			}
			return text, shown, a.Seq
		}
		before, shown, seq := look()
		for range rapid.IntRange(1, 10).Draw(t, "updates") {
			entity := rapid.SampledFrom([]string{"customer:C-1", "card:2"}).Draw(t, "entity")
			c := drawCase(t, entity)
			x.Put(entity, Of(entity, c, noon))
			_, changed := x.Changed(q, at, seq, func(id string) bool { return shown[id] })
			now, nowShown, nowSeq := look()
			if now != before && !changed {
				t.Fatalf("%v: unnoticed\n%swas\n%s", params, now, before)
			}
			before, shown, seq = now, nowShown, nowSeq
		}
	})
}

func TestAReaderThatComesLateLooksAtEverything(t *testing.T) {
	x := New(DefaultMax)
	q := parse(t, url.Values{"q": {"nothing"}})
	for i := range remembered + 1 {
		x.Put("card:1", Of("card:1", &table.Case{Alerts: []*table.Alert{{Id: "a", Revision: int64(i)}}}, noon))
	}
	none := func(string) bool { return false }
	if _, changed := x.Changed(q, Moment{}, 1, none); changed {
		t.Error("a change that does not matter counts although it is remembered")
	}
	if seq, changed := x.Changed(q, Moment{}, 0, none); !changed || seq != remembered+1 {
		t.Errorf("%d %v: more passed than is remembered", seq, changed)
	}
}

func TestBeyondItsBoundTheIndexLeavesOldEndedAlertsOut(t *testing.T) {
	const most = 100
	x := New(most)
	put := func(n int, episode string) {
		entity := fmt.Sprintf("card:%03d", n)
		x.Put(entity, Of(entity, &table.Case{Alerts: []*table.Alert{{Id: entity, Episode: episode, LastMs: int64(n)}}}, noon))
	}
	for n := range 60 {
		put(n, "ended")
	}
	for n := 60; n < 101; n++ {
		put(n, "active")
	}
	held, leftOut := x.Len()
	if held != 90 || leftOut != 11 {
		t.Errorf("%d held, %d left out", held, leftOut)
	}
	for n := range 101 {
		if _, ok := x.Find(fmt.Sprintf("card:%03d", n)); ok != (n >= 11) {
			t.Errorf("alert %d: found is %v", n, ok)
		}
	}
	a := x.Search(parse(t, url.Values{}), Moment{})
	if a.LeftOut != 11 || a.Total != 90 {
		t.Errorf("%d of %d left out", a.LeftOut, a.Total)
	}
	put(3, "active") // one that was left out comes back
	if held, leftOut = x.Len(); held != 91 || leftOut != 10 {
		t.Errorf("%d held, %d left out", held, leftOut)
	}
	x.Put("card:004", nil) // and one is forgotten
	if held, leftOut = x.Len(); held != 91 || leftOut != 9 {
		t.Errorf("%d held, %d left out", held, leftOut)
	}
}

func TestQuestionsThatCannotBeAnsweredAreRefused(t *testing.T) {
	for text, param := range map[string]string{
		"status=opened": "status", "severity=urgent": "severity", "episode=over": "episode", "entity=c-1": "entity", "min_score=101": "min_score",
		"min_score=high": "min_score", "shadow=yes": "shadow", "sort=best": "sort", "limit=0": "limit", "limit=501": "limit", "started_from=soon": "started_from",
		"last_to=now%2B1h": "last_to", "cursor=x": "cursor", "cursor=IA": "cursor", "q=a&q=b": "q", "colour=red": "colour",
		"rule=" + strings.Repeat("r", maxText+1): "rule",
	} {
		params, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(params)
		if p, ok := query.IsParam(err); !ok || p.Param != param {
			t.Errorf("%s: %v", text, err)
		}
	}
	var many []string
	for n := range maxValues + 1 {
		many = append(many, fmt.Sprint("rule-", n))
	}
	if _, err := Parse(url.Values{"rule": {strings.Join(many, ",")}}); err == nil {
		t.Error("a filter may have any number of values")
	}
	x := New(10)
	for n := range 3 {
		entity := fmt.Sprint("card:", n)
		x.Put(entity, Of(entity, &table.Case{Alerts: []*table.Alert{{Id: entity}}}, noon))
	}
	next := x.Search(parse(t, url.Values{"limit": {"1"}}), Moment{}).Next
	if _, err := Parse(url.Values{"cursor": {next}, "sort": {"risk"}}); err == nil || !strings.Contains(err.Error(), "other filters") {
		t.Errorf("a page of another question: %v", err)
	}
}

func TestRelativeTimesFollowTheWatermark(t *testing.T) {
	x := New(10)
	x.Put("card:1", Of("card:1", &table.Case{Alerts: []*table.Alert{{Id: "a", LastMs: noon.UnixMilli()}}}, noon))
	q := parse(t, url.Values{"last_from": {"now-1h"}})
	for ahead, want := range map[time.Duration]int{0: 1, time.Hour: 1, 2 * time.Hour: 0} {
		at := Moment{Watermark: event.UnixMilli(noon.Add(ahead).UnixMilli()), Now: noon.AddDate(1, 0, 0)}
		if a := x.Search(q, at); a.Total != want {
			t.Errorf("%v later: %d", ahead, a.Total)
		}
	}
	if !q.Moves() || parse(t, url.Values{"last_from": {"2026-01-01"}}).Moves() {
		t.Error("which questions move")
	}
}

func TestASnoozedAlertIsOpenOnceItsTimeHasCome(t *testing.T) {
	x := New(10)
	a := &table.Alert{Id: "a", Status: alert.Snoozed, SnoozedUntilMs: noon.Add(time.Minute).UnixMilli()}
	x.Put("card:1", Of("card:1", &table.Case{Alerts: []*table.Alert{a}}, noon))
	open := parse(t, url.Values{"status": {"open"}})
	for _, step := range []struct {
		after time.Duration
		woke  bool
		open  int
	}{{59 * time.Second, false, 0}, {time.Minute, true, 1}, {time.Hour, false, 1}} {
		seq := x.Seq()
		if woke := x.Wake(noon.Add(step.after)); woke != step.woke {
			t.Errorf("%v later: woke is %v", step.after, woke)
		}
		if _, changed := x.Changed(open, Moment{}, seq, func(string) bool { return false }); changed != step.woke {
			t.Errorf("%v later: changed is %v", step.after, changed)
		}
		if n := x.Search(open, Moment{}).Total; n != step.open {
			t.Errorf("%v later: %d open", step.after, n)
		}
	}
	x.Put("card:1", Of("card:1", &table.Case{Alerts: []*table.Alert{a}}, noon.Add(time.Hour)))
	if n := x.Search(open, Moment{}).Total; n != 1 {
		t.Errorf("put again after its time: %d open", n)
	}
}

func TestAlertsOfSharedEntitiesAndOrders(t *testing.T) {
	x := New(10)
	put := func(entity string, risk int64, orders ...string) {
		a := &table.Alert{Id: "of-" + entity, Score: 10, RiskMinor: risk, Currency: "EUR"}
		for _, o := range orders {
			a.HitsKept = append(a.HitsKept, &table.HitRef{OrderId: o})
		}
		x.Put(entity, Of(entity, &table.Case{Alerts: []*table.Alert{a}}, noon))
	}
	put("customer:1", 500, "o-1", "o-2")
	put("card:1", 100_00, "o-9")
	put("card:2", 900_00, "o-2", "o-1")
	put("card:3", 5000_00, "o-8")
	var got []string
	for _, s := range x.Sharing([]string{"card:1", "ip:1"}, []string{"o-1", "o-2"}, "of-customer:1", 5) {
		got = append(got, s.ID+" "+strings.Join(s.Orders, ","))
	}
	if want := []string{"of-card:2 o-1,o-2", "of-card:1 "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkSearch(b *testing.B) {
	x := New(DefaultMax)
	for n := range 200_000 {
		entity := fmt.Sprintf("customer:%06d", n)
		x.Put(entity, Of(entity, &table.Case{Alerts: []*table.Alert{{Id: fmt.Sprintf("%016x", n*2654435761), Rule: fmt.Sprint("rule-", n%30), Title: fmt.Sprint("Title ", n%30),
			Status: Statuses[n%3], Severity: Severities[n%4], Score: int64(n % 100), RiskMinor: int64(n * 7919 % 100_000), Currency: "EUR", StartedMs: int64(n), LastMs: int64(n),
			HitsKept: []*table.HitRef{{OrderId: fmt.Sprint("o-", n)}, {OrderId: fmt.Sprint("p-", n)}}}}}, noon))
	}
	for name, params := range map[string]url.Values{"all": {}, "open": {"status": {"open"}}, "text": {"q": {"0999"}}, "order": {"q": {"o-777"}}} {
		q := parse(b, params)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				x.Search(q, Moment{Now: noon})
			}
		})
	}
}
