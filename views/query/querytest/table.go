// Package querytest is a metrics table in memory, for tests of everything that reads one: queries, live push, HTTP and the
// dashboard. It behaves as a view does: rows are stored before listeners hear of them.
package querytest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/topology/event"
	"weir/topology/metric/sketch"
	"weir/topology/table"
	"weir/views/query"
)

// Table implements query.Metrics in memory.
type Table struct {
	mu        sync.RWMutex
	keys      []string
	rows      map[string][]byte
	progress  query.Progress
	listeners []query.Listener
	broken    error
}

// New is an empty table of 8 partitions.
func New() *Table {
	return &Table{rows: map[string][]byte{}, progress: query.Progress{Present: 8, Expected: 8}}
}

// Subscribe makes l hear of changes.
func (t *Table) Subscribe(l query.Listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, l)
}

func (t *Table) tell(f func(query.Listener)) {
	t.mu.RLock()
	ls := slices.Clone(t.listeners)
	t.mu.RUnlock()
	for _, l := range ls {
		f(l)
	}
}

// Key is a row's key.
func Key(metric, window string, start time.Time, labels ...string) string {
	return fmt.Sprintf("%s/%s/%s/%s", metric, window, start.UTC().Format("2006-01-02T15:04:05Z"), strings.Join(labels, ","))
}

// Set stores a row; nil deletes it.
func (t *Table) Set(key string, c *table.Cell) {
	t.mu.Lock()
	i, found := slices.BinarySearch(t.keys, key)
	switch {
	case c == nil:
		if found {
			t.keys = slices.Delete(t.keys, i, i+1)
			delete(t.rows, key)
		}
	default:
		data, err := c.MarshalVT()
		if err != nil {
			panic(err)
		}
		if !found {
			t.keys = slices.Insert(t.keys, i, key)
		}
		t.rows[key] = data
		t.progress.AsOf = time.Now()
	}
	t.mu.Unlock()
	t.tell(func(l query.Listener) { l.RowChanged(key) })
}

// Written sets when the newest row was written, and until when all that was sent is in the table.
func (t *Table) Written(asOf, caughtUpAt time.Time) {
	t.mu.Lock()
	t.progress.AsOf, t.progress.CaughtUpAt = asOf, caughtUpAt
	t.mu.Unlock()
	t.tell(query.Listener.ProgressChanged)
}

// Add adds count and sum to a row.
func (t *Table) Add(key string, count, sum int64) {
	t.Update(key, func(c *table.Cell) { c.Count, c.Sum = c.Count+count, c.Sum+sum })
}

// Update changes a row, which is made where it is missing.
func (t *Table) Update(key string, change func(*table.Cell)) {
	c := t.Get(key)
	if c == nil {
		c = &table.Cell{}
	}
	change(c)
	t.Set(key, c)
}

// Took adds one duration to a row of quantiles.
func (t *Table) Took(key string, d time.Duration) {
	t.Update(key, func(c *table.Cell) {
		merged, err := sketch.MergeQuantiles(c.Quantiles, sketch.AppendQuantiles(nil, []int64{d.Milliseconds()}))
		if err != nil {
			panic(err)
		}
		c.Count, c.Quantiles = c.Count+1, merged
	})
}

// Saw adds one value to a row of distinct values.
func (t *Table) Saw(key string, value string) {
	t.Update(key, func(c *table.Cell) {
		merged, err := sketch.MergeDistinct(c.Distinct, sketch.AppendDistinct(nil, []uint64{sketch.Hash(value)}))
		if err != nil {
			panic(err)
		}
		c.Count, c.Distinct = c.Count+1, merged
	})
}

// Sold adds a value with its weight to a row of the most frequent ones.
func (t *Table) Sold(key, value string, weight int64) {
	t.Update(key, func(c *table.Cell) {
		c.Count, c.Sum = c.Count+1, c.Sum+weight
		c.Top = sketch.MergeTop(c.Top, []*table.TopEntry{{Value: value, Count: weight}})
	})
}

// Get is a copy of a row, nil where there is none.
func (t *Table) Get(key string) *table.Cell {
	t.mu.RLock()
	defer t.mu.RUnlock()
	data, ok := t.rows[key]
	if !ok {
		return nil
	}
	c := &table.Cell{}
	if err := c.UnmarshalVT(data); err != nil {
		panic(err)
	}
	return c
}

// Keys are all keys in order.
func (t *Table) Keys() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.keys)
}

// Watermark moves event time.
func (t *Table) Watermark(at time.Time) {
	t.mu.Lock()
	t.progress.Watermark = event.UnixMilli(at.UnixMilli())
	t.mu.Unlock()
	t.tell(func(l query.Listener) { l.ProgressChanged() })
}

// Present sets how many of the partitions are recovered.
func (t *Table) Present(n int) {
	t.mu.Lock()
	t.progress.Present = n
	t.mu.Unlock()
	t.tell(func(l query.Listener) { l.ProgressChanged() })
}

// Break makes every Scan fail; nil mends it.
func (t *Table) Break(err error) {
	t.mu.Lock()
	t.broken = err
	t.mu.Unlock()
}

// Progress implements query.Metrics.
func (t *Table) Progress() query.Progress {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.progress
}

// Scan implements query.Metrics. Like a view's, it sees each row as it is when it gets there.
func (t *Table) Scan(start, limit string, fn func(key string, value []byte) error) error {
	t.mu.RLock()
	if t.broken != nil {
		t.mu.RUnlock()
		return t.broken
	}
	from, _ := slices.BinarySearch(t.keys, start)
	to, _ := slices.BinarySearch(t.keys, limit)
	keys := slices.Clone(t.keys[from:max(from, to)])
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = t.rows[k]
	}
	t.mu.RUnlock()
	for i, k := range keys {
		if err := fn(k, values[i]); err != nil {
			return err
		}
	}
	return nil
}
