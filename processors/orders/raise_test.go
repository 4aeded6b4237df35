package orders

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// ledger is what a reader of findings knows: the findings that stand, by their identity.
type ledger map[string]*table.Finding

func identity(f *table.Finding) string {
	return fmt.Sprint(f.Entity, "|", f.Rule, "|", f.RuleHash, "|", f.Hit, "|", f.Clause, "|", f.Part)
}

func (l ledger) read(t rapid.TB, findings []*table.Finding) {
	for _, f := range findings {
		standing := l[identity(f)]
		switch {
		case f.Withdrawn && standing == nil:
			t.Fatalf("%s is withdrawn and was never told", identity(f))
		case f.Withdrawn:
			delete(l, identity(f))
		case standing != nil && standing.EqualVT(f):
			t.Fatalf("%s is told twice", identity(f))
		default:
			l[identity(f)] = f.CloneVT()
		}
	}
}

// TestWhatIsToldIsWhatHolds judges one order again and again, by rules that come, go and change. A reader who follows what is told
// knows at any time exactly what holds.
func TestWhatIsToldIsWhatHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known, row, in := ledger{}, &table.Order{Created: true, Currency: "EUR"}, &Input{}
		var before []*table.Finding
		for range rapid.IntRange(1, 10).Draw(t, "times") {
			in.Record.Partition = 3
			row.TotalMinor = int64(rapid.IntRange(0, 1).Draw(t, "total"))
			var hits []rule.Hit
			for id := range 3 {
				definition := &rule.Rule{ID: fmt.Sprint("r", id), Hash: uint32(rapid.IntRange(1, 2).Draw(t, "hash"))}
				for key := range 3 {
					if rapid.Bool().Draw(t, "holds") {
						hits = append(hits, rule.Hit{Rule: definition, Key: uint64(key), Entity: rapid.SampledFrom([]string{"order:o1", "customer:c1"}).Draw(t, "entity"),
							At: event.UnixMilli(rapid.IntRange(1, 2).Draw(t, "at")), Detail: "so it is"})
					}
				}
			}
			var out Output
			raise(row, "o1", in, hits, before, &out)
			known.read(t, out.Findings)
			before = nil
			for i := range hits {
				f := finding(&hits[i], row, "o1", in)
				before = append(before, f)
				if !f.EqualVT(known[identity(f)]) {
					t.Fatalf("%v holds, %v is known", f, known[identity(f)])
				}
			}
			if len(known) != len(hits) || len(row.Raised) != len(hits) {
				t.Fatalf("%d hits hold, %d are known, %d are in the row", len(hits), len(known), len(row.Raised))
			}
		}
	})
}

func TestAPaymentThatWaitsKeepsWhatRulesAskOfIt(t *testing.T) {
	s := newShop(t)
	payment := captured("e1", noon, 2000, "EUR")
	payment.Card = event.Card{Fingerprint: "f1", BIN: "424242", Last4: "4242", Country: "DE", Funding: "credit"}
	payment.Client = event.Client{IP: "192.0.2.1", DeviceID: "d1", SessionID: "s1", UserAgent: "Mozilla"}
	s.send(payment)
	onlySession := captured("e2", noon+1, 1, "EUR")
	onlySession.Client.SessionID = "s1"
	s.send(onlySession)
	e := s.row.Entries[0]
	s.expect("id", e.EventId, "e1")
	s.expect("card", e.Card.EqualVT(&table.Card{Fingerprint: "f1", Bin: "424242", Last4: "4242", Country: "DE", Funding: "credit"}), true)
	s.expect("client", e.Client.EqualVT(&table.Client{Ip: "192.0.2.1", DeviceId: "d1", SessionId: "s1", UserAgent: "Mozilla"}), true)
	s.send(created("e3", noon, 2000))
	s.expect("client once it counts", s.row.Entries[1].Client.EqualVT(&table.Client{Ip: "192.0.2.1", DeviceId: "d1"}), true)
	s.expect("client of which nothing is left", s.row.Entries[2].Client == nil, true)
	s.expect("client of the shipment", s.send(shipped("e4", event.ShipmentCreated, noon+2, 0)) == Applied && s.row.Entries[3].Client == nil, true)
}

// TestTimesOfAnEncodedRow holds the reader of two fields to the decoder of all, and feeds it rows that are cut off.
func TestTimesOfAnEncodedRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := &table.Order{Created: true, CustomerId: rapid.String().Draw(t, "customer"), LastAtMs: rapid.Int64Min(0).Draw(t, "last"), NextDueMs: rapid.Int64Min(0).Draw(t, "due"),
			Duplicates: rapid.Int64().Draw(t, "duplicates"), Raised: make([]*table.Raised, rapid.IntRange(0, 2).Draw(t, "raised"))}
		for i := range row.Raised {
			row.Raised[i] = &table.Raised{Rule: "r", Key: uint64(i)}
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "entries") {
			row.Entries = append(row.Entries, &table.Entry{EventId: rapid.String().Draw(t, "id"), AtMs: int64(i), Card: &table.Card{Bin: "1"}})
		}
		raw, err := row.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if last, due := times(raw); last != row.LastAtMs || due != row.NextDueMs {
			t.Fatalf("last %d, due %d, want %d, %d", last, due, row.LastAtMs, row.NextDueMs)
		}
		times(raw[:rapid.IntRange(0, len(raw)).Draw(t, "cut")])
	})
}

func TestTheDeadlineIsTheLesserOfTwo(t *testing.T) {
	s := DefaultSettings()
	end := Deadline(&s, &table.Order{LastAtMs: int64(noon)})
	for due, want := range map[event.UnixMilli]event.UnixMilli{0: end, noon: noon, end - 1: end - 1, end + 1: end} {
		if got := Deadline(&s, &table.Order{LastAtMs: int64(noon), NextDueMs: int64(due)}); got != want {
			t.Errorf("due %d: deadline %d, want %d", due, got, want)
		}
	}
}

func TestHitsThatTheRowHasNoRoomForAreNotRaised(t *testing.T) {
	hits := make([]rule.Hit, 1000)
	for i := range hits {
		hits[i] = rule.Hit{Rule: &rule.Rule{ID: "r"}, Key: uint64(i), Entity: "payment:" + fmt.Sprintf("%01000d", i)}
	}
	fit := within(hits, maxRaisedBytes)
	row := &table.Order{Created: true}
	raise(row, "o1", &Input{}, fit, nil, &Output{})
	if n := row.SizeVT(); n > maxRaisedBytes || n < maxRaisedBytes/2 || !slices.EqualFunc(fit, hits[:len(fit)], func(a, b rule.Hit) bool { return a.Key == b.Key }) {
		t.Errorf("%d hits take %d bytes", len(fit), n)
	}
}
