package views

import (
	"maps"
	"slices"
	"sync"
)

// changedCases are the entities whose rows changed since they were indexed.
type changedCases struct {
	mu   sync.Mutex
	keys map[string]struct{}
	all  bool
	wake chan struct{}
}

func (c *changedCases) note(key string) {
	if c.keep(key) {
		c.signal()
	}
}

// keep notes without waking: the next tick comes. It tells false where everything is to be read anyway.
func (c *changedCases) keep(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all {
		return false
	}
	if c.keys == nil {
		c.keys = map[string]struct{}{}
	}
	if c.keys[key] = struct{}{}; len(c.keys) > changedBound {
		c.all, c.keys = true, nil
	}
	return true
}

func (c *changedCases) keepAll() {
	c.mu.Lock()
	c.all, c.keys = true, nil
	c.mu.Unlock()
}

func (c *changedCases) everything() {
	c.keepAll()
	c.signal()
}

func (c *changedCases) signal() { poke(c.wake) }

func (c *changedCases) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all || len(c.keys) > 0
}

func (c *changedCases) take() (keys []string, all bool) {
	c.mu.Lock()
	noted, all := c.keys, c.all
	c.keys, c.all = nil, false
	c.mu.Unlock()
	return slices.Collect(maps.Keys(noted)), all
}
