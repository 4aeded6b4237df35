package engine

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"weir/topology/client"
)

// ViewConfig is how a copy of a table is kept by the view server.
type ViewConfig struct {
	Kafka    client.Config
	DataDir  string
	Logger   *slog.Logger
	Registry prometheus.Registerer
	Copies   *Copies // nil, or where to find the open copies' rows by partition
}

// Copies are the partitions of tables that views hold open. A goka view looks for a key where its hash says; a row stands elsewhere
// if the records of its key came by another partitioner.
type Copies struct {
	mu   sync.RWMutex
	open map[topicPartition]*viewStore
}

// Row reads one partition's row; nil where there is none, or no such partition is open.
func (c *Copies) Row(table string, partition int32, key string) ([]byte, error) {
	c.mu.RLock() // the copy stays open meanwhile
	defer c.mu.RUnlock()
	v := c.open[topicPartition{table, partition}]
	if v == nil {
		return nil, nil
	}
	return v.Get(key)
}

func (c *Copies) add(tp topicPartition, v *viewStore) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[topicPartition]*viewStore{}
	}
	c.open[tp] = v
	v.closing = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open[tp] == v {
			delete(c.open, tp)
		}
	}
}

// ViewOptions make a goka.View read committed rows through franz-go and keep them in LevelDB. The caller adds its own
// goka.WithViewCallback, which must skip records without a key (transaction markers) and never block.
func ViewOptions(cfg ViewConfig, tableTopic string) []goka.ViewOption {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	log := cfg.Logger.With("table", tableTopic)
	stats := newStats(cfg.Registry, "view:"+tableTopic)
	return []goka.ViewOption{
		goka.WithViewLogger(gokaLogger{log}),
		goka.WithViewHasher(Hasher),
		goka.WithViewAutoReconnect(),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return newTableConsumer(cfg.Kafka, log, stats)
		}),
		goka.WithViewTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return newTopicManager(cfg.Kafka)
		}),
		goka.WithViewStorageBuilder(func(topic string, partition int32) (storage.Storage, error) {
			v, err := openViewStore(cfg, log, topic, partition)
			if err == nil && cfg.Copies != nil {
				cfg.Copies.add(topicPartition{topic, partition}, v)
			}
			return v, err
		}),
	}
}

// viewStore is one partition of a table's copy. Rows wait in memory and are written with the offset they reach, many at a time; a
// crash loses only what the changelog brings again.
type viewStore struct {
	db *leveldb.DB

	mu     sync.RWMutex
	dirty  map[string][]byte
	bytes  int
	offset int64
	err    error // of a write in the background

	stop    chan struct{}
	stopped sync.WaitGroup
	closing func() // nil, or what comes before the database is closed
}

const (
	viewBatchBytes = 1 << 20
	viewFlushEvery = time.Second
)

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
	if db, err = rebuiltIfBehind(db, path, id, begin, log.Warn); err != nil {
		return nil, err
	}
	v := &viewStore{db: db, dirty: map[string][]byte{}, offset: -1, stop: make(chan struct{})}
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

// flush writes the dirty rows. The caller holds mu.
func (v *viewStore) flush() error {
	if v.err != nil {
		return v.err
	}
	if len(v.dirty) == 0 {
		return nil
	}
	var batch leveldb.Batch
	var key []byte
	for k, value := range v.dirty {
		key = append(append(key[:0], rowPrefix), k...)
		if value == nil {
			batch.Delete(key)
		} else {
			batch.Put(key, value)
		}
	}
	if v.offset >= 0 {
		batch.Put(metaOffset, strconv.AppendInt(nil, v.offset, 10))
	}
	if err := v.db.Write(&batch, nil); err != nil {
		return fmt.Errorf("writing a view: %w (is the disk full?)", err)
	}
	clear(v.dirty)
	v.bytes = 0
	return nil
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
	v.mu.RLock()
	b, ok := v.dirty[key]
	v.mu.RUnlock()
	if ok {
		return b, nil
	}
	b, err := v.db.Get(append([]byte{rowPrefix}, key...), nil)
	if err == leveldb.ErrNotFound {
		return nil, nil
	}
	return b, err
}

func (v *viewStore) Set(key string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirty[key] = value
	v.bytes += len(key) + len(value)
	if v.bytes >= viewBatchBytes {
		v.err = v.flush()
	}
	return v.err
}

func (v *viewStore) Delete(key string) error {
	if key == "" {
		return nil
	}
	return v.Set(key, nil)
}

func (v *viewStore) GetOffset(def int64) (int64, error) {
	b, err := v.db.Get(metaOffset, nil)
	if err == leveldb.ErrNotFound {
		v.mu.RLock()
		defer v.mu.RUnlock()
		if v.offset >= 0 {
			return v.offset, nil
		}
		return def, nil
	}
	if err != nil {
		return 0, err
	}
	stored, err := strconv.ParseInt(string(b), 10, 64)
	v.mu.RLock()
	defer v.mu.RUnlock()
	return max(stored, v.offset), err
}

func (v *viewStore) SetOffset(offset int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.offset = max(v.offset, offset)
	return nil
}

func (v *viewStore) MarkRecovered() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = v.flush()
	return v.err
}

func (v *viewStore) Iterator() (storage.Iterator, error) { return v.IteratorWithRange(nil, nil) }

// IteratorWithRange walks [start, limit) over everything received so far; an empty limit means no bound.
func (v *viewStore) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	v.mu.Lock()
	v.err = v.flush()
	err := v.err
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r := &util.Range{Start: append([]byte{rowPrefix}, start...), Limit: []byte{rowPrefix + 1}}
	if len(limit) > 0 {
		r.Limit = append([]byte{rowPrefix}, limit...)
	}
	return &viewIterator{v.db.NewIterator(r, nil)}, nil
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
