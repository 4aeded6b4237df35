package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ClientOptions say how a view server is loaded with websockets.
type ClientOptions struct {
	Clients  int
	Subs     int           // of each client
	Stuck    float64       // share of the clients that never read
	Interval time.Duration // that they subscribe with
	Warm     time.Duration
	Measure  time.Duration
	Binary   string
	// Up and Serve give the arguments of the children: a whole weir with a shop on a broker of its own, and the view server on that
	// broker that is measured.
	Up, Serve func(listen, kafka string) []string
	Progress  func(what string, done, of int)
}

// Clients is what the clients that read saw, and what they cost the server.
type Clients struct {
	Options        ClientOptions
	Stuck          int
	Frames         int64         // deltas read in the measured time
	Delay          Quantiles     // from making a frame to having read it
	Age            Quantiles     // of the newest record behind a frame when it was read: interval, commits and views included
	BasePerProcess int64         // resident bytes of the server with all its subscriptions and no load
	Resident       int64         // with the load, the mean over the measured time
	InUse          int64         // heap and stacks in use that the load added, as the server tells; 0 where it does not
	CPU            time.Duration // of the server in the measured time
	OwnCPU         time.Duration // of the clients, which share the machine with it
	Lost           int64         // readers whose connection ended
	Dropped        int64         // stuck clients that the server has closed
	Load           [2]string     // load averages before and after
}

// Quantiles of a delay.
type Quantiles struct{ P50, P99, P999, Max time.Duration }

func (q Quantiles) String() string {
	return fmt.Sprintf("p50=%d p99=%d p999=%d max=%d", q.P50.Milliseconds(), q.P99.Milliseconds(), q.P999.Milliseconds(), q.Max.Milliseconds())
}

// PerConnection is the server's memory that each connection costs, in bytes.
func (c Clients) PerConnection() float64 {
	return float64(c.Resident-c.BasePerProcess) / float64(c.Options.Clients)
}

func (c Clients) String() string {
	o := c.Options
	return fmt.Sprintf("clients=%d subs=%d stuck=%d interval=%s frames=%d rate=%.0f/s delay_ms %s age_ms %s\n"+
		"MEMORY base_mb=%d loaded_mb=%d kb_per_connection=%.1f heap_and_stacks_kb_per_connection=%.1f\n"+
		"SERVER cpu_cores=%.2f clients_cpu_cores=%.2f cpu_us_per_frame=%.1f readers_lost=%d stuck_closed=%d load_before=%s load_after=%s",
		o.Clients, o.Subs, c.Stuck, o.Interval, c.Frames, float64(c.Frames)/o.Measure.Seconds(), c.Delay, c.Age,
		c.BasePerProcess>>20, c.Resident>>20, c.PerConnection()/1024, float64(c.InUse)/float64(o.Clients)/1024,
		c.CPU.Seconds()/o.Measure.Seconds(), c.OwnCPU.Seconds()/o.Measure.Seconds(), float64(c.CPU.Microseconds())/float64(max(c.Frames, 1)), c.Lost, c.Dropped, c.Load[0], c.Load[1])
}

// dialers is how many connections are opened at once.
const dialers = 16

// RunClients loads a view server with websockets while a shop goes on, and measures how late frames come and what connections cost.
func RunClients(ctx context.Context, o ClientOptions) (c Clients, err error) {
	c.Options, c.Stuck = o, int(float64(o.Clients)*o.Stuck)
	server, stop, err := startLoaded(ctx, o)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	c.Load[0] = loadAverage()
	l := &loaded{url: "ws://" + server.listen + "/v1/ws", o: o, delay: newHistogram(), age: newHistogram()}
	defer l.close()
	for i := range len(palette) { // every subscription is there before memory is taken
		if err := l.open(ctx, i, false, 1); err != nil {
			return c, err
		}
	}
	if err := l.await(ctx); err != nil {
		return c, err
	}
	if err := wait(ctx, o.Warm/2); err != nil {
		return c, err
	}
	if c.BasePerProcess, err = server.resident(); err != nil {
		return c, err
	}
	base := server.inUse(ctx)
	if err := l.openAll(ctx, c.Stuck); err != nil {
		return c, err
	}
	if err := wait(ctx, o.Warm); err != nil {
		return c, err
	}
	l.measuring.Store(true)
	cpu, own, samples := server.cpu(), cpuOf(os.Getpid()), int64(0)
	for began := time.Now(); time.Since(began) < o.Measure; samples++ {
		if err := errors.Join(wait(ctx, time.Second), server.check()); err != nil {
			return c, err
		}
		bytes, err := server.resident()
		if err != nil {
			return c, err
		}
		c.Resident += bytes
		o.Progress("measuring", int(time.Since(began).Seconds()), int(o.Measure.Seconds()))
	}
	l.measuring.Store(false)
	c.CPU, c.OwnCPU, c.Resident = server.cpu()-cpu, cpuOf(os.Getpid())-own, c.Resident/max(samples, 1)
	if used := server.inUse(ctx); used > 0 && base > 0 {
		c.InUse = used - base
	}
	c.Load[1] = loadAverage()
	c.Lost = l.lost.Load()
	c.Dropped = int64(server.metric(ctx, `weir_live_closes_total{code="4410"}`))
	c.Frames, c.Delay, c.Age = l.delay.count(), l.delay.quantiles(), l.age.quantiles()
	if err := l.broken(); err != nil {
		return c, fmt.Errorf("a client that reads: %w", err)
	}
	if c.Frames == 0 {
		return c, fmt.Errorf("no client saw a change in the measured time, after %d before it", l.deltas.Load())
	}
	return c, nil
}

