package search

import (
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
	"weir/views/query"
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
	formerly                          []string
	orders                            []uint64 // hashes of order ids
	folded                            string   // the entity in small letters
	rule, title, status, severity     uint32   // the texts' numbers in the index
	priority, risk                    float64
}

// Of gives the alerts of a row. caseScore is that of all of them together.
func Of(entity string, c *table.Case, caseScore int64) []Alert {
	out := make([]Alert, 0, len(c.GetAlerts()))
	folded := strings.ToLower(entity)
	for _, a := range c.GetAlerts() {
		out = append(out, Alert{
			ID: a.Id, Entity: entity, folded: folded, formerly: a.Formerly,
			Rule: unique.Make(a.Rule), Title: unique.Make(a.Title), Typology: unique.Make(a.Typology), Reason: unique.Make(a.Reason),
			Status: unique.Make(a.Status), Severity: unique.Make(a.Severity), Episode: unique.Make(a.Episode),
			Currency: unique.Make(a.Currency), Assignee: unique.Make(a.Assignee), Shadow: a.Shadow, Held: a.Held,
			Score: a.Score, CaseScore: caseScore, Hits: a.Hits, Orders: a.Orders, RiskMinor: a.RiskMinor, Revision: a.Revision,
			Started: event.UnixMilli(a.StartedMs), Last: event.UnixMilli(a.LastMs), SnoozedUntil: event.UnixMilli(a.SnoozedUntilMs),
			orders: ordersOf(a), risk: major(a.RiskMinor, a.Currency),
		})
		last := &out[len(out)-1]
		last.priority = float64(max(a.Score, caseScore)) * max(1, last.risk)
	}
	return out
}

func ordersOf(a *table.Alert) []uint64 {
	var out []uint64
	add := func(order string) {
		if h := xxhash.Sum64String(order); order != "" && len(out) < MaxOrders && !slices.Contains(out, h) {
			out = append(out, h)
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
	return slices.Clip(out)
}

// major is an amount in units of the currency, so that amounts in yen and in dollars are of one order; rates of exchange are not
// applied. It ranks only.
func major(minor int64, currency string) float64 {
	if e := query.Exponent(currency); e != nil {
		return float64(minor) / math.Pow10(*e)
	}
	return float64(minor) / 100
}

// same tells whether a search could not tell a from b.
func (a *Alert) same(b *Alert) bool {
	return a.ID == b.ID && a.Entity == b.Entity && a.Rule == b.Rule && a.Title == b.Title && a.Typology == b.Typology && a.Reason == b.Reason &&
		a.Status == b.Status && a.Severity == b.Severity && a.Episode == b.Episode && a.Currency == b.Currency && a.Assignee == b.Assignee &&
		a.Shadow == b.Shadow && a.Held == b.Held && a.Score == b.Score && a.CaseScore == b.CaseScore && a.Hits == b.Hits && a.Orders == b.Orders &&
		a.RiskMinor == b.RiskMinor && a.Revision == b.Revision && a.Started == b.Started && a.Last == b.Last && a.SnoozedUntil == b.SnoozedUntil &&
		slices.Equal(a.formerly, b.formerly) && slices.Equal(a.orders, b.orders)
}
