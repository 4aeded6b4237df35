package rule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// Limits of what is judged.
const (
	maxHitsPerOrder = 20               // of one rule: the earliest
	maxCitedEvents  = 20               // of one predicate: the newest
	duplicateSpan   = 10 * time.Minute // within which two captures on one card are taken for one payment
)

// judging is one order before its rules.
type judging struct {
	orderID   string
	order     *table.Order
	partition int32
	watermark event.UnixMilli
	hits      []Hit
	first     int // hit of the rule at hand
	due       event.UnixMilli
}

func (s *Set) judge(orderID string, o *table.Order, partition int32, watermark event.UnixMilli) (hits []Hit, due event.UnixMilli) {
	if !o.Created {
		return nil, 0
	}
	j := judging{orderID: orderID, order: o, partition: partition, watermark: watermark}
	for _, r := range s.orders {
		j.ask(r)
	}
	if len(j.hits) > 1 {
		slices.SortFunc(j.hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(a.Rule.ID, b.Rule.ID), cmp.Compare(a.Key, b.Key)) })
	}
	return j.hits, j.due
}

// ask adds the hits of one rule. A defect in it costs that rule this order, nothing else.
func (j *judging) ask(r *orderRule) {
	stats, o := &r.rule.stats, j.order
	stats.Asked.Add(1)
	j.first = len(j.hits)
	defer func() {
		if p := recover(); p != nil {
			j.hits = j.hits[:j.first]
			stats.Broken.Add(1)
		}
	}()
	switch r.check {
	case checkCapturesOverTotal:
		j.over(r, event.PaymentCaptured, o.CapturedMinor, o.TotalMinor, "captured > total")
	case checkRefundsOverCaptures:
		j.over(r, event.PaymentRefunded, o.RefundedMinor, o.CapturedMinor, "refunded > captured")
	case checkCaptureDiffers:
		j.differs(r)
	case checkDuplicateCapture:
		j.duplicates(r)
	case checkSequence:
		j.sequence(r)
	case checkExpect:
		j.expect(r)
	}
	if len(j.hits) > j.first {
		stats.Passed.Add(1)
	}
}

// reached reports whether the watermark has come to a time. If not, the order is judged again then.
func (j *judging) reached(at event.UnixMilli) bool {
	if j.watermark > 0 && j.watermark >= at {
		return true
	}
	if j.due == 0 || at < j.due {
		j.due = at
	}
	return false
}

// ours reports whether an entry is such a payment, of an amount, in the order's currency.
func (j *judging) ours(e *table.Entry, kind event.Type) bool {
	return event.Type(e.Type) == kind && e.AmountMinor != 0 && e.Currency == j.order.Currency && e.Currency != ""
}

// over finds the payments that bring a sum above what it may be.
func (j *judging) over(r *orderRule, kind event.Type, sum, most int64, text string) {
	o := j.order
	if sum <= most || o.Currency == "" || kind == event.PaymentCaptured && !hasTotal(o, false) {
		return
	}
	limit := most + r.tolerance.of(most, o.Currency)
	if sum <= limit {
		return
	}
	sum = 0
	for i, e := range o.Entries {
		if !j.ours(e, kind) {
			continue
		}
		if sum += e.AmountMinor; sum <= limit || !j.settled(r, e) || j.known(paymentKey(e)) {
			continue
		}
		j.payment(r, e, &table.Predicate{Text: r.tolerance.widen(text), Operator: ">", Observed: j.money(sum), Threshold: j.money(limit)},
			func(yield func(*table.Entry) bool) {
				for _, e := range o.Entries[:i+1] {
					if j.ours(e, kind) && !yield(e) {
						return
					}
				}
			})
	}
}

func (t tolerance) widen(text string) string {
	if t.value == 0 {
		return text
	}
	return text + " + " + t.text
}

// differs finds the captures that are not the total of order.created.
func (j *judging) differs(r *orderRule) {
	o := j.order
	if o.CapturedMinor == 0 || !hasTotal(o, true) {
		return
	}
	off := r.tolerance.of(o.CreatedTotalMinor, o.Currency)
	for _, e := range o.Entries {
		by := e.AmountMinor - o.CreatedTotalMinor
		if !j.ours(e, event.PaymentCaptured) || max(by, -by) <= off || !j.settled(r, e) || j.known(paymentKey(e)) {
			continue
		}
		text := "captured != total of order.created"
		if off > 0 {
			text += " ± " + r.tolerance.text
		}
		j.payment(r, e, &table.Predicate{Text: text, Operator: "!=", Observed: j.money(e.AmountMinor), Threshold: j.money(o.CreatedTotalMinor)}, one(e))
	}
}

