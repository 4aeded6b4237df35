package views

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/topology/client"
	"weir/topology/engine"
	"weir/views/query"
)

const existsWithin = 5 * time.Second

// errMissing is that a table does not exist.
var errMissing = errors.New("it does not exist, because its group has not run here; `weir process` with that group, " +
	"or `weir topics --ensure`, creates it")

// exists refuses to open an optional table that is not there: asking is cheap, a view that cannot open is not.
func (v *view) exists(ctx context.Context) error {
	if !v.optional || v.deps.Exists == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, existsWithin)
	defer cancel()
	there, err := v.deps.Exists(ctx, v.table)
	if err == nil && !there {
		err = errMissing
	}
	return err
}

func (v *view) notReady() error {
	why := "it is starting"
	if _, err := v.Partitions(); err != nil {
		why = err.Error()
	}
	return &query.NotReadyError{Table: v.table, Why: why}
}

// row reads one row at the partition of its key; nil without an error where there is none. The caller does not keep data for long.
func (v *view) row(key string) (data []byte, partition int32, err error) {
	if key == "" || engine.IsReserved(key) {
		return nil, 0, nil
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.atHome(key)
}

// atHome reads one row at the partition of its key. The caller holds mu.
func (v *view) atHome(key string) (data []byte, partition int32, err error) {
	states, _ := v.Partitions()
	if v.goka == nil || len(states) == 0 {
		return nil, 0, v.notReady()
	}
	partition = client.Partition([]byte(key), int32(len(states)))
	if !states[partition].Recovered {
		return nil, 0, &query.NotReadyError{Table: v.table, Why: fmt.Sprintf("partition %d is not recovered", partition)}
	}
	value, err := v.goka.Get(key)
	if err != nil {
		return nil, 0, fmt.Errorf("reading %q of %s: %w", key, v.table, err)
	}
	data, _ = value.([]byte)
	return data, partition, nil
}

// recovered tells whether all partitions are there, and if not, what is missing.
func (v *view) recovered() (ok bool, why string) {
	states, err := v.Partitions()
	switch n := present(states); {
	case err != nil:
		return false, err.Error()
	case len(states) == 0:
		return false, "starting"
	case n < len(states):
		return false, fmt.Sprintf("%d of %d partitions recovered", n, len(states))
	}
	return true, ""
}

// incomplete is the error of a question that needs the whole table.
func (v *view) incomplete() error {
	_, why := v.recovered()
	return &query.NotReadyError{Table: v.table, Why: why}
}

// Missing tells that there is no such table.
func (v *view) Missing() bool {
	v.progressMu.Lock()
	defer v.progressMu.Unlock()
	return v.missing
}

// snapshot is what the table's open partitions hold now. The copy stays open until release is called, so call it soon.
func (v *view) snapshot() (s *engine.Snapshot, release func(), err error) {
	v.mu.RLock()
	if states, _ := v.Partitions(); v.goka == nil || len(states) == 0 || v.deps.Copies == nil {
		v.mu.RUnlock()
		return nil, nil, v.notReady()
	}
	if s, err = v.deps.Copies.Snapshot(v.table); err != nil {
		v.mu.RUnlock()
		return nil, nil, fmt.Errorf("reading %s: %w", v.table, err)
	}
	return s, sync.OnceFunc(func() {
		s.Release()
		v.mu.RUnlock()
	}), nil
}

// scan walks start ≤ key < limit in all partitions, reserved rows included.
func (v *view) scan(start, limit string, fn func(key string, value []byte) error) error {
	s, release, err := v.snapshot()
	if err != nil {
		return err
	}
	defer release()
	return s.Scan(start, limit, fn)
}
