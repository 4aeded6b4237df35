package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"weir/views/live"
	"weir/views/query/querytest"
)

var rewrite = flag.Bool("rewrite", false, "record testdata/transcripts anew")

// A transcript is what one client and the server said to each other, a line each:
//
//	{"open":1}             a connection is opened
//	{"client":{…}}         a frame of the client
//	{"server":{…}}         a frame of the server
//	{"state":{"a":{…}}}    what the client must hold now, by subscription: seq, and the rows that the query API answers
//	{"cut":1}              the network ends the connection
//	{"closed":{…}}         the server ends it: code and reason
//
// Sessions, epochs and wall times are replaced by names. They are recorded from the real server: go test ./views/live -run Transcripts -rewrite
type transcript struct {
	t      *testing.T
	lines  bytes.Buffer
	ws     *websocket.Conn
	epochs map[string]string
}

func (r *transcript) line(kind string, v any) {
	r.t.Helper()
	data, err := json.Marshal(map[string]any{kind: v})
	if err != nil {
		r.t.Fatal(err)
	}
	r.lines.Write(append(r.normal(data), '\n'))
}

var (
	sessions  = regexp.MustCompile(`"session":"[^"]*"`)
	wallTimes = regexp.MustCompile(`"(server_time|as_of|caught_up_at)":"[^"]*"`)
	epochName = regexp.MustCompile(`"epoch":"([^"]*)"`)
)

func (r *transcript) normal(line []byte) []byte {
	line = sessions.ReplaceAll(line, []byte(`"session":"S"`))
	line = wallTimes.ReplaceAll(line, []byte(`"$1":"2026-01-01T12:00:01Z"`))
	return epochName.ReplaceAllFunc(line, func(m []byte) []byte {
		epoch := string(epochName.FindSubmatch(m)[1])
		if r.epochs[epoch] == "" {
			r.epochs[epoch] = fmt.Sprintf("epoch-%d", len(r.epochs)+1)
		}
		return []byte(`"epoch":"` + r.epochs[epoch] + `"`)
	})
}

func (r *transcript) open(url string) {
	r.t.Helper()
	r.openWith(url, nil, live.Subprotocol)
}

func (r *transcript) openWith(url string, header http.Header, protocols ...string) {
	r.t.Helper()
	ws, _, err := (&websocket.Dialer{Subprotocols: protocols}).Dial("ws"+strings.TrimPrefix(url, "http"), header)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { ws.Close() })
	r.ws = ws
	r.line("open", 1)
}

func (r *transcript) say(frame map[string]any) {
	r.t.Helper()
	r.line("client", frame)
	if err := r.ws.WriteJSON(frame); err != nil {
		r.t.Fatal(err)
	}
}

// hear records frames until one of the type has come, without ticks where they are not asked for.
func (r *transcript) hear(kind string) (frame json.RawMessage) {
	r.t.Helper()
	for {
		if err := r.ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			r.t.Fatal(err)
		}
		_, data, err := r.ws.ReadMessage()
		if err != nil {
			r.t.Fatalf("while a %s was waited for: %v", kind, err)
		}
		var f struct{ Type string }
		if err := json.Unmarshal(data, &f); err != nil {
			r.t.Fatal(err)
		}
		if f.Type != "tick" || kind == "tick" {
			r.line("server", json.RawMessage(data))
		}
		if f.Type == kind {
			return data
		}
	}
}

func (r *transcript) hello() {
	r.t.Helper()
	r.say(map[string]any{"type": "hello"})
	r.hear("welcome")
}

func (r *transcript) sub(id, topic string, filter map[string]any, more ...map[string]any) {
	r.t.Helper()
	f := map[string]any{"type": "sub", "id": id, "topic": topic, "filter": filter, "interval_ms": 20}
	for _, m := range more {
		maps.Copy(f, m)
	}
	r.say(f)
}

func (r *transcript) state(of map[string]held) { r.t.Helper(); r.line("state", of) }

// held is what a client must hold of one subscription.
type held struct {
	Seq  uint64                     `json:"seq"`
	Rows map[string]json.RawMessage `json:"rows"`
}

func holding(seq uint64, rows map[string]string) held {
	h := held{seq, map[string]json.RawMessage{}}
	for key, row := range rows {
		h.Rows[key] = json.RawMessage(row)
	}
	return h
}

func (r *transcript) cut() { r.ws.Close(); r.line("cut", 1) }

