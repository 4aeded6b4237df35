package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"weir/topology/table"
	"weir/views/live"
	"weir/views/query"
	"weir/views/query/querytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type world struct {
	*querytest.Table
	hub  *live.Hub
	url  string
	stop context.CancelFunc
	done chan struct{}
}

func start(t *testing.T, limits live.Limits) *world {
	t.Helper()
	return startWith(t, limits, func(*live.Config) {})
}

// answer is what the query API says, in the form that a client keeps.
func (w *world) answer(t *testing.T, metric string, filter map[string]any) map[string]string {
	t.Helper()
	params := url.Values{}
	for k, v := range filter {
		params.Set(k, fmt.Sprint(v))
	}
	q, err := querytest.Catalogue().Parse(metric, params)
	if err != nil {
		t.Fatal(err)
	}
	a, err := query.Run(q, w, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range a.Series {
		for _, p := range s.Points {
			data, err := json.Marshal(query.Row{Labels: s.Labels, Exponent: s.Exponent, Point: p})
			if err != nil {
				t.Fatal(err)
			}
			var values []string
			for _, label := range q.By {
				values = append(values, s.Labels[label])
			}
			head := p.Start.Format(time.RFC3339)
			if q.Window == query.WindowAll || strings.HasPrefix(q.Window, "sliding") {
				head = q.Window
			}
			out[head+"/"+strings.Join(values, ",")] = string(data)
		}
	}
	return out
}

func TestSnapshotThenDeltas(t *testing.T) {
	w := start(t, live.Limits{})
	key := querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR")
	w.Add(key, 3, 0)
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 20, map[string]any{"by": "region"})
	c.until("snapshot", func() bool { return c.subs["a"].whole })
	if row := c.rows("a")["2026-01-01T12:00:00Z/eu"]; !strings.Contains(row, `"value":3,`) {
		t.Fatalf("snapshot row = %s", row)
	}
	w.Add(key, 1, 0)
	c.until("delta", func() bool { return strings.Contains(c.subs["a"].rows["2026-01-01T12:00:00Z/eu"], `"value":4,`) })
	w.Set(key, nil)
	c.until("deletion", func() bool { return len(c.subs["a"].rows) == 0 })
	c.until("tick", func() bool { return c.frames["tick"] > 0 })

	c.send(map[string]any{"type": "unsub", "id": "a"})
	c.send(map[string]any{"type": "ping", "n": 7})
	c.until("pong", func() bool { return strings.Contains(string(c.last["pong"]), `"n":7`) })
}

