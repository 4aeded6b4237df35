package rule

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// OrderSpec is what a document says of a rule that one order's own events decide: one of the three.
type OrderSpec struct {
	Reconcile *Reconcile
	Sequence  *Sequence
	Expect    *Expect
}

// Reconcile compares an order's money, in the order's currency.
type Reconcile struct {
	Check     string        // captures_over_total, capture_differs, duplicate_capture, refunds_over_captures
	Tolerance string        // "0.50" in major units of the order's currency, or "1%"; "" = none
	Settle    time.Duration // a payment is judged so long after its time, so that a correction finds it; 0 = at once
}

// Sequence says that Before has happened when Event happens. Both are milestones (created, paid, dispatched, delivered, cancelled)
// or types of events, of which the first counts.
type Sequence struct {
	Event  string
	Before string
	Settle time.Duration // it is judged once the watermark has come so far beyond Event's time
}

// Expect says that Event happens until Within after After, unless one of Unless does. All are milestones or types of events.
type Expect struct {
	Event  string
	Within time.Duration
	After  string
	Unless []string
}

// maxOrderSpan bounds the durations of order rules.
const maxOrderSpan = 3660 * 24 * time.Hour

// orderCheck is what an order rule looks for.
type orderCheck uint8

const (
	checkCapturesOverTotal orderCheck = iota
	checkCaptureDiffers
	checkDuplicateCapture
	checkRefundsOverCaptures
	checkSequence
	checkExpect
)

var reconcileChecks = map[string]orderCheck{
	"captures_over_total": checkCapturesOverTotal, "capture_differs": checkCaptureDiffers,
	"duplicate_capture": checkDuplicateCapture, "refunds_over_captures": checkRefundsOverCaptures,
}

// orderRule is a compiled rule of kind reconcile, sequence or expect.
type orderRule struct {
	rule      *Rule
	check     orderCheck
	tolerance tolerance
	wait      time.Duration // settle, or within
	event     milestone
	other     milestone // before, or after
	unless    []milestone
}

