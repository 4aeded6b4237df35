package shop

import (
	"strconv"

	"weir/topology/event"
)

// order is one order between its events. There is one for each open order: keep it small.
type order struct {
	sequence int64
	created  int64 // ms, as all times here
	promised int64
	expected int64
	total    int64 // minor units, as all amounts here
	unpaid   int64
	paid     int64
	charge   int64 // of the payment under way
	rand     random
	session  uint64
	method   string
	carrier  string
	code     string // why the payment under way failed, or the order was cancelled
	customer customer
	events   uint16
	device   uint8
	card     uint8
	payment  uint8
	tries    uint8
	flags    uint8
	next     step
}

const (
	flagSplit uint8 = 1 << iota // pays with a gift card first
	flagRetried
	flagCancelled
)

// step is what happens next to an order.
type step uint8

const (
	stepOver step = iota
	stepUpdate
	stepAttempt
	stepFail
	stepAuthorize
	stepCapture
	stepCancel
	stepShip
	stepDispatch
	stepTransit
	stepMiss
	stepDeliver
	stepReturn
	stepRefund
	stepDispute
)

const (
	second = 1000.0
	minute = 60 * second
	hour   = 60 * minute
	days   = 24 * hour
)

// Shares of orders or attempts.
const (
	updated    = 0.02
	withCoupon = 0.14
	split      = 0.03
	retries    = 0.82  // of declined attempts
	regrets    = 0.012 // after authorising
	recalls    = 0.018 // after paying
	missed     = 0.025 // nobody at home
	lost       = 0.002
	returned   = 0.045
	disputed   = 0.003
)

// meanLife is about how long an order stays open at life scale 1, in ms.
const meanLife = 4.3 * days

var declines = []choice{{"insufficient_funds", 41}, {"do_not_honor", 23}, {"expired_card", 11}, {"incorrect_cvc", 10}, {"authentication_failed", 9}, {"processor_error", 6}}

var regretReasons = []choice{{"changed_mind", 48}, {"found_cheaper", 22}, {"ordered_twice", 18}, {"delivery_too_slow", 12}}

var recallReasons = []choice{{"changed_mind", 40}, {"out_of_stock", 38}, {"delivery_too_slow", 22}}

// then plans the next step after a time that the life scale stretches.
func (s *Shop) then(o *order, at int64, next step, after float64) {
	o.next = next
	s.push(due{at: at + max(1, int64(after*s.options.LifeScale)), order: o})
}

// place makes a new order and its order.created.
func (s *Shop) place(at int64, e *event.Event) {
	r := random(s.rand.next())
	o := &order{sequence: s.placed, created: at, rand: r}
	r = o.rand
	where := s.demand.market(&r)
	m := &markets[where]
	o.customer = customer{uint8(where), uint32(s.loyal.Uint64()%population) + 1}
	if r.chance(newcomers) {
		o.customer.number = population + 1 + uint32(o.sequence)
	}
	o.session, o.device = r.next(), uint8(r.below(10)/8)
	o.method, o.carrier = r.pick(m.methods), r.pick(m.carriers)

	var goods int64
	e.Items, goods = s.basket(m, &r, e.Items[:0])
	postage := m.postage(goods)
	if r.chance(withCoupon) {
		e.Coupon = r.pick(coupons)
	}
	o.total = goods + postage - rebate(e.Coupon, goods, postage)
	o.unpaid = o.total
	o.promised = at + int64((1.5+1.55*m.days)*days*s.options.LifeScale)

	e.Type, e.HasAmount, e.AmountMinor, e.Currency = event.OrderCreated, true, o.total, m.currency
	e.Channel, e.Region, e.Country = r.pick(channels), m.region, m.country
	e.PromisedAt = event.UnixMilli(o.promised)
	e.BillingCountry, e.ShippingCountry = m.country, m.country
	if r.chance(0.015) {
		e.ShippingCountry = markets[r.below(len(markets))].country // a gift, mostly
	}
	traits := s.traits(o.customer) + 31
	e.ShippingAddressHash, e.EmailHash = hexName("", traits.next(), 16), hexName("", traits.next(), 16)
	e.CustomerCreatedAt = event.UnixMilli(s.since(o.customer, at))
	e.Client = s.client(o)

	if r.chance(split) {
		o.flags |= flagSplit
	}
	o.rand = r
	if o.rand.chance(updated) {
		s.then(o, at, stepUpdate, o.rand.between(4*second, 20*second))
	} else {
		s.then(o, at, stepAttempt, o.rand.between(3*second, 90*second))
	}
	s.identify(o, at, e)
}

