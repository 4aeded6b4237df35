package orders

import (
	"fmt"
	"strings"
	"testing"

	"weir/topology/event"
	"weir/topology/table"
)

// TestARowFitsIntoOneRecord grows an order by the largest events that there are, until it takes no more: payments that wait for their
// order, the order with its lines, payments that count.
func TestARowFitsIntoOneRecord(t *testing.T) {
	const kafka = 1_000_012
	long := strings.Repeat("x", 1024)
	item := event.Item{ProductID: long, Category: long, SellerID: long, Quantity: 1e9, PriceMinor: 1e15}
	client := event.Client{IP: long, DeviceID: long, SessionID: long, UserAgent: long}
	for items := 0; items <= 500; items += 20 {
		for _, waiting := range []int{0, 10, 1000} {
			row, settings := &table.Order{}, DefaultSettings()
			created := event.Event{ID: long, Type: event.OrderCreated, At: 1, OrderID: long, CustomerID: long, Currency: "EUR", Region: long, Channel: long, Category: long, Coupon: long,
				ShippingAddressHash: long, EmailHash: long, Client: client}
			for range items {
				created.Items = append(created.Items, item)
			}
			refused := 0
			for i := range 1000 {
				ev := created
				if i != waiting {
					ev = event.Event{ID: fmt.Sprint(i, long), Type: event.PaymentFailed, At: event.UnixMilli(i), OrderID: long, Currency: "EUR", AmountMinor: 1e15, PaymentID: long, Method: long, DeclineCode: long,
						Card: event.Card{Fingerprint: long, BIN: long, Last4: long, Country: "DE", Funding: long}, Client: client}
				}
				var out Output
				before := row.SizeVT()
				Step(&settings, row, &Input{Event: &ev, Record: Record{Topic: "payments", Offset: 1 << 50}}, &out)
				if out.Outcome == Refused {
					refused++
					if row.SizeVT() != before {
						t.Fatalf("a refused event changed the row")
					}
				}
			}
			if n := row.SizeVT(); n > kafka-maxRaisedBytes-len(long)-1000 || n < 200_000 {
				t.Errorf("with %d items and %d payments before, the row has %d bytes and was left by %d events", items, waiting, n, refused)
			}
			if refused == 0 {
				t.Errorf("with %d items and %d payments before, no event was refused", items, waiting)
			}
		}
	}
}

func TestALetterThatDoesNotFitIsCut(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for name, l := range map[string]letter{
		"value":   {"k", []byte(big), map[string][]byte{"h": []byte("v")}},
		"key":     {big, []byte("v"), nil},
		"headers": {"k", []byte("v"), map[string][]byte{"h": []byte(big)}},
		"names":   {"k", []byte("v"), map[string][]byte{big: nil}},
	} {
		if n := l.fit(); n < len(big) || l.size() > 2*cutBytes || l.key == "" || len(l.value) == 0 {
			t.Errorf("%s: %d bytes were cut to %d", name, n, l.size())
		}
	}
	whole := letter{"k", []byte(big[:maxLetterBytes-100]), map[string][]byte{"h": []byte("v")}}
	if n := whole.fit(); n != 0 || len(whole.value) != maxLetterBytes-100 || len(whole.headers) != 1 {
		t.Errorf("a record that fits was cut from %d bytes", n)
	}
}

// A dispute half a year later begins the row of an expired order anew. The row does not know what the earlier one had counted.
func TestARowBegunAnewCountsNothingAgain(t *testing.T) {
	s := newShop(t)
	s.watermark = noon.Add(s.settings.Retention)
	s.expect("dispute", s.send(captured("e9", s.watermark, 1, "EUR")), Waiting)
	s.expect("the order again", s.send(created("e1", noon, 1)), Expired)
	s.expect("its payment again", s.send(captured("e2", noon, 1, "EUR")), Expired)
	s.expect("the dispute again", s.send(captured("e9", s.watermark, 1, "EUR")), Duplicate)
}
