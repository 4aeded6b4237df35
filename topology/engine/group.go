package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// consumerGroup is goka's sarama.ConsumerGroup. Consume loops over generations itself: returning would make goka sleep 5 s.
type consumerGroup struct {
	rt   *Runtime
	errs chan error // never used: failures end Consume
}

func (g *consumerGroup) Errors() <-chan error      { return g.errs }
func (g *consumerGroup) Close() error              { return nil }
func (g *consumerGroup) Pause(map[string][]int32)  {}
func (g *consumerGroup) Resume(map[string][]int32) {}
func (g *consumerGroup) PauseAll()                 {}
func (g *consumerGroup) ResumeAll()                {}

// assignment is the group's latest word on which partitions are ours. Each change ends the generation that ran before it.
type assignment struct {
	mu      sync.Mutex
	claims  map[string][]int32 // nil: none right now
	version int64
	wake    chan struct{} // closed at the next change
}

func newAssignment() *assignment { return &assignment{wake: make(chan struct{})} }

func (a *assignment) set(claims map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claims = claims
	a.version++
	close(a.wake)
	a.wake = make(chan struct{})
}

func (a *assignment) assigned(m map[string][]int32) {
	claims := maps.Clone(m)
	if claims == nil {
		claims = map[string][]int32{}
	}
	a.set(claims)
}
func (a *assignment) revoked() { a.set(nil) }

// next waits for an assignment. changed is closed when it is over.
func (a *assignment) next(ctx context.Context) (claims map[string][]int32, changed <-chan struct{}, err error) {
	for {
		a.mu.Lock()
		claims, changed = a.claims, a.wake
		a.mu.Unlock()
		if claims != nil {
			return claims, changed, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-changed:
		}
	}
}

