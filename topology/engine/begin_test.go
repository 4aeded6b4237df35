package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// noting is a processor that notes what holds at each record.
type noting struct {
	taken *atomic.Int64
	seen  []int64
}

func (p *noting) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (p *noting) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (p *noting) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for m := range c.Messages() {
		p.seen = append(p.seen, p.taken.Load())
		s.MarkOffset(m.Topic, m.Partition, m.Offset+1, "")
	}
	return nil
}

// news is a session whose n-th poll brings the n-th answer; with each poll something new is in force.
type news struct {
	*scripted
	inForce *atomic.Int64
	brings  []kgo.Fetches
	over    chan struct{}
}

func (n *news) poll(context.Context, int) kgo.Fetches {
	n.inForce.Add(1)
	if len(n.brings) == 0 {
		close(n.over)
		return nil
	}
	next := n.brings[0]
	n.brings = n.brings[1:]
	return next
}

func TestATransactionKnowsWhatHoldsWhenItsFirstRecordComes(t *testing.T) {
	c := newCounting(t, cluster(t), 1)
	var inForce, taken atomic.Int64
	rt, cl := scriptedRuntime(t, c, Hooks{Begin: func() { taken.Store(inForce.Load()) }})
	rt.cfg.CommitInterval = 10 * time.Second // longer than the test
	quiet := kgo.Fetches{}
	s := &news{scripted: &scripted{cl: cl}, inForce: &inForce, over: make(chan struct{}),
		brings: []kgo.Fetches{quiet, quiet, polled(c.in(), record(c.in(), 0, 0)), quiet, polled(c.in(), record(c.in(), 0, 1))}}
	h := &noting{taken: &taken}
	if err := newGeneration(rt, s, map[string][]int32{c.in(): {0}}, s.over).run(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if want := []int64{3, 3}; !slices.Equal(h.seen, want) {
		t.Errorf("the records saw %v, want %v: what holds at the first one holds for the transaction", h.seen, want)
	}
}