func TestClientStateEqualsTheAnswerUnderRandomChanges(t *testing.T) {
	w := start(t, live.Limits{})
	rng := rand.New(rand.NewPCG(11, 4))
	subs := map[string]struct {
		metric string
		filter map[string]any
	}{
		"plain":  {"orders", map[string]any{"from": "now-10m"}},
		"by":     {"revenue", map[string]any{"by": "region", "from": "now-10m"}},
		"where":  {"revenue", map[string]any{"where": "region:eu", "from": "now-20m", "to": "now"}},
		"all":    {"revenue", map[string]any{"window": "all", "from": "now-3h", "by": "method"}},
		"rate":   {"payment_success_rate", map[string]any{"from": "now-30m"}},
		"hour":   {"orders", map[string]any{"window": "1h"}},
		"sealed": {"orders", map[string]any{"from": "now-26h", "to": "now-20h"}},
		"hops":   {"attempts", map[string]any{"window": "5m:1m", "from": "now-20m"}},
		"slides": {"attempts", map[string]any{"window": "sliding-5m:10s", "by": "method"}},
	}
	clients := []*client{dial(t, w.url, nil).hello(), dial(t, w.url, nil).hello()}
	for _, c := range clients {
		for id, s := range subs {
			c.sub(id, "metrics/"+s.metric, 20, s.filter)
		}
	}
	now := noon
	change := func() {
		for range 1 + rng.IntN(8) {
			at := now.Add(-time.Duration(rng.IntN(26*3600)) * time.Second)
			if rng.IntN(2) == 0 {
				at = now.Add(time.Duration(60-rng.IntN(1200)) * time.Second)
			}
			region, method := []string{"eu", "us"}[rng.IntN(2)], []string{"card", "wallet"}[rng.IntN(2)]
			for _, win := range querytest.Windows {
				start := at.Truncate(win.Length)
				w.Add(querytest.Key("orders", win.Name, start, region, "DE", "web", "EUR"), 1, 0)
				w.Add(querytest.Key("revenue", win.Name, start, method, region, "DE", "EUR"), 1, rng.Int64N(9999))
				w.Add(querytest.Key("payments_captured", win.Name, start, method, region, "DE"), 1, 0)
				w.Add(querytest.Key("payments_failed", win.Name, start, method, region, "DE", "x"), rng.Int64N(2), 0)
			}
		}
		at := now.Add(-time.Duration(rng.IntN(600)) * time.Second)
		w.Add(querytest.Key("attempts", "5m:1m", at.Truncate(time.Minute), "card"), 1, 0)
		w.Update(querytest.Key("attempts", "sliding-5m:10s", time.Unix(0, 0), "card"), func(c *table.Cell) {
			c.Slices = append(c.Slices, &table.Slice{StartMs: at.Truncate(10 * time.Second).UnixMilli(), Cell: &table.Cell{Count: 1}})
		})
		if keys := w.Keys(); rng.IntN(3) == 0 {
			w.Set(keys[rng.IntN(len(keys))], nil) // retention
		}
		if rng.IntN(2) == 0 {
			now = now.Add(time.Duration(rng.IntN(90)) * time.Second)
			w.Watermark(now)
		}
	}
	for round := range 60 {
		change()
		if round%20 == 7 { // a client leaves in the middle and another comes
			clients[1].ws.Close()
			clients[1] = dial(t, w.url, nil).hello()
			for id, s := range subs {
				clients[1].sub(id, "metrics/"+s.metric, 20, s.filter)
			}
		}
		if round%6 != 0 {
			continue
		}
		for id, s := range subs {
			want := w.answer(t, s.metric, s.filter)
			for n, c := range clients {
				c.until(fmt.Sprintf("client %d, subscription %s to equal the answer", n, id), func() bool {
					return c.subs[id].whole && maps.Equal(c.subs[id].rows, want)
				})
			}
		}
	}
}

func TestSlowReaderGetsMergedDeltasOrAGap(t *testing.T) {
	for name, history := range map[string]int{"merged": 1000, "gap": 2} {
		t.Run(name, func(t *testing.T) {
			l := live.DefaultLimits()
			l.QueueFrames, l.History, l.BehindFor, l.WriteWithin = 4, history, time.Hour, time.Hour
			w := start(t, l)
			fast, slow := dial(t, w.url, nil).hello(), clientOn(t, w.pipe(t))
			slow.send(map[string]any{"type": "hello"})
			for _, c := range []*client{fast, slow} {
				c.sub("a", "metrics/orders", 20, byRegion)
			}
			fast.until("snapshot", func() bool { return fast.subs["a"].whole })
			for slow.got("snap") == 0 { // so that both are at the beginning
				slow.step()
			}
			// The slow one reads nothing while many deltas pass it by.
			for i := range 40 {
				w.Add(querytest.Key("orders", "1m", noon, fmt.Sprintf("r%02d", i%15), "DE", "web", "EUR"), 1, 0)
				fast.until("the fast client to follow", func() bool { return fast.subs["a"].seq == uint64(i+2) })
			}
			go slow.read()
			want := w.answer(t, "orders", byRegion)
			slow.until("the slow client to catch up", func() bool { return maps.Equal(slow.subs["a"].rows, want) })
			slow.mu.Lock()
			defer slow.mu.Unlock()
			if n := slow.frames["delta"] + slow.frames["snap"]; n > 12 {
				t.Errorf("the slow client got %d frames of 40: nothing was merged", n)
			}
			if gaps := slow.subs["a"].gaps; name == "gap" && gaps == 0 || name == "merged" && gaps > 0 {
				t.Errorf("%d gaps", gaps)
			}
		})
	}
}

