package live

import (
	"fmt"
	"time"
)

// handle acts on one frame of a client; false ends the connection.
func (c *conn) handle(f *clientFrame) bool {
	if f.Type != "hello" && !c.greeted {
		c.close(CloseMalformed, "the first frame must be hello")
		return false
	}
	switch f.Type {
	case "hello":
		return c.hello(f)
	case "sub":
		c.subscribe(f)
	case "unsub", "pause", "resume":
		switch s := c.subscription(f.ID); {
		case s == nil:
			c.problem(f.ID, &Problem{Title: "No such subscription", Status: 404, Detail: fmt.Sprintf("there is no subscription with id %q on this connection", f.ID), Param: "id"})
		case f.Type == "unsub":
			c.release(s)
			s.cohort.leave(s)
		default:
			s.cohort.pause(s, f.Type == "pause")
		}
	case "ping":
		c.send(pongFrame{Type: "pong", N: f.N, ServerTime: time.Now().UTC()})
	default:
		c.problem(f.ID, &Problem{Title: "Unknown frame", Status: 400, Detail: fmt.Sprintf("type %q is not known; use hello, sub, unsub, pause, resume or ping", f.Type), Param: "type"})
	}
	return true
}

func (c *conn) hello(f *clientFrame) bool {
	if c.greeted {
		c.close(CloseConflict, "hello was sent twice")
		return false
	}
	if c.hub.authorize != nil && !c.hub.authorize(f.Token) {
		c.close(CloseUnauthorized, "the token is missing or wrong")
		return false
	}
	c.welcome()
	return true
}

func (c *conn) welcome() {
	c.greeted = true
	l := c.hub.limits
	c.send(welcomeFrame{Type: "welcome", Session: c.session, ServerTime: time.Now().UTC(), Build: c.hub.build, Limits: welcomeLimits{
		FrameBytes: l.FrameBytes, Subscriptions: l.Subscriptions, FramesPerSecond: l.FramesPerSecond,
		IntervalMinMS: l.IntervalMin.Milliseconds(), IntervalDefaultMS: l.IntervalDefault.Milliseconds(),
		IntervalMaxMS: l.IntervalMax.Milliseconds(), SnapshotPage: l.SnapshotPage,
	}})
}

// subscribe makes a subscription or tells why not.
func (c *conn) subscribe(f *clientFrame) {
	interval, p := c.check(f)
	if p != nil {
		c.problem(f.ID, p)
		return
	}
	filter := make(map[string][]string, len(f.Filter))
	for name, v := range f.Filter {
		filter[name] = v
	}
	co, err := c.hub.cohort(f.Topic, filter, interval)
	if err != nil {
		c.refuse(f.ID, err)
		return
	}
	s := &subscription{id: f.ID, conn: c, cohort: co}
	c.mu.Lock()
	c.subs = append(c.subs, s)
	c.mu.Unlock()
	c.hub.stats.subscriptions.Inc()
	var epoch string
	var seq uint64
	if f.Resume != nil {
		epoch, seq = f.Resume.Epoch, f.Resume.Seq
	}
	if err := co.join(s, epoch, seq); err != nil {
		c.release(s)
		co.leave(s)
		c.refuse(f.ID, err)
	}
}

// check holds a sub frame against the limits.
func (c *conn) check(f *clientFrame) (interval time.Duration, p *Problem) {
	l := c.hub.limits
	interval = l.IntervalDefault
	if f.IntervalMS != 0 {
		interval = time.Duration(f.IntervalMS) * time.Millisecond
	}
	c.mu.Lock()
	count := len(c.subs)
	c.mu.Unlock()
	switch {
	case f.ID == "" || len(f.ID) > 64:
		return 0, &Problem{Title: "Bad id", Status: 422, Param: "id", Detail: "a subscription needs an id of 1 to 64 bytes"}
	case c.subscription(f.ID) != nil:
		return 0, &Problem{Title: "Id in use", Status: 409, Param: "id", Detail: fmt.Sprintf("subscription %q exists on this connection; unsub it first", f.ID)}
	case count >= l.Subscriptions:
		return 0, &Problem{Title: "Too many subscriptions", Status: 429, Detail: fmt.Sprintf("a connection may hold %d subscriptions", l.Subscriptions)}
	case interval < l.IntervalMin || interval > l.IntervalMax:
		return 0, &Problem{Title: "Bad interval", Status: 422, Param: "interval_ms",
			Detail: fmt.Sprintf("interval_ms must be %d to %d", l.IntervalMin.Milliseconds(), l.IntervalMax.Milliseconds())}
	}
	return interval, nil
}

// bucket lets a client send at a mean rate with bursts of twice that.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, perSecond int) bool {
	full := 2 * float64(perSecond)
	if b.at.IsZero() {
		b.tokens = full
	} else {
		b.tokens = min(full, b.tokens+now.Sub(b.at).Seconds()*float64(perSecond))
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
