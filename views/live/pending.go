package live

import (
	"strings"
	"sync"
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
}

// Empty tells whether nothing changed.
func (c Changed) Empty() bool { return len(c.Groups) == 0 && !c.All && !c.Progress && !c.Alerts }

// pending collects changes from the tables' goroutines. Its methods take a lock for a map insert and never wait for a reader.
type pending struct {
	mu      sync.Mutex
	changed Changed
	wake    chan struct{} // holds one token while changed is not empty
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
	p.changed = Changed{All: true, Progress: true, Alerts: p.changed.Alerts}
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
