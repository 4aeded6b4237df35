package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// frame is one message on its way to any number of connections: compressed and framed once.
type frame struct {
	prepared *websocket.PreparedMessage
	size     int
}

func newFrame(data []byte) *frame {
	p, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err != nil { // writing to memory does not fail
		panic(err)
	}
	return &frame{p, len(data)}
}

// conn is one client. Its reader goroutine owns hello, the bucket and changes of subs; its writer goroutine owns the socket's
// write side; everything else is under mu.
type conn struct {
	hub     *Hub
	ws      *websocket.Conn
	session string
	address string
	signal  chan struct{} // something to write, catch up or close
	gone    chan struct{} // closed when the reader has ended
	told    chan struct{} // closed when the writer has sent a close frame or given up

	greeted bool
	bucket  bucket

	mu          sync.Mutex
	subs        map[string]*subscription
	queue       []*frame
	queued      int // bytes in queue
	behindSince time.Time
	behind      bool
	closing     bool
	closeCode   int
	closeText   string
}

// enqueue takes all frames or none. None means that the client is behind: the writer asks for what it missed once the queue is
// empty. An empty queue takes frames of any size, so that a snapshot always fits.
func (c *conn) enqueue(frames ...*frame) bool {
	size := 0
	for _, f := range frames {
		size += f.size
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	if len(c.queue) > 0 && (len(c.queue)+len(frames) > c.hub.limits.QueueFrames || c.queued+size > c.hub.limits.QueueBytes) {
		if !c.behind {
			c.behind, c.behindSince = true, time.Now()
		}
		return false
	}
	c.queue, c.queued = append(c.queue, frames...), c.queued+size
	c.poke()
	return true
}

func (c *conn) poke() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// close ends the connection with a code once the writer gets to it.
func (c *conn) close(code int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing, c.closeCode, c.closeText = true, code, text
		c.poke()
	}
}

// closeAfterQueue ends the connection once what waits has been written.
func (c *conn) closeAfterQueue(code int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && c.closeCode == 0 {
		c.closeCode, c.closeText = code, text
		c.poke()
	}
}

func (c *conn) fail(err error) {
	c.hub.log.Error("a websocket connection is closed", "session", c.session, "error", err)
	c.close(CloseInternal, "the server failed; it has logged why")
}

// stuck tells how long the client has been behind without reading its queue empty.
func (c *conn) stuck() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.behind {
		return 0
	}
	return time.Since(c.behindSince)
}

func (c *conn) pop() (f *frame, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil, true
	}
	if len(c.queue) == 0 {
		c.queue = nil // give the memory of a burst back
		c.closing = c.closeCode != 0
		return nil, c.closing
	}
	f = c.queue[0]
	c.queue[0] = nil
	c.queue, c.queued = c.queue[1:], c.queued-f.size
	return f, false
}

// missed hands out the subscriptions to catch up with, once the queue is empty.
func (c *conn) missed() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.behind || len(c.queue) > 0 {
		return nil
	}
	c.behind = false
	subs := make([]*subscription, 0, len(c.subs))
	for _, s := range c.subs {
		subs = append(subs, s)
	}
	return subs
}

func (c *conn) writeLoop() {
	ping := time.NewTicker(c.hub.limits.PingEvery)
	defer ping.Stop()
	defer c.ws.Close()
	for {
		select {
		case <-c.gone:
			return
		case <-ping.C:
			if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.hub.limits.WriteWithin)) != nil {
				return
			}
		case <-c.signal:
			if !c.flush() {
				return
			}
		}
	}
}

// flush writes the queue empty, catches up and writes again, until there is nothing left.
func (c *conn) flush() bool {
	for {
		f, closing := c.pop()
		switch {
		case closing:
			c.writeClose()
			return false
		case f != nil:
			if err := c.write(f); err != nil {
				return false
			}
			continue
		}
		subs := c.missed()
		if subs == nil {
			return true
		}
		for _, s := range subs {
			s.cohort.catchUp(s)
		}
	}
}