// capture is what tells whether two captures may be the same: the payment's reference or the card's fingerprint, with the amount.
type capture struct {
	card     bool
	id       string
	amount   int64
	currency string
}

// duplicates finds captures that repeat an earlier one.
func (j *judging) duplicates(r *orderRule) {
	o := j.order
	captures := 0
	for _, e := range o.Entries {
		if event.Type(e.Type) == event.PaymentCaptured {
			captures++
		}
	}
	if captures < 2 {
		return
	}
	priced, limit := hasTotal(o, false), o.TotalMinor+r.tolerance.of(o.TotalMinor, o.Currency)
	seen := make(map[capture]*table.Entry, 2*captures)
	var sum int64
	for _, e := range o.Entries {
		if event.Type(e.Type) != event.PaymentCaptured || e.AmountMinor == 0 || e.Currency == "" {
			continue
		}
		if j.ours(e, event.PaymentCaptured) {
			sum += e.AmountMinor
		}
		reference := capture{false, e.Reference, e.AmountMinor, e.Currency}
		card := capture{true, e.GetCard().GetFingerprint(), e.AmountMinor, e.Currency}
		earlier, text := seen[reference], "captured again on the same payment"
		if earlier == nil || e.Reference == "" {
			earlier, text = seen[card], "captured again on the same card within "+window.FormatSpan(duplicateSpan)
			if earlier != nil && (card.id == "" || e.AtMs-earlier.AtMs > duplicateSpan.Milliseconds() || !priced || sum <= limit) {
				earlier = nil
			}
		}
		seen[reference], seen[card] = e, e
		if earlier == nil || !j.settled(r, e) || j.known(paymentKey(e)) {
			continue
		}
		amount := moneyText(e.AmountMinor, e.Currency)
		j.payment(r, e, &table.Predicate{Text: text, Operator: "==", Observed: amount, Threshold: amount},
			func(yield func(*table.Entry) bool) { _ = yield(earlier) && yield(e) })
	}
}

// sequence finds that something has happened too early.
func (j *judging) sequence(r *orderRule) {
	at, _ := r.event.at(j.order)
	if at == 0 {
		return
	}
	before, known := r.other.at(j.order)
	if !known || before != 0 && before <= at || !j.reached(at.Add(r.wait)) {
		return
	}
	e := r.event.entry(j.order)
	p := &table.Predicate{Text: r.event.name + " before " + r.other.name, Operator: "<", Observed: timeText(at), Threshold: timeText(before)}
	j.cite(p, func(yield func(*table.Entry) bool) {
		if yield(e) && before != 0 {
			yield(r.other.entry(j.order))
		}
	})
	j.hit(Hit{Rule: r.rule, Key: xxhash.Sum64String(r.event.name), Entity: j.entity(r.rule.Entity, e), At: at, Event: e,
		Detail: fmt.Sprintf("%s at %s, %s: %s", r.event.name, p.Observed, r.other.name, p.Threshold), Predicates: []*table.Predicate{p}})
}

// expect finds that something has not happened in time. What happens later does not change that.
func (j *judging) expect(r *orderRule) {
	after, _ := r.other.at(j.order)
	if after == 0 {
		return
	}
	deadline := after.Add(r.wait)
	if !j.missed(&r.event, deadline) {
		return
	}
	for i := range r.unless {
		if !j.missed(&r.unless[i], deadline) {
			return
		}
	}
	if !j.reached(deadline) {
		return
	}
	e := r.other.entry(j.order)
	within := window.FormatSpan(r.wait)
	began := &table.Predicate{Text: r.other.name, Observed: timeText(after)}
	j.cite(began, one(e))
	missing := &table.Predicate{Text: r.event.name + " within " + within + " after " + r.other.name, Observed: "none until " + timeText(deadline),
		Threshold: within, FromMs: int64(after), ToMs: int64(deadline)}
	j.hit(Hit{Rule: r.rule, Key: xxhash.Sum64String(r.other.name), Entity: j.entity(r.rule.Entity, e), At: deadline,
		Detail: r.other.name + " at " + began.Observed + ", " + r.event.name + ": " + missing.Observed, Predicates: []*table.Predicate{began, missing}})
}

