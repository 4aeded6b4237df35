package event

// field is a canonical field of an event or of an order's line.
type field uint8

const (
	fieldID field = iota
	fieldType
	fieldTime
	fieldOrderID
	fieldCurrency
	fieldCustomerID

	fieldTotal
	fieldChannel
	fieldRegion
	fieldCountry
	fieldCategory
	fieldCoupon
	fieldPromisedAt
	fieldItems
	fieldBillingCountry
	fieldShippingCountry
	fieldShippingAddressHash
	fieldEmailHash
	fieldCustomerCreatedAt
	fieldCancelReason
	fieldClientIP
	fieldClientDeviceID
	fieldClientSessionID
	fieldClientUserAgent

	fieldPaymentID
	fieldAmount
	fieldMethod
	fieldDeclineCode
	fieldCardFingerprint
	fieldCardBIN
	fieldCardLast4
	fieldCardCountry
	fieldCardFunding

	fieldShipmentID
	fieldCarrier
	fieldExpectedAt

	fieldItemProductID
	fieldItemCategory
	fieldItemSellerID
	fieldItemQuantity
	fieldItemPrice
	fields // how many
)

// form is how a field's value is read.
type form uint8

const (
	formText     form = iota // a string; an integer is taken as its digits
	formIdentity             // text that names something: no control characters
	formType
	formTime
	formCurrency
	formCountry
	formMoney
	formQuantity
	formItems
)

type fieldSpec struct {
	name string // dotted where it stands in an object; "items.…" stands in each line
	form form
	of   [streams]bool
}

var (
	everywhere   = [streams]bool{orders: true, payments: true, shipments: true}
	ofOrders     = [streams]bool{orders: true}
	ofPayments   = [streams]bool{payments: true}
	ofShipments  = [streams]bool{shipments: true}
	withShopper  = [streams]bool{orders: true, payments: true}
	withCountry  = [streams]bool{orders: true, shipments: true}
	ofOrderLines = [streams]bool{}
)

// fieldSpecs says which fields there are, in which streams. A field is ignored in the streams it does not belong to.
var fieldSpecs = [fields]fieldSpec{
	fieldID:         {"id", formIdentity, everywhere},
	fieldType:       {"type", formType, everywhere},
	fieldTime:       {"time", formTime, everywhere},
	fieldOrderID:    {"order_id", formIdentity, everywhere},
	fieldCurrency:   {"currency", formCurrency, withShopper},
	fieldCustomerID: {"customer_id", formIdentity, withShopper},

	fieldTotal:               {"total", formMoney, ofOrders},
	fieldChannel:             {"channel", formText, ofOrders},
	fieldRegion:              {"region", formText, ofOrders},
	fieldCountry:             {"country", formCountry, withCountry},
	fieldCategory:            {"category", formText, ofOrders},
	fieldCoupon:              {"coupon", formText, ofOrders},
	fieldPromisedAt:          {"promised_at", formTime, ofOrders},
	fieldItems:               {"items", formItems, ofOrders},
	fieldBillingCountry:      {"billing_country", formCountry, ofOrders},
	fieldShippingCountry:     {"shipping_country", formCountry, ofOrders},
	fieldShippingAddressHash: {"shipping_address_hash", formIdentity, ofOrders},
	fieldEmailHash:           {"email_hash", formIdentity, ofOrders},
	fieldCustomerCreatedAt:   {"customer_created_at", formTime, ofOrders},
	fieldCancelReason:        {"cancel_reason", formText, ofOrders},
	fieldClientIP:            {"client.ip", formIdentity, withShopper},
	fieldClientDeviceID:      {"client.device_id", formIdentity, withShopper},
	fieldClientSessionID:     {"client.session_id", formIdentity, withShopper},
	fieldClientUserAgent:     {"client.user_agent", formText, withShopper},

	fieldPaymentID:       {"payment_id", formIdentity, ofPayments},
	fieldAmount:          {"amount", formMoney, ofPayments},
	fieldMethod:          {"method", formText, ofPayments},
	fieldDeclineCode:     {"decline_code", formText, ofPayments},
	fieldCardFingerprint: {"card.fingerprint", formIdentity, ofPayments},
	fieldCardBIN:         {"card.bin", formIdentity, ofPayments},
	fieldCardLast4:       {"card.last4", formIdentity, ofPayments},
	fieldCardCountry:     {"card.country", formCountry, ofPayments},
	fieldCardFunding:     {"card.funding", formText, ofPayments},

	fieldShipmentID: {"shipment_id", formIdentity, ofShipments},
	fieldCarrier:    {"carrier", formText, ofShipments},
	fieldExpectedAt: {"expected_at", formTime, ofShipments},

	fieldItemProductID: {"items.product_id", formIdentity, ofOrderLines},
	fieldItemCategory:  {"items.category", formText, ofOrderLines},
	fieldItemSellerID:  {"items.seller_id", formIdentity, ofOrderLines},
	fieldItemQuantity:  {"items.quantity", formQuantity, ofOrderLines},
	fieldItemPrice:     {"items.price", formMoney, ofOrderLines},
}