// startLoaded starts a shop on a broker of its own, and the view server that is measured.
func startLoaded(ctx context.Context, o ClientOptions) (server *child, stop func() error, err error) {
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, nil, err
		}
	}
	limits := []string{fmt.Sprintf("WEIR_SERVE_CONNECTIONS=%d", o.Clients+100), fmt.Sprintf("WEIR_SERVE_CONNECTIONS_PER_ADDRESS=%d", o.Clients+100)}
	var both children
	for _, role := range []struct {
		name, listen string
		args         []string
	}{{"up", addresses[0], o.Up(addresses[0], addresses[2])}, {"serve", addresses[1], o.Serve(addresses[1], addresses[2])}} {
		server, err = startProcess(role.name, o.Binary, limits, role.listen, role.args...)
		if err == nil {
			both = append(both, server)
			err = awaitReady(ctx, server)
		}
		if err != nil {
			return nil, nil, errors.Join(err, both.stop())
		}
	}
	return server, both.stop, nil
}

// openAll opens the clients, the stuck ones spread among them.
func (l *loaded) openAll(ctx context.Context, stuck int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dialers)
	var done atomic.Int64
	for i := range l.o.Clients {
		g.Go(func() error {
			never := stuck > 0 && i*stuck/l.o.Clients != (i+1)*stuck/l.o.Clients
			err := l.open(ctx, i, never, l.o.Subs)
			l.o.Progress("connecting", int(done.Add(1)), l.o.Clients)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("opening %d connections (each takes a file here and one at the server; ulimit -n tells how many there may be): %w", l.o.Clients, err)
	}
	return nil
}

// flowWithin is how long the shop may take until its first orders are seen.
const flowWithin = time.Minute

// await waits until changes come.
func (l *loaded) await(ctx context.Context) error {
	for began := time.Now(); l.deltas.Load() == 0; {
		if err := errors.Join(l.broken(), wait(ctx, sampleEvery)); err != nil {
			return err
		}
		if time.Since(began) > flowWithin {
			return fmt.Errorf("the shop's orders did not come to the view server within %v", flowWithin)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// loadAverage is that of the last minute; "unknown" where /proc is missing.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// histogram counts delays by the millisecond; the last bucket takes all that are longer.
type histogram struct{ buckets []atomic.Int64 }

func newHistogram() *histogram { return &histogram{make([]atomic.Int64, 60_000)} }

func (h *histogram) add(d time.Duration) {
	h.buckets[min(max(int(d.Milliseconds()), 0), len(h.buckets)-1)].Add(1)
}

func (h *histogram) count() (n int64) {
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

func (h *histogram) quantiles() Quantiles {
	n := h.count()
	at := func(q float64) time.Duration {
		rest := int64(q * float64(n))
		for i := range h.buckets {
			if rest -= h.buckets[i].Load(); rest < 0 {
				return time.Duration(i+1) * time.Millisecond
			}
		}
		return 0
	}
	longest := 0
	for i := range h.buckets {
		if h.buckets[i].Load() > 0 {
			longest = i + 1
		}
	}
	return Quantiles{at(.5), at(.99), at(.999), time.Duration(longest) * time.Millisecond}
}

// loaded are the clients.
type loaded struct {
	url        string
	o          ClientOptions
	delay, age *histogram
	measuring  atomic.Bool
	closing    atomic.Bool
	lost       atomic.Int64
	deltas     atomic.Int64
	wait       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	err   error // the first rule of the protocol that was broken
}

func (l *loaded) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *loaded) close() {
	l.closing.Store(true)
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.Close() // the run is over
	}
	l.mu.Unlock()
	l.wait.Wait()
}
