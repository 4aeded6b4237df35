package alerts

import (
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
	"weir/topology/alert"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
)

// Group is the goka side of group alerts.
type Group struct {
	Names      topology.Names
	Rules      *rule.Current
	Partitions int32         // of weir-findings: each has an equal share of a rule's limit
	Retention  time.Duration // of a row, in event time after the last hit of its last alert; 0: DefaultRetention
	Logger     *slog.Logger

	rt    *engine.Runtime
	rules *rule.Set // of the open transaction
}

// DefaultRetention is how long alerts are kept in event time.
const DefaultRetention = 90 * 24 * time.Hour

// Define builds the goka graph on rt.
func (g *Group) Define(rt *engine.Runtime) engine.Spec {
	g.rt = rt
	if g.Logger == nil {
		g.Logger = slog.New(slog.DiscardHandler)
	}
	if g.Retention <= 0 {
		g.Retention = DefaultRetention
	}
	g.begin()
	return engine.Spec{
		Graph: goka.DefineGroup(goka.Group(g.Names.In(topology.GroupAlerts)),
			rt.Input(g.Names.In(topology.Findings), g.finding),
			rt.Input(g.Names.In(topology.Commands), g.decision),
			goka.Output(goka.Stream(g.Names.In(topology.Alerts)), new(codec.Bytes)),
			goka.Output(goka.Stream(g.Names.In(topology.DeadLetters)), new(codec.Bytes)),
			goka.Persist(new(codec.Bytes))),
		Upstream: []string{g.Names.In(topology.GroupOrders), g.Names.In(topology.GroupEntities)},
		Hooks: engine.Hooks{
			Begin:    g.begin,
			Deadline: func(_ string, row []byte) (event.UnixMilli, bool) { return dueAt(row) },
			Timer:    g.timer,
		},
	}
}

// begin takes the rules that hold for a whole transaction. No callback runs.
func (g *Group) begin() { g.rules = g.Rules.Load() }

func (g *Group) finding(ctx goka.Context, msg any) {
	raw, _ := msg.([]byte)
	if engine.IsMark(ctx.Key()) {
		if err := g.rt.Partition(ctx.Partition()).Mark(raw); err != nil {
			ctx.Fail(err)
		}
		return
	}
	f, err := parseFinding(ctx.Key(), raw)
	if err != nil {
		g.refuse(ctx, raw, err)
		return
	}
	g.process(ctx, raw, &Input{Finding: f})
}

func (g *Group) decision(ctx goka.Context, msg any) {
	raw, _ := msg.([]byte)
	d, err := parseDecision(ctx.Key(), raw)
	if err != nil {
		g.refuse(ctx, raw, err)
		return
	}
	g.process(ctx, raw, &Input{Decision: d})
}

// process folds one record into the row of its entity.
func (g *Group) process(ctx goka.Context, raw []byte, in *Input) {
	p := g.rt.Partition(ctx.Partition())
	var stored table.Case
	if row, _ := ctx.Value().([]byte); row != nil {
		if err := stored.UnmarshalVT(row); err != nil {
			ctx.Fail(fmt.Errorf("row of entity %q: %w", ctx.Key(), err))
		}
	}
	var out Output
	failed := g.input(p, ctx.Key(), in)
	if err := g.step(&stored, in, &out); err != nil {
		g.refuse(ctx, raw, err)
		return
	}
	to := edge{
		emit:   func(value []byte) { ctx.Emit(goka.Stream(g.Names.In(topology.Alerts)), ctx.Key(), value, contentType) },
		set:    func(value []byte) error { ctx.SetValue(value); return nil },
		delete: func() error { ctx.Delete(); return nil },
	}
	if err := g.apply(p, &stored, &out, failed, to); err != nil {
		ctx.Fail(err)
	}
}

// edge is where a step's row and events go: by goka in a callback, by the engine at the barrier.
type edge struct {
	emit   func(value []byte)
	set    func(value []byte) error
	delete func() error
}