// closed records the end, and the frames before it where they are wanted.
func (r *transcript) closed(frames bool) {
	r.t.Helper()
	for {
		if err := r.ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			r.t.Fatal(err)
		}
		_, data, err := r.ws.ReadMessage()
		if ce, ok := err.(*websocket.CloseError); ok {
			r.line("closed", map[string]any{"code": ce.Code, "reason": ce.Text})
			return
		}
		if err != nil {
			r.t.Fatalf("the connection ended without a code: %v", err)
		}
		if frames && !bytes.Contains(data, []byte(`"type":"tick"`)) {
			r.line("server", json.RawMessage(data))
		}
	}
}

var eu, us, asia = querytest.Key("orders", "1m", noon, "eu", "DE", "web", "EUR"), querytest.Key("orders", "1m", noon, "us", "US", "app", "USD"), querytest.Key("orders", "1m", noon, "as", "JP", "web", "JPY")

var byRegion = map[string]any{"by": "region"}

// each makes changes that are a delta each: another client waits for them.
func (w *world) each(t *testing.T, keys ...string) {
	t.Helper()
	c := dial(t, w.url, nil).hello()
	c.sub("w", "metrics/orders", 20, byRegion)
	c.until("the snapshot", func() bool { return c.subs["w"].whole })
	for i, key := range keys {
		w.Add(key, 1, 0)
		c.until("the change", func() bool { return c.subs["w"].seq == uint64(i+2) })
	}
}

// transcripts are the conversations, by name.
var transcripts = map[string]func(r *transcript){
	"life": func(r *transcript) {
		w := start(r.t, live.Limits{})
		w.Add(eu, 3, 0)
		r.open(w.url)
		r.hello()
		r.sub("a", "metrics/orders", byRegion)
		r.hear("snap")
		r.state(map[string]held{"a": holding(1, w.answer(r.t, "orders", byRegion))})
		w.Add(us, 1, 0)
		r.hear("delta")
		r.state(map[string]held{"a": holding(2, w.answer(r.t, "orders", byRegion))})
		w.Set(eu, nil)
		r.hear("delta")
		r.state(map[string]held{"a": holding(3, w.answer(r.t, "orders", byRegion))})
		r.say(map[string]any{"type": "ping", "n": 7})
		r.hear("pong")
		r.hear("tick")
		r.say(map[string]any{"type": "unsub", "id": "a"})
	},
	"pages": func(r *transcript) {
		l := live.DefaultLimits()
		l.SnapshotPage = 1
		w := start(r.t, l)
		for _, key := range []string{eu, us, asia} {
			w.Add(key, 1, 0)
		}
		r.open(w.url)
		r.hello()
		r.sub("a", "metrics/orders", byRegion)
		for range 3 {
			r.hear("snap")
		}
		r.state(map[string]held{"a": holding(1, w.answer(r.t, "orders", byRegion))})
	},
	"pause": func(r *transcript) {
		w := start(r.t, live.Limits{})
		r.open(w.url)
		r.hello()
		r.sub("held", "metrics/orders", byRegion)
		r.hear("snap")
		r.say(map[string]any{"type": "pause", "id": "held"})
		r.say(map[string]any{"type": "ping", "n": 1})
		r.hear("pong")
		w.each(r.t, eu, us, eu)
		r.say(map[string]any{"type": "resume", "id": "held"})
		r.hear("delta")
		r.state(map[string]held{"held": holding(4, w.answer(r.t, "orders", byRegion))})
	},
	"gap": func(r *transcript) {
		l := live.DefaultLimits()
		l.History = 2
		w := start(r.t, l)
		r.open(w.url)
		r.hello()
		r.sub("held", "metrics/orders", byRegion)
		r.hear("snap")
		r.say(map[string]any{"type": "pause", "id": "held"})
		r.say(map[string]any{"type": "ping", "n": 1})
		r.hear("pong")
		w.each(r.t, eu, us, eu, asia)
		r.say(map[string]any{"type": "resume", "id": "held"})
		r.hear("gap")
		r.hear("snap")
		r.state(map[string]held{"held": holding(5, w.answer(r.t, "orders", byRegion))})
	},
	"resume": func(r *transcript) {
		w := start(r.t, live.Limits{})
		w.Add(eu, 1, 0)
		r.open(w.url)
		r.hello()
		r.sub("a", "metrics/orders", byRegion)
		epoch := epochName.FindSubmatch(r.hear("snap"))[1]
		r.cut()
		w.each(r.t, us)
		r.open(w.url)
		r.hello()
		r.sub("a", "metrics/orders", byRegion, map[string]any{"resume": map[string]any{"epoch": string(epoch), "seq": 1}})
		r.hear("delta")
		r.state(map[string]held{"a": holding(2, w.answer(r.t, "orders", byRegion))})
		again := start(r.t, live.Limits{}) // another server: its numbers mean something else
		again.Add(asia, 5, 0)
		r.cut()
		r.open(again.url)
		r.hello()
		r.sub("a", "metrics/orders", byRegion, map[string]any{"resume": map[string]any{"epoch": string(epoch), "seq": 2}})
		r.hear("snap")
		r.state(map[string]held{"a": holding(1, again.answer(r.t, "orders", byRegion))})
	},
	"refusals": func(r *transcript) {
		w := start(r.t, live.Limits{})
		r.open(w.url)
		r.hello()
		r.sub("a", "weather", map[string]any{})
		r.hear("error")
		r.sub("b", "metrics/orders", map[string]any{"window": "7m"})
		r.hear("error")
		r.say(map[string]any{"type": "unsub", "id": "c"})
		r.hear("error")
	},
	"alerts":           alertsTranscript,
	"orders-status":    topicsTranscript,
	"1009-too-large":   endOf(func(c *ending) { c.raw(websocket.TextMessage, make([]byte, 20<<10)) }),
	"1012-restart":     endOf(func(c *ending) { c.hello(); c.w.stop() }),
	"1013-full":        endOf(func(*ending) {}, func(l *live.Limits) { l.Connections = 0 }),
	"4400-malformed":   endOf(func(c *ending) { c.raw(websocket.TextMessage, []byte("hello")) }),
	"4401-no-token":    endOf(func(c *ending) { c.say(map[string]any{"type": "hello", "token": "wrong"}) }),
	"4403-origin":      endOf(nil),
	"4406-protocol":    endOf(nil),
	"4408-no-hello":    endOf(func(*ending) {}, func(l *live.Limits) { l.HelloWithin = 50 * time.Millisecond }),
	"4409-hello-twice": endOf(func(c *ending) { c.hello(); c.say(map[string]any{"type": "hello", "token": "right"}) }),
	"4410-behind":      behindTranscript,
	"4429-too-many":    endOf(func(c *ending) { c.hello(); c.flood() }),
	"4500-failed":      endOf(func(c *ending) { c.hello(); c.sub("a", "broken", map[string]any{}) }),
}

