package alerts

import (
	"maps"
	"slices"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// start is the time of day that tests begin with.
var start = event.UnixMilli(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixMilli())

const entity = "customer:c1"

// minute is a time in minutes after start.
func minute(n int) event.UnixMilli { return start.Add(time.Duration(n) * time.Minute) }

// desk is one row of group alerts with what stands beside it. Every step goes through the encoding, as between transactions.
type desk struct {
	t          testing.TB
	rules      map[string]*rule.Rule
	grace      time.Duration
	retention  time.Duration
	partitions int32
	watermark  event.UnixMilli
	row        []byte
	beside     map[string][]byte
	told       []string // type and alert id
	counts     map[string]int64
	out        Output
}

func newDesk(t testing.TB, rules ...*rule.Rule) *desk {
	d := &desk{t: t, rules: map[string]*rule.Rule{}, grace: 24 * time.Hour, retention: DefaultRetention, partitions: 1,
		beside: map[string][]byte{}, counts: map[string]int64{}}
	for _, r := range rules {
		d.rules[r.ID] = r
	}
	return d
}

// velocity is a live rule with a cooldown of ten minutes.
func velocity() *rule.Rule {
	return &rule.Rule{ID: "velocity", Version: 1, Hash: 7, State: rule.Live, Title: "Velocity", Severity: rule.High, Typology: "velocity",
		Entity: "customer", Cooldown: 10 * time.Minute}
}

// found is the only part of a hit at a minute.
func found(name string, hit uint64, at int) *table.Finding {
	return &table.Finding{Rule: name, RuleHash: 7, Version: 1, Hit: hit, Parts: 1, Entity: entity, AtMs: int64(minute(at)), Score: 50,
		OrderId: "o1", RiskMinor: 1000, Currency: "EUR", Reason: "too many",
		Predicates: []*table.Predicate{{Text: "count > 3", Observed: "4", Operator: ">", Threshold: "3", EventsTotal: 4}}}
}

func withdrawn(f *table.Finding) *table.Finding {
	return &table.Finding{Rule: f.Rule, RuleHash: f.RuleHash, Hit: f.Hit, Clause: f.Clause, Part: f.Part, Withdrawn: true}
}

func (d *desk) read() *table.Case {
	d.t.Helper()
	row := new(table.Case)
	if err := row.UnmarshalVT(d.row); err != nil {
		d.t.Fatal(err)
	}
	return row
}

func (d *desk) step(in Input) *Output {
	d.t.Helper()
	row := d.read()
	in.Entity, in.Watermark, in.Partitions, in.Retention, in.Grace = entity, d.watermark, d.partitions, d.retention, d.grace
	in.Rule = func(id string) *rule.Rule { return d.rules[id] }
	in.Get = func(key string) []byte { return d.beside[key] }
	d.out.Reset()
	Step(row, &in, &d.out)
	for _, r := range d.out.Rows {
		d.beside[r.Key] = r.Value
		if r.Value == nil {
			delete(d.beside, r.Key)
		}
	}
	for i := range d.out.Tell {
		d.told = append(d.told, d.out.Tell[i].Type+" "+d.out.Tell[i].Alert.Id)
	}
	for _, c := range d.out.Counts {
		d.counts[c.Name] += c.N
	}
	switch {
	case d.out.Delete:
		d.row = nil
	case !d.out.Unchanged:
		raw, err := row.MarshalVT()
		if err != nil {
			d.t.Fatal(err)
		}
		d.row = raw
	}
	return &d.out
}

func (d *desk) feed(findings ...*table.Finding) {
	d.t.Helper()
	for _, f := range findings {
		d.step(Input{Finding: f.CloneVT()})
	}
}

// pass moves the watermark and fires the timer for as long as the row wants it.
func (d *desk) pass(to event.UnixMilli) {
	d.t.Helper()
	d.watermark = to
	for range 100 {
		due, ok := dueAt(d.row)
		if !ok || due > to {
			return
		}
		d.step(Input{})
	}
	d.t.Fatalf("the row wants its timer for ever, at %v", d.read().DueMs)
}

// standing are the alerts that were not withdrawn.
func (d *desk) standing() []*table.Alert {
	return slices.DeleteFunc(d.read().Alerts, func(a *table.Alert) bool { return a.Status == alert.Withdrawn })
}

func (d *desk) only() *table.Alert {
	d.t.Helper()
	all := d.standing()
	if len(all) != 1 {
		d.t.Fatalf("%d alerts stand, want one", len(all))
	}
	return all[0]
}

func (d *desk) expectTold(want ...string) {
	d.t.Helper()
	if !slices.Equal(d.told, want) {
		d.t.Errorf("told\n%q\nwant\n%q", d.told, want)
	}
	d.told = nil
}

func idAt(at int) string { return alert.ID("velocity", 1, entity, minute(at)) }

func TestHitsWithinTheCooldownAreOneAlert(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0))
	d.feed(found("velocity", 2, 10), found("velocity", 3, 12))
	a := d.only()
	if a.Id != idAt(0) || a.Hits != 3 || a.StartedMs != int64(minute(0)) || a.LastMs != int64(minute(12)) || a.Orders != 1 || a.RiskMinor != 1000 {
		t.Errorf("alert is %v", a)
	}
	if a.Status != alert.Open || a.Severity != "high" || a.Title != "Velocity" || a.Reason != "too many" || a.Score != 50 {
		t.Errorf("alert is %v", a)
	}
	if a.First[0].Hit != 1 || a.Latest[0].Hit != 3 {
		t.Errorf("explained by %v and %v", a.First, a.Latest)
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.updated "+idAt(0)) // at hits 1 and 2
	d.feed(found("velocity", 4, 23))
	if all := d.standing(); len(all) != 2 || all[1].Id != idAt(23) {
		t.Errorf("after more than the cooldown: %v", all)
	}
}

