package shop

import "weir/topology/event"

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