// ending is a conversation that the server ends.
type ending struct {
	*transcript
	w *world
}

func (c *ending) hello() {
	c.t.Helper()
	c.say(map[string]any{"type": "hello", "token": "right"})
	c.hear("welcome")
}

// raw sends what is no frame; it is not part of the transcript, which has only what a client can take an example by.
func (c *ending) raw(kind int, data []byte) { _ = c.ws.WriteMessage(kind, data) }

func (c *ending) flood() {
	for range 60 {
		if c.ws.WriteJSON(map[string]any{"type": "pause", "id": "x"}) != nil {
			return // closed already
		}
	}
}

func endOf(do func(c *ending), limits ...func(*live.Limits)) func(*transcript) {
	return func(r *transcript) {
		l := live.DefaultLimits()
		for _, change := range limits {
			change(&l)
		}
		w := startWith(r.t, l, func(cfg *live.Config) {
			cfg.Authorize = func(token string) bool { return token == "right" }
			cfg.Topics = brokenTopic{cfg.Topics}
		})
		switch r.t.Name() {
		case "TestTranscripts/4403-origin":
			r.openWith(w.url, http.Header{"Origin": {"https://elsewhere.example"}}, live.Subprotocol)
		case "TestTranscripts/4406-protocol":
			r.openWith(w.url, nil, "weir.v0")
		default:
			r.open(w.url)
			do(&ending{r, w})
		}
		r.closed(!strings.Contains(r.t.Name(), "4429"))
	}
}

// brokenTopic offers a topic whose rows are no JSON.
type brokenTopic struct{ live.Topics }

func (b brokenTopic) Open(topic string, filter map[string][]string) (live.Feed, error) {
	if topic != "broken" {
		return b.Topics.Open(topic, filter)
	}
	f, err := b.Topics.Open("metrics/orders", nil)
	return brokenFeed{f}, err
}

type brokenFeed struct{ live.Feed }

