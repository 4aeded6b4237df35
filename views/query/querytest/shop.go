package querytest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
)

// Shop makes plausible rows: a shop with daily rhythm, three regions, two currencies, payments that fail, parcels that are late.
// Equal seeds make equal shops.
type Shop struct {
	*Table
	rng  *rand.Rand
	rate float64 // mean orders a minute
}

// OpenShop makes a shop over t.
func OpenShop(t *Table, seed uint64, ordersPerMinute float64) *Shop {
	return &Shop{Table: t, rng: rand.New(rand.NewPCG(seed, 1)), rate: ordersPerMinute}
}

var (
	categories = []string{"Outdoor", "Audio", "Kitchen", "Home", "Kids", "Bikes", "Beauty", "Books, used"}
	places     = []struct{ region, country, currency string }{{"eu-west", "DE", "EUR"}, {"eu-west", "FR", "EUR"}, {"eu-south", "IT", "EUR"}, {"us", "US", "USD"}}
)

// add adds to the row of each window that at falls into.
func (s *Shop) add(name string, at time.Time, count, sum int64, labels ...string) {
	for _, w := range Windows {
		s.Add(metric.Key{Metric: name, Window: w.Name, Start: event.UnixMilli(at.Truncate(w.Length).UnixMilli()), Labels: labels}.String(), count, sum)
	}
}

func (s *Shop) took(name string, at time.Time, seconds float64, labels ...string) {
	for _, w := range Windows {
		s.Took(Key(name, w.Name, at.Truncate(w.Length), labels...), time.Duration(seconds)*time.Second)
	}
}

// Minute adds the share of what happens in the minute that begins at at.
func (s *Shop) Minute(at time.Time, share float64) {
	hour := float64(at.Hour()) + float64(at.Minute())/60
	mean := s.rate * share * (1 + 0.45*math.Sin((hour-9)/24*2*math.Pi)) * (0.92 + 0.16*s.rng.Float64())
	for range int(mean) {
		s.Order(at.Add(time.Duration(s.rng.IntN(60)) * time.Second))
	}
}

// Order adds one order and what becomes of it.
func (s *Shop) Order(at time.Time) {
	p := places[min(s.rng.IntN(5), 3)]
	total := int64(1500 + s.rng.ExpFloat64()*5000)
	category := categories[int(math.Abs(s.rng.NormFloat64())*3)%len(categories)]
	s.add("orders", at, 1, 0, p.region, p.country, "web", p.currency)
	s.add("gmv", at, 1, total, p.region, p.country, "web", p.currency)
	s.add("item_revenue", at, 1, total, category, p.currency)
	s.add("items_sold", at, 1, 2, category, p.currency)
	s.add("funnel", at, 1, 0, "created", p.region, p.country)
	if s.rng.Float64() < 0.05 {
		s.add("payments_failed", at, 1, 0, "card", p.region, p.country, "insufficient_funds")
		return
	}
	s.add("payments_captured", at, 1, 0, "card", p.region, p.country)
	s.add("revenue", at, 1, total, "card", p.region, p.country, p.currency)
	s.add("funnel", at, 1, 0, "paid", p.region, p.country)
	s.took("time_to_pay", at, 41+s.rng.ExpFloat64()*90, p.region, p.country)
	if s.rng.Float64() < 0.71 {
		s.add("shipments_dispatched", at, 1, 0, "dhl", p.region, p.country)
		s.took("time_to_ship", at, 1800+s.rng.ExpFloat64()*17000, "dhl", p.region, p.country)
		s.add("funnel", at, 1, 0, "dispatched", p.region, p.country)
		if s.rng.Float64() < 0.2 {
			s.add("funnel", at, 1, 0, "delivered", p.region, p.country)
			s.took("time_to_deliver", at, 40000+s.rng.ExpFloat64()*40000, "dhl", p.region, p.country)
			s.add("deliveries", at, 1, 0, "dhl", p.region, p.country, fmt.Sprint(s.rng.Float64() > 0.034))
		}
	}
}
