package shop

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"weir/topology/event"
)

// Mix is the share of all orders that belongs to episodes of each pattern, by the pattern's name. Empty: nothing is planted.
type Mix map[string]float64

// maxShare bounds a mix: honest orders are the most.
const maxShare = 0.5

// ParseMix reads "off", "default", or a list such as "card_testing_bot=0.002,account_takeover=0.001", in which "default" can
// come first and stands for its shares.
func ParseMix(text string) (Mix, error) {
	mix := Mix{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, isShare := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case !isShare && name == "default":
			for i := range patterns {
				mix[patterns[i].name] = patterns[i].share
			}
		case !isShare && name == "off" && part == text:
		case !isShare:
			return nil, fmt.Errorf("%q is no mix of fraud: write default, off, or shares of the orders by pattern, such as %s=0.002", text, patterns[0].name)
		default:
			share, err := strconv.ParseFloat(number, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no share of the orders of %s: write a number such as 0.002", number, name)
			}
			mix[name] = share
		}
	}
	return mix, mix.check()
}

func (m Mix) check() error {
	sum := 0.0
	for name, share := range m {
		if patternNamed(name) < 0 {
			return fmt.Errorf("there is no pattern %q; there are %s", name, strings.Join(PatternNames(), ", "))
		}
		if !(share >= 0 && share <= maxShare) {
			return fmt.Errorf("the share of %s is %g: it is from 0 to %g", name, share, maxShare)
		}
		sum += share
	}
	if sum > maxShare {
		return fmt.Errorf("fraud is %g of all orders in this mix: it can be %g at most", sum, maxShare)
	}
	return nil
}

// PatternNames are the patterns of fraud that can be planted.
func PatternNames() (names []string) {
	for i := range patterns {
		names = append(names, patterns[i].name)
	}
	return names
}

func patternNamed(name string) int {
	return slices.IndexFunc(patterns, func(p pattern) bool { return p.name == name })
}

// pattern is a kind of fraud.
type pattern struct {
	name  string
	share float64 // of all orders, in the default mix
	span  float64 // the longest an episode takes to place its orders, ms
	slow  bool    // takes days: the life scale stretches it, as it does parcels
	size  func(r *random) int
	plan  func(d *draft) // fills the episode's visits
}

// Limits of what is planted and not over yet. Beyond them nothing is planted until there is room.
const (
	maxEpisodes = 10_000
	maxPlanted  = MaxOpen / 10
)

// plants is what goes on beside the honest orders. It draws from nothing that they draw from.
type plants struct {
	placed   int64
	accounts uint32
	open     int // orders
	episodes int
	running  map[*episode]struct{} // where Told is asked for
	told     []Truth
	looks    looks
	recent   [1024]customer // honest customers who came lately, for those who take accounts over
	came     uint64
}

// sower plants the episodes of one pattern, each when the orders so far have room for it.
type sower struct {
	pattern *pattern
	rand    random
	speed   float64 // orders of the pattern, for each ms
	stretch float64 // of an episode's spans
	until   float64 // ms after the shop's start: then none begins
	sown    float64 // orders of the episodes so far
	number  int
	size    int // of the next
}

// sowAll plans the first episode of each pattern in the mix.
func (s *Shop) sowAll() {
	if s.options.Truth {
		s.plants.running = map[*episode]struct{}{}
		s.plants.looks = newLooks()
	}
	honest := 1.0
	for i := range patterns { // not in the order of a map: a float's sum depends on it
		honest -= s.options.Fraud[patterns[i].name]
	}
	for i := range patterns {
		p := &patterns[i]
		share := s.options.Fraud[p.name]
		if share == 0 {
			continue
		}
		w := &sower{pattern: p, rand: s.draw(ofEpisode, 0, uint64(i)), stretch: 1, until: 100 * 365 * days, speed: s.options.Rate / 1000 * share / honest}
		if p.slow {
			w.stretch = min(1, s.options.LifeScale)
		}
		if s.options.Orders > 0 {
			// Episodes fit into the run, and begin early enough to end in it.
			length := float64(s.options.Orders) / s.options.Rate * 1000
			w.stretch = min(w.stretch, 0.6*length/p.span)
			w.until = length - p.span*w.stretch
			w.speed *= length / w.until
		}
		s.planNext(w)
	}
}

// planNext plans when a pattern's next episode begins.
func (s *Shop) planNext(w *sower) {
	w.size = w.pattern.size(&w.rand)
	after := (w.sown + w.rand.float()*float64(w.size)) / w.speed
	w.sown += float64(w.size)
	if after < w.until {
		s.push(due{at: s.start + int64(after), what: w})
	}
}

