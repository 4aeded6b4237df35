package shop

import (
	"strconv"

	"weir/topology/event"
)

// Customers who come back, over all markets; newcomers are beside them.
const population = 80_000

const newcomers = 0.07 // share of orders

// customer is someone's identity: everything about a customer follows from it and from the shop's seed.
type customer struct {
	market uint8
	number uint32 // above population: a newcomer
}

func (c customer) id() string {
	b := make([]byte, 0, 16)
	b = append(b, "c-"...)
	b = append(b, markets[c.market].country...)
	b = append(b, markets[c.market].region[len(markets[c.market].region)-1]) // two markets are in one country
	return string(strconv.AppendUint(append(b, '-'), uint64(c.number), 36))
}

func (c customer) isNew() bool { return c.number > population }

// traits begins the fixed sequence of a customer's traits.
func (s *Shop) traits(c customer) random {
	return random(mix(s.seed ^ uint64(c.market)<<40 ^ uint64(c.number)))
}

// since is when the customer's account was opened.
func (s *Shop) since(c customer, ordered int64) int64 {
	r := s.traits(c)
	if c.isNew() {
		return ordered - int64(r.between(30_000, 1_800_000))
	}
	return s.start - int64(r.between(1, 1100)*86_400_000)
}

var agents = []choice{
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1", 30},
	{"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/137.0 Mobile Safari/537.36", 28},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/137.0 Safari/537.36", 24},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.4 Safari/605.1.15", 11},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0", 4},
	{"weir-shop-app/4.2 (iOS)", 3},
}

// client is the device that an order is placed with: a customer has two at most.
func (s *Shop) client(o *order) event.Client {
	r := s.traits(o.customer) + random(1+o.device)
	ip := r.next()
	b := strconv.AppendUint(make([]byte, 0, 15), uint64(markets[o.customer.market].network), 10)
	for range 3 {
		b = strconv.AppendUint(append(b, '.'), ip&0xff, 10)
		ip >>= 8
	}
	return event.Client{IP: string(b), DeviceID: hexName("d-", r.next(), 10), SessionID: hexName("se-", o.session, 12), UserAgent: r.pick(agents)}
}

var bins = [...]string{"411111", "453201", "491182", "510510", "525678", "545454", "374245", "601100"}

// card is one of a customer's cards; the second one is for when the first is declined.
func (s *Shop) card(o *order) event.Card {
	r := s.traits(o.customer) + random(77+o.card)
	last := r.next()
	number := strconv.FormatUint(10_000+last%10_000, 10)
	return event.Card{
		Fingerprint: hexName("fp_", r.next(), 12), BIN: bins[r.below(len(bins))], Last4: number[1:],
		Country: markets[o.customer.market].country, Funding: r.pick(fundings),
	}
}

var fundings = []choice{{"credit", 55}, {"debit", 40}, {"prepaid", 5}}

// hexName is a prefix and that many hexadecimal digits.
func hexName(prefix string, x uint64, digits int) string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, 20)
	b = append(b, prefix...)
	for range digits {
		b = append(b, hex[x&15])
		x >>= 4
	}
	return string(b)
}
