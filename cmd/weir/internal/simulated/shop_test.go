package simulated

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// day0 is when the random shop opens: 2026-01-01T00:00:00Z.
const day0 = int64(1767225600000)

// randomShop draws what a shop sends about n orders within a day: topics in their own order, with disorder, duplicates, orders that
// never appear, and every field now and then missing.
func randomShop(seed uint64, n int) []fact {
	rng := rand.New(rand.NewPCG(seed, 0x73686f70))
	pick := func(choices ...string) string { return choices[rng.IntN(len(choices))] }
	var facts []fact
	for i := range n {
		facts = append(facts, randomOrder(rng, pick, fmt.Sprint("o", i))...)
	}
	// Each topic gets the facts in roughly the order of their times.
	slices.SortStableFunc(facts, func(a, b fact) int { return int(a.at - b.at) })
	for range len(facts) / 4 {
		i := rng.IntN(len(facts))
		j := min(i+rng.IntN(40), len(facts)-1)
		facts[i], facts[j] = facts[j], facts[i]
	}
	for range len(facts) / 5 {
		again := facts[rng.IntN(len(facts))]
		at := slices.IndexFunc(facts, func(f fact) bool { return f.id == again.id && f.order == again.order })
		facts = slices.Insert(facts, at+1+rng.IntN(len(facts)-at), again)
	}
	return facts
}

func randomOrder(rng *rand.Rand, pick func(...string) string, id string) []fact {
	var facts []fact
	// No two events of an order are at the same time: which of two updates is the last is then plain.
	used := map[int64]bool{}
	moment := func(from, to int64) int64 {
		for {
			if at := from + rng.Int64N(to-from); !used[at] {
				used[at] = true
				return at
			}
		}
	}
	add := func(f fact) {
		f.id, f.order = fmt.Sprint(id, "-", len(facts)), id
		facts = append(facts, f)
	}
	at := day0 + 3_600_000 + rng.Int64N(18*3_600_000)
	used[at] = true
	c := fact{kind: "order.created", at: at, customer: pick("", "c1", "c2", "c3", "c4", "c5", "c6"), currency: pick("EUR", "EUR", "EUR", "USD", "JPY", "KWD"),
		amount: rng.Int64N(20) * 100, region: pick("", "eu-west", "us-east"), country: pick("", "DE", "FR", "US"), channel: pick("", "web", "app")}
	if rng.IntN(3) == 0 {
		c.promised = at + rng.Int64N(6*3_600_000)
	}
	for range rng.IntN(4) {
		c.items = append(c.items, line{pick("book", "film", "robot", "kite"), pick("", "media", "toys"), rng.Int64N(5), rng.Int64N(5000)})
	}
	if rng.IntN(20) > 0 {
		add(c)
	}
	if rng.IntN(30) == 0 { // created twice
		again := c
		again.at, again.amount, again.region = moment(at+1, at+1000), rng.Int64N(3000), "elsewhere"
		add(again)
	}
	for range rng.IntN(2) {
		add(fact{kind: "order.updated", at: moment(at-1000, at+3_600_000), currency: pick(c.currency, c.currency, "USD"), amount: rng.Int64N(30) * 100})
	}
	if rng.IntN(8) == 0 {
		add(fact{kind: "order.cancelled", at: moment(at, at+3_600_000), amount: -1, reason: pick("", "fraud", "customer_request")})
	}
	for p := range rng.IntN(6) {
		f := fact{kind: "payment." + pick("attempted", "authorized", "captured", "captured", "failed", "refunded", "disputed"), at: moment(at-60_000, at+3*3_600_000),
			currency: pick(c.currency, c.currency, c.currency, "USD"), amount: rng.Int64N(20) * 100, method: pick("", "card", "paypal"), payment: fmt.Sprint(id, "p", p)}
		if rng.IntN(3) == 0 {
			f.currency, f.amount = c.currency, c.amount
		}
		if f.kind == "payment.failed" {
			f.decline = pick("", "no_funds", "expired")
		}
		add(f)
	}
	for range rng.IntN(6) {
		f := fact{kind: "shipment." + pick("created", "dispatched", "in_transit", "delivered", "delivered", "failed", "returned"), at: moment(at, at+5*3_600_000),
			amount: -1, carrier: pick("", "dhl", "ups"), shipment: id + pick("s1", "s2"), shipmentCountry: pick("", "AT")}
		if rng.IntN(3) == 0 {
			f.expected = at + rng.Int64N(5*3_600_000)
		}
		add(f)
	}
	return facts
}
