package shop

import (
	"cmp"
	"slices"
	"strconv"

	"weir/topology/event"
)

// looks is the account of honest orders that look like fraud: those of one office, of one family, of one campaign.
type looks struct {
	all    map[lookKey]*look
	counts [lookalikes]int
}

type lookKey struct {
	kind  lookalike
	about string // whom or what the look-alikes have in common
}

type look struct {
	from, to event.UnixMilli
	customer customer // the first one
	several  bool     // customers
	count    int
	orders   []int64
	entities []string
}

func newLooks() looks { return looks{all: map[lookKey]*look{}} }

// noteLooks takes what an honest order has begun to look like, with an event that shows it. Its card comes later.
func (s *Shop) noteLooks(o *order, e *event.Event) {
	for kind := range lookalikes {
		switch bit := uint16(1) << kind; {
		case o.looks&^o.noted&bit != 0:
			o.noted |= bit
			s.noteLook(kind, o, e)
		case o.noted&bit != 0 && e.Card.Fingerprint != "":
			if l := s.plants.looks.all[s.lookKey(kind, o, e)]; l != nil {
				l.cite("card", e.Card.Fingerprint)
			}
		}
	}
}

func (s *Shop) lookKey(kind lookalike, o *order, e *event.Event) lookKey {
	key := lookKey{kind, o.customer.id()} // a shipment does not name its customer
	switch kind {
	case officeNAT, campusNAT, carrierNAT:
		key.about = e.Client.IP
	case parcelLocker:
		key.about = e.ShippingAddressHash
	case couponCampaign:
		key.about = e.Coupon
	case family:
		key.about = strconv.FormatUint(uint64(o.customer.market)<<48|s.household(o.customer).key, 36)
	}
	return key
}

func (s *Shop) noteLook(kind lookalike, o *order, e *event.Event) {
	key := s.lookKey(kind, o, e)
	l := s.plants.looks.all[key]
	if l == nil {
		if s.plants.looks.counts[kind] >= maxLooks {
			return
		}
		s.plants.looks.counts[kind]++
		l = &look{from: event.UnixMilli(o.created), customer: o.customer}
		s.plants.looks.all[key] = l
	}
	l.from, l.to = min(l.from, event.UnixMilli(o.created)), max(l.to, e.At)
	l.count++
	l.several = l.several || o.customer != l.customer
	if len(l.orders) < maxLookOrders {
		l.orders = append(l.orders, o.sequence)
	}
	l.cite("customer", o.customer.id())
	for kind, id := range entitiesOf(e) {
		l.cite(kind, id)
	}
}

func (l *look) cite(kind, id string) {
	if id == "" || len(l.entities) >= maxLookCited {
		return
	}
	if entity := kind + ":" + id; !slices.Contains(l.entities, entity) {
		l.entities = append(l.entities, entity)
	}
}

// told lists the look-alikes. What many share counts when two customers did.
func (l *looks) told(s *Shop) (told []Truth) {
	keys := make([]lookKey, 0, len(l.all))
	for key := range l.all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b lookKey) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.about, b.about)) })
	for _, key := range keys {
		one := l.all[key]
		switch key.kind {
		case officeNAT, campusNAT, carrierNAT, family, parcelLocker, couponCampaign:
			if !one.several {
				continue
			}
		}
		told = append(told, Truth{
			Lookalike: lookalikeNames[key.kind], From: one.from.Time(), To: one.to.Time(), Count: one.count,
			Entities: one.entities, Orders: s.orderIDs(one.orders),
		})
	}
	return told
}
