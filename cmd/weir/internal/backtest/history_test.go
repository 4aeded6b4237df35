package backtest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/sim"
)

// cluster is a broker with the topics orders and payments of three partitions.
func cluster(t *testing.T) (client.Config, *kgo.Client) {
	t.Helper()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kafka := client.Config{Brokers: []string{b.Addr()}}
	opts, err := kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	var specs []client.TopicSpec
	for _, name := range []string{"orders", "payments"} {
		specs = append(specs, client.TopicSpec{Name: name, Partitions: 3, Replication: 1, Cleanup: client.Delete})
	}
	if err := client.EnsureTopics(t.Context(), kadm.NewClient(cl), specs); err != nil {
		t.Fatal(err)
	}
	return kafka, cl
}

func second(n int) time.Time { return time.Unix(1_780_000_000+int64(n), 0) }

func TestHistoryComesInTheOrderOfArrival(t *testing.T) {
	kafka, cl := cluster(t)
	const n = 30_000 // more than a partition's buffer
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: []string{"orders", "payments"}[i%2], Partition: int32(i / 7 % 3), Timestamp: second(i),
			Value: fmt.Append(nil, i)})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, since := range []int{0, 20_000, n} {
		from := second(since)
		if since == 0 {
			from = time.Time{}
		}
		h, err := OpenHistory(t.Context(), kafka, []string{"orders", "payments"}, from)
		if err != nil {
			t.Fatal(err)
		}
		// What comes while the history is read does not belong to it.
		later := &kgo.Record{Topic: "orders", Partition: 1, Timestamp: second(n + 1), Value: []byte("later")}
		if err := cl.ProduceSync(t.Context(), later).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want := since
		for r, err := range h.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Value) == "later" && want == n {
				continue // of the time before
			}
			if string(r.Value) != fmt.Sprint(want) || r.Timestamp != event.UnixMilli(second(want).UnixMilli()) {
				t.Fatalf("record %d is %s at %v", want, r.Value, r.Timestamp.Time())
			}
			want++
		}
		if want != n {
			t.Errorf("since %d: ends before %d", since, want)
		}
		h.Close()
	}
}

func TestHistoryOfTransactionsEnds(t *testing.T) {
	kafka, cl := cluster(t)
	opts, err := kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("shop"))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: 2, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "payments", Partition: 0, Value: []byte("p")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(t.Context(), kafka, []string{"orders", "payments"}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var got []string
	for r, err := range h.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(r.Value))
	}
	if fmt.Sprint(got) != "[0 2 p]" {
		t.Errorf("records %v", got)
	}
	if _, err := OpenHistory(t.Context(), kafka, []string{"nowhere"}, time.Time{}); err == nil {
		t.Error("a topic that is missing is no error")
	}
}

func TestACancelledHistoryEndsTheRunAsPartial(t *testing.T) {
	kafka, cl := cluster(t)
	records, _ := history(t, shopOf(200))
	for _, r := range records {
		if r.Topic != "shipments" {
			cl.Produce(t.Context(), &kgo.Record{Topic: r.Topic, Partition: client.Partition([]byte(r.Key), 3), Key: []byte(r.Key), Value: r.Value,
				Timestamp: r.Timestamp.Time()}, nil)
		}
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(t.Context(), kafka, []string{"orders", "payments"}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	counted := func(yield func(sim.Record, error) bool) {
		for r, err := range h.Records(ctx) {
			if seen++; seen == 100 {
				cancel()
			}
			if !yield(r, err) {
				return
			}
		}
	}
	r, err := Run(ctx, Options{Set: loadRules(t, "testdata/rules.yaml"), Events: counted, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Partial != Cancelled || r.Events < 90 || r.Events > 100 {
		t.Errorf("partial %q after %d events", r.Partial, r.Events)
	}
}
