package shop

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"weir/topology/event"
)

// TestEachPatternIsWhatItsNameSays asks of every episode, over several seeds, what makes it that fraud.
func TestEachPatternIsWhatItsNameSays(t *testing.T) {
	checks := map[string]func(r *run, p Truth) string{
		"card_testing_bot": isCardTesting, "account_takeover": isTakeover, "promo_ring": isPromoRing, "reshipping_cluster": isReshipping,
		"refund_abuser": isRefundAbuse, "bust_out": isBustOut, "stolen_card_spree": isSpree,
	}
	seen := map[string]int{}
	for _, seed := range []int64{1, 2, 3, 4} {
		o := month(t, seed, 8_000)
		o.Fraud = times(t, 6)
		r := runOf(t, o)
		for _, p := range r.episodes {
			seen[p.Pattern]++
			if wrong := checks[p.Pattern](r, p); wrong != "" {
				t.Errorf("seed %d, %s of %s: %s", seed, p.Episode, p.From.Format(time.RFC3339), wrong)
			}
		}
	}
	for name := range checks {
		if seen[name] < 10 {
			t.Errorf("only %d episodes of %s", seen[name], name)
		}
	}
}

func isCardTesting(r *run, p Truth) string {
	attempts := r.attempts(p.Orders)
	most := 0
	for i, first := range attempts {
		cards := map[string]bool{}
		for _, e := range attempts[i:] {
			if e.At <= first.At.Add(10*time.Minute) && byIP(e) == byIP(first) {
				cards[byCard(e)] = true
			}
		}
		most = max(most, len(cards))
	}
	failed := 0
	for _, id := range p.Orders {
		for _, e := range r.byOrder[id] {
			if e.Type == event.PaymentFailed {
				failed++
			}
		}
	}
	switch took := attempts[len(attempts)-1].At - attempts[0].At; {
	case most < 5:
		return fmt.Sprintf("%d cards from one ip in 10 minutes", most)
	case 10*failed < 7*len(attempts):
		return fmt.Sprintf("%d of %d attempts are declined", failed, len(attempts))
	case took > 45*60_000:
		return fmt.Sprintf("it takes %d ms", took)
	case distinct(attempts, byIP) > 3:
		return "it has many addresses"
	}
	return ""
}

func isTakeover(r *run, p Truth) string {
	orders := r.created(p.Orders)
	owned, before, mean := map[string]bool{}, 0, 0.0
	for _, e := range r.events {
		if e.Type == event.OrderCreated && e.CustomerID == orders[0].CustomerID && !slices.Contains(p.Orders, e.OrderID) {
			owned[e.Client.DeviceID], owned[e.Client.IP], owned[e.ShippingAddressHash] = true, true, true
			if e.At < orders[0].At {
				before++
			}
		}
	}
	for _, e := range orders {
		if owned[e.Client.DeviceID] || owned[e.Client.IP] || owned[e.ShippingAddressHash] {
			return "the owner has that device, network or address"
		}
		mean += euros(e) / float64(len(orders))
	}
	switch {
	case distinct(orders, byCustomer) != 1 || distinct(orders, byDevice) != 1 || distinct(orders, byAddress) != 1:
		return "it is not one intruder"
	case before == 0:
		return "the account never ordered before"
	case time.Duration(orders[0].At-orders[0].CustomerCreatedAt)*time.Millisecond < 60*24*time.Hour:
		return "the account is new"
	case mean < 120:
		return fmt.Sprintf("its orders are worth %.0f euros", mean)
	case len(orders) < 2 || orders[len(orders)-1].At > orders[0].At.Add(3*time.Hour):
		return "it takes long"
	}
	return ""
}

func isPromoRing(r *run, p Truth) string {
	orders := r.created(p.Orders)
	for _, e := range orders {
		if e.Coupon != orders[0].Coupon || e.Coupon == "" {
			return "the coupons differ"
		}
		if e.At-e.CustomerCreatedAt > 135*60_000 {
			return "an account is old"
		}
	}
	n := len(orders)
	if distinct(orders, byCustomer) != n || distinct(orders, byEmail) != n ||
		distinct(orders, byDevice) > 3 || distinct(orders, byAddress) > 3 || distinct(orders, byIP) != 1 {
		return "the accounts are not one person's"
	}
	return ""
}

