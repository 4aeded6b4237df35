package metric

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"weir/topology/event"
	"weir/topology/table"
)

// Facts is what a definition can name: an event applied to an order whose facts are known.
type Facts struct {
	Type  event.Type
	At    event.UnixMilli // the event's time; with a Stage the time of the order's creation
	Order *table.Order
	Entry *table.Entry
	Stage string // created, paid, dispatched or delivered: the order reaches this stage of the funnel; else ""
}

// source is what a metric counts: the events of one type, the lines of the orders in them, or the stages that orders reach.
type source struct {
	funnel bool
	event  event.Type
	each   bool
}

// textField reads a label or condition. item is nil unless the metric counts each item.
type textField func(f *Facts, item *table.Item) string

var orderFields = map[string]textField{
	"region":      func(f *Facts, _ *table.Item) string { return f.Order.Region },
	"country":     func(f *Facts, _ *table.Item) string { return f.Order.Country },
	"channel":     func(f *Facts, _ *table.Item) string { return f.Order.Channel },
	"category":    func(f *Facts, _ *table.Item) string { return f.Order.Category },
	"customer_id": func(f *Facts, _ *table.Item) string { return f.Order.CustomerId },
	"coupon":      func(f *Facts, _ *table.Item) string { return f.Order.Coupon },
	"currency":    func(f *Facts, _ *table.Item) string { return f.Order.Currency },
}

var itemFields = map[string]textField{
	"product_id": func(_ *Facts, item *table.Item) string { return item.ProductId },
	"category":   func(_ *Facts, item *table.Item) string { return item.Category },
	"seller_id":  func(_ *Facts, item *table.Item) string { return item.SellerId },
}

var (
	cancelFields  = map[string]textField{"cancel_reason": reason}
	paymentFields = map[string]textField{
		"method":       origin,
		"currency":     func(f *Facts, _ *table.Item) string { return f.Entry.GetCurrency() },
		"decline_code": reason,
	}
	shipmentFields = map[string]textField{"carrier": origin, "on_time": onTime}
	funnelFields   = map[string]textField{"stage": func(f *Facts, _ *table.Item) string { return f.Stage }}
)

func origin(f *Facts, _ *table.Item) string { return f.Entry.GetSource() }
func reason(f *Facts, _ *table.Item) string { return f.Entry.GetReason() }

// onTime compares with the order's first promise, else with what the carrier expected.
func onTime(f *Facts, _ *table.Item) string {
	due := f.Order.PromisedAtMs
	if due == 0 {
		due = f.Entry.GetExpectedAtMs()
	}
	switch {
	case due == 0:
		return "unknown"
	case int64(f.At) <= due:
		return "true"
	}
	return "false"
}

// fields lists what can be named for a source; later tables stand before earlier ones.
func (s source) fields() []map[string]textField {
	known := []map[string]textField{orderFields}
	switch {
	case s.funnel:
		known = append(known, funnelFields)
	case s.event == event.OrderCancelled:
		known = append(known, cancelFields)
	case s.event.Stream() == "payments":
		known = append(known, paymentFields)
	case s.event.Stream() == "shipments":
		known = append(known, shipmentFields)
	}
	if s.each {
		known = append(known, itemFields)
	}
	slices.Reverse(known)
	return known
}

func (s source) text(name string) (textField, error) {
	var names []string
	for _, fields := range s.fields() {
		if get := fields[name]; get != nil {
			return get, nil
		}
		for n := range fields {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%q is not known of %s: choose from %s", name, s, strings.Join(slices.Compact(names), ", "))
}

// String names the source as a definition does.
func (s source) String() string {
	switch {
	case s.funnel:
		return "funnel"
	case s.each:
		return s.event.String() + ", each item"
	}
	return s.event.String()
}

func parseSource(on, each string) (source, error) {
	var s source
	switch t, ok := event.ParseType(on); {
	case on == "funnel":
		s.funnel = true
	case ok:
		s.event = t
	default:
		return s, fmt.Errorf("%q is neither funnel nor an event type, such as order.created", on)
	}
	switch {
	case each == "":
	case each != "item":
		return s, fmt.Errorf("each %q: only item can be counted one by one", each)
	case s.funnel:
		return s, fmt.Errorf("the funnel counts orders, not each item")
	default:
		s.each = true
	}
	return s, nil
}

// condition is field == value, field != value, or field in (value, value).
type condition struct {
	text   string // canonical
	field  string
	get    textField
	negate bool
	values []string
}

func parseCondition(text string) (condition, error) {
	bad := func(why string) (condition, error) {
		return condition{}, fmt.Errorf("condition %q: %s; write field == value, field != value, or field in (value, value)", text, why)
	}
	name, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		return bad("it has no operator")
	}
	rest = strings.TrimSpace(rest)
	c := condition{field: name}
	operator, operand := rest[:min(2, len(rest))], strings.TrimSpace(rest[min(2, len(rest)):])
	switch operator {
	case "==":
		c.values = []string{operand}
	case "!=":
		c.values, c.negate = []string{operand}, true
	case "in":
		list, ok := strings.CutPrefix(operand, "(")
		if list, ok2 := strings.CutSuffix(list, ")"); ok && ok2 {
			for v := range strings.SplitSeq(list, ",") {
				c.values = append(c.values, strings.TrimSpace(v))
			}
			break
		}
		return bad("the list needs parentheses")
	default:
		return bad("the operator is not one of ==, !=, in")
	}
	for i, v := range c.values {
		if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1]
		} else if v == "" || strings.ContainsAny(v, `"=!(), `) {
			return bad("a value is missing, or must stand in double quotes")
		}
		if strings.Contains(v, `"`) {
			return bad("a value holds a double quote")
		}
		c.values[i] = labelValue(v) // "" means that it is missing
	}
	slices.Sort(c.values)
	c.text = fmt.Sprintf("%s %v %q", c.field, c.negate, c.values)
	return c, nil
}

func (c *condition) holds(f *Facts, item *table.Item) bool {
	v := labelValue(c.get(f, item))
	for _, want := range c.values {
		if v == want {
			return !c.negate
		}
	}
	return c.negate
}

// number is a quantity that a metric adds up.
type number uint8

const (
	noNumber  number = iota
	total            // the order's, as created
	amount           // of the payment
	quantity         // of the item
	itemPrice        // price × quantity of the item
	age              // milliseconds since the order's creation
	one
)

func (n number) of(f *Facts, item *table.Item) int64 {
	switch n {
	case total:
		return f.Order.CreatedTotalMinor
	case amount:
		return f.Entry.GetAmountMinor()
	case quantity:
		return item.Quantity
	case itemPrice:
		return multiply(item.PriceMinor, item.Quantity)
	case age:
		return int64(f.At) - f.Order.CreatedAtMs
	case one:
		return 1
	}
	return 0
}

// multiply stops at the greatest numbers instead of wrapping round.
func multiply(a, b int64) int64 {
	negative := (a < 0) != (b < 0)
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	if high != 0 || low > math.MaxInt64 {
		low = math.MaxInt64
	}
	if negative {
		return -int64(low)
	}
	return int64(low)
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}
