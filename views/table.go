package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"

	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/views/query"
)

// Deps is what a view is opened with.
type Deps struct {
	Brokers []string
	Names   topology.Names // of this installation's tables
	// Options are the engine's for a table: consumer, storage, topic manager, hasher.
	Options func(table string) []goka.ViewOption
	// Copies are the tables' open partitions, as Options keep them.
	Copies *engine.Copies
	// Exists tells whether a table's topic is there; nil: all are. An installation may do without the groups for fraud, and then
	// without their tables.
	Exists func(ctx context.Context, table string) (bool, error)
	// Entity reads rows of weir-entities-table; nil: entities are not shown.
	Entity EntityReader
	Logger *slog.Logger // nil: silent
}

// view is one table's copy: the goka view, what it has told about itself, and who listens.
type view struct {
	table string
	deps  Deps
	log   *slog.Logger
	// optional: the table may be missing. Then the server is ready without it.
	optional bool

	mu   sync.RWMutex // held for reading while the goka view is read: it closes its storage only when nobody does
	goka *goka.View

	listener atomic.Pointer[query.Listener]

	arriving   sync.Map     // partition → *arriving
	asOf       atomic.Int64 // Unix ms of the newest record that readers see
	caughtUpAt atomic.Int64 // Unix ms: everything sent until then is here; 0 while unknown
	marksMoved atomic.Bool
	marksMu    sync.Mutex // held while marks that moved are read: whoever asks meanwhile waits for them. Before progressMu and mu.

	progressMu sync.Mutex
	partitions []PartitionState
	ends       []int64 // of the table's topic, as NoteEnds was told last
	watermark  event.UnixMilli
	counters   map[string]int64
	failure    error // why the view is not running
	missing    bool  // there is no such table
}

const lookEvery = 250 * time.Millisecond

func newView(table string, deps Deps) *view {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &view{table: table, deps: deps, log: deps.Logger.With("table", table)}
}

// Subscribe makes l hear of every change from now on. There is one listener: the live hub.
func (v *view) Subscribe(l query.Listener) { v.listener.Store(&l) }

func (v *view) listen() (query.Listener, bool) {
	p := v.listener.Load()
	if p == nil {
		return nil, false
	}
	return *p, true
}

// run keeps the copy until ctx ends. A table that is not there yet is waited for; a view that fails is built anew.
func (v *view) run(ctx context.Context) error {
	pause := 200 * time.Millisecond
	for ctx.Err() == nil {
		started := time.Now()
		err := v.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > time.Minute {
			pause = 200 * time.Millisecond
		}
		switch news := v.fail(err); {
		case !v.Missing():
			v.log.Warn("the view is not running; it is started again", "in", pause, "error", err)
		case news:
			v.log.Info("a table does not exist: it is served once it does", "why", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
	return nil
}

func (v *view) runOnce(ctx context.Context) error {
	if err := v.exists(ctx); err != nil {
		return err
	}
	options := append(v.deps.Options(v.table), goka.WithViewCallback(v.update))
	g, err := goka.NewView(v.deps.Brokers, goka.Table(v.table), rawCodec{}, options...)
	if err != nil {
		return fmt.Errorf("opening the view of %s: %w", v.table, err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(running) }()
	v.mu.Lock()
	v.goka = g
	v.mu.Unlock()
	v.marksMoved.Store(true)

	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			v.detach()
			if err == nil {
				err = errors.New("the view ended without an error")
			}
			return err
		case <-ctx.Done():
			v.detach() // waits for readers, before goka closes the storage under them
			stop()
			return <-ended
		case <-tick.C:
			v.look()
		}
	}
}

func (v *view) detach() {
	v.mu.Lock()
	v.goka = nil
	v.mu.Unlock()
	if l, ok := v.listen(); ok {
		l.Resync()
	}
}

// fail notes why the view does not run, and tells whether that is worth telling: that a table is missing is, once.
func (v *view) fail(err error) (news bool) {
	v.progressMu.Lock()
	v.failure = err
	was := v.missing
	v.missing = errors.Is(err, errMissing)
	news = !v.missing || !was
	for i := range v.partitions {
		v.partitions[i].Recovered = false
	}
	v.progressMu.Unlock()
	if l, ok := v.listen(); ok {
		l.ProgressChanged()
	}
	return news
}

// rawCodec leaves rows as they are: readers decode what they need.
type rawCodec struct{}

func (rawCodec) Encode(any) ([]byte, error)      { return nil, errors.New("views do not write") }
func (rawCodec) Decode(data []byte) (any, error) { return data, nil }
