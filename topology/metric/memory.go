package metric

// Bounds of the memory that is kept from one drain to the next. What a burst took beyond them goes back.
const (
	kept         = 1 << 14 // entries of a map or list that is emptied at each drain
	keptSeries   = 1 << 16
	keptBlocks   = 64
	keptSketches = 1 << 10
	blockSize    = 512
)

// blocks hands out room for values that all become free together.
type blocks[T any] struct {
	blocks   [][]T
	at, used int // the block in use, and how much of it is
}

// take returns n zero values that stand together.
func (b *blocks[T]) take(n int) []T {
	if b.at < len(b.blocks) && b.used+n > len(b.blocks[b.at]) {
		b.at, b.used = b.at+1, 0
	}
	if b.at == len(b.blocks) {
		b.blocks = append(b.blocks, make([]T, max(n, blockSize)))
	}
	room := b.blocks[b.at][b.used : b.used+n : b.used+n]
	b.used += n
	clear(room)
	return room
}

func (b *blocks[T]) reset() {
	if len(b.blocks) > keptBlocks {
		b.blocks = nil
	}
	b.at, b.used = 0, 0
}

// reuse empties a list.
func reuse[T any](list []T) []T {
	if cap(list) > kept {
		return nil
	}
	clear(list) // what it points to can go; beyond its length it has been cleared before
	return list[:0]
}

// reuseMap empties a map.
func reuseMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil || len(m) > kept {
		return make(map[K]V)
	}
	clear(m)
	return m
}
