package orders

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// Source is an input topic and how its records are read.
type Source struct {
	Topic  string
	Parser *event.Parser
}

// Group is the goka side of group orders: it parses, calls Step, keeps the row, and adds up what the transaction contributes to
// metrics and tells of entities until the commit sends it.
type Group struct {
	Sources  []Source
	Names    topology.Names
	Metrics  *metric.Set
	Settings Settings
	Rules    *rule.Current // nil: none
	Logger   *slog.Logger
	Now      func() time.Time // wall clock of max_future; nil: time.Now
	// SendEach sends deltas and observations with every record instead of at the commit: for a plain goka processor, which has no
	// hooks.
	SendEach bool

	rt      *engine.Runtime
	rules   *rule.Set // of the open transaction
	parsers map[string]*event.Parser
	shards  [maxPartitions]*shard
}

// maxPartitions bounds the partitions of an input topic.
const maxPartitions = 1024

// shard is what one partition's goroutine keeps between records.
type shard struct {
	event    event.Event
	in       Input
	out      Output
	acc      *metric.Accumulator
	observed outbox
}

// Counters of this group in the marks row: exact, they commit with the rows.
const (
	CounterEvents      = "events"
	CounterDuplicates  = "duplicates"
	CounterWaiting     = "waiting"  // events applied before their order was known, less those counted since
	CounterIgnored     = "ignored"  // records whose type the mapping passes over
	CounterOrphaned    = "orphaned" // events whose order had not come when their row expired
	CounterExpired     = "expired"
	CounterRefused     = "refused"
	CounterDeadLetters = "dead_letters"
)

// Define builds the goka graph on rt.
func (g *Group) Define(rt *engine.Runtime) engine.Spec {
	g.rt = rt
	g.begin() // timers may come before the first transaction does
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Logger == nil {
		g.Logger = slog.New(slog.DiscardHandler)
	}
	g.parsers = map[string]*event.Parser{}
	edges := []goka.Edge{
		goka.Output(goka.Stream(g.Names.In(topology.DeadLetters)), new(codec.Bytes)),
		goka.Output(goka.Stream(g.Names.In(topology.Findings)), new(codec.Bytes)),
		goka.Output(goka.Stream(g.Names.In(topology.Deltas)), new(codec.Bytes)),
		goka.Output(goka.Stream(g.Names.In(topology.Observations)), new(codec.Bytes)),
		goka.Persist(rowCodec{}),
	}
	var topics []string
	for _, s := range g.Sources {
		g.parsers[s.Topic] = s.Parser
		topics = append(topics, s.Topic)
		edges = append(edges, rt.Input(s.Topic, g.process))
	}
	return engine.Spec{
		Graph:      goka.DefineGroup(goka.Group(g.Names.In(topology.GroupOrders)), edges...),
		Sources:    topics,
		MarkTopics: []string{g.Names.In(topology.Deltas), g.Names.In(topology.Observations), g.Names.In(topology.Findings)},
		TimersSend: true, // findings
		CheckKeys:  true,
		Hooks: engine.Hooks{
			Begin:        g.begin,
			BeforeCommit: g.send,
			Held:         g.held,
			Rollback:     g.reset,
			Deadline:     g.deadline,
			Timer:        g.timer,
		},
	}
}

func (g *Group) shard(partition int32) *shard {
	s := g.shards[partition]
	if s == nil {
		s = &shard{acc: g.Metrics.NewAccumulator()}
		g.shards[partition] = s
	}
	return s
}

// begin takes the rules of a transaction.
func (g *Group) begin() {
	if g.Rules != nil {
		g.rules = g.Rules.Load()
	}
}

// ruleSet is the set of the open transaction. Without hooks each record is one.
func (g *Group) ruleSet() *rule.Set {
	if g.SendEach && g.Rules != nil {
		return g.Rules.Load()
	}
	return g.rules
}