var channels = []choice{{"web", 46}, {"ios", 27}, {"android", 19}, {"marketplace", 8}}

// identify gives an event what all have in common.
func (s *Shop) identify(o *order, at int64, e *event.Event) {
	o.events++
	e.At = event.UnixMilli(at)
	b := append(make([]byte, 0, 32), s.prefix...)
	b = strconv.AppendInt(b, o.sequence, 36)
	e.OrderID = string(b)
	e.ID = string(strconv.AppendUint(append(b, '-'), uint64(o.events), 10))
	if e.Type < event.ShipmentCreated {
		e.CustomerID = o.customer.id()
	}
}

// advance does what is due for an order and plans what follows.
func (s *Shop) advance(o *order, at int64, e *event.Event) {
	r := &o.rand
	switch o.next {
	case stepUpdate:
		// A customer's coupon comes late: the total falls before it is paid.
		o.total -= o.total / 20
		o.unpaid = o.total
		e.Type, e.HasAmount, e.AmountMinor, e.Currency = event.OrderUpdated, true, o.total, markets[o.customer.market].currency
		e.Coupon = "SAVE5"
		s.then(o, at, stepAttempt, r.between(3*second, 90*second))
	case stepAttempt, stepFail, stepAuthorize, stepCapture, stepRefund, stepDispute:
		s.pay(o, at, e)
	case stepCancel:
		e.Type, e.CancelReason = event.OrderCancelled, o.code
		o.flags |= flagCancelled
		if o.paid > 0 {
			s.then(o, at, stepRefund, r.between(10*minute, 24*hour))
		} else {
			o.next = stepOver
		}
	default:
		s.ship(o, at, e)
	}
	s.identify(o, at, e)
}

// pay is a step of a payment.
func (s *Shop) pay(o *order, at int64, e *event.Event) {
	r, m := &o.rand, &markets[o.customer.market]
	if o.next == stepAttempt {
		s.begin(o)
	}
	e.HasAmount, e.AmountMinor, e.Currency, e.Method = true, o.charge, m.currency, o.method
	e.PaymentID = s.reference(o, "-p", o.payment)
	if o.method == "card" || o.method == "apple_pay" || o.method == "google_pay" {
		e.Card = s.card(o)
	}
	switch o.next {
	case stepAttempt:
		e.Type, e.Client = event.PaymentAttempted, s.client(o)
		if r.chance(m.declined) && o.method != "gift_card" {
			s.then(o, at, stepFail, r.between(second, 5*second))
		} else {
			s.then(o, at, stepAuthorize, r.between(second, 5*second))
		}
	case stepFail:
		e.Type, e.DeclineCode, e.Client = event.PaymentFailed, r.pick(declines), s.client(o)
		if o.tries < 4 && r.chance(retries) {
			s.then(o, at, stepAttempt, r.between(15*second, 3*minute))
		} else {
			o.code = "payment_failed"
			s.then(o, at, stepCancel, r.between(20*minute, 2*hour))
		}
	case stepAuthorize:
		e.Type = event.PaymentAuthorized
		if o.paid == 0 && o.flags&flagSplit == 0 && r.chance(regrets) {
			o.code = r.pick(regretReasons)
			s.then(o, at, stepCancel, r.between(2*minute, hour))
		} else {
			s.then(o, at, stepCapture, r.between(2*second, 50*second))
		}
	case stepCapture:
		e.Type = event.PaymentCaptured
		o.paid += o.charge
		o.unpaid -= o.charge
		s.paid(o, at)
	case stepRefund:
		e.Type = event.PaymentRefunded
		e.AmountMinor = o.paid
		if o.flags&flagCancelled == 0 && r.chance(0.4) {
			e.AmountMinor = max(1, o.paid/2) // one of several things came back
		}
		o.next = stepOver
	case stepDispute:
		e.Type = event.PaymentDisputed
		o.next = stepOver
	}
}

