package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// minutes remembers when each order of a minute was handed to the producer, and how many of them have been seen.
type minutes struct {
	mu   sync.Mutex
	at   map[int64]*minute // by start, Unix ms
	from time.Time         // orders produced before are not measured
	seen []time.Duration
}

type minute struct {
	produced []time.Time
	seen     int
}

func (m *minutes) produce(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	start := at.Truncate(time.Minute).UnixMilli()
	if m.at[start] == nil {
		m.at[start] = &minute{}
	}
	m.at[start].produced = append(m.at[start].produced, at)
}

// count notes that the minute's row now counts n orders.
func (m *minutes) count(start int64, n int, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.at[start]
	if w == nil {
		return
	}
	for ; w.seen < n && w.seen < len(w.produced); w.seen++ {
		if at := w.produced[w.seen]; at.After(m.from) {
			m.seen = append(m.seen, now.Sub(at))
		}
	}
}

// subscribe opens a websocket and asks for the last minutes of a metric.
func subscribe(ctx context.Context, listen, metric string) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"weir.v1"}, HandshakeTimeout: 10 * time.Second}
	ws, _, err := d.DialContext(ctx, "ws://"+listen+"/v1/ws", nil)
	if err != nil {
		return nil, err
	}
	for _, frame := range []string{`{"type":"hello"}`,
		`{"type":"sub","id":"bench","topic":"metrics/` + metric + `","filter":{"window":["1m"],"from":["now-5m"]},"interval_ms":20}`} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

// point is the part of a pushed row that is measured.
type point struct {
	Start time.Time `json:"start"`
	Count int       `json:"count"`
}

// frame is a snap or delta of weir.v1.
type frame struct {
	Type string              `json:"type"`
	Rows [][]json.RawMessage `json:"rows"` // [key, row]
	Ops  [][]json.RawMessage `json:"ops"`  // ["u", key, row] or ["d", key]
}

func readFrames(ws *websocket.Conn, m *minutes) error {
	for {
		_, b, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		now := time.Now()
		var f frame
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
		switch f.Type {
		case "error", "goaway":
			return fmt.Errorf("the server said %s", strconv.Quote(string(b)))
		}
		for _, row := range append(f.Rows, f.Ops...) {
			if len(row) < 2 || string(row[0]) == `"d"` {
				continue
			}
			var p point
			if err := json.Unmarshal(row[len(row)-1], &p); err != nil {
				return fmt.Errorf("a row of the websocket: %w", err)
			}
			m.count(p.Start.UnixMilli(), p.Count, now)
		}
	}
}
