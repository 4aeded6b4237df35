// Package lines reads and writes events as people write them in scenarios and in the tests of rules: a line each.
//
//	12:00:00 order.created    o1 customer=c1 total=20.00 EUR ip=192.0.2.1 items=media/book:2x10.00,pen@s7:1x0.50
//	12:01:00 payment.captured o1 amount=20.00 EUR card=fp_1 payment=p1
//	12:05:00 payment.captured o1 again
//
// A line is a time, an event type, an order, and fields: name=value under the canonical name or a short one. Three capital letters are
// the currency. Items are category/product@seller:quantityxprice, joined by commas; category and seller may be left out. "again"
// delivers the same event once more; otherwise every line is an event of its own, unless id= says otherwise. Times are of Day or, in
// full, 2026-01-03T12:00:00.
package lines

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/sim"
)

// shortNames are the fields that a line may call by a shorter name than the canonical one.
var shortNames = map[string]string{
	"customer": "customer_id", "payment": "payment_id", "shipment": "shipment_id", "promised": "promised_at", "expected": "expected_at",
	"decline": "decline_code", "reason": "cancel_reason", "card": "card.fingerprint", "ip": "client.ip", "device": "client.device_id",
	"created_customer": "customer_created_at", "email": "email_hash", "address": "shipping_address_hash", "session": "client.session_id",
}

// fieldNames are the canonical fields that a line may give. Others are a slip of the pen.
var fieldNames = map[string]bool{}

func init() {
	for name := range strings.FieldsSeq(`customer_id currency total amount channel region country category coupon promised_at billing_country
		shipping_country shipping_address_hash email_hash customer_created_at client.ip client.device_id client.session_id client.user_agent
		cancel_reason payment_id method decline_code card.fingerprint card.bin card.last4 card.country card.funding
		shipment_id carrier expected_at`) {
		fieldNames[name] = true
	}
}

// Day is that of a time without a date.
var Day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Of are the lines of a text that are neither empty nor comments.
func Of(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}

// Writer turns lines into records. The zero Writer has written none.
type Writer struct {
	sent  map[string]sim.Record // the last event of an order and type, for "again"
	count map[string]int        // of events by order, for ids
}

// Record is what one line says: Topic, Key, Value and, as its arrival, the event's time.
func (w *Writer) Record(line string) (sim.Record, error) {
	if w.sent == nil {
		w.sent, w.count = map[string]sim.Record{}, map[string]int{}
	}
	words := strings.Fields(line)
	if len(words) < 3 {
		return sim.Record{}, fmt.Errorf("want TIME TYPE ORDER fields…, such as: 12:00 order.created o1 total=20.00 EUR")
	}
	at, err := ParseTime(words[0])
	if err != nil {
		return sim.Record{}, err
	}
	kind, ok := event.ParseType(words[1])
	if !ok {
		return sim.Record{}, fmt.Errorf("%q is no event type", words[1])
	}
	order := words[2]
	w.count[order]++
	fields := map[string]any{"id": order + "-" + strconv.Itoa(w.count[order]), "type": words[1], "order_id": order, "time": at.Format(time.RFC3339Nano)}
	for _, word := range words[3:] {
		if word == "again" {
			before, ok := w.sent[order+" "+words[1]]
			if !ok {
				return sim.Record{}, fmt.Errorf("again: %s had no %s before", order, words[1])
			}
			return before, nil
		}
		if err := addField(fields, word); err != nil {
			return sim.Record{}, err
		}
	}
	value, err := json.Marshal(fields)
	if err != nil {
		return sim.Record{}, err
	}
	r := sim.Record{Topic: kind.Stream(), Key: order, Value: value, Timestamp: event.UnixMilli(at.UnixMilli())}
	w.sent[order+" "+words[1]] = r
	return r, nil
}

func addField(fields map[string]any, word string) error {
	name, value, ok := strings.Cut(word, "=")
	switch {
	case !ok && len(word) == 3 && strings.ToUpper(word) == word:
		fields["currency"] = word
		return nil
	case !ok:
		return fmt.Errorf("%q is neither name=value nor a currency nor again", word)
	case name == "id":
		fields["id"] = value
		return nil
	case name == "items":
		items, err := parseItems(value)
		fields["items"] = items
		return err
	}
	if long := shortNames[name]; long != "" {
		name = long
	}
	if !fieldNames[name] {
		return fmt.Errorf("there is no field %q", name)
	}
	if strings.HasSuffix(name, "_at") {
		at, err := ParseTime(value)
		if err != nil {
			return err
		}
		value = at.Format(time.RFC3339Nano)
	}
	if outer, inner, nested := strings.Cut(name, "."); nested {
		object, _ := fields[outer].(map[string]any)
		if object == nil {
			object = map[string]any{}
			fields[outer] = object
		}
		object[inner] = value
		return nil
	}
	fields[name] = value
	return nil
}

// parseItems reads category/product@seller:quantityxprice,… where category and seller may be left out.
func parseItems(text string) (items []map[string]any, err error) {
	for part := range strings.SplitSeq(text, ",") {
		product, rest, ok := strings.Cut(part, ":")
		quantity, price, ok2 := strings.Cut(rest, "x")
		n, err := strconv.ParseInt(quantity, 10, 64)
		if !ok || !ok2 || err != nil {
			return nil, fmt.Errorf("item %q: want category/product:quantityxprice, such as media/book:2x10.00", part)
		}
		item := map[string]any{"product_id": product, "quantity": n, "price": price}
		if name, seller, ok := strings.Cut(product, "@"); ok {
			item["product_id"], item["seller_id"] = name, seller
			product = name
		}
		if category, name, ok := strings.Cut(product, "/"); ok {
			item["category"], item["product_id"] = category, name
		}
		items = append(items, item)
	}
	return items, nil
}

// ParseTime reads 12:00, 12:00:00, 12:00:00.250 or the same after a date, 2026-01-03T12:00.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
		if at, err := time.Parse(layout, Day.Format("2006-01-02")+"T"+text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 12:00:00 or 2026-01-03T12:00:00", text)
}

// FormatTime writes a time as ParseTime reads it, in the shortest way.
func FormatTime(at event.UnixMilli) string {
	t := at.Time()
	clock := t.Format("15:04:05")
	if t.Nanosecond() != 0 {
		clock = t.Format("15:04:05.000")
	}
	if t.Truncate(24 * time.Hour).Equal(Day) {
		return clock
	}
	return t.Format("2006-01-02T") + clock
}
