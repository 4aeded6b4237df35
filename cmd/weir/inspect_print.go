package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/topology/event"
	"weir/views/api"
)

// printOrder prints an order for a person.
func printOrder(out io.Writer, o *api.Order) error {
	w := aligned(out)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("order", "%s", o.OrderID)
	line("status", "%s", o.Status)
	if f := o.Facts; f != nil {
		line("created", "%s", clock(f.CreatedAt))
		line("customer", "%s%s", f.CustomerID, instantText(", since ", f.CustomerSince))
		line("place", "%s", strings.Join(nonEmpty(f.Region, f.Country, f.Channel), ", "))
		total := amount(&f.Total)
		if f.CreatedTotal != f.Total {
			total += " (" + amount(&f.CreatedTotal) + " when it was created)"
		}
		line("total", "%s%s", total, preceded(", coupon ", f.Coupon))
		for _, it := range f.Items {
			line("item", "%d × %s at %s%s", it.Quantity, it.ProductID, amount(&it.Price), preceded(", ", it.Category))
		}
		line("promised", "%s", cmp.Or(instantText("", f.PromisedAt), "-"))
	} else {
		line("facts", "order.created has not come yet")
	}
	s := o.State
	line("captured", "%s", amount(s.Captured))
	line("refunded", "%s", amount(s.Refunded))
	for _, state := range []struct {
		name string
		at   *time.Time
	}{{"paid", s.PaidAt}, {"dispatched", s.DispatchedAt}, {"delivered", s.DeliveredAt}, {"cancelled", s.CancelledAt}} {
		if state.at != nil {
			line(state.name, "%s", clock(*state.at))
		}
	}
	if s.Duplicates > 0 {
		line("duplicates", "%d redelivered events, not counted again", s.Duplicates)
	}
	if len(s.Findings) > 0 {
		line("findings", "%s", strings.Join(s.Findings, ", "))
	}
	line("partition", "%d", o.Partition)
	if err := w.Flush(); err != nil {
		return err
	}
	return printTimeline(out, o.Timeline)
}

func printTimeline(out io.Writer, timeline []api.Entry) error {
	w := aligned(out)
	fmt.Fprint(w, "\nTIME\tEVENT\tAMOUNT\tBY\tREFERENCE\tDETAIL\tSTANDS AT\n")
	for _, e := range timeline {
		detail := nonEmpty(e.Reason, e.Country, instantText("expected ", e.ExpectedAt))
		if !e.Counted {
			detail = append(detail, "waits for its order")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s/%d@%d\n", clock(e.Time), e.Type, amount(e.Amount), cmp.Or(e.Source, "-"), cmp.Or(e.Reference, "-"),
			cmp.Or(strings.Join(detail, ", "), "-"), e.Topic, e.Partition, e.Offset)
	}
	return w.Flush()
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

func instantText(before string, t *time.Time) string {
	if t == nil {
		return ""
	}
	return before + clock(*t)
}

func preceded(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func nonEmpty(values ...string) []string {
	return slices.DeleteFunc(values, func(s string) bool { return s == "" })
}

// amount is money in major units.
func amount(m *api.Money) string {
	if m == nil {
		return "-"
	}
	var minor int64
	if _, err := fmt.Sscan(m.Amount, &minor); err != nil {
		return m.Amount + " " + m.Currency
	}
	return string(event.AppendMajor(nil, minor, m.Exponent)) + " " + m.Currency
}
