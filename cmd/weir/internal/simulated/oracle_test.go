package simulated

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// The oracle evaluates all events at once, as slowly and plainly as it can: maps, big integers, no code shared with the groups. It is
// what a reader of DESIGN §5 and §8 would compute by hand.

// fact is one event as a shop means it. Money is in minor units; −1 is none.
type fact struct {
	id, kind, order                    string
	at                                 int64 // Unix milliseconds
	customer, currency                 string
	amount                             int64
	region, country, channel           string
	items                              []line
	promised, expected                 int64
	method, payment, decline, reason   string
	carrier, shipment, shipmentCountry string
	card, ip                           string
}

type line struct {
	product, category string
	quantity, price   int64
}

var exponents = map[string]int{"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}

func (f fact) topic() string {
	return map[byte]string{'o': "orders", 'p': "payments", 's': "shipments"}[f.kind[0]]
}

// record writes the fact in the canonical shape.
func (f fact) record() []byte {
	m := map[string]any{"id": f.id, "type": f.kind, "order_id": f.order, "time": f.at}
	text := func(name, value string) {
		if value != "" {
			m[name] = value
		}
	}
	moment := func(name string, at int64) {
		if at != 0 {
			m[name] = time.UnixMilli(at).UTC().Format(time.RFC3339Nano)
		}
	}
	text("customer_id", f.customer)
	text("currency", f.currency)
	text("region", f.region)
	text("country", f.country+f.shipmentCountry)
	text("channel", f.channel)
	text("method", f.method)
	text("payment_id", f.payment)
	text("decline_code", f.decline)
	text("cancel_reason", f.reason)
	text("carrier", f.carrier)
	text("shipment_id", f.shipment)
	if f.card != "" {
		m["card"] = map[string]any{"fingerprint": f.card}
	}
	if f.ip != "" {
		m["client"] = map[string]any{"ip": f.ip}
	}
	moment("promised_at", f.promised)
	moment("expected_at", f.expected)
	if f.amount >= 0 {
		m[map[bool]string{true: "total", false: "amount"}[f.kind[0] == 'o']] = decimal(f.amount, f.currency)
	}
	if len(f.items) > 0 {
		var items []map[string]any
		for _, l := range f.items {
			item := map[string]any{"product_id": l.product, "quantity": l.quantity, "price": decimal(l.price, f.currency)}
			if l.category != "" {
				item["category"] = l.category
			}
			items = append(items, item)
		}
		m["items"] = items
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

func decimal(minor int64, currency string) string {
	return new(big.Rat).SetFrac(big.NewInt(minor), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponents[currency])), nil)).FloatString(exponents[currency])
}

// value is what a row of a counting or adding metric must hold.
type value struct {
	count int64
	sum   *big.Int
}

// oracle holds the expected rows by "metric/window/start/labels", and for the others what their sketches stand for.
type oracle struct {
	values   map[string]*value
	distinct map[string]map[string]bool  // metric row → values
	top      map[string]map[string]int64 // metric row → value → weight
	sessions map[string][]session        // customer → buying sessions
	paid     map[string]int64            // order → time, 0 = not
	shipped  map[string]int              // metric → dispatches or deliveries of known orders
}

type session struct{ start, end, count int64 }

