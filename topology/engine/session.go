package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// session is what a guarantee means to the loop: how work begins, and how it ends.
//
// begin, poll, commit and abort belong to the loop. produce may be called by any goroutine between begin and commit or abort.
type session interface {
	client() *kgo.Client
	begin() error
	poll(ctx context.Context, limit int) kgo.Fetches
	produce(r *kgo.Record, promise func(*kgo.Record, error))
	// note must be called by every promise: output that failed must not be committed.
	note(error)
	// commit ends the work. False without an error means that the work was refused (a rebalance, a fenced producer): it must be
	// dropped, and the records polled since begin come again.
	commit(ctx context.Context) (bool, error)
	abort(ctx context.Context) error
	close()
}

// newSession joins the group. onChange is called on the client's goroutine; it must not block.
func (rt *Runtime) newSession(ctx context.Context, topics []string, a *assignment) (session, error) {
	opts, err := rt.clientOptions()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.ConsumeTopics(topics...),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { a.assigned(m) }),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { a.revoked() }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { a.revoked() }),
	)
	if rt.cfg.Guarantee == AtLeastOnce {
		cl, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...)
		if err != nil {
			return nil, err
		}
		return &flushSession{cl: cl, leave: rt.leaver()}, nil
	}
	// The transactional id is this instance's own: starting it fences what an earlier life of the instance left open, at once,
	// so that recovery does not wait for that transaction to time out.
	id := rt.name + "-" + rt.cfg.Instance
	txn, err := kgo.NewGroupTransactSession(append(opts,
		kgo.TransactionalID(id), kgo.TransactionTimeout(transactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		return nil, err
	}
	fence, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, _, err := txn.Client().ProducerID(fence); err != nil {
		txn.Close()
		return nil, fmt.Errorf("starting transactional producer %q: %w", id, err)
	}
	return &txnSession{s: txn, leave: rt.leaver()}, nil
}

// transactionTimeout bounds how long a dead instance's open transaction holds back the readers of its topics.
const transactionTimeout = 15 * time.Second

// leaver returns what a graceful stop does about membership: nothing (a restart within the session timeout takes the
// partitions back without a rebalance), or leave so that others take over at once.
func (rt *Runtime) leaver() func(*kgo.Client) {
	if !rt.cfg.LeaveOnStop {
		return func(*kgo.Client) {}
	}
	return func(cl *kgo.Client) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := kadm.NewClient(cl).LeaveGroup(ctx, kadm.LeaveGroup(rt.name).InstanceIDs(rt.cfg.Instance))
		if err != nil {
			rt.log.Warn("leaving the group failed; the partitions move after the session timeout", "error", err)
		}
	}
}

// failure keeps the first failed produce since begin.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) note(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) noteRecord(r *kgo.Record, err error) {
	if err != nil {
		f.note(fmt.Errorf("producing to %s: %w", r.Topic, err))
	}
}

func (f *failure) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// produceOn sends r; promise, or failure's own where it is nil, gets the result.
func (f *failure) produceOn(cl *kgo.Client, r *kgo.Record, promise func(*kgo.Record, error)) {
	if promise == nil {
		promise = f.noteRecord
	}
	cl.Produce(context.Background(), r, promise)
}

// txnSession is exactly_once: input offsets, changelog and output commit or abort together (KIP-447).
type txnSession struct {
	failure
	s     *kgo.GroupTransactSession
	leave func(*kgo.Client)
}

func (t *txnSession) client() *kgo.Client { return t.s.Client() }
func (t *txnSession) begin() error        { t.reset(); return t.s.Begin() }
func (t *txnSession) poll(ctx context.Context, n int) kgo.Fetches {
	return t.s.PollRecords(ctx, n)
}
func (t *txnSession) produce(r *kgo.Record, promise func(*kgo.Record, error)) {
	t.produceOn(t.s.Client(), r, promise)
}
func (t *txnSession) commit(ctx context.Context) (bool, error) {
	if err := t.s.Client().Flush(ctx); err != nil {
		return false, err
	}
	if err := t.get(); err != nil {
		return false, err // the caller aborts
	}
	return t.s.End(ctx, kgo.TryCommit)
}
func (t *txnSession) abort(ctx context.Context) error {
	_, err := t.s.End(ctx, kgo.TryAbort)
	return err
}
func (t *txnSession) close() { t.leave(t.s.Client()); t.s.Close() }

// flushSession is at_least_once: offsets are committed after everything that follows from them is acknowledged, so a later
// message's commit cannot overtake an earlier one's output.
type flushSession struct {
	failure
	cl    *kgo.Client
	leave func(*kgo.Client)
}

func (f *flushSession) client() *kgo.Client                               { return f.cl }
func (f *flushSession) begin() error                                      { f.reset(); return nil }
func (f *flushSession) poll(ctx context.Context, n int) kgo.Fetches       { return f.cl.PollRecords(ctx, n) }
func (f *flushSession) produce(r *kgo.Record, p func(*kgo.Record, error)) { f.produceOn(f.cl, r, p) }
func (f *flushSession) commit(ctx context.Context) (bool, error) {
	if err := f.cl.Flush(ctx); err != nil {
		return false, err
	}
	if err := f.get(); err != nil {
		return false, fmt.Errorf("output was not acknowledged, offsets stay where they were: %w", err)
	}
	if err := f.cl.CommitUncommittedOffsets(ctx); err != nil {
		return false, fmt.Errorf("committing offsets: %w", err)
	}
	return true, nil
}

// abort cannot take back what was sent; the generation must end, so that reading starts again from the committed offsets.
func (f *flushSession) abort(ctx context.Context) error { return f.cl.AbortBufferedRecords(ctx) }
func (f *flushSession) close()                          { f.leave(f.cl); f.cl.Close() }

// byNumber sends records with a partition to it, and all others where murmur2 of their key says, as Java clients do.
type byNumber struct{ byKey kgo.Partitioner }

func (b byNumber) ForTopic(topic string) kgo.TopicPartitioner {
	return topicByNumber{b.byKey.ForTopic(topic)}
}

type topicByNumber struct{ kgo.TopicPartitioner }

func (t topicByNumber) RequiresConsistency(*kgo.Record) bool { return true }
func (t topicByNumber) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return t.TopicPartitioner.Partition(r, n)
}
