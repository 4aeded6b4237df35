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
