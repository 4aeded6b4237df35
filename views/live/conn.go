package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"weir/views/query"
)

// frame is one message on its way to any number of connections: compressed and framed once.
type frame struct {
	prepared *websocket.PreparedMessage
	data     []byte
	at       position // that a client holds once it has the frame; without an id: none
	current  bool     // it tells how current the metrics are now
}

// position is how far a client has come with one subscription.
type position struct {
	id, epoch string
	seq       uint64
}

func newFrame(data []byte) *frame {
	p, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err != nil { // writing to memory does not fail
		panic(err)
	}
	return &frame{prepared: p, data: data}
}

// wire is the socket under a connection. Only the writer calls write and end; close may be called at any time.
type wire interface {
	// write sends frames in as few packets as it can.
	write(frames []*frame) error
	// ping asks the client for a sign of life, and answers one that it asked for.
	ping(n pings) error
	// end says goodbye with a code, and tells whether the client answers that.
	end(code int, text string) (answers bool, err error)
	close() error
}

// pings are the control frames that wait for the writer.
type pings struct {
	due  bool
	pong []byte // what the client's ping held; nil: it sent none
}

// conn is one client. Its reader owns hello, the bucket and changes of subs. There is no writer while nothing waits: the first
// frame that is queued starts one, which ends when the queue is empty. Everything else is under mu.
type conn struct {
	hub     *Hub
	wire    wire
	session string
	address string
	gone    chan struct{} // closed when the reader has ended
	ended   chan struct{} // closed when the last writer has

	greeted bool
	bucket  bucket

	mu          sync.Mutex
	subs        []*subscription
	queue       []*frame
	queued      int // bytes in queue
	control     pings
	pinged      time.Time
	writing     bool // a writer runs
	quiet       bool // nothing was queued since the last tick that tells how current the metrics are
	behindSince time.Time
	behind      bool
	closing     bool
	closeCode   int // 0 with closing: the client is gone
	closeText   string
	answering   bool // the client closed, and closeCode is its own
}

func newConn(h *Hub, w wire, session, address string) *conn {
	return &conn{hub: h, wire: w, session: session, address: address, gone: make(chan struct{}), ended: make(chan struct{}), pinged: time.Now(), quiet: true}
}

// enqueue takes all frames or none. None means that the client is behind: the writer asks for what it missed once the queue is
// empty. An empty queue takes frames of any size, so that a snapshot always fits.
func (c *conn) enqueue(frames ...*frame) bool {
	size, current := 0, false
	for _, f := range frames {
		size += len(f.data)
		current = current || f.current
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
	c.queue, c.queued, c.quiet = append(c.queue, frames...), c.queued+size, c.quiet && !current
	c.poke()
	return true
}

// poke starts a writer where none runs. Caller holds mu.
func (c *conn) poke() {
	if !c.writing {
		c.writing = true
		c.hub.starts.begin()
		go c.flush()
	}
}

// close ends the connection with a code once the writer gets to it; code 0 ends one whose client is gone.
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
	c.hub.log.Error("a live connection is closed", "session", c.session, "error", err)
	c.close(CloseInternal, "the server failed; it has logged why")
}

// tick tells the client that the server lives and how current the metrics are, unless these told it since the tick before, and pings it now
// and then.
func (c *conn) tick(now time.Time, f *frame) {
	c.mu.Lock()
	quiet := c.quiet && len(c.queue) == 0
	c.quiet = true
	if now.Sub(c.pinged) >= c.hub.limits.PingEvery && !c.closing {
		c.pinged, c.control.due = now, true
		c.poke()
	}
	stuck := c.behind && now.Sub(c.behindSince) > c.hub.limits.BehindFor
	c.mu.Unlock()
	switch {
	case stuck:
		c.close(CloseTooSlow, fmt.Sprintf("behind for more than %v", c.hub.limits.BehindFor))
	case quiet:
		c.enqueue(f) // or not: who is behind is told the next time
	}
}

// pong notes the client's ping for the writer to answer; of several the last, as RFC 6455 allows.
func (c *conn) pong(data string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control.pong = []byte(data)
	if !c.closing {
		c.poke()
	}
}

// subscription is the one with the id, nil where there is none.
func (c *conn) subscription(id string) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if s.id == id {
			return s
		}
	}
	return nil
}

// release takes a subscription off the connection; false where it is gone already.
func (c *conn) release(s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.subs, s)
	if i < 0 {
		return false
	}
	c.subs = slices.Delete(c.subs, i, i+1)
	c.hub.stats.subscriptions.Dec()
	return true
}

// releaseAll empties the connection.
func (c *conn) releaseAll() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	subs := c.subs
	c.subs = nil
	return subs
}

// refuse tells why a subscription was not made: a Problem as it is, anything else as the server's failure.
func (c *conn) refuse(id string, err error) {
	var p *Problem
	var starting *query.NotReadyError
	if errors.As(err, &starting) {
		p = &Problem{Title: "Not ready", Status: 503, Detail: err.Error()}
	} else if !errors.As(err, &p) {
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
		c.queue, c.queued = append(c.queue, f), c.queued+len(data)
	}
	c.poke()
}
