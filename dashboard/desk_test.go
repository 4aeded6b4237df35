package dashboard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/api"
	"weir/views/live"
	"weir/views/query"
	"weir/views/query/querytest"
	"weir/views/search"
)

// desk is a shop's alerts, entities and orders in memory, with a group that takes decisions.
type desk struct {
	db    *querytest.Table
	index *search.Index
	hub   *live.Hub
	now   time.Time

	mu       sync.Mutex
	cases    map[string]*table.Case
	entities map[string]*views.Entity
	orders   map[string]*table.Order
	watchers map[string][]chan struct{}
	decided  []*table.Decision
	before   func(d *table.Decision) // what others do just before a decision is taken
}

func openDesk() *desk {
	d := &desk{db: querytest.New(), index: search.New(1000), now: time.Now().UTC().Truncate(time.Second), cases: map[string]*table.Case{},
		entities: map[string]*views.Entity{}, orders: map[string]*table.Order{}, watchers: map[string][]chan struct{}{}}
	d.db.Add(querytest.Key("orders", "1m", d.now.Truncate(time.Minute), "eu", "DE", "web", "EUR"), 5, 0)
	d.db.Add(querytest.Key("revenue", "1m", d.now.Truncate(time.Minute), "card", "eu", "DE", "EUR"), 5, 500)
	d.db.Watermark(d.now)
	return d
}

func (d *desk) serve(t *testing.T, address string, more ...func(*api.Deps, *live.Config)) *site {
	t.Helper()
	s := serve(t, d.db, address, append(more, func(served *api.Deps, pushed *live.Config) {
		served.Alerts, served.Entities, served.Commands, served.Orders = d, entitiesOf{d}, d, ordersOf{d}
		pushed.Topics = live.AlertTopics{Source: d, Others: pushed.Topics}
	})...)
	d.mu.Lock()
	d.hub = s.hub
	d.mu.Unlock()
	return s
}

func (d *desk) ago(age time.Duration) int64 { return d.now.Add(-age).UnixMilli() }

// change changes a row and tells everybody.
func (d *desk) change(entity string, f func(c *table.Case)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.cases[entity].CloneVT()
	if c == nil {
		c = &table.Case{}
	}
	f(c)
	d.cases[entity] = c
	d.index.Put(entity, search.Of(entity, c, time.Now()))
	for _, ch := range d.watchers[entity] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	if d.hub != nil {
		d.hub.AlertsChanged()
	}
}

func (d *desk) Started(from, to event.UnixMilli, fn func(*search.Alert)) error {
	d.index.Started(from, to, fn)
	return nil
}

func (d *desk) add(alerts ...*table.Alert) {
	for _, a := range alerts {
		d.change(a.Entity, func(c *table.Case) {
			c.Alerts = append(c.Alerts, a)
			slices.SortFunc(c.Alerts, func(a, b *table.Alert) int { return strings.Compare(a.Rule, b.Rule) })
		})
	}
}

// alert changes one alert.
func (d *desk) alert(entity, id string, f func(a *table.Alert)) {
	d.change(entity, func(c *table.Case) {
		for _, a := range c.Alerts {
			if a.Id == id {
				f(a)
				a.Revision++
			}
		}
	})
}

func (d *desk) status(entity, id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.cases[entity].GetAlerts() {
		if a.Id == id {
			return a.Status
		}
	}
	return ""
}

func (d *desk) moment() search.Moment {
	return search.Moment{Watermark: event.UnixMilli(d.now.UnixMilli()), Now: time.Now()}
}
func (d *desk) Search(q *search.Query) (*search.Answer, error) {
	return d.index.Search(q, d.moment()), nil
}
func (d *desk) Changed(q *search.Query, since uint64, shown func(string) bool) (uint64, bool, error) {
	seq, yes := d.index.Changed(q, d.moment(), since, shown)
	return seq, yes, nil
}
func (d *desk) Sharing(entities, orders []string, but string, limit int) ([]search.Shared, error) {
	return d.index.Sharing(entities, orders, but, limit), nil
}
func (d *desk) Find(id string) (now, entity string, err error) {
	a, _ := d.index.Find(id)
	return a.ID, a.Entity, nil
}
func (d *desk) Case(entity string) (*table.Case, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cases[entity], nil
}
func (d *desk) Watch(entity string) (<-chan struct{}, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch := make(chan struct{}, 1)
	d.watchers[entity] = append(d.watchers[entity], ch)
	return ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.watchers[entity] = slices.DeleteFunc(d.watchers[entity], func(other chan struct{}) bool { return other == ch })
	}
}
func (d *desk) Progress() query.Progress { return d.db.Progress() }
func (d *desk) Missing() bool            { return false }

