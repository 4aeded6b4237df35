package shop

import "math"

// patterns are what can be planted. Each episode draws its own parameters, so that no two are alike.
var patterns = []pattern{
	{"card_testing_bot", 0.0040, 25 * minute, false, botSize, cardTestingBot},
	{"account_takeover", 0.0020, 3 * hour, false, sizes(2, 6), accountTakeover},
	{"promo_ring", 0.0025, 2 * hour, false, sizes(8, 28), promoRing},
	{"reshipping_cluster", 0.0020, 6 * days, true, sizes(6, 18), reshippingCluster},
	{"refund_abuser", 0.0015, 26 * days, true, sizes(9, 20), refundAbuser},
	{"bust_out", 0.0015, 24 * days, true, sizes(13, 28), bustOut},
	{"stolen_card_spree", 0.0015, 9 * hour, false, sizes(6, 14), stolenCardSpree},
}

// sizes draws the number of an episode's orders, both bounds included.
func sizes(low, high int) func(r *random) int {
	return func(r *random) int { return low + r.below(high-low+1) }
}

// botSize: a bot makes many orders, or few with many attempts each.
func botSize(r *random) int {
	if r.chance(0.4) {
		return 3 + r.below(6)
	}
	return 18 + r.below(53)
}

const manyOrders = 10 // of a bot: with fewer it makes many attempts on each

// draft is an episode while it is planned.
type draft struct {
	*random
	shop    *Shop
	episode *episode
	at      int64
	size    int
	stretch float64
}

// after is a time that long after the episode's beginning, in the episode's own scale.
func (d *draft) after(ms float64) int64 { return d.at + int64(ms*d.stretch) }

// add plans an order that pays with the card.
func (d *draft) add(at int64, who persona, card plastic, cents float64) *visit {
	v := &visit{at: at, who: who, attempts: []attempt{{card: card}}, pace: d.between(10*second, 70*second), cents: cents}
	d.episode.visits = append(d.episode.visits, v)
	return v
}

// declineFirst has the order's payment declined some times before it succeeds.
func (v *visit) declineFirst(code string) {
	first := v.attempts[0]
	first.code = code
	v.attempts = append([]attempt{first}, v.attempts...)
}

// market draws where, by the markets' shares.
func (d *draft) market() uint8 {
	at := d.float()
	for i := range markets {
		if at -= markets[i].share; at < 0 {
			return uint8(i)
		}
	}
	return 0
}

// elsewhere draws a market of another country.
func (d *draft) elsewhere(than string) uint8 {
	for {
		if i := uint8(d.below(len(markets))); markets[i].country != than {
			return i
		}
	}
}

// hosts are networks of data centres and proxies, by their first byte.
var hosts = []byte{5, 23, 45, 62, 103, 138, 146, 159, 185, 194}

// proxy is an address that does not belong to the market's shoppers: of a data centre, or of another country.
func (d *draft) proxy(country string) uint32 {
	if d.chance(0.5) {
		return addressIn(hosts[d.below(len(hosts))], d.random)
	}
	return addressIn(markets[d.elsewhere(country)].network, d.random)
}

// stranger is a new account with nothing that anybody else has.
func (d *draft) stranger(where uint8, since int64) persona {
	s := d.shop
	s.plants.accounts++
	return persona{
		customer: customer{where, s.census[where] + 2*s.plants.accounts}, // newcomers have those between
		since:    since, email: d.next(), address: d.next(), device: d.next(), ip: addressIn(markets[where].network, d.random),
	}
}

func (d *draft) newCard(country string) plastic {
	return plastic{number: d.next(), bin: uint8(d.below(len(bins))), country: country}
}

// farCountries are where stolen cards come from, beside the markets.
var farCountries = []string{"PL", "TR", "RO", "ZA", "IN", "ID", "AR", "CL", "PT", "IE", "CH", "NO", "KR", "TH"}

