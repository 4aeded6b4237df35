package lines

import (
	"strings"
	"testing"

	"weir/topology/event"
)

func TestALineBecomesARecordThatTheParserTakes(t *testing.T) {
	w := new(Writer)
	r, err := w.Record("12:00:00.250 order.created o1 customer=c1 total=20.00 EUR ip=192.0.2.1 promised=2026-01-03 items=media/book:2x10.00,pen@s7:1x0.50")
	if err != nil {
		t.Fatal(err)
	}
	if r.Topic != "orders" || r.Key != "o1" {
		t.Errorf("record goes to %s, key %s", r.Topic, r.Key)
	}
	ev, err := event.Canonical().Parse(r.Value, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ev.ID != "o1-1" || ev.CustomerID != "c1" || ev.AmountMinor != 2000 || ev.Currency != "EUR" || ev.Client.IP != "192.0.2.1" || ev.At != r.Timestamp {
		t.Errorf("event %+v", ev)
	}
	if FormatTime(ev.At) != "12:00:00.250" || FormatTime(ev.PromisedAt) != "2026-01-03T00:00:00" {
		t.Errorf("times %s and %s", FormatTime(ev.At), FormatTime(ev.PromisedAt))
	}
	if len(ev.Items) != 2 || ev.Items[0].Category != "media" || ev.Items[0].ProductID != "book" || ev.Items[1].PriceMinor != 50 || ev.Items[1].SellerID != "s7" || ev.Items[1].ProductID != "pen" {
		t.Errorf("items %+v", ev.Items)
	}
}

func TestAgainIsTheSameRecordAndAnotherLineIsAnotherEvent(t *testing.T) {
	w := new(Writer)
	var values []string
	for _, line := range []string{
		"12:00 payment.captured o1 amount=1.00 EUR", "12:00 payment.captured o1 amount=1.00 EUR", "12:09 payment.captured o1 again",
		"12:00 payment.captured o1 amount=1.00 EUR id=o1-2",
	} {
		r, err := w.Record(line)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(r.Value))
	}
	if values[0] == values[1] || values[1] != values[2] || values[1] != values[3] {
		t.Errorf("records:\n%s", strings.Join(values, "\n"))
	}
}

func TestSlipsOfThePenAreToldApart(t *testing.T) {
	for line, want := range map[string]string{
		"12:00 order.created":                     "want TIME TYPE ORDER",
		"25:00 order.created o1":                  "no time",
		"12:00 order.crated o1":                   "no event type",
		"12:00 order.created o1 totl=1.00 EUR":    `no field "totl"`,
		"12:00 order.created o1 total=1.00 euro":  "neither",
		"12:00 order.created o1 again":            "had no order.created before",
		"12:00 order.created o1 items=book":       "item",
		"12:00 order.created o1 items=book:2":     "item",
		"12:00 order.created o1 promised=someday": "no time",
	} {
		if _, err := new(Writer).Record(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
