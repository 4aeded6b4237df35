package live

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// socket is the websocket under a connection.
//
// An idle one costs its reader's stack, gorilla's state with a small read buffer, and nothing else: what it writes is gathered in
// buffers that all share, and net/http's own are given back because the request's handler has returned.
type socket struct {
	ws     *websocket.Conn
	cork   *cork
	limits *Limits
}

// readBuffer is enough for the frames of a well-behaved client; larger ones are read in pieces.
const readBuffer = 256

// sendBuffer bounds what the kernel holds for one client, so that a slow one is noticed and gets merged deltas rather than old ones.
const sendBuffer = 64 << 10

func (s *socket) write(frames []*frame) error {
	s.cork.hold()
	for _, f := range frames {
		s.ws.EnableWriteCompression(len(f.data) >= s.limits.CompressionFloor)
		if err := s.ws.WritePreparedMessage(f.prepared); err != nil {
			return errors.Join(err, s.cork.release(s.limits.WriteWithin))
		}
	}
	return s.cork.release(s.limits.WriteWithin)
}

func (s *socket) ping(n pings) error {
	s.cork.hold()
	var err error
	if n.due {
		err = s.ws.WriteControl(websocket.PingMessage, nil, time.Time{})
	}
	if n.pong != nil {
		err = errors.Join(err, s.ws.WriteControl(websocket.PongMessage, n.pong, time.Time{}))
	}
	return errors.Join(err, s.cork.release(s.limits.WriteWithin))
}

func (s *socket) end(code int, text string) (answers bool, err error) {
	s.cork.hold()
	err = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Time{})
	return true, errors.Join(err, s.cork.release(time.Second))
}

func (s *socket) close() error {
	if err := s.ws.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// cork gathers what gorilla writes, a packet a frame, into one packet for all frames that wait. Deadlines are set when it is sent.
type cork struct {
	net.Conn
	mu   sync.Mutex
	held *[]byte // nil: not holding
}

var gathered = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// gatherMost is the size above which a buffer is not kept.
const gatherMost = 64 << 10

func (c *cork) hold() {
	c.mu.Lock()
	c.held = gathered.Get().(*[]byte)
	c.mu.Unlock()
}

func (c *cork) release(within time.Duration) error {
	c.mu.Lock()
	b := c.held
	c.held = nil
	c.mu.Unlock()
	err := c.Conn.SetWriteDeadline(time.Now().Add(within))
	if err == nil {
		_, err = c.Conn.Write(*b)
	}
	if cap(*b) <= gatherMost {
		*b = (*b)[:0]
		gathered.Put(b)
	}
	return err
}

// Write is gorilla's. Outside hold it is its answer to a frame that breaks RFC 6455, from the reader: net.Conn orders it after what
// is being written.
func (c *cork) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.held != nil {
		*c.held = append(*c.held, p...)
		c.mu.Unlock()
		return len(p), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// SetWriteDeadline does nothing: see release.
func (*cork) SetWriteDeadline(time.Time) error { return nil }

// corking makes gorilla take a cork for its connection.
type corking struct {
	http.ResponseWriter
	cork *cork
}

func (w *corking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
	}
	w.cork.Conn = conn
	return w.cork, buffered, nil
}

// read is the life of a websocket connection, from hello to its end.
func (c *conn) read(ws *websocket.Conn) {
	c.readFrames(ws)
	close(c.gone)
	c.close(0, "")
	<-c.ended
	c.hub.forget(c)
}

func (c *conn) readFrames(ws *websocket.Conn) {
	l := &c.hub.limits
	ws.SetReadLimit(int64(l.FrameBytes))
	alive := func() error { return ws.SetReadDeadline(time.Now().Add(2*l.PingEvery + 5*time.Second)) }
	ws.SetPongHandler(func(string) error { return alive() })
	ws.SetPingHandler(func(data string) error { c.pong(data); return alive() })
	ws.SetCloseHandler(func(code int, _ string) error { return c.answerClose(code) })
	if ws.SetReadDeadline(time.Now().Add(l.HelloWithin)) != nil {
		return
	}
	for {
		kind, r, err := ws.NextReader()
		if err != nil {
			var timeout net.Error
			switch {
			case errors.Is(err, websocket.ErrReadLimit):
				c.endWith(ws, CloseTooLarge, fmt.Sprintf("a frame may have %d bytes", l.FrameBytes))
			case !c.greeted && errors.As(err, &timeout) && timeout.Timeout():
				c.close(CloseHelloTimeout, fmt.Sprintf("no hello within %v", l.HelloWithin))
				<-c.ended // a socket whose read timed out cannot be read on
			}
			return
		}
		if !onOwnStack(func() bool { return alive() == nil && c.readOne(ws, kind, r) }) {
			return
		}
	}
}

// onOwnStack runs what needs a deep stack elsewhere: the reader's is kept for as long as the connection, and so it stays small.
func onOwnStack(do func() bool) bool {
	done := make(chan bool)
	go func() { done <- do() }()
	return <-done
}

// readOne reads a frame and acts on it; false ends the connection.
func (c *conn) readOne(ws *websocket.Conn, kind int, r io.Reader) bool {
	l := &c.hub.limits
	// The socket's own limit counts compressed bytes.
	data, err := io.ReadAll(io.LimitReader(r, int64(l.FrameBytes)+1))
	var f clientFrame
	switch {
	case err == nil && len(data) > l.FrameBytes || errors.Is(err, websocket.ErrReadLimit):
		c.endWith(ws, CloseTooLarge, fmt.Sprintf("a frame may have %d bytes", l.FrameBytes))
		return false
	case err != nil:
		return false
	case !c.bucket.take(time.Now(), l.FramesPerSecond):
		c.endWith(ws, CloseTooMany, fmt.Sprintf("more than %d frames a second", l.FramesPerSecond))
		return false
	case kind != websocket.TextMessage || json.Unmarshal(data, &f) != nil || f.Type == "":
		c.endWith(ws, CloseMalformed, "a frame must be a JSON object with a type")
		return false
	}
	if !c.handle(&f) {
		drainSocket(ws)
		return false
	}
	return true
}

func (c *conn) endWith(ws *websocket.Conn, code int, text string) {
	c.close(code, text)
	drainSocket(ws)
}

// answerClose sends the client's own code back, as RFC 6455 asks, unless we closed first.
func (c *conn) answerClose(code int) error {
	if code == websocket.CloseNoStatusReceived {
		code = websocket.CloseNormalClosure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing, c.closeCode, c.answering = true, code, true
		c.poke()
	}
	return nil
}

// drainSocket reads on until the client answers our close or the writer ends the socket.
func drainSocket(ws *websocket.Conn) {
	_ = ws.SetReadDeadline(time.Now().Add(2 * time.Second)) // a dead socket fails the read below
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}
