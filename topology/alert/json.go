package alert

import (
	"strconv"
	"time"

	"weir/topology/event"
	"weir/topology/table"
)

// Alert is the JSON of an alert. Times are RFC 3339 in UTC.
type Alert struct {
	ID           string      `json:"id"`
	Formerly     []string    `json:"formerly,omitempty"` // ids under which it was known before an earlier hit came, or another alert became part of it
	Rule         string      `json:"rule"`
	Version      int64       `json:"version"` // of the rule at the first hit
	Title        string      `json:"title"`
	Reason       string      `json:"reason"` // why this is suspicious, of the hit with the highest score
	Entity       string      `json:"entity"` // kind:id
	Severity     string      `json:"severity"`
	Score        int64       `json:"score"`      // 0 to 100: the highest of its hits
	CaseScore    int64       `json:"case_score"` // 0 to 100: of all rules that say something about the entity
	Typology     string      `json:"typology,omitempty"`
	Status       string      `json:"status"`
	SnoozedUntil string      `json:"snoozed_until,omitempty"`
	Assignee     string      `json:"assignee,omitempty"`
	Episode      string      `json:"episode"`
	Revision     int64       `json:"revision"` // for If-Match
	Shadow       bool        `json:"shadow,omitempty"`
	Held         bool        `json:"held,omitempty"` // over the rule's limit: recorded, told to nobody
	Started      string      `json:"started"`        // first hit
	Last         string      `json:"last"`           // last hit
	Hits         int64       `json:"hits"`
	Orders       int64       `json:"orders"` // distinct, among the hits kept
	AtRisk       *Money      `json:"at_risk,omitempty"`
	Explanation  []Predicate `json:"explanation"`      // of the first hit
	Latest       []Predicate `json:"latest,omitempty"` // of the last hit, where it is another
	History      []Change    `json:"history"`          // oldest first
}

// Money is an exact amount: minor units as text, because they may pass 2^53.
type Money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	Exponent int    `json:"exponent"`
}

// Predicate is one comparison of the rule and the numbers behind it.
type Predicate struct {
	Text        string  `json:"text"`
	Feature     string  `json:"feature,omitempty"`
	Entity      string  `json:"entity,omitempty"`
	Observed    string  `json:"observed"`
	Operator    string  `json:"operator,omitempty"`
	Threshold   string  `json:"threshold,omitempty"`
	Window      *Window `json:"window,omitempty"`
	Events      []Place `json:"events,omitempty"` // the newest that contributed, oldest first
	EventsTotal int64   `json:"events_total,omitempty"`
}

// Window is what a feature was read over: (from, to]; without from, all there is.
type Window struct {
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// Place is an event and where it stands.
type Place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	ID        string `json:"id"`
	Time      string `json:"time"`
	Type      string `json:"type"`
	OrderID   string `json:"order_id,omitempty"`
}

// Change is an entry of the history: a decision, or what event time did.
type Change struct {
	What     string `json:"what"`
	Time     string `json:"time"`               // of a decision by the wall clock, else event time
	EventAt  string `json:"event_at,omitempty"` // of a decision: the newest hit that it saw
	Author   string `json:"author,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Decision string `json:"decision,omitempty"`
}

// Of is the representation of an alert. caseScore is CaseScore of the row that it stands in. The status is that of the row: see
// StatusAt for what a snoozed alert is now.
func Of(a *table.Alert, caseScore int64) *Alert {
	out := &Alert{
		ID: a.Id, Formerly: a.Formerly, Rule: a.Rule, Version: a.Version, Title: a.Title, Reason: a.Reason, Entity: a.Entity,
		Severity: a.Severity, Score: a.Score, CaseScore: caseScore, Typology: a.Typology, Status: a.Status, Assignee: a.Assignee,
		Episode: a.Episode, Revision: a.Revision, Shadow: a.Shadow, Held: a.Held,
		Started: timeText(a.StartedMs), Last: timeText(a.LastMs), Hits: a.Hits, Orders: a.Orders,
		Explanation: Explain(a.First), Latest: Explain(a.Latest), History: make([]Change, 0, len(a.History)),
	}
	if out.Explanation == nil {
		out.Explanation = []Predicate{}
	}
	if a.Status == Snoozed {
		out.SnoozedUntil = timeText(a.SnoozedUntilMs)
	}
	if a.Currency != "" {
		digits, _ := event.Exponent(a.Currency)
		out.AtRisk = &Money{strconv.FormatInt(a.RiskMinor, 10), a.Currency, digits}
	}
	for _, c := range a.History {
		change := Change{What: c.What, Time: timeText(c.AtMs), Author: c.Author, Reason: c.Reason, Decision: c.Decision}
		if c.SeenAtMs != 0 {
			change.Time, change.EventAt = timeText(c.SeenAtMs), timeText(c.AtMs)
		}
		out.History = append(out.History, change)
	}
	return out
}

// Explain is the explanation of a hit: the predicates of all its parts, in order.
func Explain(parts []*table.Finding) (out []Predicate) {
	for _, f := range parts {
		for _, p := range f.Predicates {
			out = append(out, predicate(p))
		}
	}
	return out
}

func predicate(p *table.Predicate) Predicate {
	out := Predicate{Text: p.Text, Feature: p.Feature, Entity: p.Entity, Observed: p.Observed, Operator: p.Operator,
		Threshold: p.Threshold, EventsTotal: p.EventsTotal}
	if p.ToMs != 0 {
		out.Window = &Window{To: timeText(p.ToMs)}
		if p.FromMs != 0 {
			out.Window.From = timeText(p.FromMs)
		}
	}
	for _, e := range p.Events {
		out.Events = append(out.Events, Place{e.Topic, e.Partition, e.Offset, e.Id, timeText(e.AtMs), e.Type, e.OrderId})
	}
	return out
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