func TestAnEpisodeEndsWhenTheWatermarkHasPassedTheCooldown(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0))
	d.pass(minute(10))
	if a := d.only(); a.Episode != alert.Active {
		t.Errorf("a hit could still join, and it is %s", a.Episode)
	}
	d.pass(minute(10) + 1)
	if a := d.only(); a.Episode != alert.Ended || a.History[1].What != alert.ChangeEnded || a.History[1].AtMs != int64(minute(10)) {
		t.Errorf("it is %s, history %v", a.Episode, a.History)
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.ended "+idAt(0))
	d.feed(found("velocity", 2, 5)) // late
	if a := d.only(); a.Episode != alert.Active || a.Hits != 2 {
		t.Errorf("a late hit made it %s with %d hits", a.Episode, a.Hits)
	}
}

func TestAHitBeforeTheStartMovesAnAlert(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 10))
	d.step(Input{Decision: &table.Decision{Id: "d1", Alert: idAt(10), Entity: entity, Action: alert.Acknowledge, Author: "ana", SeenAtMs: 1}})
	d.feed(found("velocity", 2, 4))
	a := d.only()
	if a.Id != idAt(4) || !slices.Equal(a.Formerly, []string{idAt(10)}) || a.Status != alert.Acknowledged {
		t.Errorf("alert is %v", a)
	}
	d.expectTold("weir.alert.opened "+idAt(10), "weir.alert.decided "+idAt(10), "weir.alert.moved "+idAt(4))
	if from := d.out.Tell[0].From; !slices.Equal(from, []string{idAt(10)}) {
		t.Errorf("moved from %v", from)
	}
	d.step(Input{Decision: &table.Decision{Id: "d2", Alert: idAt(10), Entity: entity, Action: alert.Confirm, Author: "ana", SeenAtMs: 2}})
	if a := d.only(); a.Status != alert.Confirmed {
		t.Errorf("a decision on the former id left it %s", a.Status)
	}
	d.feed(withdrawn(found("velocity", 2, 4)))
	if a := d.only(); a.Id != idAt(10) || !slices.Equal(a.Formerly, []string{idAt(4)}) || a.Status != alert.Confirmed {
		t.Errorf("back at its former start it is %v", a)
	}
}

