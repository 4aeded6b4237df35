package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// palette is what the clients subscribe to: what dashboards show. Equal subscriptions have equal ids, as PROTOCOL.md advises.
var palette = []string{
	`"topic":"metrics/orders","filter":{"window":"1m","from":"now-15m"}`,
	`"topic":"metrics/gmv","filter":{"window":"1m","from":"now-15m","by":"currency"}`,
	`"topic":"metrics/revenue","filter":{"window":"1m","from":"now-15m","by":"method"}`,
	`"topic":"metrics/orders","filter":{"window":"1m","from":"now-15m","by":"region"}`,
	`"topic":"metrics/payments_captured","filter":{"window":"1m","from":"now-15m"}`,
	`"topic":"metrics/payments_failed","filter":{"window":"1m","from":"now-15m","by":"method"}`,
	`"topic":"metrics/funnel","filter":{"window":"1h","from":"now-6h","by":"stage"}`,
	`"topic":"metrics/items_sold","filter":{"window":"1m","from":"now-5m","by":"category"}`,
	`"topic":"metrics/orders","filter":{"window":"1h","from":"now-1d","by":"channel"}`,
	`"topic":"metrics/shipments_dispatched","filter":{"window":"1m","from":"now-15m"}`,
	`"topic":"metrics/payment_success_rate","filter":{"window":"1m","from":"now-15m"}`,
	`"topic":"alerts","filter":{"status":"open","limit":"20"}`,
}

// stuckBuffer is the receive buffer of a client that never reads, so that it stands in the server's way at once.
const stuckBuffer = 4 << 10

// stuckInterval is what such a client subscribes with, so that the server has more for it than sockets hold.
const stuckInterval = 100 * time.Millisecond

// checkEvery is how many clients share one that holds its frames to the protocol's first rule.
const checkEvery = 64

// open connects client i and subscribes.
func (l *loaded) open(ctx context.Context, i int, stuck bool, subs int) error {
	network := net.Dialer{Timeout: 30 * time.Second}
	if stuck {
		network.Control = func(_, _ string, raw syscall.RawConn) error {
			var err error
			if failed := raw.Control(func(fd uintptr) { err = shrinkReceiveBuffer(fd, stuckBuffer) }); failed != nil {
				return failed
			}
			return err
		}
	}
	d := websocket.Dialer{Subprotocols: []string{"weir.v1"}, HandshakeTimeout: time.Minute, NetDialContext: network.DialContext,
		ReadBufferSize: 4096, WriteBufferSize: 512}
	ws, _, err := d.DialContext(ctx, l.url, nil)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.conns = append(l.conns, ws.NetConn())
	l.mu.Unlock()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"hello"}`)); err != nil {
		return err
	}
	interval := l.o.Interval
	if stuck {
		interval = stuckInterval
	}
	for k := range subs {
		n := (i + k) % len(palette)
		frame := fmt.Sprintf(`{"type":"sub","id":"p%d",%s,"interval_ms":%d}`, n, palette[n], interval.Milliseconds())
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			return err
		}
	}
	if !stuck {
		l.wait.Go(func() { l.follow(ws, i%checkEvery == 0) })
	}
	return nil
}

// follow reads frames until the connection ends.
func (l *loaded) follow(ws *websocket.Conn, check bool) {
	var buf bytes.Buffer
	held := map[string]uint64{}
	for {
		_, r, err := ws.NextReader()
		if err == nil {
			buf.Reset()
			_, err = io.Copy(&buf, r)
		}
		if err != nil {
			if !l.closing.Load() {
				l.lost.Add(1)
				l.note(err)
			}
			return
		}
		now := time.Now()
		frame := buf.Bytes()
		if bytes.HasPrefix(frame, []byte(`{"type":"error"`)) {
			l.note(fmt.Errorf("the server said %s", strconv.Quote(string(frame))))
		}
		if check {
			l.note(follows(held, frame))
		}
		if !bytes.HasPrefix(frame, []byte(`{"type":"delta"`)) {
			continue
		}
		l.deltas.Add(1)
		if !l.measuring.Load() {
			continue
		}
		if at, ok := timeAt(frame, `"server_time":"`); ok {
			l.delay.add(now.Sub(at))
		}
		if at, ok := timeAt(frame, `"as_of":"`); ok {
			l.age.add(now.Sub(at))
		}
	}
}

func (l *loaded) note(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// timeAt reads the time after a name, which stands behind the rows.
func timeAt(frame []byte, name string) (time.Time, bool) {
	i := bytes.LastIndex(frame, []byte(name))
	if i < 0 {
		return time.Time{}, false
	}
	rest := frame[i+len(name):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(rest[:end]))
	return at, err == nil
}

// follows tells whether a delta continues where the frame before ended.
func follows(held map[string]uint64, frame []byte) error {
	var f struct {
		Type, ID      string
		Seq, From, To uint64
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		return err
	}
	switch f.Type {
	case "snap":
		held[f.ID] = f.Seq
	case "delta":
		if f.From != held[f.ID] {
			return fmt.Errorf("a delta goes on from %d where the state is at %d", f.From, held[f.ID])
		}
		held[f.ID] = f.To
	}
	return nil
}
