package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"weir/views/live"
	"weir/views/query/querytest"
)

// yard is a server that restarts behind a network that loses, doubles, reorders and cuts, with an oracle that knows the query API's
// answer at each sequence number.
type yard struct {
	t  *testing.T
	db *querytest.Table
	// still is held for reading by changes and for writing while a feed is refreshed and its answer is taken: both see one moment.
	still sync.RWMutex

	mu      sync.Mutex
	answers []map[uint64]map[string]string // by feed and sequence number: rows
	backend string                         // the server of now
	stop    func()

	proxy *httptest.Server
	calm  atomic.Bool // nothing happens to frames
	// what has happened
	dropped, doubled, swapped, cuts, stalls atomic.Int64
	checked                                 atomic.Int64
}

func openYard(t *testing.T) *yard {
	y := &yard{t: t, db: querytest.New()}
	y.db.Watermark(noon)
	y.restart()
	y.proxy = httptest.NewServer(http.HandlerFunc(y.relay))
	t.Cleanup(func() {
		y.proxy.CloseClientConnections()
		y.stop()
		y.proxy.Close()
	})
	return y
}

// restart replaces the server; its clients are told or cut, as it happens.
func (y *yard) restart() {
	l := live.DefaultLimits()
	l.FramesPerSecond, l.QueueFrames, l.History, l.SnapshotPage, l.IntervalMin = 10_000, 3, 8, 3, time.Millisecond
	hub := live.New(live.Config{Topics: &oracle{y}, Limits: l, Freshness: func() live.Freshness { return live.FreshnessOf(y.db.Progress()) }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = hub.Run(ctx) }()
	server := httptest.NewServer(hub)
	y.db.Subscribe(hub)
	y.mu.Lock()
	old := y.stop
	y.backend = "ws" + strings.TrimPrefix(server.URL, "http")
	y.stop = func() { cancel(); <-done; server.Close() }
	y.mu.Unlock()
	if old != nil {
		old()
	}
}

// oracle serves metrics, and notes the answer at each sequence number.
type oracle struct{ y *yard }

func (o *oracle) Open(topic string, filter map[string][]string) (live.Feed, error) {
	inner, err := live.MetricTopics{Catalogue: querytest.Catalogue(), Source: o.y.db}.Open(topic, filter)
	if err != nil {
		return nil, err
	}
	params := map[string]any{}
	for name, v := range filter {
		params[name] = v[0]
	}
	o.y.mu.Lock()
	defer o.y.mu.Unlock()
	o.y.answers = append(o.y.answers, map[uint64]map[string]string{})
	return &witnessed{Feed: inner, y: o.y, number: len(o.y.answers) - 1, metric: strings.TrimPrefix(topic, "metrics/"), params: params}, nil
}

// witnessed is a feed whose refreshes are compared with the query API.
type witnessed struct {
	live.Feed
	y      *yard
	number int
	metric string
	params map[string]any
	seq    uint64
}

// Info tells clients which feed they read, so that they can name the answer they must hold.
func (f *witnessed) Info() json.RawMessage { return fmt.Appendf(nil, `{"feed":%d}`, f.number) }

func (f *witnessed) Refresh() ([]live.Op, error) {
	f.y.still.Lock()
	defer f.y.still.Unlock()
	f.Touch(live.Changed{All: true})
	ops, err := f.Feed.Refresh()
	if err != nil {
		return nil, err
	}
	switch {
	case f.seq == 0:
		f.seq = 1
	case len(ops) > 0:
		f.seq++
	default:
		return ops, nil
	}
	rows := (&world{Table: f.y.db}).answer(f.y.t, f.metric, f.params)
	f.y.mu.Lock()
	f.y.answers[f.number][f.seq] = rows
	f.y.mu.Unlock()
	return ops, nil
}

// check tells what is wrong with a client's state; "" where nothing is.
func (y *yard) check(feed int, seq uint64, rows map[string]string) string {
	rows = maps.Clone(rows)
	y.mu.Lock()
	defer y.mu.Unlock()
	y.checked.Add(1)
	want := y.answers[feed][seq]
	switch {
	case want == nil:
		return fmt.Sprintf("feed %d never was at %d", feed, seq)
	case !maps.Equal(rows, want):
		for key := range want {
			if rows[key] == want[key] {
				delete(rows, key)
			}
		}
		return fmt.Sprintf("feed %d at %d: the client holds wrongly %v; the query API answered %v", feed, seq, rows, want)
	}
	return ""
}

// relay is the network between one client and the server of now.
func (y *yard) relay(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{live.Subprotocol}}
	near, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer near.Close()
	y.mu.Lock()
	target := y.backend
	y.mu.Unlock()
	far, _, err := (&websocket.Dialer{Subprotocols: []string{live.Subprotocol}}).Dial(target, nil)
	if err != nil {
		return // the server is between two lives
	}
	defer far.Close()
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	done := make(chan struct{})
	go func() { // what the client says: seldom lost, never changed
		defer close(done)
		defer far.Close()
		own := rand.New(rand.NewPCG(rand.Uint64(), 2))
		for {
			kind, data, err := near.ReadMessage()
			if err != nil {
				return
			}
			if !y.calm.Load() && own.IntN(30) == 0 {
				y.dropped.Add(1)
				continue
			}
			if far.WriteMessage(kind, data) != nil {
				return
			}
		}
	}()
	y.deliver(near, far, rng)
	near.Close()
	<-done
}