func (c *conn) write(f *frame) error {
	c.ws.EnableWriteCompression(f.size >= c.hub.limits.CompressionFloor)
	if err := c.ws.SetWriteDeadline(time.Now().Add(c.hub.limits.WriteWithin)); err != nil {
		return err
	}
	if err := c.ws.WritePreparedMessage(f.prepared); err != nil {
		return err
	}
	c.hub.stats.frames.Inc()
	c.hub.stats.bytes.Add(float64(f.size))
	return nil
}

func (c *conn) writeClose() {
	c.mu.Lock()
	code, text := c.closeCode, c.closeText
	c.mu.Unlock()
	c.hub.stats.closed(code)
	msg := websocket.FormatCloseMessage(code, text)
	err := c.ws.WriteControl(websocket.CloseMessage, msg, time.Now().Add(time.Second))
	close(c.told)
	if err != nil {
		return // the client is gone already
	}
	select { // give it a moment to answer, so that the code arrives before the socket ends
	case <-c.gone:
	case <-time.After(time.Second):
	}
}

func (c *conn) readLoop() {
	defer close(c.gone)
	l := c.hub.limits
	c.ws.SetReadLimit(int64(l.FrameBytes))
	alive := func() error { return c.ws.SetReadDeadline(time.Now().Add(2*l.PingEvery + 5*time.Second)) }
	c.ws.SetPongHandler(func(string) error { return alive() })
	if c.ws.SetReadDeadline(time.Now().Add(l.HelloWithin)) != nil {
		return
	}
	for {
		kind, data, err := c.readFrame()
		if err == errTooLarge {
			c.close(CloseTooLarge, fmt.Sprintf("a frame may have %d bytes", l.FrameBytes))
			c.drainUntilClosed()
			return
		}
		if err != nil {
			var timeout net.Error
			if !c.greeted && errors.As(err, &timeout) && timeout.Timeout() {
				c.close(CloseHelloTimeout, fmt.Sprintf("no hello within %v", l.HelloWithin))
				select { // a socket whose read timed out cannot be read on
				case <-c.told:
				case <-time.After(l.WriteWithin):
				}
			}
			return
		}
		if !c.bucket.take(time.Now(), l.FramesPerSecond) {
			c.close(CloseTooMany, fmt.Sprintf("more than %d frames a second", l.FramesPerSecond))
			c.drainUntilClosed()
			return
		}
		var f clientFrame
		if kind != websocket.TextMessage || json.Unmarshal(data, &f) != nil || f.Type == "" {
			c.close(CloseMalformed, "a frame must be a JSON object with a type")
			c.drainUntilClosed()
			return
		}
		if alive() != nil || !c.handle(&f) {
			c.drainUntilClosed()
			return
		}
	}
}

var errTooLarge = errors.New("frame too large")

// readFrame limits what a frame unpacks to: the socket's own limit counts compressed bytes.
func (c *conn) readFrame() (kind int, data []byte, err error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return 0, nil, err
	}
	limit := c.hub.limits.FrameBytes
	data, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(data) > limit || errors.Is(err, websocket.ErrReadLimit) {
		err = errTooLarge
	}
	return kind, data, err
}

// drainUntilClosed reads on until the client answers our close or the writer ends the socket.
func (c *conn) drainUntilClosed() {
	_ = c.ws.SetReadDeadline(time.Now().Add(2 * time.Second)) // a dead socket fails the read below
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			return
		}
	}
}

