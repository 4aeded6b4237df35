package search

import "weir/topology/event"

// Started calls fn for each alert whose first hit lies in [from, to), in no order. fn must not keep the alert, nor ask the index.
func (x *Index) Started(from, to event.UnixMilli, fn func(*Alert)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for s := range x.slots {
		if a := &x.slots[s]; a.ID != "" && from <= a.Started && a.Started < to {
			fn(a)
		}
	}
}