// contentType is the header of a CloudEvent in structured mode.
var contentType = goka.WithCtxEmitHeaders(goka.Headers{"content-type": []byte(alert.ContentType)})

// input completes what Step is asked. The error that it returns a place for is of reading rows beside the entity's.
func (g *Group) input(p *engine.Partition, key string, in *Input) *error {
	failed := new(error)
	in.Entity, in.Watermark, in.Partitions, in.Retention = key, p.Watermark(), g.Partitions, g.Retention
	in.Rule, in.Grace = g.rules.Rule, g.rules.Grace
	in.Get = func(key string) []byte {
		row, err := p.Get(key)
		if err != nil && *failed == nil {
			*failed = err
		}
		return row
	}
	return failed
}

// step keeps a defect to the record that brings it out. It stands around pure code only: a failure of state or output must stop the
// processor, not cost a finding.
func (g *Group) step(row *table.Case, in *Input, out *Output) (err error) {
	defer func() {
		if r := recover(); r != nil {
			g.Logger.Error("a record or a timer made the alerts group panic; a record is in the dead-letter topic",
				"entity", in.Entity, "panic", r, "stack", string(debug.Stack()))
			err = &event.Malformed{Reason: event.ReasonPanic, Detail: fmt.Sprint(r)}
		}
	}()
	Step(row, in, out)
	return nil
}

// apply writes what a step has left.
func (g *Group) apply(p *engine.Partition, row *table.Case, out *Output, failed *error, to edge) error {
	if *failed != nil {
		return *failed
	}
	for _, c := range out.Counts {
		p.Count(c.Name, c.N)
	}
	for _, r := range out.Rows {
		if err := p.Set(r.Key, r.Value); err != nil {
			return err
		}
	}
	for i := range out.Tell {
		value, err := cloudEvent(g.Names, row, &out.Tell[i])
		if err != nil {
			return err
		}
		to.emit(value)
	}
	switch {
	case out.Delete:
		return to.delete()
	case out.Unchanged:
		return nil
	}
	value, err := row.MarshalVT()
	if err != nil {
		return err
	}
	return to.set(value)
}

// timer ends episodes, drops what is settled, and deletes a row that is past its retention.
func (g *Group) timer(tx *engine.Tx, p *engine.Partition, key string, raw []byte) error {
	var row table.Case
	if err := row.UnmarshalVT(raw); err != nil {
		return fmt.Errorf("row of entity %q: %w", key, err)
	}
	var in Input
	var out Output
	failed := g.input(p, key, &in)
	if err := g.step(&row, &in, &out); err != nil { // the row stays as it was, and asks again when something comes
		p.Count(CounterTimerPanics, 1)
		row.Reset()
		if err := row.UnmarshalVT(raw); err != nil {
			return err
		}
		row.DueMs = 0
		out = Output{}
	}
	return g.apply(p, &row, &out, failed, edge{
		emit:   func(value []byte) { tx.Emit(g.Names.In(topology.Alerts), key, value) },
		set:    func(value []byte) error { return p.Set(key, value) },
		delete: func() error { return p.Delete(key) },
	})
}

// refuse sends the record, as it came, to the dead-letter topic with the reason.
func (g *Group) refuse(ctx goka.Context, raw []byte, cause error) {
	key, value, size := letter(ctx.Key(), raw)
	headers := goka.Headers{}
	if size > 0 {
		headers[event.HeaderSize] = strconv.AppendInt(nil, int64(size), 10)
	}
	maps.Copy(headers, event.DeadLetterHeaders(cause, string(ctx.Topic()), ctx.Partition(), ctx.Offset()))
	g.rt.Partition(ctx.Partition()).Count(CounterDeadLetters, 1)
	ctx.Emit(goka.Stream(g.Names.In(topology.DeadLetters)), key, value, goka.WithCtxEmitHeaders(headers))
}