// sow begins an episode and plans the next one. After the last honest order none begins.
func (s *Shop) sow(w *sower, at int64) {
	if s.options.Orders > 0 && s.placed >= s.options.Orders {
		return
	}
	size := w.size
	s.planNext(w)
	if s.plants.episodes >= maxEpisodes {
		return
	}
	w.number++
	e := &episode{pattern: w.pattern, number: w.number, rand: random(w.rand.next())}
	w.pattern.plan(&draft{shop: s, episode: e, random: &e.rand, at: at, size: size, stretch: w.stretch})
	slices.SortStableFunc(e.visits, func(a, b *visit) int { return int(a.at - b.at) })
	s.plants.episodes++
	if s.options.Truth {
		e.truth = newAccount()
		s.plants.running[e] = struct{}{}
	}
	s.push(due{at: e.visits[0].at, what: e})
}

// episode is one occurrence of a pattern.
type episode struct {
	pattern *pattern
	number  int
	rand    random
	visits  []*visit // those to come
	open    int      // orders
	truth   *account // nil: nobody asks
}

// visit is one order of an episode as it is planned.
type visit struct {
	at       int64
	who      persona
	attempts []attempt
	pace     float64 // ms between attempts, about
	cents    float64 // about what the goods are worth, in euro cents
	lines    int
	coupon   string
	shipping string // country; "": the market's
	fate     fate
	history  bool // an honest order that prepares the fraud
}

// persona is whom a planted order says it comes from.
type persona struct {
	customer customer
	since    int64
	email    uint64
	address  uint64
	device   uint64
	ip       uint32
}

// attempt is one try to pay by card.
type attempt struct {
	card plastic
	code string // why it is declined; "": it is not
}

// fate is what becomes of an order that was paid.
type fate uint8

const (
	kept fate = iota
	sentBack
	claimed // "it never came": refunded
	chargedBack
)

// visit places the next order of an episode; nil where there is no room for it.
func (s *Shop) visit(p *episode, at int64, e *event.Event) *order {
	v := p.visits[0]
	p.visits = p.visits[1:]
	if len(p.visits) > 0 {
		s.push(due{at: max(at, p.visits[0].at), what: p})
	}
	if s.plants.open >= maxPlanted {
		s.endIfOver(p)
		return nil
	}
	o := &order{sequence: 2*s.plants.placed + 1, created: at, customer: v.who.customer, visit: v, rand: random(p.rand.next())}
	s.plants.placed++
	s.plants.open++
	p.open++
	r, m := &o.rand, &markets[o.customer.market]
	o.session = r.next()
	var goods int64
	e.Items, goods = s.bundle(m, v, r, e.Items[:0])
	e.Coupon = v.coupon
	e.ShippingAddressHash, e.EmailHash = hexName("", v.who.address, 16), hexName("", v.who.email, 16)
	e.ShippingCountry = m.country
	if v.shipping != "" {
		e.ShippingCountry = v.shipping
	}
	e.CustomerCreatedAt = event.UnixMilli(v.who.since)
	s.checkout(o, m, goods, r, e)
	o.method = "card"
	s.then(o, at, stepAttempt, r.between(0.5*v.pace, 1.2*v.pace))
	s.identify(o, at, e)
	o.episode = p
	return o
}

// bundle fills items with goods worth about what the visit plans: of several products those that come nearest.
func (s *Shop) bundle(m *market, v *visit, r *random, items []event.Item) ([]event.Item, int64) {
	lines := max(1, v.lines)
	target := v.cents / float64(lines)
	var sum int64
	for range lines {
		var best *product
		var pieces, distance float64
		for range 10 {
			p := &s.products[int(math.Pow(r.float(), 2)*products)]
			n := min(max(math.Round(target/p.cents), 1), 6)
			if d := math.Abs(math.Log(p.cents*n/target)) + 0.05*n; best == nil || d < distance {
				best, pieces, distance = p, n, d
			}
		}
		items = append(items, s.item(m, best, int64(pieces)))
		sum += items[len(items)-1].PriceMinor * int64(pieces)
	}
	return items, sum
}

// planted keeps account of an event of a planted order.
func (s *Shop) planted(o *order, e *event.Event, over bool) {
	p := o.episode
	if p.truth != nil {
		p.truth.add(o, e)
	}
	if over {
		s.plants.open--
		p.open--
		s.endIfOver(p)
	}
}

func (s *Shop) endIfOver(p *episode) {
	if p.open > 0 || len(p.visits) > 0 {
		return
	}
	s.plants.episodes--
	if p.truth != nil {
		delete(s.plants.running, p)
		s.plants.told = append(s.plants.told, p.told(s, false))
	}
}

// remember keeps who came lately.
func (s *Shop) remember(o *order, h habits) {
	if h.corporate || s.isNew(o.customer) || o.spot == spotAway {
		return
	}
	s.plants.recent[s.plants.came%uint64(len(s.plants.recent))] = o.customer
	s.plants.came++
}
