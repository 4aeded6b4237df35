package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// tableConsumer is goka's sarama.Consumer for tables: read-committed, one client for all partitions.
//
// goka's recovery ends when it receives a record at or after high watermark − 1. A transactional topic always ends in a commit
// marker, which other clients hide; here markers are passed on as records without key and value, which change nothing.
//
// One goroutine (run) polls, and adds and removes partitions between polls, so that a record fetched for a partition's
// earlier consumer never reaches its next one.
type tableConsumer struct {
	cl     *kgo.Client
	cfg    client.Config
	log    *slog.Logger
	stats  *stats
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	commands []func()
	wake     context.CancelFunc // ends the poll that is under way

	parts map[topicPartition]*partitionConsumer // run's own
}

func newTableConsumer(cfg client.Config, log *slog.Logger, stats *stats) (*tableConsumer, error) {
	opts, err := cfg.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts,
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(32<<20), kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxWait(time.Second))...)
	if err != nil {
		return nil, err
	}
	c := &tableConsumer{cl: cl, cfg: cfg, log: log, stats: stats, done: make(chan struct{}), wake: func() {}, parts: map[topicPartition]*partitionConsumer{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c, nil
}

// do runs f on run's goroutine, between polls.
func (c *tableConsumer) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands = append(c.commands, f)
	c.wake()
}

// next takes the waiting commands and arms a context for the next poll.
func (c *tableConsumer) next() ([]func(), context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	commands := c.commands
	c.commands = nil
	c.wake() // the poll before has returned: free its context
	ctx, cancel := context.WithCancel(c.ctx)
	c.wake = cancel
	return commands, ctx
}

const tablePollRecords = 10_000

func (c *tableConsumer) run() {
	defer close(c.done)
	for c.ctx.Err() == nil {
		commands, ctx := c.next()
		for _, f := range commands {
			f()
		}
		fetches := c.cl.PollRecords(ctx, tablePollRecords)
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.Canceled) {
				continue
			}
			c.stats.fetchErrors.Inc()
			c.log.Warn("reading a table failed; trying again", "topic", e.Topic, "partition", e.Partition, "error", client.Diagnose(c.cfg, e.Err))
		}
		fetches.EachPartition(c.deliver)
	}
	for _, pc := range c.parts {
		close(pc.messages)
	}
}

func (c *tableConsumer) deliver(f kgo.FetchTopicPartition) {
	pc := c.parts[topicPartition{f.Topic, f.Partition}]
	if pc == nil {
		return
	}
	pc.end.Store(f.HighWatermark)
	slab := make([]sarama.ConsumerMessage, len(f.Records))
	for i, r := range f.Records {
		m := &slab[i]
		m.Topic, m.Partition, m.Offset, m.Timestamp = f.Topic, f.Partition, r.Offset, r.Timestamp
		if !r.Attrs.IsControl() {
			m.Key, m.Value = r.Key, r.Value
		}
		if pc.borders.after(kindOf(r), r.ProducerID, r.Offset, f.LastStableOffset) {
			m.Headers = atBorder
		}
		select {
		case pc.messages <- m:
		case <-pc.closed:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// Topics lists the cluster's topics.
func (c *tableConsumer) Topics() ([]string, error) {
	d, err := kadm.NewClient(c.cl).ListTopics(c.ctx)
	return d.Names(), err
}

// Partitions lists a topic's partitions.
func (c *tableConsumer) Partitions(topic string) ([]int32, error) {
	d, err := kadm.NewClient(c.cl).ListTopics(c.ctx, topic)
	if err != nil {
		return nil, err
	}
	return d[topic].Partitions.Numbers(), d[topic].Err
}

// HighWaterMarks is empty: goka uses it for a lag that it computes wrongly; weir's lag is in the engine's own metrics.
func (c *tableConsumer) HighWaterMarks() map[string]map[int32]int64 { return nil }
func (c *tableConsumer) Pause(map[string][]int32)                   {}
func (c *tableConsumer) Resume(map[string][]int32)                  {}
func (c *tableConsumer) PauseAll()                                  {}
func (c *tableConsumer) ResumeAll()                                 {}

// Close stops run and the client.
func (c *tableConsumer) Close() error {
	c.cancel()
	<-c.done
	c.cl.Close()
	return nil
}

// ConsumePartition starts to read at offset.
func (c *tableConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	if c.ctx.Err() != nil {
		return nil, fmt.Errorf("reading %s/%d: the consumer is closed", topic, partition)
	}
	at := kgo.NewOffset().At(offset)
	switch offset {
	case sarama.OffsetOldest:
		at = kgo.NewOffset().AtStart()
	case sarama.OffsetNewest:
		at = kgo.NewOffset().AtEnd()
	}
	pc := &partitionConsumer{c: c, topicPartition: topicPartition{topic, partition},
		messages: make(chan *sarama.ConsumerMessage, claimBuffer), errs: make(chan *sarama.ConsumerError), closed: make(chan struct{})}
	c.do(func() {
		if old := c.parts[pc.topicPartition]; old != nil {
			c.remove(old)
		}
		c.parts[pc.topicPartition] = pc
		c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: at}})
	})
	return pc, nil
}

// remove is run's own.
func (c *tableConsumer) remove(pc *partitionConsumer) {
	if c.parts[pc.topicPartition] != pc {
		return
	}
	delete(c.parts, pc.topicPartition)
	c.cl.RemoveConsumePartitions(map[string][]int32{pc.topic: {pc.partition}})
	close(pc.messages)
}

type partitionConsumer struct {
	topicPartition
	c        *tableConsumer
	messages chan *sarama.ConsumerMessage
	errs     chan *sarama.ConsumerError
	closed   chan struct{}
	once     sync.Once
	end      atomic.Int64
	borders  borders // run's own
}

// AsyncClose ends delivery; Messages is closed soon after.
func (p *partitionConsumer) AsyncClose() {
	p.once.Do(func() {
		close(p.closed)
		close(p.errs)
		p.c.do(func() { p.c.remove(p) })
	})
}
func (p *partitionConsumer) Close() error                             { p.AsyncClose(); return nil }
func (p *partitionConsumer) Messages() <-chan *sarama.ConsumerMessage { return p.messages }
func (p *partitionConsumer) Errors() <-chan *sarama.ConsumerError     { return p.errs }
func (p *partitionConsumer) HighWaterMarkOffset() int64               { return p.end.Load() }
func (p *partitionConsumer) Pause()                                   {}
func (p *partitionConsumer) Resume()                                  {}
func (p *partitionConsumer) IsPaused() bool                           { return false }
