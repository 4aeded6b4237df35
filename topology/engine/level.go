package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"weir/topology/event"
)

// A table partition's LevelDB, DATA_DIR/TOPIC/PARTITION:
//
//	'r' key                  → row
//	't' deadline(8) key      → nothing   deadline in Unix ms, big-endian: the index that timers walk
//	'm' name                 → meta      "offset": decimal changelog offset; "identity": layout, cluster id, topic id
//
// All of it can be made again from the changelog, so a database that is corrupt or belongs to another topic is removed.
const (
	rowPrefix      = 'r'
	deadlinePrefix = 't'
	layoutVersion  = "1"
	deadlineKeyAt  = 9 // in an entry of the index
)

var (
	metaOffset   = []byte("moffset")
	metaIdentity = []byte("midentity")
)

func appendDeadline(b []byte, at event.UnixMilli, key string) []byte {
	b = append(b, deadlinePrefix)
	b = binary.BigEndian.AppendUint64(b, uint64(max(at, 0)))
	return append(b, key...)
}

// level is one open database. Get runs without a lock; leveldb.DB is safe for concurrent use.
type level struct {
	*leveldb.DB
	path    string
	refs    int
	key     []byte     // scratch of get: one goroutine reads at a time, as Store promises
	opening sync.Mutex // held while DB is opened, made anew or closed
}

