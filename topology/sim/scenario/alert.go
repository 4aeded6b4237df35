package scenario

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/sim/lines"
	"weir/topology/table"
)

// cases are the rows of group alerts.
func cases(r Runner) (map[string]*table.Case, error) {
	rows, err := r.Rows(topology.TableAlerts)
	if err != nil {
		return nil, err
	}
	all := map[string]*table.Case{}
	for entity, raw := range rows {
		all[entity] = new(table.Case)
		if err := all[entity].UnmarshalVT(raw); err != nil {
			return nil, fmt.Errorf("case of %s: %w", entity, err)
		}
	}
	return all, nil
}

// standing are the alerts of a case that have hits. Whether one that was withdrawn ever was, depends on the order of events.
func standing(c *table.Case) []*table.Alert {
	return slices.DeleteFunc(slices.Clone(c.Alerts), func(a *table.Alert) bool { return a.Status == alert.Withdrawn })
}

// printAlerts prints every alert with its explanation.
func printAlerts(r Runner) (string, error) {
	all, err := cases(r)
	if err != nil {
		return "", err
	}
	var alerts []*table.Alert
	for _, entity := range slices.Sorted(maps.Keys(all)) {
		alerts = append(alerts, standing(all[entity])...)
	}
	slices.SortStableFunc(alerts, func(a, b *table.Alert) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.StartedMs, b.StartedMs))
	})
	var b strings.Builder
	for _, a := range alerts {
		b.WriteString(headline(a) + "\n" + explanation(a.First))
	}
	if b.Len() == 0 {
		return "none\n", nil
	}
	return b.String(), nil
}

func headline(a *table.Alert) string {
	words := []string{a.Rule, a.Entity, a.Status + "/" + a.Episode, lines.FormatTime(event.UnixMilli(a.StartedMs)), lines.FormatTime(event.UnixMilli(a.LastMs)),
		fmt.Sprint("hits ", a.Hits), fmt.Sprint("score ", a.Score)}
	if a.Currency != "" {
		words = append(words, "at risk "+money(a.RiskMinor, a.Currency))
	}
	if a.Shadow {
		words = append(words, "shadow")
	}
	if a.Held {
		words = append(words, "held")
	}
	return strings.Join(words, "  ")
}

