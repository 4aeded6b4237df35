package orders

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// noon is when the tests' orders are created.
const noon = event.UnixMilli(1767268800000) // 2026-01-01T12:00:00Z

// shop feeds events to the row of order o1 and keeps what comes out.
type shop struct {
	t         rapid.TB
	settings  Settings
	row       table.Order
	rules     *rule.Set
	watermark event.UnixMilli
	offsets   map[string]int64
	out       Output
	counted   map[string]int64 // contributions by their facts, signed
	known     ledger
	waiting   int
}

func newShop(t rapid.TB) *shop {
	return &shop{t: t, settings: DefaultSettings(), offsets: map[string]int64{}, counted: map[string]int64{}, known: ledger{}}
}

func (s *shop) send(ev event.Event) Outcome {
	if ev.OrderID == "" {
		ev.OrderID = "o1"
	}
	topic := ev.Type.Stream()
	in := Input{Event: &ev, Record: Record{Topic: topic, Offset: s.offsets[topic], ArrivedAt: ev.At + 7}}
	s.offsets[topic]++
	return s.step(&in)
}

func (s *shop) step(in *Input) Outcome {
	s.out.Reset()
	in.Watermark, in.Rules = s.watermark, s.rules
	Step(&s.settings, &s.row, in, &s.out)
	for _, c := range s.out.Contributions {
		f, e := &c.Facts, c.Facts.Entry
		key := fmt.Sprint(f.Stage, f.Type, f.At, f.Order.Region, f.Order.Currency, f.Order.CreatedTotalMinor, f.Order.CreatedAtMs, len(f.Order.Items), e.GetIdHash(), e.GetAmountMinor(), e.GetCurrency(), e.GetExpectedAtMs())
		if s.counted[key] += c.Sign; s.counted[key] == 0 {
			delete(s.counted, key)
		}
	}
	s.known.read(s.t, s.out.Findings)
	s.waiting += s.out.Waiting
	return s.out.Outcome
}

func (s *shop) expect(what string, got, want any) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func created(id string, at event.UnixMilli, totalMinor int64) event.Event {
	return event.Event{ID: id, Type: event.OrderCreated, At: at, CustomerID: "c1", Currency: "EUR", AmountMinor: totalMinor, HasAmount: true,
		Region: "eu-west", Country: "DE", Channel: "web", Items: []event.Item{{ProductID: "book", Category: "media", Quantity: 2, PriceMinor: totalMinor / 2}}}
}

func updated(id string, at event.UnixMilli, totalMinor int64) event.Event {
	return event.Event{ID: id, Type: event.OrderUpdated, At: at, Currency: "EUR", AmountMinor: totalMinor, HasAmount: true}
}

func captured(id string, at event.UnixMilli, amountMinor int64, currency string) event.Event {
	return event.Event{ID: id, Type: event.PaymentCaptured, At: at, Currency: currency, AmountMinor: amountMinor, HasAmount: true, Method: "card", PaymentID: "p-" + id}
}

func shipped(id string, kind event.Type, at, expected event.UnixMilli) event.Event {
	return event.Event{ID: id, Type: kind, At: at, Carrier: "dhl", ShipmentID: "s1", ExpectedAt: expected}
}

func TestAPaymentBeforeItsOrderWaitsAndCountsAtItsOwnTime(t *testing.T) {
	s := newShop(t)
	s.expect("payment alone", s.send(captured("e1", noon-60_000, 2000, "EUR")), Waiting)
	s.expect("contributions while it waits", len(s.out.Contributions), 0)
	s.expect("waiting", s.waiting, 1)
	s.expect("order", s.send(created("e2", noon, 2000)), Applied)
	s.expect("waiting", s.waiting, 0)
	s.expect("paid at", event.UnixMilli(s.row.PaidAtMs), noon-60_000)
	for _, e := range s.row.Entries {
		s.expect("counted", e.Counted, true)
	}
}

