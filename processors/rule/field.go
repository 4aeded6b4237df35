package rule

import (
	"slices"
	"strings"

	"weir/topology/event"
	"weir/topology/table"
)

// frame is what an expression is evaluated over: an event with its order in group orders, what a gate carried and what was read from
// an entity in group entities.
type frame struct {
	facts    *Facts
	currency string // of the event's amount, else of its order
	digits   int    // that the currency has after the point

	operands []table.Operand
	readings []Value
}

// field is something that can be named of an event or its order. Exactly one of num and text is set.
type field struct {
	typ  ValueType
	on   streams
	num  func(*frame) (float64, bool)
	text func(*Facts) string // "" is unknown
}

// streams says of which events a field can be known.
type streams uint8

const (
	ofOrders streams = 1 << iota
	ofPayments
	ofShipments
	ofAll = ofOrders | ofPayments | ofShipments
)

func streamsOf(t event.Type) streams {
	switch t.Stream() {
	case "orders":
		return ofOrders
	case "payments":
		return ofPayments
	}
	return ofShipments
}

func (f *Facts) client() *table.Client {
	if c := f.Entry.GetClient(); c != nil {
		return c
	}
	return f.Order.GetClient()
}

func orderText(get func(*table.Order) string) field {
	return field{typ: Text, on: ofAll, text: func(f *Facts) string { return get(f.Order) }}
}

func entryText(on streams, get func(*table.Entry) string) field {
	return field{typ: Text, on: on, text: func(f *Facts) string { return get(f.Entry) }}
}

func clientText(get func(*table.Client) string) field {
	return field{typ: Text, on: ofAll, text: func(f *Facts) string { return get(f.client()) }}
}

func cardText(get func(*table.Card) string) field {
	return field{typ: Text, on: ofPayments, text: func(f *Facts) string { return get(f.Entry.GetCard()) }}
}

func orderTime(get func(*table.Order) int64) field {
	return field{typ: Time, on: ofAll, num: func(f *frame) (float64, bool) { at := get(f.facts.Order); return float64(at), at != 0 }}
}

func age(get func(*table.Order) int64) field {
	return field{typ: Duration, on: ofAll, num: func(f *frame) (float64, bool) {
		at := get(f.facts.Order)
		return float64(int64(f.facts.At) - at), at != 0
	}}
}

// fields are all names. Order facts are those of order.created: they do not depend on what came since.
var fields = map[string]field{
	"at":     {typ: Time, on: ofAll, num: func(f *frame) (float64, bool) { return float64(f.facts.At), true }},
	"type":   {typ: Text, on: ofAll, text: func(f *Facts) string { return f.Type.String() }},
	"amount": {typ: Money, on: ofOrders | ofPayments, num: amount},
	"total":  {typ: Money, on: ofAll, num: total},

	"currency":      {typ: Text, on: ofAll, text: currencyOf},
	"method":        entryText(ofPayments, (*table.Entry).GetSource),
	"decline_code":  entryText(ofPayments, (*table.Entry).GetReason),
	"payment_id":    entryText(ofPayments, (*table.Entry).GetReference),
	"cancel_reason": entryText(ofOrders, (*table.Entry).GetReason),
	"carrier":       entryText(ofShipments, (*table.Entry).GetSource),

	"card":             cardText((*table.Card).GetFingerprint),
	"card.fingerprint": cardText((*table.Card).GetFingerprint),
	"card.bin":         cardText((*table.Card).GetBin),
	"card.last4":       cardText((*table.Card).GetLast4),
	"card.country":     cardText((*table.Card).GetCountry),
	"card.funding":     cardText((*table.Card).GetFunding),

	"ip":                clientText((*table.Client).GetIp),
	"device":            clientText((*table.Client).GetDeviceId),
	"client.ip":         clientText((*table.Client).GetIp),
	"client.device_id":  clientText((*table.Client).GetDeviceId),
	"client.session_id": clientText((*table.Client).GetSessionId),
	"client.user_agent": clientText((*table.Client).GetUserAgent),

	"order":                 {typ: Text, on: ofAll, text: func(f *Facts) string { return f.OrderID }},
	"customer":              orderText((*table.Order).GetCustomerId),
	"email":                 orderText((*table.Order).GetEmailHash),
	"address":               orderText((*table.Order).GetShippingAddressHash),
	"customer_id":           orderText((*table.Order).GetCustomerId),
	"email_hash":            orderText((*table.Order).GetEmailHash),
	"shipping_address_hash": orderText((*table.Order).GetShippingAddressHash),
	"channel":               orderText((*table.Order).GetChannel),
	"region":                orderText((*table.Order).GetRegion),
	"country":               orderText((*table.Order).GetCountry),
	"category":              orderText((*table.Order).GetCategory),
	"coupon":                orderText((*table.Order).GetCoupon),
	"billing_country":       orderText((*table.Order).GetBillingCountry),
	"shipping_country":      orderText((*table.Order).GetShippingCountry),
	"order_country":         orderText((*table.Order).GetCountry),

	"order_created_at":    orderTime((*table.Order).GetCreatedAtMs),
	"customer_created_at": orderTime((*table.Order).GetCustomerCreatedAtMs),
	"customer_age":        age((*table.Order).GetCustomerCreatedAtMs),
	"order_age":           age((*table.Order).GetCreatedAtMs),

	"lines": {typ: Number, on: ofAll, num: func(f *frame) (float64, bool) { return float64(len(f.facts.Order.Items)), true }},
	"units": {typ: Number, on: ofAll, num: func(f *frame) (float64, bool) {
		var n int64
		for _, item := range f.facts.Order.Items {
			n += item.Quantity
		}
		return float64(n), true
	}},
	"top_price": {typ: Money, on: ofAll, num: func(f *frame) (float64, bool) {
		var most int64
		for _, item := range f.facts.Order.Items {
			most = max(most, item.PriceMinor)
		}
		return float64(most), len(f.facts.Order.Items) > 0 && f.currency != "" && f.currency == f.facts.Order.Currency
	}},
}

// currencyOf is the currency in which an event's money is looked at: its own amount's, else its order's.
func currencyOf(f *Facts) string {
	if c := f.Entry.GetCurrency(); c != "" {
		return c
	}
	return f.Order.GetCurrency()
}

func amount(f *frame) (float64, bool) {
	e := f.facts.Entry
	return float64(e.GetAmountMinor()), e.GetCurrency() != "" && exact(e.GetAmountMinor())
}

// total is that of order.created; one that was not told is not zero.
func total(f *frame) (float64, bool) {
	o := f.facts.Order
	return float64(o.CreatedTotalMinor), o.Currency != "" && o.Currency == f.currency && exact(o.CreatedTotalMinor) &&
		(o.CreatedTotalMinor != 0 || hasTotal(o, true))
}

// exact reports whether a float64 holds n as it is.
func exact(n int64) bool { return n < 1<<53 && n > -1<<53 }

// keyKinds are the kinds of entities that need no expression.
var keyKinds = []string{"customer", "card", "ip", "device", "email", "address", "order", "seller", "product"}

// isMulti reports kinds of which one event concerns several entities.
func isMulti(kind string) bool { return kind == "seller" || kind == "product" }

// multiKeys are the sellers or products of an order, each once.
func multiKeys(kind string, o *table.Order) (ids []string) {
	for _, item := range o.Items {
		id := item.ProductId
		if kind == "seller" {
			id = item.SellerId
		}
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// fieldNames lists the names that are close to what was written, or all.
func fieldNames() string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
