package orders

import (
	"fmt"
	"strings"
	"testing"

	"weir/topology/event"
	"weir/topology/table"
)

// lifecycle is an ordinary order's events.
func lifecycle() []event.Event {
	o := created("e1", noon, 2000)
	o.Client = event.Client{IP: "192.0.2.1", DeviceID: "d1"}
	payment := captured("e3", noon+2000, 2000, "EUR")
	payment.Card, payment.Client = event.Card{Fingerprint: "f1", BIN: "424242", Last4: "4242", Country: "DE", Funding: "credit"}, o.Client
	return []event.Event{o,
		{ID: "e2", Type: event.PaymentAuthorized, At: noon + 1000, Currency: "EUR", AmountMinor: 2000, HasAmount: true, Method: "card", PaymentID: "p1"},
		payment,
		shipped("e4", event.ShipmentCreated, noon+3000, noon+9000),
		shipped("e5", event.ShipmentDispatched, noon+4000, 0),
		shipped("e6", event.ShipmentDelivered, noon+5000, 0),
	}
}

// BenchmarkStep is one event of an ordinary order's life on a row from the pool, without and with the row's encoding.
func BenchmarkStep(b *testing.B) {
	settings := DefaultSettings()
	events := lifecycle()
	var out Output
	b.Run("step", func(b *testing.B) {
		b.ReportAllocs()
		row := table.OrderFromVTPool()
		for i := 0; b.Loop(); i++ {
			n := i % len(events)
			if n == 0 {
				row.ResetVT()
			}
			out.Reset()
			Step(&settings, row, &Input{Event: &events[n], Record: Record{Topic: "orders", Offset: int64(i)}}, &out)
		}
	})
	b.Run("decode-step-encode", func(b *testing.B) {
		b.ReportAllocs()
		var stored []byte
		for i := 0; b.Loop(); i++ {
			n := i % len(events)
			if n == 0 {
				stored = nil
			}
			row := table.OrderFromVTPool()
			if err := row.UnmarshalVT(stored); err != nil {
				b.Fatal(err)
			}
			out.Reset()
			Step(&settings, row, &Input{Event: &events[n], Record: Record{Topic: "orders", Offset: int64(i)}}, &out)
			stored, _ = row.MarshalVT()
			row.ReturnToVTPool()
		}
	})
	set := loadRules(b, strings.Replace(velocity, "rules:", strings.TrimSpace(orderRules), 1))
	b.Run("step-with-rules", func(b *testing.B) {
		b.ReportAllocs()
		row := table.OrderFromVTPool()
		for i := 0; b.Loop(); i++ {
			n := i % len(events)
			if n == 0 {
				row.ResetVT()
			}
			out.Reset()
			Step(&settings, row, &Input{Event: &events[n], Rules: set, Record: Record{Topic: "orders", Offset: int64(i)}}, &out)
		}
	})
	for _, entries := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("duplicate-among-%d", entries), func(b *testing.B) {
			row := &table.Order{}
			for i := range entries {
				ev := captured(fmt.Sprint(i), noon+event.UnixMilli(i), 1, "EUR")
				if i == 0 {
					ev = created("0", noon, 2000)
				}
				out.Reset()
				Step(&settings, row, &Input{Event: &ev}, &out)
			}
			ev := captured(fmt.Sprint(entries-1), noon, 1, "EUR")
			for b.Loop() {
				out.Reset()
				Step(&settings, row, &Input{Event: &ev}, &out)
			}
		})
	}
}
