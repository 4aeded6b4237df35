package broker

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func config(kv ...string) map[string]*string {
	m := map[string]*string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = &kv[i+1]
	}
	return m
}

// table folds what a reader of a topic sees into rows, as goka does.
func table(t *testing.T, addr, topic string) map[string]string {
	rows := map[string]string{}
	for _, rs := range readAll(t, addr, topic) {
		for _, r := range rs {
			if r.Value == nil {
				delete(rows, string(r.Key))
			} else {
				rows[string(r.Key)] = string(r.Value)
			}
		}
	}
	return rows
}

// quiet is a broker whose tidier runs only when the test says so.
func quiet(t *testing.T, cfg Config) *Broker {
	cfg.TidyEvery = time.Hour
	return start(t, cfg)
}

func TestCompactionKeepsEveryRowWhileWritersCommitAndAbort(t *testing.T) {
	dir := t.TempDir()
	b := quiet(t, Config{DataDir: dir, SegmentBytes: 32 << 10})
	cl := client(t, b.Addr())
	create(t, cl, "rows", 2, config("cleanup.policy", "compact"))
	ctx := soon(t)

	const writers, keys, rounds = 3, 40, 150
	want := make([]map[string]string, writers)
	var wg sync.WaitGroup
	var compacted atomic.Int64
	for w := range writers {
		want[w] = map[string]string{}
		rnd := rand.New(rand.NewPCG(1, uint64(w)))
		cl := client(t, b.Addr(), kgo.TransactionalID(fmt.Sprint("w", w)), kgo.ProducerLinger(0))
		wg.Go(func() {
			// On a busy machine the compactor gets its turn late: there must be something written while it works.
			for i := 0; i < rounds || compacted.Load() == 0 && i < 20*rounds; i++ {
				if err := cl.BeginTransaction(); err != nil {
					t.Error(err)
					return
				}
				rows := maps.Clone(want[w])
				for range 1 + rnd.IntN(6) {
					key := fmt.Sprintf("%d/%d", w, rnd.IntN(keys))
					rec := &kgo.Record{Topic: "rows", Key: []byte(key)}
					if rnd.IntN(8) == 0 {
						delete(rows, key)
					} else {
						rec.Value = fmt.Append(nil, i)
						rows[key] = string(rec.Value)
					}
					cl.Produce(ctx, rec, func(_ *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
				if err := cl.Flush(ctx); err != nil {
					t.Error(err)
					return
				}
				commit := kgo.TransactionEndTry(rnd.IntN(4) > 0)
				if err := cl.EndTransaction(ctx, commit); err != nil {
					t.Error(err)
					return
				}
				if commit {
					want[w] = rows
				}
			}
		})
	}
	stop := make(chan struct{})
	var compactor sync.WaitGroup
	compactor.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, p := range b.cluster.PartitionInfos("rows") {
				if err := b.tidier.compactPartition(ctx, "rows", p); err != nil {
					t.Error(err)
				}
				if now := b.cluster.PartitionInfo("rows", p.Partition); now.LogStartOffset > p.LogStartOffset {
					compacted.Add(1)
				}
			}
		}
	})
	wg.Wait()
	close(stop)
	compactor.Wait()
	if compacted.Load() == 0 {
		t.Error("nothing was compacted while writers wrote")
	}
	for _, p := range b.cluster.PartitionInfos("rows") {
		if err := b.tidier.compactPartition(ctx, "rows", p); err != nil {
			t.Error(err)
		}
	}
	all := map[string]string{}
	for _, m := range want {
		maps.Copy(all, m)
	}
	if got := table(t, b.Addr(), "rows"); !maps.Equal(got, all) {
		t.Errorf("%d rows, want %d", len(got), len(all))
	}
	for _, p := range b.cluster.PartitionInfos("rows") {
		// Copies and tombstones that are still young; of the 450 transactions no marker is left.
		if n := p.HighWatermark - p.LogStartOffset; n > writers*keys {
			t.Errorf("partition %d still spans %d offsets", p.Partition, n)
		}
	}
	t.Logf("compacted %d times under way", compacted.Load())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, Config{DataDir: copyFolder(t, dir)})
	if got := table(t, b.Addr(), "rows"); !maps.Equal(got, all) {
		t.Errorf("after a restart: %d rows, want %d", len(got), len(all))
	}
}