func (brokenFeed) Key() string                                   { return "broken" }
func (brokenFeed) Rows(fn func(key string, row json.RawMessage)) { fn("a", json.RawMessage("{")) }

// pipes is a network without buffers: what is not read stays with the writer.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

// pipe connects over a network without buffers.
func (w *world) pipe(t *testing.T) *websocket.Conn {
	t.Helper()
	network := make(pipes)
	server := &http.Server{Handler: w.hub, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(network) }()
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{live.Subprotocol}, NetDialContext: network.dial}).Dial("ws://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close(); close(network); server.Close(); <-ended })
	return ws
}

func behindTranscript(r *transcript) {
	l := live.DefaultLimits()
	l.QueueFrames, l.BehindFor = 1, time.Nanosecond
	w := start(r.t, l)
	r.ws = w.pipe(r.t)
	r.line("open", 1)
	r.hello()
	r.sub("a", "metrics/orders", byRegion)
	r.hear("snap")
	free := dial(r.t, w.url, nil).hello()
	free.sub("a", "metrics/orders", 20, byRegion)
	free.until("the snapshot", func() bool { return free.subs["a"].whole })
	for i := range 4 { // one is being written, one waits, and then the client is behind
		w.Add(eu, 1, 0)
		free.until("the change", func() bool { return free.subs["a"].seq == uint64(i+2) })
	}
	ticks := free.got("tick")
	free.until("the server to look at who is behind", func() bool { return free.frames["tick"] >= ticks+2 })
	r.closed(false)
}

func alertsTranscript(r *transcript) {
	d := startDesk(r.t)
	open := map[string]any{"status": "open"}
	r.open(d.url)
	r.hello()
	r.sub("desk", "alerts", open)
	r.hear("snap")
	d.put("card:1", alertNamed("a-1", "open", 70))
	r.hear("delta")
	r.state(map[string]held{"desk": holding(2, d.page(r.t, open))})
	d.put("card:1", alertNamed("a-1", "open", 90))
	r.hear("delta")
	r.state(map[string]held{"desk": holding(3, d.page(r.t, open))})
	r.say(map[string]any{"type": "pause", "id": "desk"})
	r.say(map[string]any{"type": "ping", "n": 1})
	r.hear("pong")
	watch := dial(r.t, d.url, nil).hello()
	watch.sub("w", "alerts", 20, open)
	watch.until("the snapshot", func() bool { return watch.subs["w"].whole })
	d.put("card:2", alertNamed("a-2", "open", 50)) // comes and goes while the client holds back: it is told nevertheless
	watch.until("the alert", func() bool { return len(watch.subs["w"].rows) == 2 })
	d.put("card:2", alertNamed("a-2", "confirmed", 50))
	watch.until("its end", func() bool { return len(watch.subs["w"].rows) == 1 })
	r.say(map[string]any{"type": "resume", "id": "desk"})
	if f := r.hear("delta"); !bytes.Contains(f, []byte(`["u","a-2"`)) || !bytes.Contains(f, []byte(`["d","a-2"]`)) {
		r.t.Errorf("an alert came and went untold: %s", f)
	}
	r.state(map[string]held{"desk": holding(5, d.page(r.t, open))})
}

// TestTranscripts holds the server to what was recorded.
func TestTranscripts(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(transcripts)) {
		t.Run(name, func(t *testing.T) {
			r := &transcript{t: t, epochs: map[string]string{}}
			transcripts[name](r)
			path := filepath.Join("testdata", "transcripts", name+".ndjson")
			if *rewrite {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, r.lines.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.lines.String(); got != string(want) {
				t.Errorf("the server speaks otherwise than recorded; if that is meant, run go test ./views/live -run Transcripts -rewrite\ngot:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// startWith is start with a changed configuration.
func startWith(t *testing.T, limits live.Limits, change func(*live.Config)) *world {
	t.Helper()
	db := querytest.New()
	db.Watermark(noon)
	cfg := live.Config{
		Topics:    live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db},
		Freshness: func() live.Freshness { return live.FreshnessOf(db.Progress()) },
		Limits:    limits, Build: "test",
	}
	change(&cfg)
	hub := live.New(cfg)
	db.Subscribe(hub)
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{Table: db, hub: hub, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if err := hub.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	server := httptest.NewServer(hub)
	w.url = server.URL
	t.Cleanup(func() { cancel(); <-w.done; server.Close() })
	return w
}
