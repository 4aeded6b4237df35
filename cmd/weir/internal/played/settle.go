package played

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"weir/cmd/weir/internal/simulated"
	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/sim"
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
	for _, g := range w.groups {
		positions[g.Name], err = w.adm.FetchOffsets(ctx, w.in(g.Name))
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has joined yet
			return nil, fmt.Errorf("asking for the offsets of group %s: %w", g.Name, err)
		}
	}
	open, err := w.reading.catchUp(ctx)
	if err != nil {
		return nil, err
	}
	for _, tp := range open {
		missing = append(missing, fmt.Sprintf("a transaction is open in %s", tp))
	}
	for _, g := range w.groups {
		for _, topic := range g.Inputs {
			for p := range w.Partitions() {
				next := w.reading.logs[topicPartition{w.in(topic), p}].next
				at := int64(0)
				if o, ok := positions[g.Name].Lookup(w.in(topic), p); ok {
					at = max(o.At, 0)
				}
				if at < next {
					missing = append(missing, fmt.Sprintf("%s has committed %s/%d up to offset %d of %d", g.Name, topic, p, at, next))
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

// place is a partition of a group.
type place struct {
	group     string
	partition int32
}

// watermarks tells which partitions have not reached a time, and which do not know how far those of the groups before them are.
func (w *Weir) watermarks(reached event.UnixMilli) (missing []string, err error) {
	at := map[place]event.UnixMilli{}
	for _, g := range w.groups { // a group comes after those that it hears of
		for p := range w.Partitions() {
			m, err := w.marks(g.Name, p)
			if err != nil {
				return nil, err
			}
			here := place{g.Name, p}
			at[here] = event.UnixMilli(m.WatermarkMs)
			if at[here] < reached {
				missing = append(missing, fmt.Sprintf("the watermark of %v is %s and not %s", here, at[here].Time(), reached.Time()))
			}
			known := map[place]event.UnixMilli{}
			for _, s := range m.Sources {
				known[place{s.Source, s.Partition}] = event.UnixMilli(s.WatermarkMs)
			}
			for _, before := range upstream(g) {
				for from := range w.Partitions() {
					there := place{before, from}
					if heard := known[place{w.in(before), from}]; heard != at[there] {
						missing = append(missing, fmt.Sprintf("%v knows %s of %v, which is at %s", here, heard.Time(), there, at[there].Time()))
					}
				}
			}
		}
	}
	return missing, nil
}

// upstream are the groups whose watermarks make a group's own.
func upstream(g sim.Group) []string {
	if len(g.Sources) == 0 && len(g.Upstream) == 0 {
		return []string{topology.GroupOrders}
	}
	return g.Upstream
}

// timers tells which rows are past their deadline.
func (w *Weir) timers(event.UnixMilli) (missing []string, err error) {
	for _, g := range w.groups {
		rows := g.New() // the simulator's, which knows the same deadlines
		for p := range w.Partitions() {
			m, err := w.marks(g.Name, p)
			if err != nil {
				return nil, err
			}
			for key, row := range w.reading.logs[w.tablePartition(g.Name, p)].rows {
				if isReserved(key) {
					continue
				}
				if at, ok := rows.Deadline(key, row); ok && at <= event.UnixMilli(m.WatermarkMs) {
					missing = append(missing, fmt.Sprintf("row %q of %s/%d is past its deadline %s", key, g.Name, p, at.Time()))
				}
			}
		}
	}
	return missing, nil
}

func (w *Weir) tablePartition(group string, p int32) topicPartition {
	return topicPartition{w.in(simulated.Tables[group]), p}
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
