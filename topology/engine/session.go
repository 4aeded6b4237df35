package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
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
	life, end := context.WithCancel(context.Background())
	ender := closer{rt, end}
	opts = append(opts,
		kgo.WithContext(life),
		kgo.ConsumeTopics(topics...),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { a.assigned(m) }),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { a.revoked() }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { a.revoked() }),
	)
	if rt.cfg.Guarantee == AtLeastOnce {
		cl, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...)
		if err != nil {
			end()
			return nil, err
		}
		return &flushSession{cl: cl, closer: ender}, nil
	}
	// The transactional id is this instance's own: starting it fences what an earlier life of the instance left open, at once,
	// so that recovery does not wait for that transaction to time out.
	id := rt.name + "-" + rt.cfg.Instance
	txn, err := kgo.NewGroupTransactSession(append(opts,
		kgo.TransactionalID(id), kgo.TransactionTimeout(transactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		end()
		return nil, err
	}
	fence, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, _, err := txn.Client().ProducerID(fence); err != nil {
		ender.close(txn.Client())
		return nil, fmt.Errorf("starting transactional producer %q: %w", id, err)
	}
	return &txnSession{s: txn, closer: ender}, nil
}

// transactionTimeout bounds how long a dead instance's open transaction holds back the readers of its topics.
const transactionTimeout = 15 * time.Second

// closer ends a client in bounded time.
type closer struct {
	rt  *Runtime
	end context.CancelFunc // of the client's context
}

// closeTimeout bounds how long a stop waits for the group's coordinator. A client that is just joining is answered once all its peers
// have joined too, which can take the rebalance timeout; by then whoever stops this process would have killed it.
const closeTimeout = time.Second

// close ends the client. What that does to the membership is nothing (a restart within the session timeout takes the partitions back
// without a rebalance), or with LeaveOnStop to leave, so that others take over at once.
func (c closer) close(cl *kgo.Client) {
	t := time.AfterFunc(closeTimeout, c.end)
	defer t.Stop()
	cl.Close()
	c.end()
	if !c.rt.cfg.LeaveOnStop {
		return
	}
	if err := c.rt.leave(); err != nil {
		c.rt.log.Warn("leaving the group failed; the partitions move after the session timeout", "error", err)
	}
}

// leave takes this instance out of the group, once its client is closed: a client that hears that it is no member any more joins again,
// and the group would wait a session for it.
func (rt *Runtime) leave() error {
	tm, err := newTopicManager(rt.cfg.Kafka)
	if err != nil {
		return err
	}
	defer tm.cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	left, err := tm.adm.LeaveGroup(ctx, kadm.LeaveGroup(rt.name).InstanceIDs(rt.cfg.Instance))
	if err == nil {
		err = left.Error()
	}
	if errors.Is(err, kerr.UnknownMemberID) { // it had not joined
		return nil
	}
	return err
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
	s        *kgo.GroupTransactSession
	produced client.Produced
	closer   closer
}

func (t *txnSession) client() *kgo.Client { return t.s.Client() }
func (t *txnSession) begin() error        { t.reset(); return t.s.Begin() }
func (t *txnSession) poll(ctx context.Context, n int) kgo.Fetches {
	return t.s.PollRecords(ctx, n)
}
func (t *txnSession) produce(r *kgo.Record, promise func(*kgo.Record, error)) {
	t.produced.Add(r.Topic)
	t.produceOn(t.s.Client(), r, promise)
}
func (t *txnSession) commit(ctx context.Context) (bool, error) {
	if err := t.s.Client().Flush(ctx); err != nil {
		return false, err
	}
	if err := t.get(); err != nil {
		return false, err // the caller aborts
	}
	if err := t.produced.Wait(ctx, t.s.Client()); err != nil {
		return false, err
	}
	return t.s.End(ctx, kgo.TryCommit)
}
func (t *txnSession) abort(ctx context.Context) error {
	_, err := t.s.End(ctx, kgo.TryAbort)
	return err
}
func (t *txnSession) close() { t.closer.close(t.s.Client()) }

// flushSession is at_least_once: offsets are committed after everything that follows from them is acknowledged, so a later
// message's commit cannot overtake an earlier one's output.
type flushSession struct {
	failure
	cl     *kgo.Client
	closer closer
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
func (f *flushSession) close()                          { f.closer.close(f.cl) }

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
