package engine

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// viewStore is one partition of a table's copy. Readers see the state behind the last transaction that came as a whole.
//
//	Set, Delete ─► open ─ whole ─► settled ─ 1 MiB or 1 s ─► LevelDB, with the offset that is reached
//	                 └─ a transaction of more than 1 MiB ─► LevelDB; readers have a snapshot from before it until it is whole
//
// A crash loses only what the changelog brings again. One in the midst of a large transaction leaves a part of it in LevelDB: the
// partition has no rows to show until the rest has come, which is before it counts as recovered.
type viewStore struct {
	db *leveldb.DB

	mu        sync.RWMutex
	open      []viewRow // of transactions that have not come as a whole
	openBytes int
	received  int64             // offset of the newest record
	settled   map[string][]byte // of whole transactions, not written yet; nil values are tombstones
	bytes     int
	offset    int64           // that settled and LevelDB reach together
	before    *sharedSnapshot // LevelDB without the part of the open transaction that is written; nil: none is
	torn      bool            // such a part was written in an earlier life, and the rest has not come yet
	marked    bool            // LevelDB says that it holds such a part
	limit     int             // bytes that wait in memory
	err       error           // of a write in the background

	stop    chan struct{}
	stopped sync.WaitGroup
	closing func() // nil, or what comes before the database is closed
}

type viewRow struct {
	key   string
	value []byte
}

const (
	viewBatchBytes = 1 << 20
	viewFlushEvery = time.Second
	keptRows       = 1_024 // that the next transaction finds room for
)

var metaTorn = []byte("mtorn")

func openViewStore(cfg ViewConfig, log *slog.Logger, topic string, partition int32) (*viewStore, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	id, err := topicIdentity(ctx, cfg.Kafka, topic)
	if err != nil {
		return nil, err
	}
	begin, err := logStart(cfg.Kafka, topic, partition)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.DataDir, topic, strconv.Itoa(int(partition)))
	db, err := openLevel(path, id, viewBuffer, log.Warn)
	if err != nil {
		return nil, err
	}
	if db, err = rebuiltIfBehind(db, path, id, viewBuffer, begin, log.Warn); err != nil {
		return nil, err
	}
	return newViewStore(db)
}

func newViewStore(db *leveldb.DB) (*viewStore, error) {
	torn, err := db.Has(metaTorn, nil)
	if err != nil {
		return nil, err
	}
	v := &viewStore{db: db, settled: map[string][]byte{}, received: -1, offset: -1, torn: torn, marked: torn, limit: viewBatchBytes,
		stop: make(chan struct{})}
	v.stopped.Add(1)
	go v.flushEvery()
	return v, nil
}

func (v *viewStore) flushEvery() {
	defer v.stopped.Done()
	t := time.NewTicker(viewFlushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			v.mu.Lock()
			v.err = v.flush()
			v.mu.Unlock()
		case <-v.stop:
			return
		}
	}
}

// flush writes what has settled. The caller holds mu.
func (v *viewStore) flush() error {
	if v.err != nil {
		return v.err
	}
	if len(v.settled) == 0 {
		return nil
	}
	var batch leveldb.Batch
	var key []byte
	for k, value := range v.settled {
		key = putRow(&batch, key, k, value)
	}
	if v.marked {
		batch.Delete(metaTorn)
	}
	if err := v.write(&batch, v.offset); err != nil {
		return err
	}
	v.marked = false
	clear(v.settled)
	v.bytes = 0
	return nil
}

func putRow(batch *leveldb.Batch, scratch []byte, key string, value []byte) []byte {
	scratch = append(append(scratch[:0], rowPrefix), key...)
	if value == nil {
		batch.Delete(scratch)
	} else {
		batch.Put(scratch, value)
	}
	return scratch
}

func (v *viewStore) write(batch *leveldb.Batch, offset int64) error {
	if offset >= 0 {
		batch.Put(metaOffset, strconv.AppendInt(nil, offset, 10))
	}
	if err := v.db.Write(batch, nil); err != nil {
		return fmt.Errorf("writing a view: %w (is the disk full?)", err)
	}
	return nil
}

// spill writes a part of a transaction that is too large to be kept in memory until it is whole. The caller holds mu.
func (v *viewStore) spill() error {
	if err := v.flush(); err != nil {
		return err
	}
	if v.before == nil && !v.torn {
		s, err := v.db.GetSnapshot()
		if err != nil {
			return err
		}
		v.before = share(s)
	}
	var batch leveldb.Batch
	var key []byte
	for _, r := range v.open {
		key = putRow(&batch, key, r.key, r.value)
	}
	batch.Put(metaTorn, nil)
	if err := v.write(&batch, v.received); err != nil {
		return err
	}
	v.marked, v.open, v.openBytes = true, v.open[:0], 0
	return nil
}