// deliver passes frames of the server on, more or less.
func (y *yard) deliver(near, far *websocket.Conn, rng *rand.Rand) {
	var late []byte // overtaken by the frame after it
	for {
		_, data, err := far.ReadMessage()
		if err != nil {
			return
		}
		frames := [][]byte{data}
		if !y.calm.Load() {
			switch n := rng.IntN(100); {
			case n < 6:
				y.dropped.Add(1)
				frames = nil
			case n < 12:
				y.doubled.Add(1)
				frames = append(frames, data)
			case n < 18 && late == nil:
				y.swapped.Add(1)
				late, frames = data, nil
			case n < 20:
				y.cuts.Add(1)
				return
			case n < 23:
				y.stalls.Add(1)
				time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond) // a slow line
			}
		}
		if len(frames) > 0 && late != nil {
			frames, late = append(frames, late), nil
		}
		for _, f := range frames {
			if near.WriteMessage(websocket.TextMessage, f) != nil {
				return
			}
		}
	}
}

// disturb changes rows and restarts the server for a while, and then lets everybody come to rest.
func (y *yard) disturb(rng *rand.Rand, changes int) {
	y.calm.Store(false)
	for i := range changes {
		y.change(rng)
		if i%100 == 99 {
			y.restart()
		}
		time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
	}
	y.calm.Store(true)
	y.change(rng)
}

func (y *yard) change(rng *rand.Rand) {
	y.still.RLock()
	defer y.still.RUnlock()
	key := querytest.Key("orders", "1m", noon.Add(-time.Duration(rng.IntN(5))*time.Minute), []string{"eu", "us", "as"}[rng.IntN(3)], []string{"DE", "US"}[rng.IntN(2)], "web", "EUR")
	if rng.IntN(6) == 0 && len(y.db.Keys()) > 3 {
		keys := y.db.Keys()
		y.db.Set(keys[rng.IntN(len(keys))], nil)
		return
	}
	y.db.Add(key, 1, 0)
}

// chaosSubs are what each client follows.
var chaosSubs = []map[string]any{{"from": "now-1h"}, {"from": "now-1h", "by": "region"}, {"from": "now-1h", "by": "region,country"}}

// enough tells whether the network did all that it can do.
func (y *yard) enough(t *testing.T) {
	t.Helper()
	t.Logf("%d states compared; frames dropped %d, doubled %d, overtaken %d; %d cuts, %d stalls", y.checked.Load(), y.dropped.Load(), y.doubled.Load(), y.swapped.Load(), y.cuts.Load(), y.stalls.Load())
	for _, n := range []*atomic.Int64{&y.dropped, &y.doubled, &y.swapped, &y.cuts, &y.stalls} {
		if n.Load() < 3 {
			t.Error("the network was too kind for this test to say anything")
		}
	}
	if y.checked.Load() < 200 {
		t.Errorf("only %d states were compared", y.checked.Load())
	}
}

