package orders

import (
	"slices"
	"strconv"

	"weir/topology/event"
	"weir/topology/table"
)

// RuleAmountMismatch is the finding that an order's captures do not match its total.
const RuleAmountMismatch = "amount_mismatch"

// raise keeps in row.Findings the names of the findings that hold, and sends those that were not there before: one of each rule and
// payment. A finding stops holding when the order's total is raised to cover what was captured.
func raise(s *Settings, row *table.Order, orderID string, out *Output) {
	if s.AmountMismatch == MismatchSum && row.CapturedMinor <= row.TotalMinor && len(row.Findings) == 0 {
		return
	}
	if s.AmountMismatch == MismatchOff || !priced(row, s.AmountMismatch == MismatchEach) {
		row.Findings = row.Findings[:0]
		return
	}
	var sum int64
	names := out.names[:0]
	for _, e := range row.Entries {
		if !isCapture(row, e) {
			continue
		}
		sum += e.AmountMinor
		observed, threshold, wrong := sum, row.TotalMinor, sum > row.TotalMinor
		if s.AmountMismatch == MismatchEach {
			// nothing captured, or an amount left out, is no other amount
			observed, threshold, wrong = e.AmountMinor, row.CreatedTotalMinor, e.AmountMinor != row.CreatedTotalMinor && e.AmountMinor != 0
		}
		if !wrong {
			continue
		}
		name := findingName(e)
		if slices.Contains(names, name) {
			continue
		}
		names = append(names, name)
		if !slices.Contains(row.Findings, name) {
			out.Findings = append(out.Findings, mismatch(s, row, orderID, e, observed, threshold))
		}
	}
	slices.Sort(names)
	row.Findings = append(row.Findings[:0], names...)
	out.names = names
}

// findingName is unique among a row's rules and payments.
func findingName(e *table.Entry) string {
	if e.Reference != "" {
		return RuleAmountMismatch + "/" + e.Reference
	}
	return RuleAmountMismatch + "/#" + strconv.FormatUint(e.IdHash, 16)
}

func mismatch(s *Settings, row *table.Order, orderID string, e *table.Entry, observed, threshold int64) *table.Finding {
	f := &table.Finding{
		Rule: RuleAmountMismatch, Entity: "order:" + orderID, OrderId: orderID, AtMs: e.AtMs,
		Observed: observed, Threshold: threshold, Currency: row.Currency,
	}
	if e.Reference != "" {
		f.Entity = "payment:" + e.Reference
	}
	digits, _ := event.Exponent(row.Currency)
	buf := make([]byte, 0, 96)
	if s.AmountMismatch == MismatchEach {
		buf = append(buf, "captured "...)
	} else {
		buf = append(buf, "captures add up to "...)
	}
	buf = append(event.AppendMajor(buf, observed, digits), ", the order's total is "...)
	buf = append(event.AppendMajor(buf, threshold, digits), ' ')
	f.Detail = string(append(buf, row.Currency...))
	return f
}
