package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicPartition names one claim.
type topicPartition struct {
	topic     string
	partition int32
}

// generation is one assignment's life: it is the sarama.ConsumerGroupSession of goka's processor.
type generation struct {
	rt      *Runtime
	s       session
	topics  map[string][]int32
	changed <-chan struct{}
	member  string
	id      int32

	ctx    context.Context // of callbacks
	cancel context.CancelFunc
	live   context.Context // of polls: ends with the assignment or a graceful stop
	claims map[topicPartition]*claim
	ended  sync.WaitGroup // ConsumeClaim goroutines
	failed chan error     // a ConsumeClaim ended by itself: its records will never be marked
	left   atomic.Int64   // records handed out and not yet marked
	marked chan struct{}  // left reached 0
	owned  map[int32]*Partition

	partitions     int32            // of the group's input topics
	markPartitions map[string]int32 // of the topics that get its watermark

	lastCommit    time.Time
	pending       int  // records processed since begin
	worked        bool // records or timers were handled since begin
	torn          bool // it ended between two barriers: what it has done must be dropped, but callbacks may still run
	paused        map[topicPartition]struct{}
	heldPerRecord float64 // as of the last transaction that held any
	ends          atomic.Pointer[ends]
	timersLeft    bool // more timers were due than one barrier fires
	polled        int  // records of the last poll
	polledAt      time.Time
	reportedAt    time.Time
}

func newGeneration(rt *Runtime, s session, topics map[string][]int32, changed <-chan struct{}) *generation {
	g := &generation{rt: rt, s: s, topics: topics, changed: changed,
		claims: map[topicPartition]*claim{}, paused: map[topicPartition]struct{}{}, failed: make(chan error, 1), marked: make(chan struct{}, 1), owned: map[int32]*Partition{}}
	g.member, g.id = s.client().GroupMetadata()
	return g
}

func (g *generation) Claims() map[string][]int32                  { return g.topics }
func (g *generation) MemberID() string                            { return g.member }
func (g *generation) GenerationID() int32                         { return g.id }
func (g *generation) Commit()                                     {}
func (g *generation) ResetOffset(string, int32, int64, string)    {}
func (g *generation) MarkMessage(*sarama.ConsumerMessage, string) {}
func (g *generation) Context() context.Context                    { return g.ctx }
func (g *generation) MarkOffset(_ string, _ int32, _ int64, _ string) {
	if g.left.Add(-1) == 0 {
		g.marked <- struct{}{}
	}
}

// claim is one topic-partition's record channel.
type claim struct {
	topicPartition
	records  chan *sarama.ConsumerMessage
	position int64     // next offset to be polled
	end      int64     // high watermark of the last fetch
	lastAt   time.Time // wall time when it arrived here
	recordAt time.Time // its Kafka timestamp
	warnedAt time.Time // that it is stuck
}

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return sarama.OffsetOldest }
func (c *claim) HighWaterMarkOffset() int64               { return c.end }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.records }

// run takes the generation from Setup to Cleanup. An error means that the processor must be built anew.
func (g *generation) run(ctx context.Context, h sarama.ConsumerGroupHandler) (err error) {
	// Callbacks outlive a graceful stop until the barrier, so that what was polled can still be committed.
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer g.cancel()
	started := time.Now()
	if err := g.setup(ctx, h); err != nil {
		return errors.Join(fmt.Errorf("recovering tables: %w", err), g.cleanup(h, nil))
	}
	if g.ctx.Err() != nil {
		return g.cleanup(h, nil) // stopped or revoked while recovering
	}
	if err := g.start(ctx, h); err != nil {
		return g.cleanup(h, err)
	}
	g.rt.log.Info("generation started", "generation", g.id, "partitions", len(g.owned), "recovery", time.Since(started).Round(time.Millisecond))
	err = g.cleanup(h, g.loop(ctx))
	if g.torn { // only now does no callback run any more that could add to what is dropped
		err = g.rollback(err)
	}
	return err
}

// setup lets goka recover the tables. It is given up when the partitions are taken away meanwhile.
func (g *generation) setup(ctx context.Context, h sarama.ConsumerGroupHandler) error {
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-g.changed:
			g.cancel()
		case <-ctx.Done():
			g.cancel()
		case <-done:
		}
	}()
	go g.warnOfSlowRecovery(time.Now(), done)
	err := h.Setup(g)
	close(done)
	<-watched
	if g.ctx.Err() != nil {
		return nil
	}
	return err
}

func (g *generation) isOver() bool {
	select {
	case <-g.changed:
		return true
	default:
		return false
	}
}