// truth is what the query API answers now.
func (y *yard) truth(sub int) map[string]string {
	return (&world{Table: y.db}).answer(y.t, "orders", chaosSubs[sub])
}

// Whatever the network does, a client that keeps the rules of PROTOCOL.md never holds anything but the answer of its sequence number,
// and comes to the answer of now once the network is well again.
func TestStateEqualsTheAnswerOnABadNetwork(t *testing.T) {
	y := openYard(t)
	rng := rand.New(rand.NewPCG(5, 6))
	var followers []*follower
	for range 4 {
		f := follow(y)
		defer f.close()
		followers = append(followers, f)
	}
	y.disturb(rng, 400)
	for n, f := range followers {
		for sub := range chaosSubs {
			want := y.truth(sub)
			f.until(fmt.Sprintf("client %d to hold the answer to %d", n, sub), func() bool { return maps.Equal(f.subs[fmt.Sprint(sub)].rows, want) }, func() { y.change(rng); want = y.truth(sub) })
		}
	}
	y.enough(t)
}

// The client for browsers, under Node, on the same network. It writes its state after each change; time runs faster for it.
func TestBrowserClientsStateEqualsTheAnswerOnABadNetwork(t *testing.T) {
	y := openYard(t)
	rng := rand.New(rand.NewPCG(7, 8))
	subs, err := json.Marshal(chaosSubs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := nodeArgs(t, "follow.mjs", "ws"+strings.TrimPrefix(y.proxy.URL, "http"), string(subs))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	held := map[int]map[string]string{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var line struct {
				Sub, Feed int
				Seq       uint64
				Rows      map[string]json.RawMessage
			}
			if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
				t.Errorf("%v: %.200s", err, sc.Text())
				return
			}
			rows := map[string]string{}
			for key, row := range line.Rows {
				rows[key] = string(row)
			}
			if wrong := y.check(line.Feed, line.Seq, rows); wrong != "" {
				t.Error(wrong)
			}
			mu.Lock()
			held[line.Sub] = rows
			mu.Unlock()
		}
	}()
	for began := time.Now(); y.checked.Load() < 200 && time.Since(began) < 30*time.Second; { // Node takes its time to start
		y.disturb(rng, 100)
	}
	deadline := time.Now().Add(40 * time.Second)
	for sub := range chaosSubs {
		for want := y.truth(sub); ; want = y.truth(sub) {
			mu.Lock()
			equal := maps.Equal(held[sub], want)
			mu.Unlock()
			if equal {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("live.js does not come to the answer to %d: it holds %v of %v\n%s", sub, held[sub], want, said.String())
			}
			time.Sleep(200 * time.Millisecond)
			y.change(rng) // a delta that was lost last shows by the next
			time.Sleep(200 * time.Millisecond)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-ended
	_ = cmd.Wait() // killed
	if said.Len() > 0 {
		t.Errorf("live.js said: %s", said.String())
	}
	y.enough(t)
}

// follower is a client that keeps the rules and expects nothing of the network.
type follower struct {
	y    *yard
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	moved *sync.Cond
	ws    *websocket.Conn
	subs  map[string]*followed
}

type followed struct {
	id     string
	filter map[string]any
	epoch  string
	feed   int
	seq    uint64
	rows   map[string]string
	whole  bool
	asked  time.Time // zero: no answer is waited for
	page   *page
}

// page is a snapshot whose pages are coming.
type page struct {
	epoch string
	feed  int
	seq   uint64
	next  int
	rows  map[string]string
}

const answerWithin = 400 * time.Millisecond

func follow(y *yard) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{y: y, stop: cancel, done: make(chan struct{}), subs: map[string]*followed{}}
	f.moved = sync.NewCond(&f.mu)
	for i, filter := range chaosSubs {
		id := fmt.Sprint(i)
		f.subs[id] = &followed{id: id, filter: filter, rows: map[string]string{}}
	}
	go func() {
		defer close(f.done)
		for ctx.Err() == nil {
			f.live(ctx)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return f
}

func (f *follower) close() {
	f.stop()
	f.mu.Lock()
	if f.ws != nil {
		f.ws.Close()
	}
	f.mu.Unlock()
	<-f.done
}

// live is one connection.
func (f *follower) live(ctx context.Context) {
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{live.Subprotocol}}).DialContext(ctx, "ws"+strings.TrimPrefix(f.y.proxy.URL, "http"), nil)
	if err != nil {
		return
	}
	defer ws.Close()
	f.mu.Lock()
	f.ws = ws
	_ = ws.WriteJSON(map[string]any{"type": "hello"}) // a write that fails shows in the read below
	for _, id := range slices.Sorted(maps.Keys(f.subs)) {
		f.ask(f.subs[id])
	}
	f.mu.Unlock()
	over, watched := make(chan struct{}), make(chan struct{})
	defer func() { close(over); <-watched }()
	go func() {
		defer close(watched)
		for {
			select {
			case <-over:
				return
			case <-time.After(answerWithin / 2):
				f.watch(ws)
			}
		}
	}()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil || ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		f.take(data)
		f.moved.Broadcast()
		f.mu.Unlock()
	}
}