var windows = map[string]int64{"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}

func rowKeys(metric string, at int64, labels []string) (keys []string) {
	joined := ""
	for i, l := range labels {
		if l == "" {
			l = "(none)"
		}
		if i > 0 {
			joined += ","
		}
		joined += l
	}
	for name, size := range windows {
		keys = append(keys, metric+"/"+name+"/"+time.UnixMilli(at-at%size).UTC().Format("2006-01-02T15:04:05Z")+"/"+joined)
	}
	return keys
}

func (o *oracle) add(metric string, at, count, sum int64, labels ...string) {
	for _, key := range rowKeys(metric, at, labels) {
		v := o.values[key]
		if v == nil {
			v = &value{sum: new(big.Int)}
			o.values[key] = v
		}
		v.count += count
		v.sum.Add(v.sum, big.NewInt(sum))
	}
}

// evaluate takes the facts of each topic in the order in which the topic has them.
func evaluate(facts []fact) *oracle {
	o := &oracle{values: map[string]*value{}, distinct: map[string]map[string]bool{}, top: map[string]map[string]int64{}, sessions: map[string][]session{}, paid: map[string]int64{}, shipped: map[string]int{}}
	byOrder := map[string][]fact{}
	seen := map[string]bool{}
	for _, f := range facts {
		if seen[f.order+" "+f.id] {
			continue
		}
		seen[f.order+" "+f.id] = true
		byOrder[f.order] = append(byOrder[f.order], f)
	}
	bought := map[string][]fact{}
	for _, events := range byOrder {
		i := slices.IndexFunc(events, func(f fact) bool { return f.kind == "order.created" })
		if i < 0 {
			continue // its payments and shipments wait for ever
		}
		o.order(events[i], events)
		bought[events[i].customer] = append(bought[events[i].customer], events[i])
	}
	for customer, orders := range bought {
		if customer != "" {
			o.sessions[customer] = sessionsOf(orders)
		}
	}
	return o
}

func (o *oracle) order(c fact, events []fact) {
	o.creation(c)
	total, totalAt, priced := int64(0), int64(-1), false
	type capture struct{ at, amount int64 }
	var captures []capture
	var dispatched, delivered bool
	for i, f := range events {
		switch f.kind {
		case "order.created", "order.updated":
			if f.amount >= 0 && f.currency == c.currency && c.currency != "" && f.at >= totalAt {
				total, totalAt, priced = f.amount, f.at, true
			}
		case "order.cancelled":
			o.add("cancellations", f.at, 1, 0, c.region, f.reason)
		case "payment.attempted", "payment.authorized", "payment.captured":
			o.add("payments_"+f.kind[len("payment."):], f.at, 1, 0, f.method, c.region, c.country)
			if f.kind == "payment.captured" {
				o.shipped["time_to_pay"]++
				o.add("revenue", f.at, 1, f.amount, f.method, c.region, c.country, f.currency)
				if f.currency == c.currency {
					captures = append(captures, capture{f.at, f.amount})
				}
			}
		case "payment.failed":
			o.add("payments_failed", f.at, 1, 0, f.method, c.region, c.country, f.decline)
		case "payment.refunded":
			o.add("refunds", f.at, 1, f.amount, f.method, c.region, f.currency)
		case "payment.disputed":
			o.add("disputes", f.at, 1, f.amount, f.method, c.region, f.currency)
		case "shipment.dispatched":
			dispatched = true
			o.shipped["time_to_ship"]++
			o.add("shipments_dispatched", f.at, 1, 0, f.carrier, c.region, c.country)
		case "shipment.delivered":
			delivered = true
			o.shipped["time_to_deliver"]++
			o.add("deliveries", f.at, 1, 0, f.carrier, c.region, c.country, onTime(c, f, events[:i]))
		}
	}
	slices.SortStableFunc(captures, func(a, b capture) int { return int(a.at - b.at) })
	sum := int64(0)
	paidAt := int64(0)
	if priced && total == 0 {
		paidAt = c.at
	}
	for _, p := range captures {
		if sum += p.amount; priced && sum >= total && paidAt == 0 {
			paidAt = p.at
		}
	}
	o.paid[c.order] = paidAt
	for stage, reached := range map[string]bool{"created": true, "paid": paidAt != 0, "dispatched": dispatched, "delivered": delivered} {
		if reached {
			o.add("funnel", c.at, 1, 0, stage, c.region, c.country)
		}
	}
}

func (o *oracle) creation(c fact) {
	o.add("orders", c.at, 1, 0, c.region, c.country, c.channel, c.currency)
	o.add("gmv", c.at, 1, c.amount, c.region, c.country, c.channel, c.currency)
	if c.customer != "" {
		for _, key := range rowKeys("customers", c.at, []string{c.region, c.country}) {
			if o.distinct[key] == nil {
				o.distinct[key] = map[string]bool{}
			}
			o.distinct[key][c.customer] = true
		}
	}
	for _, l := range c.items {
		o.add("items_sold", c.at, 1, l.quantity, l.category, c.currency)
		o.add("item_revenue", c.at, 1, l.quantity*l.price, l.category, c.currency)
		for _, key := range rowKeys("top_products", c.at, []string{l.category}) {
			if o.top[key] == nil {
				o.top[key] = map[string]int64{}
			}
			o.top[key][l.product] += l.quantity
		}
	}
}

// onTime judges a delivery by the customer's promise, else by what the delivery itself expected, else by what its shipment was
// first expected for, as far as the carrier had told before.
func onTime(c, delivery fact, before []fact) string {
	due := c.promised
	if due == 0 {
		due = delivery.expected
	}
	for _, f := range before {
		if due == 0 && f.kind[0] == 's' && f.shipment == delivery.shipment {
			due = f.expected
		}
	}
	if due == 0 {
		return "unknown"
	}
	return fmt.Sprint(delivery.at <= due)
}

func sessionsOf(orders []fact) (all []session) {
	slices.SortFunc(orders, func(a, b fact) int { return int(a.at - b.at) })
	for _, f := range orders {
		if n := len(all); n > 0 && f.at-all[n-1].end <= 30*60_000 {
			all[n-1].end = f.at
			all[n-1].count++
			continue
		}
		all = append(all, session{f.at, f.at, 1})
	}
	return all
}
