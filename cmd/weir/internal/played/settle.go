package played

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
)

// askEvery is the pause between two looks at the broker.
const askEvery = 10 * time.Millisecond

// maxShown bounds how much of what is missing is told.
const maxShown = 12

// Settle waits until nothing is left to do.
func (w *Weir) Settle(reached event.UnixMilli) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.place.Patience)
	defer cancel()
	var missing []string
	for {
		m, err := w.missing(ctx, reached)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if missing = m; len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(askEvery):
		}
	}
	if n := len(missing); n > maxShown {
		missing = append(missing[:maxShown:maxShown], fmt.Sprintf("and %d more", n-maxShown))
	}
	return fmt.Errorf("not settled after %s (%+v):\n  %s", w.place.Patience, w.stats, strings.Join(missing, "\n  "))
}

// missing tells what still has to happen. Its parts are asked for in an order in which nothing can slip through: first how far the
// groups have come, then everything that has been written. If that holds nothing that they have not read, no transaction is open, no
// watermark is still to be passed on and no timer is due, then nothing will be written any more.
func (w *Weir) missing(ctx context.Context, reached event.UnixMilli) (missing []string, err error) {
	positions := map[string]kadm.OffsetResponses{}
	for _, group := range []string{topology.GroupOrders, topology.GroupMetrics} {
		positions[group], err = w.adm.FetchOffsets(ctx, w.in(group))
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has joined yet
			return nil, fmt.Errorf("asking for the offsets of group %s: %w", group, err)
		}
	}
	open, err := w.reading.catchUp(ctx)
	if err != nil {
		return nil, err
	}
	for _, tp := range open {
		missing = append(missing, fmt.Sprintf("a transaction is open in %s", tp))
	}
	for group, topics := range map[string][]string{
		topology.GroupOrders: {topology.Orders, topology.Payments, topology.Shipments}, topology.GroupMetrics: {topology.Deltas},
	} {
		for _, topic := range topics {
			for p := range w.Partitions() {
				next := w.reading.logs[topicPartition{w.in(topic), p}].next
				at := int64(0)
				if o, ok := positions[group].Lookup(w.in(topic), p); ok {
					at = max(o.At, 0)
				}
				if at < next {
					missing = append(missing, fmt.Sprintf("%s has committed %s/%d up to offset %d of %d", group, topic, p, at, next))
				}
			}
		}
	}
	for _, look := range []func(event.UnixMilli) ([]string, error){w.watermarks, w.timers} {
		more, err := look(reached)
		if err != nil {
			return nil, err
		}
		missing = append(missing, more...)
	}
	return missing, nil
}

// watermarks tells which partitions have not reached a time, and which of group orders have not passed theirs on.
func (w *Weir) watermarks(reached event.UnixMilli) (missing []string, err error) {
	passed := map[int32]event.UnixMilli{}
	for _, group := range []string{topology.GroupOrders, topology.GroupMetrics} {
		for p := range w.Partitions() {
			m, err := w.marks(group, p)
			if err != nil {
				return nil, err
			}
			if at := event.UnixMilli(m.WatermarkMs); at < reached {
				missing = append(missing, fmt.Sprintf("the watermark of %s/%d is %s and not %s", group, p, at.Time(), reached.Time()))
			}
			if group == topology.GroupOrders {
				passed[p] = event.UnixMilli(m.WatermarkMs)
				continue
			}
			known := map[int32]event.UnixMilli{}
			for _, s := range m.Sources {
				known[s.Partition] = event.UnixMilli(s.WatermarkMs)
			}
			for from, at := range passed {
				if known[from] != at {
					missing = append(missing, fmt.Sprintf("%s/%d knows %s of %s/%d, which is at %s", group, p, known[from].Time(), topology.GroupOrders, from, at.Time()))
				}
			}
		}
	}
	return missing, nil
}

// timers tells which rows are past their deadline.
func (w *Weir) timers(event.UnixMilli) (missing []string, err error) {
	deadlines := map[string]func(key string, row []byte) (event.UnixMilli, error){
		topology.GroupOrders: func(_ string, row []byte) (event.UnixMilli, error) {
			var o table.Order
			err := o.UnmarshalVT(row)
			return orders.Deadline(&w.settings, &o), err
		},
		topology.GroupMetrics: func(key string, row []byte) (event.UnixMilli, error) {
			var c table.Cell
			err := c.UnmarshalVT(row)
			at, _ := metrics.Deadline(w.set, key, &c)
			return at, err
		},
	}
	for group, deadline := range deadlines {
		for p := range w.Partitions() {
			m, err := w.marks(group, p)
			if err != nil {
				return nil, err
			}
			for key, row := range w.reading.logs[w.tablePartition(group, p)].rows {
				if isReserved(key) {
					continue
				}
				at, err := deadline(key, row)
				if err != nil {
					return nil, fmt.Errorf("row %q of %s: %w", key, group, err)
				}
				if at > 0 && at <= event.UnixMilli(m.WatermarkMs) {
					missing = append(missing, fmt.Sprintf("row %q of %s/%d is past its deadline %s", key, group, p, at.Time()))
				}
			}
		}
	}
	return missing, nil
}

func (w *Weir) tablePartition(group string, p int32) topicPartition {
	name := map[string]string{topology.GroupOrders: topology.TableOrders, topology.GroupMetrics: topology.TableMetrics}[group]
	return topicPartition{w.in(name), p}
}

// marks is what a partition of a group's table knows of event time, and its counters. The zero Marks stands for none.
func (w *Weir) marks(group string, p int32) (*table.Marks, error) {
	m := new(table.Marks)
	log := w.reading.logs[w.tablePartition(group, p)]
	if log == nil {
		return nil, fmt.Errorf("there is no group %q", group)
	}
	if err := m.UnmarshalVT(log.rows[engine.MarksKey]); err != nil {
		return nil, fmt.Errorf("marks row of %s/%d: %w", group, p, err)
	}
	return m, nil
}