// explanation prints a hit's predicates: observed, operator, threshold, as the rule says it, and how many events are behind it.
func explanation(parts []*table.Finding) string {
	var b strings.Builder
	for _, f := range parts {
		for _, p := range f.Predicates {
			numbers := strings.Join(slices.DeleteFunc([]string{p.Observed, p.Operator, p.Threshold}, func(s string) bool { return s == "" }), " ")
			b.WriteString("  " + numbers + "  " + p.Text)
			if p.EventsTotal > 0 {
				b.WriteString("  (" + plural(p.EventsTotal, "event") + ")")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}

// printCase prints all that is known of one entity's alerts.
func printCase(r Runner, entity string) (string, error) {
	all, err := cases(r)
	if err != nil {
		return "", err
	}
	c := all[entity]
	if c == nil || len(standing(c)) == 0 {
		return "no alert\n", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "case score %d\n", alert.CaseScore(c))
	for _, a := range standing(c) {
		b.WriteString(headline(a) + "\n")
		for _, line := range []string{named("title", a.Title), named("reason", a.Reason), named("severity", a.Severity), named("typology", a.Typology),
			fmt.Sprint("orders ", a.Orders), named("assigned to", a.Assignee)} {
			if line != "" {
				b.WriteString("  " + line + "\n")
			}
		}
		b.WriteString("  first hit\n" + indent(explanation(a.First)))
		if len(a.Latest) > 0 {
			b.WriteString("  last hit\n" + indent(explanation(a.Latest)))
		}
		b.WriteString("  history\n")
		for _, h := range a.History {
			if h.What == alert.ChangeMerged || h.Decision == "" && h.What == alert.ChangeWithdrawn {
				continue // they tell of the order in which events came
			}
			line := "    " + lines.FormatTime(event.UnixMilli(cmp.Or(h.SeenAtMs, h.AtMs))) + " " + h.What
			if h.Author != "" {
				line += " by " + h.Author
			}
			if h.Reason != "" {
				line += ": " + h.Reason
			}
			b.WriteString(line + "\n")
		}
	}
	for _, refused := range c.Refusals {
		fmt.Fprintf(&b, "refused %s: %s\n", refused.Decision, refused.Why)
	}
	return b.String(), nil
}

func indent(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// printTold prints which of the standing alerts went out on topic alerts. How often, and under which ids before, depends on the order
// of events.
func printTold(r Runner) (string, error) {
	records, err := r.Records(topology.Alerts)
	if err != nil {
		return "", err
	}
	told := map[string]bool{}
	for _, record := range records {
		var e struct{ Data struct{ ID string } }
		if err := json.Unmarshal(record.Value, &e); err != nil {
			return "", fmt.Errorf("event about %s on topic %s: %w", record.Key, topology.Alerts, err)
		}
		told[e.Data.ID] = true
	}
	all, err := cases(r)
	if err != nil {
		return "", err
	}
	var words []string
	for entity, c := range all {
		for _, a := range standing(c) {
			if told[a.Id] {
				words = append(words, fmt.Sprintf("%s  %s  %s\n", a.Rule, entity, lines.FormatTime(event.UnixMilli(a.StartedMs))))
			}
		}
	}
	slices.Sort(words)
	return orNone(words), nil
}

// printEntities prints the keys of the rows of group entities.
func printEntities(r Runner) (string, error) {
	rows, err := r.Rows(topology.TableEntities)
	if err != nil {
		return "", err
	}
	return orNone(slices.Sorted(func(yield func(string) bool) {
		for key := range rows {
			if !yield(key + "\n") {
				return
			}
		}
	})), nil
}

// decide sends one decision and prints what became of it:
//
//	decide RULE[#N] ENTITY ACTION by AUTHOR [at=TIME] [until=TIME] [to=NAME] [revision=N] [id=ID] [reason "…"]
//
// RULE is the newest alert of the rule on the entity, RULE#N the Nth; anything else is an alert's id.
func (p *player) decide(t testing.TB, d *datadriven.TestData) (string, error) {
	r := p.begin(t)
	decision, err := p.decision(d)
	if err != nil {
		return "", err
	}
	all, err := cases(r)
	if err != nil {
		return "", err
	}
	decision.Alert = chosen(all[decision.Entity], decision.Alert)
	value, err := decision.MarshalVT()
	if err != nil {
		return "", err
	}
	record := sim.Record{Topic: topology.Commands, Key: decision.Entity, Value: value, Timestamp: event.UnixMilli(decision.SeenAtMs)}
	if err := p.feed(t, []sim.Record{record}); err != nil {
		return "", err
	}
	if all, err = cases(r); err != nil {
		return "", err
	}
	c := all[decision.Entity]
	if c == nil {
		return "", fmt.Errorf("the decision on %s left no row", decision.Entity)
	}
	for _, refused := range c.Refusals {
		if refused.Decision == decision.Id {
			return "refused: " + refused.Why + "\n", nil
		}
	}
	if !slices.Contains(c.Applied, decision.Id) {
		return "", fmt.Errorf("decision %s was neither taken nor refused", decision.Id)
	}
	return "taken\n", nil
}

// chosen is the id of the alert that a name means.
func chosen(c *table.Case, name string) string {
	if c == nil {
		return name
	}
	rule, number, numbered := strings.Cut(name, "#")
	alerts := slices.DeleteFunc(standing(c), func(a *table.Alert) bool { return a.Rule != rule })
	n, err := strconv.Atoi(number)
	switch {
	case !numbered && len(alerts) > 0:
		return alerts[len(alerts)-1].Id
	case numbered && err == nil && n >= 1 && n <= len(alerts):
		return alerts[n-1].Id
	}
	return name
}

// decision reads the words of a decide command.
func (p *player) decision(d *datadriven.TestData) (*table.Decision, error) {
	p.decisions++
	decision := &table.Decision{Id: "d" + strconv.Itoa(p.decisions),
		SeenAtMs: lines.Day.AddDate(0, 0, 1).Add(time.Duration(p.decisions) * time.Minute).UnixMilli()}
	var words []string
	for i, arg := range d.CmdArgs {
		if arg.Key == "reason" {
			decision.Reason = strings.Trim(text(d.CmdArgs[i+1:]), `"`)
			break
		}
		if len(arg.Vals) == 0 {
			words = append(words, arg.Key)
			continue
		}
		if err := option(decision, arg.Key, strings.Join(arg.Vals, ",")); err != nil {
			return nil, err
		}
	}
	if len(words) != 5 || words[3] != "by" {
		return nil, fmt.Errorf(`decide %v: want decide RULE ENTITY ACTION by AUTHOR reason "…"`, words)
	}
	decision.Alert, decision.Entity, decision.Action, decision.Author = words[0], words[1], words[2], words[4]
	return decision, nil
}

func option(decision *table.Decision, name, value string) (err error) {
	var at time.Time
	switch name {
	case "at":
		at, err = lines.ParseTime(value)
		decision.SeenAtMs = at.UnixMilli()
	case "until":
		at, err = lines.ParseTime(value)
		decision.UntilMs = at.UnixMilli()
	case "to":
		decision.Assignee = value
	case "revision":
		decision.ExpectedRevision, err = strconv.ParseInt(value, 10, 64)
	case "id":
		decision.Id = value
	default:
		err = fmt.Errorf("decide has no argument %q", name)
	}
	return err
}

// text puts the words of arguments together again.
func text(args []datadriven.CmdArg) string {
	var words []string
	for _, arg := range args {
		word := arg.Key
		if len(arg.Vals) > 0 {
			word += "=" + strings.Join(arg.Vals, ",")
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
