package orders

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// Outcome is what became of an event.
type Outcome uint8

// The outcomes.
const (
	Applied   Outcome = iota + 1 // it is in the row, and in Contributions where it counts
	Duplicate                    // its id was applied before: nothing changed but the row's counter
	Waiting                      // it is in the row and will count once its order is there
	Expired                      // older than the retention and without a row: whether it was counted before cannot be told
	Refused                      // the row is full
)

// String returns the outcome's name; Expired and Refused are reasons of dead letters.
func (o Outcome) String() string {
	switch o {
	case Applied:
		return "applied"
	case Duplicate:
		return "duplicate"
	case Waiting:
		return "waiting"
	case Expired:
		return "expired"
	case Refused:
		return "refused"
	}
	return "none"
}

// Settings of group orders. They must be the same on every instance.
type Settings struct {
	Retention  time.Duration // of a row after its order's last event
	MaxEntries int           // events that one order can have
	MaxWaiting int           // of them, those that can come before order.created
}

// DefaultSettings are the settings of a shop that set none.
func DefaultSettings() Settings {
	return Settings{Retention: 180 * 24 * time.Hour, MaxEntries: 1000, MaxWaiting: 200}
}

// Validate names the setting that is wrong.
func (s *Settings) Validate() error {
	switch {
	case s.Retention < 24*time.Hour:
		return fmt.Errorf("orders.retention is %v: an order lives for a day at least", s.Retention)
	case s.MaxEntries < 10 || s.MaxEntries > 100_000:
		return fmt.Errorf("orders.max_entries is %d: use 10 to 100,000", s.MaxEntries)
	case s.MaxWaiting < 1 || s.MaxWaiting >= s.MaxEntries:
		return fmt.Errorf("orders.max_waiting is %d: use 1 to max_entries − 1, so that the order itself finds room", s.MaxWaiting)
	}
	return nil
}

// Record is where an event stands in Kafka.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	ArrivedAt event.UnixMilli // the record's Kafka timestamp
}

// Input is one event of an order. Step keeps strings of the event, nothing else.
type Input struct {
	Event     *event.Event
	Record    Record
	Watermark event.UnixMilli // of the partition; 0 = unknown
	Rules     *rule.Set       // nil = none
}

// Contribution is something that metrics count.
type Contribution struct {
	Facts metric.Facts
	Sign  int64 // −1 takes an earlier contribution back
}

// Output is what follows from one event. Contributions point into the row: use them before the row goes back to its pool.
type Output struct {
	Outcome       Outcome
	Detail        string // why, for Expired and Refused
	Contributions []Contribution
	Observed      []rule.Observed  // of each event that counts now, in their order; nothing without rules
	Findings      []*table.Finding // those in Observed too
	Waiting       int              // change of how many events wait for their order

	facts rule.Facts
}

// Reset makes o ready for the next Step; its memory is used again.
func (o *Output) Reset() {
	o.Outcome, o.Detail, o.Waiting = 0, "", 0
	o.Contributions = o.Contributions[:0]
	o.Observed = o.Observed[:0]
	clear(o.Findings)
	o.Findings = o.Findings[:0]
}

// Step folds one event into its order's row, which is empty for an order that was never seen. It keeps no state, reads no clock and
// does not block.
func Step(s *Settings, row *table.Order, in *Input, out *Output) {
	ev := in.Event
	id := xxhash.Sum64String(ev.ID)
	for _, e := range row.Entries {
		if e.IdHash == id {
			row.Duplicates++
			out.Outcome = Duplicate
			return
		}
	}
	if !admit(s, row, in, out) {
		return
	}
	before := told(row, ev.OrderID, in)
	entry := insert(row, sortKey{int64(ev.At), kind(row, ev.Type), id})
	fill(entry, in, row)
	row.LastAtMs = max(row.LastAtMs, int64(ev.At))
	created := ev.Type == event.OrderCreated && !row.Created
	if created {
		setFacts(row, ev)
	}
	recompute(row)
	if !row.Created {
		out.Outcome, out.Waiting = Waiting, 1
		return
	}
	out.Outcome = Applied
	if created {
		for _, e := range row.Entries {
			if e != entry {
				out.Waiting--
			}
			contribute(row, e, in, out)
		}
	} else {
		contribute(row, entry, in, out)
	}
	countStages(row, out)
	rejudge(row, ev.OrderID, in, before, out)
}

// admit turns away what a row cannot take. A row is never older than its retention allows, see expiry, so an event at or before
// watermark − retention may have been counted in a row that is gone, unless this row knows its order: what was in an earlier one then
// never counted, for that one did not know it.
func admit(s *Settings, row *table.Order, in *Input, out *Output) bool {
	ev := in.Event
	switch n := len(row.Entries); {
	case !row.Created && in.Watermark > 0 && ev.At <= in.Watermark.Add(-s.Retention):
		out.Outcome = Expired
		out.Detail = fmt.Sprintf("the event's time %s is orders.retention (%v) or more before the watermark %s, and the order is not known (any more)",
			ev.At.Time().Format(time.RFC3339), s.Retention, in.Watermark.Time().Format(time.RFC3339))
		return false
	case n >= s.MaxEntries:
		out.Outcome = Refused
		out.Detail = fmt.Sprintf("the order has %d events, the most that orders.max_entries allows", n)
		return false
	case n >= s.MaxWaiting && !row.Created && ev.Type != event.OrderCreated:
		out.Outcome = Refused
		out.Detail = fmt.Sprintf("%d events of the order wait for its order.created, the most that orders.max_waiting allows", n)
		return false
	case overflows(row, in):
		out.Outcome = Refused
		out.Detail = fmt.Sprintf("the order's row would have more than %d bytes, the most that fits into one record of its table", maxRowBytes)
		return false
	}
	return true
}

