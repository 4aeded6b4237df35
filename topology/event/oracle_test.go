package event

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/bojanz/currency"
)

// oracle reads a canonical record in the plainest way: encoding/json into maps, math/big, time.Parse. It is only asked
// about records that the parser took, so that it need not refuse anything; what it cannot read fails the test.
type oracle struct {
	t      testing.TB
	fields map[string]any
}

func oracleEvent(t testing.TB, record []byte) Event {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		t.Fatalf("%q: taken, but encoding/json says %v", record, err)
	}
	o := oracle{t, fields}
	kind, ok := ParseType(o.text("type"))
	if !ok {
		t.Fatalf("%q: taken with type %q", record, o.text("type"))
	}
	e := Event{ID: o.text("id"), Type: kind, At: o.time("time"), OrderID: o.text("order_id")}
	switch kind.Stream() {
	case "orders":
		o.order(&e)
	case "payments":
		o.shopper(&e)
		e.PaymentID, e.Method, e.DeclineCode = o.text("payment_id"), o.text("method"), o.text("decline_code")
		e.AmountMinor, e.HasAmount = o.money("amount", e.Currency)
		card := o.inside("card")
		e.Card = Card{card.text("fingerprint"), card.text("bin"), card.text("last4"), strings.ToUpper(card.text("country")), card.text("funding")}
	case "shipments":
		e.ShipmentID, e.Carrier, e.Country = o.text("shipment_id"), o.text("carrier"), strings.ToUpper(o.text("country"))
		e.ExpectedAt = o.time("expected_at")
	}
	return e
}

func (o oracle) order(e *Event) {
	o.shopper(e)
	e.Channel, e.Region, e.Category, e.Coupon = o.text("channel"), o.text("region"), o.text("category"), o.text("coupon")
	e.Country = strings.ToUpper(o.text("country"))
	e.BillingCountry, e.ShippingCountry = strings.ToUpper(o.text("billing_country")), strings.ToUpper(o.text("shipping_country"))
	e.ShippingAddressHash, e.EmailHash, e.CancelReason = o.text("shipping_address_hash"), o.text("email_hash"), o.text("cancel_reason")
	e.PromisedAt, e.CustomerCreatedAt = o.time("promised_at"), o.time("customer_created_at")
	e.AmountMinor, e.HasAmount = o.money("total", e.Currency)
	lines, _ := o.fields["items"].([]any)
	for _, line := range lines {
		l := oracle{o.t, line.(map[string]any)}
		item := Item{ProductID: l.text("product_id"), Category: l.text("category"), SellerID: l.text("seller_id"), Quantity: 1}
		item.PriceMinor, _ = l.money("price", e.Currency)
		if quantity := l.text("quantity"); quantity != "" {
			item.Quantity = l.rational(quantity).Num().Int64()
		}
		e.Items = append(e.Items, item)
	}
}

func (o oracle) shopper(e *Event) {
	e.CustomerID, e.Currency = o.text("customer_id"), strings.ToUpper(o.text("currency"))
	client := o.inside("client")
	e.Client = Client{client.text("ip"), client.text("device_id"), client.text("session_id"), client.text("user_agent")}
}

func (o oracle) inside(name string) oracle {
	inner, _ := o.fields[name].(map[string]any)
	return oracle{o.t, inner}
}

func (o oracle) text(name string) string {
	switch v := o.fields[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		o.t.Fatalf("%s: taken with the value %v", name, v)
		return ""
	}
}

func (o oracle) rational(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		o.t.Fatalf("taken with the number %q", text)
	}
	return r
}

func (o oracle) money(name, code string) (int64, bool) {
	text := o.text(name)
	if text == "" {
		return 0, false
	}
	digits, ok := currency.GetDigits(code)
	if !ok {
		o.t.Fatalf("%s: taken with the currency %q", name, code)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	minor := o.rational(text)
	minor.Mul(minor, new(big.Rat).SetInt(unit))
	if !minor.IsInt() || !minor.Num().IsInt64() {
		o.t.Fatalf("%s: taken with the amount %q %s", name, text, code)
	}
	return minor.Num().Int64(), true
}

func (o oracle) time(name string) UnixMilli {
	text := o.text(name)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return UnixMilli(at.UnixMilli())
	}
	if text == "" {
		return 0
	}
	at := o.rational(text)
	if at.Cmp(big.NewRat(100_000_000_000, 1)) < 0 {
		at.Mul(at, big.NewRat(1000, 1))
	}
	return UnixMilli(new(big.Int).Quo(at.Num(), at.Denom()).Int64())
}
