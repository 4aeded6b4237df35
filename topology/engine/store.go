package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/event"
)

// Store is one partition of a group table: uncommitted rows over committed ones.
//
//	Get ─► dirty ─► (filter) ─► settled ─► flushing ─► cache ─► LevelDB
//	Set ─► dirty ──commit──► settled ──when large or old──► flushing ──written beside the next batches──► cache
//	           └──abort──► gone
//
// Committed rows wait in settled, because an order's events come close together: most rows change again before they are
// written, and the changelog has them if the process dies.
//
// Invariant: LevelDB holds only committed rows, and reaches at least the changelog offset it names.
type Store struct {
	rt        *Runtime
	topic     string
	partition int32
	db        *level

	dirty      map[string][]byte // nil value = deleted
	dirtyBytes int
	fired      []fired      // index entries handled since the last commit
	records    []kgo.Record // of the changelog: memory of produceChangelog, empty between transactions

	settled      map[string][]byte
	settledBytes int
	settledAt    time.Time // of the first row in settled
	settledFired []fired

	flushing      map[string][]byte
	flushingFired []fired
	flushed       chan error // nil: no write under way

	cache        cache
	filter       keyFilter
	hits, misses int64 // since the last report
	recovered    bool
	ending       sync.Mutex // goka marks a table recovered in a goroutine that it does not wait for when it stops
	closed       bool
	offset       int64 // of the changelog, as recovered or committed
	sentTo       int64 // greatest changelog offset of the open transaction

	// nextDeadline is not later than the earliest entry of the deadline index; entries of rows that are still dirty or flushing
	// count from the commit that wrote them.
	nextDeadline event.UnixMilli
	// scanFrom: the index holds no earlier deadline but those of entries that were fired and are not deleted yet. Deleted entries stay
	// in LevelDB's way until it is compacted, so each look at the index begins here. firedTo is the last entry that was handled since,
	// where there were more than a barrier handles; refired says that entries from scanFrom on may have been fired already.
	scanFrom            event.UnixMilli
	firedTo             []byte
	refired             bool
	nextDeadlineFlushed event.UnixMilli // earliest deadline of the write under way; valid once it ended

	// What the index does not know yet, where Spec.TimersSend. Deadlines are not later than the earliest of those rows; settledTo is the
	// watermark of the last commit, and the other two follow it with the rows.
	// Invariant: rows that were committed when the watermark was indexedTo are in the index. indexedTo ≤ flushingTo ≤ settledTo.
	dirtyDeadline, settledDeadline, flushingDeadline event.UnixMilli
	settledTo, flushingTo, indexedTo                 event.UnixMilli
}

// fired is an index entry that was handled, and the deadline that its row has instead, 0 for none: that one is indexed again, because
// the hook may count deadlines from settings that were others when the row was written.
type fired struct {
	entry string
	moved event.UnixMilli
}

const noDeadline = event.UnixMilli(math.MaxInt64)

var _ storage.Storage = (*Store)(nil)

func (rt *Runtime) openStore(topic string, partition int32) (storage.Storage, error) {
	db, err := rt.levels.open(topic, partition)
	if err != nil {
		return nil, err
	}
	s := &Store{rt: rt, topic: topic, partition: partition, db: db, dirty: map[string][]byte{}, settled: map[string][]byte{}, offset: -1,
		nextDeadline: noDeadline, dirtyDeadline: noDeadline, settledDeadline: noDeadline, flushingDeadline: noDeadline}
	s.cache.limit = rt.cfg.CacheBytes / 8
	if topic == rt.table {
		rt.Partition(partition).store = s
	}
	return s, nil
}

// Open does nothing: the database is open since openStore and outlives the generation.
func (s *Store) Open() error { return nil }

// Close waits for the last write. Rows that are not committed are dropped.
func (s *Store) Close() error {
	s.ending.Lock()
	defer s.ending.Unlock()
	s.closed = true
	if !s.recovered && len(s.dirty) > 0 { // recovery was cut short: what was read is committed, keep it
		if err := s.writeRecovered(); err != nil {
			return err
		}
	}
	err := s.flushAll()
	s.rt.levels.release(s.db)
	return err
}

// Has reports whether there is a row.
func (s *Store) Has(key string) (bool, error) {
	v, err := s.Get(key)
	return v != nil, err
}

