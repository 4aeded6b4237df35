package shop

import (
	"strconv"

	"weir/topology/event"
)

// order is one order between its events. There is one for each open order: keep it small.
type order struct {
	sequence int64 // even: an honest order; odd: a planted one
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
	code     string   // why the payment under way failed, or the order was cancelled
	visit    *visit   // of a planted order
	episode  *episode // of a planted order
	customer customer
	events   uint16
	looks    uint16 // honest, but looks like fraud: bits by lookalike
	noted    uint16 // of looks, in the account
	spot     spot
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
	flagFashion // sends much of it back
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
	updated         = 0.02
	withCoupon      = 0.14
	split           = 0.03
	retries         = 0.82  // of declined attempts
	persists        = 0.25  // declined again, in addition, with the same card
	regrets         = 0.012 // after authorising
	recalls         = 0.018 // after paying
	missed          = 0.025 // nobody at home
	lost            = 0.002
	returned        = 0.045
	returnedFashion = 0.35 // by those who order to try on
	disputed        = 0.003
)

// meanLife is about how long an order stays open at life scale 1, in ms.
const meanLife = 4.3 * days

var declines = []choice{{"insufficient_funds", 41}, {"do_not_honor", 23}, {"expired_card", 11}, {"incorrect_cvc", 10}, {"authentication_failed", 9}, {"processor_error", 6}}

var regretReasons = []choice{{"changed_mind", 48}, {"found_cheaper", 22}, {"ordered_twice", 18}, {"delivery_too_slow", 12}}

var recallReasons = []choice{{"changed_mind", 40}, {"out_of_stock", 38}, {"delivery_too_slow", 22}}

// then plans the next step after a time that the life scale stretches.
func (s *Shop) then(o *order, at int64, next step, after float64) {
	o.next = next
	s.push(due{at: at + max(1, int64(after*s.options.LifeScale)), what: o})
}

// place makes an honest order and its order.created.
func (s *Shop) place(at int64, e *event.Event) *order {
	r := random(s.rand.next())
	o := &order{sequence: 2 * s.placed, created: at}
	where := uint8(s.demand.market(&r))
	m := &markets[where]
	campaign := s.campaign(where, at)
	s.shopper(o, where, campaign, &r)
	h := s.habits(o.customer)
	s.whereabouts(o, h, &r)
	o.session = r.next()

	items, goods := s.basket(m, s.wishes(o, h, &r), &r, e.Items[:0])
	e.Items = items
	switch {
	case campaign != "" && r.chance(0.75):
		e.Coupon = campaign
	case r.chance(withCoupon):
		e.Coupon = r.pick(coupons)
	}
	address, country := s.destination(o, h, &r)
	e.ShippingAddressHash, e.ShippingCountry = hexName("", address, 16), country
	e.EmailHash = hexName("", s.email(o.customer, at), 16)
	e.CustomerCreatedAt = event.UnixMilli(s.since(o.customer, at))
	s.checkout(o, m, goods, &r, e)
	if r.chance(split) {
		o.flags |= flagSplit
	}
	if h.fashion && len(items) > 2 {
		o.flags |= flagFashion
	}
	s.circumstances(o, e, h)
	o.rand = r
	if o.rand.chance(updated) {
		s.then(o, at, stepUpdate, o.rand.between(4*second, 20*second))
	} else {
		s.then(o, at, stepAttempt, o.rand.between(3*second, 90*second))
	}
	s.identify(o, at, e)
	s.remember(o, h)
	return o
}

// checkout gives a new order its total, promise and ways, and order.created what follows from them.
func (s *Shop) checkout(o *order, m *market, goods int64, r *random, e *event.Event) {
	postage := m.postage(goods)
	o.method, o.carrier = r.pick(m.methods), r.pick(m.carriers)
	o.total = max(1, goods+postage-rebate(e.Coupon, goods, postage))
	o.unpaid = o.total
	o.promised = o.created + int64((1.5+1.55*m.days)*days*s.options.LifeScale)
	e.Type, e.HasAmount, e.AmountMinor, e.Currency = event.OrderCreated, true, o.total, m.currency
	e.Channel, e.Region, e.Country, e.BillingCountry = r.pick(channels), m.region, m.country, m.country
	e.PromisedAt = event.UnixMilli(o.promised)
	e.Client = s.client(o)
}

// client is where the order comes from.
func (s *Shop) client(o *order) event.Client {
	if v := o.visit; v != nil {
		return client(v.who.device, v.who.ip, o.session)
	}
	return client(s.device(o.customer, o.device, o.created), s.ip(o), o.session)
}