func TestClientThatNeverReadsIsClosedAndOthersGoOn(t *testing.T) {
	l := live.DefaultLimits()
	l.QueueFrames, l.BehindFor, l.WriteWithin = 2, 50*time.Millisecond, 500*time.Millisecond
	w := start(t, l)
	good, stuck := dial(t, w.url, nil).hello(), clientOn(t, w.pipe(t))
	stuck.send(map[string]any{"type": "hello"})
	stuck.sub("a", "metrics/orders", 20, byRegion)
	good.sub("a", "metrics/orders", 20, byRegion)
	good.until("snapshot", func() bool { return good.subs["a"].whole })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // a probe fails once the server has closed the socket
			if stuck.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for i := 0; ; i++ {
		w.Add(eu, 1, 0)
		good.until("the good client to follow", func() bool { return good.subs["a"].seq == uint64(i+2) })
		select {
		case <-ended:
			return
		default:
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	w := start(t, live.Limits{})
	key := querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR")
	c := dial(t, w.url, nil).hello()
	c.sub("held", "metrics/orders", 20, nil)
	c.sub("free", "metrics/orders", 20, nil)
	c.until("snapshots", func() bool { return c.subs["held"].whole && c.subs["free"].whole })
	c.send(map[string]any{"type": "pause", "id": "held"})
	c.send(map[string]any{"type": "ping"})
	c.until("the pause to have arrived", func() bool { return c.frames["pong"] > 0 })
	for i := range 3 {
		w.Add(key, 1, 0)
		c.until("the free subscription", func() bool { return len(c.subs["free"].rows) == 1 && c.subs["free"].seq == uint64(i+2) })
	}
	if n := len(c.rows("held")); n != 0 {
		t.Errorf("a paused subscription got %d rows", n)
	}
	c.send(map[string]any{"type": "resume", "id": "held"})
	c.until("what was missed", func() bool { return maps.Equal(c.subs["held"].rows, c.subs["free"].rows) && c.subs["held"].seq == 4 })
}

func TestReconnectResumesWithADelta(t *testing.T) {
	w := start(t, live.Limits{})
	w.Add(querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), 1, 0)
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 20, map[string]any{"by": "region"})
	c.until("snapshot", func() bool { return c.subs["a"].whole })
	c.ws.Close()
	w.Add(querytest.Key("orders", "1m", noon, "us", "US", "web", "USD"), 1, 0)

	again := dial(t, w.url, nil)
	again.subs["a"] = c.subs["a"]
	again.hello()
	again.send(map[string]any{"type": "sub", "id": "a", "topic": "metrics/orders", "filter": map[string]any{"by": "region"}, "interval_ms": 20,
		"resume": map[string]any{"epoch": c.subs["a"].epoch, "seq": c.subs["a"].seq}})
	again.until("both regions", func() bool { return len(again.subs["a"].rows) == 2 })
	again.mu.Lock()
	defer again.mu.Unlock()
	if again.frames["snap"] != 0 {
		t.Error("a client that could resume was sent a snapshot")
	}
}

func TestSnapshotsComeInPages(t *testing.T) {
	l := live.DefaultLimits()
	l.SnapshotPage = 10
	w := start(t, l)
	for i := range 35 {
		w.Add(querytest.Key("orders", "1m", noon, fmt.Sprintf("r%02d", i), "DE", "web", "EUR"), 1, 0)
	}
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 100, map[string]any{"by": "region"})
	c.until("all pages", func() bool { return c.subs["a"].whole })
	if n, pages := len(c.rows("a")), c.got("snap"); n != 35 || pages != 4 {
		t.Errorf("%d rows in %d pages", n, pages)
	}
}