// handle acts on one frame; false ends the connection.
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
		c.mu.Lock()
		s := c.subs[f.ID]
		c.mu.Unlock()
		switch {
		case s == nil:
			c.problem(f.ID, &Problem{Title: "No such subscription", Status: 404, Detail: fmt.Sprintf("there is no subscription with id %q on this connection", f.ID), Param: "id"})
		case f.Type == "unsub":
			c.release(s)
			s.cohort.leave(s)
		default:
			s.cohort.pause(s, f.Type == "pause")
		}
	case "ping":
		c.send(map[string]any{"type": "pong", "n": f.N, "server_time": time.Now().UTC()})
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
	c.greeted = true
	l := c.hub.limits
	c.send(welcomeFrame{Type: "welcome", Session: c.session, ServerTime: time.Now().UTC(), Build: c.hub.build, Limits: welcomeLimits{
		FrameBytes: l.FrameBytes, Subscriptions: l.Subscriptions, FramesPerSecond: l.FramesPerSecond,
		IntervalMinMS: l.IntervalMin.Milliseconds(), IntervalDefaultMS: l.IntervalDefault.Milliseconds(),
		IntervalMaxMS: l.IntervalMax.Milliseconds(), SnapshotPage: l.SnapshotPage,
	}})
	return true
}

func (c *conn) subscribe(f *clientFrame) {
	l := c.hub.limits
	interval := l.IntervalDefault
	if f.IntervalMS != 0 {
		interval = time.Duration(f.IntervalMS) * time.Millisecond
	}
	refuse := func(status int, title, param, detail string) {
		c.problem(f.ID, &Problem{Title: title, Status: status, Detail: detail, Param: param})
	}
	c.mu.Lock()
	_, taken := c.subs[f.ID]
	count := len(c.subs)
	c.mu.Unlock()
	switch {
	case f.ID == "" || len(f.ID) > 64:
		refuse(422, "Bad id", "id", "a subscription needs an id of 1 to 64 bytes")
		return
	case taken:
		refuse(409, "Id in use", "id", fmt.Sprintf("subscription %q exists on this connection; unsub it first", f.ID))
		return
	case count >= l.Subscriptions:
		refuse(429, "Too many subscriptions", "", fmt.Sprintf("a connection may hold %d subscriptions", l.Subscriptions))
		return
	case interval < l.IntervalMin || interval > l.IntervalMax:
		refuse(422, "Bad interval", "interval_ms", fmt.Sprintf("interval_ms must be %d to %d", l.IntervalMin.Milliseconds(), l.IntervalMax.Milliseconds()))
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
	c.subs[f.ID] = s
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

// release takes a subscription off the connection; false where it is gone already.
func (c *conn) release(s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[s.id] != s {
		return false
	}
	delete(c.subs, s.id)
	c.hub.stats.subscriptions.Dec()
	return true
}

// refuse tells why a subscription was not made: a Problem as it is, anything else as the server's failure.
func (c *conn) refuse(id string, err error) {
	var p *Problem
	if !errors.As(err, &p) {
		c.hub.log.Error("a subscription failed", "session", c.session, "error", err)
		p = &Problem{Title: "The server failed", Status: 500, Detail: "the rows could not be read; the server has logged why. Try again later."}
	}
	c.problem(id, p)
}

func (c *conn) problem(id string, p *Problem) { c.send(errorFrame{Type: "error", ID: id, Error: p}) }

// send queues a frame that only this client gets. Such frames answer its own, which are limited, so they wait beyond the bound of
// the queue rather than get lost.
func (c *conn) send(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		c.fail(err)
		return
	}
	f := newFrame(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	if len(c.queue) >= 4*c.hub.limits.QueueFrames {
		c.closing, c.closeCode, c.closeText = true, CloseTooSlow, "answers are not read"
	} else {
		c.queue, c.queued = append(c.queue, f), c.queued+f.size
	}
	c.poke()
}

// idle tells whether nothing waits: a tick is then worth sending.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) == 0
}

func (c *conn) subscriptions() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	subs := make([]*subscription, 0, len(c.subs))
	for _, s := range c.subs {
		subs = append(subs, s)
	}
	c.subs = map[string]*subscription{}
	return slices.Clip(subs)
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
