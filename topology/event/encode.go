package event

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendJSON appends the event in the canonical shape. Absent fields are left out, as are those of other streams;
// Parse of the result gives the event back.
func AppendJSON(dst []byte, e *Event) []byte {
	w := writer{append(dst, '{')}
	of := e.Type.stream()
	w.text("id", e.ID)
	w.text("type", e.Type.String())
	w.time("time", e.At)
	w.text("order_id", e.OrderID)
	if of == orders || of == payments {
		w.text("customer_id", e.CustomerID)
		w.text("currency", e.Currency)
	}
	switch of {
	case orders:
		w.order(e)
	case payments:
		w.payment(e)
	case shipments:
		w.text("shipment_id", e.ShipmentID)
		w.text("carrier", e.Carrier)
		w.text("country", e.Country)
		w.time("expected_at", e.ExpectedAt)
	}
	return append(w.dst, '}')
}

// writer appends the members of an object; those that are absent leave no trace.
type writer struct{ dst []byte }

func (w *writer) order(e *Event) {
	if e.HasAmount {
		w.money("total", e.AmountMinor, e.Currency)
	}
	w.text("channel", e.Channel)
	w.text("region", e.Region)
	w.text("country", e.Country)
	w.text("category", e.Category)
	w.text("coupon", e.Coupon)
	w.time("promised_at", e.PromisedAt)
	if len(e.Items) > 0 {
		w.name("items")
		w.dst = append(w.dst, '[')
		for i := range e.Items {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			w.item(&e.Items[i], e.Currency)
		}
		w.dst = append(w.dst, ']')
	}
	w.text("billing_country", e.BillingCountry)
	w.text("shipping_country", e.ShippingCountry)
	w.text("shipping_address_hash", e.ShippingAddressHash)
	w.text("email_hash", e.EmailHash)
	w.time("customer_created_at", e.CustomerCreatedAt)
	w.client(e.Client)
	w.text("cancel_reason", e.CancelReason)
}

func (w *writer) item(item *Item, currency string) {
	w.dst = append(w.dst, '{')
	w.text("product_id", item.ProductID)
	w.text("category", item.Category)
	w.text("seller_id", item.SellerID)
	w.name("quantity")
	w.dst = strconv.AppendInt(w.dst, item.Quantity, 10)
	if currency != "" {
		w.money("price", item.PriceMinor, currency)
	}
	w.dst = append(w.dst, '}')
}

func (w *writer) payment(e *Event) {
	w.text("payment_id", e.PaymentID)
	if e.HasAmount {
		w.money("amount", e.AmountMinor, e.Currency)
	}
	w.text("method", e.Method)
	if e.Card != (Card{}) {
		w.open("card")
		w.text("fingerprint", e.Card.Fingerprint)
		w.text("bin", e.Card.BIN)
		w.text("last4", e.Card.Last4)
		w.text("country", e.Card.Country)
		w.text("funding", e.Card.Funding)
		w.dst = append(w.dst, '}')
	}
	w.text("decline_code", e.DeclineCode)
	w.client(e.Client)
}

func (w *writer) client(c Client) {
	if c == (Client{}) {
		return
	}
	w.open("client")
	w.text("ip", c.IP)
	w.text("device_id", c.DeviceID)
	w.text("session_id", c.SessionID)
	w.text("user_agent", c.UserAgent)
	w.dst = append(w.dst, '}')
}

// name begins a member. Names need no escaping.
func (w *writer) name(name string) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, '"', ':')
}

func (w *writer) open(name string) {
	w.name(name)
	w.dst = append(w.dst, '{')
}

func (w *writer) text(name, value string) {
	if value == "" {
		return
	}
	w.name(name)
	// The error says that bytes were not UTF-8; they are written as U+FFFD.
	w.dst, _ = jsontext.AppendQuote(w.dst, value)
}

// money writes an amount as a decimal string. Without a known currency it has no major unit: then it is written as it is,
// and a parser will ask for the currency.
func (w *writer) money(name string, minor int64, currency string) {
	exponent, _ := Exponent(currency)
	w.name(name)
	w.dst = append(w.dst, '"')
	w.dst = AppendMajor(w.dst, minor, exponent)
	w.dst = append(w.dst, '"')
}

func (w *writer) time(name string, at UnixMilli) {
	if at == 0 {
		return
	}
	w.name(name)
	w.dst = append(w.dst, '"')
	w.dst = at.Time().AppendFormat(w.dst, time.RFC3339Nano)
	w.dst = append(w.dst, '"')
}