// begin chooses how the next attempt pays.
func (s *Shop) begin(o *order) {
	r, m := &o.rand, &markets[o.customer.market]
	o.tries++
	switch {
	case o.flags&flagSplit != 0 && o.paid == 0:
		o.payment, o.method, o.charge = 1, "gift_card", max(1, o.unpaid*int64(15+r.below(45))/100)
		return
	case o.charge != o.unpaid:
		o.payment++
		if o.method == "gift_card" {
			o.method = r.pick(m.methods)
		}
	case o.tries > 1 && r.chance(0.35):
		o.card = 1
	case o.tries > 1 && r.chance(0.35):
		o.payment++
		o.method = r.pick(m.methods)
	}
	o.charge = o.unpaid
}

// paid plans what follows a capture.
func (s *Shop) paid(o *order, at int64) {
	r := &o.rand
	switch {
	case o.unpaid > 0:
		o.tries = 0
		s.then(o, at, stepAttempt, r.between(2*second, 30*second))
	case r.chance(recalls):
		o.code = r.pick(recallReasons)
		s.then(o, at, stepCancel, r.between(20*minute, 5*hour))
	default:
		s.then(o, at, stepShip, r.around(2.2*hour, 0.8))
	}
}

// ship is a step of the parcel.
func (s *Shop) ship(o *order, at int64, e *event.Event) {
	r, m := &o.rand, &markets[o.customer.market]
	e.ShipmentID, e.Carrier, e.Country = s.reference(o, "-s", 1), o.carrier, m.country
	switch o.next {
	case stepShip:
		e.Type = event.ShipmentCreated
		s.then(o, at, stepDispatch, r.around(9*hour, 0.7))
	case stepDispatch:
		o.expected = at + int64(1.2*m.days*days*s.options.LifeScale)
		e.Type, e.ExpectedAt = event.ShipmentDispatched, event.UnixMilli(o.expected)
		s.then(o, at, stepTransit, r.between(3*hour, 14*hour))
	case stepTransit:
		e.Type, e.ExpectedAt = event.ShipmentInTransit, event.UnixMilli(o.expected)
		left := max(0.1, r.around(m.days, 0.38)-0.35) * days
		switch {
		case r.chance(lost):
			o.flags |= flagCancelled // it never comes: all is refunded
			s.then(o, at, stepMiss, 3*left)
		case r.chance(missed):
			s.then(o, at, stepMiss, left)
		default:
			s.then(o, at, stepDeliver, left)
		}
	case stepMiss:
		e.Type = event.ShipmentFailed
		if o.flags&flagCancelled != 0 {
			s.then(o, at, stepRefund, r.between(hour, 2*days))
		} else {
			s.then(o, at, stepDeliver, r.between(18*hour, 30*hour))
		}
	case stepDeliver:
		e.Type, e.ExpectedAt = event.ShipmentDelivered, event.UnixMilli(o.expected)
		switch {
		case r.chance(returned):
			s.then(o, at, stepReturn, r.between(2*days, 12*days))
		case r.chance(disputed):
			s.then(o, at, stepDispute, r.between(4*days, 28*days))
		default:
			o.next = stepOver
		}
	case stepReturn:
		e.Type = event.ShipmentReturned
		s.then(o, at, stepRefund, r.between(4*hour, 3*days))
	}
}

// reference names an order's payment or shipment.
func (s *Shop) reference(o *order, kind string, n uint8) string {
	b := append(make([]byte, 0, 32), s.prefix...)
	b = strconv.AppendInt(b, o.sequence, 36)
	return string(strconv.AppendUint(append(b, kind...), uint64(n), 10))
}