func (l *level) get(key string) ([]byte, error) {
	l.key = append(append(l.key[:0], rowPrefix), key...)
	v, err := l.DB.Get(l.key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

func (l *level) meta(name []byte) ([]byte, error) {
	v, err := l.DB.Get(name, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

func (l *level) firstDeadline() (event.UnixMilli, error) { return l.deadlineFrom(0) }

func (l *level) deadlineFrom(from event.UnixMilli) (event.UnixMilli, error) {
	it := l.NewIterator(&util.Range{Start: appendDeadline(nil, from, ""), Limit: []byte{deadlinePrefix + 1}}, nil)
	defer it.Release()
	if it.Next() {
		return event.UnixMilli(binary.BigEndian.Uint64(it.Key()[1:9])), nil
	}
	return noDeadline, it.Error()
}

// rebuiltIfBehind removes a copy that ends before the changelog begins: tombstones of what it still holds may be gone.
func rebuiltIfBehind(db *leveldb.DB, path string, identity []byte, buffer int, logStart int64, warn func(string, ...any)) (*leveldb.DB, error) {
	text, err := db.Get(metaOffset, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return db, nil
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	offset, err := strconv.ParseInt(string(text), 10, 64)
	if err == nil && offset+1 >= logStart {
		return db, nil
	}
	warn("local table ends before its changelog begins; rebuilding it", "path", path, "offset", string(text), "log_start", logStart)
	if err := db.Close(); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("removing outdated table %s: %w", path, err)
	}
	return openLevel(path, identity, buffer, warn)
}

// levels keeps databases open across generations: opening replays a journal, and a rebalance should not wait for that.
type levels struct {
	rt     *Runtime
	mu     sync.Mutex
	m      map[string]*level
	id     map[string][]byte // topic → identity
	closed bool

	logStart func(topic string, partition int32) (int64, error)
}

func newLevels(rt *Runtime) *levels {
	return &levels{rt: rt, m: map[string]*level{}, id: map[string][]byte{}, logStart: func(topic string, partition int32) (int64, error) {
		return logStart(rt.cfg.Kafka, topic, partition)
	}}
}

// errStopped ends what still recovers when the runtime has stopped: goka does not wait for that.
var errStopped = errors.New("the processor has stopped")

func (ls *levels) open(topic string, partition int32) (*level, error) {
	path := filepath.Join(ls.rt.cfg.DataDir, topic, strconv.Itoa(int(partition)))
	id, err := ls.identity(topic)
	if err != nil {
		return nil, err
	}
	begin, err := ls.logStart(topic, partition)
	if err != nil {
		return nil, err
	}
	ls.mu.Lock()
	l := ls.m[path]
	if l == nil {
		l = &level{path: path}
		ls.m[path] = l
	}
	ls.mu.Unlock()
	// Partitions open in parallel. One that an earlier life of the processor still opens is waited for.
	l.opening.Lock()
	defer l.opening.Unlock()
	if ls.isClosed() {
		return nil, errStopped
	}
	if l.DB == nil {
		if l.DB, err = openLevel(path, id, groupBuffer, ls.rt.log.Warn); err != nil {
			return nil, err
		}
	}
	if l.DB, err = rebuiltIfBehind(l.DB, path, id, groupBuffer, begin, ls.rt.log.Warn); err != nil {
		return nil, err
	}
	ls.mu.Lock()
	l.refs++
	ls.mu.Unlock()
	return l, nil
}

func (ls *levels) isClosed() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.closed
}

func (ls *levels) release(l *level) {
	ls.mu.Lock()
	l.refs--
	ls.mu.Unlock()
}

// close closes all databases, for good: one that was opened later would stay locked to the next runtime on this folder.
func (ls *levels) close() {
	ls.mu.Lock()
	ls.closed = true
	all := ls.m
	ls.m = map[string]*level{}
	ls.mu.Unlock()
	for path, l := range all {
		l.opening.Lock()
		if l.DB != nil {
			if err := l.DB.Close(); err != nil {
				ls.rt.log.Warn("closing a table", "path", path, "error", err)
			}
		}
		l.opening.Unlock()
	}
}

// identity says which topic of which cluster a database copies.
func (ls *levels) identity(topic string) ([]byte, error) {
	ls.mu.Lock()
	id := ls.id[topic]
	ls.mu.Unlock()
	if id != nil {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	id, err := topicIdentity(ctx, ls.rt.cfg.Kafka, topic)
	if err != nil {
		return nil, err
	}
	ls.mu.Lock()
	ls.id[topic] = id
	ls.mu.Unlock()
	return id, nil
}

// Rows are written in batches of settleBytes, and most are not read again from here: what LevelDB spends is spent on merging its tables, so
// it merges few times and many at once. With 16 tables instead of 8 at the first level, and 64 MiB instead of 10 at the next, a
// million rows cost 6 µs each instead of 10. Nor does it merge what is looked for often and not found: keyFilter knows that.
var levelOptions = opt.Options{
	BlockCacheCapacity:     8 << 20,
	CompactionTableSize:    4 << 20,
	CompactionTotalSize:    64 << 20,
	CompactionL0Trigger:    16,
	WriteL0SlowdownTrigger: 24,
	WriteL0PauseTrigger:    32,
	DisableSeeksCompaction: true,
	OpenFilesCacheCapacity: 200,
	Filter:                 filter.NewBloomFilter(10),
	Strict:                 opt.StrictJournalChecksum | opt.StrictJournal | opt.StrictBlockChecksum,
	Compression:            opt.SnappyCompression,
}

// Write buffers are taken whole and at once, two for each partition of each table. A group writes its rows in batches of settleBytes; a
// view writes each row as it comes and has no haste.
const (
	groupBuffer = 4 << 20
	viewBuffer  = 1 << 20
)

// openLevel opens or creates a database. One that is damaged, or that copies another topic, is removed first: the changelog fills
// it again.
func openLevel(path string, identity []byte, buffer int, warn func(string, ...any)) (*leveldb.DB, error) {
	for again := false; ; again = true {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("creating the data folder: %w", err)
		}
		o := levelOptions
		o.WriteBuffer = buffer
		db, err := leveldb.OpenFile(path, &o)
		switch {
		case err == nil:
			had, err := db.Get(metaIdentity, nil)
			if errors.Is(err, leveldb.ErrNotFound) {
				if off, _ := db.Has(metaOffset, nil); !off {
					return db, db.Put(metaIdentity, identity, nil)
				}
			} else if err == nil && bytes.Equal(had, identity) {
				return db, nil
			}
			_ = db.Close()
			warn("local table belongs to another topic or layout; rebuilding it from the changelog", "path", path)
		case lerrors.IsCorrupted(err):
			warn("local table is damaged; rebuilding it from the changelog", "path", path, "error", err)
		default:
			return nil, fmt.Errorf("opening table %s: %w (is another weir process using this data folder?)", path, err)
		}
		if again {
			return nil, fmt.Errorf("table %s cannot be made: it is damaged again right after being removed", path)
		}
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("removing damaged table %s: %w", path, err)
		}
	}
}
