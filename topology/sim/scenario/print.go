package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/topology"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/sim/lines"
	"weir/topology/table"
)

// wordDuplicates begins lines that tell how often events came again.
const wordDuplicates = "duplicates"

// page collects lines of aligned columns.
type page struct{ b strings.Builder }

func (p *page) line(name string, rest ...string) {
	text := fmt.Sprintf("%-10s  ", name)
	for _, r := range rest {
		if r != "" {
			text += r + "  "
		}
	}
	p.b.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (p *page) String() string { return p.b.String() }

func money(minor int64, currency string) string {
	if currency == "" {
		return ""
	}
	digits, _ := event.Exponent(currency)
	return string(event.AppendMajor(nil, minor, digits)) + " " + currency
}

func named(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

func printOrder(r Runner, id string) (string, error) {
	rows, err := r.Rows(topology.TableOrders)
	if err != nil {
		return "", err
	}
	raw, ok := rows[id]
	if !ok {
		return "no such order\n", nil
	}
	var o table.Order
	if err := o.UnmarshalVT(raw); err != nil {
		return "", fmt.Errorf("row of order %s: %w", id, err)
	}
	var p page
	if o.Created {
		p.line("created", lines.FormatTime(event.UnixMilli(o.CreatedAtMs)), named("customer", o.CustomerId), money(o.TotalMinor, o.Currency),
			named("region", o.Region), named("country", o.Country), named("channel", o.Channel))
	} else {
		p.line("waiting", "for order.created")
	}
	moment := func(name string, at int64, rest ...string) {
		if at != 0 {
			p.line(name, append([]string{lines.FormatTime(event.UnixMilli(at))}, rest...)...)
		}
	}
	moment("paid", o.PaidAtMs)
	moment("dispatched", o.DispatchedAtMs)
	moment("delivered", o.DeliveredAtMs)
	moment("cancelled", o.CancelledAtMs)
	if o.CapturedMinor != 0 {
		p.line("captured", money(o.CapturedMinor, o.Currency))
	}
	if o.RefundedMinor != 0 {
		p.line("refunded", money(o.RefundedMinor, o.Currency))
	}
	if o.Duplicates != 0 {
		p.line(wordDuplicates, fmt.Sprint(o.Duplicates))
	}
	if len(o.Raised) > 0 {
		p.line("findings", strings.Join(raisedRules(&o), ", "))
	}
	for _, e := range o.Entries {
		expected := ""
		if e.ExpectedAtMs != 0 {
			expected = "expected " + lines.FormatTime(event.UnixMilli(e.ExpectedAtMs))
		}
		p.line("- "+lines.FormatTime(event.UnixMilli(e.AtMs)), event.Type(e.Type).String(), money(e.AmountMinor, e.Currency), e.Source, e.Reference, e.Reason, expected)
	}
	return p.String(), nil
}

// raisedRules are the rules that an order has told of, each once.
func raisedRules(o *table.Order) []string {
	var ids []string
	for _, raised := range o.Raised { // sorted by rule
		ids = append(ids, raised.Rule)
	}
	return slices.Compact(ids)
}

// printFindings prints the findings that stand: of each the last word, unless that was a withdrawal.
func printFindings(r Runner) (string, error) {
	records, err := r.Records(topology.Findings)
	if err != nil {
		return "", err
	}
	type identity struct {
		entity, rule string
		hit          uint64
		hash         uint32
		clause, part uint32
	}
	standing := map[identity]string{}
	for _, record := range records {
		if strings.HasPrefix(record.Key, sim.MarkPrefix) {
			continue
		}
		var f table.Finding
		if err := f.UnmarshalVT(record.Value); err != nil {
			return "", fmt.Errorf("finding %s: %w", record.Key, err)
		}
		id := identity{record.Key, f.Rule, f.Hit, f.RuleHash, f.Clause, f.Part}
		if f.Withdrawn {
			delete(standing, id)
			continue
		}
		part := ""
		if f.Parts > 1 {
			part = fmt.Sprintf(", part %d of %d", f.Part+1, f.Parts)
		}
		standing[id] = fmt.Sprintf("%s %s, order %s, at %s%s: %s\n", f.Rule, record.Key, f.OrderId, lines.FormatTime(event.UnixMilli(f.AtMs)), part, f.Reason)
	}
	return orNone(slices.Sorted(maps.Values(standing))), nil
}

// printDeadLetters prints each kind of refusal of a key once: redeliveries are refused again.
func printDeadLetters(r Runner) (string, error) {
	records, err := r.Records(topology.DeadLetters)
	if err != nil {
		return "", err
	}
	var all []string
	for _, record := range records {
		detail, _, _ := strings.Cut(string(record.Headers[event.HeaderDetail]), ", which shows") // the clock is no scenario's
		all = append(all, fmt.Sprintf("%s key %q: %s\n", record.Headers[event.HeaderTopic], record.Key, detail))
	}
	slices.Sort(all)
	return orNone(slices.Compact(all)), nil
}

func orNone(lines []string) string {
	if len(lines) == 0 {
		return "none\n"
	}
	return strings.Join(lines, "")
}

// counterNames are the counters that do not depend on how a scenario is run.
var counterNames = []string{wordDuplicates, "late", "series_over_limit", "unknown_metric"}

func printCounters(r Runner) (string, error) {
	sum := map[string]int64{}
	for _, group := range []string{topology.GroupOrders, topology.GroupMetrics} {
		counters, err := r.Counters(group)
		if err != nil {
			return "", err
		}
		maps.Copy(sum, counters)
	}
	var all []string
	for _, name := range counterNames {
		if n := sum[name]; n != 0 {
			all = append(all, fmt.Sprintf("%s %d\n", name, n))
		}
	}
	return orNone(all), nil
}
