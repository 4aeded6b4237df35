package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func admin(t *testing.T, c *kfake.Cluster) *kadm.Client {
	t.Helper()
	opts, err := Config{Brokers: c.ListenAddrs()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func shop() []TopicSpec {
	return []TopicSpec{
		{Name: "orders", Partitions: 8, CoPartition: "order", Cleanup: Delete, Retention: 24 * time.Hour, RetentionBytes: 1 << 20},
		{Name: "payments", Partitions: 8, CoPartition: "order", Cleanup: Delete},
		{Name: "shipments", Partitions: 8, CoPartition: "order", Cleanup: Delete},
		{Name: "weir-orders-table", Partitions: 8, CoPartition: "order", Cleanup: Compact},
		{Name: "weir-dead-letters", Partitions: 3, Cleanup: Delete},
	}
}

func TestMissingTopicsAreCreatedOnceHoweverManyInstancesStart(t *testing.T) {
	c := cluster(t)
	ctx := soon(t)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		adm := admin(t, c)
		wg.Go(func() { errs[i] = EnsureTopics(ctx, adm, shop()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	infos, err := Describe(ctx, admin(t, c), "orders", "weir-orders-table", "weir-dead-letters", "weir-unknown")
	if err != nil {
		t.Fatal(err)
	}
	orders, table, letters, unknown := infos[0], infos[1], infos[2], infos[3]
	if orders.Partitions != 8 || orders.Replication != 1 || orders.Cleanup != "delete" || orders.Retention != 24*time.Hour || orders.RetentionBytes != 1<<20 {
		t.Errorf("orders: %+v", orders)
	}
	if table.Cleanup != "compact" || letters.Partitions != 3 || !unknown.Missing {
		t.Errorf("table %+v, letters %+v, unknown %+v", table, letters, unknown)
	}
}

func TestReplicationFollowsTheCluster(t *testing.T) {
	for brokers, want := range map[int]int16{1: 1, 2: 2, 3: 3, 5: 3} {
		c := cluster(t, kfake.NumBrokers(brokers))
		adm, ctx := admin(t, c), soon(t)
		if err := EnsureTopics(ctx, adm, shop()); err != nil {
			t.Fatal(err)
		}
		info, err := Describe(ctx, adm, "orders")
		if err != nil {
			t.Fatal(err)
		}
		if info[0].Replication != want {
			t.Errorf("%d brokers: replication %d, want %d", brokers, info[0].Replication, want)
		}
	}
}

func TestNewTopicsTakeThePartitionCountOfTheirSiblings(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(12, "payments"))
	adm, ctx := admin(t, c), soon(t)
	if err := EnsureTopics(ctx, adm, shop()); err != nil {
		t.Fatal(err)
	}
	infos, err := Describe(ctx, adm, "orders", "shipments", "weir-orders-table", "weir-dead-letters")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{12, 12, 12, 3} {
		if infos[i].Partitions != want {
			t.Errorf("%s has %d partitions, want %d", infos[i].Name, infos[i].Partitions, want)
		}
	}
}

func TestUnequalPartitionCountsNameBothTopics(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(8, "orders"), kfake.SeedTopics(6, "payments"))
	err := EnsureTopics(soon(t), admin(t, c), shop())
	for _, says := range []string{"orders has 8", "payments has 6", "in place of payments with 8 partitions"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestWrongCleanupPolicyIsNotRepairedBehindThePersonsBack(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(8, "weir-orders-table"))
	adm, ctx := admin(t, c), soon(t)
	err := EnsureTopics(ctx, adm, shop())
	for _, says := range []string{"weir-orders-table", "cleanup.policy=delete", "--add-config cleanup.policy=compact"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	info, err := Describe(ctx, adm, "weir-orders-table")
	if err != nil {
		t.Fatal(err)
	}
	if info[0].Cleanup != "delete" {
		t.Error("the topic was changed")
	}
}

func TestReplicationThatTheClusterCannotGiveIsExplained(t *testing.T) {
	err := EnsureTopics(soon(t), admin(t, cluster(t)), []TopicSpec{{Name: "orders", Partitions: 1, Replication: 3}})
	if err == nil || !strings.Contains(err.Error(), "orders") || !strings.Contains(err.Error(), "brokers") {
		t.Errorf("got %v", err)
	}
}

func TestTopicIDChangesWhenATopicIsMadeAnew(t *testing.T) {
	c := cluster(t)
	adm, ctx := admin(t, c), soon(t)
	ensure := func() [16]byte {
		if err := EnsureTopics(ctx, adm, shop()); err != nil {
			t.Fatal(err)
		}
		ids, err := TopicIDs(ctx, adm, "orders", "payments")
		if err != nil {
			t.Fatal(err)
		}
		if ids["orders"] == ids["payments"] || ids["orders"] == [16]byte{} {
			t.Fatalf("ids %v", ids)
		}
		return ids["orders"]
	}
	first := ensure()
	if again := ensure(); again != first {
		t.Error("the id changed although the topic did not")
	}
	if _, err := adm.DeleteTopic(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := TopicIDs(ctx, adm, "orders"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("deleted topic: %v", err)
	}
	if again := ensure(); again == first {
		t.Error("a new topic has the old id")
	}
	if id, err := ClusterID(ctx, adm); err != nil || id == "" {
		t.Errorf("cluster id %q, %v", id, err)
	}
}
