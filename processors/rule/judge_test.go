package rule

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"weir/topology/event"
	"weir/topology/table"
)

// opened is when the orders of these tests are created.
const opened = event.UnixMilli(1767268800000) // 2026-01-01T12:00:00Z

// forever is a watermark after everything.
const forever = opened + 1<<40

// at is a time of the first day, such as "12:30".
func at(clock string) event.UnixMilli {
	t, err := time.Parse("2006-01-02 15:04", "2026-01-01 "+clock)
	if err != nil {
		panic(err)
	}
	return event.UnixMilli(t.UnixMilli())
}

func entry(kind event.Type, clock string, minor int64, currency, reference string) *table.Entry {
	id := fmt.Sprint(kind, clock, reference)
	return &table.Entry{Type: uint32(kind), AtMs: int64(at(clock)), AmountMinor: minor, Currency: currency, Reference: reference, EventId: id,
		IdHash: xxhash.Sum64String(id), Topic: kind.Stream(), Offset: 7}
}

func capture1(clock string, minor int64, reference string) *table.Entry {
	return entry(event.PaymentCaptured, clock, minor, "EUR", reference)
}

// life is the row of order o1 of 20.00 EUR with these events, summed up as group orders does.
func life(entries ...*table.Entry) *table.Order {
	o := &table.Order{Created: true, CreatedAtMs: int64(opened), CustomerId: "c1", Currency: "EUR", CreatedTotalMinor: 2000, EmailHash: "e1", Client: &table.Client{Ip: "192.0.2.1"}}
	return sum(o, append([]*table.Entry{entry(event.OrderCreated, "12:00", 2000, "EUR", "")}, entries...))
}

func sum(o *table.Order, entries []*table.Entry) *table.Order {
	slices.SortStableFunc(entries, func(a, b *table.Entry) int { return int(a.AtMs - b.AtMs) })
	o.Entries = entries
	set := func(at *int64, e *table.Entry) {
		if *at == 0 {
			*at = e.AtMs
		}
	}
	for _, e := range entries {
		ours := e.Currency == "EUR" && o.Currency == "EUR"
		switch event.Type(e.Type) {
		case event.OrderCreated, event.OrderUpdated:
			if ours {
				o.TotalMinor = e.AmountMinor
			}
		case event.PaymentCaptured:
			if ours {
				o.CapturedMinor += e.AmountMinor
			}
		case event.PaymentRefunded:
			if ours {
				o.RefundedMinor += e.AmountMinor
			}
		case event.ShipmentDispatched:
			set(&o.DispatchedAtMs, e)
		case event.ShipmentDelivered:
			set(&o.DeliveredAtMs, e)
		case event.OrderCancelled:
			set(&o.CancelledAtMs, e)
		}
	}
	var captured int64
	for _, e := range entries {
		if event.Type(e.Type) == event.PaymentCaptured && e.Currency == o.Currency && hasTotal(o, false) {
			if captured += e.AmountMinor; captured >= o.TotalMinor {
				set(&o.PaidAtMs, e)
			}
		}
	}
	return o
}

func ordered(t testing.TB, spec OrderSpec, entity string) *Set {
	t.Helper()
	r, err := newOrderRule(&Rule{ID: "r", State: Live, Entity: entity}, spec)
	if err != nil {
		t.Fatal(err)
	}
	return &Set{orders: []*orderRule{r}}
}

func reconcile(check, tolerance string, settle time.Duration) OrderSpec {
	return OrderSpec{Reconcile: &Reconcile{Check: check, Tolerance: tolerance, Settle: settle}}
}