func TestAHitBetweenTwoAlertsJoinsThemAndItsWithdrawalPartsThem(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0), found("velocity", 2, 16))
	decide := func(id, on, action string, at int64) {
		d.step(Input{Decision: &table.Decision{Id: id, Alert: on, Entity: entity, Action: action, Author: "ana", SeenAtMs: at, Assignee: id, UntilMs: 99}})
	}
	decide("d1", idAt(0), alert.Confirm, 5)
	decide("d2", idAt(16), alert.Assign, 4)
	decide("d3", idAt(16), alert.Snooze, 3)
	d.told = nil
	d.feed(found("velocity", 3, 8))
	a := d.only()
	if a.Id != idAt(0) || a.Hits != 3 || !slices.Equal(a.Formerly, []string{idAt(16)}) {
		t.Errorf("joined into %v", a)
	}
	if a.Status != alert.Confirmed || a.Assignee != "d2" {
		t.Errorf("the newest decisions make it %s, assigned to %q", a.Status, a.Assignee)
	}
	var decisions []string
	for _, c := range a.History {
		if c.Decision != "" {
			decisions = append(decisions, c.Decision)
		}
	}
	if !slices.Equal(decisions, []string{"d3", "d2", "d1"}) {
		t.Errorf("decisions in the order of time: %v", decisions)
	}
	d.expectTold("weir.alert.moved " + idAt(0))
	d.feed(withdrawn(found("velocity", 3, 8)))
	all := d.standing()
	if len(all) != 2 || all[0].Id != idAt(0) || all[1].Id != idAt(16) || len(all[0].Formerly)+len(all[1].Formerly) != 0 {
		t.Fatalf("parted into %v", all)
	}
	if all[1].Status != alert.Confirmed || all[1].First[0].Hit != 2 {
		t.Errorf("the piece is %v", all[1])
	}
	d.expectTold("weir.alert.opened " + idAt(16))
}

func TestAnAlertWithoutHitsIsWithdrawnAndCanComeBack(t *testing.T) {
	d := newDesk(t, velocity())
	f := found("velocity", 1, 0)
	d.feed(f)
	d.step(Input{Decision: &table.Decision{Id: "d1", Alert: idAt(0), Entity: entity, Action: alert.Confirm, Author: "ana", SeenAtMs: 5}})
	d.feed(withdrawn(f))
	if a := d.read().Alerts[0]; a.Status != alert.Withdrawn || a.Hits != 0 || alert.CaseScore(d.read()) != 0 {
		t.Errorf("it is %v", a)
	}
	d.feed(withdrawn(f))
	if d.counts[CounterUnknown] != 1 {
		t.Error("the second withdrawal was not told apart")
	}
	d.feed(f)
	if a := d.only(); a.Status != alert.Confirmed || a.Hits != 1 || a.Id != idAt(0) {
		t.Errorf("it came back as %v", a)
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.decided "+idAt(0), "weir.alert.withdrawn "+idAt(0), "weir.alert.opened "+idAt(0))
	if len(d.beside) != 1 {
		t.Errorf("beside the row stand %d rows", len(d.beside))
	}
}

func TestAHitNeedsAllPartsOfAClause(t *testing.T) {
	d := newDesk(t, velocity())
	one, two := found("velocity", 1, 0), found("velocity", 1, 0)
	one.Parts, two.Parts, two.Part, two.Score = 2, 2, 1, 80
	d.feed(two)
	if row := d.read(); len(row.Alerts) != 0 || len(row.Pending) != 1 {
		t.Fatalf("one part made %v", row)
	}
	d.feed(one)
	if a := d.only(); a.Hits != 1 || a.Score != 80 || len(a.First) != 2 || len(d.read().Pending) != 0 {
		t.Errorf("two parts made %v", a)
	}
	other := found("velocity", 1, 0)
	other.Clause, other.Score = 1, 90
	d.feed(other)
	if a := d.only(); a.Hits != 1 || a.Score != 90 {
		t.Errorf("by a second clause it is %v", a)
	}
	d.feed(withdrawn(other), withdrawn(one))
	if row := d.read(); len(d.standing()) != 0 || len(row.Pending) != 1 || row.Pending[0].Parts[0].Part != 1 {
		t.Errorf("without the first part: %v", row)
	}
	d.feed(one)
	if a := d.only(); a.Hits != 1 || a.Score != 80 || len(a.First) != 2 {
		t.Errorf("the part came back: %v", a)
	}
	d.feed(withdrawn(one))
	d.pass(minute(0).Add(24*time.Hour) + 1)
	if row := d.read(); len(row.Pending) != 0 || d.counts[CounterPending] != 1 {
		t.Errorf("after grace there wait %v", row.Pending)
	}
}

func TestShadowRulesAreRecordedAndToldToNobody(t *testing.T) {
	r := velocity()
	r.State = rule.Shadow
	d := newDesk(t, r)
	d.feed(found("velocity", 1, 0), found("velocity", 2, 1))
	if a := d.only(); !a.Shadow || a.Hits != 2 || alert.CaseScore(d.read()) != 0 {
		t.Errorf("shadow alert is %v", a)
	}
	d.expectTold()
}

func TestFindingsOfRulesThatDoNotRunOnlyWithdraw(t *testing.T) {
	d := newDesk(t, velocity())
	f := found("velocity", 1, 0)
	d.feed(f, found("velocity", 2, 15), found("velocity", 3, 8), found("unknown", 4, 0))
	delete(d.rules, "velocity")
	d.feed(found("velocity", 5, 1))
	if a := d.only(); a.Hits != 3 || d.counts[CounterNotRun] != 2 {
		t.Errorf("counted %v and %v", a, d.counts)
	}
	d.feed(withdrawn(found("velocity", 3, 8)))
	if a := d.only(); a.Hits != 2 || a.Episode != alert.Ended {
		t.Errorf("of a retired rule %v", a)
	}
	d.feed(withdrawn(f), withdrawn(found("velocity", 2, 15)))
	if all := d.standing(); len(all) != 0 {
		t.Errorf("left %v", all)
	}
}

func TestRulesOnOneEntityAddUp(t *testing.T) {
	other := velocity()
	other.ID = "spike"
	d := newDesk(t, velocity(), other)
	low := found("spike", 1, 60)
	low.Score = 20
	d.feed(found("velocity", 1, 0), found("velocity", 2, 30), low)
	if got := alert.CaseScore(d.read()); got != 60 { // 1 − 0.5·0.8
		t.Errorf("case score %d", got)
	}
	d.step(Input{Decision: &table.Decision{Id: "d1", Alert: alert.ID("spike", 1, entity, minute(60)), Entity: entity,
		Action: alert.MarkFalsePositive, Author: "ana", SeenAtMs: 5}})
	if got := alert.CaseScore(d.read()); got != 50 {
		t.Errorf("case score without the false positive %d", got)
	}
}

func TestRowsExpireAndLeaveNothing(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0), found("velocity", 2, 60))
	d.pass(minute(60).Add(d.retention))
	if len(d.standing()) != 2 || len(d.beside) != 0 {
		t.Errorf("before its time: %v, beside it %v", d.standing(), slices.Collect(maps.Keys(d.beside)))
	}
	d.pass(minute(60).Add(d.retention) + 1)
	if d.row != nil || !d.out.Delete {
		t.Error("the row is still there")
	}
}

