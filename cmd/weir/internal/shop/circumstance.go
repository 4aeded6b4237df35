package shop

import (
	"strconv"
	"time"

	"weir/topology/event"
)

// lookalike is an honest circumstance that a naive rule would take for fraud.
type lookalike uint8

const (
	officeNAT lookalike = iota
	campusNAT
	carrierNAT
	family
	giftSender
	corporateBuyer
	declinedHonest
	traveller
	highFirstOrder
	couponCampaign
	parcelLocker
	heavyBuyer
	fashionReturner
	foreignCard
	lookalikes
)

var lookalikeNames = [lookalikes]string{"office_nat", "campus_nat", "carrier_nat", "family", "gift_sender", "corporate_buyer", "declined_honest",
	"traveller", "high_first_order", "coupon_campaign", "parcel_locker", "heavy_buyer", "fashion_returner", "foreign_card"}

// spot is where an honest customer is while ordering.
type spot uint8

const (
	spotHome spot = iota
	spotOffice
	spotCampus
	spotCarrier
	spotAway
)

// Customers for one of these.
const (
	perOffice  = 250 // of whom one in ten orders at work
	perCampus  = 8000
	perCarrier = 3000
	perLocker  = 400
)

// place of many: which office, campus, gateway or locker is the customer's.
func (s *Shop) shared(c customer, about subject, per uint32) uint64 {
	r := s.draw(about, c.market, 1<<40|uint64(c.number))
	return uint64(r.below(int(1 + s.census[c.market]/per)))
}

// whereabouts chooses an honest order's device and network.
func (s *Shop) whereabouts(o *order, h habits, r *random) {
	o.device = uint8(r.below(10) / 8)
	if h.corporate {
		o.device = uint8(r.below(6)) // a colleague's
	}
	local := markets[o.customer.market].localTime(o.created)
	atWork := local.Weekday() != time.Saturday && local.Weekday() != time.Sunday && local.Hour() >= 8 && local.Hour() < 18
	_, away := s.trip(o.customer, o.created)
	x := r.float()
	switch {
	case away:
		o.spot = spotAway
	case h.corporate || h.office && atWork && x < 0.7:
		o.spot = spotOffice
	case h.campus && x < 0.6:
		o.spot = spotCampus
	case o.device == 1 && x < 0.5 || x < 0.08:
		o.spot = spotCarrier
	}
}

// trip tells whether the customer is abroad in the week of at, and the network there.
func (s *Shop) trip(c customer, at int64) (network byte, away bool) {
	r := s.draw(ofTrip, c.market, uint64(c.number)<<12|uint64(at/(7*days))&0xfff)
	if !r.chance(0.012) {
		return 0, false
	}
	network = markets[r.below(len(markets))].network
	return network, network != markets[c.market].network
}

// ip is the network address that an honest order comes from.
func (s *Shop) ip(o *order) uint32 {
	c, network := o.customer, markets[o.customer.market].network
	var r random
	switch o.spot {
	case spotOffice:
		r = s.draw(ofOffice, c.market, s.shared(c, ofOffice, perOffice))
	case spotCampus:
		r = s.draw(ofCampus, c.market, s.shared(c, ofCampus, perCampus))
	case spotCarrier:
		r = s.draw(ofCarrier, c.market, s.shared(c, ofCarrier, perCarrier))
	case spotAway:
		network, _ = s.trip(c, o.created)
		r = s.draw(ofHotel, 0, uint64(network)<<8|uint64(c.number)%200)
	default:
		r = s.draw(ofHome, c.market, 1<<44|s.household(c).key)
		if r.chance(0.4) { // the provider changes it
			r = random(r.next() + age(&r, o.created, 9*days))
		}
	}
	return addressIn(network, &r)
}