// card is what the payment under way is made with.
func (s *Shop) card(o *order) plastic {
	if o.visit != nil {
		return o.visit.attempts[o.tries-1].card
	}
	return s.cardOf(o.customer, o.card)
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
		e.Card = s.card(o).event()
	}
	switch o.next {
	case stepAttempt:
		e.Type, e.Client = event.PaymentAttempted, s.client(o)
		if s.isDeclined(o) {
			s.then(o, at, stepFail, r.between(second, 5*second))
		} else {
			s.then(o, at, stepAuthorize, r.between(second, 5*second))
		}
	case stepFail:
		e.Type, e.DeclineCode, e.Client = event.PaymentFailed, s.decline(o), s.client(o)
		if again, after := s.triesAgain(o); again {
			s.then(o, at, stepAttempt, after)
		} else {
			o.code = "payment_failed"
			s.then(o, at, stepCancel, r.between(20*minute, 2*hour))
		}
	case stepAuthorize:
		e.Type = event.PaymentAuthorized
		if o.visit == nil && o.paid == 0 && o.flags&flagSplit == 0 && r.chance(regrets) {
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
		if o.visit == nil && o.flags&flagCancelled == 0 && r.chance(0.4) {
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
	case o.visit != nil:
		if o.tries == 1 || s.card(o) != o.visit.attempts[o.tries-2].card {
			o.payment++
		}
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

// isDeclined tells how the attempt under way will end.
func (s *Shop) isDeclined(o *order) bool {
	if o.visit != nil {
		return o.visit.attempts[o.tries-1].code != ""
	}
	p := markets[o.customer.market].declined
	if o.tries > 1 && o.card == 0 && o.method == "card" {
		p += persists
	}
	return o.method != "gift_card" && o.rand.chance(p)
}

// decline is why the attempt failed.
func (s *Shop) decline(o *order) string {
	if o.visit != nil {
		return o.visit.attempts[o.tries-1].code
	}
	if o.tries >= 2 {
		s.look(o, declinedHonest)
	}
	return o.rand.pick(declines)
}

// triesAgain tells whether another attempt follows a failed one, and after what time.
func (s *Shop) triesAgain(o *order) (again bool, after float64) {
	if v := o.visit; v != nil {
		return int(o.tries) < len(v.attempts), o.rand.between(0.5*v.pace, 1.5*v.pace)
	}
	return o.tries < 4 && o.rand.chance(retries), o.rand.between(15*second, 3*minute)
}

// paid plans what follows a capture.
func (s *Shop) paid(o *order, at int64) {
	r := &o.rand
	switch {
	case o.unpaid > 0:
		o.tries = 0
		s.then(o, at, stepAttempt, r.between(2*second, 30*second))
	case o.visit == nil && r.chance(recalls):
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
		case s.isLost(o):
			o.flags |= flagCancelled // it never comes: all is refunded
			s.then(o, at, stepMiss, 2*left)
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
		s.delivered(o, at)
	case stepReturn:
		e.Type = event.ShipmentReturned
		if o.flags&flagFashion != 0 {
			s.look(o, fashionReturner)
		}
		s.then(o, at, stepRefund, r.between(4*hour, 3*days))
	}
}

// isLost tells whether the parcel never comes, or so its receiver says.
func (s *Shop) isLost(o *order) bool {
	if o.visit != nil {
		return o.visit.fate == claimed
	}
	return o.rand.chance(lost)
}

// delivered plans what follows a delivery.
func (s *Shop) delivered(o *order, at int64) {
	r := &o.rand
	fate := kept
	if o.visit != nil {
		fate = o.visit.fate
	} else if x := r.float(); x < returned || o.flags&flagFashion != 0 && x < returnedFashion {
		fate = sentBack
	} else if r.chance(disputed) {
		fate = chargedBack
	}
	switch fate {
	case sentBack:
		s.then(o, at, stepReturn, r.between(2*days, 12*days))
	case chargedBack:
		s.then(o, at, stepDispute, r.between(4*days, 28*days))
	default:
		o.next = stepOver
	}
}

// reference names an order's payment or shipment.
func (s *Shop) reference(o *order, kind string, n uint8) string {
	b := append(make([]byte, 0, 32), s.prefix...)
	b = strconv.AppendInt(b, o.sequence, 36)
	return string(strconv.AppendUint(append(b, kind...), uint64(n), 10))
}
