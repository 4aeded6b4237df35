package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// clock is the wall clock of the tests.
var clock = UnixMilli(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixMilli())

const fullOrder = `{
	"id": "evt-1", "type": "order.created", "time": "2026-01-01T12:34:56.789+02:00", "order_id": "ord-1",
	"customer_id": "cust-1", "currency": "eur", "total": "259.97", "channel": "web", "region": "eu-west", "country": "de",
	"category": "books", "coupon": "NEW\"10\u20ac", "promised_at": 1767571200, "items": [
		{"product_id": "p1", "category": "books", "seller_id": "s1", "quantity": 2, "price": "129.99"},
		{"product_id": 17, "quantity": "1", "price": -0.01}, {}],
	"billing_country": "DE", "shipping_country": "AT", "shipping_address_hash": "a1", "email_hash": "e1",
	"customer_created_at": 1700000000123, "client": {"ip": "10.0.0.1", "device_id": "d1", "session_id": "s1", "user_agent": "Mozilla\t5"},
	"cancel_reason": "none", "amount": "this is no order's field", "unknown": {"deep": [1, {"total": 3}]}
}`

const fullPayment = `{"id":"evt-2","type":"payment.failed","time":1767260096,"order_id":"ord-1","payment_id":"pay-1","customer_id":"cust-1",
	"amount":259.97,"currency":"EUR","method":"card","card":{"fingerprint":"f1","bin":"411111","last4":"0042","country":"US","funding":"credit"},
	"decline_code":"do_not_honor","client":{"ip":"10.0.0.2"},"total":"no payment's field","country":"no payment's field","items":3}`

const fullShipment = `{"id":"evt-3","type":"shipment.delivered","time":"1767260096123","order_id":"ord-1","shipment_id":"shp-1",
	"carrier":"dhl","country":"AT","expected_at":"2026-01-05T00:00:00Z","currency":"no shipment's field"}`

func TestEveryFieldIsRead(t *testing.T) {
	at := UnixMilli(time.Date(2026, 1, 1, 10, 34, 56, 789e6, time.UTC).UnixMilli())
	for _, c := range []struct {
		record string
		want   Event
	}{
		{fullOrder, Event{ID: "evt-1", Type: OrderCreated, At: at, OrderID: "ord-1", CustomerID: "cust-1", Currency: "EUR", AmountMinor: 25997, HasAmount: true,
			Channel: "web", Region: "eu-west", Country: "DE", Category: "books", Coupon: `NEW"10€`, PromisedAt: 1767571200000,
			Items:          []Item{{"p1", "books", "s1", 2, 12999}, {"17", "", "", 1, -1}, {Quantity: 1}},
			BillingCountry: "DE", ShippingCountry: "AT", ShippingAddressHash: "a1", EmailHash: "e1", CustomerCreatedAt: 1700000000123,
			CancelReason: "none", Client: Client{"10.0.0.1", "d1", "s1", "Mozilla\t5"}}},
		{fullPayment, Event{ID: "evt-2", Type: PaymentFailed, At: 1767260096000, OrderID: "ord-1", CustomerID: "cust-1", Currency: "EUR", AmountMinor: 25997, HasAmount: true,
			Client: Client{IP: "10.0.0.2"}, PaymentID: "pay-1", Method: "card", DeclineCode: "do_not_honor", Card: Card{"f1", "411111", "0042", "US", "credit"}}},
		{fullShipment, Event{ID: "evt-3", Type: ShipmentDelivered, At: 1767260096123, OrderID: "ord-1", Country: "AT", ShipmentID: "shp-1", Carrier: "dhl", ExpectedAt: 1767571200000}},
	} {
		got, err := Canonical().Parse([]byte(c.record), clock)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("got  %+v\nwant %+v", *got, c.want)
		}
		if want := oracleEvent(t, []byte(c.record)); !reflect.DeepEqual(*got, want) {
			t.Errorf("got    %+v\noracle %+v", *got, want)
		}
	}
}

