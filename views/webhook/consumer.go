package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/client"
)

// Config is what the deliveries need.
type Config struct {
	Kafka     client.Config
	Names     topology.Names
	Receivers []Receiver
	PublicURL string // of the dashboard, for links; "": no links
	Logger    *slog.Logger
	Registry  prometheus.Registerer // nil: none
}

// Webhooks delivers the alerts of an installation. Several instances share the partitions of each receiver.
type Webhooks struct {
	consumers []*consumer
}

// GroupPrefix begins the name of each receiver's consumer group; the receiver's name follows.
const GroupPrefix = "weir-webhooks-"

// Times of the edge to Kafka.
const (
	sessionTimeout = 10 * time.Second // after which another instance takes over from one that died
	heartbeat      = time.Second
	commitEvery    = 500 * time.Millisecond
	lagEvery       = 10 * time.Second
	askWithin      = 10 * time.Second
	settleMost     = 3 * time.Second // for requests under way when partitions go
	stopMost       = 5 * time.Second // and when the process stops
)

// Limits of what is read ahead for one receiver.
const (
	fetchBytes          = 4 << 20
	fetchPartitionBytes = 256 << 10
)

// New checks the receivers and connects nothing yet.
func New(cfg Config) (*Webhooks, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := Validate(cfg.Receivers); err != nil {
		return nil, fmt.Errorf("webhooks%w", err)
	}
	all := newStats(cfg.Registry)
	w := new(Webhooks)
	for _, r := range cfg.Receivers {
		r = r.Filled()
		p := newPoster(r, cfg.PublicURL, nil)
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("webhooks: %s: %w", r.Name, err)
		}
		log := cfg.Logger.With("part", "webhooks")
		c := &consumer{cfg: cfg, group: cfg.Names.In(GroupPrefix + r.Name), topic: cfg.Names.In(topology.Alerts),
			courier: newCourier(r, all.of(r.Name), log), close: p.client.CloseIdleConnections}
		c.courier.post = func(ctx context.Context, e *alert.Event, raw []byte) Answer { return p.post(ctx, e, raw, 0) }
		c.courier.bury = c.bury
		w.consumers = append(w.consumers, c)
	}
	return w, nil
}

// Run delivers until ctx ends, then lets requests under way end. A receiver that is new is told what is on the topic from now on.
func (w *Webhooks) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range w.consumers {
		g.Go(func() error { return c.run(ctx) })
	}
	return g.Wait()
}

// consumer is the group of one receiver on this instance.
type consumer struct {
	*courier
	cfg          Config
	group, topic string
	close        func() // ends idle connections to the receiver

	startedAt time.Time
	connected chan struct{} // closed once cl and adm are set: the client calls back from its own goroutines before it is returned
	cl        *kgo.Client
	adm       *kadm.Client
	// committing is held while positions are on their way to Kafka, so that a late commit cannot overtake a partition's next owner.
	committing sync.Mutex
}

func (c *consumer) run(ctx context.Context) error {
	opts, err := c.cfg.Kafka.With(
		kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topic), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes), kgo.MaxConcurrentFetches(1),
		kgo.AdjustFetchOffsetsFn(c.begin), kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.lost),
	)
	if err != nil {
		return err
	}
	c.startedAt, c.connected = time.Now(), make(chan struct{})
	if c.cl, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("webhooks: %s: %w", c.receiver.Name, err)
	}
	c.adm = kadm.NewClient(c.cl)
	close(c.connected)
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var loops sync.WaitGroup
	loops.Go(func() { c.courier.run(ctx, sending) })
	loops.Go(func() { c.read(ctx, sending) })
	loops.Go(func() { c.follow(ctx) })
	loops.Wait()
	patience := time.AfterFunc(stopMost, stopSending)
	c.work.Wait()
	patience.Stop()
	c.commit(context.WithoutCancel(ctx))
	c.cl.CloseAllowingRebalance()
	c.close()
	return nil
}

