package event

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// sharedData is where the real files and other vendors' shapes are; they are not part of the project.
const sharedData = "../../../shared/data"

// sharedFile returns a file of the shared data, or skips the test and says so.
func sharedFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(sharedData, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("SKIPPED, NOT CHECKED: %s is absent", filepath.Join(sharedData, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mapped compiles a mapping as a configuration file would hold it.
func mapped(t testing.TB, text string) *Parser {
	t.Helper()
	var m Mapping
	if err := yaml.UnmarshalWithOptions([]byte(text), &m, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parsed(t *testing.T, p *Parser, record []byte) Event {
	t.Helper()
	e, err := p.Parse(record, 0)
	if err != nil {
		t.Fatalf("%.200s: %v", record, err)
	}
	return *e
}

func TestPresetOrderEvents(t *testing.T) {
	p := presetParser(t, "order-events", "order-events")
	got := parsed(t, p, []byte(`{"event_type":"OrderPlaced","order_id":"o1","user_id":"u1","amount":99.99,"timestamp":1700000000.123}`))
	want := Event{ID: "OrderPlaced:o1:1700000000.123", Type: OrderCreated, At: 1700000000123, OrderID: "o1", CustomerID: "u1", Currency: "USD", AmountMinor: 9999, HasAmount: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	first := parsed(t, p, []byte(`{"event_type":"PaymentFailed","order_id":"o1","payment_id":"p1","timestamp":1700000001,"reason":"insufficient_funds","currency":"eur","amount":"5"}`))
	second := parsed(t, p, []byte(`{"event_type":"PaymentFailed","order_id":"o1","payment_id":"p2","timestamp":1700000001}`))
	if first.ID == second.ID || first.DeclineCode != "insufficient_funds" || first.Currency != "EUR" || first.AmountMinor != 500 {
		t.Errorf("two failed payments: %+v and %+v", first, second)
	}
	given := parsed(t, p, []byte(`{"event_id":"e7","event_type":"OrderDelivered","order_id":4711,"timestamp":"2026-01-01T00:00:00Z","items":3}`))
	if given.ID != "e7" || given.OrderID != "4711" || given.Type != ShipmentDelivered {
		t.Errorf("got %+v", given)
	}
	mappings, _ := Preset("order-events")
	euro, err := Compile(mappings["order-events"].WithDefault("currency", "JPY"))
	if err != nil {
		t.Fatal(err)
	}
	if e := parsed(t, euro, []byte(`{"event_type":"OrderPlaced","order_id":"o1","amount":9900,"timestamp":1700000000}`)); e.Currency != "JPY" || e.AmountMinor != 9900 {
		t.Errorf("with another default currency: %+v", e)
	}
}

func TestPresetDotted(t *testing.T) {
	for topic, types := range map[string]map[string]Type{
		"orders.events":    {"OrderCreated": OrderCreated, "OrderUpdated": OrderUpdated, "OrderCancelled": OrderCancelled, "OrderCanceled": OrderCancelled},
		"payments.events":  {"PaymentCompleted": PaymentCaptured, "PaymentAuthorized": PaymentAuthorized, "PaymentFailed": PaymentFailed, "PaymentRefunded": PaymentRefunded},
		"shipments.events": {"OrderShipped": ShipmentDispatched, "ShipmentDispatched": ShipmentDispatched, "OrderDelivered": ShipmentDelivered, "ShipmentDelivered": ShipmentDelivered},
	} {
		p := presetParser(t, "dotted", topic)
		for name, want := range types {
			if e := parsed(t, p, []byte(`{"event_type":"`+name+`","order_id":"o1","timestamp":1700000000000}`)); e.Type != want {
				t.Errorf("%s: %s is %s", topic, name, e.Type)
			}
		}
	}
}

// TestPresetW reads the three records of the reference workload; items is a number there.
func TestPresetW(t *testing.T) {
	for _, c := range []struct {
		topic  string
		record []byte
		want   Event
	}{
		{"orders", wOrder, Event{ID: "o-123456", Type: OrderCreated, At: 1767225600020, OrderID: "ord-000123456", CustomerID: "cust-004217", Currency: "EUR", AmountMinor: 25997, HasAmount: true,
			Region: "eu-west", Category: "electronics", Client: Client{IP: "10.21.132.43", DeviceID: "dev-104217"}}},
		{"payments", wPayment, Event{ID: "p-123456", Type: PaymentCaptured, At: 1767225602020, OrderID: "ord-000123456", CustomerID: "cust-004217", Currency: "EUR", AmountMinor: 25997, HasAmount: true,
			PaymentID: "pay-000123456", Method: "card", Card: Card{Fingerprint: "card-004217", Country: "DE"}}},
		{"shipments", wShipment, Event{ID: "s-123456", Type: ShipmentDispatched, At: 1767225620020, OrderID: "ord-000123456", Country: "DE", ShipmentID: "shp-000123456", Carrier: "dhl"}},
	} {
		if got := parsed(t, presetParser(t, "w", c.topic), c.record); !reflect.DeepEqual(got, c.want) {
			t.Errorf("got  %+v\nwant %+v", got, c.want)
		}
	}
}

func TestPresetsCompileAndKnowTheirTypes(t *testing.T) {
	for _, name := range PresetNames() {
		mappings, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CompileAll(mappings); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for topic, m := range mappings {
			if m.Inherit {
				continue
			}
			m.Fields["id"], m.Types["Changed"] = "changed", "order.created"
			again, _ := Preset(name)
			if again[topic].Fields["id"] == "changed" || again[topic].Types["Changed"] != "" {
				t.Errorf("%s: changing a preset changes it for others", name)
			}
		}
	}
	if _, err := Preset("shopware"); err == nil || !strings.Contains(err.Error(), "order-events") {
		t.Errorf("an unknown preset: %v", err)
	}
}

func TestMappingLanguage(t *testing.T) {
	p := mapped(t, `
fields:
  id: 'meta.id | {kind}/{order.no}@{at}'
  type: kind
  time: at
  order_id: order.no
  customer_id: order.customer | order.customer.id
  currency: order.total.currency
  total: order.total.cents
  category: order.lines[1].category
  coupon: '["x.y"]["a b"]'
  channel: order.channel
  items: order.lines
  items.product_id: product.sku
  items.price: cents
constants:
  region: eu-west
defaults:
  channel: web
types:
  placed: order.created
  viewed: ignore
money: minor
`)
	record := `{"kind":"placed","at":1700000000,"order":{"no":"o1","customer":{"id":"c1"},"total":{"cents":1250,"currency":"jpy"},
		"lines":[{"product":{"sku":"s1"},"cents":"1000"},{"category":"toys","product":{"sku":"s2"},"cents":250}]},"x.y":{"a b":"NEW"},"region":"elsewhere"}`
	want := Event{ID: "placed/o1@1700000000", Type: OrderCreated, At: 1700000000000, OrderID: "o1", CustomerID: "c1", Currency: "JPY", AmountMinor: 1250, HasAmount: true,
		Category: "toys", Coupon: "NEW", Channel: "web", Region: "eu-west", Items: []Item{{"s1", "", "", 1, 1000}, {"s2", "", "", 1, 250}}}
	if got := parsed(t, p, []byte(record)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, c := range [][3]string{
		{`"kind":"placed"`, `"meta":{"id":"m1"},"kind":"placed"`, "m1"},
		{`"kind":"placed"`, `"meta":null,"kind":"placed"`, "placed/o1@1700000000"},
		{`"no":"o1"`, `"no":"\u006f\u0031"`, "placed/o1@1700000000"},
		{`"customer":{"id":"c1"}`, `"customer":"c1"`, "placed/o1@1700000000"},
	} {
		if got := parsed(t, p, []byte(strings.Replace(record, c[0], c[1], 1))); got.ID != c[2] || got.CustomerID != "c1" {
			t.Errorf("%s: id %q of customer %q", c[1], got.ID, got.CustomerID)
		}
	}
	for _, c := range [][3]string{
		{`"cents":1250`, `"cents":12.5`, "bad_money: total"},
		{`"placed"`, `"paid"`, "unknown_type"},
		{`"no":"o1"`, `"no":null`, `missing_field: id: the record has none, looked in "meta.id | {kind}/{order.no}@{at}"`},
		{`"kind":"placed"`, `"kind":"placed","meta":{"id":"\u0001"}`, "control character"},
		{`"no":"o1"`, `"no":"\u0001"`, "control character"},
		{`"sku":"s2"`, `"sku":"s2","sku":"s3"`, `"product.sku" is given twice`},
		{`"category":"toys"`, `"category":"toys","category":"toys"`, `"order.lines[1].category" is given twice`},
	} {
		if _, err := p.Parse([]byte(strings.Replace(record, c[0], c[1], 1)), 0); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %s", c[1], err, c[2])
		}
	}
	if _, err := p.Parse([]byte(strings.Replace(record, "placed", "viewed", 1)), 0); !errors.Is(err, ErrIgnored) {
		t.Errorf("a type to be ignored: %v", err)
	}
}

func TestInheritanceReadsTheOtherFieldsUnderTheirOwnNames(t *testing.T) {
	p := mapped(t, "inherit: true\nfields: {id: event_id, items: ''}\ntypes: {sale: order.created, '*': ignore}")
	e := parsed(t, p, []byte(`{"event_id":"e1","type":"sale","time":1700000000,"order_id":"o1","client":{"ip":"10.0.0.1"},"items":3}`))
	if e.ID != "e1" || e.Client.IP != "10.0.0.1" || e.Type != OrderCreated {
		t.Errorf("got %+v", e)
	}
	if _, err := p.Parse([]byte(`{"event_id":"e1","type":"view"}`), 0); !errors.Is(err, ErrIgnored) {
		t.Errorf("another type: %v", err)
	}
}

func TestMergeAdjustsAPreset(t *testing.T) {
	mappings, _ := Preset("order-events")
	p, err := Compile(mappings["order-events"].Merge(Mapping{
		Fields: map[string]string{"order_id": "orderNumber", "region": ""},
		Types:  map[string]string{"InventoryReserved": "ignore"},
		Money:  "minor",
	}))
	if err != nil {
		t.Fatal(err)
	}
	e := parsed(t, p, []byte(`{"event_id":"e1","event_type":"OrderPlaced","orderNumber":17,"region":"x","amount":1250,"timestamp":1700000000}`))
	if e.OrderID != "17" || e.Region != "" || e.AmountMinor != 1250 {
		t.Errorf("got %+v", e)
	}
	if _, err := p.Parse([]byte(`{"event_type":"InventoryReserved"}`), 0); !errors.Is(err, ErrIgnored) {
		t.Errorf("got %v", err)
	}
}

func TestAWrongMappingNamesItsKey(t *testing.T) {
	sound := func() Mapping {
		return Mapping{Fields: map[string]string{"id": "id", "type": "t", "time": "at", "order_id": "o"}}
	}
	many := strings.Repeat("x", 1)
	for i := range 97 {
		many += "|y" + strings.Repeat("z", i)
	}
	for want, change := range map[string]func(m *Mapping){
		"fields.order_id: missing":            func(m *Mapping) { delete(m.Fields, "order_id") },
		`fields: there is no field "order"`:   func(m *Mapping) { m.Fields["order"] = "o" },
		`constants: there is no field "c"`:    func(m *Mapping) { m.Constants = map[string]string{"c": "EUR"} },
		"constants.currency: \"EURO\"":        func(m *Mapping) { m.Constants = map[string]string{"currency": "EURO"} },
		"defaults.country: \"Germany\"":       func(m *Mapping) { m.Defaults = map[string]string{"country": "Germany"} },
		"constants.type: there is no type":    func(m *Mapping) { delete(m.Fields, "type"); m.Constants = map[string]string{"type": "sale"} },
		"constants.items.price: an order's":   func(m *Mapping) { m.Constants = map[string]string{"items.price": "1"} },
		"constants.region: \"\"":              func(m *Mapping) { m.Constants = map[string]string{"region": ""} },
		"constants.id: the field is in":       func(m *Mapping) { m.Constants = map[string]string{"id": "x"} },
		"types.sale: there is no type":        func(m *Mapping) { m.Types = map[string]string{"sale": "order.sold"} },
		"types.*: is \"order.created\"":       func(m *Mapping) { m.Types = map[string]string{"*": "order.created"} },
		"money: is \"cents\"":                 func(m *Mapping) { m.Money = "cents" },
		"fields.items.price: needs":           func(m *Mapping) { m.Fields["items.price"] = "price" },
		"fields.items: path":                  func(m *Mapping) { m.Fields["items"] = "a..b" },
		"fields.total: path \"a.\"":           func(m *Mapping) { m.Fields["total"] = "a." },
		"fields.total: path \"a[x]\"":         func(m *Mapping) { m.Fields["total"] = "a[x]" },
		"fields.total: path \"a[100]\"":       func(m *Mapping) { m.Fields["total"] = "a[100]" },
		"fields.total: path \"[0]\"":          func(m *Mapping) { m.Fields["total"] = "[0]" },
		"fields.total: path \"a[0]b\"":        func(m *Mapping) { m.Fields["total"] = "a[0]b" },
		"fields.total: path \"[\\\"a\"":       func(m *Mapping) { m.Fields["total"] = `["a` },
		"fields.total: path \"a b\"":          func(m *Mapping) { m.Fields["total"] = "a b" },
		"fields.total: the path is empty":     func(m *Mapping) { m.Fields["total"] = "a || b" },
		"fields.id: template \"{a\"":          func(m *Mapping) { m.Fields["id"] = "{a" },
		"fields.id: template \"a}\"":          func(m *Mapping) { m.Fields["id"] = "a}" },
		"fields.id: template \"{}\"":          func(m *Mapping) { m.Fields["id"] = "{}" },
		"fields.region: the mapping looks at": func(m *Mapping) { m.Fields["region"] = many },
	} {
		m := sound()
		change(&m)
		if _, err := Compile(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v\n want %s…", err, want)
		}
	}
	if _, err := Compile(sound()); err != nil {
		t.Error(err)
	}
	if _, err := CompileAll(map[string]Mapping{"my-topic": {}}); err == nil || !strings.HasPrefix(err.Error(), "my-topic: fields.id: missing") {
		t.Errorf("error %v", err)
	}
}

// TestParsersAreShared: all partitions parse with one Parser at the same time.
func TestParsersAreShared(t *testing.T) {
	p := Canonical()
	done := make(chan error)
	for range 4 {
		go func() {
			for range 500 {
				e, err := p.Parse([]byte(fullOrder), clock)
				if err == nil && (e.Coupon != `NEW"10€` || len(e.Items) != 3) {
					err = errors.New("read " + e.Coupon)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestShopifyOrder(t *testing.T) {
	p := mapped(t, `
fields:
  id: 'order:{order.id}'
  time: order.created_at
  order_id: order.id
  customer_id: order.customer.id | order.email
  currency: order.currency
  total: order.total_price
  channel: order.source_name
  coupon: order.discount_codes[0].code
  billing_country: order.billing_address.country_code
  shipping_country: order.shipping_address.country_code
  country: order.shipping_address.country_code
  client.ip: order.browser_ip
  cancel_reason: order.cancel_reason
  category: order.line_items[1].title
  items: order.line_items
  items.product_id: product_id
  items.category: title
  items.seller_id: vendor
  items.quantity: quantity
  items.price: price
constants: {type: order.created}
`)
	want := Event{ID: "order:123456", Type: OrderCreated, At: 1463458476000, OrderID: "123456", CustomerID: "jon@doe.ca", Currency: "USD", AmountMinor: 1000, HasAmount: true,
		Channel: "web", Country: "US", Category: "Another Beer For Good Times", BillingCountry: "US", ShippingCountry: "US", CancelReason: "customer",
		Items: []Item{{"111475476", "Soda", "", 1, 0}, {"5410685889", "Another Beer For Good Times", "", 1, 500}}}
	if got := parsed(t, p, sharedFile(t, "shapes/shopify/order.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestShopifyTransactionAndFulfillment(t *testing.T) {
	transaction := mapped(t, `
fields:
  id: 'transaction:{transaction.id}'
  type: '{transaction.kind}:{transaction.status}'
  time: transaction.created_at
  order_id: transaction.order_id
  payment_id: transaction.id
  currency: transaction.currency
  amount: transaction.amount
  method: transaction.payment_details.credit_card_company | transaction.gateway
  card.bin: transaction.payment_details.credit_card_bin
  decline_code: transaction.error_code
types: {'authorization:success': payment.authorized, 'sale:success': payment.captured, 'capture:success': payment.captured, 'refund:success': payment.refunded, '*': ignore}
`)
	want := Event{ID: "transaction:389404469", Type: PaymentAuthorized, At: 1500923383000, OrderID: "450789469", Currency: "USD", AmountMinor: 40994, HasAmount: true, PaymentID: "389404469", Method: "Visa"}
	if got := parsed(t, transaction, sharedFile(t, "shapes/shopify/transaction.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	tracking := mapped(t, `
fields: {id: fulfillment_event.id, type: fulfillment_event.status, time: fulfillment_event.happened_at, order_id: fulfillment_event.order_id,
  shipment_id: fulfillment_event.fulfillment_id, country: fulfillment_event.country, expected_at: fulfillment_event.estimated_delivery_at}
types: {in_transit: shipment.in_transit, delivered: shipment.delivered, failure: shipment.failed}
`)
	want = Event{ID: "944956393", Type: ShipmentInTransit, At: 1697859567000, OrderID: "450789469", ShipmentID: "255858046"}
	if got := parsed(t, tracking, sharedFile(t, "shapes/shopify/fulfillment_event.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	fulfillment := mapped(t, `
fields: {id: 'fulfillment:{fulfillment.id}', time: fulfillment.created_at, order_id: fulfillment.order_id, shipment_id: fulfillment.id, carrier: fulfillment.tracking_company}
constants: {type: shipment.dispatched}
`)
	want = Event{ID: "fulfillment:1022782888", Type: ShipmentDispatched, At: 1530810519000, OrderID: "450789469", ShipmentID: "1022782888", Carrier: "Bluedart"}
	if got := parsed(t, fulfillment, sharedFile(t, "shapes/shopify/fulfillment.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestStripeCharge: minor units, a lower-case currency, Unix seconds and a type made of two fields.
func TestStripeCharge(t *testing.T) {
	var fixtures struct {
		Resources map[string]json.RawMessage `json:"resources"`
	}
	if err := json.Unmarshal(sharedFile(t, "shapes/stripe/fixtures3.json"), &fixtures); err != nil {
		t.Fatal(err)
	}
	p := mapped(t, `
fields:
  id: id
  type: 'captured={captured} {status}'
  time: created
  order_id: metadata.order_id | payment_intent | id
  payment_id: id
  currency: currency
  amount: amount
  method: payment_method_details.type
  card.fingerprint: payment_method_details.card.fingerprint
  card.last4: payment_method_details.card.last4
  card.country: payment_method_details.card.country
  card.funding: payment_method_details.card.funding
types: {captured=false succeeded: payment.authorized, captured=true succeeded: payment.captured}
money: minor
`)
	want := Event{ID: "ch_1PgafuB7WZ01zgkWXYmPNZs8", Type: PaymentAuthorized, At: 1234567890000, OrderID: "ch_1PgafuB7WZ01zgkWXYmPNZs8", Currency: "USD", AmountMinor: 100, HasAmount: true,
		PaymentID: "ch_1PgafuB7WZ01zgkWXYmPNZs8", Method: "card", Card: Card{Fingerprint: "AOB934RVNwzk6xtn", Last4: "4242", Country: "US", Funding: "credit"}}
	if got := parsed(t, p, fixtures.Resources["charge"]); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// FuzzMapping: no expression and no record panics, and no mapping makes the parser take what is not JSON.
func FuzzMapping(f *testing.F) {
	for _, expression := range []string{"id", "a.b | c[1].d", `["x.y"][2]`, "{a}:{b.c}", "a|{b}", "lines[0].id", "order"} {
		f.Add(expression, []byte(`{"id":"1","a":{"b":"2"},"c":[0,{"d":3}],"x.y":[0,0,4],"b":{"c":"5"},"lines":[{"id":6}],"order":{"no":"7"},"at":1700000000}`))
	}
	f.Fuzz(func(t *testing.T, expression string, record []byte) {
		p, err := Compile(Mapping{
			Fields:    map[string]string{"id": expression, "order_id": "order.no", "time": "at", "items": "lines", "items.product_id": expression, "total": expression},
			Constants: map[string]string{"type": "order.created", "currency": "EUR"},
		})
		if err != nil {
			return
		}
		if e, err := p.Parse(record, 0); err == nil && (!json.Valid(record) || e.ID == "" || e.OrderID == "") {
			t.Fatalf("%q: taken as %+v", record, *e)
		}
	})
}
