package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// footprint is what a broker's process takes.
type footprint struct{ residentBytes, diskBytes int64 }

func measure(c *child, dir string) (f footprint) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return f
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64); err == nil {
				f.residentBytes = n << 10
			}
		}
	}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go under a running broker
		}
		if info, err := d.Info(); err == nil {
			f.diskBytes += info.Size()
		}
		return nil
	})
	if err != nil {
		f.diskBytes = -1
	}
	return f
}

// weirLoad is the broker's work when weir runs: a shop fills three streams in small batches, and a processor reads them and,
// in each transaction, writes deltas and the rows of two tables to every partition.
type weirLoad struct {
	addr          string
	partitions    int32
	keys          int // rows of each table
	perCommit     int // events at most
	rowBytes      int
	events, rows  atomic.Int64
	transactional atomic.Int64
}

var sources = []string{"orders", "payments", "shipments"}

func (l *weirLoad) createTopics(t testing.TB) {
	cl := client(t, l.addr)
	for _, s := range append([]string{"weir-deltas"}, sources...) {
		create(t, cl, s, l.partitions, nil)
	}
	for _, s := range []string{"weir-orders-table", "weir-metrics-table"} {
		create(t, cl, s, l.partitions, config("cleanup.policy", "compact"))
	}
}

// shop produces n events, each record about 300 bytes, flushed a few at a time as at a low rate.
func (l *weirLoad) shop(ctx context.Context, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := []byte(strings.Repeat(`{"id":"o-1","type":"order.created"}`, 8))
	var failed atomic.Pointer[error]
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: sources[i%len(sources)], Key: strconv.AppendInt(nil, int64(i), 10), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
				return
			}
			l.events.Add(1)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if e := failed.Load(); e != nil {
		return *e
	}
	return nil
}

