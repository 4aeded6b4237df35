package scenario

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/sim/lines"
	"weir/topology/table"
)

// desk is a Runner that holds one case and takes every decision that has a reason.
type desk struct {
	c        table.Case
	findings []sim.Record // or events about alerts
	fed      []*table.Decision
}

func (*desk) Metrics() *metric.Set                      { return nil }
func (*desk) Partitions() int32                         { return 1 }
func (*desk) Settle(event.UnixMilli) error              { return nil }
func (*desk) Counters(string) (map[string]int64, error) { return nil, nil }
func (*desk) Close() error                              { return nil }

func (d *desk) Feed(records []sim.Record) error {
	for _, r := range records {
		var decision table.Decision
		if err := decision.UnmarshalVT(r.Value); err != nil {
			return err
		}
		d.fed = append(d.fed, &decision)
		if decision.Reason == "" {
			d.c.Refusals = append(d.c.Refusals, &table.Refusal{Decision: decision.Id, Why: "say why"})
			continue
		}
		d.c.Applied = append(d.c.Applied, decision.Id)
	}
	return nil
}

func (d *desk) Rows(name string) (map[string][]byte, error) {
	raw, err := d.c.MarshalVT()
	return map[string][]byte{"customer:c1": raw}, err
}

func (d *desk) Records(string) ([]sim.Record, error) { return d.findings, nil }

func noon(minute int64) int64 { return lines.Day.UnixMilli() + (12*60+minute)*60_000 }

func exampleCase() *desk {
	hit := func(n uint64, observed string) []*table.Finding {
		return []*table.Finding{{Hit: n, Predicates: []*table.Predicate{
			{Text: "count(orders by customer, 5m) > 3", Observed: observed, Operator: ">", Threshold: "3", EventsTotal: 4},
			{Text: "is_new", Observed: "true", EventsTotal: 1}}}}
	}
	return &desk{c: table.Case{Alerts: []*table.Alert{
		{Id: "a0", Rule: "old", Entity: "customer:c1", Status: alert.Withdrawn},
		{Id: "a1", Rule: "velocity", Entity: "customer:c1", Status: alert.Open, Episode: alert.Ended,
			StartedMs: noon(0), LastMs: noon(0), Hits: 1, Score: 50, RiskMinor: 1000, Currency: "EUR", First: hit(1, "4")},
		{Id: "a2", Rule: "velocity", Entity: "customer:c1", Status: alert.Confirmed, Episode: alert.Active,
			StartedMs: noon(30), LastMs: noon(31), Hits: 2, Score: 60, Shadow: true, Title: "Velocity", Severity: "high", Orders: 2, Assignee: "ben", First: hit(2, "4"), Latest: hit(3, "5"),
			History: []*table.Change{{AtMs: noon(30), What: alert.ChangeOpened}, {AtMs: noon(30), What: alert.ChangeMerged, Reason: "with a9"},
				{SeenAtMs: noon(40), AtMs: noon(31), What: alert.Confirm, Author: "ana", Reason: "seen before", Decision: "d0"}}},
	}}}
}

