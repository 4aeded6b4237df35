package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// scripted is a session that polls what it is told to.
type scripted struct {
	session
	cl     *kgo.Client
	polls  []kgo.Fetches
	aborts int
}

func (s *scripted) client() *kgo.Client { return s.cl }
func (s *scripted) begin() error        { return nil }
func (s *scripted) abort(context.Context) error {
	s.aborts++
	return nil
}

func (s *scripted) poll(ctx context.Context, _ int) kgo.Fetches {
	if len(s.polls) == 0 {
		<-ctx.Done()
		return nil
	}
	next := s.polls[0]
	s.polls = s.polls[1:]
	return next
}

// record is a poll's one record of a partition.
func record(topic string, partition int32, offset int64) kgo.FetchPartition {
	return kgo.FetchPartition{Partition: partition, HighWatermark: offset + 1,
		Records: []*kgo.Record{{Topic: topic, Partition: partition, Offset: offset, Key: []byte("k")}}}
}

func polled(topic string, partitions ...kgo.FetchPartition) kgo.Fetches {
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: partitions}}}}
}

// slowCallbacks is a processor whose callback of partition 0 fails while that of partition 1 still runs, until Cleanup ends it, as goka
// does.
type slowCallbacks struct {
	running  atomic.Bool
	started  chan struct{}
	cleaning chan struct{}
	ended    sync.WaitGroup
	failure  error
}

func (p *slowCallbacks) Setup(sarama.ConsumerGroupSession) error { return nil }
func (p *slowCallbacks) Cleanup(sarama.ConsumerGroupSession) error {
	close(p.cleaning)
	p.ended.Wait()
	return nil
}

func (p *slowCallbacks) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	if _, ok := <-c.Messages(); !ok {
		return nil
	}
	if c.Partition() == 0 {
		<-p.started
		return p.failure
	}
	p.running.Store(true)
	close(p.started)
	p.ended.Go(func() {
		<-p.cleaning
		p.running.Store(false)
	})
	<-s.Context().Done()
	return nil
}

// What a callback adds after a rollback would be committed by the next generation, with the same record processed anew.
func TestNothingIsRolledBackWhileCallbacksRun(t *testing.T) {
	c := newCounting(t, cluster(t), 2)
	failure := errors.New("a callback failed")
	rollbacks := 0
	h := &slowCallbacks{started: make(chan struct{}), cleaning: make(chan struct{}), failure: failure}
	rt, cl := scriptedRuntime(t, c, Hooks{Rollback: func() {
		rollbacks++
		if h.running.Load() {
			t.Error("rolled back while a callback runs")
		}
	}})
	s := &scripted{cl: cl, polls: []kgo.Fetches{polled(c.in(), record(c.in(), 0, 0), record(c.in(), 1, 0))}}
	gen := newGeneration(rt, s, map[string][]int32{c.in(): {0, 1}}, make(chan struct{}))
	if err := gen.run(t.Context(), h); !errors.Is(err, failure) {
		t.Errorf("ended with %v, want what the callback said", err)
	}
	if rollbacks != 1 || s.aborts != 1 {
		t.Errorf("%d rollbacks, %d aborts; want one of each", rollbacks, s.aborts)
	}
}

// A poll may bring records of an assignment that has come meanwhile. They are the next generation's; nothing has failed.
func TestRecordsOfTheNextAssignmentEndTheGeneration(t *testing.T) {
	c := newCounting(t, cluster(t), 2)
	over := make(chan struct{})
	h := &slowCallbacks{started: make(chan struct{}), cleaning: make(chan struct{})}
	rt, cl := scriptedRuntime(t, c, Hooks{})
	s := &scripted{cl: cl}
	gen := newGeneration(rt, &reassigning{scripted: s, over: over, brings: polled(c.in(), record(c.in(), 1, 0), record(c.in(), 0, 0))},
		map[string][]int32{c.in(): {1}}, over)
	if err := gen.run(t.Context(), h); err != nil {
		t.Errorf("the processor failed: %v", err)
	}
	if s.aborts != 1 {
		t.Errorf("%d aborts, want one", s.aborts)
	}
}

// reassigning is a session whose group rebalances during its poll.
type reassigning struct {
	*scripted
	over   chan struct{}
	brings kgo.Fetches
}

func (r *reassigning) poll(context.Context, int) kgo.Fetches {
	close(r.over)
	return r.brings
}

// scriptedRuntime is a Runtime of a group that exists, and a client to ask for it.
func scriptedRuntime(t *testing.T, c *counting, hooks Hooks) (*Runtime, *kgo.Client) {
	t.Helper()
	rt, err := New(Config{Kafka: client.Config{Brokers: c.brokers}, Instance: "t", DataDir: t.TempDir()}, c.first(), func(*Runtime) Spec { return Spec{Hooks: hooks} })
	if err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, c.brokers)
	var start kadm.Offsets
	start.Add(kadm.Offset{Topic: c.in(), Partition: 0})
	if _, err := kadm.NewClient(cl).CommitOffsets(t.Context(), c.first(), start); err != nil {
		t.Fatal(err)
	}
	return rt, cl
}
