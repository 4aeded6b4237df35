package engine

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/syndtr/goleveldb/leveldb"

	"weir/topology/event"
)

// When settled rows are written.
const (
	settleBytes = 4 << 20
	settleFor   = 5 * time.Second
	overdueFor  = 500 * time.Millisecond // where the next group waits for a timer of theirs
)

// flushDue starts to write settled rows when they are many or old, or when the watermark has passed a deadline of theirs: timers are
// called for what LevelDB has. It waits for the write before.
func (s *Store) flushDue(now time.Time, watermark event.UnixMilli) error {
	s.filter.settle()
	if len(s.flushed) == 1 {
		if err := s.waitFlush(); err != nil {
			return err
		}
	}
	if len(s.settled)+len(s.settledFired) == 0 {
		return nil
	}
	age := now.Sub(s.settledAt)
	if s.settledBytes < settleBytes && age < settleFor && (s.settledDeadline > watermark || age < overdueFor) {
		return nil
	}
	return s.flush()
}

// flush starts to write all settled rows.
func (s *Store) flush() error {
	if err := s.waitFlush(); err != nil || len(s.settled)+len(s.settledFired) == 0 {
		return err
	}
	s.flushing, s.flushingFired = s.settled, s.settledFired
	s.settled, s.settledFired, s.settledBytes = make(map[string][]byte, len(s.flushing)), nil, 0
	s.flushingDeadline, s.settledDeadline, s.flushingTo = s.settledDeadline, noDeadline, s.settledTo
	done := make(chan error, 1)
	s.flushed = done
	rows, handled, offset := s.flushing, s.flushingFired, s.offset
	go func() {
		w := <-s.rt.writers
		defer s.rt.giveBack(w)
		earliest := noDeadline
		for _, f := range handled { // before the rows: a row may ask for the same deadline again
			w.batch.Delete([]byte(f.entry))
			if f.moved != 0 {
				earliest = min(earliest, f.moved)
				w.batch.Put(appendDeadline(nil, f.moved, f.entry[deadlineKeyAt:]), nil)
			}
		}
		s.nextDeadlineFlushed = min(earliest, s.addRows(w, rows))
		err := s.db.Write(&w.batch, nil)
		if err == nil {
			// Apart from the rows: with it, each of LevelDB's tables would span all keys and be merged with all others. If the
			// process dies between the two, the changelog brings rows again that are there already.
			err = s.db.Put(metaOffset, strconv.AppendInt(nil, offset, 10), nil)
		}
		done <- err
	}()
	return nil
}

// flushAll writes all settled rows and returns when that is done.
func (s *Store) flushAll() error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.waitFlush()
}

// waitFlush waits for the write under way and moves its rows to the cache.
func (s *Store) waitFlush() error {
	if s.flushed == nil {
		return nil
	}
	err := <-s.flushed
	s.flushed = nil
	if err != nil {
		return fmt.Errorf("writing committed rows of %s/%d: %w (the changelog has them; is the disk full?)", s.topic, s.partition, err)
	}
	s.nextDeadline = min(s.nextDeadline, s.nextDeadlineFlushed)
	s.flushingDeadline, s.indexedTo = noDeadline, s.flushingTo
	if s.nextDeadlineFlushed < s.scanFrom || s.firedTo != nil {
		s.scanFrom, s.firedTo, s.refired = min(s.scanFrom, s.nextDeadlineFlushed), nil, true
	}
	for key, value := range s.flushing {
		s.cache.put(key, value)
	}
	s.flushing, s.flushingFired = nil, nil
	return nil
}

// addRows adds rows and their deadlines to a batch and returns the earliest deadline. They are in LevelDB's order, in which it takes them
// at three quarters of the cost.
func (s *Store) addRows(w *rowWriter, rows map[string][]byte) event.UnixMilli {
	w.rows = slices.Grow(w.rows[:0], len(rows))
	for key, value := range rows {
		w.rows = append(w.rows, row{key, value})
	}
	slices.SortFunc(w.rows, func(a, b row) int { return strings.Compare(a.key, b.key) })
	var buf []byte
	for _, r := range w.rows {
		buf = append(append(buf[:0], rowPrefix), r.key...)
		if r.value == nil {
			w.batch.Delete(buf)
		} else {
			w.batch.Put(buf, r.value)
		}
	}
	earliest := noDeadline
	for _, r := range w.rows {
		if at, ok := s.deadline(r.key, r.value); ok {
			earliest = min(earliest, at)
			buf = appendDeadline(buf[:0], at, r.key)
			w.batch.Put(buf, nil)
		}
	}
	return earliest
}

// rowWriter is the memory of a write to LevelDB. A runtime has as many as there are cores: more writes at once would only need more.
type rowWriter struct {
	batch leveldb.Batch
	rows  []row
}

type row struct {
	key   string
	value []byte
}

func newRowWriters() chan *rowWriter {
	ws := make(chan *rowWriter, runtime.GOMAXPROCS(0))
	for range cap(ws) {
		ws <- new(rowWriter)
	}
	return ws
}

// giveBack returns a writer, without the memory of an unusually large write.
func (rt *Runtime) giveBack(w *rowWriter) {
	if cap(w.batch.Dump()) > 4*settleBytes {
		w.batch = leveldb.Batch{}
	}
	w.batch.Reset()
	clear(w.rows)
	rt.writers <- w
}
