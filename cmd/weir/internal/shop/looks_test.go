package shop

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"weir/topology/event"
)

func TestLookalikesAreWhatTheirNamesSay(t *testing.T) {
	r := runOf(t, month(t, 8, 40_000))
	most := map[string]int{} // of customers
	for _, p := range r.looks {
		n := 0
		for _, e := range p.Entities {
			if strings.HasPrefix(e, "customer:") {
				n++
			}
		}
		most[p.Lookalike] = max(most[p.Lookalike], n)
	}
	for name, least := range map[string]int{"office_nat": 3, "campus_nat": 6, "carrier_nat": 8, "family": 2, "parcel_locker": 6, "coupon_campaign": 4} {
		if most[name] < least {
			t.Errorf("%s: %d customers at most, want %d", name, most[name], least)
		}
	}
	customers := map[string]int{}
	cards, devices := map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(m map[string]map[string]bool, key, who string) {
		if m[key] == nil {
			m[key] = map[string]bool{}
		}
		m[key][who] = true
	}
	planted := r.planted()
	for _, e := range r.events {
		if planted[e.OrderID] != "" {
			continue
		}
		switch {
		case e.Type == event.OrderCreated:
			customers[e.CustomerID]++
			note(devices, e.Client.DeviceID, e.CustomerID)
		case e.Type == event.PaymentAttempted && e.Card.Fingerprint != "":
			note(cards, e.Card.Fingerprint, e.CustomerID)
		}
	}
	repeat := 0
	for _, n := range customers {
		if n > 1 {
			repeat++
		}
	}
	if share := float64(repeat) / float64(len(customers)); share < 0.15 || share > 0.7 {
		t.Errorf("%.2f of the customers come back within a month", share)
	}
	if busiest := slices.Max(slices.Collect(maps.Values(customers))); busiest < 10 || busiest > 45 {
		t.Errorf("the most loyal customer orders %d times a month", busiest)
	}
	for what, m := range map[string]map[string]map[string]bool{"card": cards, "device": devices} {
		shared := 0
		for _, who := range m {
			if len(who) > 1 {
				shared++
			}
			if len(who) > 3 {
				t.Errorf("an honest %s has %d customers", what, len(who))
			}
		}
		if shared < 20 {
			t.Errorf("%d families share a %s", shared, what)
		}
	}
}
