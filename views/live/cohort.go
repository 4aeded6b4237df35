package live

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// cohort is one computation for all equal subscriptions.
type cohort struct {
	hub      *Hub
	key      string
	epoch    string
	interval time.Duration
	feed     Feed
	telling  bool // the feed is a Telling
	metrics  bool // the feed is of metrics
	wake     chan struct{}
	cancel   context.CancelFunc

	mu        sync.Mutex
	loaded    bool
	seq       uint64
	history   []step // the last deltas, oldest first
	subs      map[*subscription]struct{}
	idleSince time.Time         // when the last subscriber left
	snap      []json.RawMessage // pages of the state at seq; nil: not built
}

// step remembers what one refresh changed: the keys, whose rows are in the feed. A Telling cohort keeps the rows as well.
type step struct {
	to  uint64
	ops []Op
}

// subscription ties one id of one connection to a cohort. sent and paused belong to cohort.mu.
type subscription struct {
	id     string
	conn   *conn
	cohort *cohort
	sent   uint64 // sequence number that the client will hold once its queue is written; 0 before the snapshot
	paused bool
}

func (c *cohort) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run refreshes the cohort and tells its subscribers: at once (after coalesce) when it was quiet for an interval, else when the
// interval has passed. A Telling cohort looks at each change at once, and tells as the others do.
func (c *cohort) run(ctx context.Context) {
	var last time.Time
	var due <-chan time.Time
	phase := time.Duration(rand.Int64N(int64(c.interval)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			if due == nil {
				last = nextTurn(time.Now(), last, c.interval, phase)
				due = time.After(time.Until(last))
			}
			if !c.telling {
				continue
			}
			if !sleep(ctx, coalesce) { // the siblings of a transaction
				return
			}
		case <-due:
			due = nil
		}
		if !c.look(due == nil) && !sleep(ctx, time.Second) {
			return
		}
	}
}

// nextTurn is when to tell of a change that is seen now: at once after a quiet spell, else at the first of the cohort's own moments,
// which are an interval apart, that is an interval after the turn before. Each cohort has moments of its own, or all that follow the
// same events would send at the same time.
func nextTurn(now, last time.Time, interval, phase time.Duration) time.Time {
	if soon := now.Add(coalesce); soon.Sub(last) >= interval {
		return soon
	}
	earliest := last.Add(interval)
	since := time.Duration(earliest.UnixNano()-int64(phase)) % interval
	if since == 0 {
		return earliest
	}
	return earliest.Add(interval - since)
}

// look takes a turn; false where it failed and is to be tried again.
func (c *cohort) look(tell bool) bool {
	err := c.turn(tell)
	var p *Problem
	switch {
	case err == nil:
		return true
	case errors.As(err, &p):
		c.end(p)
		return true
	}
	c.hub.log.Warn("a live subscription could not be refreshed; it is tried again", "subscription", c.key, "error", err)
	c.hub.stats.failures.Inc()
	c.nudge()
	return false
}

// end tells all subscribers that their question has no answer any more (it has outgrown a limit), and lets them go.
func (c *cohort) end(p *Problem) {
	c.mu.Lock()
	subs := slices.Collect(maps.Keys(c.subs))
	c.subs, c.idleSince = map[*subscription]struct{}{}, time.Now()
	c.mu.Unlock()
	for _, s := range subs {
		if s.conn.release(s) {
			s.conn.problem(s.id, p)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// turn refreshes and, where it is time, publishes.
func (c *cohort) turn(tell bool) error {
	c.hub.slots <- struct{}{}
	defer func() { <-c.hub.slots }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.subs) == 0 {
		return nil // changes stay noted in the feed until someone subscribes
	}
	if err := c.refresh(); err != nil || !tell {
		return err
	}
	return c.publish()
}

// refresh brings the feed up to date and numbers the change. Caller holds c.mu.
func (c *cohort) refresh() error {
	began := time.Now()
	ops, err := c.feed.Refresh()
	c.hub.stats.refresh.Observe(time.Since(began).Seconds())
	if err != nil {
		return err
	}
	if !c.loaded {
		c.loaded, c.seq = true, 1
		return nil
	}
	if len(ops) == 0 {
		return nil
	}
	c.seq++
	c.snap = nil
	if !c.telling {
		for i := range ops {
			ops[i].Row = nil
		}
	}
	if len(c.history) >= c.hub.limits.History {
		c.history = append(c.history[:0], c.history[1:]...)
	}
	c.history = append(c.history, step{c.seq, ops})
	return nil
}

// publish sends every subscriber what changed since its last frame. Nearly all stand at the same sequence number and share one body.
func (c *cohort) publish() error {
	type kind struct {
		id   string
		from uint64
	}
	bodies, frames := map[uint64][]byte{}, map[kind]*frame{}
	c.hub.spreading.Lock()
	defer c.hub.spreading.Unlock()
	for s := range c.subs {
		if s.paused || s.sent == c.seq || !c.covers(s.sent) {
			continue // one that is behind is served once it has read its queue
		}
		k := kind{s.id, s.sent}
		f := frames[k]
		if f == nil {
			body, ok := bodies[s.sent]
			if !ok {
				var err error
				if body, err = c.deltaBody(s.sent); err != nil {
					return err
				}
				bodies[s.sent] = body
			}
			f = c.frame("delta", s.id, body, true)
			f.current = c.metrics
			frames[k] = f
		}
		if s.conn.enqueue(f) {
			s.sent = c.seq
		}
		c.hub.starts.settle()
	}
	return nil
}

// frame is one of this cohort; whole tells that a client that has it holds the state of now.
func (c *cohort) frame(kind, id string, body []byte, whole bool) *frame {
	f := newFrame(headed(kind, id, body))
	if whole {
		f.at = position{id, c.epoch, c.seq}
	}
	return f
}

func (c *cohort) deltaBody(from uint64) ([]byte, error) {
	ops := c.merged(from)
	encoded := make([]json.RawMessage, len(ops))
	for i, op := range ops {
		encoded[i] = encodeOp(op)
	}
	return json.Marshal(deltaBody{Epoch: c.epoch, From: from, To: c.seq, Ops: encoded, ServerTime: time.Now().UTC(), Freshness: c.feed.Freshness()})
}