// Get returns the row, nil if there is none. The bytes must not be changed.
func (s *Store) Get(key string) ([]byte, error) {
	if v, ok := s.dirty[key]; ok {
		return v, nil
	}
	if s.filter.absent(key) {
		return nil, nil
	}
	if v, ok := s.settled[key]; ok {
		return v, nil
	}
	if v, ok := s.flushing[key]; ok {
		return v, nil
	}
	if v, ok := s.cache.get(key); ok {
		s.hits++
		return v, nil
	}
	s.misses++
	v, err := s.db.get(key)
	if err == nil && v != nil {
		s.cache.put(key, v)
	}
	return v, err
}

// Set writes a row; nil deletes it. The store keeps value.
func (s *Store) Set(key string, value []byte) error {
	if key == "" {
		return errors.New("a row needs a key: records without one belong to the dead-letter topic")
	}
	s.dirty[key] = value
	s.dirtyBytes += len(key) + len(value)
	if !s.recovered && s.dirtyBytes >= recoveryBatchBytes {
		return s.writeRecovered()
	}
	return nil
}

// Delete removes a row.
func (s *Store) Delete(key string) error { return s.Set(key, nil) }

const recoveryBatchBytes = 2 << 20

// GetOffset is the changelog offset that the database reaches.
func (s *Store) GetOffset(def int64) (int64, error) {
	v, err := s.db.meta(metaOffset)
	if err != nil || v == nil {
		return def, err
	}
	return strconv.ParseInt(string(v), 10, 64)
}

// SetOffset notes how far recovery has read.
func (s *Store) SetOffset(offset int64) error {
	if !s.recovered {
		s.offset = max(s.offset, offset)
	}
	return nil
}

// MarkRecovered ends recovery: from here on rows become LevelDB's by commits.
func (s *Store) MarkRecovered() error {
	s.ending.Lock()
	defer s.ending.Unlock()
	if s.closed {
		return nil
	}
	if err := s.writeRecovered(); err != nil {
		return err
	}
	s.recovered = true
	s.filter.open(s.db)
	next, err := s.db.firstDeadline()
	s.nextDeadline = next
	return err
}

// writeRecovered writes what recovery has read so far, with its offset.
func (s *Store) writeRecovered() error {
	w := <-s.rt.writers
	defer s.rt.giveBack(w)
	s.addRows(w, s.dirty)
	if s.offset >= 0 {
		w.batch.Put(metaOffset, strconv.AppendInt(nil, s.offset, 10))
	}
	if err := s.db.Write(&w.batch, nil); err != nil {
		return fmt.Errorf("writing recovered rows of %s/%d: %w", s.topic, s.partition, err)
	}
	clear(s.dirty)
	s.dirtyBytes = 0
	return nil
}

// produceChangelog sends each dirty row once, to the changelog partition of this partition's number.
func (s *Store) produceChangelog(to session) {
	s.sentTo = -1
	if len(s.dirty) == 0 {
		return
	}
	s.records = slices.Grow(s.records[:0], len(s.dirty))[:len(s.dirty)]
	sent := func(r *kgo.Record, err error) {
		to.note(err)
		if err == nil && r.Offset > s.sentTo {
			s.sentTo = r.Offset
		}
	}
	i, await := 0, s.rt.spec.TimersSend
	s.dirtyBytes = 0 // until here rows that changed twice were counted twice
	for key, value := range s.dirty {
		s.dirtyBytes += len(key) + len(value)
		if value != nil {
			s.filter.add(key)
		}
		if await {
			if at, ok := s.deadline(key, value); ok {
				s.dirtyDeadline = min(s.dirtyDeadline, at)
			}
		}
		r := &s.records[i]
		i++
		*r = kgo.Record{Topic: s.topic, Partition: s.partition, Key: []byte(key), Value: value}
		to.produce(r, sent)
	}
	s.rt.stats.changelog.Add(float64(i))
}