// kind is the type under which an event is kept: an order is created once, what creates it again is an update.
func kind(row *table.Order, t event.Type) uint32 {
	if t == event.OrderCreated && row.Created {
		t = event.OrderUpdated
	}
	return uint32(t)
}

// sortKey is the order of a row's entries.
type sortKey struct {
	at   int64
	kind uint32
	id   uint64
}

func (k sortKey) before(e *table.Entry) bool {
	if k.at != e.AtMs {
		return k.at < e.AtMs
	}
	if k.kind != e.Type {
		return k.kind < e.Type
	}
	return k.id < e.IdHash
}

// insert makes room for an entry at its place. Rows from a pool have empty entries beyond their length: one of them is taken.
func insert(row *table.Order, k sortKey) *table.Entry {
	n := len(row.Entries)
	var e *table.Entry
	if n < cap(row.Entries) {
		row.Entries = row.Entries[:n+1]
		e = row.Entries[n]
	} else {
		row.Entries = append(row.Entries, nil)
	}
	if e == nil {
		e = table.EntryFromVTPool()
	}
	i := n
	for i > 0 && k.before(row.Entries[i-1]) {
		row.Entries[i] = row.Entries[i-1]
		i--
	}
	row.Entries[i] = e
	e.AtMs, e.Type, e.IdHash = k.at, k.kind, k.id
	return e
}

// fill sets an entry, which is empty but for its sort key.
func fill(e *table.Entry, in *Input, row *table.Order) {
	ev := in.Event
	e.AmountMinor, e.Currency = ev.AmountMinor, ev.Currency
	if !ev.HasAmount && !ev.Type.IsPayment() { // an order's entry has a currency if and only if it has a total
		e.Currency = ""
	}
	switch {
	case ev.Type.IsPayment():
		e.Source, e.Reference, e.Country, e.Reason = ev.Method, ev.PaymentID, ev.Card.Country, ev.DeclineCode
		fillPayment(e, ev)
	case ev.Type.IsShipment():
		e.Source, e.Reference, e.Country = ev.Carrier, ev.ShipmentID, ev.Country
		e.ExpectedAtMs = int64(ev.ExpectedAt)
	default:
		e.Reason = ev.CancelReason
	}
	e.EventId = ev.ID
	e.Topic, e.Offset, e.ArrivedAtMs, e.Counted = in.Record.Topic, in.Record.Offset, int64(in.Record.ArrivedAt), false
	if ev.Type.IsShipment() && e.ExpectedAtMs == 0 {
		e.ExpectedAtMs = firstExpected(row, e)
	}
}

// fillPayment keeps what rules ask of a payment, which may have to wait for its order.
func fillPayment(e *table.Entry, ev *event.Event) {
	if c := &ev.Card; *c != (event.Card{}) {
		e.Card = &table.Card{Fingerprint: c.Fingerprint, Bin: c.BIN, Last4: c.Last4, Country: c.Country, Funding: c.Funding}
	}
	e.Client = client(&ev.Client)
}

// client is nil where the event tells nothing of it.
func client(c *event.Client) *table.Client {
	if *c == (event.Client{}) {
		return nil
	}
	return &table.Client{Ip: c.IP, DeviceId: c.DeviceID, SessionId: c.SessionID, UserAgent: c.UserAgent}
}

// firstExpected is the first date that the shipment's own topic told before e. Other topics do not count, so that interleaving does
// not matter.
func firstExpected(row *table.Order, e *table.Entry) int64 {
	var first *table.Entry
	for _, other := range row.Entries {
		if other != e && event.Type(other.Type).IsShipment() && other.ExpectedAtMs != 0 && other.Reference == e.Reference &&
			other.Topic == e.Topic && (first == nil || other.Offset < first.Offset) {
			first = other
		}
	}
	if first == nil {
		return 0
	}
	return first.ExpectedAtMs
}

// setFacts takes the order's own facts. They do not change again: they label everything that is counted of this order.
func setFacts(row *table.Order, ev *event.Event) {
	row.Created, row.CreatedAtMs = true, int64(ev.At)
	row.CustomerId, row.Currency = ev.CustomerID, ev.Currency
	row.CreatedTotalMinor = ev.AmountMinor
	row.Region, row.Country, row.Channel, row.Category, row.Coupon = ev.Region, ev.Country, ev.Channel, ev.Category, ev.Coupon
	row.PromisedAtMs = int64(ev.PromisedAt)
	row.BillingCountry, row.ShippingCountry = ev.BillingCountry, ev.ShippingCountry
	row.ShippingAddressHash, row.EmailHash = ev.ShippingAddressHash, ev.EmailHash
	row.CustomerCreatedAtMs = int64(ev.CustomerCreatedAt)
	row.Client = client(&ev.Client)
	for i := range ev.Items {
		item := addItem(row)
		from := &ev.Items[i]
		item.ProductId, item.Category, item.SellerId = from.ProductID, from.Category, from.SellerID
		item.Quantity, item.PriceMinor = from.Quantity, from.PriceMinor
	}
}

func addItem(row *table.Order) *table.Item {
	n := len(row.Items)
	if n < cap(row.Items) {
		row.Items = row.Items[:n+1]
	} else {
		row.Items = append(row.Items, nil)
	}
	if row.Items[n] == nil {
		row.Items[n] = &table.Item{}
	}
	return row.Items[n]
}

// Uncounted is how many events of the row wait for their order. When such a row expires they never counted.
func Uncounted(row *table.Order) int64 {
	if row.Created {
		return 0
	}
	return int64(len(row.Entries))
}
