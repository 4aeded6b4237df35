package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Latency is what a paced stream shows at the far end of a websocket: from handing an order to the Kafka producer until a frame
// arrives in which its minute counts it.
type Latency struct {
	Sent                int
	Rate                float64
	Seen                int
	P50, P99, P999, Max time.Duration
	AlertsDue           int // orders that had to raise an alert
	AlertsSeen          int
	AlertP50, AlertP99  time.Duration // from handing the order to the producer until its alert was read, committed, from the topic
	AlertMax            time.Duration
	CPUPerEvent         time.Duration // of process and serve together, over the measured part
	ProcessCPU          time.Duration
	ServeCPU            time.Duration
}

func (l Latency) String() string {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(max(l.Sent, 1)) }
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	text := fmt.Sprintf("sent=%d rate=%.0f/s seen=%d p50_ms=%.0f p99_ms=%.0f p999_ms=%.0f max_ms=%.0f cpu_us_per_event=%.1f (process %.1f, serve %.1f)",
		l.Sent, l.Rate, l.Seen, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max), us(l.ProcessCPU+l.ServeCPU), us(l.ProcessCPU), us(l.ServeCPU))
	if l.AlertsDue > 0 {
		text += fmt.Sprintf("\nALERTS due=%d seen=%d p50_ms=%.0f p99_ms=%.0f max_ms=%.0f", l.AlertsDue, l.AlertsSeen, ms(l.AlertP50), ms(l.AlertP99), ms(l.AlertMax))
	}
	return text
}

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

// RunLatency paces the workload through fresh topics, a process and a view server.
func RunLatency(ctx context.Context, o Options, metric string) (l Latency, err error) {
	prefix := fmt.Sprintf("bench-%d-", time.Now().UnixMilli())
	cl, err := kgo.NewClient(append(o.Kafka[:len(o.Kafka):len(o.Kafka)], kgo.ProducerLinger(time.Millisecond))...)
	if err != nil {
		return l, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	defer removeTopics(adm, prefix)
	t := topicsOf(prefix)
	if responses, err := adm.CreateTopics(ctx, o.Partitions, 1, nil, t[:]...); err != nil || responses.Error() != nil {
		return l, errors.Join(err, responses.Error())
	}
	var children [2]*child
	for i, role := range []struct {
		name string
		args func(string, string) []string
	}{{"process", o.Process}, {"serve", o.Serve}} {
		listen, err := freeAddress()
		if err != nil {
			return l, err
		}
		if children[i], err = startChild(role.name, o.Binary, sourcesOf(prefix, o), listen, role.args(prefix, listen)...); err != nil {
			return l, err
		}
		defer func() { _, _, stopErr := children[i].stop(); err = errors.Join(err, stopErr) }()
	}
	if err := awaitReady(ctx, children[1]); err != nil {
		return l, err
	}
	m := &minutes{at: map[int64]*minute{}, from: time.Now().Add(o.Warm)}
	ws, err := subscribe(ctx, children[1].listen, metric)
	if err != nil {
		return l, err
	}
	defer ws.Close()
	frames := make(chan error, 2)
	go func() { frames <- readFrames(ws, m) }()
	alerts := newAlarms(m.from)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	if o.Fraud && o.Metrics == "w" {
		go func() {
			if err := alerts.read(reading, o.Kafka, prefix+"alerts"); err != nil {
				frames <- err
			}
		}()
	}

	var cpuFrom [2]time.Duration
	var sentFrom int
	started := time.Now()
	l.Sent, err = pace(ctx, cl, t, o, m, alerts, func(sent int) {
		if sentFrom == 0 && time.Since(started) >= o.Warm {
			sentFrom = sent
			for i, c := range children {
				cpuFrom[i] = c.cpu()
			}
		}
		o.Progress("pacing", int(time.Since(started).Seconds()), int((o.Warm + o.Measure).Seconds()))
	})
	l.ProcessCPU, l.ServeCPU = children[0].cpu()-cpuFrom[0], children[1].cpu()-cpuFrom[1]
	l.Rate = float64(l.Sent) / time.Since(started).Seconds()
	l.Sent -= sentFrom
	if err != nil {
		return l, err
	}
	for _, c := range children {
		if err := c.check(); err != nil {
			return l, err
		}
	}
	select {
	case err := <-frames:
		return l, fmt.Errorf("a reader ended: %w", err)
	case <-time.After(3 * time.Second): // the last orders' frames
	}
	if err := alerts.await(ctx, time.Minute); err != nil {
		return l, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.Seen = len(m.seen)
	if l.Seen == 0 {
		return l, errors.New("no order was seen at the websocket")
	}
	slices.Sort(m.seen)
	l.P50, l.P99, l.P999, l.Max = quantile(m.seen, .5), quantile(m.seen, .99), quantile(m.seen, .999), quantile(m.seen, 1)
	alerts.mu.Lock()
	defer alerts.mu.Unlock()
	if !o.Fraud || o.Metrics != "w" {
		return l, nil
	}
	l.AlertsDue, l.AlertsSeen = alerts.sent, len(alerts.seen)
	if l.AlertsSeen != l.AlertsDue {
		return l, fmt.Errorf("of %d orders that had to raise an alert %d did", l.AlertsDue, l.AlertsSeen)
	}
	slices.Sort(alerts.seen)
	l.AlertP50, l.AlertP99, l.AlertMax = quantile(alerts.seen, .5), quantile(alerts.seen, .99), quantile(alerts.seen, 1)
	return l, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// pace produces o.Rate events a second at their own time, orders, payments and shipments in equal parts.
func pace(ctx context.Context, cl *kgo.Client, t topics, o Options, m *minutes, alerts *alarms, tick func(sent int)) (int, error) {
	w := newWorkload()
	raises := false
	w.paced = func(o *order, i int) { raises = o.probe(i) }
	run := time.Now().UnixMilli()
	sent, orders := 0, 0
	var failed error
	var mu sync.Mutex
	send := func(r record) {
		sent++
		cl.Produce(ctx, &kgo.Record{Topic: t[r.stream], Key: []byte(r.key), Value: []byte(r.value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	start := time.Now()
	for elapsed := time.Duration(0); elapsed < o.Warm+o.Measure; elapsed = time.Since(start) {
		for due := int(elapsed.Seconds() * float64(o.Rate) / 3); orders < due; orders++ {
			now := time.Now()
			m.produce(now)
			id := fmt.Sprintf("lat-%d-%09d", run, orders)
			at := now
			if place := orders % wPacedFactor; place < wProbeOrders { // the fifth must be the last of them, also where one millisecond brings all
				at = now.Add(time.Duration(place) * time.Millisecond)
			}
			e := w.orderEvent(orders, id, at)
			if raises {
				alerts.produce(id, now)
			}
			send(e)
			if j := orders - wPaymentAfter; j >= 0 {
				send(w.paymentEvent(j, now))
			}
			if j := orders - wShipmentAfter; j >= 0 {
				send(w.shipmentEvent(j, now))
			}
		}
		tick(sent)
		select {
		case <-ctx.Done():
			return sent, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	err := cl.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	return sent, errors.Join(err, failed)
}

func awaitReady(ctx context.Context, c *child) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := c.check(); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.listen+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("weir %s was not ready within a minute; its last words:\n%s", c.name, c.log.buf.String())
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
