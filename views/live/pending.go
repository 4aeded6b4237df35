package live

import (
	"strings"
	"sync"
	"sync/atomic"
)

// pendingBound is how many distinct (table row group) keys may wait between two turns of the hub. Beyond it single changes are
// forgotten and every feed looks at everything once: dearer, never wrong.
const pendingBound = 65_536

// Changed is what happened since the hub looked last.
type Changed struct {
	Groups   map[string]struct{} // row groups that changed: metric/window/start
	All      bool                // too much changed to name, or rows went away unseen
	Progress bool                // the watermark or the set of partitions moved
	Alerts   bool                // alerts changed, or their table moved
	Orders   map[string]struct{} // watched orders that changed
	// OrdersMoved tells that the set of recovered partitions of the orders may have changed; OrdersAll that any row may have.
	OrdersMoved, OrdersAll bool
	Second                 bool // a second has passed
}

// Empty tells whether nothing changed.
func (c Changed) Empty() bool {
	return len(c.Groups) == 0 && !c.All && !c.Progress && !c.Alerts && len(c.Orders) == 0 && !c.OrdersMoved && !c.OrdersAll && !c.Second
}

// pending collects changes from the tables' goroutines. Its methods take a lock for a map insert and never wait for a reader.
type pending struct {
	mu      sync.Mutex
	changed Changed
	watched map[string]int // orders that feeds watch, and how many do
	wake    chan struct{}  // holds one token while changed is not empty
	// watching is len(watched) > 0: the busy table of orders passes by without a lock while nobody watches.
	watching atomic.Bool
}

func newPending() *pending { return &pending{wake: make(chan struct{}, 1)} }

// RowChanged notes that the row of key was stored or deleted.
func (p *pending) RowChanged(key string) {
	group := groupOf(key)
	p.mu.Lock()
	if !p.changed.All {
		if p.changed.Groups == nil {
			p.changed.Groups = make(map[string]struct{})
		}
		if _, ok := p.changed.Groups[group]; !ok {
			if len(p.changed.Groups) >= pendingBound {
				p.changed.All, p.changed.Groups = true, nil
			} else {
				p.changed.Groups[strings.Clone(group)] = struct{}{}
			}
		}
	}
	p.mu.Unlock()
	p.signal()
}

// ProgressChanged notes that the watermark or the readiness of a partition moved.
func (p *pending) ProgressChanged() {
	p.mu.Lock()
	p.changed.Progress = true
	p.mu.Unlock()
	p.signal()
}

// AlertsChanged notes that alerts changed. Which ones their index knows.
func (p *pending) AlertsChanged() {
	p.mu.Lock()
	p.changed.Alerts = true
	p.mu.Unlock()
	p.signal()
}

// Resync notes that rows may have changed without RowChanged: a table was rebuilt.
func (p *pending) Resync() {
	p.mu.Lock()
	p.changed.All, p.changed.Progress, p.changed.Groups = true, true, nil
	p.mu.Unlock()
	p.signal()
}

// secondPassed wakes feeds of what has no changes to tell of.
func (p *pending) secondPassed() {
	p.mu.Lock()
	p.changed.Second = true
	p.mu.Unlock()
	p.signal()
}

func (p *pending) watch(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watched == nil {
		p.watched = map[string]int{}
	}
	for _, id := range ids {
		p.watched[id]++
	}
	p.watching.Store(len(p.watched) > 0)
}

func (p *pending) unwatch(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if p.watched[id]--; p.watched[id] <= 0 {
			delete(p.watched, id)
		}
	}
	p.watching.Store(len(p.watched) > 0)
}

// orderChanges is pending as the listener of the table of orders.
type orderChanges pending

func (o *orderChanges) RowChanged(id string) {
	p := (*pending)(o)
	if !p.watching.Load() {
		return
	}
	p.mu.Lock()
	_, watched := p.watched[id]
	if watched {
		if p.changed.Orders == nil {
			p.changed.Orders = map[string]struct{}{}
		}
		p.changed.Orders[strings.Clone(id)] = struct{}{}
	}
	p.mu.Unlock()
	if watched {
		p.signal()
	}
}

func (o *orderChanges) ProgressChanged() { (*pending)(o).ordersMoved(false) }
func (o *orderChanges) Resync()          { (*pending)(o).ordersMoved(true) }

func (p *pending) ordersMoved(all bool) {
	if !p.watching.Load() {
		return
	}
	p.mu.Lock()
	p.changed.OrdersMoved, p.changed.OrdersAll = true, p.changed.OrdersAll || all
	p.mu.Unlock()
	p.signal()
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pending) take() Changed {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.changed
	p.changed = Changed{}
	return c
}

// groupOf cuts a metric row key metric/window/start/labels before its labels; another key is its own group.
func groupOf(key string) string {
	end := 0
	for range 3 {
		i := strings.IndexByte(key[end:], '/')
		if i < 0 {
			return key
		}
		end += i + 1
	}
	return key[:end-1]
}
