package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"weir/views/live"
	"weir/views/query/querytest"
)

// stream is a client of server-sent events. Its frames go to a client of the protocol, and are held to the document.
type stream struct {
	*client
	id   string // of the last event
	body io.Closer
	end  chan struct{}
}

func (w *world) get(t *testing.T, params url.Values, header http.Header) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+live.StreamPath+"?"+params.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	return resp
}

func (w *world) stream(t *testing.T, params url.Values, header http.Header, held map[string]*state) *stream {
	t.Helper()
	resp := w.get(t, params, header)
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, kind)
	}
	c := &client{t: t, subs: held, frames: map[string]int{}, last: map[string]json.RawMessage{}}
	s := &stream{client: c, body: resp.Body, end: make(chan struct{})}
	s.moved = newCond(c)
	by := schemas(t, "stream")
	go func() {
		defer close(s.end)
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 8<<20)
		for sc.Scan() {
			id, isID := strings.CutPrefix(sc.Text(), "id: ")
			data, isData := strings.CutPrefix(sc.Text(), "data: ")
			c.mu.Lock()
			if isID {
				s.id = id
			}
			if isData {
				if err := c.apply([]byte(data)); err != nil {
					t.Errorf("%v: %.300s", err, data)
				}
				var f struct{ Type string }
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
				if err == nil {
					err = json.Unmarshal([]byte(data), &f)
				}
				if err == nil && by[f.Type] != nil {
					err = by[f.Type].Validate(value)
				}
				if err != nil || by[f.Type] == nil {
					t.Errorf("a frame of a stream that is not as documented: %v: %.300s", err, data)
				}
			}
			c.mu.Unlock()
			c.moved.Broadcast()
		}
	}()
	return s
}

func TestStreamHasTheFramesOfASocket(t *testing.T) {
	w := start(t, live.Limits{})
	w.Add(eu, 3, 0)
	subs := url.Values{"sub": {`{"id":"a b","topic":"metrics/orders","filter":{"by":"region"},"interval_ms":20}`, `{"id":"c","topic":"metrics/orders","interval_ms":20}`,
		`{"id":"no","topic":"weather"}`}}
	s := w.stream(t, subs, nil, map[string]*state{"a b": {rows: map[string]string{}}, "c": {rows: map[string]string{}}})
	s.until("the snapshots", func() bool { return s.subs["a b"].whole && s.subs["c"].whole && len(s.errors) == 1 })
	w.Add(us, 1, 0)
	want := w.answer(t, "orders", byRegion)
	s.until("the change", func() bool { return maps.Equal(s.subs["a b"].rows, want) && s.subs["c"].seq == 2 })
	s.until("a tick", func() bool { return s.frames["tick"] > 0 })
	s.body.Close()
	<-s.end

	w.Add(asia, 1, 0)
	again := w.stream(t, subs, http.Header{"Last-Event-ID": {s.id}}, s.subs)
	want = w.answer(t, "orders", byRegion)
	again.until("what was missed", func() bool { return maps.Equal(again.subs["a b"].rows, want) })
	again.until("the other", func() bool { return again.subs["c"].seq == 3 })
	if n := again.got("snap"); n > 0 {
		t.Errorf("%d snapshots for a stream that could resume from %s", n, s.id)
	}
	w.stop()
	again.until("the goodbye", func() bool {
		return again.frames["goaway"] == 1 && strings.Contains(string(again.last["close"]), "1012")
	})
	<-again.end
}

func TestStreamOfOneTopicByItsFilter(t *testing.T) {
	w := start(t, live.Limits{})
	w.Add(eu, 3, 0)
	s := w.stream(t, url.Values{"topic": {"metrics/orders"}, "by": {"region"}, "interval_ms": {"20"}}, nil, map[string]*state{"metrics/orders": {rows: map[string]string{}}})
	want := w.answer(t, "orders", byRegion)
	s.until("the snapshot", func() bool { return maps.Equal(s.subs["metrics/orders"].rows, want) })
}

