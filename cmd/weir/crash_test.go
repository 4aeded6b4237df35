package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/bench"
	"weir/cmd/weir/internal/shop"
	"weir/configs"
	"weir/topology"
	"weir/topology/broker"
	"weir/topology/engine"
	"weir/topology/metric"
	"weir/topology/table"
)

// disturbance is how a crash test treats its processes.
type disturbance struct {
	kills, freezes, scalings int
	frozenFor                time.Duration // longer than the session timeout
	session                  time.Duration
	events                   string // file of real events
	limit                    int    // of events; 0: all
}

// TestRowsSurviveKills is the small run that every test run affords, on the embedded broker. TestRowsSurviveKillsOnKafka is the
// large one (make crash).
func TestRowsSurviveKills(t *testing.T) {
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	disturb(t, b.Addr(), disturbance{kills: 5, freezes: 1, scalings: 2, session: 6 * time.Second, frozenFor: 8 * time.Second, events: "olist-blackfriday-2017.ndjson.zst"})
}

func TestRowsSurviveKillsOnKafka(t *testing.T) {
	if os.Getenv("WEIR_CRASH") == "" {
		t.Skip("SKIP: the large crash test takes minutes: run it by `make crash`")
	}
	addr := os.Getenv("WEIR_KAFKA")
	if addr == "" {
		t.Fatal("WEIR_KAFKA must name a Kafka broker; `make crash` starts one")
	}
	disturb(t, addr, disturbance{kills: 20, freezes: 3, scalings: 5, session: 6 * time.Second, frozenFor: 8 * time.Second, events: "dataco.ndjson.zst"})
}

// disturb processes the same input twice, once in peace and once under disturbance, and wants the same rows.
func disturb(t *testing.T, addr string, d disturbance) {
	weir := buildWeir(t)
	run := fmt.Sprintf("crash%d-", time.Now().UnixMilli())
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	in := &crashInput{cl: cl, prefix: run, lines: readEvents(t, d)}
	in.makeTopics(t)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d events", seed, len(in.lines))
	disturbed := &fleet{t: t, weir: weir, addr: addr, source: run, prefix: run + "b-", session: d.session, dir: t.TempDir(), running: map[string]*exec.Cmd{}}
	disturbed.start("one")
	var producing sync.WaitGroup
	chaosOver := make(chan struct{})
	producing.Go(func() { in.produce(t, chaosOver) })
	disturbed.chaos(rand.New(rand.NewPCG(seed, 1)), d)
	close(chaosOver)
	producing.Wait()

	peaceful := &fleet{t: t, weir: weir, addr: addr, source: run, prefix: run + "a-", session: d.session, dir: t.TempDir(), running: map[string]*exec.Cmd{}}
	peaceful.start("only")
	want, got := peaceful.settled(cl), disturbed.settled(cl)
	deadline := time.Now().Add(90 * time.Second)
	for {
		diffs := compareTables(t, want, got)
		if len(diffs) == 0 {
			t.Logf("equal: %d order rows, %d metric rows, counters %v", len(want.orders), len(want.cells), want.counters)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d differences, of them:\n%s", len(diffs), strings.Join(append(diffs[:min(15, len(diffs))], diffs[max(0, len(diffs)-15):]...), "\n"))
		}
		time.Sleep(time.Second) // timers may still be due on either side
		want, got = peaceful.read(cl), disturbed.read(cl)
	}
	if len(want.orders) == 0 || len(want.cells) == 0 || want.counters["events"] != int64(len(in.lines)) {
		t.Errorf("the peaceful run is not what it should be: %d orders, %d metric rows, counters %v for %d events", len(want.orders), len(want.cells), want.counters, len(in.lines))
	}
	peaceful.stop()
	disturbed.stop()
}

func buildWeir(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building weir: %v\n%s", err, out)
	}
	return path
}

