package views

import (
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"weir/topology/engine"
)

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
