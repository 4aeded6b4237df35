package engine

import (
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Input is an edge of the group's graph: fn is called for each record of the topic, with its value.
//
// The engine calls goka once for all that a poll brought of a partition of a topic. goka's way from a claim to a callback (two channels, a
// context, a message, a promise for each write) costs more than what most callbacks do. The context that fn gets is its record's; what
// it emits, and how it fails, are the batch's.
//
// Invariant: a batch belongs to one poll, so it ends before the barrier does.
func (rt *Runtime) Input(topic string, fn goka.ProcessCallback) goka.Edge {
	return goka.Input(goka.Stream(topic), new(codec.Bytes), func(ctx goka.Context, msg any) {
		if rt.stock {
			fn(ctx, msg)
			return
		}
		p := rt.Partition(ctx.Partition())
		b := p.inputs[topic]
		in := input{gokaContext: ctx, p: p, topic: ctx.Topic()}
		for _, in.r = range b.records {
			in.key = string(in.r.Key)
			var value any
			if in.r.Value != nil {
				value = in.r.Value
			}
			if fn(&in, value); in.failed {
				break // goka's Fail returns when the generation is over
			}
		}
		b.records = nil
	})
}

// batch is what the last poll brought for one partition of an input topic. The loop fills it before goka is told of it.
type batch struct{ records []*kgo.Record }

type gokaContext goka.Context

// input is the goka.Context of one record of a batch.
type input struct {
	gokaContext
	r      *kgo.Record
	p      *Partition
	topic  goka.Stream
	key    string
	failed bool
}

func (in *input) Key() string          { return in.key }
func (in *input) Topic() goka.Stream   { return in.topic }
func (in *input) Partition() int32     { return in.p.num }
func (in *input) Offset() int64        { return in.r.Offset }
func (in *input) Timestamp() time.Time { return in.r.Timestamp }

// Headers are the record's own: a dead letter keeps them.
func (in *input) Headers() goka.Headers {
	headers := make(goka.Headers, len(in.r.Headers))
	for _, h := range in.r.Headers {
		headers[h.Key] = h.Value
	}
	return headers
}

// Value is the row of the record's key, decoded by the table's codec; nil if there is none.
func (in *input) Value() any {
	row, err := in.p.Get(in.key)
	if err != nil {
		in.Fail(err)
	}
	if row == nil {
		return nil
	}
	value, err := in.codec().Decode(row)
	if err != nil {
		in.Fail(err)
	}
	return value
}

// SetValue writes the row of the record's key.
func (in *input) SetValue(value any, _ ...goka.ContextOption) {
	row, err := in.codec().Encode(value)
	if err == nil {
		err = in.p.Set(in.key, row)
	}
	if err != nil {
		in.Fail(err)
	}
}

// Delete removes the row of the record's key.
func (in *input) Delete(...goka.ContextOption) {
	if err := in.p.Delete(in.key); err != nil {
		in.Fail(err)
	}
}

// Fail ends the processor.
func (in *input) Fail(err error) {
	in.failed = true
	in.gokaContext.Fail(err)
}

func (in *input) codec() goka.Codec { return in.p.rt.spec.Graph.GroupTable().Codec() }