func TestEqualSubscriptionsShareOneComputation(t *testing.T) {
	w := start(t, live.Limits{})
	var epochs []string
	for range 3 {
		c := dial(t, w.url, nil).hello()
		c.sub("x", "metrics/orders", 100, map[string]any{"by": []string{"region", "country"}})
		c.sub("y", "metrics/orders", 100, map[string]any{"by": "country,region", "window": "1m"})
		c.until("snapshots", func() bool { return c.subs["x"].whole && c.subs["y"].whole })
		epochs = append(epochs, c.subs["x"].epoch, c.subs["y"].epoch)
	}
	for _, e := range epochs {
		if e != epochs[0] {
			t.Errorf("equal subscriptions have epochs %v", epochs)
			break
		}
	}
}

func TestReadErrorsAreRetried(t *testing.T) {
	w := start(t, live.Limits{})
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 20, nil)
	c.until("snapshot", func() bool { return c.subs["a"].whole })
	w.Break(fmt.Errorf("disk on fire"))
	w.Add(querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), 5, 0)
	c.sub("b", "metrics/gmv", 20, nil)
	c.until("an error for a new subscription", func() bool { return len(c.errors) == 1 && c.errors[0].Status == 500 })
	w.Break(nil)
	c.until("the row, once reading works", func() bool { return len(c.subs["a"].rows) == 1 })
}

func TestProblemsNameTheParameter(t *testing.T) {
	w := start(t, live.Limits{})
	c := dial(t, w.url, nil).hello()
	for _, s := range []struct {
		topic, param string
		filter       map[string]any
		interval     int
	}{
		{"metrics/none", "name", nil, 100}, {"weather", "topic", nil, 100}, {"metrics/orders", "window", map[string]any{"window": "5m"}, 100},
		{"metrics/orders", "interval_ms", nil, 1}, {"metrics/orders", "where", map[string]any{"where": "x"}, 100},
	} {
		n := c.problems()
		c.send(map[string]any{"type": "sub", "id": "a", "topic": s.topic, "filter": s.filter, "interval_ms": s.interval})
		c.until("a problem about "+s.param, func() bool { return len(c.errors) == n+1 && c.errors[n].Param == s.param })
	}
	n := c.problems()
	c.send(map[string]any{"type": "dance"})
	c.until("a problem about the type", func() bool { return len(c.errors) == n+1 && c.errors[n].Param == "type" })
}