// watch asks anew where no answer has come.
func (f *follower) watch(ws *websocket.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ws != ws {
		return
	}
	for _, s := range f.subs {
		if !s.asked.IsZero() && time.Since(s.asked) >= answerWithin {
			f.again(s)
		}
	}
}

func (f *follower) ask(s *followed) {
	frame := map[string]any{"type": "sub", "id": s.id, "topic": "metrics/orders", "filter": s.filter, "interval_ms": 2}
	if s.whole {
		frame["resume"] = map[string]any{"epoch": s.epoch, "seq": s.seq}
	}
	s.asked, s.page = time.Now(), nil
	_ = f.ws.WriteJSON(frame)
}

// again forgets nothing that is shown, and builds on nothing of it.
func (f *follower) again(s *followed) {
	s.whole = false
	_ = f.ws.WriteJSON(map[string]any{"type": "unsub", "id": s.id})
	f.ask(s)
}

func (f *follower) take(data []byte) {
	var m struct {
		Type, ID, Epoch string
		Seq, From, To   uint64
		Page            int
		Info            struct{ Feed int }
		Rows, Ops       [][]json.RawMessage
		More            bool
	}
	if err := json.Unmarshal(data, &m); err != nil {
		f.y.t.Errorf("%v: %.200s", err, data)
		return
	}
	s := f.subs[m.ID]
	switch {
	case s == nil:
		return
	case m.Type == "snap":
		if m.Page == 0 {
			s.page = &page{m.Epoch, m.Info.Feed, m.Seq, 0, map[string]string{}}
		}
		p := s.page
		if p == nil || p.epoch != m.Epoch || p.seq != m.Seq || p.next != m.Page {
			if s.page = nil; s.asked.IsZero() {
				f.again(s)
			}
			return
		}
		for _, r := range m.Rows {
			p.rows[text(r[0])] = string(r[1])
		}
		if p.next++; m.More {
			return
		}
		s.epoch, s.feed, s.seq, s.rows, s.whole, s.asked, s.page = p.epoch, p.feed, p.seq, p.rows, true, time.Time{}, nil
	case m.Type == "delta":
		if !s.whole || m.Epoch != s.epoch || m.From != s.seq {
			if s.asked.IsZero() {
				f.again(s)
			}
			return
		}
		for _, op := range m.Ops {
			if text(op[0]) == "u" {
				s.rows[text(op[1])] = string(op[2])
			} else {
				delete(s.rows, text(op[1]))
			}
		}
		s.seq, s.asked = m.To, time.Time{}
	default:
		return
	}
	if wrong := f.y.check(s.feed, s.seq, s.rows); wrong != "" {
		f.y.t.Error(wrong)
	}
}

// until waits for a fact, and stirs now and then: a delta that was lost last shows by the next.
func (f *follower) until(what string, fact func() bool, stir func()) {
	f.y.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; stir() {
		f.mu.Lock()
		wake := time.AfterFunc(300*time.Millisecond, f.moved.Broadcast)
		for began := time.Now(); !fact() && time.Since(began) < 300*time.Millisecond; {
			f.moved.Wait()
		}
		held := fact()
		wake.Stop()
		f.mu.Unlock()
		if held {
			return
		}
		if time.Now().After(deadline) {
			f.y.t.Fatalf("waited in vain for %s", what)
		}
	}
}
