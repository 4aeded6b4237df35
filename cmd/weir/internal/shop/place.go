package shop

import (
	"strconv"

	"weir/topology/event"
)

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
