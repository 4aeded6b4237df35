package backtest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// rows keeps the rows of a table: those in use lately in memory, up to a limit, and the others in a temporary file. It is a sim.Rows,
// which knows no errors: the first one stays in err, and what is read after it means nothing.
//
// A file is a sequence of records. The newest of a key is the one that index points to; what is of no use any more goes when the file
// is written anew.
//
//	0        4        8
//	┌────────┬────────┬───────┬───────┐
//	│ key 4  │ row 4  │ key   │ row   │     little-endian lengths
//	└────────┴────────┴───────┴───────┘
type rows struct {
	dir   string
	limit int64 // bytes of rows in memory

	young, old  map[string]row // two generations: what old has and nobody asks for goes to the file
	bytes       int64          // of young
	index       map[uint64]place
	file        *os.File
	w           *bufio.Writer
	end         int64 // of what was written
	flushed     int64 // of what can be read
	live        int64 // bytes that index points to
	err         error
	compactions int
}

// place is where a record stands in the file.
type place struct {
	at   int64
	size int32
}

// row is a row in memory. Nil data means that it was deleted.
type row struct {
	data  []byte
	dirty bool // the file does not have it so
}

const (
	recordHead  = 8
	rowOverhead = 64      // of a row in memory
	roomToWaste = 8 << 20 // of a file, beside as much as is in use
)

func newRows(dir string, limit int64) *rows {
	return &rows{dir: dir, limit: limit, young: map[string]row{}, old: map[string]row{}, index: map[uint64]place{}}
}

func (s *rows) Get(key string) []byte {
	if r, ok := s.young[key]; ok {
		return r.data
	}
	if r, ok := s.old[key]; ok {
		delete(s.old, key)
		s.keep(key, r)
		return r.data
	}
	at, ok := s.index[xxhash.Sum64String(key)]
	if !ok {
		return nil
	}
	data := s.read(at, key)
	s.keep(key, row{data: data})
	return data
}

func (s *rows) Set(key string, data []byte) {
	if before, ok := s.young[key]; ok {
		s.bytes -= weight(key, before)
	}
	delete(s.old, key)
	s.keep(key, row{data, true})
}

// keep puts a row among the young ones, which are the old ones once they are many.
func (s *rows) keep(key string, r row) {
	s.young[key] = r
	if s.bytes += weight(key, r); s.bytes <= s.limit/2 {
		return
	}
	for key, r := range s.old {
		if r.dirty {
			s.write(key, r.data)
		}
	}
	s.old, s.young, s.bytes = s.young, make(map[string]row, len(s.young)), 0
	if s.end > 2*s.live+roomToWaste {
		s.compact()
	}
}

func weight(key string, r row) int64 { return int64(len(key) + len(r.data) + rowOverhead) }

// write puts a row at the end of the file.
func (s *rows) write(key string, data []byte) {
	id := xxhash.Sum64String(key)
	if before, ok := s.index[id]; ok {
		s.live -= int64(before.size)
		delete(s.index, id)
	}
	if data == nil || s.err != nil {
		return
	}
	if s.file == nil {
		if !s.open() {
			return
		}
	}
	s.index[id] = s.append(key, data)
}

func (s *rows) append(key string, data []byte) place {
	var head [recordHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(key)))
	binary.LittleEndian.PutUint32(head[4:], uint32(len(data)))
	for _, b := range [][]byte{head[:], []byte(key), data} {
		if _, err := s.w.Write(b); err != nil {
			s.fail(err)
		}
	}
	p := place{s.end, int32(recordHead + len(key) + len(data))}
	s.end += int64(p.size)
	s.live += int64(p.size)
	return p
}

// open begins a file. It has no name any more once it is open: it goes with the process.
func (s *rows) open() bool {
	f, err := os.CreateTemp(s.dir, "weir-backtest-*")
	if err != nil {
		s.fail(err)
		return false
	}
	if err := os.Remove(f.Name()); err != nil {
		s.fail(err)
	}
	s.file, s.w, s.end, s.flushed, s.live = f, bufio.NewWriterSize(f, 1<<20), 0, 0, 0
	return true
}

func (s *rows) read(p place, key string) []byte {
	s.flush(p.at)
	b := make([]byte, p.size)
	if _, err := s.file.ReadAt(b, p.at); err != nil {
		s.fail(err)
		return nil
	}
	data := b[min(recordHead+len(key), len(b)):]
	if int(binary.LittleEndian.Uint32(b)) != len(key) || string(b[recordHead:len(b)-len(data)]) != key {
		s.fail(fmt.Errorf("%q has the hash of another key", key))
		return nil
	}
	return data
}

// flush makes what stands at a place readable.
func (s *rows) flush(at int64) {
	if at < s.flushed {
		return
	}
	if err := s.w.Flush(); err != nil {
		s.fail(err)
	}
	s.flushed = s.end
}

// records walks over the file's records that are in use.
func (s *rows) records(yield func(key string, data []byte) bool) {
	if s.file == nil || s.err != nil {
		return
	}
	s.flush(s.end)
	in := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.end), 1<<20)
	var head [recordHead]byte
	for at := int64(0); at < s.end; {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			s.fail(err)
			return
		}
		n, size := int(binary.LittleEndian.Uint32(head[:])), int(binary.LittleEndian.Uint32(head[4:]))
		b := make([]byte, n+size)
		if _, err := io.ReadFull(in, b); err != nil {
			s.fail(err)
			return
		}
		key := string(b[:n])
		if where, ok := s.index[xxhash.Sum64String(key)]; ok && where.at == at && !yield(key, b[n:]) {
			return
		}
		at += int64(recordHead + n + size)
	}
}

// compact writes the file anew with what is in use.
func (s *rows) compact() {
	next := &rows{dir: s.dir, index: make(map[uint64]place, len(s.index))}
	if s.file == nil || !next.open() {
		s.fail(next.err)
		return
	}
	s.records(func(key string, data []byte) bool {
		next.index[xxhash.Sum64String(key)] = next.append(key, data)
		return next.err == nil
	})
	s.fail(next.err)
	s.close()
	s.file, s.w, s.end, s.flushed, s.live, s.index = next.file, next.w, next.end, 0, next.live, next.index
	s.compactions++
}

// All walks over all rows.
func (s *rows) All(yield func(key string, row []byte) bool) {
	for _, generation := range []map[string]row{s.young, s.old} {
		for key, r := range generation {
			if r.data != nil && !yield(key, r.data) {
				return
			}
		}
	}
	s.records(func(key string, data []byte) bool {
		if _, ok := s.young[key]; ok {
			return true
		}
		if _, ok := s.old[key]; ok {
			return true
		}
		return yield(key, data)
	})
}

func (s *rows) fail(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("rows of the backtest cannot be kept in a temporary file: %w", err)
	}
}

func (s *rows) close() {
	if s.file != nil {
		s.file.Close() // it is gone with it
	}
}
