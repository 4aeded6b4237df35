package simulated

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"weir/processors/rule"
	"weir/topology/window"
)

// probe is a feature: what a rule reads, and how anybody would compute it.
type probe struct {
	agg      string
	value    string
	quantile float64
	window   time.Duration // 0 = all
	previous bool
	declined bool // of payments that failed with a code, whatever the rule is on
}

// probing is a rule that asks for probes and always holds.
type probing struct {
	id     string
	on     []string
	kind   string
	probes []probe
}

var orderEvents, paymentEvents = []string{"order.created"}, []string{"payment.attempted", "payment.captured", "payment.failed"}

// probings read every aggregate of every kind of values, over customers, addresses, cards and orders.
func probings() (all []probing) {
	money := func(value string) []probe {
		return []probe{
			{agg: "count", window: 10 * time.Minute}, {agg: "count", window: time.Hour, previous: true}, {agg: "rate", window: time.Hour},
			{agg: "sum", value: value, window: 3 * time.Hour}, {agg: "mean", value: value, window: time.Hour, previous: true},
			{agg: "stddev", value: value, window: 3 * time.Hour}, {agg: "min", value: value, window: time.Hour},
			{agg: "max", value: value, window: 3 * time.Hour, previous: true},
			{agg: "last", value: value, window: time.Hour, previous: true}, {agg: "percentile", value: value, quantile: 0.5, window: 3 * time.Hour},
			{agg: "distinct", value: value, window: 10 * time.Minute},
			{agg: "since_first", window: time.Hour}, {agg: "since_last", window: 3 * time.Hour, previous: true},
			{agg: "sum", value: "units", window: time.Hour}, {agg: "distinct", value: "channel", window: 3 * time.Hour},
		}
	}
	add := func(id, kind string, on []string, probes []probe) { all = append(all, probing{id, on, kind, probes}) }
	for _, kind := range []string{"customer", "ip"} {
		add("orders_by_"+kind, kind, orderEvents, append(money("total"),
			probe{agg: "last", value: "channel", window: time.Hour}, probe{agg: "distinct", value: "order", window: 3 * time.Hour}))
	}
	for _, kind := range []string{"customer", "ip", "card"} {
		add("payments_by_"+kind, kind, paymentEvents, append(money("amount"),
			probe{agg: "distinct", value: "card", window: time.Hour}, probe{agg: "last", value: "ip", window: 3 * time.Hour, previous: true},
			probe{agg: "max", value: "order_age", window: time.Hour}, probe{agg: "percentile", value: "order_age", quantile: 0.95, window: 3 * time.Hour},
			probe{agg: "count", window: 3 * time.Hour, declined: true}))
	}
	add("payments_by_order", "order", paymentEvents, []probe{
		{agg: "count", window: 24 * time.Hour}, {agg: "sum", value: "amount", window: 24 * time.Hour},
		{agg: "distinct", value: "card", window: 24 * time.Hour},
		{agg: "stddev", value: "amount", window: 24 * time.Hour, previous: true}, {agg: "mean", value: "total", window: 24 * time.Hour}})
	return all
}

// text is the feature as explanations name it.
func (p *probe) text(kind string, on []string) string {
	series := strings.Join(on, ", ") + " by " + kind
	if p.declined {
		series = "payment.failed by " + kind + ` where ` + declined
	}
	if p.value != "" {
		series = p.value + " of " + series
	}
	return p.agg + "(" + series + p.arguments() + ")"
}

func (p *probe) arguments() (text string) {
	if p.quantile > 0 {
		text += fmt.Sprint(", ", p.quantile)
	}
	if p.window > 0 {
		text += ", " + window.FormatSpan(p.window)
	} else {
		text += ", all"
	}
	if p.previous {
		text += ", previous"
	}
	return text
}

// source is the feature as a rule writes it.
func (p *probe) source(kind string) string {
	switch {
	case p.declined:
		return "declined_by_" + kind + "[" + window.FormatSpan(p.window) + "]"
	case p.value != "":
		return p.agg + "(" + p.value + strings.Replace(p.arguments(), ", previous", "", 1) + ", " + kind + p.last() + ")"
	}
	return p.agg + "(" + strings.TrimPrefix(strings.Replace(p.arguments(), ", previous", "", 1), ", ") + ", " + kind + p.last() + ")"
}

func (p *probe) last() string {
	if p.previous {
		return ", previous"
	}
	return ""
}

const declined = `decline_code in ["no_funds", "stolen"]`

// alwaysKnown are aggregates that have a value where nothing was seen.
var alwaysKnown = []string{"count", "distinct", "rate"}

// probeRules is the document of rules that always hold.
func probeRules(all []probing) string {
	var b strings.Builder
	b.WriteString("defaults: {grace: 1h, cap: 2000, limit: none}\nfeatures:\n")
	for _, kind := range []string{"customer", "ip", "card"} {
		fmt.Fprintf(&b, "  - {name: declined_by_%s, on: payment.failed, where: '%s', key: %s, agg: count, windows: [3h]}\n", kind, declined, kind)
	}
	b.WriteString("rules:\n")
	for _, g := range all {
		var conditions []string
		for i := range g.probes {
			p := &g.probes[i]
			x := p.source(g.kind)
			if slices.Contains(alwaysKnown, p.agg) {
				conditions = append(conditions, x+" >= 0")
			} else {
				conditions = append(conditions, "known("+x+") == known("+x+")")
			}
		}
		fmt.Fprintf(&b, "  - {id: %s, reason: none, entity: %s, on: [%s], when: '%s'}\n",
			g.id, g.kind, strings.Join(g.on, ", "), strings.Join(conditions, " and "))
	}
	return b.String()
}