// processor reads everything in transactions until ctx ends.
func (l *weirLoad) processor(ctx context.Context) error {
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(l.addr), kgo.TransactionalID("weir-orders-a"), kgo.ConsumerGroup("weir-orders"),
		kgo.ConsumeTopics(sources...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchMaxPartitionBytes(256<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer s.Close()
	rnd := rand.New(rand.NewPCG(1, 2))
	row := []byte(strings.Repeat("r", l.rowBytes))
	for ctx.Err() == nil {
		fetches := s.PollRecords(ctx, l.perCommit)
		if err := fetches.Err0(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		for range fetches.NumRecords() {
			p := rnd.Int32N(l.partitions)
			key := fmt.Appendf(nil, "%d/%d", p, rnd.IntN(l.keys/int(l.partitions)))
			for _, topic := range []string{"weir-orders-table", "weir-metrics-table"} {
				s.Produce(ctx, &kgo.Record{Topic: topic, Partition: p, Key: key, Value: row}, nil)
				l.rows.Add(1)
			}
		}
		for p := range l.partitions {
			s.Produce(ctx, &kgo.Record{Topic: "weir-deltas", Partition: p, Key: []byte("k"), Value: row}, nil)
		}
		if _, err := s.End(ctx, kgo.TryCommit); err != nil {
			return err
		}
		l.transactional.Add(1)
	}
	return nil
}

// run lets the shop produce n events and waits until they are processed; watch is called all along.
func (l *weirLoad) run(ctx context.Context, t testing.TB, n int, watch func()) {
	processing, enough := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		if err := l.processor(processing); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	shop := make(chan error, 1)
	go func() { shop <- l.shop(ctx, n) }()
	adm := kadm.NewClient(client(t, l.addr))
	for produced := false; ; {
		watch()
		select {
		case err := <-shop:
			if err != nil {
				t.Fatal(err)
			}
			produced = true
		case <-time.After(200 * time.Millisecond):
		}
		if !produced {
			continue
		}
		lag, err := adm.Lag(ctx, "weir-orders")
		if err != nil {
			t.Fatal(err)
		}
		if group := lag["weir-orders"]; group.Error() == nil && group.Lag.Total() == 0 {
			break
		}
	}
	enough()
	group.Wait()
}

// What the broker keeps is bounded by the bounds that it was given and the rows that are alive, not by what went through.
func TestWhatIsKeptDoesNotGrowWithWhatWentThrough(t *testing.T) {
	dir := t.TempDir()
	b := quiet(t, Config{DataDir: dir, RetentionBytes: 64 << 10, SegmentBytes: 16 << 10})
	l := &weirLoad{addr: b.Addr(), partitions: 2, keys: 200, perCommit: 50, rowBytes: 100}
	l.createTopics(t)
	ctx := soon(t)
	offsets := func() (kept int64) {
		for _, topic := range append([]string{"weir-deltas", "weir-orders-table", "weir-metrics-table"}, sources...) {
			for _, p := range b.cluster.PartitionInfos(topic) {
				if topic == "weir-orders-table" || topic == "weir-metrics-table" {
					if err := b.tidier.compactPartition(ctx, topic, p); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for range 3 {
			if err := b.tidier.tidy(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, topic := range append([]string{"weir-deltas", "weir-orders-table", "weir-metrics-table"}, sources...) {
			for _, p := range b.cluster.PartitionInfos(topic) {
				kept += p.HighWatermark - p.LogStartOffset
				if p.NumBytes > 128<<10 {
					t.Errorf("%s-%d holds %d bytes", topic, p.Partition, p.NumBytes)
				}
			}
		}
		return kept
	}
	l.run(ctx, t, 6000, func() {})
	first := offsets()
	l.run(ctx, t, 18000, func() {})
	second := offsets()
	if second > 2*first {
		t.Errorf("%d offsets kept after 6,000 events, %d after 24,000", first, second)
	}
	if got := len(table(t, b.Addr(), "weir-orders-table")); got != l.keys {
		t.Errorf("%d rows, want %d", got, l.keys)
	}
	t.Logf("%d offsets kept, then %d; %d transactions", first, second, l.transactional.Load())
}

// BenchmarkFootprint lets records through a broker in a process of its own and reports what that process took. One iteration
// is one event of the shop. In a burst, transactions are large; in a trickle they are as small as at weir up's own rate,
// where a batch holds a record or two and markers weigh most.
//
//	go test -run '^$' -bench Footprint/burst -benchtime 3000000x ./topology/broker
//	go test -run '^$' -bench Footprint/trickle -benchtime 500000x ./topology/broker
func BenchmarkFootprint(b *testing.B) {
	for name, perCommit := range map[string]int{"burst": 250, "trickle": 7} {
		b.Run(name, func(b *testing.B) { benchmarkFootprint(b, perCommit) })
	}
}

func benchmarkFootprint(b *testing.B, perCommit int) {
	dir := b.TempDir()
	c := startChild(b, childConfig{DataDir: dir, Listen: "127.0.0.1:0", TidyEvery: time.Second}) // time passes faster here than in a shop
	l := &weirLoad{addr: c.addr, partitions: 8, keys: 200_000, perCommit: perCommit, rowBytes: 200}
	l.createTopics(b)
	var peak footprint
	b.ResetTimer()
	l.run(context.Background(), b, b.N, func() {
		f := measure(c, dir)
		peak.residentBytes, peak.diskBytes = max(peak.residentBytes, f.residentBytes), max(peak.diskBytes, f.diskBytes)
		if testing.Verbose() {
			b.Logf("%d events, %d transactions: %d MB resident, %d MB on disk", l.events.Load(), l.transactional.Load(), f.residentBytes>>20, f.diskBytes>>20)
		}
	})
	b.StopTimer()
	const mb = 1 << 20
	b.ReportMetric(float64(peak.residentBytes)/mb, "MB-resident-peak")
	b.ReportMetric(float64(peak.diskBytes)/mb, "MB-disk-peak")
	b.ReportMetric(float64(l.rows.Load()), "rows-written")
	b.ReportMetric(float64(l.transactional.Load()), "transactions")
}
