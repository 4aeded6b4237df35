package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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
	if err := t.create(ctx, adm, o.Partitions); err != nil {
		return l, err
	}
	both, err := startBoth(ctx, o, prefix)
	defer func() { err = errors.Join(err, both.stop()) }()
	if err != nil {
		return l, err
	}
	from := time.Now().Add(o.Warm)
	m, alerts := &minutes{at: map[int64]*minute{}, from: from}, newAlarms(from)
	ws, err := subscribe(ctx, both[1].listen, metric)
	if err != nil {
		return l, err
	}
	defer ws.Close()
	readers := make(chan error, 2)
	go func() { readers <- readFrames(ws, m) }()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	if o.alerts() {
		go func() {
			if err := alerts.read(reading, o.Kafka, prefix+"alerts"); err != nil {
				readers <- err
			}
		}()
	}
	if err := l.pace(ctx, cl, t, o, both, m, alerts); err != nil {
		return l, err
	}
	select {
	case err := <-readers:
		return l, fmt.Errorf("a reader ended: %w", err)
	case <-time.After(3 * time.Second): // the last orders' frames
	}
	if err := l.take(m); err != nil || !o.alerts() {
		return l, err
	}
	return l, l.takeAlerts(ctx, alerts)
}

// alerts tells whether the orders that are probes raise alerts: W's own rules do that.
func (o *Options) alerts() bool { return o.Fraud && o.Metrics == "w" }

// startBoth starts a process and a view server that is ready. What was started is to be stopped after an error, too.
func startBoth(ctx context.Context, o Options, prefix string) (both children, err error) {
	for _, role := range []struct {
		name string
		args func(prefix, listen string) []string
	}{{"process", o.Process}, {"serve", o.Serve}} {
		listen, err := freeAddress()
		if err != nil {
			return both, err
		}
		c, err := startChild(role.name, o.Binary, sourcesOf(prefix, o), listen, role.args(prefix, listen)...)
		if err != nil {
			return both, err
		}
		both = append(both, c)
	}
	return both, awaitReady(ctx, both[1])
}

// pace sends the stream and takes the CPU time of both, from the end of the warm part on.
func (l *Latency) pace(ctx context.Context, cl *kgo.Client, t topics, o Options, both children, m *minutes, alerts *alarms) error {
	var cpuFrom [2]time.Duration
	var sentFrom int
	began := time.Now()
	sent, err := pace(ctx, cl, t, o, m, alerts, func(sent int) {
		if sentFrom == 0 && time.Since(began) >= o.Warm {
			sentFrom = sent
			cpuFrom = [2]time.Duration{both[0].cpu(), both[1].cpu()}
		}
		o.Progress("pacing", int(time.Since(began).Seconds()), int((o.Warm + o.Measure).Seconds()))
	})
	l.ProcessCPU, l.ServeCPU = both[0].cpu()-cpuFrom[0], both[1].cpu()-cpuFrom[1]
	l.Sent, l.Rate = sent-sentFrom, float64(sent)/time.Since(began).Seconds()
	return errors.Join(err, both[0].check(), both[1].check())
}

// take has the orders that were seen at the websocket.
func (l *Latency) take(m *minutes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.Seen = len(m.seen)
	if l.Seen == 0 {
		return errors.New("no order was seen at the websocket")
	}
	slices.Sort(m.seen)
	l.P50, l.P99, l.P999, l.Max = quantile(m.seen, .5), quantile(m.seen, .99), quantile(m.seen, .999), quantile(m.seen, 1)
	return nil
}

// takeAlerts waits for the alerts that are due.
func (l *Latency) takeAlerts(ctx context.Context, a *alarms) error {
	if err := a.await(ctx, time.Minute); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l.AlertsDue, l.AlertsSeen = a.sent, len(a.seen)
	if l.AlertsSeen != l.AlertsDue {
		return fmt.Errorf("of %d orders that had to raise an alert %d did", l.AlertsDue, l.AlertsSeen)
	}
	slices.Sort(a.seen)
	l.AlertP50, l.AlertP99, l.AlertMax = quantile(a.seen, .5), quantile(a.seen, .99), quantile(a.seen, 1)
	return nil
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
