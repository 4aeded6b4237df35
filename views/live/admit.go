package live

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ServeHTTP serves the paths of live push: StreamPath, DocumentPath, and any other as SocketPath.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case StreamPath:
		h.Stream(w, r)
	case DocumentPath:
		serveDocument(w, r)
	default:
		h.Upgrade(w, r)
	}
}

// Upgrade makes a request a websocket that speaks weir.v1. The connection lives on after it returns.
func (h *Hub) Upgrade(w http.ResponseWriter, r *http.Request) {
	held := new(cork)
	ws, err := h.upgrader.Upgrade(&corking{w, held}, r, nil)
	if err != nil {
		h.stats.refused.Inc() // Upgrade has answered with the reason
		return
	}
	c := newConn(h, &socket{ws, held, &h.limits}, rand.Text(), addressOf(r))
	code, why := CloseSubprotocol, "offer the subprotocol "+Subprotocol
	switch {
	case !h.allowed(r):
		code, why = CloseForbidden, "pages of this origin may not connect; serve.allowed_origins lists those that may"
	case ws.Subprotocol() == Subprotocol:
		code, why = h.admit(c)
	}
	if code == 0 {
		go c.read(ws)
		return
	}
	go func() { drainSocket(ws); close(c.gone) }()
	c.close(code, why)
	<-c.ended
	<-c.gone
}

func addressOf(r *http.Request) string {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return address
}

// admit counts a connection in, or says why not.
func (h *Hub) admit(c *conn) (code int, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return CloseRestart, "the server is stopping"
	case len(h.conns) >= h.limits.Connections:
		return CloseTryLater, "the server is full"
	case h.byAddr[c.address] >= h.limits.PerAddress:
		return CloseTooMany, fmt.Sprintf("more than %d connections of one address", h.limits.PerAddress)
	}
	h.conns[c] = struct{}{}
	h.byAddr[c.address]++
	h.wait.Add(1)
	h.stats.connections.Set(float64(len(h.conns)))
	return 0, ""
}

func (h *Hub) forget(c *conn) {
	for _, s := range c.releaseAll() {
		s.cohort.leave(s)
		h.stats.subscriptions.Dec()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	if h.byAddr[c.address]--; h.byAddr[c.address] <= 0 {
		delete(h.byAddr, c.address)
	}
	h.stats.connections.Set(float64(len(h.conns)))
	h.wait.Done()
}

// allowed accepts pages of this server, listed origins, and clients that are no browsers (they send no Origin).
func (h *Hub) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(h.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
