package event

import "testing"

// The records that the benchmarks read.
var (
	canonicalRecord = []byte(`{"id":"evt-01J8Z6Q2K7W","type":"order.created","time":"2026-01-01T00:00:40.125Z","order_id":"ord-000123456","customer_id":"cust-004217","currency":"EUR","total":"259.97","channel":"web","region":"eu-west","country":"DE","items":[{"product_id":"sku-1","category":"books","quantity":2,"price":"19.99"}],"client":{"ip":"10.1.2.3"}}`)
	wOrder          = []byte(`{"event_id":"o-123456","event_type":"OrderPlaced","order_id":"ord-000123456","customer_id":"cust-004217","amount":259.97,"currency":"EUR","region":"eu-west","category":"electronics","items":3,"ip":"10.21.132.43","device_id":"dev-104217","timestamp":1767225600020}`)
	wPayment        = []byte(`{"event_id":"p-123456","event_type":"PaymentCaptured","payment_id":"pay-000123456","order_id":"ord-000123456","customer_id":"cust-004217","amount":259.97,"currency":"EUR","method":"card","card_fingerprint":"card-004217","country":"DE","status":"captured","timestamp":1767225602020}`)
	wShipment       = []byte(`{"event_id":"s-123456","event_type":"ShipmentDispatched","shipment_id":"shp-000123456","order_id":"ord-000123456","carrier":"dhl","country":"DE","status":"dispatched","timestamp":1767225620020}`)
	flatOrder       = []byte(`{"event_type":"OrderPlaced","order_id":"ord-000123456","user_id":"u-4217","amount":99.99,"timestamp":1700000000.123}`)
)

const benchClock UnixMilli = 1767225700000

func presetParser(tb testing.TB, preset, topic string) *Parser {
	tb.Helper()
	mappings, err := Preset(preset)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(mappings[topic])
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkParse(b *testing.B) {
	w := presetParser(b, "w", "orders")
	for _, bench := range []struct {
		name   string
		parser *Parser
		record []byte
	}{
		{"canonical", Canonical(), canonicalRecord},
		{"w/order", w, wOrder},
		{"w/payment", w, wPayment},
		{"w/shipment", w, wShipment},
		{"order-events", presetParser(b, "order-events", "order-events"), flatOrder},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var e Event
			b.SetBytes(int64(len(bench.record)))
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.parser.ParseInto(&e, bench.record, benchClock); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
