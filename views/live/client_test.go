package live_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"weir/views/live"
)

// client speaks weir.v1 as PROTOCOL.md tells it and keeps the state of its subscriptions. It fails the test when the server
// breaks the protocol: a delta that does not follow, a row deleted that was not there.
type client struct {
	t  *testing.T
	ws *websocket.Conn

	mu     sync.Mutex
	subs   map[string]*state
	frames map[string]int // by type
	errors []live.Problem
	closed *websocket.CloseError
	last   map[string]json.RawMessage // the last frame of each type
	moved  *sync.Cond
}

type state struct {
	epoch string
	seq   uint64
	rows  map[string]string
	whole bool // the last page of the snapshot has come
	gaps  int
}

func dial(t *testing.T, url string, header http.Header) *client {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{live.Subprotocol}, EnableCompression: true}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(url, "http"), header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return clientOn(t, ws)
}

func clientOn(t *testing.T, ws *websocket.Conn) *client {
	c := &client{t: t, ws: ws, subs: map[string]*state{}, frames: map[string]int{}, last: map[string]json.RawMessage{}}
	c.moved = newCond(c)
	return c
}

func newCond(c *client) *sync.Cond { return sync.NewCond(&c.mu) }

// hello greets and reads in the background.
func (c *client) hello() *client {
	c.send(map[string]any{"type": "hello"})
	go c.read()
	return c
}

func (c *client) send(v any) {
	c.t.Helper()
	if err := c.ws.WriteJSON(v); err != nil {
		c.t.Errorf("sending %v: %v", v, err)
	}
}

func (c *client) sub(id, topic string, interval int, filter map[string]any) {
	c.t.Helper()
	c.mu.Lock()
	c.subs[id] = &state{rows: map[string]string{}}
	c.mu.Unlock()
	c.send(map[string]any{"type": "sub", "id": id, "topic": topic, "filter": filter, "interval_ms": interval})
}

func (c *client) read() {
	for c.step() {
	}
}

// step reads one frame; false when the connection has ended.
func (c *client) step() bool {
	_, data, err := c.ws.ReadMessage()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.moved.Broadcast()
	if err != nil {
		if ce, ok := err.(*websocket.CloseError); ok {
			c.closed = ce
		} else {
			c.closed = &websocket.CloseError{Code: -1, Text: err.Error()}
		}
		return false
	}
	if err := c.apply(data); err != nil {
		c.t.Errorf("%v: %.300s", err, data)
	}
	return true
}

func (c *client) apply(data []byte) error {
	var f struct {
		Type, ID, Epoch string
		Seq, From, To   uint64
		Rows, Ops       [][]json.RawMessage
		More            bool
		Error           live.Problem
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	c.frames[f.Type]++
	c.last[f.Type] = append(json.RawMessage(nil), data...)
	if f.Type == "error" {
		c.errors = append(c.errors, f.Error)
		return nil
	}
	s := c.subs[f.ID]
	if s == nil {
		return nil
	}
	switch f.Type {
	case "gap":
		s.gaps++
		s.whole = false
	case "snap":
		if f.Epoch != s.epoch || f.Seq != s.seq || s.whole {
			s.epoch, s.seq, s.rows = f.Epoch, f.Seq, map[string]string{}
		}
		for _, r := range f.Rows {
			s.rows[text(r[0])] = string(r[1])
		}
		s.whole = !f.More
	case "delta":
		if f.From != s.seq || f.Epoch != s.epoch || !s.whole {
			return fmt.Errorf("delta from %d on a state at %d", f.From, s.seq)
		}
		if f.To < f.From {
			return fmt.Errorf("a delta goes back")
		}
		for _, op := range f.Ops {
			key := text(op[1])
			switch text(op[0]) {
			case "u":
				s.rows[key] = string(op[2])
			case "d":
				delete(s.rows, key)
			default:
				return fmt.Errorf("unknown op")
			}
		}
		s.seq = f.To
	}
	return nil
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// until waits for a fact about the client's state.
func (c *client) until(what string, fact func() bool) {
	c.t.Helper()
	timeout := time.AfterFunc(20*time.Second, c.moved.Broadcast)
	defer timeout.Stop()
	deadline := time.Now().Add(20 * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	for !fact() {
		if time.Now().After(deadline) || c.closed != nil && !fact() {
			c.t.Fatalf("waited in vain for: %s (closed: %v, frames: %v)", what, c.closed, c.frames)
		}
		c.moved.Wait()
	}
}

func (c *client) rows(id string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.subs[id].rows)
}

// got is how many frames of a type have come.
func (c *client) got(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[kind]
}

// problems is how many error frames have come.
func (c *client) problems() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errors)
}