func TestCloseCodes(t *testing.T) {
	l := live.DefaultLimits()
	l.Connections = 2
	closes := func(t *testing.T, c *client, code int) {
		t.Helper()
		for c.step() {
		}
		if c.closed.Code != code {
			t.Errorf("closed with %d %q, want %d", c.closed.Code, c.closed.Text, code)
		}
	}
	for name, tc := range map[string]struct {
		code int
		do   func(c *client)
	}{
		"no hello":         {live.CloseHelloTimeout, func(*client) {}},
		"sub before hello": {live.CloseMalformed, func(c *client) { c.sub("a", "metrics/orders", 100, nil) }},
		"hello twice":      {live.CloseConflict, func(c *client) { c.send(map[string]any{"type": "hello"}); c.send(map[string]any{"type": "hello"}) }},
		"not JSON":         {live.CloseMalformed, func(c *client) { _ = c.ws.WriteMessage(websocket.TextMessage, []byte("hello")) }},
		"binary":           {live.CloseMalformed, func(c *client) { _ = c.ws.WriteMessage(websocket.BinaryMessage, []byte("{}")) }},
		"frame too large":  {live.CloseTooLarge, func(c *client) { _ = c.ws.WriteMessage(websocket.TextMessage, make([]byte, 20<<10)) }},
		"large, uncompressed": {live.CloseTooLarge, func(c *client) {
			c.ws.EnableWriteCompression(false)
			_ = c.ws.WriteMessage(websocket.TextMessage, make([]byte, 20<<10))
		}},
		"too many frames": {live.CloseTooMany, func(c *client) { c.send(map[string]any{"type": "hello"}); flood(c) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := l
			if tc.code == live.CloseHelloTimeout {
				l.HelloWithin = 200 * time.Millisecond
			}
			w := start(t, l)
			c := dial(t, w.url, nil)
			tc.do(c)
			closes(t, c, tc.code)
		})
	}
	t.Run("server full", func(t *testing.T) {
		w := start(t, l)
		dial(t, w.url, nil).hello()
		dial(t, w.url, nil).hello()
		closes(t, dial(t, w.url, nil), live.CloseTryLater)
	})
	t.Run("server stops", func(t *testing.T) {
		w := start(t, l)
		c := dial(t, w.url, nil).hello()
		c.until("welcome", func() bool { return c.frames["welcome"] == 1 })
		w.stop()
		c.until("the end", func() bool { return c.closed != nil })
		if c.closed.Code != live.CloseRestart || c.got("goaway") != 1 {
			t.Errorf("closed with %d after %d goaways", c.closed.Code, c.got("goaway"))
		}
	})
	t.Run("other subprotocol", func(t *testing.T) {
		w := start(t, l)
		ws, _, err := (&websocket.Dialer{}).Dial("ws"+strings.TrimPrefix(w.url, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		_, _, err = ws.ReadMessage()
		if !websocket.IsCloseError(err, live.CloseSubprotocol) {
			t.Errorf("closed with %v", err)
		}
	})
}

func flood(c *client) {
	for range 60 {
		if c.ws.WriteJSON(map[string]any{"type": "ping"}) != nil {
			return // closed already
		}
	}
}

func TestOriginsOfOtherSitesAreRefused(t *testing.T) {
	w := start(t, live.Limits{})
	d := websocket.Dialer{Subprotocols: []string{live.Subprotocol}}
	target := "ws" + strings.TrimPrefix(w.url, "http")
	evil, _, err := d.Dial(target, http.Header{"Origin": {"https://evil.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	if _, data, err := evil.ReadMessage(); !websocket.IsCloseError(err, live.CloseForbidden) {
		t.Errorf("another site's page got %q, %v", data, err)
	}
	ws, _, err := d.Dial(target, http.Header{"Origin": {w.url}})
	if err != nil {
		t.Fatalf("the server's own page could not connect: %v", err)
	}
	ws.Close()
}

func TestSubscriptionsOfAConnectionAreLimited(t *testing.T) {
	l := live.DefaultLimits()
	l.Subscriptions, l.Cohorts = 3, 2
	w := start(t, l)
	c := dial(t, w.url, nil).hello()
	for i, by := range []string{"region", "country", "channel"} {
		c.sub(fmt.Sprint(i), "metrics/orders", 100, map[string]any{"by": by})
	}
	c.until("the third kind to be refused", func() bool { return len(c.errors) == 1 && c.errors[0].Status == 429 })
	c.sub("3", "metrics/orders", 100, map[string]any{"by": "region"})
	c.sub("4", "metrics/orders", 100, map[string]any{"by": "region"})
	c.until("the fourth to be refused", func() bool { return len(c.errors) == 2 && c.errors[1].Status == 429 })
}

// Many clients come and go while rows change: nothing deadlocks, and whoever is left holds the answer.
func TestClientsComeAndGo(t *testing.T) {
	w := start(t, live.Limits{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := dial(t, w.url, nil).hello()
				for i := range 1 + rng.IntN(5) {
					c.sub(fmt.Sprint(i), "metrics/orders", 20, map[string]any{"by": []string{"region", "country", ""}[rng.IntN(3)]})
				}
				c.until("a snapshot", func() bool { return c.subs["0"].whole })
				c.ws.Close()
			}
		})
	}
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 20, map[string]any{"by": "region"})
	for i := range 2000 {
		w.Add(querytest.Key("orders", "1m", noon.Add(time.Duration(i%50)*time.Minute), "eu", "DE", "web", "EUR"), 1, 0)
	}
	close(stop)
	wg.Wait()
	want := w.answer(t, "orders", map[string]any{"by": "region"})
	c.until("the answer", func() bool { return c.subs["a"].whole && maps.Equal(c.subs["a"].rows, want) })
}

func TestSubscriptionThatOutgrowsItsLimitEnds(t *testing.T) {
	w := start(t, live.Limits{})
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 20, map[string]any{"by": "region"})
	c.until("snapshot", func() bool { return c.subs["a"].whole })
	for i := range query.MaxPoints + 1 {
		w.Add(querytest.Key("orders", "1m", noon, fmt.Sprintf("r%d", i), "DE", "web", "EUR"), 1, 0)
	}
	c.until("a problem about by", func() bool { return len(c.errors) == 1 && c.errors[0].Status == 422 && c.errors[0].Param == "by" })
	c.send(map[string]any{"type": "unsub", "id": "a"})
	c.until("the subscription to be gone", func() bool { return len(c.errors) == 2 && c.errors[1].Status == 404 })
}

