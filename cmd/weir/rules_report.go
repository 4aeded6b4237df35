package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir/cmd/weir/internal/backtest"
)

func (b *backtesting) print(a *app, r *backtest.Report) error {
	if a.Output.Format == "json" {
		return printJSON(a, r)
	}
	p := &reportPrinter{w: aligned(a.out)}
	p.head(r)
	p.rules(r)
	if r.All.Labels != nil {
		p.labels(r)
	}
	if r.Against != nil {
		p.against(r)
	}
	p.samples(r)
	for _, warning := range r.Warnings {
		p.line("warning: %s", warning)
	}
	return p.w.Flush()
}

// reportPrinter writes a report for people.
type reportPrinter struct{ w *tabwriter.Writer }

func (p *reportPrinter) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *reportPrinter) head(r *backtest.Report) {
	if r.Partial != "" {
		p.line("PARTIAL: it ended before the events did (%s)", r.Partial)
	}
	p.line("%d events, alerts from %s to %s (%.1f days), %.1f s, %.1f µs an event", r.Events, minute(r.From), minute(r.To), r.Days, r.Seconds, r.Micros)
	p.line("%d alerts of live rules, %.1f a day, about %d entities and %d orders worth %s", r.All.Alerts, r.All.AlertsPerDay,
		r.All.Entities, r.All.Orders, moneyText(r.All.AtRisk))
	p.line("")
}

func (p *reportPrinter) rules(r *backtest.Report) {
	labels := ""
	if r.All.Labels != nil {
		labels = "\tPRECISION\tCAUGHT"
	}
	p.line("RULE\tSTATE\tHITS\tALERTS\tA DAY\tENTITIES\tORDERS\tALSO BY OTHERS\tHELD\tWITHDRAWN%s\tAT RISK", labels)
	for _, x := range byAlerts(r.Rules) {
		labels := ""
		if l := x.Labels; l == nil && r.All.Labels != nil {
			labels = "\t-\t-"
		} else if l != nil {
			labels = fmt.Sprintf("\t%s\t%d", share(l.Precision, l.Alerts), l.Caught)
		}
		p.line("%s\t%s\t%d\t%d\t%.1f\t%d\t%d\t%d\t%d\t%d%s\t%s", x.ID, x.State, x.Hits, x.Alerts, x.AlertsPerDay, x.Entities, x.Orders, x.Shared.Orders,
			x.Held, x.Withdrawn, labels, moneyText(x.AtRisk))
	}
	p.line("")
}

func byAlerts(rules []backtest.RuleReport) []backtest.RuleReport {
	sorted := slices.Clone(rules)
	slices.SortStableFunc(sorted, func(a, b backtest.RuleReport) int { return int(b.Alerts - a.Alerts) })
	return sorted
}

func (p *reportPrinter) labels(r *backtest.Report) {
	l := r.All.Labels
	p.line("%d of %d episodes of planted fraud caught (%s), %d of %d alerts touch one (%s)", l.Caught, l.Episodes,
		share(l.Recall, l.Episodes), l.Touching, l.Alerts, share(l.Precision, l.Alerts))
	if l.Unjudged > 0 {
		p.line("beside them %d alerts of rules that watch over operations, which is no question of fraud", l.Unjudged)
	}
	p.line("\nPATTERN\tEPISODES\tCAUGHT\tRECALL\tAFTER\tVALUE CAUGHT\tOF")
	for _, x := range l.Patterns {
		after := "-"
		if x.Caught > 0 {
			after = (time.Duration(x.DelaySeconds) * time.Second).String()
		}
		p.line("%s\t%d\t%d\t%s\t%s\t%s\t%s", x.Pattern, x.Episodes, x.Caught, share(x.Recall, x.Episodes), after,
			moneyText(x.ValueCaught), moneyText(x.Value))
	}
	p.line("\nSCORE FROM\tALERTS\tPRECISION\tRECALL\tVALUE CAUGHT")
	for i, x := range l.Curve {
		if i > 0 && x.Alerts == l.Curve[i-1].Alerts && x.Recall == l.Curve[i-1].Recall {
			continue
		}
		p.line("%d\t%d\t%s\t%s\t%s", x.Score, x.Alerts, share(x.Precision, x.Alerts), share(x.Recall, l.Episodes), moneyText(x.ValueCaught))
	}
	p.line("\nFALSE POSITIVES LOOK LIKE\tALERTS\tRULES")
	for _, x := range l.FalsePositives {
		name := x.Lookalike
		if name == "" {
			name = "(nothing known)"
		}
		p.line("%s\t%d\t%s", name, x.Alerts, mostOf(x.Rules))
	}
	p.line("")
}