// story prints hits as entity, time and explanation, and when the order is to be judged again.
func story(s *Set, o *table.Order, watermark event.UnixMilli) string {
	hits, due := s.Judge("o1", o, 3, watermark)
	var lines []string
	for _, h := range hits {
		line := fmt.Sprintf("%s at %s:", h.Entity, h.At.Time().Format("15:04"))
		for _, p := range h.Predicates {
			line += fmt.Sprintf(" [%s: %s %s %s, %d events]", p.Text, p.Observed, p.Operator, p.Threshold, p.EventsTotal)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines) // keys are hashes
	if due != 0 {
		lines = append(lines, "again at "+due.Time().Format("15:04"))
	}
	return strings.Join(lines, "\n")
}

type tale struct {
	name      string
	order     *table.Order
	watermark event.UnixMilli
	want      string
}

func tell(t *testing.T, s *Set, tales []tale) {
	t.Helper()
	for _, c := range tales {
		if c.watermark == 0 {
			c.watermark = forever
		}
		if got := story(s, c.order, c.watermark); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestCapturesOverTheTotal(t *testing.T) {
	over := "payment:p2 at 12:02: [captured > total: 20.01 EUR > 20.00 EUR, 2 events]"
	two := []*table.Entry{capture1("12:01", 2000, "p1"), capture1("12:02", 1, "p2")}
	noTotal := life(two...)
	noTotal.Entries[0].Currency = ""
	noCurrency := life(two...)
	noCurrency.Currency = ""
	tell(t, ordered(t, reconcile("captures_over_total", "", 0), "payment"), []tale{
		{"the total", life(two[0]), 0, ""},
		{"a cent more", life(two...), 0, over},
		{"at once, whatever the watermark", life(two...), 1, over},
		{"one finding of each payment", life(append(two, capture1("12:03", 1, "p2"), capture1("12:04", 1, ""))...), 0,
			"order:o1 at 12:04: [captured > total: 20.03 EUR > 20.00 EUR, 4 events]\n" + over},
		{"the total was raised", life(append(two, entry(event.OrderUpdated, "13:00", 2001, "EUR", ""))...), 0, ""},
		{"another currency", life(two[0], entry(event.PaymentCaptured, "12:05", 9999, "USD", "p3")), 0, ""},
		{"no total", noTotal, 0, ""},
		{"no currency", noCurrency, 0, ""},
		{"not created", &table.Order{Entries: two, CapturedMinor: 2001, Currency: "EUR"}, 0, ""},
	})
	tell(t, ordered(t, reconcile("captures_over_total", "1%", time.Hour), "customer"), []tale{
		{"within the tolerance", life(capture1("12:01", 2020, "p1")), 0, ""},
		{"above it", life(capture1("12:01", 2021, "p1")), at("13:01"), "customer:c1 at 12:01: [captured > total + 1%: 20.21 EUR > 20.20 EUR, 1 events]"},
		{"a moment before it settles", life(capture1("12:01", 2021, "p1")), at("13:01") - 1, "again at 13:01"},
		{"the watermark is not known", life(capture1("12:01", 2021, "p1")), -1, "again at 13:01"},
	})
}

func TestACaptureThatDiffers(t *testing.T) {
	updated := entry(event.OrderUpdated, "12:00", 1500, "EUR", "")
	tell(t, ordered(t, reconcile("capture_differs", "", 0), "payment"), []tale{
		{"equal to the total of order.created", life(updated, capture1("12:01", 2000, "p1"), capture1("12:02", 2000, "p2")), 0, ""},
		{"equal to a later total", life(updated, capture1("12:01", 1500, "p1")), 0,
			"payment:p1 at 12:01: [captured != total of order.created: 15.00 EUR != 20.00 EUR, 1 events]"},
		{"an amount left out", life(capture1("12:01", 0, "p1")), 0, ""},
		{"another currency", life(entry(event.PaymentCaptured, "12:01", 1, "USD", "p1")), 0, ""},
	})
	tell(t, ordered(t, reconcile("capture_differs", "0.50", 0), "card"), []tale{
		{"within the tolerance", life(capture1("12:01", 1950, "p1"), capture1("12:02", 2050, "p2")), 0, ""},
		{"beyond it, without a card", life(capture1("12:01", 1949, "p1")), 0,
			"order:o1 at 12:01: [captured != total of order.created ± 0.50: 19.49 EUR != 20.00 EUR, 1 events]"},
	})
}

func TestADuplicateCapture(t *testing.T) {
	card := func(clock string, minor int64, reference, fingerprint string) *table.Entry {
		e := capture1(clock, minor, reference)
		e.Card = &table.Card{Fingerprint: fingerprint}
		return e
	}
	onCard := "card:f1 at 12:11: [captured again on the same card within 10m: 15.00 EUR == 15.00 EUR, 2 events]"
	tell(t, ordered(t, reconcile("duplicate_capture", "", 0), "card"), []tale{
		{"the same payment", life(capture1("12:01", 500, "p1"), capture1("15:00", 500, "p1")), 0,
			"order:o1 at 15:00: [captured again on the same payment: 5.00 EUR == 5.00 EUR, 2 events]"},
		{"another amount", life(capture1("12:01", 500, "p1"), capture1("15:00", 501, "p1")), 0, ""},
		{"the same card", life(card("12:01", 1500, "p1", "f1"), card("12:11", 1500, "p2", "f1")), 0, onCard},
		{"no references", life(card("12:01", 1500, "", "f1"), card("12:11", 1500, "", "f1")), 0, onCard},
		{"more than ten minutes apart", life(card("12:01", 1500, "p1", "f1"), card("12:12", 1500, "p2", "f1")), 0, ""},
		{"another card", life(card("12:01", 1500, "p1", "f1"), card("12:11", 1500, "p2", "f2")), 0, ""},
		{"no card and no reference", life(card("12:01", 1500, "", ""), card("12:11", 1500, "", "")), 0, ""},
		{"two halves", life(card("12:01", 1000, "p1", "f1"), card("12:11", 1000, "p2", "f1")), 0, ""},
	})
}

func TestRefundsOverCaptures(t *testing.T) {
	refund := func(clock string, minor int64, reference string) *table.Entry {
		return entry(event.PaymentRefunded, clock, minor, "EUR", reference)
	}
	tell(t, ordered(t, reconcile("refunds_over_captures", "", 0), "payment"), []tale{
		{"all of it", life(capture1("12:01", 2000, "p1"), refund("13:00", 1500, "p1"), refund("13:01", 500, "p1")), 0, ""},
		{"more", life(capture1("12:01", 2000, "p1"), refund("13:00", 1500, "p1"), refund("13:01", 501, "p2")), 0,
			"payment:p2 at 13:01: [refunded > captured: 20.01 EUR > 20.00 EUR, 2 events]"},
		{"nothing was captured", life(refund("13:00", 1, "p1")), 0, "payment:p1 at 13:00: [refunded > captured: 0.01 EUR > 0.00 EUR, 1 events]"},
	})
}

func TestShippedBeforePaid(t *testing.T) {
	s := ordered(t, OrderSpec{Sequence: &Sequence{Event: "dispatched", Before: "paid", Settle: 10 * time.Minute}}, "order")
	dispatched := entry(event.ShipmentDispatched, "14:00", 0, "", "s1")
	early := func(paid string, events int) string {
		return "order:o1 at 14:00: [dispatched before paid: 2026-01-01T14:00:00Z < " + paid + ", " + fmt.Sprint(events) + " events]"
	}
	unpriced := life(dispatched)
	unpriced.Entries[0].Currency = ""
	tell(t, s, []tale{
		{"not paid", life(dispatched), 0, early("not yet", 1)},
		{"not settled", life(dispatched), at("14:09"), "again at 14:10"},
		{"settled", life(dispatched), at("14:10"), early("not yet", 1)},
		{"paid before", life(dispatched, capture1("13:00", 2000, "p1")), 0, ""},
		{"paid at that moment", life(dispatched, capture1("14:00", 2000, "p1")), 0, ""},
		{"paid later", life(dispatched, capture1("14:01", 2000, "p1")), 0, early("2026-01-01T14:01:00Z", 2)},
		{"paid in part", life(dispatched, capture1("13:00", 1999, "p1")), 0, early("not yet", 1)},
		{"not dispatched", life(), 0, ""},
		{"the total is not known", unpriced, 0, ""},
	})
	events := ordered(t, OrderSpec{Sequence: &Sequence{Event: "payment.refunded", Before: "payment.captured"}}, "ip")
	tell(t, events, []tale{
		{"refunded without a capture", life(entry(event.PaymentRefunded, "13:00", 1, "USD", "p1")), 0,
			"ip:192.0.2.1 at 13:00: [payment.refunded before payment.captured: 2026-01-01T13:00:00Z < not yet, 1 events]"},
		{"without settle the watermark must have come to the event", life(entry(event.PaymentRefunded, "13:00", 1, "USD", "p1")), at("12:59"), "again at 13:00"},
	})
}

func TestPaidButNotShipped(t *testing.T) {
	s := ordered(t, OrderSpec{Expect: &Expect{Event: "dispatched", Within: 2 * time.Hour, After: "paid", Unless: []string{"cancelled", "payment.refunded"}}}, "email")
	paid := capture1("13:00", 2000, "p1")
	missing := "email:e1 at 15:00: [paid: 2026-01-01T13:00:00Z  , 1 events] [dispatched within 2h after paid: none until 2026-01-01T15:00:00Z  2h, 0 events]"
	dispatched := func(clock string) *table.Entry { return entry(event.ShipmentDispatched, clock, 0, "", "s1") }
	tell(t, s, []tale{
		{"not paid", life(capture1("13:00", 1999, "p1")), 0, ""},
		{"there is time", life(paid), at("14:59"), "again at 15:00"},
		{"too late", life(paid), at("15:00"), missing},
		{"in time", life(paid, dispatched("15:00")), 0, ""},
		{"before it was paid", life(paid, dispatched("12:30")), 0, ""},
		{"after the deadline", life(paid, dispatched("15:01")), 0, missing},
		{"cancelled", life(paid, entry(event.OrderCancelled, "14:00", 0, "", "")), 0, ""},
		{"cancelled after the deadline", life(paid, entry(event.OrderCancelled, "15:01", 0, "", "")), 0, missing},
		{"refunded", life(paid, entry(event.PaymentRefunded, "14:00", 5, "USD", "p1")), at("14:30"), ""},
	})
	hits, _ := s.Judge("o1", life(paid), 3, forever)
	if h := hits[0]; h.Event != nil || h.Key != xxhash.Sum64String("paid") {
		t.Errorf("a deadline that passed has event %v and key %x", h.Event, h.Key)
	}
	place := hits[0].Predicates[0].Events[0]
	if place.Partition != 3 || place.Offset != 7 || place.Topic != "payments" || place.Type != "payment.captured" || place.Id != paid.EventId || place.OrderId != "o1" {
		t.Errorf("the event that began it stands at %v", place)
	}
}

func TestHitsOfOneOrderAreLimited(t *testing.T) {
	var captures []*table.Entry
	for i := range 100 {
		captures = append(captures, capture1(fmt.Sprintf("12:%02d", i%60), 2000, fmt.Sprint("p", i)))
	}
	hits, _ := ordered(t, reconcile("captures_over_total", "", 0), "payment").Judge("o1", life(captures...), 0, forever)
	if len(hits) != maxHitsPerOrder || !slices.IsSortedFunc(hits, func(a, b Hit) int { return map[bool]int{true: -1, false: 1}[a.Key < b.Key] }) {
		t.Errorf("%d hits, or not in the order of their keys", len(hits))
	}
	for _, h := range hits {
		if p := h.Predicates[0]; len(p.Events) > maxCitedEvents || p.EventsTotal < int64(len(p.Events)) {
			t.Errorf("%d events are cited of %d", len(p.Events), p.EventsTotal)
		}
	}
}

func TestOrderRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct {
		spec OrderSpec
		want string
	}{
		{OrderSpec{}, "needs reconcile, sequence or expect"},
		{reconcile("sums", "", 0), `reconcile.check: "sums" is none of`},
		{reconcile("capture_differs", "1.00001", 0), "reconcile.tolerance:"},
		{reconcile("capture_differs", "-1", 0), "reconcile.tolerance:"},
		{reconcile("capture_differs", "101%", 0), "reconcile.tolerance:"},
		{reconcile("capture_differs", "%", 0), "reconcile.tolerance:"},
		{reconcile("capture_differs", "1000000001", 0), "reconcile.tolerance:"},
		{reconcile("capture_differs", "", -1), "reconcile.settle:"},
		{OrderSpec{Sequence: &Sequence{Event: "shipped", Before: "paid"}}, `sequence.event: "shipped" is neither a milestone`},
		{OrderSpec{Sequence: &Sequence{Event: "paid", Before: "paid"}}, "sequence.before: paid cannot be missing"},
		{OrderSpec{Expect: &Expect{Event: "paid", After: "created"}}, "expect.within: say how long"},
		{OrderSpec{Expect: &Expect{Event: "paid", After: "paid", Within: 1}}, "expect.event: paid cannot be missing"},
		{OrderSpec{Expect: &Expect{Event: "paid", After: "created", Within: 1, Unless: []string{"lost"}}}, "expect.unless:"},
		{OrderSpec{Expect: &Expect{Event: "paid", After: "created", Within: maxOrderSpan + 1}}, "expect.within:"},
	} {
		if _, err := newOrderRule(&Rule{}, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.spec, err, c.want)
		}
	}
}

func TestToleranceIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency")
		units := rapid.Int64Range(0, 100_0000).Draw(t, "ten-thousandths")
		minor := rapid.Int64Range(0, 1_000_000_000_000_000).Draw(t, "amount")
		text := fmt.Sprintf("%d.%04d", units/10_000, units%10_000)
		percent := rapid.Bool().Draw(t, "percent")
		exponent, _ := event.Exponent(currency)
		want := new(big.Rat).Mul(big.NewRat(units, 10_000), new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)))
		if percent {
			text += "%"
			want = new(big.Rat).Mul(big.NewRat(units, 1_000_000), new(big.Rat).SetInt64(minor))
		}
		parsed, err := parseTolerance(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, floor := parsed.of(minor, currency), new(big.Int).Quo(want.Num(), want.Denom()); floor.Cmp(big.NewInt(got)) != 0 {
			t.Errorf("%s of %d %s is %d, want %s", text, minor, currency, got, floor)
		}
	})
}

