package backtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/processors/entities"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/table"
)

// WarmOptions say what to fill from the log.
type WarmOptions struct {
	Set     *rule.Set       // see Quiet
	Series  map[uint32]bool // those to fill
	Events  iter.Seq2[sim.Record, error]
	Parsers map[string]*event.Parser
	Orders  orders.Settings
	// Send takes records of weir-observations. It returns when they are written.
	Send     func(ctx context.Context, records []sim.Record) error
	TempDir  string
	Progress func(done int64)
}

// Warmed is what was done.
type Warmed struct {
	Events       int64 // read
	Observations int64 // of entities, sent
	Records      int64
	Waiting      int64 // events whose order.created lies before what was read: they fill nothing
}

// Quiet is a document whose rules ask nothing: only what they and the features keep of events is left.
func Quiet(d *rule.Document) *rule.Document {
	c := *d
	c.Rules = slices.Clone(d.Rules)
	for i := range c.Rules {
		if s := c.Rules[i].State; s == "" || s.Evaluated() {
			c.Rules[i].State = rule.Paused
		}
	}
	return &c
}

// SeriesOf finds the series that features or rules of these names read; all of them without a name.
func SeriesOf(set *rule.Set, names []string) (map[uint32]bool, error) {
	found, wanted := map[uint32]bool{}, map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	used := map[string]bool{}
	for _, s := range set.Cost().Series {
		for _, name := range slices.Concat(s.Features, s.Rules) {
			if wanted[name] {
				found[s.ID], used[name] = true, true
			}
		}
		if len(names) == 0 {
			found[s.ID] = true
		}
	}
	for name := range used {
		delete(wanted, name)
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("no feature or rule that keeps anything is called %s", strings.Join(slices.Sorted(maps.Keys(wanted)), ", "))
	}
	return found, nil
}

// Warm reads events again and sends what the series keep of them. Rules raise nothing at them. Sending the same again changes
// nothing: group entities knows events by their identity.
func Warm(ctx context.Context, o WarmOptions) (*Warmed, error) {
	if o.Orders == (orders.Settings{}) {
		o.Orders = orders.DefaultSettings()
	}
	none, err := metric.Compile(nil)
	if err != nil {
		return nil, err
	}
	w := &warming{series: o.Series, out: &Warmed{}}
	var stores []*rows
	cfg := sim.Config{Stream: true, Start: time.UnixMilli(1), Idle: defaultIdle, Rows: func(string, int32) sim.Rows {
		s := newRows(o.TempDir, defaultMemory/2)
		stores = append(stores, s)
		return s
	}}
	c, err := sim.New(cfg, orders.Simulate(o.Orders, none, rule.NewCurrent(o.Set), o.Parsers),
		sim.Group{Name: topology.GroupEntities, Inputs: []string{topology.Observations}, New: func() sim.Processor { return w }})
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range stores {
			s.close()
		}
	}()
	err = w.play(ctx, c, &o)
	for _, s := range stores {
		err = errors.Join(err, s.err)
	}
	w.out.Waiting = c.Counters(topology.GroupOrders)[orders.CounterWaiting]
	return w.out, err
}

// warmBatch is how many events become one batch of records.
const warmBatch = 20_000

func (w *warming) play(ctx context.Context, c *sim.Cluster, o *WarmOptions) error {
	flush := func() error {
		if err := c.Settle(); err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(w.out.Events)
		}
		w.out.Records += int64(len(w.records))
		err := o.Send(ctx, w.records)
		w.records = nil
		return err
	}
	for r, err := range o.Events {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		c.Replay(r)
		if w.out.Events++; w.out.Events%warmBatch == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), flush())
}

// warming stands where group entities would: it keeps of observations what is wanted, and marks it.
type warming struct {
	series  map[uint32]bool
	records []sim.Record
	out     *Warmed
}

func (w *warming) Process(_ *sim.Partition, r *sim.Record) error {
	var o table.Observation
	var body []byte
	for rest := r.Value; len(rest) > 0; {
		var err error
		if rest, err = o.Parse(rest); err != nil {
			return err
		}
		o.Values = slices.DeleteFunc(o.Values, func(v table.SeriesValue) bool { return !w.series[v.Series] })
		if len(o.Values) == 0 {
			continue
		}
		o.Gates, o.Flags = nil, o.Flags|table.FlagBackfill
		body = o.Append(body)
		w.out.Observations++
	}
	if len(body) > 0 {
		w.records = append(w.records, sim.Record{Topic: topology.Observations, Key: r.Key, Value: body})
	}
	return nil
}

func (w *warming) BeforeCommit(func(topic, key string, value []byte)) error { return nil }
func (w *warming) Rollback()                                                {}
func (w *warming) Deadline(string, []byte) (event.UnixMilli, bool)          { return 0, false }
func (w *warming) Timer(*sim.Partition, string, []byte) error               { return nil }

// Complete are the records that tell a partition that series were filled, and since when they are complete.
func Complete(series map[uint32]bool, since event.UnixMilli) (records []sim.Record) {
	for _, id := range slices.Sorted(maps.Keys(series)) {
		key, value := entities.WarmRecord(id, since)
		records = append(records, sim.Record{Topic: topology.Observations, Key: key, Value: value})
	}
	return records
}