// committed makes the dirty rows committed ones, which have all that came up to the watermark.
func (s *Store) committed(now time.Time, watermark event.UnixMilli) {
	if s.sentTo >= 0 {
		s.offset = s.sentTo
	}
	if len(s.settled) == 0 {
		s.settledAt = now
		s.settled, s.dirty = s.dirty, s.settled
	} else {
		for key, value := range s.dirty {
			s.settled[key] = value
		}
		clear(s.dirty)
	}
	clear(s.records)
	s.settledBytes += s.dirtyBytes
	s.settledFired = append(s.settledFired, s.fired...)
	s.fired, s.dirtyBytes = nil, 0
	s.settledDeadline, s.dirtyDeadline, s.settledTo = min(s.settledDeadline, s.dirtyDeadline), noDeadline, watermark
}

// rollback forgets what was not committed.
func (s *Store) rollback() {
	clear(s.dirty)
	s.records = nil
	s.fired, s.dirtyBytes, s.dirtyDeadline = nil, 0, noDeadline
	s.scanFrom, s.firedTo, s.refired = 0, nil, true
	if s.recovered { // entries fired since the last commit are due again
		s.nextDeadline = 0
	}
}

// fire calls fn for at most limit rows whose deadline is at or before now, in order of deadline, and returns how many index
// entries it handled. An entry whose row has put off its deadline is only moved.
func (s *Store) fire(now event.UnixMilli, limit int, fn func(key string, row []byte) error) (int, error) {
	if err := s.waitFlush(); err != nil {
		return 0, err
	}
	start := appendDeadline(nil, s.scanFrom, "")
	var done map[string]struct{}
	if s.firedTo != nil {
		start = append(bytes.Clone(s.firedTo), 0)
	}
	if s.refired {
		done = make(map[string]struct{}, len(s.fired)+len(s.settledFired))
		for _, entries := range [][]fired{s.fired, s.settledFired} {
			for _, f := range entries {
				done[f.entry] = struct{}{}
			}
		}
	}
	it := s.db.NewIterator(&util.Range{Start: start, Limit: appendDeadline(nil, now+1, "")}, nil)
	defer it.Release()
	n, at := 0, event.UnixMilli(0)
	for n < limit && it.Next() {
		entry := it.Key()
		s.firedTo = append(s.firedTo[:0], entry...)
		if _, ok := done[string(entry)]; ok {
			continue
		}
		n++
		s.fired = append(s.fired, fired{entry: string(entry)})
		at = event.UnixMilli(binary.BigEndian.Uint64(entry[1:deadlineKeyAt]))
		key := string(entry[deadlineKeyAt:])
		row, err := s.Get(key)
		if err != nil {
			return n, err
		}
		if row == nil {
			continue
		}
		if wants, ok := s.deadline(key, row); !ok {
			continue
		} else if wants > now {
			s.fired[len(s.fired)-1].moved = wants
			s.dirtyDeadline = min(s.dirtyDeadline, wants)
			continue
		}
		if err := fn(key, row); err != nil {
			return n, fmt.Errorf("deadline of row %q: %w", key, err)
		}
	}
	if err := it.Error(); err != nil {
		return n, err
	}
	if n == limit {
		s.nextDeadline = at // the next entries may have the same deadline
	} else {
		s.nextDeadline, s.scanFrom, s.firedTo, s.refired = now+1, now+1, nil, false
		next, err := s.db.deadlineFrom(now + 1)
		if err != nil {
			return n, err
		}
		s.nextDeadline = next
	}
	return n, nil
}

// deadline is when a row wants its timer.
func (s *Store) deadline(key string, value []byte) (event.UnixMilli, bool) {
	if s.rt.spec.Hooks.Deadline == nil || value == nil || IsReserved(key) {
		return 0, false
	}
	return s.rt.spec.Hooks.Deadline(key, value)
}

// firedUpTo is the greatest event time up to which all timers have been called of rows that came up to it, given the watermark.
func (s *Store) firedUpTo(watermark event.UnixMilli) event.UnixMilli {
	if watermark < min(s.nextDeadline, s.dirtyDeadline, s.settledDeadline, s.flushingDeadline) {
		return watermark
	}
	return min(s.indexedTo, s.nextDeadline-1)
}

// Iterator is not offered for group tables: callbacks read by key, and queries belong to views.
func (s *Store) Iterator() (storage.Iterator, error) { return nil, errNoIterator }

// IteratorWithRange is not offered, see Iterator.
func (s *Store) IteratorWithRange(_, _ []byte) (storage.Iterator, error) { return nil, errNoIterator }

var errNoIterator = errors.New("group tables are read by key; iterate over a view instead")
