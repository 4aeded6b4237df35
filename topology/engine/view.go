package engine

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/prometheus/client_golang/prometheus"

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

// Snapshot is a table as it was at one moment: of each open partition the rows of all transactions that had come as a whole. Release
// it before the copies are closed.
func (c *Copies) Snapshot(table string) (*Snapshot, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := &Snapshot{}
	for tp, v := range c.open {
		if tp.topic != table {
			continue
		}
		part, err := v.snapshot()
		if err != nil {
			s.Release()
			return nil, err
		}
		if part != nil {
			s.parts = append(s.parts, part)
		}
	}
	return s, nil
}

// Snapshot holds one moment of a table.
type Snapshot struct{ parts []*sharedSnapshot }

// Release ends it.
func (s *Snapshot) Release() {
	for _, p := range s.parts {
		p.release()
	}
	s.parts = nil
}

// Scan walks start ≤ key < limit, partition by partition, in each in the order of keys, reserved rows included. A value is
// valid only during the call of fn.
func (s *Snapshot) Scan(start, limit string, fn func(key string, value []byte) error) error {
	for _, p := range s.parts {
		it := p.NewIterator(viewRange([]byte(start), []byte(limit)), nil)
		for it.Next() {
			if err := fn(string(it.Key()[1:]), it.Value()); err != nil {
				it.Release()
				return err
			}
		}
		it.Release()
		if err := it.Error(); err != nil {
			return err
		}
	}
	return nil
}

// Keys are the first limit keys with start ≤ key < end over all partitions, in their order, without their first skip bytes.
func (s *Snapshot) Keys(start, end string, limit, skip int) ([]string, error) {
	var out []string
	for _, p := range s.parts {
		it := p.NewIterator(viewRange([]byte(start), []byte(end)), nil)
		for n := 0; n < limit && it.Next(); n++ {
			out = append(out, string(it.Key()[1+skip:]))
		}
		it.Release()
		if err := it.Error(); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out[:min(len(out), limit)], nil
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
// goka.WithViewCallback, which stores by StoreRow and never blocks.
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