// with returns a sound payment with one member set to a piece of JSON, or left out.
func with(field, value string) string {
	members := []string{}
	for _, m := range [][2]string{{"id", `"e1"`}, {"type", `"payment.captured"`}, {"time", `"2026-01-01T11:00:00Z"`}, {"order_id", `"o1"`},
		{"amount", `"12.50"`}, {"currency", `"EUR"`}} {
		if m[0] != field {
			members = append(members, fmt.Sprintf("%q:%s", m[0], m[1]))
		}
	}
	if value != "" {
		members = append(members, fmt.Sprintf("%q:%s", field, value))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// order returns a sound order with more members.
func order(members string) string {
	return `{"id":"e1","type":"order.created","time":"2026-01-01T11:00:00Z","order_id":"o1","currency":"EUR",` + members + `}`
}

func TestMalformedRecordsAreRefusedWithAReason(t *testing.T) {
	items := strings.TrimSuffix(strings.Repeat("{},", 501), ",")
	for _, c := range []struct {
		record, reason, field, detail string
	}{
		{"", "json", "", "empty"},
		{" \n", "json", "", "empty"},
		{"[]", "json", "", "not a JSON object"},
		{"null", "json", "", "not a JSON object"},
		{`"text"`, "json", "", "not a JSON object"},
		{"hello", "json", "", "not a JSON object"},
		{"\ufeff{}", "json", "", "not a JSON object"},
		{`{"id":"e1"`, "json", "", "ends inside"},
		{with("", "") + "x", "json", "", "at byte"},
		{with("", "") + with("", ""), "json", "", "at byte"},
		{with("unknown", `[1,2`), "json", "", "at byte"},
		{with("unknown", "01"), "json", "", "at byte"},
		{with("unknown", "NaN"), "json", "", "at byte"},
		{with("unknown", "\"\xff\""), "json", "", "UTF-8"},
		{with("order_id", "\"\xc3\x28\""), "json", "", "UTF-8"},
		{with("order_id", `"\ud83d"`), "json", "", "UTF-8"},
		{with("order_id", "\"a\nb\""), "json", "", "at byte"},
		{with("x", `1,"amount":"13.50"`), "json", "", `"amount" is given twice`},
		{with("x", `1,"am\u006funt":"13.50"`), "json", "", `"amount" is given twice`},
		{order(`"items":[],"items":[]`), "json", "", `"items" is given twice`},
		{order(`"items":null,"items":[]`), "json", "", `"items" is given twice`},
		{order(`"client":{"ip":"1"},"client":{"device_id":"2"}`), "json", "", `"client" is given twice`},
		{order(`"client":{"ip":"1","ip":"1"}`), "json", "", `"client.ip" is given twice`},
		{order(`"items":[],"items":null`), "json", "", `"items" is given twice`},
		{order(`"items":[{"price":1,"price":2}]`), "json", "", `"price" is given twice`},
		{with("deep", strings.Repeat("[", 200)+strings.Repeat("]", 200)), "too_large", "", "nested"},

		{with("id", ""), "missing_field", "id", "none"},
		{with("id", "null"), "missing_field", "id", ""},
		{with("id", `""`), "missing_field", "id", ""},
		{with("type", ""), "missing_field", "type", ""},
		{with("time", ""), "missing_field", "time", ""},
		{with("time", "0"), "missing_field", "time", ""},
		{with("order_id", ""), "missing_field", "order_id", ""},
		{with("currency", ""), "missing_field", "currency", `amount is "12.50"`},
		{with("id", "{}"), "bad_value", "id", "not text"},
		{with("id", "true"), "bad_value", "id", "not text"},
		{with("id", "1.5"), "bad_value", "id", "integer"},
		{with("id", "1e5"), "bad_value", "id", "integer"},
		{with("order_id", `"\u0000marks"`), "bad_value", "order_id", "control"},
		{with("id", `"`+strings.Repeat("x", 1025)+`"`), "too_large", "id", "1025 bytes, the limit is 1024"},
		{with("unknown", `"`+strings.Repeat("x", 1<<20)+`"`), "too_large", "", "the limit is 1048576"},

		{with("type", `"payment.captured "`), "unknown_type", "type", `"payment.captured "`},
		{with("type", `"Payment.Captured"`), "unknown_type", "type", ""},
		{with("type", `11`), "unknown_type", "type", ""},
		{with("type", `{}`), "unknown_type", "type", ""},

		{with("time", `"2026-01-01"`), "bad_time", "time", `"2026-01-01"`},
		{with("time", `"2026-01-01T11:00:00"`), "bad_time", "time", ""},
		{with("time", `"2026-01-01 11:00:00Z"`), "bad_time", "time", ""},
		{with("time", `"2026-02-29T11:00:00Z"`), "bad_time", "time", ""},
		{with("time", `"2026-01-01T24:00:00Z"`), "bad_time", "time", ""},
		{with("time", `"2026-01-01T23:59:60Z"`), "bad_time", "time", ""},
		{with("time", `"2026-01-01T11:00:00+24:00"`), "bad_time", "time", ""},
		{with("time", `"2026-01-01T11:00:00.Z"`), "bad_time", "time", ""},
		{with("time", `"1969-12-31T23:59:59Z"`), "bad_time", "time", "1970"},
		{with("time", `-1`), "bad_time", "time", ""},
		{with("time", `1767225600000000`), "bad_time", "time", ""},
		{with("time", `"yesterday"`), "bad_time", "time", ""},
		{with("time", `true`), "bad_time", "time", ""},
		{with("time", `{}`), "bad_time", "time", ""},
		{with("time", `[]`), "bad_time", "time", ""},
		{with("time", `"2026-01-01T12:05:00.001Z"`), "future", "time", "5m0s"},
		{with("time", `1767270000`), "future", "time", ""},
		{order(`"promised_at":"soon"`), "bad_time", "promised_at", ""},

		{with("amount", `"12.505"`), "bad_money", "amount", `"12.505" has more decimals than EUR, which has 2`},
		{with("amount", `12.505`), "bad_money", "amount", ""},
		{with("amount", `99.99000000000001`), "bad_money", "amount", ""},
		{with("amount", `"12,50"`), "bad_money", "amount", "not a decimal"},
		{with("amount", `"1,234.50"`), "bad_money", "amount", ""},
		{with("amount", `"€12.50"`), "bad_money", "amount", ""},
		{with("amount", `" 12.50"`), "bad_money", "amount", ""},
		{with("amount", `"NaN"`), "bad_money", "amount", ""},
		{with("amount", `"Infinity"`), "bad_money", "amount", ""},
		{with("amount", `"0x10"`), "bad_money", "amount", ""},
		{with("amount", `".5"`), "bad_money", "amount", ""},
		{with("amount", `"5."`), "bad_money", "amount", ""},
		{with("amount", `"+5"`), "bad_money", "amount", ""},
		{with("amount", `"-"`), "bad_money", "amount", ""},
		{with("amount", `true`), "bad_money", "amount", ""},
		{with("amount", `[12]`), "bad_money", "amount", ""},
		{with("amount", `"-12.50"`), "bad_money", "amount", "negative"},
		{with("amount", `10000000000000.01`), "bad_money", "amount", "out of range"},
		{with("amount", `1e300`), "bad_money", "amount", "out of range"},
		{with("amount", `92233720368547758.08`), "bad_money", "amount", "out of range"},
		{with("amount", `"`+strings.Repeat("9", 400)+`"`), "bad_money", "amount", "… (400 bytes)"},
		{order(`"total":"-1"`), "bad_money", "total", "negative"},
		{order(`"items":[{"price":"1.234"}]`), "bad_money", "items.price", "EUR"},
		{order(`"items":[{"price":"9999999999","quantity":99999}]`), "bad_money", "items.price", "times quantity"},

		{with("currency", `"XXY"`), "bad_currency", "currency", `"XXY"`},
		{with("currency", `"EURO"`), "bad_currency", "currency", ""},
		{with("currency", `978`), "bad_currency", "currency", ""},
		{order(`"country":"Germany"`), "bad_country", "country", `"Germany"`},
		{order(`"country":"D1"`), "bad_country", "country", ""},
		{order(`"country":"ÄÖ"`), "bad_country", "country", ""},
		{order(`"country":{}`), "bad_country", "country", ""},
		{order(`"billing_country":"DEU"`), "bad_country", "billing_country", ""},

		{order(`"items":3`), "bad_value", "items", "array"},
		{order(`"items":{}`), "bad_value", "items", "array"},
		{order(`"items":["sku"]`), "bad_value", "items", "array"},
		{order(`"items":[{"quantity":1.5}]`), "bad_value", "items.quantity", "whole"},
		{order(`"items":[{"quantity":-1}]`), "bad_value", "items.quantity", ""},
		{order(`"items":[{"quantity":1000000001}]`), "bad_value", "items.quantity", ""},
		{order(`"items":[{"product_id":[]}]`), "bad_value", "items.product_id", ""},
		{order(`"items":[` + items + `]`), "too_large", "items", "500"},
	} {
		_, err := Canonical().Parse([]byte(c.record), clock)
		m, ok := errors.AsType[*Malformed](err)
		if !ok {
			t.Errorf("%.200s: error %v, want %s", c.record, err, c.reason)
			continue
		}
		if string(m.Reason) != c.reason || m.Field != c.field || !strings.Contains(m.Detail, c.detail) {
			t.Errorf("%.200s:\n got  %v\n want %s: %s: … %s", c.record, m, c.reason, c.field, c.detail)
		}
		if len(m.Error()) > 400 {
			t.Errorf("%.200s: the error has %d bytes", c.record, len(m.Error()))
		}
	}
}

func TestSoundRecordsAreTaken(t *testing.T) {
	for _, c := range []struct {
		record string
		check  func(e *Event) bool
	}{
		{with("", ""), func(e *Event) bool { return e.AmountMinor == 1250 && e.HasAmount }},
		{" \t\r\n" + with("", "") + "\n", func(e *Event) bool { return e.ID == "e1" }},
		{with("id", "-17"), func(e *Event) bool { return e.ID == "-17" }},
		{with("amount", ""), func(e *Event) bool { return !e.HasAmount }},
		{with("amount", "null"), func(e *Event) bool { return !e.HasAmount }},
		{with("amount", `""`), func(e *Event) bool { return !e.HasAmount }},
		{with("amount", "0"), func(e *Event) bool { return e.HasAmount && e.AmountMinor == 0 }},
		{with("amount", "-0.00"), func(e *Event) bool { return e.HasAmount && e.AmountMinor == 0 }},
		{with("amount", "1.25e1"), func(e *Event) bool { return e.AmountMinor == 1250 }},
		{with("amount", `"12.5000000000000000000000000"`), func(e *Event) bool { return e.AmountMinor == 1250 }},
		{with("amount", `"1\u0032.5"`), func(e *Event) bool { return e.AmountMinor == 1250 }},
		{with("amount", "10000000000000"), func(e *Event) bool { return e.AmountMinor == 1_000_000_000_000_000 }},
		{with("time", `"2026-01-01T12:05:00Z"`), func(e *Event) bool { return e.At == clock.Add(5*time.Minute) }},
		{with("time", `"2026-01-01T13:00:00.9999999+01:00"`), func(e *Event) bool { return e.At == clock+999 }},
		{with("time", `1767268800.123999`), func(e *Event) bool { return e.At == clock+123 }},
		{with("time", `"1767268800.5"`), func(e *Event) bool { return e.At == clock+500 }},
		{with("time", `1.7672688e9`), func(e *Event) bool { return e.At == clock }},
		{with("time", `1767268800123.7`), func(e *Event) bool { return e.At == clock+123 }},
		{order(`"promised_at":0,"coupon":null,"client":null,"items":null`), func(e *Event) bool { return e.PromisedAt == 0 && e.Items == nil }},
		{order(`"client":"unusual"`), func(e *Event) bool { return e.Client == Client{} }},
		{order(`"items":[{"quantity":2.0,"price":3}]`), func(e *Event) bool { return e.Items[0].Quantity == 2 && e.Items[0].PriceMinor == 300 }},
		{order(`"items":[{"quantity":0}]`), func(e *Event) bool { return e.Items[0].Quantity == 0 }},
		{order(`"x":1,"x":2`), func(e *Event) bool { return e.ID == "e1" }},
		{order(`"coupon":"` + strings.Repeat("x", 1024) + `"`), func(e *Event) bool { return len(e.Coupon) == 1024 }},
	} {
		e, err := Canonical().Parse([]byte(c.record), clock)
		if err != nil {
			t.Errorf("%.200s: %v", c.record, err)
			continue
		}
		if !c.check(e) {
			t.Errorf("%.200s: read as %+v", c.record, e)
		}
	}
}

func TestWithoutAClockNothingIsInTheFuture(t *testing.T) {
	if _, err := Canonical().Parse([]byte(with("time", `"2999-01-01T00:00:00Z"`)), 0); err != nil {
		t.Error(err)
	}
}

func TestLimitsAreTheParsersOwn(t *testing.T) {
	limits := DefaultLimits()
	limits.TextBytes, limits.Items, limits.MaxFuture = 4, 1, time.Hour
	strict := Canonical().WithLimits(limits)
	if _, err := strict.Parse([]byte(with("id", `"12345"`)), clock); err == nil {
		t.Error("5 bytes taken where 4 are the limit")
	}
	if _, err := strict.Parse([]byte(order(`"items":[{},{}]`)), clock); err == nil {
		t.Error("2 items taken where 1 is the limit")
	}
	if _, err := strict.Parse([]byte(with("time", `"2026-01-01T12:59:00Z"`)), clock); err != nil {
		t.Error(err)
	}
	if _, err := Canonical().Parse([]byte(with("id", `"12345"`)), clock); err != nil {
		t.Errorf("the limits of one parser bind another: %v", err)
	}
}

// TestEventsOwnTheirStrings: neither the record's bytes nor the next event may show through.
func TestEventsOwnTheirStrings(t *testing.T) {
	record := []byte(fullOrder)
	var e Event
	if err := Canonical().ParseInto(&e, record, clock); err != nil {
		t.Fatal(err)
	}
	want := oracleEvent(t, []byte(fullOrder))
	kept := e
	kept.Items = append([]Item(nil), e.Items...)
	for i := range record {
		record[i] = 'x'
	}
	if err := Canonical().ParseInto(&e, []byte(fullPayment), clock); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(kept, want) {
		t.Errorf("the first event became %+v", kept)
	}
	if e.Items == nil || len(e.Items) != 0 || e.Region != "" || e.Coupon != "" {
		t.Errorf("the second event shows the first: %+v", e)
	}
}

func TestKeyMustBeTheOrder(t *testing.T) {
	e := Event{OrderID: "o1"}
	if err := e.CheckKey("o1"); err != nil {
		t.Error(err)
	}
	m, ok := errors.AsType[*Malformed](e.CheckKey("o2"))
	if !ok || m.Reason != ReasonKeyMismatch || !strings.Contains(m.Detail, `"o2"`) {
		t.Errorf("got %v", m)
	}
}

func TestDeadLetterHeaders(t *testing.T) {
	_, err := Canonical().Parse([]byte(with("amount", `"1.234"`)), clock)
	got := DeadLetterHeaders(fmt.Errorf("decode: %w", err), "payments", 3, 42)
	for name, want := range map[string]string{"weir-reason": "bad_money", "weir-topic": "payments", "weir-partition": "3", "weir-offset": "42"} {
		if string(got[name]) != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if detail := string(got["weir-detail"]); !strings.Contains(detail, `amount: "1.234" has more decimals than EUR`) {
		t.Errorf("weir-detail: %s", detail)
	}
}

func TestTypesHaveNamesAndStreams(t *testing.T) {
	count := map[string]int{}
	for n := range 256 {
		kind := Type(n)
		name := kind.String()
		back, ok := ParseType(name)
		if (name != "") != ok || ok && back != kind {
			t.Errorf("type %d: name %q parses to %d, %v", n, name, back, ok)
		}
		if stream := kind.Stream(); name == "" && stream != "" || name != "" && !strings.HasPrefix(name+"s", strings.TrimSuffix(stream, "s")+".") {
			t.Errorf("type %d: %q is in stream %q", n, name, stream)
		}
		count[kind.Stream()]++
	}
	if count["orders"] != 3 || count["payments"] != 6 || count["shipments"] != 6 || len(Types()) != 15 {
		t.Errorf("types by stream: %v", count)
	}
}

// FuzzParse: no input panics; what is taken is JSON and reads as the oracle reads it; writing it and reading it again
// changes nothing; what is refused as JSON is not JSON, or gives a name twice.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{fullOrder, fullPayment, fullShipment, with("amount", "1.25e1"), with("time", "1700000000.123"), order(`"items":[{"price":"-0.01"},{}]`)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := Canonical().Parse(record, 0)
		if err != nil {
			m, ok := errors.AsType[*Malformed](err)
			if !ok || len(m.Error()) > 500 {
				t.Fatalf("%q: refused with %v", record, err)
			}
			valid := jsontext.Value(record).IsValid(jsontext.AllowDuplicateNames(true))
			refused := m.Reason == ReasonJSON && !strings.Contains(m.Detail, "given twice") && !strings.Contains(m.Detail, "not a JSON object")
			if valid && refused {
				t.Fatalf("%q: refused with %v, but it is JSON", record, err)
			}
			return
		}
		if !json.Valid(record) {
			t.Fatalf("%q: taken, but not JSON", record)
		}
		if want := oracleEvent(t, record); !sameEvent(*e, want) {
			t.Fatalf("%q:\n got    %+v\n oracle %+v", record, *e, want)
		}
		written := AppendJSON(nil, e)
		again, err := Canonical().Parse(written, 0)
		if err != nil || !sameEvent(*again, *e) {
			t.Fatalf("%q:\n read    %+v\n written %s\n again   %+v, %v", record, *e, written, again, err)
		}
	})
}

// sameEvent compares events; no items and an empty list of items are the same.
func sameEvent(a, b Event) bool {
	if len(a.Items) == 0 && len(b.Items) == 0 {
		a.Items, b.Items = nil, nil
	}
	return reflect.DeepEqual(a, b)
}