// mostOf is "rule 12, other 3", the most first.
func mostOf(counts map[string]int64) string {
	names := sortedNames(counts)
	slices.SortStableFunc(names, func(a, b string) int { return int(counts[b] - counts[a]) })
	const shown = 4
	var all []string
	for _, name := range names[:min(shown, len(names))] {
		all = append(all, name+" "+strconv.FormatInt(counts[name], 10))
	}
	if len(names) > shown {
		all = append(all, fmt.Sprintf("%d more rules", len(names)-shown))
	}
	return strings.Join(all, ", ")
}

func (p *reportPrinter) against(r *backtest.Report) {
	x := r.Against
	p.line("COMPARED WITH\tALERTS\tA DAY\tENTITIES\tORDERS\tµS AN EVENT")
	p.line("these rules\t%d\t%.1f\t%d\t%d\t%.1f", r.All.Alerts, r.All.AlertsPerDay, r.All.Entities, r.All.Orders, r.Micros)
	p.line("the others\t%d\t%.1f\t%d\t%d\t%.1f", x.All.Alerts, x.All.AlertsPerDay, x.All.Entities, x.All.Orders, x.Micros)
	p.line("both\t\t\t%d\t%d", x.Both.Entities, x.Both.Orders)
	p.line("only these\t\t\t%d\t%d", x.OnlyNow.Entities, x.OnlyNow.Orders)
	p.line("only the others\t\t\t%d\t%d", x.OnlyThen.Entities, x.OnlyThen.Orders)
	if x.All.Labels != nil {
		p.line("caught\t%d by these\t%d by the others", r.All.Labels.Caught, x.All.Labels.Caught)
	}
	p.line("\nRULE\tALERTS\tTHEN")
	then := map[string]int64{}
	for _, t := range x.Rules {
		then[t.ID] = t.Alerts
	}
	for _, t := range r.Rules {
		before, had := then[t.ID]
		delete(then, t.ID)
		switch {
		case !had:
			p.line("%s\t%d\t(new)", t.ID, t.Alerts)
		case before != t.Alerts:
			p.line("%s\t%d\t%d", t.ID, t.Alerts, before)
		}
	}
	for _, id := range sortedNames(then) {
		p.line("%s\t(gone)\t%d", id, then[id])
	}
	p.line("")
}

// Examples for people; JSON has more.
const (
	maxExamples   = 10
	maxPredicates = 6
)

// samples show one alert of the rules that have the most.
func (p *reportPrinter) samples(r *backtest.Report) {
	shown := 0
	for _, x := range byAlerts(r.Rules) {
		if len(x.Samples) == 0 || shown == maxExamples {
			continue
		}
		shown++
		s := &x.Samples[0]
		p.line("for example %s: %s, %d hits from %s", x.ID, s.Entity, s.Hits, s.Started)
		for i, e := range s.Explanation {
			if i == maxPredicates {
				p.line("    and %d more", len(s.Explanation)-i)
				break
			}
			text := fmt.Sprintf("    %s: %s", e.Text, e.Observed)
			if e.EventsTotal > 0 {
				text += fmt.Sprintf(" of %d events", e.EventsTotal)
			}
			p.line("%s", text)
		}
	}
	p.line("")
}

func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }

func share(part float64, of int64) string {
	if of == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*part, 'f', 1, 64) + " %"
}

// moneyText is "1234.50 EUR, 70.00 USD", the greatest number first.
func moneyText(all []backtest.Money) string {
	if len(all) == 0 {
		return "-"
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b backtest.Money) int { return int(sign(b.Amount - a.Amount)) })
	const shown = 3
	var texts []string
	for _, m := range sorted[:min(shown, len(sorted))] {
		texts = append(texts, decimal(m.Amount, m.Exponent)+" "+m.Currency)
	}
	if len(sorted) > shown {
		texts = append(texts, fmt.Sprintf("%d more", len(sorted)-shown))
	}
	return strings.Join(texts, ", ")
}

func sign(n int64) int64 { return max(-1, min(1, n)) }

func decimal(minor int64, digits int) string {
	text := strconv.FormatInt(max(minor, -minor), 10)
	if digits > 0 {
		text = strings.Repeat("0", max(0, digits+1-len(text))) + text
		text = text[:len(text)-digits] + "." + text[len(text)-digits:]
	}
	if minor < 0 {
		text = "-" + text
	}
	return text
}