func TestAnAlertThatGoesIsToldToHaveEnded(t *testing.T) {
	d := newDesk(t, velocity())
	d.feed(found("velocity", 1, 0), found("velocity", 2, 60))
	d.pass(minute(60).Add(d.retention) + 1) // past the cooldowns and the retention in one step
	if d.row != nil {
		t.Error("the row is still there")
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.opened "+idAt(60), "weir.alert.ended "+idAt(0), "weir.alert.ended "+idAt(60))
}

func TestAReplayedFindingReplacesWhatWasSaid(t *testing.T) {
	d := newDesk(t, velocity())
	f := found("velocity", 1, 0)
	d.feed(f)
	f.Score, f.Predicates[0].Observed = 70, "5"
	d.feed(f)
	if a := d.only(); a.Hits != 1 || a.Score != 70 || a.First[0].Predicates[0].Observed != "5" || a.Id != idAt(0) {
		t.Errorf("alert is %v", a)
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.updated "+idAt(0))
}

func TestAFindingOlderThanTheRetentionLeavesNoRow(t *testing.T) {
	d := newDesk(t, velocity())
	d.watermark = minute(1).Add(d.retention)
	d.feed(found("velocity", 1, 0))
	if d.row != nil || d.out.Delete || len(d.beside) != 0 || d.counts[CounterExpired] != 1 || d.counts[CounterOpened] != 0 {
		t.Errorf("row %q, beside it %v, %v", d.row, d.beside, d.counts)
	}
	d.expectTold()
}
