package shop

import (
	"fmt"
	"math"

	"weir/topology/event"
)

type category struct {
	name   string
	share  float64 // of the catalogue
	median float64 // price in euro cents
	spread float64
	many   float64 // chance that a line is of more than one piece
}

var categories = []category{
	{"fashion", 0.20, 3900, 0.55, 0.10},
	{"electronics", 0.13, 12900, 0.95, 0.05},
	{"home", 0.14, 3400, 0.75, 0.18},
	{"beauty", 0.10, 1900, 0.50, 0.22},
	{"sports", 0.08, 4400, 0.65, 0.10},
	{"toys", 0.07, 2400, 0.55, 0.14},
	{"books", 0.09, 1500, 0.35, 0.12},
	{"groceries", 0.06, 700, 0.60, 0.55},
	{"health", 0.05, 1700, 0.50, 0.25},
	{"garden", 0.04, 3900, 0.80, 0.15},
	{"pets", 0.03, 2200, 0.55, 0.30},
	{"automotive", 0.01, 6900, 0.85, 0.08},
}

const (
	products = 1500
	sellers  = 120
)

type product struct {
	id, seller string
	category   *category
	cents      float64 // price in euro cents
}

// catalogue is what the shop sells; the first product sells best.
func catalogue(seed uint64) []product {
	all := make([]product, products)
	for i := range all {
		r := random(mix(seed ^ 0xca7a109 ^ uint64(i)<<20))
		at := r.float()
		c := &categories[0]
		for j := range categories {
			if c = &categories[j]; at < c.share {
				break
			}
			at -= c.share
		}
		// Few sellers have many products.
		seller := int(sellers * math.Pow(r.float(), 2))
		all[i] = product{fmt.Sprintf("p-%04d", i+1), fmt.Sprintf("s-%03d", seller+1), c, r.around(c.median, c.spread)}
	}
	return all
}

// price is what a product costs in a market, as shops like prices to look.
func (m *market) price(cents float64) int64 {
	minor := cents * m.minorOfCent
	switch m.exponent() {
	case 0:
		return max(10, int64(math.Round(minor/10))*10)
	case 3:
		return max(250, int64(math.Round(minor*10/250))*250)
	default:
		return max(99, int64(math.Round(minor/100))*100-1)
	}
}

func (m *market) exponent() int {
	e, _ := event.Exponent(m.currency)
	return e
}

// postage is free for large baskets.
func (m *market) postage(goods int64) int64 {
	if goods >= m.price(5000) {
		return 0
	}
	return m.price(490)
}

// wish is what a basket is like; the zero wish is any shopper's.
type wish struct {
	category string
	lines    int // 0: a few
	pieces   int // of each line; 0: one mostly
	dear     int // takes the dearest of that many
}

// basket fills items with what one shopper buys, and returns their sum.
func (s *Shop) basket(m *market, w wish, r *random, items []event.Item) ([]event.Item, int64) {
	lines := max(1, w.lines)
	for w.lines == 0 && lines < 8 && r.chance(0.42) {
		lines++
	}
	var sum int64
	for range lines {
		p := s.wished(w)
		quantity := int64(max(1, w.pieces))
		if w.pieces == 0 && r.chance(p.category.many) {
			quantity += int64(1 + r.below(3))
		}
		items = append(items, s.item(m, p, quantity))
		sum += items[len(items)-1].PriceMinor * quantity
	}
	return items, sum
}

func (s *Shop) item(m *market, p *product, quantity int64) event.Item {
	return event.Item{ProductID: p.id, Category: p.category.name, SellerID: p.seller, Quantity: quantity, PriceMinor: m.price(p.cents)}
}

func (s *Shop) wished(w wish) *product {
	p := &s.products[s.popular.Uint64()]
	for range w.dear - 1 {
		if other := &s.products[s.popular.Uint64()]; other.cents > p.cents {
			p = other
		}
	}
	for tries := 0; w.category != "" && p.category.name != w.category && tries < 12; tries++ {
		p = &s.products[s.popular.Uint64()]
	}
	return p
}

var coupons = []choice{{"WELCOME10", 46}, {"SAVE5", 30}, {"VIP15", 14}, {"FREESHIP", 10}}

// rebate is what a coupon takes off the goods.
func rebate(coupon string, goods, postage int64) int64 {
	switch coupon {
	case "WELCOME10":
		return goods / 10
	case "SAVE5":
		return goods / 20
	case "VIP15":
		return goods * 15 / 100
	case "FREESHIP":
		return postage
	case "":
		return 0
	}
	return goods * 3 / 20 // a campaign's
}
