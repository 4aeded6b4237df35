package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"weir/views/query"
)

// Config is what a Hub needs. Topics and Freshness are required.
type Config struct {
	Topics         Topics
	Freshness      func() Freshness // of the tables now, for ticks
	Limits         Limits           // the zero value takes DefaultLimits
	AllowedOrigins []string         // beside the server's own: scheme://host[:port]
	Authorize      func(token string) bool
	Build          string
	Logger         *slog.Logger
	Registry       prometheus.Registerer
}

// Hub accepts connections and spreads changes to cohorts. It is an http.Handler for Paths.
type Hub struct {
	topics    Topics
	freshness func() Freshness
	limits    Limits
	origins   []string
	authorize func(string) bool
	build     string
	log       *slog.Logger
	stats     *stats
	upgrader  websocket.Upgrader
	pending   *pending
	slots     chan struct{} // how many cohorts may read rows at once
	epoch     string
	// spreading is held by the cohort that gives its subscribers a frame: one after the other they are quick, all at once each is as
	// slow as all together. It is taken after cohort.mu.
	spreading sync.Mutex
	starts    starts

	mu       sync.Mutex
	ctx      context.Context // of cohorts: ends with Run
	cancel   context.CancelFunc
	draining bool
	conns    map[*conn]struct{}
	byAddr   map[string]int
	cohorts  map[string]*cohort
	made     uint64 // cohorts ever made, for epochs
	wait     sync.WaitGroup
}

// New builds a Hub. Changes arrive at RowChanged, ProgressChanged and Resync, which never block; Run spreads them.
func New(cfg Config) *Hub {
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		topics: cfg.Topics, freshness: cfg.Freshness, limits: cfg.Limits, origins: cfg.AllowedOrigins,
		authorize: cfg.Authorize, build: cfg.Build, log: cfg.Logger, stats: newStats(cfg.Registry),
		pending: newPending(), slots: make(chan struct{}, runtime.GOMAXPROCS(0)), epoch: rand.Text()[:10],
		starts: starts{moved: sync.NewCond(new(sync.Mutex))},
		conns:  map[*conn]struct{}{}, byAddr: map[string]int{}, cohorts: map[string]*cohort{},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.upgrader = websocket.Upgrader{
		ReadBufferSize: readBuffer, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{Subprotocol}, EnableCompression: true,
		CheckOrigin:      func(*http.Request) bool { return true }, // a refusal before the upgrade would not tell a browser why
		HandshakeTimeout: cfg.Limits.HelloWithin,
	}
	return h
}

// RowChanged, ProgressChanged and Resync note what happened in a table; they are called by its goroutine and never block.
func (h *Hub) RowChanged(key string) { h.pending.RowChanged(key) }

// ProgressChanged notes that the watermark or the readiness of a partition moved.
func (h *Hub) ProgressChanged() { h.pending.ProgressChanged() }

// Resync notes that rows may have changed without RowChanged.
func (h *Hub) Resync() { h.pending.Resync() }

// AlertsChanged notes that alerts changed; it never blocks.
func (h *Hub) AlertsChanged() { h.pending.AlertsChanged() }

// Orders is the listener for the table of orders. Of its rows it notes those that someone watches.
func (h *Hub) Orders() query.Listener { return (*orderChanges)(h.pending) }

// Run spreads changes, sends ticks and ends what stands still, until ctx ends. Then it closes all connections with 1012.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.drain()
			return nil
		case <-h.pending.wake:
			h.spread(h.pending.take())
		case now := <-tick.C:
			h.tick(now)
		}
	}
}

func (h *Hub) spread(changed Changed) {
	if changed.Empty() {
		return
	}
	for _, c := range h.allCohorts() {
		if c.feed.Touch(changed) {
			c.nudge()
		}
	}
}

func (h *Hub) allCohorts() []*cohort {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*cohort, 0, len(h.cohorts))
	for _, c := range h.cohorts {
		out = append(out, c)
	}
	return out
}

func (h *Hub) allConns() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		out = append(out, c)
	}
	return out
}

// tick tells every client that the server lives, closes those that stay behind, and drops cohorts that nobody came back to.
func (h *Hub) tick(now time.Time) {
	data, err := json.Marshal(tickFrame{Type: "tick", ServerTime: now.UTC(), Freshness: h.freshness()})
	if err != nil {
		h.log.Error("a tick could not be written", "error", err)
		return
	}
	h.pending.secondPassed()
	f := newFrame(data)
	for _, c := range h.allConns() {
		c.tick(now, f)
		h.starts.settle()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, c := range h.cohorts {
		c.mu.Lock()
		over := len(c.subs) == 0 && now.Sub(c.idleSince) > h.limits.Linger
		c.mu.Unlock()
		if over {
			c.cancel()
			delete(h.cohorts, key)
			if w, ok := c.feed.(Watching); ok {
				h.pending.unwatch(w.Watches())
			}
		}
	}
	h.stats.cohorts.Set(float64(len(h.cohorts)))
}

// cohort finds or makes the cohort of a subscription.
func (h *Hub) cohort(topic string, filter map[string][]string, interval time.Duration) (*cohort, error) {
	feed, err := h.topics.Open(topic, filter)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s|%d", feed.Key(), interval.Milliseconds())
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.cohorts[key]; c != nil {
		c.mu.Lock()
		c.idleSince = time.Now() // so that a tick does not drop it before join
		c.mu.Unlock()
		return c, nil
	}
	if len(h.cohorts) >= h.limits.Cohorts {
		return nil, &Problem{Title: "Too many different subscriptions", Status: 429,
			Detail: fmt.Sprintf("the server serves %d different subscriptions at once; use one that others use too, or try again later", h.limits.Cohorts)}
	}
	h.made++
	ctx, cancel := context.WithCancel(h.ctx)
	c := &cohort{hub: h, key: key, epoch: fmt.Sprintf("%s-%d", h.epoch, h.made), interval: interval, feed: feed,
		wake: make(chan struct{}, 1), cancel: cancel, subs: map[*subscription]struct{}{}, idleSince: time.Now()}
	_, c.telling = feed.(Telling)
	_, c.metrics = feed.(*metricFeed)
	if w, ok := feed.(Watching); ok {
		h.pending.watch(w.Watches())
	}
	h.cohorts[key] = c
	h.wait.Go(func() { c.run(ctx) })
	h.stats.cohorts.Set(float64(len(h.cohorts)))
	return c, nil
}

// drain says goodbye to all clients and waits for them, for two seconds at most.
func (h *Hub) drain() {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	for _, c := range h.allConns() {
		c.send(goawayFrame{Type: "goaway", ReconnectAfterMS: reconnectAfter.Milliseconds()})
		c.closeAfterQueue(CloseRestart, "the server is stopping")
	}
	h.cancel()
	done := make(chan struct{})
	go func() { h.wait.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		for _, c := range h.allConns() {
			if err := c.wire.close(); err != nil {
				h.log.Debug("closing a live connection", "error", err)
			}
		}
		<-done
	}
}
