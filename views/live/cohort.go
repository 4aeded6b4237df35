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

// Topics opens what clients subscribe to.
type Topics interface {
	// Open checks the filter of a topic and returns its feed, not yet read. Feeds with equal keys are interchangeable.
	// An error that is a *Problem is told to the client as it is.
	Open(topic string, filter map[string][]string) (Feed, error)
}

// Feed keeps the rows that one cohort shows. Touch may be called at any time; the other methods are called one at a time.
type Feed interface {
	Key() string
	// Info describes the rows once, in the snapshot: a JSON object.
	Info() json.RawMessage
	// Touch notes what changed and tells whether it concerns this feed. It reads no rows.
	Touch(Changed) bool
	// Refresh reads what was touched and tells how the rows changed since the Refresh before.
	Refresh() ([]Op, error)
	// Rows calls fn for every row, in the order of keys.
	Rows(fn func(key string, row json.RawMessage))
	// Row is the row of key, nil where there is none.
	Row(key string) json.RawMessage
	// Freshness is that of the last Refresh.
	Freshness() Freshness
}

// Telling is a Feed of which no row may come and go untold: its cohort looks at every change at once, whatever the interval, and a
// delta that stands for several first tells a row that is gone again.
type Telling interface{ TellsAll() }

// Watching is a Feed over single rows of a table too busy to tell of each: the hub hears only of the keys that feeds watch.
type Watching interface{ Watches() []string }

// cohort is one computation for all equal subscriptions.
type cohort struct {
	hub      *Hub
	key      string
	epoch    string
	interval time.Duration
	feed     Feed
	telling  bool // the feed is a Telling
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

// join adds a subscriber and sends it a snapshot, or only what it missed where it can resume.
func (c *cohort) join(s *subscription, epoch string, seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded || len(c.subs) == 0 {
		if err := c.refresh(); err != nil {
			return err
		}
	}
	c.subs[s] = struct{}{}
	if epoch == c.epoch && c.covers(seq) {
		s.sent = seq
		c.sendResumed(s)
		return nil
	}
	c.sendSnapshot(s, false)
	return nil
}

// sendResumed tells a returning client that its state stands, as a delta that may be empty.
func (c *cohort) sendResumed(s *subscription) {
	body, err := c.deltaBody(s.sent)
	if err != nil {
		s.conn.fail(err)
		return
	}
	if s.conn.enqueue(c.frame("delta", s.id, body, true)) {
		s.sent = c.seq
	}
}

func (c *cohort) leave(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, s)
	if len(c.subs) == 0 {
		c.idleSince = time.Now()
	}
}

// pause stops deltas for one subscriber; on resume it gets what it missed.
func (c *cohort) pause(s *subscription, paused bool) {
	c.mu.Lock()
	s.paused = paused
	c.mu.Unlock()
	if !paused {
		c.catchUp(s)
	}
}

// catchUp sends a subscriber that missed deltas one merged delta, or a gap and a new snapshot where too much passed.
func (c *cohort) catchUp(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, joined := c.subs[s]; !joined || s.paused || s.sent == c.seq {
		return
	}
	if !c.covers(s.sent) {
		c.sendSnapshot(s, s.sent != 0)
		return
	}
	body, err := c.deltaBody(s.sent)
	if err != nil {
		s.conn.fail(err)
		return
	}
	if s.conn.enqueue(c.frame("delta", s.id, body, true)) {
		s.sent = c.seq
		c.hub.stats.merged.Inc()
	}
}

// covers tells whether history reaches back to seq, so that everything since can be named.
func (c *cohort) covers(seq uint64) bool {
	switch {
	case seq == 0 || seq > c.seq:
		return false
	case seq == c.seq:
		return true
	}
	return len(c.history) > 0 && c.history[0].to <= seq+1
}

// merged is the sum of all deltas after seq: each key once, with its present row. A row of a Telling feed that is gone is told first
// as it last was.
func (c *cohort) merged(seq uint64) []Op {
	last := map[string]json.RawMessage{}
	keys := []string{}
	for _, st := range c.history {
		if st.to <= seq {
			continue
		}
		for _, op := range st.ops {
			if was, ok := last[op.Key]; !ok {
				keys = append(keys, op.Key)
				last[op.Key] = op.Row
			} else if op.Row != nil || was == nil {
				last[op.Key] = op.Row
			}
		}
	}
	ops := make([]Op, 0, len(keys))
	for _, key := range keys {
		now := c.feed.Row(key)
		if was := last[key]; now == nil && was != nil {
			ops = append(ops, Op{key, was})
		}
		ops = append(ops, Op{key, now})
	}
	return ops
}

// sendSnapshot queues all pages of the state, or none: a client without room stays behind and is served once it has read.
func (c *cohort) sendSnapshot(s *subscription, gap bool) {
	if c.snap == nil {
		if err := c.buildSnapshot(); err != nil {
			s.conn.fail(err)
			return
		}
	}
	frames := make([]*frame, 0, len(c.snap)+1)
	if gap {
		frames = append(frames, c.frame("gap", s.id, nil, false))
		c.hub.stats.gaps.Inc()
	}
	for i, page := range c.snap {
		frames = append(frames, c.frame("snap", s.id, page, i == len(c.snap)-1))
	}
	if s.conn.enqueue(frames...) {
		s.sent = c.seq
	} else {
		s.sent = 0
	}
}

func (c *cohort) buildSnapshot() error {
	var rows []json.RawMessage
	c.feed.Rows(func(key string, row json.RawMessage) { rows = append(rows, encodeRow(key, row)) })
	for first := true; first || len(rows) > 0; first = false {
		n := min(len(rows), c.hub.limits.SnapshotPage)
		page := snapBody{Epoch: c.epoch, Seq: c.seq, Page: len(c.snap), Rows: rows[:n], More: n < len(rows), Freshness: c.feed.Freshness()}
		if page.Rows == nil {
			page.Rows = []json.RawMessage{}
		}
		if first {
			page.Info = c.feed.Info()
		}
		body, err := json.Marshal(page)
		if err != nil {
			return errors.Join(errors.New("rows of a snapshot are no JSON"), err)
		}
		c.snap, rows = append(c.snap, body), rows[n:]
	}
	return nil
}