func (g *generation) start(ctx context.Context, h sarama.ConsumerGroupHandler) error {
	if err := g.learnPartitions(ctx); err != nil {
		return err
	}
	now := time.Now()
	for topic, partitions := range g.topics {
		for _, p := range partitions {
			c := &claim{topicPartition: topicPartition{topic, p}, records: make(chan *sarama.ConsumerMessage, 1), position: -1, lastAt: now}
			g.claims[c.topicPartition] = c
			if g.owned[p] == nil {
				g.owned[p] = g.rt.Partition(p)
				g.owned[p].inputs = map[string]*batch{}
			}
			g.owned[p].inputs[topic] = &batch{}
			g.ended.Add(1)
			go func() {
				defer g.ended.Done()
				err := h.ConsumeClaim(g, c)
				if g.ctx.Err() == nil {
					select {
					case g.failed <- fmt.Errorf("partition %d of %s stopped processing (a callback failed, see the error before): %w", c.partition, c.topic, err):
					default:
					}
				}
			}()
		}
	}
	if err := g.learnPositions(ctx); err != nil {
		return err
	}
	for _, p := range g.owned {
		if err := p.join(g, now); err != nil {
			return err
		}
	}
	g.rt.stats.assigned.Set(float64(len(g.owned)))
	return nil
}

// cleanup ends claims and lets goka close its tables. cause is why the generation ended, if by a failure.
func (g *generation) cleanup(h sarama.ConsumerGroupHandler, cause error) error {
	g.cancel()
	g.unpause()
	for _, c := range g.claims {
		close(c.records)
	}
	g.ended.Wait()
	err := h.Cleanup(g)
	g.rt.forget(g.owned)
	g.rt.stats.assigned.Set(0)
	return errors.Join(cause, err)
}

// forget drops the handles of partitions that are no longer ours: the next generation starts from what was committed.
func (rt *Runtime) forget(owned map[int32]*Partition) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for p := range owned {
		delete(rt.parts, p)
	}
}

// loop polls, hands out, waits at the barrier and commits, until the generation is over.
func (g *generation) loop(ctx context.Context) (err error) {
	if err := g.begin(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	g.lastCommit = time.Now()
	var stop context.CancelFunc
	g.live, stop = context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-g.changed:
			stop()
		case <-g.live.Done():
		}
	}()
	go g.watchEnds(g.live)
	for {
		if g.isOver() {
			return g.rollback(nil)
		}
		if ctx.Err() != nil {
			return g.finish()
		}
		fetches := g.pollOnce()
		g.takeUp()
		if err := g.process(fetches); err != nil {
			g.torn = true
			if g.isOver() { // among the records are the next assignment's
				return nil
			}
			return err
		}
		if err := g.fireTimers(); err != nil {
			return g.rollback(err)
		}
		now := time.Now()
		g.report(now)
		if err := g.flushDue(now); err != nil {
			return g.rollback(err)
		}
		if g.due(now) {
			ok, err := g.commit(context.Background())
			if err != nil {
				return g.rollback(err)
			}
			if !ok {
				g.drop()
				g.rt.stats.aborts.Inc()
				if g.rt.cfg.Guarantee == AtLeastOnce {
					return errors.New("commit was refused")
				}
				if g.isOver() {
					return nil
				}
			}
			if err := g.begin(); err != nil {
				return fmt.Errorf("beginning a transaction: %w", err)
			}
		}
	}
}

// begin opens a transaction.
func (g *generation) begin() error {
	g.worked = false
	return g.s.begin()
}

// takeUp calls the Begin hook as long as nothing was handled since begin: a transaction may stand open for hours until its first record
// comes, and is to know what holds then.
func (g *generation) takeUp() {
	if hook := g.rt.spec.Hooks.Begin; hook != nil && !g.worked {
		hook()
	}
}

// learnPartitions asks how many partitions there are to take part in watermarks.
func (g *generation) learnPartitions(ctx context.Context) error {
	topics := append([]string{}, g.rt.spec.MarkTopics...)
	for topic := range g.topics {
		topics = append(topics, topic)
	}
	details, err := kadm.NewClient(g.s.client()).ListTopics(ctx, topics...)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		return fmt.Errorf("counting partitions: %w", err)
	}
	g.markPartitions = map[string]int32{}
	for topic := range g.topics {
		g.partitions = max(g.partitions, int32(len(details[topic].Partitions)))
	}
	for _, topic := range g.rt.spec.MarkTopics {
		g.markPartitions[topic] = int32(len(details[topic].Partitions))
	}
	return nil
}
