package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/broker/kafkatest"
	"weir/topology/client"
)

// What the other tests show on a stand-in holds on Apache Kafka too.
func TestTopicsOnApacheKafka(t *testing.T) {
	cfg := client.Config{Brokers: []string{kafkatest.Start(t)}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	opts, err := cfg.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	orders, payments, table := kafkatest.Unique("orders"), kafkatest.Unique("payments"), kafkatest.Unique("table")
	specs := []client.TopicSpec{
		{Name: orders, Partitions: 3, CoPartition: "order", Cleanup: client.Delete, Retention: time.Hour, RetentionBytes: 1 << 20},
		{Name: table, Partitions: 3, CoPartition: "order", Cleanup: client.Compact},
	}
	for range 2 { // the second time all is there
		if err := client.EnsureTopics(ctx, adm, specs); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := client.Describe(ctx, adm, orders, table, payments)
	if err != nil {
		t.Fatal(err)
	}
	if o := infos[0]; o.Partitions != 3 || o.Cleanup != "delete" || o.Retention != time.Hour || o.RetentionBytes != 1<<20 || o.Replication != 1 {
		t.Errorf("orders: %+v", o)
	}
	if infos[1].Cleanup != "compact" || !infos[2].Missing {
		t.Errorf("table %+v, payments %+v", infos[1], infos[2])
	}
	unequal := append(specs, client.TopicSpec{Name: payments, Partitions: 2})
	if err := client.EnsureTopics(ctx, adm, unequal); err != nil {
		t.Fatal(err)
	}
	unequal[2].CoPartition = "order"
	if err := client.EnsureTopics(ctx, adm, unequal); err == nil {
		t.Error("unequal partition counts were taken")
	}
	before, err := client.TopicIDs(ctx, adm, orders)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopic(ctx, orders); err != nil {
		t.Fatal(err)
	}
	for { // Kafka deletes behind the answer
		if _, err := client.TopicIDs(ctx, adm, orders); err != nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the topic is not deleted")
		}
	}
	if err := client.EnsureTopics(ctx, adm, specs); err != nil {
		t.Fatal(err)
	}
	after, err := client.TopicIDs(ctx, adm, orders)
	if err != nil {
		t.Fatal(err)
	}
	if before[orders] == after[orders] {
		t.Error("a new topic has the old id")
	}
}
