package shop

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/topology/event"
)

var opening = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, o Options) *Shop {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = opening
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// happened is one event as a consumer reads it.
type happened struct {
	event.Event
	due       event.UnixMilli
	duplicate bool
}

// all reads a shop to its end through the parser that weir's groups use.
func all(t testing.TB, s *Shop) []happened {
	t.Helper()
	var events []happened
	for {
		r, ok := s.Next()
		if !ok {
			return events
		}
		e, err := event.Canonical().Parse(r.Value, 0)
		if err != nil {
			t.Fatalf("%v in %s", err, r.Value)
		}
		if e.OrderID != r.OrderID || e.Type != r.Type || e.At != r.At {
			t.Fatalf("the record says %s %v %v of %s", r.OrderID, r.Type, r.At, r.Value)
		}
		events = append(events, happened{*e, r.Due, r.Duplicate})
	}
}

func TestSameSeedAndStartMakeTheSameBytes(t *testing.T) {
	digest := func(o Options) uint64 {
		s, h := open(t, o), fnv.New64a()
		for {
			r, ok := s.Next()
			if !ok {
				return h.Sum64()
			}
			fmt.Fprint(h, r.Due, string(r.Value))
		}
	}
	o := Options{Seed: 7, Rate: 50, Orders: 2000, LifeScale: 0.5, Rhythm: true, Duplicates: 0.01}
	first := digest(o)
	if digest(o) != first {
		t.Error("a second run differs")
	}
	for name, other := range map[string]func(*Options){
		"seed": func(o *Options) { o.Seed = 8 }, "start": func(o *Options) { o.Start = opening.Add(time.Hour) },
	} {
		changed := o
		other(&changed)
		if digest(changed) == first {
			t.Errorf("another %s makes the same events", name)
		}
	}
}

func TestRunsOfOneSeedDoNotShareIDs(t *testing.T) {
	ids := map[string]bool{}
	for day := range 30 {
		s := open(t, Options{Seed: 1, Start: opening.Add(time.Duration(day) * 24 * time.Hour), Rate: 10, Orders: 20})
		for _, e := range all(t, s) {
			if ids[e.ID] {
				t.Fatalf("%s is in two runs", e.ID)
			}
			ids[e.ID] = true
		}
	}
}

// life is what an order's events add up to.
type life struct {
	created, last       event.UnixMilli
	total, captured     int64
	refunded            int64
	currency, customer  string
	attempted, settled  int
	dispatched, arrived bool
	cancelled           bool
}

func TestEveryOrdersLifeMakesSense(t *testing.T) {
	shop := open(t, Options{Seed: 3, Rate: 6_000 / (30 * 86_400.0), Orders: 6_000, LifeScale: 1, Rhythm: true, Duplicates: 0.01, Fraud: defaultMix(t)})
	events := all(t, shop)
	lives, ids := map[string]*life{}, map[string]bool{}
	var due event.UnixMilli
	for _, e := range events {
		if e.due < due {
			t.Fatalf("%s is due at %d, before its predecessor at %d", e.ID, e.due, due)
		}
		due = e.due
		if e.duplicate {
			if !ids[e.ID] || e.due <= e.At {
				t.Fatalf("the second delivery of %s comes before the first", e.ID)
			}
			continue
		}
		if e.due != e.At {
			t.Fatalf("%s of %d is due at %d", e.ID, e.At, e.due)
		}
		if ids[e.ID] {
			t.Fatalf("the id %s is used twice", e.ID)
		}
		ids[e.ID] = true
		l := lives[e.OrderID]
		if (l == nil) != (e.Type == event.OrderCreated) {
			t.Fatalf("%s: an order begins with order.created and has one", e.ID)
		}
		if l == nil {
			l = &life{created: e.At, currency: e.Currency, customer: e.CustomerID}
			lives[e.OrderID] = l
		}
		l.apply(t, &e.Event)
	}
	if planted := int(shop.plants.placed); planted == 0 || len(lives) != 6_000+planted {
		t.Errorf("%d orders, %d are planted", len(lives), planted)
	}
	for id, l := range lives {
		switch {
		case l.captured > l.total:
			t.Errorf("%s: captured %d of %d", id, l.captured, l.total)
		case l.refunded > l.captured:
			t.Errorf("%s: refunded %d of %d", id, l.refunded, l.captured)
		case l.dispatched && l.captured != l.total:
			t.Errorf("%s: sent although %d of %d is paid", id, l.captured, l.total)
		case l.cancelled && l.captured != l.refunded:
			t.Errorf("%s: cancelled, but %d of %d came back", id, l.refunded, l.captured)
		case l.attempted != l.settled:
			t.Errorf("%s: %d attempts, %d answers", id, l.attempted, l.settled)
		case !l.cancelled && !l.dispatched:
			t.Errorf("%s: was forgotten", id)
		}
	}
}

func (l *life) apply(t *testing.T, e *event.Event) {
	t.Helper()
	if e.At < l.last || e.Type.Stream() != "shipments" && e.CustomerID != l.customer || e.HasAmount && e.Currency != l.currency {
		t.Fatalf("%s does not belong to its order: %+v", e.ID, e)
	}
	if e.HasAmount && e.AmountMinor <= 0 {
		t.Fatalf("%s has the amount %d", e.ID, e.AmountMinor)
	}
	l.last = e.At
	switch e.Type {
	case event.OrderCreated, event.OrderUpdated:
		l.total = e.AmountMinor
	case event.OrderCancelled:
		l.cancelled = true
		if l.dispatched {
			t.Fatalf("%s: cancelled on its way", e.ID)
		}
	case event.PaymentAttempted:
		l.attempted++
	case event.PaymentFailed, event.PaymentAuthorized:
		l.settled++
	case event.PaymentCaptured:
		l.captured += e.AmountMinor
	case event.PaymentRefunded:
		l.refunded += e.AmountMinor
	case event.ShipmentDispatched:
		l.dispatched = true
	case event.ShipmentDelivered:
		if l.arrived || !l.dispatched {
			t.Fatalf("%s: delivered twice, or from nowhere", e.ID)
		}
		l.arrived = true
	}
}

func TestTheShopLooksLikeAShop(t *testing.T) {
	const n = 15_000
	count, by := map[event.Type]int{}, map[string]map[string]int{}
	tally := func(label, value string) {
		if by[label] == nil {
			by[label] = map[string]int{}
		}
		by[label][value]++
	}
	promised := map[string]event.UnixMilli{}
	var items, late, delivered, coupons int
	perHour := [24]int{}
	events := all(t, open(t, Options{Seed: 11, Rate: n / 86_400.0, Orders: n, LifeScale: 1, Rhythm: true, Duplicates: 0.002}))
	duplicates := 0
	for _, e := range events {
		if e.duplicate {
			duplicates++
			continue
		}
		count[e.Type]++
		switch e.Type {
		case event.OrderCreated:
			tally("country", e.Country)
			tally("region", e.Region)
			tally("currency", e.Currency)
			tally("channel", e.Channel)
			tally("customer", e.CustomerID)
			promised[e.OrderID] = e.PromisedAt
			items += len(e.Items)
			perHour[e.At.Time().Hour()]++
			if e.Coupon != "" {
				coupons++
			}
			for _, it := range e.Items {
				tally("category", it.Category)
				tally("product", it.ProductID)
			}
		case event.PaymentFailed:
			tally("decline", e.DeclineCode)
		case event.PaymentCaptured:
			tally("method", e.Method)
		case event.ShipmentDelivered:
			delivered++
			if e.At > promised[e.OrderID] {
				late++
			}
		}
	}
	share := func(what string, part, whole int, low, high float64) {
		t.Helper()
		if got := float64(part) / float64(whole); got < low || got > high {
			t.Errorf("%s: %.4f, want %.4f to %.4f", what, got, low, high)
		}
	}
	share("delivered", delivered, n, 0.92, 0.98)
	share("late", late, delivered, 0.02, 0.15)
	share("cancelled", count[event.OrderCancelled], n, 0.02, 0.07)
	share("payment failures", count[event.PaymentFailed], count[event.PaymentAttempted], 0.04, 0.12)
	share("refunds", count[event.PaymentRefunded], n, 0.03, 0.10)
	share("returns", count[event.ShipmentReturned], delivered, 0.03, 0.06)
	share("disputes", count[event.PaymentDisputed], n, 0.0003, 0.006)
	share("updates", count[event.OrderUpdated], n, 0.01, 0.03)
	share("coupons", coupons, n, 0.10, 0.18)
	share("duplicates", duplicates, len(events), 0.001, 0.003)
	share("items an order", items, n, 1.4, 2.2)
	share("Germany", by["country"]["DE"], n, 0.12, 0.20)
	share("customers", len(by["customer"]), n, 0.6, 0.995)
	share("the best product", by["product"]["p-0001"], items, 0.005, 0.2)
	share("night in the least hour against the busiest", slices.Min(perHour[:]), slices.Max(perHour[:]), 0.1, 0.7)
	for label, want := range map[string]int{"country": 15, "region": 9, "currency": 10, "channel": 4, "category": 12, "decline": 6, "method": 12} {
		if len(by[label]) < want {
			t.Errorf("%d values of %s, want %d at least: %v", len(by[label]), label, want, slices.Sorted(maps.Keys(by[label])))
		}
	}
}

func TestRateIsKeptAndSpread(t *testing.T) {
	const rate, seconds = 200, 150
	s := open(t, Options{Seed: 5, Rate: rate, Orders: rate * seconds, LifeScale: 1e-6})
	perSecond := map[int64]int{}
	tenths := [10]int{}
	for {
		r, ok := s.Next()
		if !ok {
			break
		}
		if r.Type == event.OrderCreated {
			since := int64(r.At) - opening.UnixMilli()
			perSecond[since/1000]++
			tenths[since/100%10]++
		}
	}
	if got := float64(rate*seconds) / float64(len(perSecond)); math.Abs(got-rate) > rate*0.02 {
		t.Errorf("%.1f orders a second, want %d", got, rate)
	}
	for i, n := range tenths {
		if math.Abs(float64(n)-rate*seconds/10) > rate*seconds/10*0.05 {
			t.Errorf("tenth %d of each second has %d orders of %d: the shop bursts", i, n, rate*seconds)
		}
	}
}

func TestOpenOrdersAreBounded(t *testing.T) {
	_, err := New(Options{Start: opening, Rate: 10_000, LifeScale: 1})
	if err == nil || !strings.Contains(err.Error(), "life scale") {
		t.Errorf("got %v", err)
	}
	s := open(t, Options{Rate: 10_000})
	if s.LifeScale() >= 0.001 || s.LifeScale() <= 0 {
		t.Errorf("at 10,000 orders a second the life scale is %g", s.LifeScale())
	}
}

func TestValuesBelongToTheShopUntilNext(t *testing.T) {
	s := open(t, Options{Rate: 5, Orders: 50, Duplicates: 0.5})
	seen := map[string][]byte{}
	for {
		r, ok := s.Next()
		if !ok {
			return
		}
		e, err := event.Canonical().Parse(r.Value, 0)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[e.ID]; ok && !bytes.Equal(before, r.Value) {
			t.Fatalf("the second delivery differs:\n%s\n%s", before, r.Value)
		}
		seen[e.ID] = bytes.Clone(r.Value)
	}
}

func BenchmarkNext(b *testing.B) {
	mix, err := ParseMix("default")
	if err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]Options{"honest": {}, "fraud": {Fraud: mix}, "truth": {Fraud: mix, Truth: true}} {
		b.Run(name, func(b *testing.B) {
			o.Seed, o.Rate, o.Rhythm, o.Duplicates = 1, 1000, true, 0.002
			s := open(b, o)
			b.ReportAllocs()
			for b.Loop() {
				s.Next()
				s.Told()
			}
		})
	}
}