func (d *draft) cardCountry() string {
	if d.chance(0.4) {
		return farCountries[d.below(len(farCountries))]
	}
	return markets[d.market()].country
}

// fateOf is the fate with a chance, and kept otherwise.
func (d *draft) fateOf(f fate, chance float64) fate {
	if d.chance(chance) {
		return f
	}
	return kept
}

var testDeclines = []choice{{"do_not_honor", 38}, {"incorrect_cvc", 28}, {"insufficient_funds", 12}, {"expired_card", 10}, {"stolen_card", 7}, {"lost_card", 5}}

// cardTestingBot tries stolen cards from one or a few addresses within minutes. Few are good.
func cardTestingBot(d *draft) {
	attempts := d.size
	perOrder := 1
	if d.size < manyOrders {
		perOrder = 8 + d.below(14)
		attempts *= perOrder
	}
	where, networks, devices := d.market(), 1+d.below(1+min(2, attempts/30)), 1+d.below(3)
	// A bot of one address tries 8 to 40 cards in ten minutes.
	length := min(max(10*minute*float64(attempts)/(float64(networks)*d.between(8, 40)), 2*minute), 25*minute)
	country, bin, oneBin := d.cardCountry(), uint8(d.below(len(bins))), d.chance(0.5)
	good, cents, oneAccount, spoofs := d.between(0.03, 0.16), d.between(250, 1500), d.chance(0.3), d.chance(0.2)
	ips, seen := make([]uint32, networks), make([]uint64, devices)
	for i := range ips {
		ips[i] = d.proxy(markets[where].country)
	}
	for i := range seen {
		seen[i] = d.next()
	}
	who := d.stranger(where, d.at-int64(d.between(minute, 90*minute)))
	if perOrder > 1 {
		good = d.between(0.2, 0.9) // an order's last card
	}
	for i := range d.size {
		at := d.after(length * (float64(i) + d.float()) / float64(d.size))
		if !oneAccount && i > 0 {
			who = d.stranger(where, at-int64(d.between(4*second, 3*minute)))
		}
		if who.device, who.ip = seen[d.below(devices)], ips[d.below(networks)]; spoofs {
			who.device = d.next()
		}
		v := d.add(at, who, plastic{}, d.around(cents, 0.3))
		v.pace, v.fate, v.attempts = d.between(second, 5*second), d.fateOf(chargedBack, 0.6), nil
		if perOrder > 1 {
			v.pace = min(max(0.6*length*d.stretch/float64(attempts), 0.8*second), 20*second)
		}
		for n := range perOrder {
			card := d.newCard(country)
			if oneBin {
				card.bin = bin
			} else {
				card.country = d.cardCountry()
			}
			one := attempt{card, d.pick(testDeclines)}
			if n == perOrder-1 && d.chance(good) {
				one.code = ""
			}
			if v.attempts = append(v.attempts, one); perOrder == 1 && one.code != "" && d.chance(0.15) {
				v.attempts = append(v.attempts, attempt{card, "incorrect_cvc"})
			}
		}
	}
}

// victim is an honest customer with an old account who came lately, and rather one who comes often.
func (d *draft) victim() customer {
	s := d.shop
	n := int(min(s.plants.came, uint64(len(s.plants.recent))))
	found, tries := customer{d.market(), uint32(1 + d.below(leastOfMarket))}, 0 // of whom none came yet
	for i := 0; i < 24 && n > 0 && tries < 6; i++ {
		if c := s.plants.recent[d.below(n)]; s.since(c, d.at) < d.at-int64(60*days) {
			if tries == 0 || c.number < found.number {
				found = c
			}
			tries++
		}
	}
	return found
}