// play runs commands and gives what they print.
func play(t *testing.T, r Runner, commands ...string) string {
	t.Helper()
	p := newPlayer(Setup{Config: map[string]string{}}, func(testing.TB, Setup) Runner { return r })
	var b strings.Builder
	for _, line := range commands {
		cmd, args, err := datadriven.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.command(t, &datadriven.TestData{Cmd: cmd, CmdArgs: args})
		if err != nil {
			got = "error: " + err.Error() + "\n"
		}
		b.WriteString(got)
	}
	return b.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestAlertsArePrintedWithTheirExplanation(t *testing.T) {
	expect(t, play(t, exampleCase(), "alerts"), `
velocity  customer:c1  open/ended  12:00:00  12:00:00  hits 1  score 50  at risk 10.00 EUR
  4 > 3  count(orders by customer, 5m) > 3  (4 events)
  true  is_new  (1 event)
velocity  customer:c1  confirmed/active  12:30:00  12:31:00  hits 2  score 60  shadow
  4 > 3  count(orders by customer, 5m) > 3  (4 events)
  true  is_new  (1 event)
`)
	expect(t, play(t, &desk{}, "alerts", "alert customer:c2"), "none\nno alert\n")
}

func TestACaseIsPrintedWhole(t *testing.T) {
	d := exampleCase()
	d.c.Alerts = d.c.Alerts[2:]
	d.c.Refusals = []*table.Refusal{{Decision: "d7", Why: "the alert is closed: reopen it first"}}
	expect(t, play(t, d, "alert customer:c1"), `
case score 0
velocity  customer:c1  confirmed/active  12:30:00  12:31:00  hits 2  score 60  shadow
  title Velocity
  severity high
  orders 2
  assigned to ben
  first hit
    4 > 3  count(orders by customer, 5m) > 3  (4 events)
    true  is_new  (1 event)
  last hit
    5 > 3  count(orders by customer, 5m) > 3  (4 events)
    true  is_new  (1 event)
  history
    12:30:00 opened
    12:40:00 confirm by ana: seen before
refused d7: the alert is closed: reopen it first
`)
}

func TestDecisionsGoToTheAlertThatIsMeant(t *testing.T) {
	d := exampleCase()
	expect(t, play(t, d,
		`decide velocity customer:c1 snooze by ana at=12:40 until=13:00 reason "wait and see, x=1"`,
		`decide velocity#1 customer:c1 assign by ana to=ben revision=3`,
		`decide nothing customer:c1 confirm by ana id=mine reason because`,
		`decide velocity customer:c1 confirm`,
		`decide velocity customer:c1 confirm by ana in=haste`), `
taken
refused: say why
taken
error: decide [velocity customer:c1 confirm]: want decide RULE ENTITY ACTION by AUTHOR reason "…"
error: decide has no argument "in"
`)
	for i, want := range []*table.Decision{
		{Id: "d1", Alert: "a2", Entity: "customer:c1", Action: alert.Snooze, Author: "ana", Reason: "wait and see, x=1",
			SeenAtMs: noon(40), UntilMs: noon(60)},
		{Id: "d2", Alert: "a1", Entity: "customer:c1", Action: alert.Assign, Author: "ana", Assignee: "ben", ExpectedRevision: 3,
			SeenAtMs: noon(12*60 + 2)},
		{Id: "mine", Alert: "nothing", Entity: "customer:c1", Action: alert.Confirm, Author: "ana", Reason: "because", SeenAtMs: noon(12*60 + 3)},
	} {
		if got := d.fed[i]; !got.EqualVT(want) {
			t.Errorf("decision %d is\n%v\nwant\n%v", i, got, want)
		}
	}
}

func TestAlertsThatWereTold(t *testing.T) {
	d := exampleCase()
	for _, id := range []string{"a0", "a1", "a9"} {
		d.findings = append(d.findings, sim.Record{Topic: topology.Alerts, Key: "customer:c1", Value: []byte(`{"data":{"id":"` + id + `"}}`)})
	}
	expect(t, play(t, d, "told", "entities"), `
velocity  customer:c1  12:00:00
customer:c1
`)
	d.findings[0].Value = []byte("{")
	expect(t, play(t, d, "told"), "error: event about customer:c1 on topic alerts: unexpected end of JSON input\n")
}

func TestFindingsThatWereWithdrawnAreNotPrinted(t *testing.T) {
	d := &desk{}
	for _, f := range []*table.Finding{
		{Rule: "b", Hit: 1, AtMs: noon(0), OrderId: "o1", Reason: "first"},
		{Rule: "a", Hit: 1, AtMs: noon(1), OrderId: "o2", Parts: 2, Part: 1, Reason: "half"},
		{Rule: "b", Hit: 2, AtMs: noon(2), OrderId: "o3"}, {Rule: "b", Hit: 2, Withdrawn: true},
		{Rule: "b", Hit: 1, AtMs: noon(0), OrderId: "o1", Reason: "anew"},
	} {
		raw, err := f.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		d.findings = append(d.findings, sim.Record{Topic: topology.Findings, Key: "ip:1", Value: raw})
	}
	expect(t, play(t, d, "findings"), `
a ip:1, order o2, at 12:01:00, part 2 of 2: half
b ip:1, order o1, at 12:00:00: anew
`)
}