// Decide takes what fits the revision, as the group does.
func (d *desk) Decide(_ context.Context, decisions []*table.Decision) []error {
	for _, one := range decisions {
		d.mu.Lock()
		d.decided = append(d.decided, one)
		before := d.before
		d.before = nil
		d.mu.Unlock()
		if before != nil {
			before(one)
		}
		d.change(one.Entity, func(c *table.Case) {
			for _, a := range c.Alerts {
				if a.Id != one.Alert {
					continue
				}
				if one.ExpectedRevision != 0 && one.ExpectedRevision != a.Revision {
					c.Refusals = append(c.Refusals, &table.Refusal{Decision: one.Id, Alert: one.Alert, Why: "the alert has changed: look at it again", Revision: a.Revision})
					continue
				}
				if status := alert.StatusAfter(one.Action); status != "" {
					a.Status = status
				}
				if one.Action == alert.Assign {
					a.Assignee = one.Assignee
				}
				a.Revision++
				a.SnoozedUntilMs = one.UntilMs
				a.History = append(a.History, &table.Change{SeenAtMs: one.SeenAtMs, What: one.Action, Author: one.Author, Reason: one.Reason, Decision: one.Id})
				c.Applied = append(c.Applied, one.Id)
			}
		})
	}
	return make([]error, len(decisions))
}

type entitiesOf struct{ *desk }

// List gives none: no test asks for it.
func (e entitiesOf) List(string, string, string, int) ([]string, error) { return nil, nil }

func (e entitiesOf) Get(kind, id string) (*views.Entity, int32, error) {
	return e.entities[kind+":"+id], 3, nil
}

type ordersOf struct{ *desk }

func (o ordersOf) Get(id string) (*table.Order, int32, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.orders[id], 3, nil
}

// anAlert is an alert about 5 cards from one address, with an amount at risk and one order.
func (d *desk) anAlert(id, entity, order, severity string, score, riskMinor int64) *table.Alert {
	a := &table.Alert{Id: id, Rule: "card_testing", Version: 3, Title: "Card testing " + id, Reason: "many cards from one address", Entity: entity, Status: alert.Open,
		Episode: alert.Active, Severity: severity, Typology: "card_testing", Score: score, Revision: 1, StartedMs: d.ago(8 * time.Minute), LastMs: d.ago(5 * time.Minute),
		RiskMinor: riskMinor, Currency: "EUR", Orders: 1, Hits: 1, HitsKept: []*table.HitRef{{OrderId: order}},
		History: []*table.Change{{AtMs: d.ago(8 * time.Minute), What: "opened"}}}
	var events []*table.Place
	for i := range 5 {
		events = append(events, &table.Place{Topic: "payments", Partition: 3, Offset: int64(70 + i), Id: fmt.Sprint("e-", i), AtMs: d.ago(time.Duration(13-i) * time.Minute),
			Type: "payment.attempted", OrderId: order})
	}
	a.First = []*table.Finding{{OrderId: order, Predicates: []*table.Predicate{
		{Text: "cards_per_ip[10m] >= 3", Feature: "distinct(card.fingerprint of payment.attempted by ip, 10m)", Entity: entity, Observed: "6", Operator: ">=", Threshold: "3",
			FromMs: d.ago(18 * time.Minute), ToMs: d.ago(8 * time.Minute), Events: events, EventsTotal: 5},
		{Text: "amount < 50.00", Observed: "25.00 EUR", Operator: "<", Threshold: "50.00 EUR"},
	}}}
	return a
}