func TestStreamsThatCannotBe(t *testing.T) {
	l := live.DefaultLimits()
	l.PerAddress = 1
	w := startWith(t, l, func(cfg *live.Config) {
		cfg.Authorize = func(token string) bool { return token == "right" }
		cfg.AllowedOrigins = []string{"https://friend.example"}
	})
	one := url.Values{"topic": {"metrics/orders"}, "token": {"right"}}
	for name, tc := range map[string]struct {
		params url.Values
		header http.Header
		status int
	}{
		"another site":   {one, http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		"no token":       {url.Values{"topic": {"metrics/orders"}}, nil, http.StatusUnauthorized},
		"nothing":        {url.Values{"token": {"right"}}, nil, http.StatusUnprocessableEntity},
		"no JSON":        {url.Values{"token": {"right"}, "sub": {"metrics/orders"}}, nil, http.StatusUnprocessableEntity},
		"no number":      {url.Values{"token": {"right"}, "topic": {"metrics/orders"}, "interval_ms": {"fast"}}, nil, http.StatusUnprocessableEntity},
		"more than most": {url.Values{"token": {"right"}, "sub": make([]string, 33)}, nil, http.StatusUnprocessableEntity},
	} {
		if name == "more than most" {
			for i := range tc.params["sub"] {
				tc.params["sub"][i] = `{"id":"a","topic":"metrics/orders"}`
			}
		}
		resp := w.get(t, tc.params, tc.header)
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != tc.status || err != nil || !bytes.Contains(body, []byte(`"detail"`)) || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s %s %v", name, resp.Status, body, err)
		}
	}
	friend := w.get(t, one, http.Header{"Origin": {"https://friend.example"}, "Authorization": {"Bearer right"}})
	if friend.StatusCode != http.StatusOK || friend.Header.Get("Access-Control-Allow-Origin") != "https://friend.example" {
		t.Errorf("a listed origin: %s %v", friend.Status, friend.Header)
	}
	if second := w.get(t, one, nil); second.StatusCode != http.StatusTooManyRequests || second.Header.Get("Retry-After") == "" {
		t.Errorf("a second connection of one address: %s", second.Status)
	}
}

// A stream whose client does not read is not waited for.
func TestStreamOfASlowReaderCatchesUp(t *testing.T) {
	l := live.DefaultLimits()
	l.QueueFrames, l.History, l.IntervalMin = 2, 4, time.Millisecond
	w := start(t, l)
	resp := w.get(t, url.Values{"topic": {"metrics/orders"}, "by": {"region"}, "interval_ms": {"1"}}, nil)
	wide := strings.Repeat("z", 3000)
	free := dial(t, w.url, nil).hello()
	free.sub("a", "metrics/orders", 1, byRegion)
	for i := range 3000 {
		w.Add(querytest.Key("orders", "1m", noon, "r"+wide+string(rune('a'+i%26)), "DE", "web", "EUR"), 1, 0)
		if i%300 == 299 {
			want := w.answer(t, "orders", byRegion)
			free.until("the free one to follow", func() bool { return maps.Equal(free.subs["a"].rows, want) })
		}
	}
	want := w.answer(t, "orders", byRegion)
	c := &client{t: t, subs: map[string]*state{"metrics/orders": {rows: map[string]string{}}}, frames: map[string]int{}, last: map[string]json.RawMessage{}}
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			if err := c.apply([]byte(data)); err != nil {
				t.Fatalf("%v: %.300s", err, data)
			}
		}
		if maps.Equal(c.subs["metrics/orders"].rows, want) {
			return
		}
	}
	t.Errorf("the stream ended at %d: %v", c.subs["metrics/orders"].seq, sc.Err())
}

// Where websockets never open, live.js takes the stream.
func TestBrowserClientTakesTheStreamWhereSocketsAreDenied(t *testing.T) {
	w := start(t, live.Limits{})
	w.Add(eu, 3, 0)
	cmd := nodeArgs(t, "stream.mjs", "ws"+strings.TrimPrefix(w.url, "http")+live.SocketPath)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	changes := 0
	for sc := bufio.NewScanner(out); changes < 3 && sc.Scan(); {
		var rows map[string]json.RawMessage
		if err := json.Unmarshal(sc.Bytes(), &rows); err != nil {
			t.Fatal(err)
		}
		want := w.answer(t, "orders", byRegion)
		if len(rows) != len(want) {
			continue // the change is on its way
		}
		for key, row := range rows {
			if want[key] != string(row) {
				t.Errorf("row %s is %s, and must be %s", key, row, want[key])
			}
		}
		w.Add([]string{us, asia, eu}[changes], 1, 0)
		changes++
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed
	if changes < 3 {
		t.Errorf("live.js saw %d changes: %s", changes, said.String())
	}
}
