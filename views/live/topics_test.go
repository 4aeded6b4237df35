package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"weir/topology/alert"
	"weir/topology/table"
	"weir/views/live"
	"weir/views/query"
)

// office is a source of orders and of the status.
type office struct {
	mu      sync.Mutex
	orders  map[string]string
	status  map[string]string
	asked   int // how often the status was asked for
	down    error
	present int
}

func newOffice() *office {
	return &office{orders: map[string]string{}, status: map[string]string{"group/orders": `{"lag_records":0}`}, present: 8}
}

func (o *office) Order(id string) (json.RawMessage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down != nil {
		return nil, o.down
	}
	if row, ok := o.orders[id]; ok {
		return json.RawMessage(row), nil
	}
	return nil, nil
}

func (o *office) StatusRows(context.Context) (map[string]json.RawMessage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	rows := map[string]json.RawMessage{}
	for key, row := range o.status {
		rows[key] = json.RawMessage(row)
	}
	return rows, o.down
}

func (o *office) Progress() query.Progress { return query.Progress{Present: o.present, Expected: 8} }

func (o *office) set(into map[string]string, key, row string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if row == "" {
		delete(into, key)
		return
	}
	into[key] = row
}

func (o *office) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = err
}

func (o *office) timesAsked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func startOffice(t *testing.T) (*office, *world) {
	t.Helper()
	o := newOffice()
	return o, startWith(t, live.Limits{}, func(cfg *live.Config) {
		cfg.Topics = &live.StatusTopics{Source: o, Others: live.OrderTopics{Source: o, Others: cfg.Topics}}
	})
}

// change stores an order and tells the hub, as the view does.
func (o *office) change(w *world, id, row string) {
	o.set(o.orders, id, row)
	w.hub.Orders().RowChanged(id)
}

func TestOrdersAreFollowedById(t *testing.T) {
	o, w := startOffice(t)
	o.set(o.orders, "o-1", `{"status":"created"}`)
	c := dial(t, w.url, nil).hello()
	c.sub("one", "orders/o-1", 20, nil)
	c.sub("some", "orders", 20, map[string]any{"id": []string{"o-2", "o-1", "o-1"}})
	c.until("snapshots", func() bool { return c.subs["one"].whole && c.subs["some"].whole })
	holds := func(id string, want map[string]string) {
		t.Helper()
		c.until(id, func() bool { return maps.Equal(c.subs[id].rows, want) })
	}
	holds("one", map[string]string{"o-1": `{"status":"created"}`})
	o.change(w, "o-2", `{"status":"waiting"}`)
	holds("some", map[string]string{"o-1": `{"status":"created"}`, "o-2": `{"status":"waiting"}`})
	o.change(w, "o-1", `{"status":"paid"}`)
	holds("one", map[string]string{"o-1": `{"status":"paid"}`})
	o.change(w, "o-2", "")
	holds("some", map[string]string{"o-1": `{"status":"paid"}`})
	// A partition that is away leaves the rows as they were; they are read again once it is back.
	o.fail(&query.NotReadyError{Table: "weir-orders-table", Why: "partition 3 is not recovered"})
	o.change(w, "o-1", `{"status":"delivered"}`)
	o.fail(nil)
	w.hub.Orders().Resync()
	holds("one", map[string]string{"o-1": `{"status":"delivered"}`})
	if n := len(c.errors); n > 0 {
		t.Errorf("%d errors: %v", n, c.errors)
	}
}

func TestOrderSubscriptionsThatCannotBe(t *testing.T) {
	o, w := startOffice(t)
	c := dial(t, w.url, nil).hello()
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for i, filter := range []map[string]any{nil, {"id": many}, {"status": "paid"}, {"id": ""}} {
		c.sub(fmt.Sprint("s", i), "orders", 20, filter)
		c.until("the refusal", func() bool { return len(c.errors) == i+1 && c.errors[i].Status == 422 })
	}
	c.sub("x", "orders/", 20, nil)
	c.until("the refusal", func() bool { return len(c.errors) == 5 && c.errors[4].Param == "id" })
	o.fail(&query.NotReadyError{Table: "weir-orders-table", Why: "starting"})
	c.sub("y", "orders/o-1", 20, nil)
	c.until("the refusal", func() bool { return len(c.errors) == 6 && c.errors[5].Status == 503 })
	c.sub("z", "status", 20, map[string]any{"group": "orders"})
	c.until("the refusal", func() bool { return len(c.errors) == 7 && c.errors[6].Param == "group" })
	c.sub("s", "status", 20, nil)
	c.until("the refusal", func() bool { return len(c.errors) == 8 && c.errors[7].Status == 503 })
}

