package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/topology/metric"
	"weir/views/query"
	"weir/views/search"
)

// The lists that can be had as tables.

// tableOf is a body as a table; nil where it is none.
func tableOf(v any) tabular {
	switch v := v.(type) {
	case *query.Answer:
		return metricTable{v}
	case AlertList:
		return listTable[search.Summary]{v.Next, alertColumns, v.Alerts, alertCells}
	case Timeline:
		return listTable[TimelineEntry]{v.Next, timelineColumns, v.Entries, timelineCells}
	case revisionList:
		return listTable[Revision]{v.Next, revisionColumns, v.Revisions, revisionCells}
	case Rules:
		return listTable[Rule]{v.Next, ruleColumns, v.Rules, ruleCells}
	case EntityList:
		return listTable[EntityRef]{v.Next, entityColumns, v.Entities, func(e *EntityRef) []string { return []string{e.Entity} }}
	}
	return nil
}

// listTable has a row for each item of a page.
type listTable[T any] struct {
	cursor string // of the page after
	names  []string
	items  []T
	cells  func(*T) []string // in the order of names
}

func (l listTable[T]) next() string      { return l.cursor }
func (l listTable[T]) columns() []string { return l.names }
func (l listTable[T]) each(row func(cells []string, line any) error) error {
	for i := range l.items {
		if err := row(l.cells(&l.items[i]), &l.items[i]); err != nil {
			return err
		}
	}
	return nil
}

// metricTable has a row for each point, and of top-k metrics for each of its entries.
type metricTable struct{ *query.Answer }

func (m metricTable) next() string { return "" }

func (m metricTable) labels() []string {
	if len(m.Series) == 0 {
		return nil
	}
	var names []string
	for name := range m.Series[0].Labels {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shape tells which columns the points fill.
func (m metricTable) shape() (quantiles []string, compared bool) {
	for _, s := range m.Series {
		for _, p := range s.Points {
			compared = compared || p.Previous != nil
			for q := range p.Quantiles {
				if !slices.Contains(quantiles, q) {
					quantiles = append(quantiles, q)
				}
			}
		}
	}
	slices.Sort(quantiles)
	return quantiles, compared
}

func (m metricTable) columns() []string {
	out := append(m.labels(), "start", "end", "value", "count", "final", "late")
	if m.Unit == metric.Money {
		out = append(out, "exponent")
	}
	quantiles, compared := m.shape()
	for _, q := range quantiles {
		out = append(out, "q"+q)
	}
	if m.Kind == metric.Top {
		out = append(out, "entry", "entry_count", "entry_error")
	}
	if compared {
		out = append(out, "previous_start", "previous_value", "delta", "change")
	}
	return out
}

func (m metricTable) each(row func(cells []string, line any) error) error {
	names := m.labels()
	quantiles, compared := m.shape()
	for _, s := range m.Series {
		for _, p := range s.Points {
			line := query.Row{Labels: s.Labels, Exponent: s.Exponent, Point: p}
			entries := []query.TopEntry{{}}
			if len(p.Top) > 0 {
				entries = p.Top
			}
			for i, e := range entries {
				if m.Kind == metric.Top {
					line.Top = p.Top[i:min(i+1, len(p.Top))]
				}
				cells := make([]string, 0, len(names)+12)
				for _, name := range names {
					cells = append(cells, s.Labels[name])
				}
				cells = append(cells, timeCell(&p.Start), timeCell(&p.End), cell(p.Value), cell(p.Count), strconv.FormatBool(p.Final), cell(p.Late))
				if m.Unit == metric.Money {
					cells = append(cells, cell(s.Exponent))
				}
				for _, q := range quantiles {
					cells = append(cells, cell(p.Quantiles[q]))
				}
				if m.Kind == metric.Top {
					cells = append(cells, e.Value, cell(e.Count), cell(e.Error))
				}
				if compared {
					cells = append(cells, previousCells(p.Previous)...)
				}
				if err := row(cells, line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func previousCells(p *query.Previous) []string {
	if p == nil {
		return make([]string, 4)
	}
	return []string{timeCell(&p.Start), cell(p.Value), cell(p.Delta), cell(p.Change)}
}

// cell writes a value as a spreadsheet reads it.
func cell(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case *int:
		if v != nil {
			return strconv.Itoa(*v)
		}
	case *float64:
		if v != nil {
			return strconv.FormatFloat(*v, 'f', -1, 64)
		}
	}
	return ""
}

func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func moneyCells(m *Money) []string {
	if m == nil {
		return []string{"", "", ""}
	}
	return []string{m.Amount, m.Currency, strconv.Itoa(m.Exponent)}
}

var alertColumns = []string{"id", "rule", "title", "entity", "severity", "score", "case_score", "typology", "status", "snoozed_until", "assignee", "episode", "shadow",
	"held", "started", "last", "hits", "orders", "at_risk_amount", "at_risk_currency", "at_risk_exponent", "reason", "revision"}

func alertCells(a *search.Summary) []string {
	cells := []string{a.ID, a.Rule, a.Title, a.Entity, a.Severity, cell(a.Score), cell(a.CaseScore), a.Typology, a.Status, timeCell(a.SnoozedUntil), a.Assignee, a.Episode,
		strconv.FormatBool(a.Shadow), strconv.FormatBool(a.Held), timeCell(&a.Started), timeCell(&a.Last), cell(a.Hits), cell(a.Orders)}
	return append(append(cells, moneyCells(a.AtRisk)...), a.Reason, cell(a.Revision))
}

var timelineColumns = []string{"time", "arrived_at", "kind", "what", "order_id", "alert", "rule", "title", "severity", "author", "reason", "source", "reference", "amount",
	"currency", "exponent", "topic", "partition", "offset", "event_id"}

func timelineCells(e *TimelineEntry) []string {
	cells := []string{timeCell(&e.Time), timeCell(e.ArrivedAt), e.Kind, e.What, e.OrderID, e.Alert, e.Rule, e.Title, e.Severity, e.Author, e.Reason, e.Source, e.Reference}
	cells = append(cells, moneyCells(e.Amount)...)
	if e.Place == nil {
		return append(cells, "", "", "", "")
	}
	return append(cells, e.Place.Topic, cell(int64(e.Place.Partition)), cell(e.Place.Offset), e.Place.ID)
}

var revisionColumns = []string{"revision", "at", "author", "comment", "effects"}

func revisionCells(r *Revision) []string {
	effects := make([]string, len(r.Effects))
	for i, e := range r.Effects {
		effects[i] = e.Kind + " " + e.ID + " " + e.Change
	}
	return []string{cell(r.Revision), timeCell(r.At), r.Author, r.Comment, strings.Join(effects, "; ")}
}

var ruleColumns = []string{"id", "title", "state", "version", "severity", "score", "kind", "entity", "typology", "author", "changed_at", "reason", "text"}

func ruleCells(r *Rule) []string {
	return []string{r.ID, r.Title, r.State, cell(r.Version), r.Severity, cell(r.Score), r.Kind, r.Entity, r.Typology, r.Author,
		timeCell(r.ChangedAt), r.Reason, r.Text}
}

var entityColumns = []string{"entity"}
