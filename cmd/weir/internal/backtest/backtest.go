// Package backtest runs rules over the past: the same Steps as live, in the simulator, with nothing told to anybody.
//
// It stands beside an event's journey. Events come from files or from the history of the source topics, in the order in which they
// arrived; they go through orders, entities and alerts; what the table of alerts holds in the end becomes a Report. Event time,
// lateness, cooldown and limits are those of a live run with one partition, so the alerts are the ones that would have been raised.
//
//	backtest.go Options, Run
//	journey.go  the three groups in a simulated cluster
//	rows.go     rows beyond a few hundred megabytes lie in a temporary file
//	report.go   Report
//	collect.go  the table of alerts is counted; sample.go: some of them; tell.go: counts → Report
//	truth.go    what is known to be fraud
//	labels.go   recall, precision, value caught
//	history.go  the source topics' past as events
//	tests.go    tests that stand beside rules
//	warm.go     features that are new are filled from the past
package backtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/sim"
)

// Options say what to run.
type Options struct {
	// Set is what is tried: its live and shadow rules. The rules' Stats count on, so compile one for each run.
	Set *rule.Set
	// Against is run over the same events to compare with, nil for nothing.
	Against *rule.Set
	// Events in the order of their arrival. Topic names a parser; Timestamp is the arrival, which moves the clock: 0 is that of the
	// record before. An error ends the run.
	Events iter.Seq2[sim.Record, error]
	// Parsers by topic. Nil: the canonical events of the three source streams.
	Parsers map[string]*event.Parser
	// From and To bound what is reported: alerts that began in [From, To). Events before From fill features, those that arrived at To
	// or later are not read. Zero: no bound.
	From, To time.Time
	// Truth is what is known to be fraud, nil if nothing is.
	Truth *Truth

	Orders     orders.Settings // zero: as shipped
	Disorder   time.Duration   // see sim.Config
	Idle       time.Duration   // a source that is silent for so long holds event time back no more; 0: 30 s
	Partitions int32           // of the source topics, for the places that explanations cite; 0: those of Events

	MaxEvents   int64         // 0: no limit
	MaxTime     time.Duration // 0: no limit
	MaxAlerts   int           // in the report; 0: 1,000
	MemoryBytes int64         // of rows in memory; beyond them they go to a file in TempDir; 0: 256 MiB
	TempDir     string        // "": the system's
	// Progress is told every now and then how many events were played.
	Progress func(done int64)
}

const (
	defaultIdle      = 30 * time.Second
	defaultMaxAlerts = 1000
	defaultMemory    = 256 << 20

	// A batch is what one transaction takes: so much, or less where the clock moves on by batchTime.
	maxBatch  = 4096
	batchTime = 10 * time.Second
)

func (o *Options) fill() error {
	switch {
	case o.Set == nil || o.Events == nil:
		return errors.New("backtest: rules and events are needed")
	case !o.To.IsZero() && !o.From.Before(o.To):
		return fmt.Errorf("the range from %s to %s is empty", o.From.Format(time.RFC3339), o.To.Format(time.RFC3339))
	}
	if o.Parsers == nil {
		o.Parsers = map[string]*event.Parser{}
		for _, topic := range []string{topology.Orders, topology.Payments, topology.Shipments} {
			o.Parsers[topic] = event.Canonical()
		}
	}
	if o.Orders == (orders.Settings{}) {
		o.Orders = orders.DefaultSettings()
	}
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	if o.MaxAlerts == 0 {
		o.MaxAlerts = defaultMaxAlerts
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	return nil
}

// Reasons why a report is partial.
const (
	Cancelled  = "cancelled"
	EventLimit = "event limit"
	TimeLimit  = "time limit"
)

// Run plays the events and reports. If ctx ends or a limit is reached the report is of what was played until then, and says so in
// Partial.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	r := &run{Options: o, began: time.Now()}
	defer r.close()
	var err error
	if r.tried, err = newJourney(&r.Options, o.Set, o.MemoryBytes); err != nil {
		return nil, err
	}
	if o.Against != nil {
		if r.against, err = newJourney(&r.Options, o.Against, o.MemoryBytes); err != nil {
			return nil, err
		}
	}
	if err := r.play(ctx); err != nil {
		return nil, err
	}
	return r.report()
}

type run struct {
	Options
	began          time.Time
	tried, against *journey

	events      int64
	batch       int
	batchBegan  event.UnixMilli
	first, last event.UnixMilli // arrival
	partial     string
}

func (r *run) close() {
	for _, j := range []*journey{r.tried, r.against} {
		if j != nil {
			j.close()
		}
	}
}

// play reads the events.
func (r *run) play(ctx context.Context) error {
	to := event.UnixMilli(0)
	if !r.To.IsZero() {
		to = event.UnixMilli(r.To.UnixMilli())
	}
	for record, err := range r.Events {
		switch {
		case ctx.Err() != nil:
			r.partial = Cancelled
		case err != nil:
			return err
		case r.MaxEvents > 0 && r.events >= r.MaxEvents:
			r.partial = EventLimit
		case r.MaxTime > 0 && r.batch == 0 && time.Since(r.began) > r.MaxTime:
			r.partial = TimeLimit
		}
		if r.partial != "" {
			break
		}
		if record.Timestamp == 0 {
			record.Timestamp = r.last
		}
		if to > 0 && record.Timestamp >= to {
			continue // another partition may still have earlier ones
		}
		if err := r.add(record); err != nil {
			return err
		}
	}
	if ctx.Err() != nil { // it may have ended the events, too
		r.partial = Cancelled
	}
	return r.flush()
}

func (r *run) add(record sim.Record) error {
	if r.Parsers[record.Topic] == nil {
		return fmt.Errorf("topic %q is no source of events", record.Topic)
	}
	if r.batch > 0 && record.Timestamp-r.batchBegan >= event.UnixMilli(batchTime.Milliseconds()) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if r.batch == 0 {
		r.batchBegan = record.Timestamp
	}
	if r.first == 0 || record.Timestamp < r.first {
		r.first = record.Timestamp
	}
	r.last = max(r.last, record.Timestamp)
	r.events++
	r.batch++
	r.tried.cluster.Replay(record)
	if r.against != nil {
		r.against.cluster.Replay(record)
	}
	if r.batch >= maxBatch {
		return r.flush()
	}
	return nil
}

// flush processes a batch.
func (r *run) flush() error {
	for _, j := range []*journey{r.tried, r.against} {
		if j == nil {
			continue
		}
		if err := j.settle(); err != nil {
			return err
		}
	}
	r.batch = 0
	if r.Progress != nil {
		r.Progress(r.events)
	}
	return nil
}
