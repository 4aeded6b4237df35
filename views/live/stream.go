package live

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Stream serves the frames of weir.v1 as server-sent events, for those whom a proxy denies websockets.
//
// Subscriptions are parameters: either `sub`, once for each, with the JSON of a sub frame, or for a single one `topic`, `interval_ms`
// and the parameters of its filter. The id of an event is the position of all subscriptions, so that a browser that comes back
// resumes by Last-Event-ID.
func (h *Hub) Stream(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(r) {
		h.refuseStream(w, &Problem{Title: "Forbidden", Status: http.StatusForbidden, Detail: "pages of this origin may not connect; serve.allowed_origins lists those that may"})
		return
	}
	if origin := r.Header.Get("Origin"); slices.Contains(h.origins, origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Vary", "Origin")
	}
	if h.authorize != nil && !h.authorize(tokenOf(r)) {
		h.refuseStream(w, &Problem{Title: "Unauthorized", Status: http.StatusUnauthorized, Param: "token", Detail: "the token is missing or wrong"})
		return
	}
	subs, p := streamSubs(r, h.limits.Subscriptions)
	if p != nil {
		h.refuseStream(w, p)
		return
	}
	e := &events{w: w, flush: http.NewResponseController(w), limits: &h.limits, at: map[string]position{}}
	c := newConn(h, e, rand.Text(), addressOf(r))
	if code, why := h.admit(c); code != 0 {
		status := http.StatusServiceUnavailable
		if code == CloseTooMany {
			status = http.StatusTooManyRequests
		}
		w.Header().Set("Retry-After", "2")
		h.refuseStream(w, &Problem{Title: "Not now", Status: status, Detail: why})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	c.welcome()
	for i := range subs {
		c.subscribe(&subs[i])
	}
	select {
	case <-r.Context().Done():
		close(c.gone)
		c.close(0, "")
		<-c.ended
	case <-c.ended:
		close(c.gone)
	}
	h.forget(c)
}

func (h *Hub) refuseStream(w http.ResponseWriter, p *Problem) {
	h.stats.refused.Inc()
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		h.log.Debug("a refusal was not read", "error", err)
	}
}

func tokenOf(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	return r.URL.Query().Get("token") // an EventSource cannot set headers
}

// streamSubs reads the subscriptions of a request, each with the position of Last-Event-ID where it names one.
func streamSubs(r *http.Request, most int) ([]clientFrame, *Problem) {
	wrong := func(param, detail string) *Problem {
		return &Problem{Title: "Bad parameter", Status: http.StatusUnprocessableEntity, Param: param, Detail: detail}
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, wrong("", "the parameters cannot be read: "+err.Error())
	}
	var subs []clientFrame
	for _, text := range params["sub"] {
		var f clientFrame
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return nil, wrong("sub", `sub is the JSON of a subscription, as {"id":"a","topic":"metrics/orders","filter":{"by":"region"}}: `+err.Error())
		}
		subs = append(subs, f)
	}
	if topic := params.Get("topic"); topic != "" {
		f := clientFrame{ID: topic[:min(len(topic), 64)], Topic: topic, Filter: map[string]values{}}
		if text := params.Get("interval_ms"); text != "" {
			if f.IntervalMS, err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, wrong("interval_ms", "interval_ms is a number of milliseconds")
			}
		}
		for name, v := range params {
			if !slices.Contains([]string{"topic", "interval_ms", "token", "sub", "last_event_id"}, name) {
				f.Filter[name] = v
			}
		}
		subs = append(subs, f)
	}
	if len(subs) == 0 || len(subs) > most {
		return nil, wrong("sub", fmt.Sprintf("name 1 to %d subscriptions: by topic and its filter, or by sub with the JSON of each", most))
	}
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = params.Get("last_event_id") // of a client that opens a new EventSource
	}
	at := parsePositions(last)
	for i := range subs {
		if p, ok := at[subs[i].ID]; ok {
			subs[i].Resume = &resume{Epoch: p.epoch, Seq: p.seq}
		}
	}
	return subs, nil
}

// events are the server-sent events under a connection. The writer alone touches them.
type events struct {
	w      http.ResponseWriter
	flush  *http.ResponseController
	limits *Limits
	at     map[string]position // by subscription
	buf    bytes.Buffer
	over   atomic.Bool // the goodbye is written
}

func (e *events) write(frames []*frame) error {
	e.buf.Reset()
	for _, f := range frames {
		if f.at.id != "" {
			e.at[f.at.id] = f.at
			e.buf.WriteString("id: ")
			e.buf.WriteString(formatPositions(e.at))
			e.buf.WriteByte('\n')
		}
		e.event(f.data)
	}
	return e.send(e.limits.WriteWithin)
}

func (e *events) event(data []byte) {
	e.buf.WriteString("data: ")
	e.buf.Write(data) // JSON on one line
	e.buf.WriteString("\n\n")
}

func (e *events) send(within time.Duration) error {
	if err := e.flush.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := e.w.Write(e.buf.Bytes()); err != nil {
		return err
	}
	if e.buf.Cap() > gatherMost {
		e.buf = bytes.Buffer{}
	}
	return e.flush.Flush()
}

// ping does nothing: ticks show that a stream lives, and writing them that its client does.
func (e *events) ping(pings) error { return nil }

// end tells the code in a frame of its own, and when to come back. No answer comes.
func (e *events) end(code int, text string) (answered bool, err error) {
	data, err := json.Marshal(closeFrame{Type: "close", Code: code, Reason: text})
	if err != nil {
		return false, err
	}
	e.buf.Reset()
	wait := reconnectAfter
	if code != CloseRestart {
		wait *= 5
	}
	fmt.Fprintf(&e.buf, "retry: %d\n", (wait + mathrand.N(wait)).Milliseconds()) // spread, so that clients do not come back in step
	e.event(data)
	err = e.send(time.Second)
	e.over.Store(err == nil)
	return false, err
}

// close makes a write that waits fail; the request ends with its handler.
func (e *events) close() error {
	if e.over.Load() {
		return nil
	}
	return e.flush.SetWriteDeadline(time.Unix(1, 0))
}

// formatPositions writes positions as id=epoch:seq, escaped and joined as a query string is.
func formatPositions(at map[string]position) string {
	var b strings.Builder
	for i, id := range slices.Sorted(maps.Keys(at)) {
		if i > 0 {
			b.WriteByte('&')
		}
		fmt.Fprintf(&b, "%s=%s:%d", url.QueryEscape(id), at[id].epoch, at[id].seq)
	}
	return b.String()
}

// parsePositions leaves out what it does not understand: such a subscription starts with a snapshot.
func parsePositions(text string) map[string]position {
	out := map[string]position{}
	for part := range strings.SplitSeq(text, "&") {
		id, at, _ := strings.Cut(part, "=")
		epoch, digits, ok := strings.Cut(at, ":")
		seq, err := strconv.ParseUint(digits, 10, 64)
		if id, escaped := url.QueryUnescape(id); ok && err == nil && escaped == nil {
			out[id] = position{id, epoch, seq}
		}
	}
	return out
}
