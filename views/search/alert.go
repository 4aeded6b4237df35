package search

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/cespare/xxhash/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// MaxOrders is how many of an alert's orders can be searched for: those of its newest hits.
const MaxOrders = 128

// Alert is what the index holds of one alert. Texts that many alerts share are held once.
type Alert struct {
	ID, Entity                        string
	Rule, Title, Typology, Reason     unique.Handle[string]
	Status, Severity, Episode         unique.Handle[string]
	Currency, Assignee                unique.Handle[string]
	Shadow, Held                      bool
	Score, CaseScore                  int64 // 0 to 100
	Hits, Orders, RiskMinor, Revision int64
	Started, Last                     event.UnixMilli
	SnoozedUntil                      event.UnixMilli // wall clock; 0 = not snoozed

	formerly                      []string
	orders                        []uint64 // hashes of order ids
	folded                        string   // the entity in small letters
	rule, title, status, severity uint32   // the texts' numbers in the index
	priority, risk                float64
}

var snoozed, opened, ended = unique.Make(alert.Snoozed), unique.Make(alert.Open), unique.Make(alert.Ended)

// Of gives the alerts of a row as they are at a wall clock time. A nil row has none.
func Of(entity string, c *table.Case, now time.Time) []Alert {
	if c == nil {
		return nil
	}
	out := make([]Alert, 0, len(c.Alerts))
	folded, caseScore := strings.ToLower(entity), alert.CaseScore(c)
	for _, a := range c.Alerts {
		risk := weight(a.RiskMinor)
		out = append(out, Alert{
			ID: a.Id, Entity: entity, folded: folded, formerly: a.Formerly,
			Rule: unique.Make(a.Rule), Title: unique.Make(a.Title), Typology: unique.Make(a.Typology), Reason: unique.Make(a.Reason),
			Status: unique.Make(alert.StatusAt(a, now)), Severity: unique.Make(a.Severity), Episode: unique.Make(a.Episode),
			Currency: unique.Make(a.Currency), Assignee: unique.Make(a.Assignee), Shadow: a.Shadow, Held: a.Held,
			Score: a.Score, CaseScore: caseScore, Hits: a.Hits, Orders: a.Orders, RiskMinor: a.RiskMinor, Revision: a.Revision,
			Started: event.UnixMilli(a.StartedMs), Last: event.UnixMilli(a.LastMs),
			orders: hashesOf(OrdersOf(a, MaxOrders)), risk: risk, priority: float64(max(a.Score, caseScore)) * max(1, risk),
		})
		if last := &out[len(out)-1]; last.Status == snoozed {
			last.SnoozedUntil = event.UnixMilli(a.SnoozedUntilMs)
		}
	}
	return out
}

// Summary is the JSON of an alert in a list: alert.Alert without its explanation and history.
type Summary struct {
	ID           string       `json:"id"`
	Rule         string       `json:"rule"`
	Title        string       `json:"title"`
	Reason       string       `json:"reason"`
	Entity       string       `json:"entity" doc:"kind:id" example:"customer:c-1"`
	Severity     string       `json:"severity" enum:"low,medium,high,critical"`
	Score        int64        `json:"score" doc:"0 to 100: the highest of its hits"`
	CaseScore    int64        `json:"case_score" doc:"0 to 100: of all rules that say something about the entity"`
	Typology     string       `json:"typology,omitempty"`
	Status       string       `json:"status" enum:"open,acknowledged,confirmed,false_positive,snoozed,closed,withdrawn"`
	SnoozedUntil *time.Time   `json:"snoozed_until,omitempty"`
	Assignee     string       `json:"assignee,omitempty"`
	Episode      string       `json:"episode" enum:"active,ended" doc:"active: hits may still join it"`
	Revision     int64        `json:"revision" doc:"for If-Match"`
	Shadow       bool         `json:"shadow,omitempty" doc:"its rule was in shadow: recorded, told to nobody"`
	Held         bool         `json:"held,omitempty" doc:"over its rule's limit: recorded, told to nobody"`
	Started      time.Time    `json:"started" doc:"first hit"`
	Last         time.Time    `json:"last" doc:"last hit"`
	Hits         int64        `json:"hits"`
	Orders       int64        `json:"orders" doc:"distinct, among the hits kept"`
	AtRisk       *alert.Money `json:"at_risk,omitempty" doc:"totals of those orders"`
}

// Summary is the alert as lists show it.
func (a *Alert) Summary() Summary {
	s := Summary{ID: a.ID, Rule: a.Rule.Value(), Title: a.Title.Value(), Reason: a.Reason.Value(), Entity: a.Entity, Severity: a.Severity.Value(),
		Score: a.Score, CaseScore: a.CaseScore, Typology: a.Typology.Value(), Status: a.Status.Value(), Assignee: a.Assignee.Value(),
		Episode: a.Episode.Value(), Revision: a.Revision, Shadow: a.Shadow, Held: a.Held, Started: a.Started.Time(), Last: a.Last.Time(),
		Hits: a.Hits, Orders: a.Orders}
	if a.SnoozedUntil != 0 {
		until := a.SnoozedUntil.Time()
		s.SnoozedUntil = &until
	}
	if code := a.Currency.Value(); code != "" {
		s.AtRisk = &alert.Money{Amount: strconv.FormatInt(a.RiskMinor, 10), Currency: code}
		s.AtRisk.Exponent, _ = event.Exponent(code)
	}
	return s
}

// OrdersOf are the orders of an alert's hits, newest first, each once, and at most so many.
func OrdersOf(a *table.Alert, most int) []string {
	out := []string{}
	add := func(id string) {
		if id != "" && len(out) < most && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for i := len(a.HitsKept) - 1; i >= 0; i-- {
		add(a.HitsKept[i].OrderId)
	}
	for _, parts := range [][]*table.Finding{a.Latest, a.First} {
		for _, f := range parts {
			add(f.OrderId)
		}
	}
	return out
}

func hashesOf(ids []string) []uint64 {
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = xxhash.Sum64String(id)
	}
	return out
}

// weight makes an amount comparable with others, roughly: a currency without decimals mostly has a unit that is worth as little as
// another's hundredth part, and one with three decimals a large one. Rates of exchange are not known here.
func weight(minor int64) float64 { return float64(minor) / 100 }

// same tells whether a search could not tell a from b.
func (a *Alert) same(b *Alert) bool {
	return a.ID == b.ID && a.Entity == b.Entity && a.Rule == b.Rule && a.Title == b.Title && a.Typology == b.Typology && a.Reason == b.Reason &&
		a.Status == b.Status && a.Severity == b.Severity && a.Episode == b.Episode && a.Currency == b.Currency && a.Assignee == b.Assignee &&
		a.Shadow == b.Shadow && a.Held == b.Held && a.Score == b.Score && a.CaseScore == b.CaseScore && a.Hits == b.Hits && a.Orders == b.Orders &&
		a.RiskMinor == b.RiskMinor && a.Revision == b.Revision && a.Started == b.Started && a.Last == b.Last && a.SnoozedUntil == b.SnoozedUntil &&
		slices.Equal(a.formerly, b.formerly) && slices.Equal(a.orders, b.orders)
}
