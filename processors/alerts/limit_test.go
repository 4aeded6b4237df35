package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/table"
)

func TestAlertsBeyondARulesLimitAreHeld(t *testing.T) {
	r := velocity()
	r.Cooldown, r.Limit = time.Minute, rule.Limit{Count: 4, Every: time.Hour}
	d := newDesk(t, r)
	d.partitions = 2 // its share is two
	d.feed(found("velocity", 1, 0), found("velocity", 2, 10), found("velocity", 3, 20), found("velocity", 4, 21), found("velocity", 5, 60))
	var held []bool
	for _, a := range d.standing() {
		held = append(held, a.Held)
	}
	if !slices.Equal(held, []bool{false, false, true, false}) {
		t.Errorf("held %v", held)
	}
	d.expectTold("weir.alert.opened "+idAt(0), "weir.alert.opened "+idAt(10), "weir.alert.opened "+idAt(60))
	if d.counts[CounterHeld] != 1 || d.counts[CounterOpened] != 4 {
		t.Errorf("counted %v", d.counts)
	}
}

func TestOfARulesLimitTheNewestSpansAreKnown(t *testing.T) {
	r := velocity()
	r.Limit = rule.Limit{Count: 1, Every: time.Hour}
	d := newDesk(t, r)
	for hour := range 40 {
		d.feed(found("velocity", uint64(hour), 60*hour))
	}
	if spans := decodeSpans(d.beside[limitKey("velocity")]); len(spans) != maxSpans || spans[maxSpans-1] != (span{int64(minute(39 * 60)), 1}) {
		t.Errorf("spans are %v", spans)
	}
	d.feed(found("velocity", 100, 30), found("velocity", 101, 39*60+30))
	all := d.standing()
	if last := all[len(all)-1]; !last.Held || all[1].Held {
		t.Errorf("in a known span held is %v, in one long gone %v", last.Held, all[1].Held)
	}
}

func TestSpansAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var spans []span
		for range rapid.IntRange(0, maxSpans).Draw(rt, "n") {
			spans = append(spans, span{rapid.Int64().Draw(rt, "start"), rapid.Int64().Draw(rt, "count")})
		}
		raw := encodeSpans(spans)
		if got := decodeSpans(raw); !slices.Equal(got, spans) {
			rt.Fatalf("read %v, wrote %v", got, spans)
		}
		decodeSpans(rapid.SliceOf(rapid.Byte()).Draw(rt, "anything")) // must not panic
	})
}

func TestSettledHitsAreTrimmedAndStayCounted(t *testing.T) {
	r := velocity()
	r.Cooldown = time.Hour
	d := newDesk(t, r)
	const hits = 400
	best := found("velocity", 3, 3)
	best.Score = 90
	for n := range hits {
		f := found("velocity", uint64(n), n)
		if n == 3 {
			f = best
		}
		d.feed(f)
	}
	if a := d.only(); len(a.HitsKept) != hits || len(d.beside) != hits {
		t.Fatalf("%d hits and %d rows are kept while they may change", len(a.HitsKept), len(d.beside))
	}
	d.pass(minute(hits).Add(25 * time.Hour))
	a := d.only()
	if a.Hits != hits || a.Score != 90 || a.Id != idAt(0) || a.First[0].Hit != 0 || a.Latest[0].Hit != hits-1 {
		t.Errorf("alert is %v", a)
	}
	if len(a.HitsKept) != keptHits || a.HitsKept[1].Hit != 3 || len(d.beside) != 0 {
		t.Errorf("%d hits and %d rows are kept", len(a.HitsKept), len(d.beside))
	}
	if d.counts[CounterTrimmed] != hits-keptHits {
		t.Errorf("counted %v", d.counts)
	}
	// Long gaps between kept hits are those of hits that are only counted: they part nothing.
	whole := int(a.HitsKept[2].Hit) // since which all are kept
	d.feed(withdrawn(found("velocity", uint64(whole), whole)), found("velocity", 5000, hits+10), found("velocity", 50, 50), withdrawn(best))
	if a := d.only(); a.Hits != hits-1 || a.Score != 50 || d.counts[CounterAfterFold] != 1 {
		t.Errorf("after two left, one came, and one that is not known came again: %d hits, %v", a.Hits, d.counts)
	}
}

func TestARowStaysBelowTheSizeOfARecord(t *testing.T) {
	cited := make([]*table.Place, 200)
	for i := range cited {
		cited[i] = &table.Place{Topic: "payments", Id: strings.Repeat("e", 40), OrderId: strings.Repeat("o", 40), Type: "payment.failed"}
	}
	var rules []*rule.Rule
	for n := range 60 {
		r := velocity()
		r.ID = fmt.Sprint("rule", n)
		rules = append(rules, r)
	}
	d := newDesk(t, rules...)
	for n := range 130 {
		f := found(rules[n%len(rules)].ID, uint64(n), n)
		f.Predicates[0].Events = cited
		f.Parts = uint32(1 + n%2)
		d.feed(f)
		if len(d.row) > maxRowBytes {
			t.Fatalf("after %d findings the row has %d bytes", n+1, len(d.row))
		}
	}
	row := d.read()
	if len(row.Alerts) > maxAlerts || len(row.Alerts) == 0 || d.counts[CounterDropped] == 0 || d.counts[CounterPending] == 0 {
		t.Errorf("%d alerts, %v", len(row.Alerts), d.counts)
	}
}

func TestOfManyAlertsTheOldestEndedGo(t *testing.T) {
	d := newDesk(t, velocity())
	for n := range maxAlerts + 10 {
		d.feed(found("velocity", uint64(n), 20*n))
		d.pass(minute(20 * n))
	}
	all := d.standing()
	if len(all) != maxAlerts || all[0].Id != idAt(200) || d.counts[CounterDropped] != 10 || len(d.beside) != maxAlerts {
		t.Errorf("%d alerts from %s, %d rows beside, %v", len(all), all[0].Id, len(d.beside), d.counts)
	}
}

func TestHitsThatAreNeverCompleteAreBounded(t *testing.T) {
	d := newDesk(t, velocity())
	for n := range maxPending + 5 {
		f := found("velocity", uint64(n), n)
		f.Parts = 2
		d.feed(f)
	}
	if row := d.read(); len(row.Pending) != maxPending || row.Pending[0].Hit != 5 || d.counts[CounterPending] != 5 {
		t.Errorf("%d wait, from hit %d", len(row.Pending), row.Pending[0].Hit)
	}
}

func TestAVeryLongEpisodeKeepsItsNewestHits(t *testing.T) {
	d := newDesk(t, velocity())
	row := &table.Case{Alerts: []*table.Alert{{Rule: "velocity", Entity: entity, Id: idAt(0), Version: 1, Status: alert.Open, Episode: alert.Active,
		StartedMs: int64(minute(0)), LastMs: int64(minute(0)) + maxHits - 1, Hits: maxHits}}}
	for n := range maxHits {
		row.Alerts[0].HitsKept = append(row.Alerts[0].HitsKept, &table.HitRef{Hit: uint64(n), AtMs: int64(minute(0)) + int64(n), Version: 1})
	}
	d.row, _ = row.MarshalVT()
	d.feed(found("velocity", maxHits+1, 1))
	if a := d.only(); a.Hits != maxHits+1 || len(a.HitsKept) != maxHits || a.HitsKept[0].Hit != 0 || a.HitsKept[1].Hit != 2 {
		t.Errorf("%d hits, %d kept", a.Hits, len(a.HitsKept))
	}
}