// process is goka's callback. Whatever a record holds, it ends in a row, in a counter, or in the dead-letter topic.
func (g *Group) process(ctx goka.Context, msg any) {
	raw, _ := msg.([]byte)
	p, s := g.rt.Partition(ctx.Partition()), g.shard(ctx.Partition())
	ev := &s.event
	switch err := g.parse(ctx, ev, raw); {
	case errors.Is(err, event.ErrIgnored):
		p.Count(CounterIgnored, 1)
		return
	case err != nil:
		g.refuse(ctx, p, raw, err)
		return
	}
	if err := ev.CheckKey(ctx.Key()); err != nil {
		g.refuse(ctx, p, raw, err)
		return
	}
	p.Observe(string(ctx.Topic()), ev.At)
	p.Count(CounterEvents, 1)

	row, _ := ctx.Value().(*table.Order)
	if row == nil {
		row = table.OrderFromVTPool()
	}
	defer row.ReturnToVTPool()
	s.in = Input{Event: ev, Watermark: p.Watermark(), Rules: g.ruleSet(),
		Record: Record{Topic: string(ctx.Topic()), Partition: ctx.Partition(), Offset: ctx.Offset(), ArrivedAt: event.UnixMilli(ctx.Timestamp().UnixMilli())}}
	s.out.Reset()
	if err := g.step(ctx, row, s); err != nil {
		g.refuse(ctx, p, raw, err)
		return
	}
	g.count(p, &s.out)
	if s.out.Outcome == Expired || s.out.Outcome == Refused {
		g.refuse(ctx, p, raw, &event.Malformed{Reason: event.Reason(s.out.Outcome.String()), Detail: s.out.Detail})
		return
	}
	g.collect(s)
	for _, f := range s.out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			ctx.Fail(err)
		}
		ctx.Emit(goka.Stream(g.Names.In(topology.Findings)), f.Entity, value)
	}
	ctx.SetValue(row)
	if g.SendEach {
		g.sendEach(ctx, s)
	}
}

// collect adds what an event contributes and shows to what its transaction sends.
func (g *Group) collect(s *shard) {
	for i := range s.out.Contributions {
		s.acc.Add(&s.out.Contributions[i].Facts, s.out.Contributions[i].Sign)
	}
	for i := range s.out.Observed {
		for _, o := range s.out.Observed[i].Observations {
			s.observed.add(o.Key, o.Body)
		}
	}
}

func (g *Group) sendEach(ctx goka.Context, s *shard) {
	if err := s.acc.Drain(func(key string, cell *table.Cell) error {
		value, err := cell.MarshalVT()
		ctx.Emit(goka.Stream(g.Names.In(topology.Deltas)), key, value)
		return err
	}); err != nil {
		ctx.Fail(err)
	}
	s.observed.drain(func(key string, value []byte) { ctx.Emit(goka.Stream(g.Names.In(topology.Observations)), key, value) })
}

func (g *Group) parse(ctx goka.Context, ev *event.Event, raw []byte) (err error) {
	defer g.contain(ctx, &err)
	return g.parsers[string(ctx.Topic())].ParseInto(ev, raw, event.UnixMilli(g.Now().UnixMilli()))
}

func (g *Group) step(ctx goka.Context, row *table.Order, s *shard) (err error) {
	defer g.contain(ctx, &err)
	Step(&g.Settings, row, &s.in, &s.out)
	return nil
}

// contain keeps a defect to the record that brings it out. It stands around pure code only: a failure of state or output must
// stop the processor, not cost an event.
func (g *Group) contain(ctx goka.Context, err *error) {
	if r := recover(); r != nil {
		g.Logger.Error("a record made the orders group panic; it is in the dead-letter topic", "topic", ctx.Topic(), "partition", ctx.Partition(), "offset", ctx.Offset(), "panic", r, "stack", string(debug.Stack()))
		*err = &event.Malformed{Reason: event.ReasonPanic, Detail: fmt.Sprint(r)}
	}
}

func (g *Group) count(p *engine.Partition, out *Output) {
	switch out.Outcome {
	case Duplicate:
		p.Count(CounterDuplicates, 1)
	case Expired:
		p.Count(CounterExpired, 1)
	case Refused:
		p.Count(CounterRefused, 1)
	}
	if out.Waiting != 0 {
		p.Count(CounterWaiting, int64(out.Waiting))
	}
}