func TestARedeliveredIDCountsOnce(t *testing.T) {
	s := newShop(t)
	s.send(created("e1", noon, 2000))
	s.send(captured("e2", noon+1, 2000, "EUR"))
	again := captured("e2", noon+1, 2000, "EUR")
	again.AmountMinor = 9999 // whatever it holds now
	s.expect("redelivery", s.send(again), Duplicate)
	s.expect("contributions", len(s.out.Contributions), 0)
	s.expect("captured", s.row.CapturedMinor, int64(2000))
	s.expect("duplicates", s.row.Duplicates, int64(1))
}

func TestPaidIsWhenCapturesInTheOrdersCurrencyReachTheTotal(t *testing.T) {
	s := newShop(t)
	s.send(created("e1", noon, 2000))
	s.send(captured("e2", noon+1000, 5000, "USD"))
	s.expect("paid in another currency", s.row.PaidAtMs, int64(0))
	s.send(captured("e3", noon+3000, 1500, "EUR"))
	s.expect("paid in part", s.row.PaidAtMs, int64(0))
	s.send(captured("e4", noon+2000, 500, "EUR"))
	s.expect("paid", event.UnixMilli(s.row.PaidAtMs), noon+3000)
	s.send(updated("e5", noon+4000, 2600))
	s.expect("paid after the total was raised", s.row.PaidAtMs, int64(0))
	s.expect("paid stage", s.row.Stages&StagePaid, uint32(0))
	s.send(captured("e6", noon+5000, 600, "EUR"))
	s.expect("paid again", event.UnixMilli(s.row.PaidAtMs), noon+5000)
}

func TestAnOrderThatCostsNothingIsPaidAsItIsCreatedAndOneWithoutATotalIsNot(t *testing.T) {
	s := newShop(t)
	s.send(created("e1", noon, 0))
	s.expect("paid at", event.UnixMilli(s.row.PaidAtMs), noon)
	s = newShop(t)
	unknown := created("e1", noon, 0)
	unknown.HasAmount = false
	s.send(unknown)
	s.send(captured("e2", noon, 100, "EUR"))
	s.expect("paid at", s.row.PaidAtMs, int64(0))
}

func TestASecondCreationIsAnUpdate(t *testing.T) {
	s := newShop(t)
	s.send(created("e1", noon, 2000))
	second := created("e2", noon+1000, 3000)
	second.Region = "us-east"
	s.expect("outcome", s.send(second), Applied)
	s.expect("total", s.row.TotalMinor, int64(3000))
	s.expect("total when created", s.row.CreatedTotalMinor, int64(2000))
	s.expect("region", s.row.Region, "eu-west")
	s.expect("items", len(s.row.Items), 1)
}

func TestTheFirstExpectedDateOfAShipmentHolds(t *testing.T) {
	s := newShop(t)
	s.send(created("e1", noon, 2000))
	s.send(shipped("e2", event.ShipmentCreated, noon+1, noon+100))
	s.send(shipped("e3", event.ShipmentInTransit, noon+2, noon+200))
	s.send(shipped("e4", event.ShipmentDelivered, noon+3, 0))
	s.expect("expected", event.UnixMilli(s.row.Entries[3].ExpectedAtMs), noon+100)
	other := shipped("e5", event.ShipmentDelivered, noon+4, 0)
	other.ShipmentID = "s2"
	s.send(other)
	s.expect("expected of another shipment", s.row.Entries[4].ExpectedAtMs, int64(0))
	last := shipped("e6", event.ShipmentDelivered, noon+5, 0)
	s.step(&Input{Event: &last, Record: Record{Topic: "another carrier's", Offset: 9}})
	s.expect("expected on another topic", s.row.Entries[5].ExpectedAtMs, int64(0))
}

func TestWhatCannotBeDeduplicatedIsNotApplied(t *testing.T) {
	s := newShop(t)
	s.watermark = noon.Add(s.settings.Retention)
	s.expect("as old as an expired row", s.send(created("e1", noon, 1)), Expired)
	s.expect("entries", len(s.row.Entries), 0)
	s.expect("a moment later", s.send(created("e2", noon+1, 1)), Applied)
	s.expect("old, but the row is there", s.send(captured("e3", noon-5, 1, "EUR")), Applied)
	s.expect("deadline", Deadline(&s.settings, &s.row) > s.watermark, true)
}