var fieldsByName = func() map[string]field {
	byName := make(map[string]field, fields)
	for f := range fields {
		byName[fieldSpecs[f].name] = f
	}
	return byName
}()

func (f field) String() string { return fieldSpecs[f].name }

func (f field) form() form { return fieldSpecs[f].form }

// ofItem tells whether the field belongs to an order's line.
func (f field) ofItem() bool { return f >= fieldItemProductID }

// required tells whether no event does without the field.
func (f field) required() bool { return f <= fieldOrderID }

// textual tells whether the event keeps the field's own text.
func (f field) textual() bool { return f.form() <= formIdentity }

// text returns where an event keeps a field of text or a country.
func (e *Event) text(f field) *string {
	switch f {
	case fieldID:
		return &e.ID
	case fieldOrderID:
		return &e.OrderID
	case fieldCustomerID:
		return &e.CustomerID
	case fieldChannel:
		return &e.Channel
	case fieldRegion:
		return &e.Region
	case fieldCountry:
		return &e.Country
	case fieldCategory:
		return &e.Category
	case fieldCoupon:
		return &e.Coupon
	case fieldBillingCountry:
		return &e.BillingCountry
	case fieldShippingCountry:
		return &e.ShippingCountry
	case fieldShippingAddressHash:
		return &e.ShippingAddressHash
	case fieldEmailHash:
		return &e.EmailHash
	case fieldCancelReason:
		return &e.CancelReason
	case fieldClientIP:
		return &e.Client.IP
	case fieldClientDeviceID:
		return &e.Client.DeviceID
	case fieldClientSessionID:
		return &e.Client.SessionID
	case fieldClientUserAgent:
		return &e.Client.UserAgent
	default:
		return e.paymentOrShipmentText(f)
	}
}

func (e *Event) paymentOrShipmentText(f field) *string {
	switch f {
	case fieldPaymentID:
		return &e.PaymentID
	case fieldMethod:
		return &e.Method
	case fieldDeclineCode:
		return &e.DeclineCode
	case fieldCardFingerprint:
		return &e.Card.Fingerprint
	case fieldCardBIN:
		return &e.Card.BIN
	case fieldCardLast4:
		return &e.Card.Last4
	case fieldCardCountry:
		return &e.Card.Country
	case fieldCardFunding:
		return &e.Card.Funding
	case fieldShipmentID:
		return &e.ShipmentID
	case fieldCarrier:
		return &e.Carrier
	}
	panic("event: " + f.String() + " is no text")
}

// time returns where an event keeps a time.
func (e *Event) time(f field) *UnixMilli {
	switch f {
	case fieldTime:
		return &e.At
	case fieldPromisedAt:
		return &e.PromisedAt
	case fieldCustomerCreatedAt:
		return &e.CustomerCreatedAt
	case fieldExpectedAt:
		return &e.ExpectedAt
	}
	panic("event: " + f.String() + " is no time")
}