// accountTakeover is someone else at an honest customer's account: another device, network and address, and large orders.
func accountTakeover(d *draft) {
	s, c := d.shop, d.victim()
	m := &markets[c.market]
	who := persona{customer: c, since: s.since(c, d.at), email: s.email(c, d.at), address: d.next(), device: d.next(), ip: d.proxy(m.country)}
	if d.chance(0.4) {
		who.email = d.next()
	}
	shipping := m.country
	if d.chance(0.6) {
		shipping = markets[d.elsewhere(m.country)].country
	}
	card := s.cardOf(c, 0)
	if d.chance(0.35) {
		card = d.newCard(d.cardCountry())
	}
	length, cents := d.between(15*minute, 2.5*hour), d.between(22_000, 60_000)
	for i := range d.size {
		at := d.after(0)
		if i > 0 {
			at = d.after(length * (float64(i) - 0.5*d.float()) / float64(d.size-1))
		}
		v := d.add(at, who, card, d.around(cents, 0.3))
		v.shipping, v.fate = shipping, d.fateOf(chargedBack, 0.75)
		if d.chance(0.2) {
			v.declineFirst("insufficient_funds")
		}
	}
}

// promoRing is one person with many new accounts and one coupon for new customers.
func promoRing(d *draft) {
	where := d.market()
	home := d.stranger(where, 0)
	coupon := "WELCOME10"
	if d.chance(0.3) {
		coupon = "FREESHIP"
	}
	length, ahead := d.between(15*minute, 2*hour), d.between(2*minute, 9*minute)
	devices, addresses, cards := d.some(1, 3), d.some(1, 3), 1+d.below(5)
	wallet := make([]plastic, cards)
	for i := range wallet {
		wallet[i] = d.newCard(markets[where].country)
	}
	batch, cents := d.chance(0.35), d.between(1800, 6500)
	for i := range d.size {
		at := d.after(length * (float64(i) + d.float()) / float64(d.size))
		who := d.stranger(where, at-int64(d.between(0.3*ahead, ahead)))
		if batch { // all accounts first
			who.since = d.after(0) - int64(d.between(0, 10*minute))
		}
		who.device, who.address, who.ip = devices[d.below(len(devices))], addresses[d.below(len(addresses))], home.ip
		v := d.add(at, who, wallet[d.below(cards)], d.around(cents, 0.25))
		v.coupon, v.lines = coupon, 1+d.below(2)
	}
}

// some is one to a few of something.
func (d *draft) some(low, high int) []uint64 {
	all := make([]uint64, low+d.below(high-low+1))
	for i := range all {
		all[i] = d.next()
	}
	return all
}

// reshippingCluster is a mule's address to which many stolen cards of several countries buy.
func reshippingCluster(d *draft) {
	mule := markets[d.market()].country
	addresses := d.some(1, 2)
	from := make([]uint8, 3+d.below(4))
	for i := range from {
		from[i] = d.elsewhere(mule)
	}
	for markets[from[1]].country == markets[from[0]].country { // two at least
		from[1] = d.elsewhere(mule)
	}
	length, cents, disputed := d.between(1.5*days, 6*days), d.between(20_000, 60_000), d.between(0.5, 0.85)
	shared := d.some(2, 5)
	sharing := d.chance(0.5)
	for i := range d.size {
		where := from[d.below(len(from))]
		if i < 2 {
			where = from[i]
		}
		at := d.after(length * (float64(i) + d.float()) / float64(d.size))
		who := d.stranger(where, at-int64(math.Exp(d.between(math.Log(20*minute), math.Log(60*days)))))
		who.address = addresses[d.below(len(addresses))]
		if sharing {
			who.device = shared[d.below(len(shared))]
		}
		v := d.add(at, who, d.newCard(markets[where].country), d.around(cents, 0.35))
		v.shipping, v.fate = mule, d.fateOf(chargedBack, disputed)
		if d.chance(0.15) {
			v.declineFirst("authentication_failed")
		}
	}
}