func TestTheDeadlineMovesOnceADay(t *testing.T) {
	s := newShop(t)
	s.expect("empty row", Deadline(&s.settings, &s.row), event.UnixMilli(0))
	s.send(created("e1", noon, 1))
	first := Deadline(&s.settings, &s.row)
	s.expect("deadline", first.Time().Format(time.DateOnly), "2026-07-01")
	s.send(captured("e2", noon.Add(11*time.Hour), 1, "EUR"))
	s.expect("later that day", Deadline(&s.settings, &s.row), first)
	s.send(captured("e3", noon.Add(13*time.Hour), 1, "EUR"))
	s.expect("next day", Deadline(&s.settings, &s.row), first.Add(24*time.Hour))
}

func TestLimitsRefuseAndStillKnowDuplicates(t *testing.T) {
	s := newShop(t)
	s.settings.MaxEntries, s.settings.MaxWaiting = 5, 2
	for i := range 3 {
		want := Waiting
		if i == 2 {
			want = Refused
		}
		s.expect("payment before its order", s.send(captured(fmt.Sprint("w", i), noon, 1, "EUR")), want)
	}
	s.expect("its detail", strings.Contains(s.out.Detail, "orders.max_waiting"), true)
	s.expect("order", s.send(created("o", noon, 1)), Applied)
	s.expect("4th", s.send(captured("e4", noon, 1, "EUR")), Applied)
	s.expect("5th", s.send(captured("e5", noon, 1, "EUR")), Applied)
	s.expect("6th", s.send(captured("e6", noon, 1, "EUR")), Refused)
	s.expect("its detail", strings.Contains(s.out.Detail, "orders.max_entries"), true)
	s.expect("a redelivery", s.send(captured("w0", noon, 1, "EUR")), Duplicate)
}

func TestDefaultSettingsAreValidAndOthersAreExplained(t *testing.T) {
	s := DefaultSettings()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Settings){
		"retention":   func(s *Settings) { s.Retention = time.Hour },
		"max_entries": func(s *Settings) { s.MaxEntries = 0 },
		"max_waiting": func(s *Settings) { s.MaxWaiting = s.MaxEntries },
	} {
		s := DefaultSettings()
		spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "orders."+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// history draws the three streams of one order, each with duplicates and disorder of its own.
func history(t *rapid.T) [][]Input {
	types := map[string][]event.Type{}
	for _, kind := range event.Types() {
		types[kind.Stream()] = append(types[kind.Stream()], kind)
	}
	types["payments"] = append(types["payments"], event.PaymentCaptured, event.PaymentCaptured, event.PaymentCaptured)
	var streams [][]Input
	for _, topic := range []string{"orders", "payments", "shipments"} {
		var stream []Input
		for i := range rapid.IntRange(0, 8).Draw(t, topic) {
			ev := event.Event{
				ID: fmt.Sprint(topic, rapid.IntRange(0, 9).Draw(t, "id")), OrderID: "o1", At: noon + event.UnixMilli(rapid.IntRange(0, 5).Draw(t, "at")),
				Type: rapid.SampledFrom(types[topic]).Draw(t, "type"), Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "region"),
				Currency: rapid.SampledFrom([]string{"EUR", "EUR", "USD"}).Draw(t, "currency"), AmountMinor: int64(rapid.IntRange(0, 4).Draw(t, "amount")),
				HasAmount: rapid.IntRange(0, 5).Draw(t, "priced") > 0, PaymentID: rapid.SampledFrom([]string{"", "p1", "p2"}).Draw(t, "payment"),
				ShipmentID: rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "shipment"), Method: "card", Carrier: "dhl",
				Card: event.Card{Fingerprint: rapid.SampledFrom([]string{"", "f1"}).Draw(t, "card")}, Client: event.Client{SessionID: "s1"},
			}
			if rapid.Bool().Draw(t, "expected") {
				ev.ExpectedAt = noon + event.UnixMilli(rapid.IntRange(1, 9).Draw(t, "expected at"))
			}
			if topic == "orders" && rapid.Bool().Draw(t, "create") {
				ev.Type = event.OrderCreated
				ev.Items = []event.Item{{ProductID: "book", Quantity: 1, PriceMinor: ev.AmountMinor}}
			}
			stream = append(stream, Input{Event: &ev, Record: Record{Topic: topic, Offset: int64(i), ArrivedAt: noon}})
		}
		streams = append(streams, stream)
	}
	return streams
}

func TestInterleavingOfTopicsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := history(t)
		play := func(seed uint64) ([]byte, map[string]int64, int) {
			s := &shop{t: t, settings: DefaultSettings(), counted: map[string]int64{}, known: ledger{}}
			rng := rand.New(rand.NewPCG(seed, 0))
			left := slices.Clone(streams)
			for {
				left = slices.DeleteFunc(left, func(s []Input) bool { return len(s) == 0 })
				if len(left) == 0 {
					break
				}
				i := rng.IntN(len(left))
				if seed == 0 {
					i = 0 // one topic after the other
				}
				s.step(&left[i][0])
				left[i] = left[i][1:]
			}
			raw, err := s.row.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			return raw, s.counted, s.waiting
		}
		row, counted, waiting := play(0)
		for seed := range uint64(8) {
			row2, counted2, waiting2 := play(seed + 1)
			if !bytes.Equal(row, row2) {
				var a, b table.Order
				_, _ = a.UnmarshalVT(row), b.UnmarshalVT(row2)
				t.Fatalf("rows differ:\n%v\n%v", &a, &b)
			}
			if fmt.Sprint(counted) != fmt.Sprint(counted2) {
				t.Fatalf("contributions differ:\n%v\n%v", counted, counted2)
			}
			if waiting != waiting2 {
				t.Fatalf("waiting %d and %d", waiting, waiting2)
			}
		}
		if strings.Contains(fmt.Sprint(counted), ":-") {
			t.Fatalf("something was taken back that was not counted: %v", counted)
		}
	})
}

// TestPooledRowsHoldNothingOfOtherOrders runs many orders through one pool and holds the rows to those built without a pool.
func TestPooledRowsHoldNothingOfOtherOrders(t *testing.T) {
	settings := DefaultSettings()
	stored, plain := map[string][]byte{}, map[string]*table.Order{}
	rng := rand.New(rand.NewPCG(1, 2))
	var out Output
	for i := range 5000 {
		id := fmt.Sprint("o", rng.IntN(50))
		kind := event.Types()[rng.IntN(len(event.Types()))]
		ev := event.Event{ID: fmt.Sprint(i), OrderID: id, Type: kind, At: noon + event.UnixMilli(rng.IntN(1000)), Currency: "EUR", AmountMinor: rng.Int64N(100),
			HasAmount: rng.IntN(2) == 0, Method: fmt.Sprint("m", i), PaymentID: fmt.Sprint("p", i), CancelReason: fmt.Sprint("r", i),
			Client: event.Client{IP: fmt.Sprint(rng.IntN(2)), SessionID: fmt.Sprint(rng.IntN(2))},
			Card:   event.Card{Fingerprint: fmt.Sprint("f", rng.IntN(2))}, Items: make([]event.Item, rng.IntN(3))}
		in := Input{Event: &ev, Record: Record{Topic: kind.Stream(), Offset: int64(i)}}

		row := table.OrderFromVTPool()
		if err := row.UnmarshalVT(stored[id]); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		Step(&settings, row, &in, &out)
		value, err := row.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		stored[id] = value
		row.ReturnToVTPool()

		if plain[id] == nil {
			plain[id] = &table.Order{}
		}
		out.Reset()
		Step(&settings, plain[id], &in, &out)
		if want, _ := plain[id].MarshalVT(); !bytes.Equal(value, want) {
			t.Fatalf("event %d: the pooled row of %s differs from the plain one", i, id)
		}
	}
}
