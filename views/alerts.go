package views

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/topology/event"
	rows "weir/topology/table"
	"weir/views/query"
	"weir/views/search"
)

// Alerts is the copy of weir-alerts-table with an index for searching.
//
//	view callback ─► changedCases ─► follow ─► search.Index ─► watchers: a decision that waits, the live hub
//	   never blocks    bounded         reads the rows that changed
type Alerts struct {
	*view
	index   *search.Index
	indexed atomic.Bool // all rows have been put into the index once
	changed changedCases

	watchMu  sync.Mutex
	watchers map[string]map[chan struct{}]struct{} // by entity
	hub      func()
}

const (
	changedBound = 65_536 // entities that may wait to be indexed; beyond it all rows are read again
	retryEvery   = time.Second
	applyAtOnce  = 1_024 // entities between two looks at who waits
)

func newAlerts(v *view) *Alerts {
	a := &Alerts{view: v, index: search.New(search.DefaultMax), watchers: map[string]map[chan struct{}]struct{}{}}
	a.changed = changedCases{all: true, wake: make(chan struct{}, 1)}
	a.view.Subscribe(a)
	return a
}

// Subscribe makes changed hear, in follow's goroutine, that alerts or the table's progress changed. It must not block.
func (a *Alerts) Subscribe(changed func()) {
	a.watchMu.Lock()
	a.hub = changed
	a.watchMu.Unlock()
}

// RowChanged, ProgressChanged and Resync are the view's: they note and return.
func (a *Alerts) RowChanged(key string) { a.changed.note(key) }

// ProgressChanged notes that the watermark moved or a partition is there.
func (a *Alerts) ProgressChanged() { a.changed.signal() }

// Resync notes that all rows have to be read again.
func (a *Alerts) Resync() { a.changed.everything() }

var _ query.Listener = (*Alerts)(nil)

// Search answers a question about all alerts.
func (a *Alerts) Search(q *search.Query) (*search.Answer, error) {
	if err := a.searchable(); err != nil {
		return nil, err
	}
	return a.index.Search(q, a.moment()), nil
}

// Changed tells whether the answer to q may differ from what it was at the sequence number since: see search.Index.
func (a *Alerts) Changed(q *search.Query, since uint64, shown func(id string) bool) (seq uint64, yes bool, err error) {
	if err := a.searchable(); err != nil {
		return 0, false, err
	}
	seq, yes = a.index.Changed(q, a.moment(), since, shown)
	return seq, yes, nil
}

// Sharing gives the alerts about any of the entities or with any of the orders, but the one of the id.
func (a *Alerts) Sharing(entities, orders []string, but string, limit int) ([]search.Shared, error) {
	if err := a.searchable(); err != nil {
		return nil, err
	}
	return a.index.Sharing(entities, orders, but, limit), nil
}

// Find tells which alert has the id now, or had it before, and about which entity it is; "" where there is none.
func (a *Alerts) Find(id string) (now, entity string, err error) {
	if err := a.searchable(); err != nil {
		return "", "", err
	}
	found, _ := a.index.Find(id)
	return found.ID, found.Entity, nil
}

// Case reads the row of an entity; nil without an error where there is none.
func (a *Alerts) Case(entity string) (*rows.Case, error) {
	data, _, err := a.row(entity)
	if data == nil || err != nil {
		return nil, err
	}
	return decodeCase(entity, data)
}

func decodeCase(entity string, data []byte) (*rows.Case, error) {
	var c rows.Case
	if err := c.UnmarshalVT(data); err != nil {
		return nil, &brokenError{entity, err}
	}
	return &c, nil
}

// brokenError is a row that does not say what it should. It must not keep the others from being found.
type brokenError struct {
	entity string
	err    error
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("the case of %q cannot be decoded: %v", e.entity, e.err)
}
func (e *brokenError) Unwrap() error { return e.err }

