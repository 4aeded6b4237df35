package played

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Stats counts what was done to the instances.
type Stats struct{ Crashes, Wipes, Kicks, Joins, Leaves int }

func (s Stats) total() int { return s.Crashes + s.Kicks + s.Joins + s.Leaves }

// Stats tells what the schedule did to the instances so far.
func (w *Weir) Stats() Stats { return w.stats }

// Aborts is how many transactions of the running instances were dropped.
func (w *Weir) Aborts() (n int) {
	for _, in := range w.instances {
		n += in.count(aborts)
	}
	return n
}

const maxInstances = 3

func (w *Weir) hostile() bool {
	return w.schedule.Crash > 0 || w.schedule.Abort > 0 || w.schedule.Rebalance > 0
}

// disturb does to the instances what the schedule's chances say, while they work on what was just fed.
func (w *Weir) disturb() error {
	if w.rng.Float64() < w.schedule.Crash {
		if err := w.crash(w.anyone()); err != nil {
			return err
		}
	}
	if w.rng.Float64() < w.schedule.Abort {
		if err := w.kick(w.anyone()); err != nil {
			return err
		}
	}
	if w.rng.Float64() < w.schedule.Rebalance {
		return w.scale()
	}
	return nil
}

func (w *Weir) anyone() *instance { return w.instances[w.rng.IntN(len(w.instances))] }

// crash takes the open transactions from an instance, as a kill -9 would, and starts it again: on the tables it had, or without any,
// as on another machine.
func (w *Weir) crash(in *instance) error {
	w.stats.Crashes++
	for _, g := range w.groups {
		if err := w.fence(w.in(g.Name) + "-" + in.name); err != nil {
			return err
		}
	}
	if err := in.stop(); err != nil {
		return err
	}
	if w.rng.IntN(2) == 0 {
		w.stats.Wipes++
		if err := os.RemoveAll(in.config.DataDir); err != nil {
			return err
		}
	}
	return w.start(in)
}

// fence aborts the open transaction of a transactional id; whoever wrote it can commit nothing any more.
func (w *Weir) fence(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	opts, err := w.config.Kafka.With(kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("fencing %s: %w", id, err)
	}
	return nil
}

// kick takes an instance out of its groups while it works, as the coordinator does with one that was silent for too long: what it
// has open is refused, and it joins anew.
func (w *Weir) kick(in *instance) error {
	w.stats.Kicks++
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for _, g := range w.groups {
		if err := w.leave(ctx, g.Name, in.name); err != nil {
			return err
		}
	}
	return nil
}

// scale adds an instance, or stops one other than the first, which leaves.
func (w *Weir) scale() error {
	n := len(w.instances)
	if n == 1 || n < maxInstances && w.rng.IntN(2) == 0 {
		w.stats.Joins++
		return w.join()
	}
	w.stats.Leaves++
	last := w.instances[n-1]
	w.instances = w.instances[:n-1]
	return last.stop()
}