func TestCompactionWaitsForAnOpenTransaction(t *testing.T) {
	b := quiet(t, Config{DataDir: t.TempDir()})
	cl := client(t, b.Addr(), kgo.TransactionalID("w"))
	create(t, cl, "rows", 1, config("cleanup.policy", "compact"))
	ctx := soon(t)
	write := func(v string, end kgo.TransactionEndTry) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "rows", Key: []byte("k"), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if v == "open" {
			return
		}
		if err := cl.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	write("committed", kgo.TryCommit)
	write("open", kgo.TryAbort)
	if err := b.tidier.compactPartition(ctx, "rows", b.cluster.PartitionInfo("rows", 0)); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if got := table(t, b.Addr(), "rows"); got["k"] != "committed" {
		t.Errorf("rows %v", got)
	}
}

func TestOldTombstonesGoAndYoungOnesStay(t *testing.T) {
	b := quiet(t, Config{DataDir: t.TempDir(), Tombstones: time.Hour})
	cl := client(t, b.Addr())
	create(t, cl, "rows", 1, config("cleanup.policy", "compact"))
	ctx := soon(t)
	for key, at := range map[string]time.Time{"old": time.Now().Add(-2 * time.Hour), "young": time.Now()} {
		rs := cl.ProduceSync(ctx,
			&kgo.Record{Topic: "rows", Key: []byte(key), Value: []byte("v"), Timestamp: at.Add(-time.Hour), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}},
			&kgo.Record{Topic: "rows", Key: []byte(key), Timestamp: at})
		if err := rs.FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	row := time.UnixMilli(1_000_000_000_000)
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "rows", Key: []byte("row"), Value: []byte("v"), Timestamp: row, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := b.tidier.compactPartition(ctx, "rows", b.cluster.PartitionInfo("rows", 0)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]*kgo.Record{}
	for _, r := range readAll(t, b.Addr(), "rows")[0] {
		seen[string(r.Key)] = r
	}
	if seen["old"] != nil || seen["young"] == nil || seen["young"].Value != nil {
		t.Errorf("tombstones: old %v, young %v", seen["old"], seen["young"])
	}
	if r := seen["row"]; r == nil || !r.Timestamp.Equal(row) || len(r.Headers) != 1 || r.Headers[0].Key != "h" {
		t.Errorf("the row lost its timestamp or header: %+v", r)
	}
}

