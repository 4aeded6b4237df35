package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestACommitWaitsUntilTheClientKnowsWhatItProducedTo(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var p Produced
	if err := p.Wait(t.Context(), cl); err != nil {
		t.Fatalf("nothing was produced: %v", err)
	}
	p.Add("orders")
	p.Add("orders")
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Wait(short, cl); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the client has not heard of the topic, yet the wait is over: %v", err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Wait(t.Context(), cl); err != nil {
			t.Fatal(err)
		}
	}
}
