package orders

import (
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// Funnel stages of Order.stages. Values are stored: never renumber.
const (
	StageCreated uint32 = 1 << iota
	StagePaid
	StageDispatched
	StageDelivered
)

var stageNames = map[uint32]string{StageCreated: "created", StagePaid: "paid", StageDispatched: "dispatched", StageDelivered: "delivered"}

// contribute counts an event of an order whose facts are known. Of its client stays what tells entities apart.
func contribute(row *table.Order, e *table.Entry, in *Input, out *Output) {
	e.Counted = true
	out.Contributions = append(out.Contributions, Contribution{Sign: 1,
		Facts: metric.Facts{Type: event.Type(e.Type), At: event.UnixMilli(e.AtMs), Order: row, Entry: e}})
	if in.Rules != nil {
		observe(row, e, in.Event.OrderID, in, out)
	}
	if c := e.Client; c != nil {
		if c.SessionId, c.UserAgent = "", ""; c.Ip == "" && c.DeviceId == "" {
			e.Client = nil
		}
	}
}

// countStages counts, in the window of the order's creation, the funnel stages that the order has reached since the last event, and
// takes back those that it has left.
func countStages(row *table.Order, out *Output) {
	now := stages(row)
	changed := now ^ row.Stages
	for stage := StageCreated; stage <= StageDelivered && changed != 0; stage <<= 1 {
		if changed&stage == 0 {
			continue
		}
		sign := int64(1)
		if now&stage == 0 {
			sign = -1
		}
		out.Contributions = append(out.Contributions, Contribution{Sign: sign,
			Facts: metric.Facts{At: event.UnixMilli(row.CreatedAtMs), Order: row, Stage: stageNames[stage]}})
	}
	row.Stages = now
}

// recompute derives from the entries what an order's events add up to. Entries are sorted by time, so the first of a kind is the
// earliest, and the order's total is what its latest event in the order's currency says.
func recompute(row *table.Order) {
	var captured, refunded, total, dispatched, delivered, cancelled int64
	priced := false
	currency := row.Currency
	for _, e := range row.Entries {
		ours := e.Currency == currency && currency != ""
		switch event.Type(e.Type) {
		case event.OrderCreated, event.OrderUpdated:
			if ours && row.Created {
				total, priced = e.AmountMinor, true
			}
		case event.OrderCancelled:
			first(&cancelled, e)
		case event.PaymentCaptured:
			if ours {
				captured += e.AmountMinor
			}
		case event.PaymentRefunded:
			if ours {
				refunded += e.AmountMinor
			}
		case event.ShipmentDispatched:
			first(&dispatched, e)
		case event.ShipmentDelivered:
			first(&delivered, e)
		}
	}
	row.CapturedMinor, row.RefundedMinor, row.TotalMinor = captured, refunded, total
	row.DispatchedAtMs, row.DeliveredAtMs, row.CancelledAtMs = dispatched, delivered, cancelled
	row.PaidAtMs = 0
	if priced && captured >= total {
		row.PaidAtMs = paidAt(row)
	}
}

func first(at *int64, e *table.Entry) {
	if *at == 0 {
		*at = e.AtMs
	}
}

// paidAt is the time of the capture that reached the total, which the sum of all captures does. An order that costs nothing is paid
// as it is created.
func paidAt(row *table.Order) int64 {
	if row.TotalMinor == 0 {
		return row.CreatedAtMs
	}
	var sum int64
	for _, e := range row.Entries {
		if isCapture(row, e) {
			if sum += e.AmountMinor; sum >= row.TotalMinor {
				return e.AtMs
			}
		}
	}
	return 0
}

// isCapture reports whether the entry is money captured in the order's currency. Money in another currency is kept, and counted in
// that currency's metrics, but pays nothing here.
func isCapture(row *table.Order, e *table.Entry) bool {
	return event.Type(e.Type) == event.PaymentCaptured && e.Currency == row.Currency && row.Currency != ""
}

// stages are the funnel stages that the row has reached.
func stages(row *table.Order) (set uint32) {
	if !row.Created {
		return 0
	}
	set = StageCreated
	if row.PaidAtMs != 0 {
		set |= StagePaid
	}
	if row.DispatchedAtMs != 0 {
		set |= StageDispatched
	}
	if row.DeliveredAtMs != 0 {
		set |= StageDelivered
	}
	return set
}
