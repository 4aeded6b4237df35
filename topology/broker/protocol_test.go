package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the engine asks of a broker, one test each.

func session(t *testing.T, addr, name string, opts ...kgo.Opt) *kgo.GroupTransactSession {
	t.Helper()
	s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.TransactionalID("weir-orders-" + name), kgo.ConsumerGroup("weir-orders"), kgo.ConsumeTopics("orders"),
		kgo.InstanceID(name), kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.TransactionTimeout(15 * time.Second), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func produceOrders(t *testing.T, addr string, from, to int) {
	t.Helper()
	cl := client(t, addr)
	for i := from; i < to; i++ {
		cl.Produce(soon(t), &kgo.Record{Topic: "orders", Key: fmt.Append(nil, "o-", i), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// forward reads a batch inside a transaction and answers each record on deltas; it returns the number read.
func forward(t *testing.T, ctx context.Context, s *kgo.GroupTransactSession, end kgo.TransactionEndTry) (int, bool) {
	t.Helper()
	fetches := s.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	n := 0
	fetches.EachRecord(func(r *kgo.Record) {
		n++
		s.Produce(ctx, &kgo.Record{Topic: "deltas", Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	})
	if err := s.Client().Flush(ctx); err != nil {
		t.Fatal(err)
	}
	committed, err := s.End(ctx, end)
	if err != nil {
		t.Fatal(err)
	}
	return n, committed
}

func count(rs map[int32][]*kgo.Record) int {
	n := 0
	for _, p := range rs {
		n += len(p)
	}
	return n
}

func TestTransactionMovesOutputsAndPositionsTogether(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 2, nil)
	create(t, cl, "deltas", 2, nil)
	produceOrders(t, b.Addr(), 0, 50)
	ctx := soon(t)
	s := session(t, b.Addr(), "a")
	if _, committed := forward(t, ctx, s, kgo.TryAbort); committed {
		t.Fatal("aborted and committed")
	}
	if n := count(readAll(t, b.Addr(), "deltas")); n != 0 {
		t.Fatalf("%d records of an aborted transaction are visible", n)
	}
	for read := 0; read < 50; {
		n, committed := forward(t, ctx, s, kgo.TryCommit)
		if !committed {
			t.Fatal("not committed")
		}
		read += n
	}
	if n := count(readAll(t, b.Addr(), "deltas")); n != 50 {
		t.Errorf("%d outputs of 50 inputs", n)
	}
	var at int64
	for _, o := range must(kadm.NewClient(cl).FetchOffsets(ctx, "weir-orders"))(t)["orders"] {
		at += o.At
	}
	if at != 50 {
		t.Errorf("the group stands at %d of 50", at)
	}
}

func TestZombieCannotCommit(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	create(t, cl, "deltas", 1, nil)
	produceOrders(t, b.Addr(), 0, 10)
	ctx := soon(t)
	old := session(t, b.Addr(), "a")
	fetches := old.PollFetches(ctx)
	if err := errors.Join(fetches.Err(), old.Begin()); err != nil {
		t.Fatal(err)
	}
	if err := old.ProduceSync(ctx, &kgo.Record{Topic: "deltas", Value: []byte("zombie")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	heir := session(t, b.Addr(), "a") // the same instance, started again
	for read := 0; read < 10; {
		n, _ := forward(t, ctx, heir, kgo.TryCommit)
		read += n
	}
	if committed, err := old.End(ctx, kgo.TryCommit); committed {
		t.Errorf("the zombie committed (%v)", err)
	}
	for _, r := range readAll(t, b.Addr(), "deltas")[0] {
		if string(r.Value) == "zombie" {
			t.Error("the zombie's output is visible")
		}
	}
}

func TestStaticMemberComesBackWithoutARebalance(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 2, nil)
	create(t, cl, "deltas", 2, nil)
	produceOrders(t, b.Addr(), 0, 10)
	ctx := soon(t)
	revoked := make(chan struct{}, 10)
	first := session(t, b.Addr(), "a", kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { revoked <- struct{}{} }))
	for read := 0; read < 10; {
		n, _ := forward(t, ctx, first, kgo.TryCommit)
		read += n
	}
	adm := kadm.NewClient(cl)
	describe := func() kadm.DescribedGroup {
		return must(adm.DescribeGroups(ctx, "weir-orders"))(t)["weir-orders"]
	}
	before := describe()
	first.Close() // a static member does not leave
	after := describe()
	if len(after.Members) != 1 || after.Members[0].InstanceID == nil || *after.Members[0].InstanceID != "a" {
		t.Fatalf("members after the instance stopped: %+v", after.Members)
	}
	again := session(t, b.Addr(), "a")
	produceOrders(t, b.Addr(), 10, 20)
	for read := 0; read < 10; {
		n, _ := forward(t, ctx, again, kgo.TryCommit)
		read += n
	}
	if now := describe(); len(now.Members) != 1 || now.Members[0].MemberID == before.Members[0].MemberID {
		t.Errorf("members now %+v, before %+v", now.Members, before.Members)
	}
}

func TestReadCommittedStopsAtAnOpenTransaction(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr(), kgo.TransactionalID("w"))
	create(t, cl, "deltas", 1, nil)
	ctx := soon(t)
	write := func(v string) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "deltas", Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprint(i))
		if err := cl.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write("open")
	adm := kadm.NewClient(client(t, b.Addr()))
	stable, _ := must(adm.ListCommittedOffsets(ctx, "deltas"))(t).Lookup("deltas", 0)
	end, _ := must(adm.ListEndOffsets(ctx, "deltas"))(t).Lookup("deltas", 0)
	if stable.Offset != 4 || end.Offset != 5 {
		t.Errorf("stable %d, end %d; want 4 (two records, two markers) and 5", stable.Offset, end.Offset)
	}
	if rs := readAll(t, b.Addr(), "deltas")[0]; len(rs) != 1 || string(rs[0].Value) != "0" {
		t.Errorf("visible: %v", rs)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if rs := readAll(t, b.Addr(), "deltas")[0]; len(rs) != 2 {
		t.Errorf("visible after the commit: %v", rs)
	}
}

func TestOffsetsByTime(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	ctx := soon(t)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Timestamp: day.Add(time.Duration(i) * time.Hour)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	for at, want := range map[time.Duration]int64{-time.Hour: 0, 3 * time.Hour: 3, 3*time.Hour + 1: 3, 9 * time.Hour: 9} {
		o, _ := must(adm.ListOffsetsAfterMilli(ctx, day.Add(at).UnixMilli(), "orders"))(t).Lookup("orders", 0)
		if o.Offset != want {
			t.Errorf("after %v: offset %d, want %d", at, o.Offset, want)
		}
	}
	if s, _ := must(adm.ListStartOffsets(ctx, "orders"))(t).Lookup("orders", 0); s.Offset != 0 {
		t.Errorf("start %d", s.Offset)
	}
}

func TestClusterAndConfigurationsCanBeDescribedAndChanged(t *testing.T) {
	b := start(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	ctx := soon(t)
	adm := kadm.NewClient(cl)
	meta := must(adm.BrokerMetadata(ctx))(t)
	if len(meta.Brokers) != 1 || fmt.Sprintf("%s:%d", meta.Brokers[0].Host, meta.Brokers[0].Port) != b.Addr() || meta.Controller != meta.Brokers[0].NodeID {
		t.Errorf("cluster %+v", meta)
	}
	compact, week := "compact", "604800000"
	rs := must(adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &compact}, {Op: kadm.SetConfig, Name: "retention.ms", Value: &week},
	}, "orders"))(t)
	if rs[0].Err != nil {
		t.Fatal(rs[0].Err)
	}
	rc := must(must(adm.DescribeTopicConfigs(ctx, "orders"))(t).On("orders", nil))(t)
	i := slices.IndexFunc(rc.Configs, func(c kadm.Config) bool { return c.Key == "cleanup.policy" })
	if i < 0 || rc.Configs[i].MaybeValue() != "compact" {
		t.Errorf("configuration %+v", rc.Configs)
	}
	if err := must(adm.DeleteTopics(ctx, "orders"))(t).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopic(ctx, "orders"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("deleted twice: %v", err)
	}
}