func (g *consumerGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	a := newAssignment()
	s, err := g.rt.newSession(ctx, topics, a)
	if err != nil {
		return err
	}
	defer s.close()
	g.rt.session = s
	for {
		claims, changed, err := a.next(ctx)
		if err != nil {
			return nil // the context ended
		}
		gen := newGeneration(g.rt, s, claims, changed)
		if err := gen.run(ctx, h); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

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
	timersLeft    bool    // more timers were due than one barrier fires
	polled        int     // records of the last poll
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

// pollsPerCommit bounds how often a live stream is polled between commits. Records become visible at commits only, so fetching each of
// them the moment it arrives would cost requests and wake-ups, and win nothing.
const pollsPerCommit = 5

// pollOnce waits for records at most until something else is due: a commit, timers, the watermark of idle sources.
func (g *generation) pollOnce() kgo.Fetches {
	if gap := time.Until(g.polledAt.Add(g.rt.cfg.CommitInterval / pollsPerCommit)); gap > 0 && g.polled > 0 && g.polled < maxPollRecords/20 && !g.backlog() {
		t := time.NewTimer(gap)
		select {
		case <-t.C:
		case <-g.live.Done():
			t.Stop()
		}
	}
	wait := 200 * time.Millisecond
	if g.hasWork() {
		wait = max(time.Until(g.lastCommit.Add(g.interval())), time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(g.live, wait)
	defer cancel()
	fetches := g.s.poll(ctx, g.pollLimit())
	g.polledAt = time.Now()
	return fetches
}

// pollLimit keeps one poll from holding far more than a transaction should: sparse events touch many rows each.
func (g *generation) pollLimit() int {
	held := g.rt.spec.Hooks.Held
	if held == nil || g.pending == 0 {
		return g.nextPoll(0)
	}
	return g.nextPoll(float64(held()) / float64(g.pending))
}

func (g *generation) nextPoll(heldPerRecord float64) int {
	if heldPerRecord > 0 {
		g.heldPerRecord = heldPerRecord
	}
	if g.heldPerRecord == 0 {
		return maxPollRecords
	}
	return max(1000, min(maxPollRecords, int(maxHeld/2/g.heldPerRecord)))
}

// backlog reports that more input is buffered already than a live stream brings.
func (g *generation) backlog() bool {
	cl := g.s.client()
	return cl.BufferedFetchRecords() > maxPollRecords/10 || cl.BufferedFetchBytes() > backlogBytes
}

// process hands the records to their claims and returns at the barrier: goka has marked each of them.
func (g *generation) process(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		g.rt.stats.fetchErrors.Inc()
		g.rt.log.Warn("fetching failed; trying again", "topic", e.Topic, "partition", e.Partition, "error", client.Diagnose(g.rt.cfg.Kafka, e.Err))
	}
	n, err := g.handOut(fetches)
	g.polled = n
	if err != nil {
		return err
	}
	if n > 0 {
		select {
		case <-g.marked:
		case err := <-g.failed:
			return err
		}
		g.pending += n
		g.worked = true
		g.rt.stats.processed.Add(float64(n))
	}
	g.watermarks()
	g.align(time.Now())
	return nil
}

// handOut gives each claim what came for it, as one message, and returns how many records that are.
func (g *generation) handOut(fetches kgo.Fetches) (n int, err error) {
	type share struct {
		claim   *claim
		records []*kgo.Record
	}
	var shares []share
	now := time.Now()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 || err != nil {
			return
		}
		c := g.claims[topicPartition{f.Topic, f.Partition}]
		if c == nil {
			err = fmt.Errorf("records of %s/%d arrived without an assignment", f.Topic, f.Partition)
			return
		}
		last := f.Records[len(f.Records)-1]
		c.end, c.position, c.lastAt, c.recordAt = f.HighWatermark, last.Offset+1, now, last.Timestamp
		records := slices.DeleteFunc(f.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
		if len(records) == 0 {
			return
		}
		if g.rt.spec.CheckKeys {
			for _, r := range records {
				g.rt.checkPartition(r, f, g.partitions)
			}
		}
		shares = append(shares, share{c, records})
		n += len(records)
	})
	if err != nil {
		return n, err
	}
	g.left.Store(int64(len(shares)))
	for _, s := range shares {
		g.owned[s.claim.partition].inputs[s.claim.topic].records = s.records
		select {
		case s.claim.records <- &sarama.ConsumerMessage{Topic: s.claim.topic, Partition: s.claim.partition, Offset: s.records[0].Offset, Timestamp: s.records[0].Timestamp}:
		case err := <-g.failed:
			return n, err
		}
	}
	return n, nil
}

// due says whether to commit now. A live stream commits every CommitInterval, and at once after a quiet spell; a backlog (more
// input is already buffered) commits in large transactions, because rows touched twice are then written once.
func (g *generation) due(now time.Time) bool {
	if !g.hasWork() {
		return false
	}
	if g.pending >= maxPendingRecords || g.dirtyBytes() >= maxDirtyBytes {
		return true
	}
	if held := g.rt.spec.Hooks.Held; held != nil && held() >= maxHeld {
		return true
	}
	return now.Sub(g.lastCommit) >= g.interval()
}

func (g *generation) interval() time.Duration {
	if g.backlog() {
		return g.rt.cfg.BacklogInterval
	}
	return g.rt.cfg.CommitInterval
}

func (g *generation) hasWork() bool {
	if g.pending > 0 {
		return true
	}
	now := time.Now()
	for _, p := range g.owned {
		if p.changed() || p.markDue(now) {
			return true
		}
	}
	return false
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

func (g *generation) dirtyBytes() (n int) {
	for _, p := range g.owned {
		if p.store != nil {
			n += p.store.dirtyBytes
		}
	}
	return n
}

// flushDue lets partitions write settled rows beside the batches that follow.
func (g *generation) flushDue(now time.Time) error {
	for _, p := range g.owned {
		if p.store != nil {
			if err := p.store.flushDue(now); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish commits what a graceful stop finds at the barrier.
func (g *generation) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	if ok, err := g.commit(ctx); err != nil || !ok {
		g.drop()
		return err
	}
	return g.flushAll()
}

// rollback drops everything since the last commit.
func (g *generation) rollback(cause error) error {
	g.drop()
	g.rt.stats.aborts.Inc()
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	if err := g.s.abort(ctx); err != nil {
		return errors.Join(cause, fmt.Errorf("aborting the transaction: %w", err))
	}
	return errors.Join(cause, g.flushAll())
}

func (g *generation) drop() {
	for _, p := range g.owned {
		p.rollback()
	}
	if g.rt.spec.Hooks.Rollback != nil {
		g.rt.spec.Hooks.Rollback()
	}
	g.pending = 0
}

// flushAll writes all committed rows to LevelDB.
func (g *generation) flushAll() error {
	var errs []error
	for _, p := range g.owned {
		if p.store != nil {
			errs = append(errs, p.store.flushAll())
		}
	}
	return errors.Join(errs...)
}

// commit ends the transaction: hooks, marks, changelog, offsets; then the rows become LevelDB's.
func (g *generation) commit(ctx context.Context) (bool, error) {
	started := time.Now()
	tx := &Tx{g: g}
	if g.rt.spec.Hooks.BeforeCommit != nil {
		if err := g.rt.spec.Hooks.BeforeCommit(tx); err != nil {
			return false, err
		}
	}
	if err := g.sendMarks(tx, started); err != nil {
		return false, err
	}
	for _, p := range g.owned {
		if err := p.writeMarks(); err != nil {
			return false, err
		}
		if p.store != nil {
			p.store.produceChangelog(g.s)
		}
	}
	ok, err := g.s.commit(ctx)
	if err != nil || !ok {
		return false, err
	}
	for _, p := range g.owned {
		if p.store != nil {
			p.store.committed(started)
		}
		p.committed()
	}
	g.rt.stats.commits.Inc()
	g.rt.stats.commitSeconds.Observe(time.Since(started).Seconds())
	g.rt.stats.committed.Add(float64(g.pending))
	g.pending = 0
	g.lastCommit = time.Now()
	return true, nil
}