// Watch tells, by a channel that holds one token, that the entity's row has changed and is indexed. stop ends it.
func (a *Alerts) Watch(entity string) (changes <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	a.watchMu.Lock()
	defer a.watchMu.Unlock()
	if a.watchers[entity] == nil {
		a.watchers[entity] = map[chan struct{}]struct{}{}
	}
	a.watchers[entity][ch] = struct{}{}
	return ch, func() {
		a.watchMu.Lock()
		defer a.watchMu.Unlock()
		if delete(a.watchers[entity], ch); len(a.watchers[entity]) == 0 {
			delete(a.watchers, entity)
		}
	}
}

func (a *Alerts) moment() search.Moment {
	return search.Moment{Watermark: a.Progress().Watermark, Now: time.Now()}
}

func (a *Alerts) searchable() error {
	switch ok, _ := a.recovered(); {
	case a.indexed.Load():
		return nil
	case ok:
		return &query.NotReadyError{Table: a.table, Why: "alerts are being indexed"}
	}
	return a.incomplete()
}

// follow keeps the index until ctx ends.
func (a *Alerts) follow(ctx context.Context) error {
	tick := time.NewTicker(retryEvery) // also for alerts whose snooze ends
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed.wake:
		case now := <-tick.C:
			if !a.index.Wake(now) && !a.changed.waiting() {
				continue
			}
		}
		if err := a.renew(ctx); err != nil {
			var starting *query.NotReadyError
			if !errors.As(err, &starting) {
				a.log.Warn("alerts could not be indexed; it is tried again", "error", err)
			}
		}
		a.tell(nil, true)
	}
}

// renew indexes what has changed. What it could not read stays noted.
func (a *Alerts) renew(ctx context.Context) error {
	keys, all := a.changed.take()
	if all {
		if err := a.renewAll(ctx); err != nil {
			a.changed.keepAll()
			return err
		}
		return nil
	}
	for start := 0; start < len(keys); start += applyAtOnce {
		part := keys[start:min(start+applyAtOnce, len(keys))]
		for i, key := range part {
			c, err := a.Case(key)
			var broken *brokenError
			if errors.As(err, &broken) {
				a.log.Error("alerts are left out of the search", "error", err)
			} else if err != nil {
				for _, left := range keys[start+i:] {
					a.changed.keep(left)
				}
				a.tell(part[:i], false)
				return err
			}
			a.index.Put(key, search.Of(key, c, time.Now()))
		}
		a.tell(part, false)
	}
	return nil
}

// renewAll reads the whole table. Entities that have no row any more go; questions are answered meanwhile, unless it is the first time.
func (a *Alerts) renewAll(ctx context.Context) error {
	if ok, _ := a.recovered(); !ok {
		return a.incomplete()
	}
	seen := map[string]struct{}{}
	err := a.scan(firstKey, lastKey, func(key string, value []byte) error {
		key = strings.Clone(key)
		c, err := decodeCase(key, value)
		if err != nil {
			a.log.Error("alerts are left out of the search", "error", err)
		}
		seen[key] = struct{}{}
		a.index.Put(key, search.Of(key, c, time.Now()))
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, key := range a.index.Entities() {
		if _, ok := seen[key]; !ok {
			a.index.Put(key, nil)
		}
	}
	a.indexed.Store(true)
	a.watchMu.Lock()
	defer a.watchMu.Unlock()
	for _, chans := range a.watchers {
		for ch := range chans {
			poke(ch)
		}
	}
	return nil
}

// The keys of rows: reserved ones begin with a zero byte, and none begins with 0xff, which is not UTF-8.
const firstKey, lastKey = "\x01", "\xff"

// tell wakes who waits for one of the entities, and the hub.
func (a *Alerts) tell(entities []string, hub bool) {
	a.watchMu.Lock()
	if len(a.watchers) > 0 {
		for _, e := range entities {
			for ch := range a.watchers[e] {
				poke(ch)
			}
		}
	}
	changed := a.hub
	a.watchMu.Unlock()
	if hub && changed != nil {
		changed()
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Started calls fn for each alert whose first hit lies in [from, to): see search.Index.
func (a *Alerts) Started(from, to event.UnixMilli, fn func(*search.Alert)) error {
	if err := a.searchable(); err != nil {
		return err
	}
	a.index.Started(from, to, fn)
	return nil
}
