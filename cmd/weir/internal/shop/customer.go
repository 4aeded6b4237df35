package shop

import (
	"strconv"
	"time"

	"weir/topology/event"
)

// Customers who come back: their number follows the rate, so that each orders a little more than once a month, and the most
// loyal some 17 times as often as that, in a small shop and in a large one. Newcomers are beside them.
const (
	customersPerRate = 2_000_000 // for one order a second
	minCustomers     = 40_000
	maxCustomers     = 1 << 31
	leastOfMarket    = 300
	newcomers        = 0.07 // share of orders
)

// census is how many returning customers each market has.
func census(rate float64) (n [16]uint32) {
	total := min(max(rate*customersPerRate, minCustomers), maxCustomers)
	for i := range markets {
		n[i] = max(leastOfMarket, uint32(total*markets[i].share))
	}
	return n
}

// customer is someone's identity: everything about a customer follows from it and from the shop's seed.
type customer struct {
	market uint8
	number uint32 // above the market's census: a newcomer. A low number is a loyal customer
}

func (c customer) id() string {
	b := make([]byte, 0, 16)
	b = append(b, "c-"...)
	b = append(b, markets[c.market].country...)
	b = append(b, 'a'+c.market) // two markets are in one country
	return string(strconv.AppendUint(append(b, '-'), uint64(c.number), 36))
}

func (s *Shop) isNew(c customer) bool { return c.number > s.census[c.market] }

// subject is what a fixed sequence of draws is about.
type subject uint8

const (
	ofAccount subject = iota + 1
	ofHabits
	ofFamily
	ofHome
	ofDevice
	ofCard
	ofEmail
	ofAddress
	ofOffice
	ofCampus
	ofCarrier
	ofTrip
	ofHotel
	ofLocker
	ofCampaign
	ofEpisode
)

// draw begins the fixed sequence of draws about one thing or person of a market; n is below 2^48.
func (s *Shop) draw(about subject, market uint8, n uint64) random {
	return random(mix(s.seed ^ uint64(about)<<56 ^ uint64(market)<<48 ^ n))
}

// since is when the customer's account was opened.
func (s *Shop) since(c customer, ordered int64) int64 {
	r := s.draw(ofAccount, c.market, uint64(c.number))
	if !s.isNew(c) {
		return s.start - int64(r.between(1, 1100)*days)
	}
	if r.chance(0.3) {
		return ordered - int64(r.between(hour, 12*days)) // looked around first
	}
	return ordered - int64(r.between(30*second, 30*minute))
}

// habits are what a customer tends to do. None of them is fraud; each looks like some.
type habits struct {
	corporate bool // buys for a company: often, many pieces, several staff
	heavy     bool
	office    bool // orders from work, through the address of all colleagues
	campus    bool
	atWork    bool // has parcels sent to the office
	gifts     bool
	fashion   bool // orders much fashion and sends much of it back
	locker    bool
	expat     bool // with a card from home
}

func (s *Shop) habits(c customer) (h habits) {
	r := s.draw(ofHabits, c.market, uint64(c.number))
	h.expat = r.chance(0.015)
	h.gifts = r.chance(0.06)
	h.locker = r.chance(markets[c.market].lockers)
	if s.isNew(c) {
		return h
	}
	h.heavy = c.number <= max(3, s.census[c.market]/250)
	h.corporate = h.heavy && r.chance(0.35)
	h.office = h.corporate || r.chance(0.10)
	h.campus = !h.office && r.chance(0.04)
	h.atWork = h.office && r.chance(0.5)
	h.fashion = !h.corporate && r.chance(0.03)
	return h
}

// household is who lives together: a family has one home, and perhaps one card and one tablet.
type household struct {
	key          uint64
	family       bool
	card, device bool // shared
}

func (s *Shop) household(c customer) household {
	if s.isNew(c) {
		return household{key: 1<<40 | uint64(c.number)}
	}
	if r := s.draw(ofFamily, c.market, uint64(c.number/3)); r.chance(0.16) {
		return household{key: 1<<41 | uint64(c.number/3), family: true, card: r.chance(0.5), device: r.chance(0.4)}
	}
	return household{key: uint64(c.number)}
}

// age counts how often something of someone was replaced: about once in every period, each at a time of its own.
func age(r *random, at int64, period float64) uint64 {
	return uint64((float64(at) + r.float()*period) / period)
}

// device is one of a customer's devices: 0 is the usual one, 1 the other, a company has more.
func (s *Shop) device(c customer, n uint8, at int64) uint64 {
	key := uint64(c.number)
	if h := s.household(c); n == 1 && h.device {
		key = h.key
	}
	r := s.draw(ofDevice, c.market, key<<3|uint64(n))
	r = random(r.next() + age(&r, at, 600*days))
	return r.next()
}

func (s *Shop) email(c customer, at int64) uint64 {
	r := s.draw(ofEmail, c.market, uint64(c.number))
	r = random(r.next() + age(&r, at, 2000*days))
	return r.next()
}

// home is the address where a customer lives.
func (s *Shop) home(c customer, at int64) uint64 {
	r := s.draw(ofHome, c.market, s.household(c).key)
	r = random(r.next() + age(&r, at, 1500*days))
	return r.next()
}

// card is one of a customer's cards: 0 is the usual one, 1 is for when that is declined.
func (s *Shop) cardOf(c customer, n uint8) plastic {
	key := uint64(c.number)
	if h := s.household(c); n == 0 && h.card {
		key = h.key
	}
	r := s.draw(ofCard, c.market, key<<1|uint64(n))
	p := plastic{number: r.next(), bin: uint8(r.below(len(bins))), country: markets[c.market].country}
	if s.habits(c).expat {
		p.country = markets[r.below(len(markets))].country
	}
	return p
}

// plastic is a card.
type plastic struct {
	number  uint64
	country string
	bin     uint8
}

var bins = [...]string{"411111", "453201", "491182", "510510", "525678", "545454", "374245", "601100"}

var fundings = []choice{{"credit", 55}, {"debit", 40}, {"prepaid", 5}}

func (p plastic) event() event.Card {
	r := random(p.number)
	last := strconv.FormatUint(10_000+r.next()%10_000, 10)
	return event.Card{Fingerprint: hexName("fp_", p.number, 12), BIN: bins[p.bin], Last4: last[1:], Country: p.country, Funding: r.pick(fundings)}
}

var agents = []choice{
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1", 30},
	{"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/137.0 Mobile Safari/537.36", 28},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/137.0 Safari/537.36", 24},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.4 Safari/605.1.15", 11},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0", 4},
	{"weir-shop-app/4.2 (iOS)", 3},
}

// client is what a device at an address of the network tells of itself.
func client(device uint64, ip uint32, session uint64) event.Client {
	b := make([]byte, 0, 15)
	for shift := 24; shift >= 0; shift -= 8 {
		b = strconv.AppendUint(b, uint64(ip>>shift&0xff), 10)
		b = append(b, '.')
	}
	r := random(device)
	return event.Client{IP: string(b[:len(b)-1]), DeviceID: hexName("d-", device, 10), SessionID: hexName("se-", session, 12), UserAgent: r.pick(agents)}
}

// addressIn is an address of the network whose first byte is given.
func addressIn(network byte, r *random) uint32 {
	return uint32(network)<<24 | uint32(r.next()&0xffffff)
}

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

// localTime is the customer's own time of day.
func (m *market) localTime(at int64) time.Time { return time.UnixMilli(at).UTC().Add(m.offset) }
