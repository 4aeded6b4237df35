package event

import "time"

// UnixMilli is a point of event time: milliseconds since 1970-01-01T00:00:00Z. 0 means "not given".
type UnixMilli int64

// Time returns the point as a UTC time.Time.
func (t UnixMilli) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add returns the point d later, to the millisecond.
func (t UnixMilli) Add(d time.Duration) UnixMilli { return t + UnixMilli(d.Milliseconds()) }

// Type is what happened. The zero Type is no event. Values are stored in order rows: never renumber.
type Type uint8

// The event types, by stream.
const (
	OrderCreated   Type = 1
	OrderUpdated   Type = 2
	OrderCancelled Type = 3

	PaymentAttempted  Type = 10
	PaymentAuthorized Type = 11
	PaymentCaptured   Type = 12
	PaymentFailed     Type = 13
	PaymentRefunded   Type = 14
	PaymentDisputed   Type = 15

	ShipmentCreated    Type = 20
	ShipmentDispatched Type = 21
	ShipmentInTransit  Type = 22
	ShipmentDelivered  Type = 23
	ShipmentFailed     Type = 24
	ShipmentReturned   Type = 25
)

// Event is one canonical event of any stream. Strings are owned by the event (they do not alias the record's bytes
// beyond the record's life). Absent fields are zero; an absent amount and an amount of zero are told apart by HasAmount.
type Event struct {
	ID      string
	Type    Type
	At      UnixMilli
	OrderID string

	CustomerID  string
	Currency    string // ISO 4217, upper case
	AmountMinor int64  // order total or payment amount, minor units of Currency
	HasAmount   bool

	// orders
	Channel, Region, Country, Category, Coupon string
	PromisedAt                                 UnixMilli
	Items                                      []Item
	BillingCountry, ShippingCountry            string
	ShippingAddressHash, EmailHash             string
	CustomerCreatedAt                          UnixMilli
	CancelReason                               string
	Client                                     Client

	// payments
	PaymentID, Method, DeclineCode string
	Card                           Card

	// shipments; Country above is the shipment's
	ShipmentID, Carrier string
	ExpectedAt          UnixMilli
}

// Item is one line of an order. Price is for one unit.
type Item struct {
	ProductID, Category, SellerID string
	Quantity                      int64
	PriceMinor                    int64
}

// Client is where the shopper came from.
type Client struct{ IP, DeviceID, SessionID, UserAgent string }

// Card is what a payment tells of its card. Fingerprint identifies the card without its number.
type Card struct{ Fingerprint, BIN, Last4, Country, Funding string }
