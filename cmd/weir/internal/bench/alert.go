package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// alarms remembers when each order that must raise an alert was handed to the producer, and how long its alert took.
type alarms struct {
	mu   sync.Mutex
	at   map[string]time.Time // by the alert's entity
	from time.Time            // orders produced before are not measured
	sent int                  // of those measured
	seen []time.Duration
}

func newAlarms(from time.Time) *alarms { return &alarms{at: map[string]time.Time{}, from: from} }

func (a *alarms) produce(order string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at["order:"+order] = at
	if at.After(a.from) {
		a.sent++
	}
}

// opened notes an alert. Alerts of other orders are none of ours.
func (a *alarms) opened(entity string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.at[entity]
	if !ok {
		return
	}
	delete(a.at, entity)
	if at.After(a.from) {
		a.seen = append(a.seen, now.Sub(at))
	}
}

// read follows the committed alerts of topic until ctx ends.
func (a *alarms) read(ctx context.Context, kafka []kgo.Opt, topic string) error {
	cl, err := kgo.NewClient(append(kafka[:len(kafka):len(kafka)], kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		now := time.Now()
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			var e struct{ Type, Subject string }
			if err := json.Unmarshal(r.Value, &e); err != nil {
				failed = fmt.Errorf("an alert on %s: %w", topic, err)
				return
			}
			if e.Type == "weir.alert.opened" {
				a.opened(e.Subject, now)
			}
		})
		if failed != nil {
			return failed
		}
	}
}

// await waits until every order that must raise an alert has, and no longer than patience.
func (a *alarms) await(ctx context.Context, patience time.Duration) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		a.mu.Lock()
		left := a.sent - len(a.seen)
		a.mu.Unlock()
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sampleEvery):
		}
	}
	return nil // how many are missing is told with the result
}

// probe decides about order i of a paced stream: five of each 33 orders come from one customer of their own, and the fifth must raise
// an alert. The others' customers are as many times more as the stream is faster than W's own, so that ordering twice is as rare.
func (o *order) probe(i int) (raises bool) {
	group, place := i/wPacedFactor, i%wPacedFactor
	if place < wProbeOrders {
		o.customer = 1_000_000_000 + group
		return place == wProbeOrders-1
	}
	o.customer = o.customer*wPacedFactor + place
	return false
}

const (
	wPacedFactor = 33 // 5,000 events/s against W's 150
	wProbeOrders = 5
)