// settle lets readers see everything that has been received.
func (v *viewStore) settle() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.open {
		v.settled[r.key] = r.value
	}
	v.bytes += v.openBytes
	clear(v.open) // the rows are settled's now
	if cap(v.open) > keptRows {
		v.open = nil
	}
	v.open, v.openBytes, v.offset, v.torn = v.open[:0], 0, v.received, false
	if v.before != nil {
		v.before.release()
		v.before = nil
	}
	if v.bytes >= v.limit {
		v.err = v.flush()
	}
	return v.err
}

func (v *viewStore) Open() error { return nil }

func (v *viewStore) Close() error {
	if v.closing != nil {
		v.closing()
	}
	close(v.stop)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.before != nil {
		v.before.release()
	}
	if err := v.flush(); err != nil {
		return err
	}
	return v.db.Close()
}

func (v *viewStore) Has(key string) (bool, error) {
	b, err := v.Get(key)
	return b != nil, err
}

func (v *viewStore) Get(key string) ([]byte, error) {
	v.mu.RLock() // over the reading: LevelDB must not get a part of a transaction meanwhile
	defer v.mu.RUnlock()
	if v.torn {
		return nil, nil
	}
	b, ok := v.settled[key]
	if ok {
		return b, nil
	}
	var err error
	if key := append([]byte{rowPrefix}, key...); v.before != nil {
		b, err = v.before.Get(key, nil)
	} else {
		b, err = v.db.Get(key, nil)
	}
	if err == leveldb.ErrNotFound {
		return nil, nil
	}
	return b, err
}

func (v *viewStore) Set(key string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = append(v.open, viewRow{key, value})
	v.openBytes += len(key) + len(value)
	if v.openBytes >= v.limit {
		v.err = v.spill()
	}
	return v.err
}

// Delete stores a tombstone, or settles: see StoreRow.
func (v *viewStore) Delete(key string) error {
	if key == wholeKey {
		return v.settle()
	}
	return v.Set(key, nil)
}

// GetOffset is the offset of the newest record that was received: the one from which goka reads on.
func (v *viewStore) GetOffset(def int64) (int64, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	b, err := v.db.Get(metaOffset, nil)
	if err == leveldb.ErrNotFound {
		if v.received >= 0 {
			return v.received, nil
		}
		return def, nil
	}
	if err != nil {
		return 0, err
	}
	stored, err := strconv.ParseInt(string(b), 10, 64)
	return max(stored, v.received), err
}

func (v *viewStore) SetOffset(offset int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.received = max(v.received, offset)
	if len(v.open) == 0 && v.before == nil && !v.torn {
		v.offset = v.received
	}
	return nil
}

func (v *viewStore) MarkRecovered() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = v.flush()
	return v.err
}

func (v *viewStore) Iterator() (storage.Iterator, error) { return v.IteratorWithRange(nil, nil) }

// IteratorWithRange walks [start, limit) over what readers see now; an empty limit means no bound.
func (v *viewStore) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	s, err := v.snapshot()
	if err != nil {
		return nil, err
	}
	if s == nil {
		return &viewIterator{iterator.NewEmptyIterator(nil)}, nil
	}
	defer s.release() // the iterator stays valid
	return &viewIterator{s.NewIterator(viewRange(start, limit), nil)}, nil
}

func viewRange(start, limit []byte) *util.Range {
	r := &util.Range{Start: append([]byte{rowPrefix}, start...), Limit: []byte{rowPrefix + 1}}
	if len(limit) > 0 {
		r.Limit = append([]byte{rowPrefix}, limit...)
	}
	return r
}

// snapshot is what readers see now; nil: nothing. The caller releases it.
func (v *viewStore) snapshot() (*sharedSnapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.torn || v.err != nil {
		return nil, v.err
	}
	if v.before != nil {
		v.before.refs.Add(1)
		return v.before, nil
	}
	if v.err = v.flush(); v.err != nil {
		return nil, v.err
	}
	s, err := v.db.GetSnapshot()
	if err != nil {
		return nil, err
	}
	return share(s), nil
}

// sharedSnapshot ends when the last of its users releases it.
type sharedSnapshot struct {
	*leveldb.Snapshot
	refs atomic.Int32
}

func share(s *leveldb.Snapshot) *sharedSnapshot {
	shared := &sharedSnapshot{Snapshot: s}
	shared.refs.Store(1)
	return shared
}

func (s *sharedSnapshot) release() {
	if s.refs.Add(-1) == 0 {
		s.Release()
	}
}

// levelIterator is what viewIterator needs of LevelDB's iterator.
type levelIterator interface {
	Next() bool
	Error() error
	Key() []byte
	Value() []byte
	Release()
	Seek([]byte) bool
}

type viewIterator struct{ levelIterator }

func (i *viewIterator) Err() error             { return i.Error() }
func (i *viewIterator) Key() []byte            { return i.levelIterator.Key()[1:] }
func (i *viewIterator) Value() ([]byte, error) { return i.levelIterator.Value(), nil }
func (i *viewIterator) Seek(key []byte) bool {
	return i.levelIterator.Seek(append([]byte{rowPrefix}, key...))
}
