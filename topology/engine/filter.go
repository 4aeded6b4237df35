package engine

import (
	"github.com/bits-and-blooms/bloom/v3"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// keyFilter knows which keys are not among a table's committed rows, so that the first event of an order need not search for them. It grows by layers, each
// twice as large as the one before; a deleted key stays in it, which costs a search and nothing else.
//
// A table that held rows when it was opened is read in the background; until that has ended the filter knows nothing.
type keyFilter struct {
	layers []*bloom.BloomFilter
	room   uint // left in the last layer
	size   uint // of the last layer, in keys

	complete bool
	older    chan *bloom.BloomFilter // the rows from before, nil when they have been taken in
	off      bool                    // beyond maxFilterKeys: memory is worth more
	keys     uint
}

const (
	firstLayerKeys = 1 << 16
	maxFilterKeys  = 16 << 20 // a partition; 10 bits each
	filterErrors   = 0.01
)

// open starts to learn the rows that db holds.
func (f *keyFilter) open(db *level) {
	f.older = make(chan *bloom.BloomFilter, 1)
	go func() {
		it := db.NewIterator(&util.Range{Start: []byte{rowPrefix}, Limit: []byte{rowPrefix + 1}}, nil)
		defer it.Release()
		var keys [][]byte
		for it.Next() && len(keys) <= maxFilterKeys {
			keys = append(keys, append([]byte(nil), it.Key()[1:]...))
		}
		if it.Error() != nil || len(keys) > maxFilterKeys {
			return // never complete: every read searches, which is right and slow
		}
		b := bloom.NewWithEstimates(uint(max(len(keys), 1)), filterErrors)
		for _, k := range keys {
			b.Add(k)
		}
		f.older <- b
	}()
}

// settle takes in what was learnt in the background. It is called at the barrier.
func (f *keyFilter) settle() {
	if f.complete || f.older == nil {
		return
	}
	select {
	case b := <-f.older:
		f.layers = append(f.layers, b)
		f.size, f.room = 0, 0
		f.complete = true
	default:
	}
}

// add notes a row that is about to be committed.
func (f *keyFilter) add(key string) {
	if f.off || f.has(key) {
		return
	}
	if f.keys++; f.keys > maxFilterKeys {
		f.off, f.layers = true, nil
		return
	}
	if f.room == 0 {
		f.size = max(firstLayerKeys, 2*f.size)
		f.room = f.size
		f.layers = append(f.layers, bloom.NewWithEstimates(f.size, filterErrors))
	}
	f.room--
	f.layers[len(f.layers)-1].AddString(key)
}

// absent reports that there is certainly no committed row.
func (f *keyFilter) absent(key string) bool { return f.complete && !f.off && !f.has(key) }

func (f *keyFilter) has(key string) bool {
	for i := len(f.layers) - 1; i >= 0; i-- {
		if f.layers[i].TestString(key) {
			return true
		}
	}
	return false
}