func TestUnusedCohortsAreDropped(t *testing.T) {
	l := live.DefaultLimits()
	l.Linger, l.Cohorts = time.Millisecond, 1
	w := start(t, l)
	c := dial(t, w.url, nil).hello()
	c.sub("a", "metrics/orders", 100, nil)
	c.until("snapshot", func() bool { return c.subs["a"].whole })
	c.send(map[string]any{"type": "unsub", "id": "a"})
	for n := 0; ; n++ { // a tick makes room for another kind
		c.sub("b", "metrics/gmv", 100, nil)
		c.until("an answer", func() bool { return c.subs["b"].whole || len(c.errors) > n })
		if c.problems() == n {
			return
		}
		ticks := c.got("tick")
		c.until("a tick", func() bool { return c.frames["tick"] > ticks })
	}
}

// Whatever a client sends, the server answers it or closes the connection, and goes on serving others.
func FuzzClientFrames(f *testing.F) {
	for _, s := range []string{
		`{"type":"sub","id":"a","topic":"metrics/orders","filter":{"by":"region"},"interval_ms":100}`, `{"type":"sub","id":"a","topic":"metrics/orders","resume":{"epoch":"x","seq":3}}`,
		`{"type":"unsub","id":"a"}`, `{"type":"pause","id":"a"}`, `{"type":"hello"}`, `{"type":"sub","filter":{"by":["a",1]}}`, `[]`, `null`, `{"type":null}`, `{`,
	} {
		f.Add([]byte(s))
	}
	db := querytest.New()
	hub := live.New(live.Config{Topics: live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db}, Freshness: func() live.Freshness { return live.Freshness{} }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = hub.Run(ctx) }()
	server := httptest.NewServer(hub)
	f.Cleanup(func() { cancel(); <-done; server.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		ws, _, err := (&websocket.Dialer{Subprotocols: []string{live.Subprotocol}}).Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		for _, frame := range [][]byte{[]byte(`{"type":"hello"}`), data, data, []byte(`{"type":"ping","n":99}`)} {
			if ws.WriteMessage(websocket.TextMessage, frame) != nil {
				break
			}
		}
		if err := ws.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			_, answer, err := ws.ReadMessage()
			if err != nil {
				if !websocket.IsCloseError(err, live.CloseMalformed, live.CloseConflict, live.CloseTooLarge) {
					t.Fatalf("after %q: %v", data, err)
				}
				return
			}
			if strings.Contains(string(answer), `"n":99`) {
				return
			}
		}
	})
}