// However many follow the status, it is asked for once a second, and by nobody once they have gone.
func TestStatusIsAskedForOncePerSecondForAll(t *testing.T) {
	o, w := startOffice(t)
	clients := []*client{dial(t, w.url, nil).hello(), dial(t, w.url, nil).hello(), dial(t, w.url, nil).hello()}
	for i, c := range clients {
		c.sub("s", "status", 20+i, nil) // three cohorts
		c.until("the snapshot", func() bool { return c.subs["s"].whole })
	}
	if n := o.timesAsked(); n > 2 { // 2: a second may have passed meanwhile
		t.Errorf("asked %d times for three subscribers", n)
	}
	for round := range 2 {
		before := o.timesAsked()
		row := fmt.Sprintf(`{"lag_records":%d}`, round+1)
		o.set(o.status, "group/orders", row)
		for _, c := range clients {
			c.until("the change", func() bool { return c.subs["s"].rows["group/orders"] == row })
		}
		if n := o.timesAsked() - before; n > 2 { // 2: one may have been under way
			t.Errorf("asked %d times for one change", n)
		}
	}
	o.fail(errors.New("the cluster is away"))
	o.set(o.status, "group/orders", `{"lag_records":9}`)
	asked := o.timesAsked()
	clients[0].until("a tick", func() bool { return o.timesAsked() > asked })
	o.fail(nil)
	for _, c := range clients {
		c.until("the change, once the cluster is back", func() bool { return c.subs["s"].rows["group/orders"] == `{"lag_records":9}` })
		c.send(map[string]any{"type": "unsub", "id": "s"})
		c.send(map[string]any{"type": "ping", "n": 5})
		c.until("the pong", func() bool { return c.frames["pong"] == 1 })
	}
	asked = o.timesAsked()
	ticks := clients[0].got("tick")
	clients[0].until("two more ticks", func() bool { return clients[0].frames["tick"] >= ticks+2 })
	if n := o.timesAsked(); n != asked {
		t.Errorf("asked %d times while nobody subscribes", n-asked)
	}
}

// How current the metrics are is told each second, also to a client that is told of other things all the time.
func TestOtherTopicsKeepNoTickBack(t *testing.T) {
	o, w := startOffice(t)
	o.set(o.orders, "o-1", `{"n":-1}`)
	c := dial(t, w.url, nil).hello()
	c.sub("order", "orders/o-1", 20, nil)
	c.until("the order", func() bool { return c.subs["order"].whole })
	ticks := c.got("tick")
	for n := 0; c.got("tick") < ticks+3; n++ {
		if n == 2000 {
			t.Fatalf("%d ticks beside %d deltas", c.got("tick")-ticks, n)
		}
		row := fmt.Sprintf(`{"n":%d}`, n)
		o.change(w, "o-1", row)
		c.until("the change", func() bool { return c.subs["order"].rows["o-1"] == row })
	}
}

func topicsTranscript(r *transcript) {
	o, w := startOffice(r.t)
	o.set(o.orders, "o-1", `{"order_id":"o-1","status":"created"}`)
	r.open(w.url)
	r.hello()
	r.sub("order", "orders/o-1", map[string]any{})
	r.hear("snap")
	o.change(w, "o-1", `{"order_id":"o-1","status":"paid"}`)
	r.hear("delta")
	r.sub("groups", "status", map[string]any{})
	r.hear("snap")
	o.set(o.status, "group/orders", `{"lag_records":4}`)
	r.hear("delta")
	r.state(map[string]held{"order": holding(2, o.orders), "groups": holding(2, o.status)})
}

func alertNamed(id, status string, score int64) *table.Alert {
	return &table.Alert{Id: id, Rule: "card-testing", Title: "Many cards", Status: status, Episode: alert.Active, Severity: "high", Score: score,
		RiskMinor: 1200, Currency: "EUR", Revision: 1, StartedMs: noon.UnixMilli(), LastMs: noon.UnixMilli()}
}
