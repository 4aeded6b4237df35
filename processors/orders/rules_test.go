package orders

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// orderRules are one of each kind, quick enough for histories of a few milliseconds.
const orderRules = `
rules:
  - {id: differs, title: t, reason: a capture is not the total, severity: high, score: 60, state: live, entity: payment, reconcile: {check: capture_differs}}
  - {id: doubled, title: t, reason: captured twice, severity: high, score: 70, state: live, entity: payment, reconcile: {check: duplicate_capture, settle: 2ms}}
  - {id: early, title: t, reason: shipped before it was paid, severity: high, score: 50, state: live, entity: order, sequence: {event: dispatched, before: paid, settle: 1ms}}
  - {id: over, title: t, reason: more captured than it costs, severity: high, score: 80, state: live, entity: payment, reconcile: {check: captures_over_total, settle: 1ms}}
  - {id: refunded, title: t, reason: more refunded than captured, severity: high, score: 80, state: live, entity: customer, reconcile: {check: refunds_over_captures}}
  - {id: stuck, title: t, reason: paid and not shipped, severity: low, score: 20, state: live, entity: order, expect: {event: dispatched, within: 3ms, after: paid, unless: [cancelled]}}
`

func loadRules(t rapid.TB, text string) *rule.Set {
	t.Helper()
	set, err := rule.Load("rules of the test", []byte(text))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return set
}

// advance moves the watermark on and calls the row's timers. It reports whether the row expired.
func (s *shop) advance(to event.UnixMilli) (expired bool) {
	s.watermark = to
	for calls := 0; ; calls++ {
		at := Deadline(&s.settings, &s.row)
		if at == 0 || at > to {
			return false
		}
		if calls > 3 {
			s.t.Fatalf("the timer of %s does not move its deadline", at.Time())
		}
		s.out.Reset()
		expired := Timer(&s.settings, &s.row, "o1", &Input{Watermark: to, Rules: s.rules}, &s.out)
		s.known.read(s.t, s.out.Findings)
		if expired {
			return true
		}
	}
}

// holding are the findings that the row as it is stands for.
func (s *shop) holding() ledger {
	all := ledger{}
	if !s.row.Created {
		return all
	}
	hits, _ := s.rules.Judge("o1", &s.row, 0, s.watermark)
	for i := range hits {
		f := finding(&hits[i], &s.row, "o1", &Input{})
		all[identity(f)] = f
	}
	return all
}

func (l ledger) equal(other ledger) bool {
	for id, f := range l {
		if !f.EqualVT(other[id]) {
			return false
		}
	}
	return len(l) == len(other)
}

// rules are the names of the rules of which something stands.
func (l ledger) rules() string {
	var names []string
	for _, f := range l {
		names = append(names, f.Rule)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestInterleavingOfTopicsChangesNoHits plays one history in many orders, with watermarks that stop at other places on the way. In the
// end the row stands by the same hits, and what was told and not withdrawn is just these.
func TestInterleavingOfTopicsChangesNoHits(t *testing.T) {
	set := loadRules(t, orderRules)
	end := noon + 20
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		streams := history(t)
		play := func(seed uint64) *shop {
			s := newShop(t)
			s.rules = set
			rng := rand.New(rand.NewPCG(seed, 1))
			for left := slices.Clone(streams); ; {
				if left = slices.DeleteFunc(left, func(s []Input) bool { return len(s) == 0 }); len(left) == 0 {
					break
				}
				i := rng.IntN(len(left)) * int(min(seed, 1)) // the first time one topic after the other
				in := left[i][0]
				s.step(&in)
				left[i] = left[i][1:]
				if to := noon + event.UnixMilli(rng.IntN(20)); seed > 0 && to > s.watermark && rng.IntN(4) == 0 {
					s.advance(to)
				}
			}
			s.advance(end)
			if holding := s.holding(); !s.known.equal(holding) {
				t.Fatalf("known is\n%v\nbut it holds\n%v", s.known, holding)
			}
			return s
		}
		first := play(0)
		for id := range first.known {
			seen[first.known[id].Rule] = true
		}
		for seed := range uint64(8) {
			other := play(seed + 1)
			if !first.known.equal(other.known) || !first.row.EqualVT(&other.row) {
				t.Fatalf("in another order there holds\n%v\nand not\n%v", other.known, first.known)
			}
		}
	})
	if len(seen) < 3 {
		t.Errorf("hardly any rule ever hit: %v", seen)
	}
}

func TestOvercaptureIsToldOnceAndWithdrawnWhenTheTotalIsCorrected(t *testing.T) {
	s := newShop(t)
	s.rules = loadRules(t, strings.ReplaceAll(orderRules, ", settle: 1ms", ""))
	s.send(created("e1", noon, 2000))
	s.send(captured("e2", noon+1, 2000, "EUR"))
	s.expect("findings", s.known.rules(), "")
	s.send(captured("e3", noon+2, 1, "EUR"))
	s.expect("redelivery", s.send(captured("e3", noon+2, 1, "EUR")), Duplicate)
	s.send(shipped("e4", event.ShipmentDispatched, noon+3, 0))
	s.expect("findings", s.known.rules(), "differs over")
	s.expect("hits in the row", len(s.row.Raised), 2)
	for _, f := range s.known {
		if f.Rule == "over" {
			s.expect("entity", f.Entity, "payment:p-e3")
			s.expect("event", f.Event.Id, "e3")
			s.expect("parts", f.Parts, uint32(1))
			s.expect("risk", f.RiskMinor, int64(2000))
			s.expect("score", f.Score, int64(80))
			s.expect("reason", f.Reason, "more captured than it costs")
			s.expect("observed", f.Predicates[0].Observed, "20.01 EUR")
		}
	}
	s.send(updated("e5", noon+5, 2001))
	s.expect("findings", s.known.rules(), "differs")
}

