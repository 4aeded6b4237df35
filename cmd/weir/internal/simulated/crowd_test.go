package simulated

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// The crowd is a shop of which people, cards and addresses are shared: what fraud rules look at. It opens at day0.

// Of the crowd, in milliseconds.
const (
	minute        = int64(60_000)
	grace         = 60 * minute // of the rules
	lateness      = 50 * minute // how late an event can come: less than the grace, for what is later is not judged any more
	crowdPace     = 6_000       // between orders, on average
	crowdPool     = 400         // customers at any time
	crowdTurnover = 12 * 60 * minute
)

// delivery is a fact on its way to its topic.
type delivery struct {
	*fact
	comes int64 // when, on the wall clock
}

// crowd draws about n events in the order in which they come: late by up to the lateness, in each topic by itself, some of them again.
func crowd(seed uint64, n int) []delivery {
	rng := rand.New(rand.NewPCG(seed, 0x63726f7764))
	var all []delivery
	at := day0
	send := func(f *fact) {
		comes := f.at + 1
		switch rng.IntN(10) {
		case 0:
			comes += rng.Int64N(lateness)
		case 1, 2, 3:
			comes += rng.Int64N(lateness / 20)
		}
		all = append(all, delivery{f, comes})
		for rng.IntN(25) == 0 {
			all = append(all, delivery{f, min(comes+rng.Int64N(lateness/2), f.at+lateness)})
		}
	}
	for i := 0; len(all) < n; i++ {
		at += 1 + rng.Int64N(2*crowdPace)
		for _, f := range crowdOrder(rng, fmt.Sprint("o", i), at) {
			send(f)
		}
	}
	slices.SortStableFunc(all, func(a, b delivery) int { return cmp.Compare(a.comes, b.comes) })
	return all
}

// crowdOrder draws the events of one order: some attempts on some cards, perhaps captured, perhaps shipped, sometimes with parts missing.
func crowdOrder(rng *rand.Rand, id string, at int64) (facts []*fact) {
	pick := func(choices ...string) string { return choices[rng.IntN(len(choices))] }
	some := func(n int) int { return int(float64(n) * math.Pow(rng.Float64(), 2)) } // the first ones more often
	era := int(at / crowdTurnover)
	who := era*crowdPool/2 + some(crowdPool) // half of the people are others in the next era
	customer := fmt.Sprint("c", who)
	card := func() string {
		if rng.IntN(12) == 0 {
			return fmt.Sprint("f", era%100, "s", some(30)) // stolen, used by many
		}
		return fmt.Sprint("f", who%100_000, "_", rng.IntN(2))
	}
	ip := func() string { return fmt.Sprint(era%200, ".", some(300)) }
	add := func(f fact) {
		if rng.IntN(2) == 0 { // at the same time as others, and at the edge of their windows
			f.at -= f.at % (minute / 6)
		}
		f.id, f.order = fmt.Sprint(id, "-", len(facts)), id
		facts = append(facts, &f)
	}
	currency := pick("EUR", "EUR", "EUR", "EUR", "USD", "JPY")
	c := fact{kind: "order.created", at: at, customer: customer, currency: currency, amount: 500 + rng.Int64N(8000),
		channel: pick("", "web", "web", "app"), ip: ip()}
	switch rng.IntN(40) {
	case 0:
		c.customer = ""
	case 1:
		c.amount = -1
	case 2:
		c.amount, c.currency = -1, ""
	case 3:
		c.ip = ""
	case 4:
		c.amount = 20_000 + rng.Int64N(50_000)
	}
	for range rng.IntN(3) {
		if c.currency != "" { // prices have one
			c.items = append(c.items, line{pick("book", "film", "kite"), "", 1 + rng.Int64N(4), 100 + rng.Int64N(4000)})
		}
	}
	if rng.IntN(100) > 0 { // else its payments wait for ever
		add(c)
	}
	instrument := card()
	for range rng.IntN(4) {
		f := fact{kind: "payment." + pick("attempted", "attempted", "captured", "captured", "failed"), at: at - minute + rng.Int64N(30*minute),
			currency: currency, amount: 100 + rng.Int64N(9000), card: instrument, ip: c.ip}
		switch rng.IntN(15) {
		case 0:
			f.currency = pick("EUR", "USD", "JPY")
		case 1:
			f.card = ""
		case 2, 3, 4:
			instrument = card()
			f.card = instrument
		case 5:
			f.ip = ""
		case 6, 7:
			f.ip = ip()
		}
		if f.kind == "payment.failed" {
			f.decline = pick("", "no_funds", "stolen")
		}
		add(f)
	}
	if rng.IntN(4) == 0 {
		add(fact{kind: "shipment.dispatched", at: at + rng.Int64N(60*minute), amount: -1, shipment: id})
	}
	return facts
}

// sighting is an event that counts, as entities see it.
type sighting struct {
	*fact
	created  *fact // its order
	hash     uint64
	currency string // in which its money is looked at
	client   string // its address, or its order's
}

// entity is the id of the entity of a kind that the event concerns; "" = none.
func (s *sighting) entity(kind string) string {
	return map[string]string{"customer": s.created.customer, "ip": s.client, "card": s.card, "order": s.order}[kind]
}

// history is all that there is to know of a crowd, for who has time.
type history struct {
	sightings []*sighting            // by time
	by        map[string][]*sighting // kind:id → by time
}

func newHistory(all []delivery) *history {
	h := &history{by: map[string][]*sighting{}}
	created, seen := map[string]*fact{}, map[*fact]bool{}
	for _, d := range all {
		if d.kind == "order.created" {
			created[d.order] = d.fact
		}
	}
	for _, d := range all {
		if seen[d.fact] || created[d.order] == nil {
			continue
		}
		seen[d.fact] = true
		s := &sighting{fact: d.fact, created: created[d.order], hash: xxhash.Sum64String(d.id), currency: d.currency, client: d.ip}
		if s.currency == "" {
			s.currency = s.created.currency
		}
		if s.client == "" {
			s.client = s.created.ip
		}
		h.sightings = append(h.sightings, s)
	}
	slices.SortFunc(h.sightings, compareSightings)
	for _, s := range h.sightings {
		for _, kind := range crowdKinds {
			if id := s.entity(kind); id != "" {
				h.by[kind+":"+id] = append(h.by[kind+":"+id], s)
			}
		}
	}
	return h
}

var crowdKinds = []string{"customer", "ip", "card", "order"}

func compareSightings(a, b *sighting) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.hash, b.hash))
}
