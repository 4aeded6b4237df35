package views_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/table"
	"weir/views"
	"weir/views/query"
	"weir/views/search"
)

// aCase is the row of an entity with one alert.
func aCase(entity, id, status string, formerly ...string) row {
	c := &table.Case{Alerts: []*table.Alert{{Id: id, Rule: "velocity", Title: "Many orders", Entity: entity, Status: status, Episode: alert.Active,
		Severity: "high", Score: 70, RiskMinor: 120_00, Currency: "EUR", Revision: 1, StartedMs: noon.UnixMilli(), LastMs: noon.UnixMilli(), Formerly: formerly,
		HitsKept: []*table.HitRef{{OrderId: "o-of-" + id}}}}}
	data, err := c.MarshalVT()
	if err != nil {
		panic(err)
	}
	return row{topology.TableAlerts, entity, -1, data}
}

func find(t *testing.T, v *views.Views, question string) string {
	t.Helper()
	params, err := url.ParseQuery(question)
	if err != nil {
		t.Fatal(err)
	}
	q, err := search.Parse(params)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.Alerts.Search(q)
	if err != nil {
		return err.Error()
	}
	out := ""
	for _, found := range a.Alerts {
		out += found.ID + " "
	}
	return out
}

// An installation without the groups for fraud has no such tables. It is served, and once they are there they are followed.
func TestTablesOfFraudMayBeMissing(t *testing.T) {
	k := startKafka(t)
	k.createTables()
	v, _, _ := k.open(t.TempDir())
	until(t, "the views to be ready", ready(v))
	until(t, "the missing tables to be told", func() bool { return v.Alerts.Missing() && v.Entities.Missing() })
	q, err := search.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	var missing *query.NotReadyError
	if _, err := v.Alerts.Search(q); !errors.As(err, &missing) || !strings.Contains(missing.Why, "does not exist") {
		t.Errorf("searching alerts where there is no table: %v", err)
	}
	if _, err := v.Alerts.Case("card:1"); !errors.As(err, &missing) {
		t.Errorf("reading a case where there is no table: %v", err)
	}
	if _, _, err := v.Entities.Get("card", "1"); !errors.As(err, &missing) {
		t.Errorf("reading an entity where there is no table: %v", err)
	}
	k.create(topology.TableAlerts, topology.TableEntities)
	k.write(aCase("card:1", "a-1", alert.Open), row{topology.TableEntities, "card:1", -1, []byte("seven")})
	until(t, "the new alert", func() bool { return find(t, v, "") == "a-1 " })
	until(t, "the new entity", func() bool {
		e, _, err := v.Entities.Get("card", "1")
		return err == nil && e != nil && e.Features[0].Text == "seven"
	})
	if v.Alerts.Missing() || v.Entities.Missing() {
		t.Error("a table that is there is told as missing")
	}
	for n := range 30 {
		k.write(row{topology.TableEntities, fmt.Sprintf("customer:c-%02d", n), -1, []byte("seven")})
	}
	list := func(kind, prefix, after string, limit int) string {
		ids, err := v.Entities.List(kind, prefix, after, limit)
		if err != nil {
			return err.Error()
		}
		return strings.Join(ids, " ")
	}
	until(t, "all entities, of all partitions", func() bool { return len(strings.Fields(list("customer", "", "", 100))) == 30 })
	for _, c := range []struct {
		kind, prefix, after string
		limit               int
		want                string
	}{{"customer", "", "", 3, "c-00 c-01 c-02"}, {"customer", "c-1", "c-17", 5, "c-18 c-19"}, {"customer", "c-2", "c-1", 1, "c-20"}, {"card", "", "", 9, "1"}, {"ip", "", "", 9, ""}} {
		if got := list(c.kind, c.prefix, c.after, c.limit); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	until(t, "the views to be ready with the new tables", ready(v))
}

func TestAlertsAreFoundAsTheirRowsChange(t *testing.T) {
	k := startKafka(t)
	k.createTables()
	k.create(topology.TableAlerts, topology.TableEntities)
	for n := range 20 {
		k.write(aCase(fmt.Sprint("customer:", n), fmt.Sprintf("b-%02d", n), alert.Closed))
	}
	damaged := row{topology.TableAlerts, "ip:9", -1, []byte{0xff}} // keeps nothing else from being found
	k.write(damaged, aCase("card:1", "a-1", alert.Open), marks(topology.TableAlerts, 0, noon, nil))
	dir := t.TempDir()
	v, _, stop := k.open(dir)
	until(t, "the views to be ready", ready(v))
	if got := find(t, v, "kind=card"); got != "a-1 " { // ready means indexed
		t.Errorf("alerts of cards: %q", got)
	}
	if got := find(t, v, "q=o-of-b-07"); got != "b-07 " {
		t.Errorf("alerts of an order: %q", got)
	}

	told := make(chan struct{}, 1)
	v.Alerts.Subscribe(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	changes, unwatch := v.Alerts.Watch("card:1")
	k.write(damaged, aCase("card:1", "a-0", alert.Acknowledged, "a-1"))
	select {
	case <-changes:
	case <-time.After(30 * time.Second):
		t.Fatal("a watcher hears nothing")
	}
	unwatch()
	if got := find(t, v, "status=acknowledged"); got != "a-0 " { // whoever is told finds it
		t.Errorf("after the change: %q", got)
	}
	until(t, "the hub to be told", func() bool { return len(told) == 1 })
	for _, id := range []string{"a-0", "a-1"} {
		if now, entity, err := v.Alerts.Find(id); now != "a-0" || entity != "card:1" || err != nil {
			t.Errorf("%s is %q of %q, %v", id, now, entity, err)
		}
	}
	c, err := v.Alerts.Case("card:1")
	if err != nil || len(c.GetAlerts()) != 1 || c.Alerts[0].Id != "a-0" {
		t.Errorf("%v, %v", c, err)
	}
	if c, err := v.Alerts.Case("card:2"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	k.write(row{topology.TableAlerts, "customer:7", -1, nil})
	until(t, "the tombstone", func() bool { return find(t, v, "q=o-of-b-07") == "" })

	stop()
	if _, err := v.Alerts.Case("card:1"); err == nil {
		t.Error("a stopped view can be read")
	}
	again, _, _ := k.open(dir)
	until(t, "the views to be ready again", ready(again))
	if got := find(t, again, "status=acknowledged,open"); got != "a-0 " {
		t.Errorf("from disk: %q", got)
	}
	var starting *query.NotReadyError
	q, err := search.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh := views.Open(views.Deps{Names: k.names})
	if _, err := fresh.Alerts.Search(q); !errors.As(err, &starting) {
		t.Errorf("a view that has not begun: %v", err)
	}
}