// destination chooses where an honest order goes, and tells the address and its country.
func (s *Shop) destination(o *order, h habits, r *random) (address uint64, country string) {
	c := o.customer
	m := &markets[c.market]
	gift := 0.012
	if h.gifts {
		gift = 0.35
	}
	switch x := r.float(); {
	case x < gift*season(m.localTime(o.created)):
		s.look(o, giftSender)
		friend := s.draw(ofAddress, c.market, uint64(c.number)<<3|uint64(r.below(5)))
		country = m.country
		if friend.chance(0.15) {
			country = markets[friend.below(len(markets))].country
		}
		return friend.next(), country
	case h.corporate:
		branch := s.draw(ofAddress, c.market, uint64(c.number)<<3|uint64(5+r.below(3)))
		return branch.next(), m.country
	case h.locker && r.chance(0.75):
		s.look(o, parcelLocker)
		locker := s.draw(ofLocker, c.market, s.shared(c, ofLocker, perLocker))
		return locker.next(), m.country
	case h.atWork && r.chance(0.4):
		office := s.draw(ofOffice, c.market, 1<<41|s.shared(c, ofOffice, perOffice))
		return office.next(), m.country
	}
	return s.home(c, o.created), m.country
}

// season is how much more people give at a time of the year.
func season(at time.Time) float64 {
	day := int(at.Month())*100 + at.Day()
	switch {
	case day >= 1124 && day <= 1223:
		return 2.5
	case day >= 207 && day <= 213, day >= 430 && day <= 510:
		return 1.8
	}
	return 1
}

// campaign is the coupon of a campaign that runs in the market at a time; "": there is none. It brings newcomers in a burst.
func (s *Shop) campaign(where uint8, at int64) string {
	local := markets[where].localTime(at)
	day := local.Unix() / 86_400
	r := s.draw(ofCampaign, where, uint64(day))
	if !r.chance(0.12) {
		return ""
	}
	from, length := r.between(9, 20), r.between(1, 3)
	if now := float64(local.Hour()) + float64(local.Minute())/60; now < from || now >= from+length {
		return ""
	}
	return "FLASH" + strconv.Itoa(100+r.below(900))
}

// shopper chooses who orders.
func (s *Shop) shopper(o *order, where uint8, campaign string, r *random) {
	rank := s.loyal.Uint64() // of the largest market's: the smaller have fewer
	o.customer = customer{where, uint32(rank*uint64(s.census[where])/uint64(s.largest)) + 1}
	share := newcomers
	if campaign != "" {
		share = 0.45
	}
	if r.chance(share) {
		o.customer.number = s.census[where] + 1 + uint32(o.sequence)
	}
}

// wishes is what an honest customer wants this time.
func (s *Shop) wishes(o *order, h habits, r *random) (w wish) {
	switch {
	case h.corporate:
		s.look(o, corporateBuyer)
		w.dear, w.pieces = 2, 3+r.below(14)
	case h.heavy:
		s.look(o, heavyBuyer)
	case h.fashion:
		w.category, w.lines = "fashion", 3+r.below(5)
	case s.isNew(o.customer) && r.chance(0.07):
		s.look(o, highFirstOrder)
		w.dear = 12
	}
	return w
}

// look notes that an honest order looks like fraud.
func (s *Shop) look(o *order, l lookalike) { o.looks |= 1 << l }

// circumstances notes what the habits and whereabouts of an order look like.
func (s *Shop) circumstances(o *order, e *event.Event, h habits) {
	switch o.spot {
	case spotOffice:
		s.look(o, officeNAT)
	case spotCampus:
		s.look(o, campusNAT)
	case spotCarrier:
		s.look(o, carrierNAT)
	case spotAway:
		s.look(o, traveller)
	}
	if s.household(o.customer).family {
		s.look(o, family)
	}
	if h.expat {
		s.look(o, foreignCard)
	}
	if len(e.Coupon) > 5 && e.Coupon[:5] == "FLASH" {
		s.look(o, couponCampaign)
	}
}
