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
	"github.com/lovoo/goka/storage"

	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	rows "weir/topology/table"
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

// PartitionState is how one partition of the copy stands.
type PartitionState struct {
	Partition int32
	Recovered bool
	Next      int64 // offset after the last record that was read
	Lag       int64 // records behind the newest end of the topic that is known
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

// update is goka's callback. A row is told once readers can see it: when the transaction that wrote it is there as a whole.
func (v *view) update(ctx goka.UpdateContext, s storage.Storage, key string, value []byte) error {
	whole, err := engine.StoreRow(ctx, s, key, value)
	if err != nil {
		return err
	}
	known, ok := v.arriving.Load(ctx.Partition())
	if !ok {
		known, _ = v.arriving.LoadOrStore(ctx.Partition(), new(arriving))
	}
	a := known.(*arriving)
	if key != "" {
		a.note(key, ctx.Timestamp().UnixMilli())
	}
	if whole {
		v.arrived(a)
	}
	return nil
}

// arriving is what a partition's open transaction has brought. It is the partition's goroutine's own.
type arriving struct {
	keys  []string
	many  bool // more than are worth telling one by one
	marks bool
	asOf  int64 // Unix ms of the newest record
}

const (
	maxArriving  = 16_384
	keptArriving = 1_024 // that the next transaction finds room for
)

func (a *arriving) note(key string, at int64) {
	a.asOf = max(a.asOf, at)
	switch {
	case key[0] == 0:
		a.marks = a.marks || key == engine.MarksKey
	case len(a.keys) < maxArriving:
		a.keys = append(a.keys, key)
	default:
		a.many = true
	}
}

// arrived tells what readers see from now on.
func (v *view) arrived(a *arriving) {
	if a.asOf > v.asOf.Load() {
		v.asOf.Store(a.asOf) // partitions may race: either time is true to some milliseconds
	}
	if a.marks {
		v.marksMoved.Store(true)
	}
	if l, ok := v.listen(); ok {
		for _, key := range a.keys {
			if a.many {
				break
			}
			l.RowChanged(key)
		}
		if a.many {
			l.Resync()
		}
		if a.marks {
			l.ProgressChanged()
		}
	}
	clear(a.keys)
	keys := a.keys[:0]
	if cap(keys) > keptArriving {
		keys = nil
	}
	*a = arriving{keys: keys}
}

// look reads goka's state of the partitions.
func (v *view) look() {
	v.mu.RLock()
	if v.goka == nil {
		v.mu.RUnlock()
		return
	}
	stats := v.goka.Stats(context.Background())
	v.mu.RUnlock()
	ends := v.knownEnds()
	states := make([]PartitionState, len(stats.Partitions))
	for p, s := range stats.Partitions {
		if int(p) >= len(states) {
			continue
		}
		st := PartitionState{Partition: p, Recovered: s.Status == goka.PartitionRunning || s.Status == goka.PartitionConnecting && v.wasRecovered(p)}
		var end int64
		if s.Recovery != nil {
			st.Next, end = max(0, s.Recovery.Offset), s.Recovery.Hwm
		}
		if s.Input != nil && s.Input.Count > 0 {
			st.Next = s.Input.LastOffset + 1
		}
		if int(p) < len(ends) && ends[p] >= 0 {
			end = ends[p] // goka's own look at the end is up to a minute old
		}
		st.Lag = max(0, end-st.Next)
		states[p] = st
	}
	v.progressMu.Lock()
	before := present(v.partitions)
	changed := len(states) != len(v.partitions) || before != present(states)
	v.partitions, v.failure, v.missing = states, nil, false
	v.progressMu.Unlock()
	if l, ok := v.listen(); ok && changed {
		l.ProgressChanged()
	}
}

// NoteEnds tells the view where its topic ends, by partition; −1 is unknown.
func (v *view) NoteEnds(ends []int64) {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	v.ends = ends
}

func (v *view) knownEnds() []int64 {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return v.ends
}

// NoteCaughtUp tells the view that everything sent until then is in it.
func (v *view) NoteCaughtUp(at time.Time) { v.caughtUpAt.Store(at.UnixMilli()) }

// wasRecovered keeps a partition present while it only reconnects.
func (v *view) wasRecovered(p int32) bool {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return int(p) < len(v.partitions) && v.partitions[p].Recovered
}

func present(states []PartitionState) int {
	n := 0
	for _, s := range states {
		if s.Recovered {
			n++
		}
	}
	return n
}

// Progress implements query.Metrics.
func (v *view) Progress() query.Progress {
	v.renewMarks()
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	p := query.Progress{Watermark: v.watermark, Expected: len(v.partitions), Present: present(v.partitions)}
	for _, s := range v.partitions {
		p.LagRecords += s.Lag
	}
	if ms := v.asOf.Load(); ms != 0 {
		p.AsOf = time.UnixMilli(ms).UTC()
	}
	if ms := v.caughtUpAt.Load(); ms != 0 {
		p.CaughtUpAt = time.UnixMilli(ms).UTC()
	}
	return p
}

// renewMarks reads the marks if they moved. Invariant: whoever was told that they moved sees them after this, also if another asked
// first and is still reading.
func (v *view) renewMarks() {
	v.marksMu.Lock()
	defer v.marksMu.Unlock()
	if !v.marksMoved.Swap(false) {
		return
	}
	if err := v.readMarks(); err != nil {
		v.marksMoved.Store(true) // again next time
		var starting *query.NotReadyError
		if !errors.As(err, &starting) {
			v.log.Warn("the marks of a table cannot be read", "error", err)
		}
	}
}

// Partitions are the states of all partitions, and the error that keeps the view from running, if there is one.
func (v *view) Partitions() ([]PartitionState, error) {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return append([]PartitionState(nil), v.partitions...), v.failure
}

// Counters are the exact counts that the group keeps with its rows, summed over partitions.
func (v *view) Counters() map[string]int64 {
	v.Progress()
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	out := make(map[string]int64, len(v.counters))
	for name, n := range v.counters {
		out[name] = n
	}
	return out
}

// readMarks takes the least watermark and the sum of counters of the partitions' reserved rows.
func (v *view) readMarks() error {
	var watermark event.UnixMilli
	counters := map[string]int64{}
	err := v.scan(engine.MarksKey, engine.MarksKey+"\x00", func(_ string, value []byte) error {
		var m rows.Marks
		if err := m.UnmarshalVT(value); err != nil {
			return fmt.Errorf("marks row: %w", err)
		}
		if at := event.UnixMilli(m.WatermarkMs); at != 0 && (watermark == 0 || at < watermark) {
			watermark = at
		}
		for name, n := range m.Counters {
			counters[name] += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.progressMu.Lock()
	v.watermark, v.counters = watermark, counters
	v.progressMu.Unlock()
	return nil
}

// rawCodec leaves rows as they are: readers decode what they need.
type rawCodec struct{}

func (rawCodec) Encode(any) ([]byte, error)      { return nil, errors.New("views do not write") }
func (rawCodec) Decode(data []byte) (any, error) { return data, nil }
