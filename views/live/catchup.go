package live

import (
	"encoding/json"
	"errors"
	"time"
)

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
		c.sendMissed(s) // empty where nothing was: its state stands
		return nil
	}
	c.sendSnapshot(s, false)
	return nil
}

// sendMissed queues all that came after s.sent as one delta; false where the client had no room for it.
func (c *cohort) sendMissed(s *subscription) bool {
	body, err := c.deltaBody(s.sent)
	if err != nil {
		s.conn.fail(err)
		return false
	}
	if !s.conn.enqueue(c.frame("delta", s.id, body, true)) {
		return false
	}
	s.sent = c.seq
	return true
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
	if c.sendMissed(s) {
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
