package entities

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
)

// Group is the goka side of group entities: each record of observations goes into its entity's row.
type Group struct {
	Names  topology.Names
	Rules  *rule.Current
	Logger *slog.Logger

	rt     *engine.Runtime
	rules  *rule.Set // of this transaction
	begun  uint64    // counts transactions
	shards [maxPartitions]*shard
}

// maxPartitions bounds the partitions of weir-observations.
const maxPartitions = 1024

// shard is what one partition's goroutine keeps between records.
type shard struct {
	in    Input
	out   Output
	began began
	at    uint64 // the transaction in which began was read
}

// Define builds the goka graph on rt.
func (g *Group) Define(rt *engine.Runtime) engine.Spec {
	g.rt = rt
	if g.Logger == nil {
		g.Logger = slog.New(slog.DiscardHandler)
	}
	g.begin()
	return engine.Spec{
		Graph: goka.DefineGroup(goka.Group(g.Names.In(topology.GroupEntities)),
			rt.Input(g.Names.In(topology.Observations), g.process),
			goka.Output(goka.Stream(g.Names.In(topology.Findings)), new(codec.Bytes)),
			goka.Output(goka.Stream(g.Names.In(topology.DeadLetters)), new(codec.Bytes)),
			goka.Persist(new(codec.Bytes))),
		Upstream:   []string{g.Names.In(topology.GroupOrders)},
		MarkTopics: []string{g.Names.In(topology.Findings)},
		Hooks:      engine.Hooks{Begin: g.begin, Deadline: deadline, Timer: g.timer},
	}
}

func (g *Group) begin() {
	g.rules = g.Rules.Load()
	g.begun++
}

func (g *Group) shard(partition int32) *shard {
	s := g.shards[partition]
	if s == nil {
		s = new(shard)
		g.shards[partition] = s
	}
	return s
}

// process is goka's callback. Whatever a record holds, it ends in rows or in the dead-letter topic.
func (g *Group) process(ctx goka.Context, msg any) {
	raw, _ := msg.([]byte)
	p, s := g.rt.Partition(ctx.Partition()), g.shard(ctx.Partition())
	if err := g.know(p, s); err != nil {
		ctx.Fail(err)
	}
	key := ctx.Key()
	switch {
	case engine.IsMark(key):
		if err := p.Mark(raw); err != nil {
			ctx.Fail(err)
		}
	case key == table.BundleKey:
		if err := table.EachOfBundle(raw, func(key string, observations []byte) error {
			g.observe(ctx, p, s, key, observations)
			return nil
		}); err != nil {
			g.refuse(ctx, p, key, raw, fmt.Errorf("%w: %w", errRecord, err))
		}
	case isWarm(key):
		g.warm(ctx, p, s, key, raw)
	default:
		g.observe(ctx, p, s, key, raw)
	}
}

// observe adds observations to their entity's row.
func (g *Group) observe(ctx goka.Context, p *engine.Partition, s *shard, key string, raw []byte) {
	if key == "" || engine.IsReserved(key) {
		g.refuse(ctx, p, key, raw, fmt.Errorf("%w: its key is no entity", errRecord))
		return
	}
	kind := kindOf(key)
	s.in = Input{Key: key, Record: raw, Watermark: p.Watermark(), Since: s.began.since[kind]}
	row, err := p.Get(key)
	if err != nil {
		ctx.Fail(err)
	}
	err = g.step(ctx, kind, row, s)
	if errors.Is(err, errRow) { // nothing can be read from it ever again: the entity begins anew, and the stream goes on
		g.Logger.Error("a row of group entities is damaged; it is in the dead-letter topic and begins anew", "key", key, "error", err)
		p.Count(CounterDamaged, 1)
		g.refuse(ctx, p, key, row, err)
		err = g.step(ctx, kind, nil, s)
	}
	switch {
	case errors.Is(err, errVersion):
		ctx.Fail(fmt.Errorf("entity row %q: %w", key, err))
	case err != nil:
		g.refuse(ctx, p, key, raw, err)
		return
	}
	s.out.Counts.each(p.Count)
	for _, f := range s.out.Findings {
		value, err := f.MarshalVT()
		if err != nil {
			ctx.Fail(err)
		}
		ctx.Emit(goka.Stream(g.Names.In(topology.Findings)), f.Entity, value)
	}
	switch {
	case s.out.Delete:
		err = p.Delete(key)
	case !s.out.Unchanged:
		err = p.Set(key, s.out.Row)
	}
	if err != nil {
		ctx.Fail(err)
	}
}

