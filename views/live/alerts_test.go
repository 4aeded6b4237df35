package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/live"
	"weir/views/query"
	"weir/views/query/querytest"
	"weir/views/search"
)

// desk is an index of alerts whose changes the hub hears of.
type desk struct {
	index *search.Index
	hub   *live.Hub
	url   string
	down  error
}

func (d *desk) moment() search.Moment {
	return search.Moment{Watermark: event.UnixMilli(noon.UnixMilli()), Now: noon}
}

func (d *desk) Search(q *search.Query) (*search.Answer, error) {
	if d.down != nil {
		return nil, d.down
	}
	return d.index.Search(q, d.moment()), nil
}

func (d *desk) Changed(q *search.Query, since uint64, shown func(string) bool) (uint64, bool, error) {
	seq, yes := d.index.Changed(q, d.moment(), since, shown)
	return seq, yes, nil
}

func (d *desk) Progress() query.Progress {
	return query.Progress{Watermark: event.UnixMilli(noon.UnixMilli()), Present: 8, Expected: 8}
}

func (d *desk) put(entity string, alerts ...*table.Alert) {
	d.index.Put(entity, search.Of(entity, &table.Case{Alerts: alerts}, noon))
	d.hub.AlertsChanged()
}

func startDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{index: search.New(10_000)}
	db := querytest.New()
	d.hub = live.New(live.Config{
		Topics:    live.AlertTopics{Source: d, Others: live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db}},
		Freshness: func() live.Freshness { return live.FreshnessOf(db.Progress()) }, Build: "test",
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.hub.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	server := httptest.NewServer(d.hub)
	d.url = server.URL
	t.Cleanup(func() { cancel(); <-done; server.Close() })
	return d
}

// page is what the query API says, in the form that a client keeps.
func (d *desk) page(t *testing.T, filter map[string]any) map[string]string {
	t.Helper()
	params := url.Values{}
	for name, value := range filter {
		params.Set(name, fmt.Sprint(value))
	}
	q, err := search.Parse(params)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, a := range d.index.Search(q, d.moment()).Alerts {
		data, err := json.Marshal(a.Summary())
		if err != nil {
			t.Fatal(err)
		}
		out[a.ID] = string(data)
	}
	return out
}

// Whatever alerts come, change and go: once the server is still, each client holds what the query API answers.
func TestAlertsOfAClientEqualTheAnswer(t *testing.T) {
	d := startDesk(t)
	rng := rand.New(rand.NewPCG(7, 9))
	subs := map[string]map[string]any{"all": {}, "open": {"status": "open"}, "top": {"limit": "3", "sort": "risk"}, "rule": {"rule": "r1", "min_score": "50"}}
	clients := []*client{dial(t, d.url, nil).hello(), dial(t, d.url, nil).hello()}
	for _, c := range clients {
		for id, filter := range subs {
			c.sub(id, "alerts", 20, filter)
		}
	}
	for _, c := range clients {
		for id := range subs {
			c.until("the snapshot of "+id, func() bool { return c.subs[id] != nil && c.subs[id].whole })
		}
	}
	for range 300 {
		entity := fmt.Sprint("card:", rng.IntN(12))
		var alerts []*table.Alert
		for n := range rng.IntN(3) {
			alerts = append(alerts, &table.Alert{Id: fmt.Sprintf("%s-%d", entity, n), Rule: fmt.Sprint("r", n), Title: "t", Status: search.Statuses[rng.IntN(3)], Episode: alert.Active,
				Severity: "high", Score: rng.Int64N(101), RiskMinor: rng.Int64N(1000), Currency: "EUR", Revision: rng.Int64N(5), StartedMs: noon.UnixMilli(), LastMs: noon.UnixMilli()})
		}
		d.put(entity, alerts...)
		if n := rng.IntN(2 * len(clients) * 10); n < len(clients) { // so that the changes come in several deltas
			want := d.page(t, subs["open"])
			clients[n].until("the answer meanwhile", func() bool { return maps.Equal(clients[n].subs["open"].rows, want) })
		}
	}
	for _, c := range clients {
		for id, filter := range subs {
			want := d.page(t, filter)
			c.until("the answer to "+id, func() bool { return maps.Equal(c.subs[id].rows, want) })
		}
	}
	if n := clients[0].got("delta"); n < 3 {
		t.Errorf("only %d deltas", n)
	}
}

func TestAlertSubscriptionsThatCannotBe(t *testing.T) {
	d := startDesk(t)
	c := dial(t, d.url, nil).hello()
	params := map[string]map[string]any{"status": {"status": "opened"}, "cursor": {"cursor": "x"}, "limit": {"limit": "9999"}, "window": {"window": "1m"}}
	for id, filter := range params {
		c.sub(id, "alerts", 20, filter)
	}
	c.until("the refusals", func() bool { return len(c.errors) == len(params) })
	var named []string
	c.mu.Lock()
	for _, p := range c.errors {
		named = append(named, p.Param)
	}
	c.mu.Unlock()
	slices.Sort(named)
	if want := slices.Sorted(maps.Keys(params)); !slices.Equal(named, want) {
		t.Errorf("%q, want %q", named, want)
	}
	d.down = &query.NotReadyError{Table: "weir-alerts-table", Why: "it does not exist"}
	late := dial(t, d.url, nil).hello()
	late.sub("a", "alerts", 20, nil)
	late.until("the refusal", func() bool { return len(late.errors) == 1 && late.errors[0].Status == 503 })
	late.sub("m", "metrics/orders", 20, nil) // metrics go on
	late.until("the metric", func() bool { return late.subs["m"] != nil && late.subs["m"].whole })
}
