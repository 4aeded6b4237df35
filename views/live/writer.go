package live

import (
	"errors"
	"slices"
	"time"
)

// A writer sends what waits in pieces of at most this much, so that one write does not outlast its deadline on a slow line.
const (
	batchFrames = 32
	batchBytes  = 256 << 10
)

// take hands the writer its next piece of work.
func (c *conn) take() (batch []*frame, control pings, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil, pings{}, true
	}
	control, c.control = c.control, pings{}
	n, size := 0, 0
	for n < len(c.queue) && n < batchFrames && (n == 0 || size+len(c.queue[n].data) <= batchBytes) {
		size += len(c.queue[n].data)
		n++
	}
	batch, c.queued = c.queue[:n:n], c.queued-size
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil // give the memory of a burst back
	}
	if n == 0 && c.closeCode != 0 {
		c.closing = true
	}
	return batch, control, c.closing
}

// rest ends the writer where nothing is left for it, and else hands out the subscriptions to catch up with.
func (c *conn) rest() (missed []*subscription, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.queue) > 0 || c.closing || c.closeCode != 0 || c.control.due || c.control.pong != nil:
		return nil, false
	case c.behind:
		c.behind = false
		return slices.Clone(c.subs), false
	}
	c.writing = false
	return nil, true
}

// flush is the writer: it writes the queue empty, catches up and writes again, until there is nothing left.
func (c *conn) flush() {
	c.hub.starts.begun()
	for {
		batch, control, closing := c.take()
		switch {
		case closing:
			c.finish()
			return
		case len(batch) > 0 || control.due || control.pong != nil:
			if err := c.write(batch, control); err != nil {
				c.lost(err)
				return
			}
			continue
		}
		missed, over := c.rest()
		if over {
			return
		}
		for _, s := range missed {
			s.cohort.catchUp(s)
		}
	}
}

func (c *conn) write(batch []*frame, control pings) error {
	if control.due || control.pong != nil {
		if err := c.wire.ping(control); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if err := c.wire.write(batch); err != nil {
		return err
	}
	size := 0
	for _, f := range batch {
		size += len(f.data)
	}
	c.hub.stats.frames.Add(float64(len(batch)))
	c.hub.stats.bytes.Add(float64(size))
	return nil
}

// lost ends a connection that cannot be written. One that took nothing for as long as a write may last is one that stays behind; it
// cannot be told, because a part of a frame stands in its way.
func (c *conn) lost(err error) {
	c.mu.Lock()
	c.closing, c.queue = true, nil
	c.mu.Unlock()
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.hub.stats.closed(CloseTooSlow)
	}
	c.shut()
}

func (c *conn) finish() {
	c.mu.Lock()
	code, text, ours := c.closeCode, c.closeText, !c.answering
	c.queue = nil
	c.mu.Unlock()
	if code != 0 {
		if ours {
			c.hub.stats.closed(code)
		}
		if answers, err := c.wire.end(code, text); answers && err == nil {
			select { // give the client a moment to answer, so that the code arrives before the socket ends
			case <-c.gone:
			case <-time.After(time.Second):
			}
		}
	}
	c.shut()
}

func (c *conn) shut() {
	if err := c.wire.close(); err != nil {
		c.hub.log.Debug("closing a live connection", "session", c.session, "error", err)
	}
	close(c.ended)
}