// know makes the partition's series those of the set in force, once a transaction.
func (g *Group) know(p *engine.Partition, s *shard) error {
	if s.at == g.begun {
		return nil
	}
	row, err := p.Get(seriesKey)
	if err != nil {
		return err
	}
	changed, err := s.began.update(g.rules, row, int64(p.Watermark()))
	if err != nil {
		return err
	}
	s.at = g.begun
	if changed == nil {
		return nil
	}
	return p.Set(seriesKey, changed)
}

// warm takes the news that a series was filled from the log.
func (g *Group) warm(ctx goka.Context, p *engine.Partition, s *shard, key string, raw []byte) {
	row, err := p.Get(seriesKey)
	if err != nil {
		ctx.Fail(err)
	}
	changed, err := s.began.warm(g.rules, row, key, raw)
	switch {
	case errors.Is(err, errRecord):
		g.refuse(ctx, p, key, raw, err)
	case err == nil && changed != nil:
		err = p.Set(seriesKey, changed)
	}
	if err != nil && !errors.Is(err, errRecord) {
		ctx.Fail(err)
	}
}

// step keeps a defect to the record that brings it out. It stands around pure code only: a failure of state or output must stop the
// processor, not cost a record.
func (g *Group) step(ctx goka.Context, kind string, row []byte, s *shard) (err error) {
	defer func() {
		if r := recover(); r != nil {
			g.Logger.Error("a record made the entities group panic; it is in the dead-letter topic", "topic", ctx.Topic(),
				"partition", ctx.Partition(), "offset", ctx.Offset(), "panic", r, "stack", string(debug.Stack()))
			err = &event.Malformed{Reason: event.ReasonPanic, Detail: fmt.Sprint(r)}
			s.out = Output{} // its memory may be half done
		}
	}()
	return Step(g.rules, g.rules.Plan(kind), row, &s.in, &s.out)
}

// What a dead letter may hold: a record that would not fit with its headers is cut and says its size.
const (
	maxLetterBytes = 900 << 10
	cutBytes       = 64 << 10
)

// refuse sends a value to the dead-letter topic with the reason and the place of the record.
func (g *Group) refuse(ctx goka.Context, p *engine.Partition, key string, value []byte, cause error) {
	if _, ok := errors.AsType[*event.Malformed](cause); !ok {
		cause = &event.Malformed{Reason: event.ReasonBadValue, Detail: cause.Error()}
	}
	headers := goka.Headers(event.DeadLetterHeaders(cause, string(ctx.Topic()), ctx.Partition(), ctx.Offset()))
	if size := len(key) + len(value); size > maxLetterBytes {
		headers[event.HeaderSize] = strconv.AppendInt(nil, int64(size), 10)
		key, value = key[:min(len(key), cutBytes)], value[:min(len(value), cutBytes)]
	}
	p.Count(CounterDeadLetters, 1)
	p.Count(CounterDeadLetters+":"+string(headers[event.HeaderReason]), 1)
	ctx.Emit(goka.Stream(g.Names.In(topology.DeadLetters)), key, value, goka.WithCtxEmitHeaders(headers))
}

func deadline(key string, row []byte) (event.UnixMilli, bool) {
	if engine.IsReserved(key) {
		return 0, false
	}
	at := due(row)
	return at, at > 0
}

// timer takes away what of a row is of no use any more, and the row with the last of it.
func (g *Group) timer(_ *engine.Tx, p *engine.Partition, key string, row []byte) error {
	s := g.shard(p.Number())
	s.in = Input{Key: key, Watermark: p.Watermark(), Timer: true}
	if err := Step(g.rules, g.rules.Plan(kindOf(key)), row, &s.in, &s.out); err != nil {
		if !errors.Is(err, errRow) {
			return fmt.Errorf("entity row %q: %w", key, err)
		}
		g.Logger.Error("a row of group entities is damaged and goes when its time has come", "key", key, "error", err)
		p.Count(CounterDamaged, 1)
		return p.Delete(key)
	}
	s.out.Counts.each(p.Count)
	if s.out.Delete {
		return p.Delete(key)
	}
	return p.Set(key, s.out.Row)
}