// refuse sends the record, as it came, to the dead-letter topic with the reason.
func (g *Group) refuse(ctx goka.Context, p *engine.Partition, raw []byte, cause error) {
	l := letter{ctx.Key(), raw, ctx.Headers()}
	headers := goka.Headers{}
	if size := l.fit(); size > 0 {
		headers[event.HeaderSize] = strconv.AppendInt(nil, int64(size), 10)
	}
	maps.Copy(headers, l.headers)
	maps.Copy(headers, event.DeadLetterHeaders(cause, string(ctx.Topic()), ctx.Partition(), ctx.Offset()))
	p.Count(CounterDeadLetters, 1)
	p.Count(CounterDeadLetters+":"+string(headers[event.HeaderReason]), 1)
	ctx.Emit(goka.Stream(g.Names.In(topology.DeadLetters)), l.key, l.value, goka.WithCtxEmitHeaders(headers))
}

// send sends what the transaction adds to each metric row and shows of each entity, one record each.
func (g *Group) send(tx *engine.Tx) error {
	var accs []*metric.Accumulator
	var observed []*outbox
	for _, s := range g.shards {
		if s != nil {
			accs, observed = append(accs, s.acc), append(observed, &s.observed)
		}
	}
	g.sendObserved(tx, observed)
	return metric.DrainAll(accs, func(key string, cell *table.Cell) error {
		value, err := cell.MarshalVT()
		if err == nil {
			tx.Emit(g.Names.In(topology.Deltas), key, value)
		}
		return err
	})
}

// sendObserved sends what the transaction shows of entities: a bundle, or a few, to each partition that has any of them.
func (g *Group) sendObserved(tx *engine.Tx, observed []*outbox) {
	topic := g.Names.In(topology.Observations)
	bundles := make([][]byte, tx.PartitionsOf(topic))
	drainOutboxes(observed, func(key string, value []byte) {
		to := engine.PartitionOf(key, int32(len(bundles)))
		if b := bundles[to]; len(b) > 0 && len(b)+len(key)+len(value) > maxObservationsBytes {
			tx.EmitTo(topic, to, table.BundleKey, b)
			bundles[to] = nil
		}
		bundles[to] = table.AppendBundle(bundles[to], key, value)
	})
	for to, b := range bundles {
		if len(b) > 0 {
			tx.EmitTo(topic, int32(to), table.BundleKey, b)
		}
	}
}

// held is how many records wait: each cell of an accumulator becomes a row in about three windows.
func (g *Group) held() (n int) {
	for _, s := range g.shards {
		if s != nil {
			n += 3*s.acc.Len() + s.observed.held()
		}
	}
	return n
}

func (g *Group) reset() {
	for _, s := range g.shards {
		if s != nil {
			s.acc.Reset()
			s.observed.reset()
		}
	}
}

func (g *Group) deadline(_ string, row []byte) (event.UnixMilli, bool) {
	lastAtMs, nextDueMs := times(row)
	at := deadline(&g.Settings, lastAtMs, nextDueMs)
	return at, at > 0
}

// timer judges a row again whose time has come, and deletes one whose order has been quiet for the retention time.
func (g *Group) timer(tx *engine.Tx, p *engine.Partition, key string, row []byte) error {
	o := table.OrderFromVTPool()
	defer o.ReturnToVTPool()
	if err := o.UnmarshalVT(row); err != nil {
		return fmt.Errorf("order row: %w", err)
	}
	var out Output
	expired := Timer(&g.Settings, o, key, &Input{Watermark: p.Watermark(), Rules: g.rules, Record: Record{Partition: p.Number()}}, &out)
	for _, f := range out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			return err
		}
		tx.Emit(g.Names.In(topology.Findings), f.Entity, value)
	}
	if !expired {
		value, err := o.MarshalVT()
		if err != nil {
			return err
		}
		return p.Set(key, value)
	}
	if n := Uncounted(o); n > 0 { // their order never came
		p.Count(CounterWaiting, -n)
		p.Count(CounterOrphaned, n)
	}
	return p.Delete(key)
}

// rowCodec keeps rows in Protobuf. Decoded rows come from the pool; process gives them back.
type rowCodec struct{}

func (rowCodec) Encode(v any) ([]byte, error) { return v.(*table.Order).MarshalVT() }
func (rowCodec) Decode(b []byte) (any, error) {
	o := table.OrderFromVTPool()
	if err := o.UnmarshalVT(b); err != nil {
		return nil, fmt.Errorf("order row: %w", err)
	}
	return o, nil
}
