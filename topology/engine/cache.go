package engine

// cache keeps committed rows in two generations: what is read or written goes to the young one; when that is full it becomes the
// old one, and the old one is forgotten. Half of limit bounds each. An order's events come close together, so this is
// nearly as good as LRU at the cost of a map.
type cache struct {
	limit      int // bytes, keys and values
	young, old map[string][]byte
	youngBytes int
}

const cacheEntryBytes = 64 // of map, slice and string headers, roughly

func (c *cache) get(key string) ([]byte, bool) {
	if v, ok := c.young[key]; ok {
		return v, true
	}
	v, ok := c.old[key]
	if ok {
		c.put(key, v)
	}
	return v, ok
}

// put keeps a row; nil keeps the knowledge that there is none.
func (c *cache) put(key string, value []byte) {
	if c.young == nil {
		c.young = map[string][]byte{}
	}
	c.young[key] = value
	c.youngBytes += len(key) + len(value) + cacheEntryBytes
	if c.youngBytes > c.limit/2 {
		c.old, c.young, c.youngBytes = c.young, make(map[string][]byte, len(c.young)), 0
	}
}