func isReshipping(r *run, p Truth) string {
	orders := r.created(p.Orders)
	foreign, worth := 0, 0.0
	for _, e := range orders {
		if e.ShippingCountry != e.BillingCountry {
			foreign++
		}
		worth += euros(e) / float64(len(orders))
	}
	switch {
	case distinct(orders, byAddress) > 2 || distinct(orders, byCustomer) != len(orders) || distinct(r.attempts(p.Orders), byCard) != len(orders):
		return "it is not many customers with cards of their own at few addresses"
	case distinct(orders, byBilling) < 2 || foreign < len(orders):
		return "it is of one country"
	case worth < 120:
		return fmt.Sprintf("the orders are worth %.0f euros", worth)
	}
	return ""
}

func isRefundAbuse(r *run, p Truth) string {
	back := r.with(p.Orders, event.PaymentRefunded)
	if distinct(r.created(p.Orders), byCustomer) != 1 || len(p.Orders) < 9 || 10*back < 6*len(p.Orders) {
		return fmt.Sprintf("%d of %d orders are refunded", back, len(p.Orders))
	}
	if r.with(p.Orders, event.ShipmentFailed, event.ShipmentReturned) < back {
		return "refunds without a reason"
	}
	return ""
}

func isBustOut(r *run, p Truth) string {
	mean := func(orders []*event.Event) (sum float64) {
		for _, e := range orders {
			sum += euros(e) / float64(len(orders))
		}
		return sum
	}
	history, burst := r.created(p.History), r.created(p.Orders)
	switch {
	case distinct(append(history, burst...), byCustomer) != 1 || len(history) < 6 || len(burst) < 5:
		return fmt.Sprintf("%d orders after %d", len(burst), len(history))
	case mean(burst) < 3*mean(history):
		return fmt.Sprintf("%.0f euros after %.0f", mean(burst), mean(history))
	case burst[len(burst)-1].At > burst[0].At.Add(30*time.Hour) || history[len(history)-1].At > burst[0].At:
		return "there is no burst"
	case 2*r.with(p.Orders, event.PaymentDisputed) < len(burst):
		return "most is not charged back"
	}
	return ""
}

func isSpree(r *run, p Truth) string {
	orders, attempts := r.created(p.Orders), r.attempts(p.Orders)
	for _, e := range orders {
		if e.BillingCountry == attempts[0].Card.Country {
			return "the card is from where the orders are"
		}
	}
	n := len(orders)
	switch {
	case distinct(attempts, byCard) != 1 || distinct(orders, byDevice) < 3 || distinct(orders, byCustomer) < 3:
		return "it is not one card in many hands"
	case euros(orders[n-1])+euros(orders[n-2]) < 1.5*(euros(orders[0])+euros(orders[1])):
		return "the amounts do not grow"
	case orders[n-1].At > orders[0].At.Add(9*time.Hour):
		return "it takes long"
	}
	return ""
}

// Two episodes of a pattern are never alike, so that a rule which fits one seed does not fit the next by accident.
func TestEpisodesVary(t *testing.T) {
	shapes := map[string]map[string]bool{}
	n := map[string]int{}
	for _, seed := range []int64{11, 12} {
		o := month(t, seed, 8_000)
		o.Fraud = times(t, 6)
		r := runOf(t, o)
		for _, p := range r.episodes {
			orders := r.created(p.Orders)
			shape := fmt.Sprint(len(orders), distinct(orders, byIP), distinct(orders, byDevice), distinct(orders, byAddress),
				int(math.Log2(float64(orders[len(orders)-1].At-orders[0].At)+1)*2), int(euros(orders[0])/20))
			if shapes[p.Pattern] == nil {
				shapes[p.Pattern] = map[string]bool{}
			}
			shapes[p.Pattern][shape] = true
			n[p.Pattern]++
		}
	}
	for name, different := range shapes {
		if 10*len(different) < 7*n[name] {
			t.Errorf("%s: %d episodes have %d shapes", name, n[name], len(different))
		}
	}
}