func allOrderRules(t testing.TB) *Set {
	all := &Set{}
	for i, spec := range []OrderSpec{
		reconcile("captures_over_total", "0.01", 2*time.Minute), reconcile("capture_differs", "", 0), reconcile("duplicate_capture", "", time.Minute),
		reconcile("refunds_over_captures", "1%", 3*time.Minute),
		{Sequence: &Sequence{Event: "dispatched", Before: "paid", Settle: time.Minute}}, {Sequence: &Sequence{Event: "delivered", Before: "dispatched"}},
		{Expect: &Expect{Event: "dispatched", Within: 4 * time.Minute, After: "paid", Unless: []string{"cancelled"}}},
		{Expect: &Expect{Event: "payment.captured", Within: 2 * time.Minute, After: "payment.authorized"}},
	} {
		s := ordered(t, spec, "payment")
		s.orders[0].rule.ID = fmt.Sprint("r", i)
		all.orders = append(all.orders, s.orders...)
	}
	return all
}

// TestNothingChangesBeforeItIsDue tries every minute: what holds changes only at the times that Judge has named.
func TestNothingChangesBeforeItIsDue(t *testing.T) {
	s := allOrderRules(t)
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		var entries []*table.Entry
		for i := range rapid.IntRange(0, 8).Draw(t, "events") {
			e := entry(rapid.SampledFrom(event.Types()[1:]).Draw(t, "type"), fmt.Sprintf("12:%02d", rapid.IntRange(0, 9).Draw(t, "minute")),
				int64(rapid.SampledFrom([]int{0, 1, 1000, 2000}).Draw(t, "amount")), rapid.SampledFrom([]string{"EUR", "EUR", "", "USD"}).Draw(t, "currency"),
				rapid.SampledFrom([]string{"", "p1", "p2"}).Draw(t, "reference"))
			e.IdHash = uint64(i)
			entries = append(entries, e)
		}
		o := life(entries...)
		hits, due := s.Judge("o1", o, 0, opened)
		for w := opened + 1; w < opened.Add(20*time.Minute); w += 30_000 {
			now, next := s.Judge("o1", o, 0, w)
			if due == 0 || w < due {
				if fmt.Sprint(now) != fmt.Sprint(hits) || next != due {
					t.Fatalf("at %s, before it is due at %s, the hits change:\n%v\n%v", w.Time(), due.Time(), hits, now)
				}
				continue
			}
			if next != 0 && next <= w {
				t.Fatalf("at %s it is due at %s", w.Time(), next.Time())
			}
			if fmt.Sprint(now) != fmt.Sprint(hits) {
				changes++
			}
			hits, due = now, next
		}
		if due != 0 {
			t.Fatalf("after everything it is due at %s", due.Time())
		}
	})
	if changes == 0 {
		t.Error("no hit ever came by a deadline")
	}
}

func TestAnOrdinaryOrderIsJudgedWithoutMemory(t *testing.T) {
	s := allOrderRules(t)
	o := life(entry(event.PaymentAuthorized, "12:01", 2000, "EUR", "p1"), capture1("12:02", 2000, "p1"),
		entry(event.ShipmentDispatched, "12:03", 0, "", "s1"), entry(event.ShipmentDelivered, "12:30", 0, "", "s1"))
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Judge("o1", o, 0, forever) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	s := allOrderRules(b)
	o := life(entry(event.PaymentAuthorized, "12:01", 2000, "EUR", "p1"), capture1("12:02", 2000, "p1"), entry(event.ShipmentDispatched, "12:03", 0, "", "s1"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Judge("o1", o, 0, forever)
	}
}