// begin is told where the group stands in partitions that are new here. Where it has no position it starts with what was written since
// this process began.
func (c *consumer) begin(ctx context.Context, all map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-c.connected
	var since kadm.ListedOffsets
	for partition, o := range all[c.topic] {
		at := o.EpochOffset().Offset
		if at < 0 {
			if since == nil {
				var err error
				if since, err = c.adm.ListOffsetsAfterMilli(ctx, c.startedAt.UnixMilli(), c.topic); err != nil {
					return nil, err
				}
			}
			listed, ok := since.Lookup(c.topic, partition)
			if !ok || listed.Err != nil {
				return nil, fmt.Errorf("the end of %s/%d is not known: %w", c.topic, partition, listed.Err)
			}
			all[c.topic][partition] = kgo.NewOffset().At(listed.Offset)
		}
		c.mu.Lock()
		c.schedule.begin(partition, all[c.topic][partition].EpochOffset().Offset, at >= 0)
		c.mu.Unlock()
	}
	return all, nil
}

// revoked lets what is under way end, commits, and gives the partitions away.
func (c *consumer) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	<-c.connected
	partitions := gone[c.topic]
	if len(partitions) == 0 {
		return
	}
	c.settle(partitions, settleMost)
	c.commit(ctx, partitions...)
	c.lost(ctx, c.cl, gone)
}

// lost drops partitions that others may have by now.
func (c *consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.committing.Lock()
	defer c.committing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range gone[c.topic] {
		c.schedule.forget(p)
	}
	notify(c.wake)
	notify(c.roomy)
}

// read polls as much as there is room for.
func (c *consumer) read(ctx, sending context.Context) {
	for ctx.Err() == nil {
		room := c.room()
		if room == 0 {
			select {
			case <-ctx.Done():
			case <-c.roomy:
			}
			continue
		}
		fetches := c.cl.PollRecords(ctx, room)
		fetches.EachError(func(_ string, p int32, err error) {
			if ctx.Err() == nil && !errors.Is(err, kgo.ErrClientClosed) {
				c.log.Warn("alerts cannot be read; trying again", "receiver", c.receiver.Name, "partition", p, "error", err)
			}
		})
		var records []record
		fetches.EachRecord(func(r *kgo.Record) {
			rec := record{partition: r.Partition, offset: r.Offset}
			if !r.Attrs.IsControl() {
				rec.key, rec.value = string(r.Key), append([]byte{}, r.Value...) // the client's own would keep whole batches
			}
			records = append(records, rec)
		})
		c.accept(sending, records)
		c.cl.AllowRebalance()
	}
}

// follow commits what has moved, and tells how far behind the receiver is.
func (c *consumer) follow(ctx context.Context) {
	commit, lag := time.NewTicker(commitEvery), time.NewTicker(lagEvery)
	defer commit.Stop()
	defer lag.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-commit.C:
			c.commit(ctx)
		case <-lag.C:
			c.measure(ctx)
		}
	}
}

// commit sends the positions that have moved. One that fails is sent again with the next.
func (c *consumer) commit(ctx context.Context, partitions ...int32) {
	c.committing.Lock()
	defer c.committing.Unlock()
	c.mu.Lock()
	moved := c.schedule.committable(partitions...)
	c.mu.Unlock()
	if len(moved) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	offsets := map[int32]kgo.EpochOffset{}
	for p, at := range moved {
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	c.cl.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{c.topic: offsets}, c.hasCommitted)
}

// hasCommitted notes the positions that Kafka has taken.
func (c *consumer) hasCommitted(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		c.log.Debug("a commit failed; it is sent again", "receiver", c.receiver.Name, "error", err)
		return
	}
	refused := map[int32]bool{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				refused[p.Partition] = true
				c.log.Debug("a commit was refused; it is sent again", "receiver", c.receiver.Name, "partition", p.Partition, "error", err)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if !refused[p.Partition] {
				c.schedule.committed(p.Partition, p.Offset)
			}
		}
	}
}

func (c *consumer) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	ends, err := c.adm.ListEndOffsets(ctx, c.topic)
	if err != nil {
		return // the next time will tell
	}
	lag := int64(0)
	c.mu.Lock()
	for p, progress := range c.schedule.partitions {
		if end, ok := ends.Lookup(c.topic, p); ok && end.Err == nil {
			lag += max(end.Offset-progress.upTo(), 0)
		}
	}
	c.mu.Unlock()
	c.stats.lag.Set(float64(lag))
}
