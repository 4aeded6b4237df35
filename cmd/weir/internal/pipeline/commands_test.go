package pipeline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/table"
)

func openCommands(t *testing.T, topic string, opts ...kfake.Opt) *commands {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := client.Config{Brokers: c.ListenAddrs()}
	kafkaOpts, err := cfg.With(producing()...)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kafkaOpts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &commands{cfg, cl, topic}
}

// The group alerts finds a decision in the partition of its entity's row.
func TestDecisionsGoToTheirEntity(t *testing.T) {
	const partitions, n = 6, 50
	c := openCommands(t, "commands", kfake.SeedTopics(partitions, "commands"))
	var decisions []*table.Decision
	for i := range n {
		decisions = append(decisions, &table.Decision{Id: fmt.Sprint("d-", i), Entity: fmt.Sprint("customer:", i), Alert: "a", Action: "close", ExpectedRevision: 3})
	}
	for i, err := range c.Decide(t.Context(), decisions) {
		if err != nil {
			t.Errorf("decision %d: %v", i, err)
		}
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.kafka.Brokers...), kgo.ConsumeTopics("commands"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < n {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d decisions: %v", len(seen), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var d table.Decision
			if err := d.UnmarshalVT(r.Value); err != nil {
				t.Fatal(err)
			}
			if string(r.Key) != d.Entity || r.Partition != client.Partition(r.Key, partitions) || d.ExpectedRevision != 3 || seen[d.Id] {
				t.Errorf("%s in partition %d: %v", r.Key, r.Partition, &d)
			}
			seen[d.Id] = true
		})
	}
}

func TestADecisionThatCannotBeWrittenIsToldSo(t *testing.T) {
	c := openCommands(t, "nowhere")
	gone, cancel := context.WithCancel(t.Context())
	cancel() // that the client is gone is no reason to write only some
	for i, err := range c.Decide(gone, []*table.Decision{{Id: "d-1", Entity: "card:1"}, {Id: "d-2", Entity: "card:2"}}) {
		if err == nil {
			t.Errorf("decision %d is written to a topic that does not exist", i)
		}
	}
}
