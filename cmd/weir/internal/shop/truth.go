package shop

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"weir/topology/event"
)

// Truth is what is known of some orders because the shop made them: an episode of a planted pattern that is over, or an honest
// circumstance that looks like one.
type Truth struct {
	Pattern   string    `json:"pattern,omitempty"`
	Lookalike string    `json:"lookalike,omitempty"`
	Episode   string    `json:"episode,omitempty"`
	From      time.Time `json:"from"`           // of the first event
	To        time.Time `json:"to"`             // of the last one
	Open      bool      `json:"open,omitempty"` // the run ended before the episode did
	Entities  []string  `json:"entities"`       // kind:id, as rules name them
	Orders    []string  `json:"orders"`
	// History are honest orders of the same account that prepared the fraud.
	History []string `json:"history,omitempty"`
	// Amount is what the orders are worth and Captured what was taken for them, by currency, in minor units. History is left out.
	Amount   map[string]string `json:"amount,omitempty"`
	Captured map[string]string `json:"captured,omitempty"`
	// Count is how many orders look alike, where not all are listed.
	Count int `json:"count,omitempty"`
}

// Limits of one Truth, and of the look-alikes of one kind.
const (
	maxEntities   = 2000
	maxLookOrders = 200
	maxLookCited  = 40 // entities
	maxLooks      = 1000
)

// Told returns what has become known since the last call. Only a shop with Options.Truth knows anything.
func (s *Shop) Told() []Truth {
	told := s.plants.told
	s.plants.told = nil
	return told
}

// Close ends the account: it returns what Told would, the episodes that are under way, and the honest look-alikes.
func (s *Shop) Close() []Truth {
	told := s.Told()
	var running []*episode
	for p := range s.plants.running {
		running = append(running, p)
	}
	slices.SortFunc(running, func(a, b *episode) int {
		return cmp.Or(cmp.Compare(a.pattern.name, b.pattern.name), cmp.Compare(a.number, b.number))
	})
	for _, p := range running {
		if p.truth.from != 0 {
			told = append(told, p.told(s, true))
		}
	}
	return append(told, s.plants.looks.told(s)...)
}

// account collects what an episode does.
type account struct {
	from, to         event.UnixMilli
	entities         []string
	seen             map[string]struct{}
	orders, history  []int64
	amount, captured map[string]int64
}

func newAccount() *account {
	return &account{seen: map[string]struct{}{}, amount: map[string]int64{}, captured: map[string]int64{}}
}

// add takes an event of one of the orders.
func (a *account) add(o *order, e *event.Event) {
	if a.from == 0 {
		a.from = e.At
	}
	a.to = max(a.to, e.At)
	for kind, id := range entitiesOf(e) {
		if _, ok := a.seen[id]; id != "" && !ok && len(a.entities) < maxEntities {
			a.seen[id] = struct{}{}
			a.entities = append(a.entities, kind+":"+id)
		}
	}
	history := o.visit != nil && o.visit.history
	switch {
	case e.Type == event.OrderCreated && history:
		a.history = append(a.history, o.sequence)
	case e.Type == event.OrderCreated:
		a.orders = append(a.orders, o.sequence)
		a.amount[e.Currency] += e.AmountMinor
	case e.Type == event.PaymentCaptured && !history:
		a.captured[e.Currency] += e.AmountMinor
	}
}

// entitiesOf are the kinds and ids of whom an event is about.
func entitiesOf(e *event.Event) func(yield func(kind, id string) bool) {
	return func(yield func(kind, id string) bool) {
		_ = yield("customer", e.CustomerID) && yield("card", e.Card.Fingerprint) && yield("ip", e.Client.IP) &&
			yield("device", e.Client.DeviceID) && yield("email", e.EmailHash) && yield("address", e.ShippingAddressHash)
	}
}

func (p *episode) told(s *Shop, open bool) Truth {
	a := p.truth
	return Truth{
		Pattern: p.pattern.name, Episode: p.pattern.name + "-" + strconv.Itoa(p.number), From: a.from.Time(), To: a.to.Time(), Open: open,
		Entities: a.entities, Orders: s.orderIDs(a.orders), History: s.orderIDs(a.history), Amount: minors(a.amount), Captured: minors(a.captured),
	}
}

func minors(sums map[string]int64) map[string]string {
	if len(sums) == 0 {
		return nil
	}
	texts := make(map[string]string, len(sums))
	for currency, minor := range sums {
		texts[currency] = strconv.FormatInt(minor, 10)
	}
	return texts
}

func (s *Shop) orderIDs(sequences []int64) []string {
	ids := make([]string, len(sequences))
	for i, n := range sequences {
		ids[i] = string(strconv.AppendInt(append(make([]byte, 0, 32), s.prefix...), n, 36))
	}
	return ids
}
