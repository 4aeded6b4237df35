package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
)

// cluster is a broker for one test: WEIR_KAFKA, or an embedded one.
func cluster(t *testing.T) []string {
	t.Helper()
	if addr := os.Getenv("WEIR_KAFKA"); addr != "" {
		return []string{addr}
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func newClient(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// counting is a pipeline of two groups: the first counts records a key and sends each key's additions at commit, the second adds
// them up. The second's rows must equal the input, whatever happens.
type counting struct {
	prefix  string
	brokers []string
	parts   int32
}

func newCounting(t *testing.T, brokers []string, parts int32) *counting {
	c := &counting{prefix: fmt.Sprintf("t%d-", time.Now().UnixNano()), brokers: brokers, parts: parts}
	adm := kadm.NewClient(newClient(t, brokers))
	compact := "compact"
	for topic, config := range map[string]map[string]*string{
		c.in(): nil, c.mid(): nil, c.first() + "-table": {"cleanup.policy": &compact}, c.second() + "-table": {"cleanup.policy": &compact},
	} {
		if _, err := adm.CreateTopic(context.Background(), parts, 1, config, topic); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *counting) in() string     { return c.prefix + "in" }
func (c *counting) mid() string    { return c.prefix + "mid" }
func (c *counting) first() string  { return c.prefix + "first" }
func (c *counting) second() string { return c.prefix + "second" }

func number(v any) uint64 {
	if b, ok := v.([]byte); ok {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
func bytesOf(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// start runs both groups as one instance until the returned function is called.
func (c *counting) start(t *testing.T, instance, dir string, g Guarantee) (stop func()) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg := Config{Kafka: client.Config{Brokers: c.brokers}, Instance: instance, DataDir: dir, Guarantee: g, CommitInterval: 20 * time.Millisecond,
		SessionTimeout: 6 * time.Second, Heartbeat: 300 * time.Millisecond, Logger: log, Idle: time.Hour, LeaveOnStop: true, RecoverAhead: true}
	first, err := New(cfg, c.first(), func(rt *Runtime) Spec {
		added := make([]map[string]uint64, c.parts)
		for i := range added {
			added[i] = map[string]uint64{}
		}
		cb := func(ctx goka.Context, msg any) {
			p := rt.Partition(ctx.Partition())
			p.Observe(string(ctx.Topic()), event.UnixMilli(ctx.Timestamp().UnixMilli()))
			ctx.SetValue(bytesOf(number(ctx.Value()) + 1))
			added[ctx.Partition()][ctx.Key()]++
		}
		return Spec{
			Graph:   goka.DefineGroup(goka.Group(c.first()), rt.Input(c.in(), cb), goka.Persist(new(codec.Bytes))),
			Sources: []string{c.in()}, MarkTopics: []string{c.mid()}, CheckKeys: true,
			Hooks: Hooks{
				BeforeCommit: func(tx *Tx) error {
					for _, p := range tx.Partitions() {
						for k, n := range added[p.Number()] {
							tx.Emit(c.mid(), k, bytesOf(n))
						}
						clear(added[p.Number()])
					}
					return nil
				},
				Rollback: func() {
					for _, m := range added {
						clear(m)
					}
				},
			},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(cfg, c.second(), func(rt *Runtime) Spec {
		cb := func(ctx goka.Context, msg any) {
			if IsMark(ctx.Key()) {
				if err := rt.Partition(ctx.Partition()).Mark(msg.([]byte)); err != nil {
					ctx.Fail(err)
				}
				return
			}
			ctx.SetValue(bytesOf(number(ctx.Value()) + number(msg)))
		}
		return Spec{Graph: goka.DefineGroup(goka.Group(c.second()), rt.Input(c.mid(), cb), goka.Persist(new(codec.Bytes)))}
	})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, first, second)
}

// run runs runtimes until the returned function is called, which waits until they have ended.
func run(t *testing.T, runtimes ...*Runtime) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(runtimes))
	for _, rt := range runtimes {
		go func() { done <- rt.Run(ctx) }()
	}
	return func() {
		cancel()
		for range runtimes {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}

// rows reads a table to its end as a read-committed consumer does.
func (c *counting) rows(t *testing.T, group string) map[string]uint64 {
	t.Helper()
	topic := group + "-table"
	cl := newClient(t, c.brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	rows := map[string]uint64{}
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("table %s: no end in sight of partitions %v", topic, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			switch {
			case r.Attrs.IsControl() || IsReserved(string(r.Key)):
			case r.Value == nil:
				delete(rows, string(r.Key))
			default:
				rows[string(r.Key)] = number(r.Value)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return rows
}

// waitFor polls until the second group's rows add up to n.
func (c *counting) waitFor(t *testing.T, n uint64) map[string]uint64 {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	var sum uint64
	for time.Now().Before(deadline) {
		rows := c.rows(t, c.second())
		sum = 0
		for _, v := range rows {
			sum += v
		}
		if sum >= n {
			return rows
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("second group adds up to %d, want %d", sum, n)
	return nil
}

func (c *counting) produce(t *testing.T, cl *kgo.Client, n int, sent *atomic.Int64) map[string]uint64 {
	want := map[string]uint64{}
	for i := range n {
		key := fmt.Sprintf("k%d", i%97)
		want[key]++
		cl.Produce(context.Background(), &kgo.Record{Topic: c.in(), Key: []byte(key), Value: []byte("x")}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
			sent.Add(1)
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Error(err)
	}
	return want
}

func check(t *testing.T, got, want map[string]uint64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("row %s = %d, want %d", k, got[k], n)
		}
	}
}

func TestTwoGroupsCountExactly(t *testing.T) {
	for _, g := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(string(g), func(t *testing.T) {
			c := newCounting(t, cluster(t), 4)
			stop := c.start(t, "a", t.TempDir(), g)
			var sent atomic.Int64
			want := c.produce(t, newClient(t, c.brokers), 20_000, &sent)
			check(t, c.waitFor(t, 20_000), want)
			stop()
			check(t, c.rows(t, c.first()), want)
		})
	}
}

// Instances come and go while input flows; each input is counted once.
func TestScalingCountsExactly(t *testing.T) {
	c := newCounting(t, cluster(t), 4)
	dirs := map[string]string{"a": t.TempDir(), "b": t.TempDir(), "c": t.TempDir()}
	stops := map[string]func(){}
	up := func(name string) { stops[name] = c.start(t, name, dirs[name], ExactlyOnce) }
	down := func(name string) { stops[name](); delete(stops, name) }
	up("a")
	cl := newClient(t, c.brokers, kgo.ProducerLinger(time.Millisecond))
	var sent atomic.Int64
	want := map[string]uint64{}
	total := 0
	for i, change := range []func(){func() { up("b") }, func() { down("a") }, func() { up("c") }, func() { up("a") }, func() { down("b") }, func() { down("c") }} {
		n := 5_000 * (i + 1)
		total += n
		changed := make(chan struct{})
		go func() { change(); close(changed) }()
		for k, v := range c.produce(t, cl, n, &sent) {
			want[k] += v
		}
		<-changed
		c.waitFor(t, uint64(total))
	}
	check(t, c.waitFor(t, uint64(total)), want)
	down("a")
	check(t, c.rows(t, c.first()), want)
}