// missed reports that something has not happened until then, as far as is known.
func (j *judging) missed(m *milestone, deadline event.UnixMilli) bool {
	at, known := m.at(j.order)
	return known && (at == 0 || at > deadline)
}

// settled reports whether the time has come to judge a payment.
func (j *judging) settled(r *orderRule, e *table.Entry) bool {
	return r.wait == 0 || j.reached(event.UnixMilli(e.AtMs).Add(r.wait))
}

// paymentKey tells payments of one order apart.
func paymentKey(e *table.Entry) uint64 {
	if e.Reference != "" {
		return xxhash.Sum64String(e.Reference)
	}
	return e.IdHash
}

// known reports whether the rule at hand has hit with this key, or has hit often enough.
func (j *judging) known(key uint64) bool {
	hits := j.hits[j.first:]
	return len(hits) >= maxHitsPerOrder || slices.ContainsFunc(hits, func(h Hit) bool { return h.Key == key })
}

func (j *judging) payment(r *orderRule, e *table.Entry, p *table.Predicate, cited func(func(*table.Entry) bool)) {
	j.cite(p, cited)
	j.hit(Hit{Rule: r.rule, Key: paymentKey(e), Entity: j.entity(r.rule.Entity, e), At: event.UnixMilli(e.AtMs), Event: e,
		Detail: p.Text + ": " + p.Observed + ", " + p.Threshold, Predicates: []*table.Predicate{p}})
}

func (j *judging) hit(h Hit) { j.hits = append(j.hits, h) }

func one(e *table.Entry) func(func(*table.Entry) bool) {
	return func(yield func(*table.Entry) bool) { yield(e) }
}

// cite adds the newest of the entries to the predicate.
func (j *judging) cite(p *table.Predicate, entries func(func(*table.Entry) bool)) {
	var cited []*table.Entry
	for e := range entries {
		if e != nil {
			cited = append(cited, e)
		}
	}
	p.EventsTotal = int64(len(cited))
	for _, e := range cited[max(0, len(cited)-maxCitedEvents):] {
		p.Events = append(p.Events, EntryPlace(j.orderID, j.partition, e))
	}
}

// EntryPlace tells where an event of an order stands; nil for none.
func EntryPlace(orderID string, partition int32, e *table.Entry) *table.Place {
	if e == nil {
		return nil
	}
	return &table.Place{Topic: e.Topic, Partition: partition, Offset: e.Offset, Id: e.EventId, AtMs: e.AtMs, Type: event.Type(e.Type).String(), OrderId: orderID}
}

// entity is what the alert is about: the entity of that kind of the event or the order, else the order.
func (j *judging) entity(kind string, e *table.Entry) string {
	o, id := j.order, ""
	switch kind {
	case "customer":
		id = o.CustomerId
	case "payment":
		if event.Type(e.GetType()).IsPayment() {
			id = e.GetReference()
		}
	case "card":
		id = e.GetCard().GetFingerprint()
	case "ip":
		id = cmp.Or(e.GetClient().GetIp(), o.Client.GetIp())
	case "device":
		id = cmp.Or(e.GetClient().GetDeviceId(), o.Client.GetDeviceId())
	case "email":
		id = o.EmailHash
	case "address":
		id = o.ShippingAddressHash
	}
	if id == "" {
		return table.OrderEntity(j.orderID)
	}
	return kind + ":" + clip(id)
}

func (j *judging) money(minor int64) string { return moneyText(minor, j.order.Currency) }

// moneyText writes minor units for a person: "612.50 EUR".
func moneyText(minor int64, currency string) string {
	digits, _ := event.Exponent(currency)
	return string(event.AppendMajor(nil, minor, digits)) + " " + currency
}

// timeText writes a time for a person; 0 is one that has not come.
func timeText(at event.UnixMilli) string {
	if at == 0 {
		return "not yet"
	}
	return at.Time().Format("2006-01-02T15:04:05.999Z07:00")
}