// newOrderRule compiles what a document says. Errors begin with the key that is wrong.
func newOrderRule(r *Rule, spec OrderSpec) (*orderRule, error) {
	o := &orderRule{rule: r}
	var err error
	switch {
	case spec.Reconcile != nil:
		s, known := spec.Reconcile, false
		if o.check, known = reconcileChecks[s.Check]; !known {
			return nil, fmt.Errorf("reconcile.check: %q is none of captures_over_total, capture_differs, duplicate_capture, refunds_over_captures", s.Check)
		}
		if o.tolerance, err = parseTolerance(s.Tolerance); err != nil {
			return nil, fmt.Errorf("reconcile.tolerance: %w", err)
		}
		o.wait, err = s.Settle, checkSpan("reconcile.settle", s.Settle)
	case spec.Sequence != nil:
		s := spec.Sequence
		o.check, o.wait = checkSequence, s.Settle
		err = errors.Join(o.event.parse("sequence.event", s.Event), o.other.parse("sequence.before", s.Before), checkSpan("sequence.settle", s.Settle))
		if err == nil && o.event == o.other {
			err = fmt.Errorf("sequence.before: %s cannot be missing when it happens: name another milestone", s.Before)
		}
	case spec.Expect != nil:
		err = o.expectation(spec.Expect)
	default:
		err = errors.New("an order rule needs reconcile, sequence or expect")
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *orderRule) expectation(s *Expect) error {
	o.check, o.wait = checkExpect, s.Within
	err := errors.Join(o.event.parse("expect.event", s.Event), o.other.parse("expect.after", s.After), checkSpan("expect.within", s.Within))
	if err == nil && s.Within == 0 {
		err = errors.New("expect.within: say how long to wait, such as 48h")
	}
	if err == nil && o.event == o.other {
		err = fmt.Errorf("expect.event: %s cannot be missing after itself: name another milestone", s.Event)
	}
	for _, name := range s.Unless {
		var m milestone
		err = errors.Join(err, m.parse("expect.unless", name))
		o.unless = append(o.unless, m)
	}
	return err
}

func checkSpan(key string, d time.Duration) error {
	if d < 0 || d > maxOrderSpan {
		return fmt.Errorf("%s: %v is not between 0 and %s", key, d, window.FormatSpan(maxOrderSpan))
	}
	return nil
}

// tolerance is what money may be off by: ten-thousandths of a major unit, or of a percent.
type tolerance struct {
	value   uint64
	percent bool
	text    string
}

const maxTolerance = 1_000_000_000 // major units

func parseTolerance(text string) (tolerance, error) {
	number, percent := strings.CutSuffix(text, "%")
	whole, fraction, _ := strings.Cut(number, ".")
	t := tolerance{percent: percent, text: text}
	if text == "" {
		return t, nil
	}
	v, err := strconv.ParseUint(whole+(fraction + "0000")[:max(4, len(fraction))], 10, 64)
	if err != nil || whole == "" || len(fraction) > 4 {
		return t, fmt.Errorf("%q is no amount such as 0.50 and no share such as 1%%, with at most four decimals", text)
	}
	if t.value = v; percent && v > 100*10_000 || v > maxTolerance*10_000 {
		return t, fmt.Errorf("%s is more than 100%% or %d", text, maxTolerance)
	}
	return t, nil
}

// of is the tolerance for an amount in minor units, rounded down.
func (t tolerance) of(minor int64, currency string) int64 {
	switch {
	case t.value == 0 || minor < 0:
		return 0
	case t.percent:
		high, low := bits.Mul64(uint64(minor), t.value)
		share, _ := bits.Div64(high, low, 1_000_000) // value ≤ 1,000,000: it does not overflow
		return int64(share)
	}
	v := t.value
	for digits, _ := event.Exponent(currency); digits < 4; digits++ {
		v /= 10
	}
	return int64(v)
}

// milestone is something that happens once to an order: a state it reaches, or the first event of a type.
type milestone struct {
	name string
	kind event.Type // 0: a state
}

var milestones = []string{"created", "paid", "dispatched", "delivered", "cancelled"}

func (m *milestone) parse(key, name string) error {
	m.name = name
	if slices.Contains(milestones, name) {
		return nil
	}
	kind, ok := event.ParseType(name)
	if !ok {
		return fmt.Errorf("%s: %q is neither a milestone (%s) nor a type of events such as payment.captured", key, name, strings.Join(milestones, ", "))
	}
	m.kind = kind
	return nil
}

// at is when it happened, 0 if it has not. known is false where that cannot be told: no one knows when an order without a total is paid.
func (m *milestone) at(o *table.Order) (at event.UnixMilli, known bool) {
	switch m.name {
	case "created":
		return event.UnixMilli(o.CreatedAtMs), true
	case "paid":
		return event.UnixMilli(o.PaidAtMs), o.PaidAtMs != 0 || hasTotal(o, false)
	case "dispatched":
		return event.UnixMilli(o.DispatchedAtMs), true
	case "delivered":
		return event.UnixMilli(o.DeliveredAtMs), true
	case "cancelled":
		return event.UnixMilli(o.CancelledAtMs), true
	}
	for _, e := range o.Entries {
		if event.Type(e.Type) == m.kind {
			return event.UnixMilli(e.AtMs), true
		}
	}
	return 0, true
}

// entry is the event by which it happened.
func (m *milestone) entry(o *table.Order) *table.Entry {
	at, _ := m.at(o)
	kind := m.kind
	switch m.name {
	case "created":
		kind = event.OrderCreated
	case "paid":
		kind = event.PaymentCaptured
		if o.TotalMinor == 0 {
			kind = event.OrderCreated
		}
	case "dispatched":
		kind = event.ShipmentDispatched
	case "delivered":
		kind = event.ShipmentDelivered
	case "cancelled":
		kind = event.OrderCancelled
	}
	for _, e := range o.Entries {
		if event.Type(e.Type) == kind && event.UnixMilli(e.AtMs) == at && (m.name != "paid" || kind != event.PaymentCaptured || e.Currency == o.Currency) {
			return e
		}
	}
	return nil
}

// hasTotal reports whether the order's total is known: a total of zero is one too. atCreation asks for that of order.created.
func hasTotal(o *table.Order, atCreation bool) bool {
	for _, e := range o.Entries {
		t := event.Type(e.Type)
		if (t == event.OrderCreated || t == event.OrderUpdated && !atCreation) && e.Currency == o.Currency && o.Currency != "" {
			return true
		}
	}
	return false
}