func TestAStuckOrderIsFoundByItsTimer(t *testing.T) {
	s := newShop(t)
	s.rules = loadRules(t, orderRules)
	s.send(created("e1", noon, 2000))
	s.send(captured("e2", noon, 2000, "EUR"))
	s.expect("deadline", Deadline(&s.settings, &s.row), noon+3)
	s.advance(noon + 2)
	s.expect("findings", s.known.rules(), "")
	s.advance(noon + 3)
	s.expect("findings", s.known.rules(), "stuck")
	s.expect("deadline", Deadline(&s.settings, &s.row), expiry(&s.settings, int64(noon)))
	s.send(shipped("e3", event.ShipmentDispatched, noon+9, 0))
	s.expect("findings once it went", s.known.rules(), "stuck")
	s.send(shipped("e4", event.ShipmentDispatched, noon+3, 0))
	s.expect("findings once an earlier dispatch is known", s.known.rules(), "")
	s.expect("hits in the row", len(s.row.Raised), 0)
}

func TestALeapOfTheWatermarkFindsWhatStepsWouldHave(t *testing.T) {
	late := strings.ReplaceAll(orderRules, "within: 3ms", "within: 40d")
	for name, c := range map[string]struct {
		rules, want string
	}{"within the retention": {orderRules, "stuck"}, "beyond it": {late, ""}} {
		for _, leap := range []bool{false, true} {
			s := newShop(t)
			s.settings.Retention = 30 * 24 * time.Hour
			s.rules = loadRules(t, c.rules)
			s.send(created("e1", noon, 2000))
			s.send(captured("e2", noon, 2000, "EUR"))
			expired, end := false, noon.Add(60*24*time.Hour)
			for at := noon; !leap && at < end && !expired; at = at.Add(12 * time.Hour) {
				expired = s.advance(at)
			}
			if !expired {
				expired = s.advance(end)
			}
			s.expect(name+": expired", expired, true)
			s.expect(name+": findings stay", s.known.rules(), c.want)
		}
	}
}

func TestHitsOfRulesThatAreGoneAreWithdrawnWhenTheOrderIsTouched(t *testing.T) {
	s := newShop(t)
	s.rules = loadRules(t, orderRules)
	s.send(created("e1", noon, 2000))
	s.send(captured("e2", noon, 1, "EUR"))
	s.expect("findings", s.known.rules(), "differs")
	s.rules = loadRules(t, strings.ReplaceAll(orderRules, "id: differs", "id: deviates"))
	s.expect("a redelivery", s.send(captured("e2", noon, 1, "EUR")), Duplicate)
	s.expect("findings", s.known.rules(), "differs")
	s.send(shipped("e3", event.ShipmentCreated, noon+1, 0))
	s.expect("findings", s.known.rules(), "deviates")
	s.rules = nil
	s.send(shipped("e4", event.ShipmentInTransit, noon+2, 0))
	s.expect("findings without rules", s.known.rules(), "")
	s.expect("due without rules", s.row.NextDueMs, int64(0))
}

// velocity asks things of customers, cards and ips, and of one event alone.
const velocity = `
features:
  - {name: customer_orders, on: order.created, key: customer, agg: count, windows: [5m]}
  - {name: card_attempts, on: [payment.attempted, payment.captured], key: card, agg: count, windows: [10m]}
  - {name: ip_customers, on: order.created, key: ip, value: customer_id, agg: distinct, windows: [1h]}
rules:
  - {id: fast, title: t, reason: many orders, severity: high, score: 60, state: live, entity: customer, on: order.created, when: "customer_orders > 3"}
  - {id: testing, title: t, reason: many attempts, severity: high, score: 60, state: live, entity: card, on: payment.captured, when: "card_attempts > 3"}
  - {id: crowd, title: t, reason: many customers, severity: high, score: 60, state: live, entity: ip, on: order.created, when: "ip_customers > 3"}
  - {id: dear, title: t, reason: a large order, severity: low, score: 10, state: live, entity: customer, on: order.created, when: "total >= 20"}
`

// TestEveryEventIsObservedOnceWhenItCounts holds what is observed to what metrics count.
func TestEveryEventIsObservedOnceWhenItCounts(t *testing.T) {
	s := newShop(t)
	s.rules = loadRules(t, velocity)
	observed := func() (all []string) {
		for i := range s.out.Observed {
			for _, o := range s.out.Observed[i].Observations {
				var obs table.Observation
				if rest, err := obs.Parse(o.Body); err != nil || len(rest) > 0 || obs.OrderID != "o1" {
					t.Fatalf("%s: %v, %d bytes left, order %s", o.Key, err, len(rest), obs.OrderID)
				}
				all = append(all, obs.ID+" "+o.Key)
			}
		}
		return all
	}
	payment := captured("e1", noon-1, 2000, "EUR")
	payment.Card.Fingerprint = "f1"
	s.send(payment)
	s.expect("observed while it waits", len(observed()), 0)
	order := created("e2", noon, 2000)
	order.Client.IP = "192.0.2.1"
	s.send(order)
	s.expect("observed when its order comes", strings.Join(observed(), ", "), "e1 card:f1, e2 customer:c1, e2 ip:192.0.2.1")
	s.expect("found by the event alone", s.known.rules(), "dear")
	s.send(order)
	s.expect("observed of a redelivery", len(observed()), 0)
	s.expect("findings of a redelivery", len(s.out.Findings), 0)
	s.send(shipped("e3", event.ShipmentCreated, noon, 0))
	s.expect("observed of an event that no feature is on", len(observed()), 0)
}