// of is what an event gives to the feature; ok is false where it gives nothing.
func (p *probe) of(s *sighting) (v rule.Value, ok bool) {
	switch p.value {
	case "":
		return rule.Value{Type: rule.Number, Num: 1}, true
	case "total":
		return rule.Value{Type: rule.Money, Num: float64(s.created.amount)}, s.created.amount >= 0 && s.created.currency == s.currency
	case "amount":
		return rule.Value{Type: rule.Money, Num: float64(s.amount)}, s.amount >= 0
	case "units":
		n := int64(0)
		for _, l := range s.created.items {
			n += l.quantity
		}
		return rule.Value{Type: rule.Number, Num: float64(n)}, true
	case "order_age":
		return rule.Value{Type: rule.Duration, Num: float64(s.at - s.created.at)}, true
	}
	text := map[string]string{"card": s.card, "channel": s.created.channel, "ip": s.client, "order": s.order}[p.value]
	return rule.Value{Type: rule.Text, Text: text}, text != ""
}

// counts reports whether an event is one of those that the feature is about.
func (p *probe) counts(on []string, s *sighting) bool {
	if p.declined {
		return s.kind == "payment.failed" && (s.decline == "no_funds" || s.decline == "stolen")
	}
	return slices.Contains(on, s.kind)
}

// typed is the feature's value at s where nothing is known of it.
func (p *probe) typed(s *sighting) (v rule.Value) {
	switch p.agg {
	case "since_first", "since_last":
		v.Type = rule.Duration
	case "count", "rate", "distinct":
		v.Type = rule.Number
	default:
		sample, _ := p.of(s)
		v.Type = sample.Type
	}
	return v
}

// read evaluates the feature at s by looking at the events of its entity, which are sorted.
func (p *probe) read(on []string, s *sighting, events []*sighting) (v rule.Value, behind []*sighting) {
	v = p.typed(s)
	if v.Type == rule.Money && s.currency == "" {
		return v, nil
	}
	for _, e := range events {
		if compareSightings(e, s) > 0 {
			break
		}
		_, ok := p.of(e)
		switch {
		case !ok, !p.counts(on, e), p.window > 0 && e.at <= s.at-p.window.Milliseconds(), p.previous && e == s,
			v.Type == rule.Money && e.currency != s.currency:
			continue
		}
		behind = append(behind, e)
	}
	return p.fold(v, s, behind), behind
}

// fold makes the aggregate of the events behind it.
func (p *probe) fold(v rule.Value, s *sighting, behind []*sighting) rule.Value {
	n := float64(len(behind))
	v.Known = n > 0
	switch p.agg {
	case "count":
		v.Num, v.Known = n, true
		return v
	case "rate":
		v.Num, v.Known = n/p.window.Hours(), true
		return v
	case "sum":
		v.Known = true
	case "distinct":
		different := map[rule.Value]bool{}
		for _, e := range behind {
			x, _ := p.of(e)
			different[x] = true
		}
		v.Num, v.Known = float64(len(different)), true
		return v
	}
	if n == 0 {
		return v
	}
	var numbers []float64
	sum := 0.0
	for _, e := range behind {
		x, _ := p.of(e)
		numbers = append(numbers, x.Num)
		sum += x.Num
	}
	switch p.agg {
	case "sum":
		v.Num = sum
	case "mean":
		v.Num = sum / n
	case "stddev":
		squares := 0.0
		for _, x := range numbers {
			squares += (x - sum/n) * (x - sum/n)
		}
		if v.Known = n > 1; v.Known {
			v.Num = math.Sqrt(squares / n)
		}
	case "min":
		v.Num = slices.Min(numbers)
	case "max":
		v.Num = slices.Max(numbers)
	case "last":
		last, _ := p.of(behind[len(behind)-1])
		v.Num, v.Text = last.Num, last.Text
	case "since_first":
		v.Num = float64(s.at - behind[0].at)
	case "since_last":
		v.Num = float64(s.at - behind[len(behind)-1].at)
	case "percentile":
		slices.Sort(numbers)
		v.Num = numbers[max(int(math.Ceil(p.quantile*n)), 1)-1]
	}
	return v
}

// cited are the events that an explanation names, and how many it says there are. Of more than 64 it names a choice: nil.
func (p *probe) cited(v rule.Value, behind []*sighting) (ids []string, total int) {
	switch {
	case len(behind) == 0:
		return nil, 0
	case p.agg == "last" || p.agg == "since_last":
		behind = behind[len(behind)-1:]
	case p.agg == "since_first":
		behind = behind[:1]
	case len(behind) > 64:
		return nil, len(behind)
	}
	for _, e := range behind {
		ids = append(ids, e.id)
	}
	return ids, len(behind)
}
