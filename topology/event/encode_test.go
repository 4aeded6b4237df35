package event

import (
	"encoding/json"
	"testing"

	"github.com/bojanz/currency"
	"pgregory.net/rapid"
)

// anyEvent draws an event that holds whatever its stream can hold.
func anyEvent(t *rapid.T) Event {
	text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 20, 80))
	identity := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[!-~é日😀]{1,12}`))
	needed := rapid.StringMatching(`[ -~é日😀]{1,12}`)
	country := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[A-Z]{2}`))
	at := rapid.Int64Range(1, int64(endOfTime)-1)
	some := rapid.OneOf(rapid.Just(int64(0)), at)
	amount := rapid.Int64Range(0, DefaultLimits().AmountMinor)
	draw := func(g *rapid.Generator[string]) string { return g.Draw(t, "text") }
	when := func() UnixMilli { return UnixMilli(some.Draw(t, "time")) }

	e := Event{ID: draw(needed), Type: rapid.SampledFrom(Types()).Draw(t, "type"), At: UnixMilli(at.Draw(t, "time")), OrderID: draw(needed)}
	of := e.Type.Stream()
	if of == "shipments" {
		e.ShipmentID, e.Carrier, e.Country, e.ExpectedAt = draw(identity), draw(text), draw(country), when()
		return e
	}
	e.CustomerID = draw(identity)
	e.Currency = rapid.SampledFrom(currency.GetCurrencyCodes()).Draw(t, "currency")
	e.Client = Client{draw(identity), draw(identity), draw(identity), draw(text)}
	if e.HasAmount = rapid.Bool().Draw(t, "has amount"); e.HasAmount {
		e.AmountMinor = amount.Draw(t, "amount")
	}
	if of == "payments" {
		e.PaymentID, e.Method, e.DeclineCode = draw(identity), draw(text), draw(text)
		e.Card = Card{draw(identity), draw(identity), draw(identity), draw(country), draw(text)}
		return e
	}
	e.Channel, e.Region, e.Country, e.Category, e.Coupon = draw(text), draw(text), draw(country), draw(text), draw(text)
	e.PromisedAt, e.CustomerCreatedAt = when(), when()
	e.BillingCountry, e.ShippingCountry = draw(country), draw(country)
	e.ShippingAddressHash, e.EmailHash, e.CancelReason = draw(identity), draw(identity), draw(text)
	for range rapid.IntRange(0, 6).Draw(t, "lines") {
		e.Items = append(e.Items, Item{ProductID: draw(identity), Category: draw(text), SellerID: draw(identity),
			Quantity: rapid.Int64Range(0, 1000).Draw(t, "quantity"), PriceMinor: rapid.Int64Range(-1_000_000, 1_000_000_000).Draw(t, "price")})
	}
	return e
}

// TestWrittenEventsReadTheSame is the round trip: what AppendJSON writes is JSON and parses to the event it was.
func TestWrittenEventsReadTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t)
		written := AppendJSON([]byte("before"), &e)[len("before"):]
		if !json.Valid(written) {
			t.Fatalf("%+v is written %s", e, written)
		}
		got, err := Canonical().Parse(written, 0)
		if err != nil || !sameEvent(*got, e) {
			t.Fatalf("%+v\nis written %s\nand read %+v, %v", e, written, got, err)
		}
	})
}

func TestWritingAllocatesNothing(t *testing.T) {
	e, err := Canonical().Parse([]byte(fullOrder), 0)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst = AppendJSON(dst[:0], e) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e, err := Canonical().Parse(canonicalRecord, 0)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendJSON(dst[:0], e)
	}
}
