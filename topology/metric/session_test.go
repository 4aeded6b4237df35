package metric

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event"
	"weir/topology/table"
)

const sessionYAML = `
metrics:
  - name: buying_sessions
    on: order.created
    session: {by: customer_id, gap: 30m}
    value: quantiles(seconds of session)
    labels: [region]
    windows: [{every: 1h, keep: 90d}]
    grace: 24h
    max_series: 10
`

const minute = 60_000

func orderAt(customer, region string, at int64) Facts {
	return Facts{Type: event.OrderCreated, At: event.UnixMilli(at), Order: &table.Order{Created: true, CreatedAtMs: at, CustomerId: customer, Region: region}}
}

func show(sessions []*table.Session) (text []string) {
	for _, s := range sessions {
		text = append(text, fmt.Sprintf("%d–%d ×%d %v", s.StartMs, s.EndMs, s.Count, s.Labels))
	}
	return text
}

// cutByHand walks through the sorted moments and begins a session after every pause longer than the gap.
func cutByHand(events []Facts, gap int64) []*table.Session {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b Facts) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return slices.Compare([]string{a.Order.Region}, []string{b.Order.Region})
	})
	var sessions []*table.Session
	for i, f := range events {
		if at := int64(f.At); i == 0 || at-int64(events[i-1].At) > gap {
			sessions = append(sessions, &table.Session{StartMs: at, EndMs: at, Count: 1, Labels: []string{orNone(f.Order.Region)}})
		} else {
			last := sessions[len(sessions)-1]
			last.EndMs = at
			last.Count++
		}
	}
	return sessions
}

func TestSessionsDoNotDependOnTheOrderOfEvents(t *testing.T) {
	set := loadText(t, sessionYAML)
	rapid.Check(t, func(t *rapid.T) {
		facts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Facts {
			return orderAt(rapid.SampledFrom([]string{"anna", "b/ob"}).Draw(t, "customer"), rapid.SampledFrom([]string{"eu", "us", ""}).Draw(t, "region"),
				rapid.Int64Range(-60, 60).Draw(t, "at")*10*minute)
		}), 1, 20).Draw(t, "orders")
		signs := slices.Repeat([]int64{1}, len(facts))
		rows := merge(t, set, deltas(t, set, facts, signs))
		for _, customer := range []string{"anna", "b/ob"} {
			var own []Facts
			for _, f := range facts {
				if f.Order.CustomerId == customer {
					own = append(own, f)
				}
			}
			var got []*table.Session
			if cell := rows[Key{"buying_sessions", "session-30m", Placeholder, []string{customer}}.String()]; cell != nil {
				got = cell.Sessions
			}
			if want := cutByHand(own, 30*minute); !slices.Equal(show(got), show(want)) {
				t.Fatalf("%s: sessions %v, want %v", customer, show(got), show(want))
			}
		}
	})
}

func TestASessionClosesWhenNoEventCanJoinIt(t *testing.T) {
	const gap = 30 * time.Minute
	cell := &table.Cell{Sessions: []*table.Session{
		{StartMs: 0, EndMs: 10 * minute, Count: 2, Labels: []string{"eu"}}, {StartMs: 100 * minute, EndMs: 100 * minute, Count: 1, Labels: []string{"us"}},
	}}
	if at, ok := NextClose(cell, gap); !ok || at != 40*minute+1 {
		t.Fatalf("the first closes at %d", at)
	}
	if closed := CloseSessions(cell, 40*minute, gap); len(closed) != 0 {
		t.Fatalf("closed %v while an order at 40:00 can join", show(closed))
	}
	closed := CloseSessions(cell, 40*minute+1, gap)
	if !slices.Equal(show(closed), []string{"0–600000 ×2 [eu]"}) || len(cell.Sessions) != 1 {
		t.Fatalf("closed %v, open %v", show(closed), show(cell.Sessions))
	}
	m := loadText(t, sessionYAML).Lookup("buying_sessions")
	d := SessionDelta(m, closed[0])
	if len(d) != 1 || d[0].Key != "buying_sessions/1h/1970-01-01T00:00:00Z/eu" {
		t.Fatalf("deltas %v", d)
	}
	if v, err := m.Value(d[0].Cell); err != nil || v.Count != 1 || v.P50 != 600 || v.Max != 600 {
		t.Fatalf("value %+v (%v)", v, err)
	}
}

func TestAnOrderOfNobodyJoinsNoSession(t *testing.T) {
	a := loadText(t, sessionYAML).NewAccumulator()
	f := orderAt("", "eu", 0)
	a.Add(&f, 1)
	if a.Len() != 0 {
		t.Fatal("a session of nobody")
	}
}

func TestRowsKeptForAllTimeSayWhenTheyAreDue(t *testing.T) {
	set := loadText(t, sessionYAML)
	key := "buying_sessions/session-30m/1970-01-01T00:00:00Z/anna"
	if _, ok := set.Expiry(key); ok {
		t.Error("an open session has no fixed expiry")
	}
	cell := &table.Cell{Sessions: []*table.Session{{StartMs: 5, EndMs: 7}}}
	if at, ok := set.CellExpiry(key, cell); !ok || at != 7+30*minute+1 {
		t.Errorf("due at %d %v", at, ok)
	}
	if at, ok := set.CellExpiry(key, new(table.Cell)); !ok || at != 0 {
		t.Errorf("a row without sessions is due at %d %v", at, ok)
	}

	sliding := loadText(t, oracleYAML)
	key = "products/sliding-5m:10s/1970-01-01T00:00:00Z/"
	cell = &table.Cell{Slices: []*table.Slice{{StartMs: 0, Cell: &table.Cell{Count: 1}}, {StartMs: 10_000, Cell: &table.Cell{Count: 1}}}}
	const due = 10_000 + 5*minute + 60*minute // end of the slice + window + retention
	if at, ok := sliding.CellExpiry(key, cell); !ok || at != due {
		t.Errorf("the oldest slice is due at %d, want %d", at, due)
	}
	w := sliding.WindowOf(key)
	if w.TrimSlices(cell, due-1) || !w.TrimSlices(cell, due) || len(cell.Slices) != 1 {
		t.Errorf("slices left: %v", cell.Slices)
	}
}