// refundAbuser orders as others do, but most parcels "never came" or go back.
func refundAbuser(d *draft) {
	where := d.market()
	who := d.stranger(where, d.at-int64(d.between(25*days, 400*days)))
	card := d.newCard(markets[where].country)
	length, cents := d.between(14*days, 26*days), d.between(5000, 16_000)
	refunded, claims := d.between(0.65, 0.92), d.between(0.3, 0.8)
	for i := range d.size {
		v := d.add(d.after(length*(float64(i)+d.float())/float64(d.size)), who, card, d.around(cents, 0.5))
		v.lines = 1 + d.below(2)
		if float64(i) < math.Round(refunded*float64(d.size)) { // most of them, in any order
			v.fate = sentBack
			if d.chance(claims) {
				v.fate = claimed
			}
		}
	}
	d.shuffleFates()
}

// shuffleFates gives the orders each other's fates.
func (d *draft) shuffleFates() {
	v := d.episode.visits
	for i := len(v) - 1; i > 0; i-- {
		j := d.below(i + 1)
		v[i].fate, v[j].fate = v[j].fate, v[i].fate
	}
}

// bustOut builds a good name with small orders and then spends many times as much at once, and pays nothing of it.
func bustOut(d *draft) {
	where := d.market()
	who := d.stranger(where, d.at-int64(d.between(hour, 60*days)))
	cards := []plastic{d.newCard(markets[where].country)}
	if d.chance(0.4) {
		cards = append(cards, d.newCard(markets[where].country))
	}
	small := d.between(1500, 4500)
	times := d.between(6, 16)
	burst := min(max(int(math.Round(float64(d.size)*d.between(0.35, 0.55))), 5), d.size-7)
	building := d.between(9*days, 22*days)
	n := d.size - burst
	for i := range n {
		v := d.add(d.after(building*(float64(i)+d.float())/float64(n)), who, cards[d.below(len(cards))], d.around(small, 0.35))
		v.history = true
	}
	if d.chance(0.3) {
		who.address = d.next()
	}
	from, length, disputed := building+d.between(0.1*days, 0.8*days), d.between(4*hour, 1.2*days), int(d.between(0.7, 1)*float64(burst)+0.5)
	for i := range burst {
		at := d.after(from + length*(float64(i)+d.float())/float64(burst))
		v := d.add(at, who, cards[d.below(len(cards))], d.around(small*times, 0.25))
		if v.lines = 1 + d.below(3); i < disputed {
			v.fate = chargedBack
		}
	}
}

// stolenCardSpree is one stolen card in many hands, for growing amounts, until it is blocked.
func stolenCardSpree(d *draft) {
	wheres := []uint8{d.market(), d.market()}
	card := d.newCard(d.cardCountry())
	for card.country == markets[wheres[0]].country || card.country == markets[wheres[1]].country {
		card.country = d.cardCountry()
	}
	hands := make([]persona, 3+d.below(4))
	length := d.between(hour, 8*hour)
	for i := range hands {
		where := wheres[d.below(len(wheres))]
		hands[i] = d.stranger(where, d.at-int64(d.between(minute, 3*days)))
		if d.chance(0.4) {
			hands[i].ip = addressIn(hosts[d.below(len(hosts))], d.random)
		}
	}
	cents, growth := d.between(1500, 7000), d.between(1.2, 1.7)
	blocked := d.size
	if d.chance(0.45) {
		blocked -= 1 + d.below(3)
	}
	disputed := d.between(0.75, 1)
	for i := range d.size {
		who := hands[d.below(len(hands))]
		if i < len(hands) {
			who = hands[i]
		}
		at := d.after(length * (float64(i) + d.float()) / float64(d.size))
		who.since = min(who.since, at-int64(20*second))
		v := d.add(at, who, card, min(cents*math.Pow(growth, float64(i))*d.between(0.85, 1.15), 250_000))
		v.fate = d.fateOf(chargedBack, disputed)
		if i >= blocked {
			v.attempts[0].code = "stolen_card"
			if d.chance(0.5) {
				v.attempts[0].code = "do_not_honor"
			}
		}
	}
}
