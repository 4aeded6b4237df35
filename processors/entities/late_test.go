package entities

import (
	"errors"
	"slices"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// threshold is a rule of this lateness: three or more in a minute.
func threshold(late rule.Late) (*testJudge, *rule.Plan) {
	plan := &rule.Plan{Kind: "card", Horizon: time.Minute, Series: []rule.Series{{ID: 1, Type: rule.Number, Horizon: time.Minute}},
		Readings: []rule.Reading{{Agg: rule.Count, Window: time.Minute, Result: rule.Number, Late: late}}}
	r := &rule.Rule{ID: "three", Hash: 5, State: rule.Live, Late: late}
	return &testJudge{parts: map[uint32]*rule.Part{4: {ID: 4, Rule: r, Of: 1, Kind: "card", Readings: []int{0}}}}, plan
}

// attempt is event n, asked whether it is the third in a minute.
func attempt(n int, at int64) *fact {
	f := &fact{Observation: newObservation(n, at*second, "EUR", table.SeriesValue{Series: 1, Bits: f64(1)})}
	f.Gates = []table.Gate{{Part: 4, Operands: []table.Operand{{Kind: table.OperandNumber, Bits: f64(3)}}}}
	return f
}

func standingAt(e *entity) (seconds []int64) {
	for _, f := range e.standing {
		seconds = append(seconds, f.AtMs/second)
	}
	slices.Sort(seconds)
	return seconds
}

func TestLateEventsFollowTheRulesPolicy(t *testing.T) {
	for late, want := range map[rule.Late][2][]int64{ // where it holds after the fourth event, and after the fifth
		rule.Revise:    {{1020, 1030}, {1020, 1030, 1035}},
		rule.CountOnly: {{1030}, {1030, 1035}},
		rule.Drop:      {{1030}, {1030, 1035}},
	} {
		t.Run(string(late), func(t *testing.T) {
			j, plan := threshold(late)
			e := newEntity(j, plan, time.Hour)
			send := func(f *fact) {
				t.Helper()
				if err := e.send(f); err != nil {
					t.Fatal(err)
				}
			}
			send(attempt(1, 1000))
			send(attempt(2, 1020))
			e.watermark = 1025 * second
			send(attempt(3, 1005)) // late: with it, the one at 1020 is the third
			send(attempt(4, 1030))
			if !slices.Equal(standingAt(e), want[0]) {
				t.Errorf("it holds at %v, want %v", standingAt(e), want[0])
			}
			send(attempt(5, 1035))
			if !slices.Equal(standingAt(e), want[1]) {
				t.Errorf("then it holds at %v, want %v", standingAt(e), want[1])
			}
		})
	}
}

func TestDropLeavesLateEntriesOut(t *testing.T) {
	j, plan := threshold(rule.Drop)
	e := newEntity(j, plan, time.Hour)
	e.watermark = 1010 * second
	for _, f := range []*fact{attempt(1, 1000), attempt(2, 1005), attempt(3, 1020), attempt(4, 1021)} { // two of them late
		if err := e.send(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := standingAt(e); got != nil {
		t.Errorf("it holds at %v, where only two came in time", got)
	}
	if got := j.saw[0].Num; got != 2 {
		t.Errorf("the newest counts %v", got)
	}
}

// An event that comes in the place of one that a rule held at without it takes that back.
func TestWhatHoldsNoLongerIsWithdrawn(t *testing.T) {
	plan := &rule.Plan{Kind: "card", Horizon: time.Hour, Series: []rule.Series{{ID: 1, Type: rule.Number, Horizon: time.Hour}},
		Readings: []rule.Reading{{Agg: rule.SinceLast, Window: time.Hour, Previous: true, Result: rule.Duration}}}
	r := &rule.Rule{ID: "after a long time", Hash: 5, State: rule.Live, Late: rule.Revise}
	j := &testJudge{parts: map[uint32]*rule.Part{4: {ID: 4, Rule: r, Of: 1, Kind: "card", Readings: []int{0}}}}
	e := newEntity(j, plan, time.Hour)
	ask := func(n int, at int64) *fact {
		f := attempt(n, at)
		f.Gates[0].Operands[0].Bits = f64(60_000)
		return f
	}
	if err := e.send(ask(1, 1000), ask(2, 1100), ask(3, 1110)); err != nil {
		t.Fatal(err)
	}
	if got := standingAt(e); !slices.Equal(got, []int64{1100}) {
		t.Fatalf("it holds at %v", got)
	}
	if err := e.send(ask(4, 1070)); err != nil {
		t.Fatal(err)
	}
	if got := standingAt(e); !slices.Equal(got, []int64{1070}) {
		t.Errorf("it holds at %v", got)
	}
	f := e.out.Findings[slices.IndexFunc(e.out.Findings, func(f *table.Finding) bool { return f.Withdrawn })]
	want := &table.Finding{Rule: r.ID, RuleHash: 5, Entity: e.key, Hit: newObservation(2, 0, "").IDHash, Parts: 1, Withdrawn: true}
	if !f.EqualVT(want) {
		t.Errorf("withdrawn: %v, want %v", f, want)
	}
}

// What is too old for any window is counted and nothing else; what is only older than the grace still counts in windows.
func TestEventsOlderThanGraceAreNotJudged(t *testing.T) {
	j, plan := threshold(rule.Revise)
	e := newEntity(j, plan, 30*time.Second)
	e.watermark = 1000 * second
	for _, f := range []*fact{attempt(1, 910), attempt(2, 940), attempt(3, 960), attempt(4, 965), attempt(5, 980)} {
		if err := e.send(f); err != nil {
			t.Fatal(err)
		}
	}
	if e.total.Late != 1 || e.total.Unjudged != 3 {
		t.Errorf("%d late, %d unjudged, want 1 and 3", e.total.Late, e.total.Unjudged)
	}
	if got := standingAt(e); !slices.Equal(got, []int64{980}) {
		t.Errorf("it holds at %v", got)
	}
}

// Events that are read again from the log fill features, and nothing is found because of them.
func TestBackfillFillsFeaturesAndRaisesNothing(t *testing.T) {
	j, plan := threshold(rule.Revise)
	plan.Series = append(plan.Series, rule.Series{ID: 2, Type: rule.Number, Horizon: time.Minute})
	plan.Readings = append(plan.Readings, rule.Reading{Series: 1, Agg: rule.Sum, Window: time.Minute, Result: rule.Number})
	j.parts[4].Readings = []int{1}
	e := newEntity(j, plan, time.Hour)
	if err := e.send(attempt(1, 1000), attempt(2, 1010)); err != nil { // from before series 2 was known
		t.Fatal(err)
	}
	again := func(n int, at int64, bits float64) *fact {
		f := attempt(n, at)
		f.Flags = table.FlagBackfill
		f.Values = append(f.Values, table.SeriesValue{Series: 2, Bits: f64(bits)})
		return f
	}
	for _, f := range []*fact{again(2, 1010, 5), again(1, 1000, 4), again(3, 1005, 3), again(3, 1005, 3)} {
		if err := e.send(f); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.standing) != 0 || e.total.Duplicates != 1 {
		t.Errorf("%d findings, %d duplicates", len(e.standing), e.total.Duplicates)
	}
	next := attempt(4, 1020)
	if err := e.send(next); err != nil {
		t.Fatal(err)
	}
	if got := j.saw[0].Num; got != 12 {
		t.Errorf("the sum is %v, want 4 + 5 + 3", got)
	}
	original := attempt(3, 1005) // it comes after all, without series 2, which is kept
	original.Values[0].Bits = f64(7)
	if err := e.send(original); err != nil {
		t.Fatal(err)
	}
	if got := j.saw[0].Num; got != 12 {
		t.Errorf("then the sum is %v", got)
	}
	if got := standingAt(e); !slices.Equal(got, []int64{1005, 1010, 1020}) {
		t.Errorf("it holds at %v", got)
	}
	var o table.Observation
	_, err := o.Parse(bytesOf(t, e.row, 1))
	if err != nil || o.Flags&table.FlagBackfill != 0 || len(o.Values) != 2 || o.Values[0].Bits != f64(7) {
		t.Errorf("the event is now %+v, %v", o, err)
	}
}

// bytesOf is the n-th observation of a row.
func bytesOf(t *testing.T, row []byte, n int) []byte {
	t.Helper()
	var s scratch
	if _, err := s.begin(row, nil); err != nil {
		t.Fatal(err)
	}
	return s.bytes(&s.refs[n])
}

func TestRulesThatAreNotEvaluatedFindNothing(t *testing.T) {
	j, plan := threshold(rule.Revise)
	e := newEntity(j, plan, time.Hour)
	j.parts[4].Rule.State = rule.Paused
	if err := e.send(attempt(1, 1000), attempt(2, 1001), attempt(3, 1002)); err != nil || len(e.standing) != 0 {
		t.Fatalf("%v, %d findings", err, len(e.standing))
	}
	j.parts[4].Rule.State = rule.Shadow
	if err := e.send(attempt(4, 1003)); err != nil || len(e.standing) != 1 {
		t.Fatalf("%v, %d findings", err, len(e.standing))
	}
	delete(j.parts, 4)
	if err := e.send(attempt(5, 1002)); err != nil || len(e.out.Findings) != 0 {
		t.Fatalf("%v, %v", err, e.out.Findings)
	}
	if g := gatesOf(bytesOf(t, e.row, 4)); !g.next() || g.b[g.raised] != 0 {
		t.Error("a finding of a rule that is gone still counts as standing")
	}
}

// A series that is new to a running partition is unknown as far as a window reaches behind its beginning.
func TestNewSeriesWarmUp(t *testing.T) {
	j, plan := threshold(rule.Revise)
	j.parts[4].Readings = []int{0, 1}
	plan.Readings = append(plan.Readings, rule.Reading{Agg: rule.Count, Result: rule.Number})
	e := newEntity(j, plan, time.Hour)
	e.in.Since = []int64{1000 * second}
	for n, c := range []struct {
		at    int64
		known bool
	}{{1010, false}, {1059, false}, {1060, true}, {1100, true}} {
		if err := e.send(attempt(n, c.at)); err != nil {
			t.Fatal(err)
		}
		if got := j.saw[0].Known; got != c.known {
			t.Errorf("a minute up to %d is known: %t", c.at, got)
		}
		if j.saw[1].Known {
			t.Error("all there ever was is known")
		}
	}
}

func TestMoneyWithoutACurrencyIsUnknown(t *testing.T) {
	j, plan := threshold(rule.Revise)
	plan.Series[0].Type, plan.Readings[0].Agg, plan.Readings[0].Result = rule.Money, rule.Sum, rule.Money
	e := newEntity(j, plan, time.Hour)
	f := attempt(1, 1000)
	f.Currency = ""
	if err := e.send(attempt(2, 999), f); err != nil {
		t.Fatal(err)
	}
	if j.saw[0].Known {
		t.Error("a sum of money in no currency is known")
	}
}

// Since when series are kept: the first set is complete, what comes later begins at the watermark, what goes is forgotten.
func TestSinceWhenSeriesAreKept(t *testing.T) {
	load := func(text string) *rule.Set {
		t.Helper()
		set, err := rule.Load("rules", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	const one = "{id: one, entity: customer, on: order.created, when: 'count(5m, customer) > 3', title: t, reason: r, severity: low, score: 1}"
	const two = "{id: two, entity: customer, on: payment.failed, when: 'count(1h, customer) > 3', title: t, reason: r, severity: low, score: 1}"
	a, ab := load("rules: ["+one+"]"), load("rules: ["+one+", "+two+"]")
	var row []byte
	var b began
	update := func(set *rule.Set, watermark int64, write bool) {
		t.Helper()
		changed, err := b.update(set, row, watermark)
		if err != nil || (changed != nil) != write {
			t.Fatalf("at %d: %v, written: %t", watermark, err, changed != nil)
		}
		if changed != nil {
			row = changed
		}
	}
	update(a, 0, true)
	update(a, 50, false)
	if got := b.since["customer"]; !slices.Equal(got, []int64{0}) {
		t.Fatalf("since %v", got)
	}
	update(ab, 100, true)
	if got := slices.Sorted(slices.Values(b.since["customer"])); !slices.Equal(got, []int64{0, 100}) {
		t.Errorf("since %v", got)
	}
	b = began{}
	update(ab, 200, false) // another instance reads it
	update(a, 300, true)
	update(ab, 400, true)
	if got := slices.Sorted(slices.Values(b.since["customer"])); !slices.Equal(got, []int64{0, 400}) {
		t.Errorf("since %v", got)
	}
	if _, err := b.update(ab, row[:5], 0); err == nil {
		t.Error("a damaged row is taken")
	}
}

func TestKindsWithoutRulesAreCountedOnly(t *testing.T) {
	var out Output
	f := attempt(1, 1000)
	in := Input{Key: "seller:s1", Record: f.Append(nil)}
	if err := step(&testJudge{}, nil, time.Hour, nil, &in, &out); err != nil || !out.Unchanged || out.Counts.Unknown != 1 {
		t.Errorf("%v %+v", err, out.Counts)
	}
	in = Input{Key: "seller:s1", Timer: true, Watermark: event.UnixMilli(5)}
	if err := step(&testJudge{}, nil, time.Hour, []byte{rowVersion}, &in, &out); err != nil || !out.Delete {
		t.Errorf("%v, deleted: %t", err, out.Delete)
	}
}

func TestRecordsThatAreNoObservations(t *testing.T) {
	j, plan := threshold(rule.Revise)
	var out Output
	whole := attempt(1, 1000).Append(nil)
	for n := range len(whole) {
		in := Input{Key: "card:c", Record: whole[:n]}
		if err := step(j, plan, time.Hour, nil, &in, &out); n > 0 && !errors.Is(err, errRecord) {
			t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	newer := []byte{rowVersion + 1}
	if err := step(j, plan, time.Hour, newer, &Input{Key: "card:c", Record: whole}, &out); !errors.Is(err, errVersion) {
		t.Errorf("a row of a newer version: %v", err)
	}
}