// generatedEvents stand in where there is no file of real ones.
func generatedEvents(t *testing.T) [][]byte {
	t.Helper()
	s, err := shop.New(shop.Options{Seed: 1, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rate: 2, Orders: 2000, LifeScale: 0.01, Duplicates: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for r, ok := s.Next(); ok; r, ok = s.Next() {
		lines = append(lines, bytes.Clone(r.Value))
	}
	return lines
}

// crashInput is the events that both runs read.
type crashInput struct {
	cl     *kgo.Client
	prefix string
	lines  [][]byte
}

func readEvents(t *testing.T, d disturbance) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", d.events))
	if err != nil {
		return generatedEvents(t)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var lines [][]byte
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() && (d.limit == 0 || len(lines) < d.limit) {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func (in *crashInput) topic(stream string) string { return in.prefix + stream }

func (in *crashInput) makeTopics(t *testing.T) {
	t.Helper()
	r, err := kadm.NewClient(in.cl).CreateTopics(context.Background(), 4, 1, nil, in.topic("orders"), in.topic("payments"), in.topic("shipments"))
	if err = errors.Join(err, r.Error()); err != nil {
		t.Fatal(err)
	}
}

// produce spreads the events over the time of the disturbance; what is left when that ends follows at once.
func (in *crashInput) produce(t *testing.T, hurry <-chan struct{}) {
	step := max(len(in.lines)/600, 1)
	for i, line := range in.lines {
		if i%step == 0 {
			select {
			case <-hurry:
			case <-time.After(50 * time.Millisecond): // pace, not a wait: it spreads the load
			}
		}
		var e struct {
			Type    string `json:"type"`
			OrderID string `json:"order_id"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("event %d: %v", i, err)
			return
		}
		stream, _, _ := strings.Cut(e.Type, ".")
		in.cl.Produce(context.Background(), &kgo.Record{Topic: in.topic(stream + "s"), Key: []byte(e.OrderID), Value: line}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := in.cl.Flush(context.Background()); err != nil {
		t.Error(err)
	}
}

// fleet is the processes of one run.
type fleet struct {
	t                          *testing.T
	weir, addr, source, prefix string
	session                    time.Duration
	dir                        string
	running                    map[string]*exec.Cmd
}

func (f *fleet) start(name string) {
	f.t.Helper()
	file := filepath.Join(f.dir, "weir.yaml")
	config := fmt.Sprintf(`
kafka: {brokers: [%q]}
topics: {prefix: %q, orders: %sorders, payments: %spayments, shipments: %sshipments, partitions: 4, replication: 1}
watermark: {idle: 1h}
session_timeout: %s
heartbeat: 300ms
log: {level: info}
`, f.addr, f.prefix, f.source, f.source, f.source, f.session)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(f.weir, "process", "--config", file, "--instance", name, "--data", filepath.Join(f.dir, name))
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WEIR_") { // the test's own switches are no settings of weir
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Stdout, cmd.Stderr = logTo(f.t, f.prefix+name), logTo(f.t, f.prefix+name)
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.running[name] = cmd
	f.t.Cleanup(func() { _ = cmd.Process.Kill() })
}

func logTo(t *testing.T, name string) io.Writer {
	if !testing.Verbose() {
		return io.Discard
	}
	return prefixed{t, name}
}

type prefixed struct {
	t    *testing.T
	name string
}

func (p prefixed) Write(b []byte) (int, error) {
	fmt.Fprintf(os.Stderr, "%s: %s", p.name, b)
	return len(b), nil
}

func (f *fleet) kill(name string) {
	_ = f.running[name].Process.Kill()
	_ = f.running[name].Wait()
	delete(f.running, name)
}

func (f *fleet) stop() {
	for _, cmd := range f.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	for name, cmd := range f.running {
		if err := cmd.Wait(); err != nil {
			f.t.Errorf("weir process %s did not stop cleanly: %v", name, err)
		}
	}
}

// chaos kills, freezes and scales in random order, at random moments.
func (f *fleet) chaos(r *rand.Rand, d disturbance) {
	var plan []string
	for action, n := range map[string]int{"kill": d.kills, "freeze": d.freezes, "scale": d.scalings} {
		for range n {
			plan = append(plan, action)
		}
	}
	r.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	spare := []string{"two", "three"}
	for _, action := range plan {
		time.Sleep(time.Duration(300+r.IntN(2000)) * time.Millisecond) // the random moment
		names := make([]string, 0, len(f.running))
		for name := range f.running {
			names = append(names, name)
		}
		victim := names[r.IntN(len(names))]
		switch {
		case action == "kill":
			f.kill(victim)
			f.start(victim)
		case action == "freeze":
			p := f.running[victim].Process
			_ = p.Signal(syscall.SIGSTOP)
			if len(f.running) == 1 { // somebody must take over, or the zombie is none
				f.start(spare[0])
				spare = spare[1:]
			}
			time.Sleep(d.frozenFor) // its session passes
			_ = p.Signal(syscall.SIGCONT)
		case len(spare) > 0:
			f.start(spare[0])
			spare = spare[1:]
		default:
			_ = f.running[victim].Process.Signal(syscall.SIGTERM)
			if err := f.running[victim].Wait(); err != nil {
				f.t.Errorf("weir process %s did not stop cleanly: %v", victim, err)
			}
			delete(f.running, victim)
			spare = append(spare, victim)
		}
	}
}

// tables is what a run has computed.
type tables struct {
	orders   map[string][]byte
	cells    map[string][]byte
	counters map[string]int64
}

// settled waits until the run's groups have read all input, and reads its tables.
func (f *fleet) settled(cl *kgo.Client) tables {
	f.t.Helper()
	adm := kadm.NewClient(cl)
	deadline := time.Now().Add(2 * time.Minute)
	quiet := 0
	for quiet < 3 {
		var left int64
		ready, last := true, ""
		for _, group := range []string{topology.GroupOrders, topology.GroupMetrics} {
			done, n, err := bench.Progress(context.Background(), adm, f.prefix+group)
			left += n
			ready = ready && err == nil && done > 0
			last = fmt.Sprintf("%s %s: %d done, %d left, %v", last, group, done, n, err)
		}
		if ready && left == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s does not come to its end:%s", f.prefix, last)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return f.read(cl)
}

func (f *fleet) read(cl *kgo.Client) tables {
	f.t.Helper()
	var t tables
	t.counters = map[string]int64{}
	marks := func(rows map[string][]byte) {
		for key, row := range rows {
			if !engine.IsReserved(key) {
				continue
			}
			delete(rows, key)
			if name, _, _ := strings.Cut(key, "@"); name == engine.MarksKey {
				var m table.Marks
				if err := m.UnmarshalVT(row); err != nil {
					f.t.Fatal(err)
				}
				for name, n := range m.Counters {
					t.counters[name] += n
				}
			}
		}
	}
	t.orders = readTable(f.t, cl, f.prefix+topology.TableOrders)
	t.cells = readTable(f.t, cl, f.prefix+topology.TableMetrics)
	marks(t.orders)
	marks(t.cells)
	return t
}

// readTable reads a table's committed rows. Reserved rows, of which each partition has its own, get their partition's number.
func readTable(t *testing.T, cl *kgo.Client, topic string) map[string][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	rd, err := kgo.NewClient(kgo.SeedBrokers(cl.OptValue(kgo.SeedBrokers).([]string)...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	rows := map[string][]byte{}
	for len(left) > 0 {
		fetches := rd.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("table %s: partitions %v did not end", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			key := string(r.Key)
			if engine.IsReserved(key) {
				key = fmt.Sprintf("%s@%d", key, r.Partition)
			}
			switch {
			case r.Attrs.IsControl():
			case r.Value == nil:
				delete(rows, key)
			default:
				rows[key] = r.Value
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return rows
}

// compareTables tells every difference. Order rows must be equal to the byte, metric rows in their values: the bytes of sketches
// depend on the order of what was added.
func compareTables(t *testing.T, want, got tables) (diffs []string) {
	t.Helper()
	both := func(kind string, want, got map[string][]byte, equal func(key string, a, b []byte) bool) {
		for key, a := range want {
			if b, ok := got[key]; !ok {
				diffs = append(diffs, fmt.Sprintf("%s %q is missing", kind, key))
			} else if !bytes.Equal(a, b) && !equal(key, a, b) {
				diffs = append(diffs, fmt.Sprintf("%s %q differs: %s, want %s", kind, key, shown(kind, b), shown(kind, a)))
			}
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				diffs = append(diffs, fmt.Sprintf("%s %q is too many", kind, key))
			}
		}
	}
	set := defaultMetrics(t)
	both("order", want.orders, got.orders, func(string, []byte, []byte) bool { return false })
	both("metric row", want.cells, got.cells, func(key string, a, b []byte) bool { return sameValue(t, set, key, a, b) })
	slices.Sort(diffs)
	for name, n := range want.counters {
		if got.counters[name] != n {
			diffs = append(diffs, fmt.Sprintf("counter %s is %d, want %d", name, got.counters[name], n))
		}
	}
	return diffs
}

func shown(kind string, row []byte) string {
	if kind == "order" {
		var o table.Order
		_ = o.UnmarshalVT(row) // what cannot be read is shown as far as it can
		return o.String()
	}
	var c table.Cell
	_ = c.UnmarshalVT(row)
	return c.String()
}

func defaultMetrics(t *testing.T) *metric.Set {
	t.Helper()
	data, err := configs.EmbeddedMetrics(configs.MetricsDefault)
	if err != nil {
		t.Fatal(err)
	}
	set, err := metric.Load(configs.MetricsDefault, data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// sameValue compares what a query would show of two rows.
func sameValue(t *testing.T, set *metric.Set, key string, a, b []byte) bool {
	t.Helper()
	m := set.MetricOf(key)
	if m == nil {
		return false
	}
	var values [2]metric.Value
	var cells [2]table.Cell
	for i, row := range [][]byte{a, b} {
		if err := cells[i].UnmarshalVT(row); err != nil {
			t.Fatalf("metric row %q: %v", key, err)
		}
		v, err := m.Value(&cells[i])
		if err != nil {
			t.Fatalf("metric row %q: %v", key, err)
		}
		if v.Kind == metric.Top && len(v.Top) >= 128 {
			v.Top = v.Top[:10] // beyond what a row holds, its tail depends on what was added first, within its stated error
			for i := range v.Top {
				v.Top[i].Error = 0
			}
		}
		values[i] = v
		cells[i].Distinct, cells[i].Quantiles, cells[i].Top = nil, nil, nil
	}
	return reflect.DeepEqual(values[0], values[1]) && cells[0].EqualVT(&cells[1])
}