func fill(t *testing.T, ctx context.Context, cl *kgo.Client, topic string, n int, at time.Time) {
	t.Helper()
	value := []byte(strings.Repeat("x", 1000))
	for range n { // one batch a record, as at a low rate
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: value, Timestamp: at}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamIsBoundedByBytesAndItsFilesShrink(t *testing.T) {
	dir := t.TempDir()
	b := quiet(t, Config{DataDir: dir, RetentionBytes: 100_000, SegmentBytes: 20_000})
	cl := client(t, b.Addr(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	create(t, cl, "orders", 1, nil)
	create(t, cl, "kept", 1, config("retention.bytes", "-1"))
	ctx := soon(t)
	fill(t, ctx, cl, "orders", 500, time.Now())
	fill(t, ctx, cl, "kept", 200, time.Now())
	for range 3 {
		if err := b.tidier.tidy(ctx); err != nil {
			t.Fatal(err)
		}
	}
	p := b.cluster.PartitionInfo("orders", 0)
	if p.NumBytes > 110_000 || p.NumBytes < 80_000 || p.HighWatermark != 500 {
		t.Errorf("%d bytes kept of a bound of 100000, end %d", p.NumBytes, p.HighWatermark)
	}
	var onDisk int64
	files := must(filepath.Glob(filepath.Join(partitionDir(dir, "orders", 0), "*")))(t)
	for _, f := range files {
		onDisk += must(os.Stat(f))(t).Size()
	}
	if onDisk > 140_000 {
		t.Errorf("%d bytes on disk in %d files", onDisk, len(files))
	}
	if p := b.cluster.PartitionInfo("kept", 0); p.LogStartOffset != 0 {
		t.Error("a topic that keeps everything was cut")
	}
}

func TestStreamIsBoundedByAge(t *testing.T) {
	b := quiet(t, Config{DataDir: t.TempDir(), Retention: time.Hour})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	create(t, cl, "alerts", 1, config("retention.ms", "-1"))
	ctx := soon(t)
	for _, topic := range []string{"orders", "alerts"} {
		fill(t, ctx, cl, topic, 10, time.Now().Add(-2*time.Hour))
		fill(t, ctx, cl, topic, 5, time.Now())
	}
	if err := b.tidier.tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if p := b.cluster.PartitionInfo("orders", 0); p.LogStartOffset != 10 {
		t.Errorf("log starts at %d, want 10", p.LogStartOffset)
	}
	if p := b.cluster.PartitionInfo("alerts", 0); p.LogStartOffset != 0 {
		t.Errorf("a topic that is kept for ever starts at %d", p.LogStartOffset)
	}
}

// A log that lost its last file would start again at offset 0, and every group would stand behind its end.
func TestLastBatchOutlivesRetention(t *testing.T) {
	dir := t.TempDir()
	b := quiet(t, Config{DataDir: dir, Retention: time.Hour})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	ctx := soon(t)
	fill(t, ctx, cl, "orders", 10, time.Now().Add(-2*time.Hour))
	if err := b.tidier.tidy(ctx); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{copyFolder(t, dir), dir} {
		b.Close()
		b = quiet(t, Config{DataDir: folder})
		if p := b.cluster.PartitionInfo("orders", 0); p.HighWatermark != 10 {
			t.Errorf("the log ends at %d, want 10", p.HighWatermark)
		}
	}
}

func TestWhatAGroupHasNotReadIsNeverRemoved(t *testing.T) {
	b := quiet(t, Config{DataDir: t.TempDir(), Retention: time.Hour, RetentionBytes: 1000})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	create(t, cl, "payments", 1, nil)
	ctx := soon(t)
	for _, topic := range []string{"orders", "payments"} {
		fill(t, ctx, cl, topic, 50, time.Now().Add(-2*time.Hour))
	}
	reader := client(t, b.Addr(), kgo.ConsumerGroup("weir-orders"), kgo.ConsumeTopics("orders", "payments"), kgo.DisableAutoCommit())
	for n := 0; n < 100; {
		f := reader.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		n += f.NumRecords()
	}
	starts := func() (orders, payments int64) {
		t.Helper()
		if err := b.tidier.tidy(ctx); err != nil {
			t.Fatal(err)
		}
		return b.cluster.PartitionInfo("orders", 0).LogStartOffset, b.cluster.PartitionInfo("payments", 0).LogStartOffset
	}
	if o, p := starts(); o != 0 || p != 0 {
		t.Errorf("nothing was committed, and logs start at %d and %d", o, p)
	}
	reader.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{"orders": {0: {Epoch: -1, Offset: 30}}}, nil)
	if o, p := starts(); o != 30 || p != 0 {
		t.Errorf("orders read up to 30: logs start at %d and %d", o, p)
	}
	reader.Close()
	if o, p := starts(); o != 30 || p != 0 {
		t.Errorf("the group has just stopped: logs start at %d and %d", o, p)
	}
	b.tidier.readers["weir-orders"].live = time.Now().Add(-groupMemory - time.Second)
	if o, p := starts(); o != 49 || p != 49 {
		t.Errorf("the group is long gone: logs start at %d and %d, want 49", o, p)
	}
}
