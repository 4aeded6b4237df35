package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/configs"
	"weir/processors/alerts"
	"weir/topology"
	"weir/topology/broker"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
)

// disturbance is how a crash test treats its processes.
type disturbance struct {
	kills, freezes, scalings int
	outages                  int           // of a broker: killed or frozen, and back after up to mostAway
	cluster                  *kafkaCluster // for outages
	frozenFor                time.Duration // longer than the session timeout
	session                  time.Duration
	events                   [][]byte
	alerts                   bool // are expected among them
}

// lasts is about how long the disturbance takes.
func (d *disturbance) lasts() time.Duration {
	return time.Duration(d.kills+d.freezes+d.scalings+d.outages)*(leastPause+mostPause/2) + time.Duration(d.freezes)*d.frozenFor + time.Duration(d.outages)*mostAway/2
}

// replicas is how many of each partition there are.
func (d *disturbance) replicas() int {
	if d.cluster != nil {
		return len(d.cluster.nodes)
	}
	return 1
}

// Between two disturbances pass leastPause and up to mostPause more.
const (
	leastPause = 300 * time.Millisecond
	mostPause  = 2 * time.Second
	mostAway   = 20 * time.Second // of a broker: longer than sessions and transactions
)

// TestRowsSurviveKills is the small run that every test run affords, on the embedded broker. Those on Kafka are the large ones (make crash).
func TestRowsSurviveKills(t *testing.T) {
	longForm(t)
	t.Parallel()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	disturb(t, b.Addr(), disturbance{kills: 5, freezes: 1, scalings: 2, session: 6 * time.Second, frozenFor: 8 * time.Second,
		events: fraudEvents(t, 3000), alerts: true})
}

func TestRowsSurviveKillsOnKafka(t *testing.T) {
	addr := crashKafka(t)
	disturb(t, addr, disturbance{kills: 20, freezes: 3, scalings: 5, session: 6 * time.Second, frozenFor: 8 * time.Second,
		events: fraudEvents(t, 40_000), alerts: true})
}

func TestRealRowsSurviveKillsOnKafka(t *testing.T) {
	addr := crashKafka(t)
	disturb(t, addr, disturbance{kills: 20, freezes: 3, scalings: 5, session: 6 * time.Second, frozenFor: 8 * time.Second,
		events: linesOf(t, sharedFile(t, "dataco.ndjson.zst"))})
}

// One broker of three is away, while everything goes on around it.
func TestRowsSurviveKillsOfBrokers(t *testing.T) {
	crashKafka(t)
	c := startKafkaCluster(t)
	disturb(t, c.addr, disturbance{kills: 5, freezes: 1, scalings: 3, outages: 10, cluster: c, session: 6 * time.Second, frozenFor: 8 * time.Second,
		events: fraudEvents(t, 20_000), alerts: true})
}

// crashKafka is the broker of the large runs.
func crashKafka(t *testing.T) string {
	if os.Getenv("WEIR_CRASH") == "" {
		t.Skip("SKIP: the large crash tests take minutes: run them by `make crash`")
	}
	addr := os.Getenv("WEIR_KAFKA")
	if addr == "" {
		t.Fatal("WEIR_KAFKA must name a Kafka broker; `make crash` starts one")
	}
	return addr
}

// fraudEvents are the events of a shop in a month, fraud among them.
func fraudEvents(t *testing.T, orders int64) [][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.ndjson")
	month := 30 * 24 * time.Hour
	r := weir(t, invocation{args: []string{"generate", "--orders", fmt.Sprint(orders), "--rate", fmt.Sprintf("%.6f", float64(orders)/month.Seconds()),
		"--start", "2026-01-01T00:00:00Z", "--seed", "1", "--fraud", "default", "--output", file}})
	if r.code != 0 {
		t.Fatalf("weir generate: exit code %d\n%s", r.code, r.err)
	}
	return linesOf(t, file)
}

// disturb processes the same input twice, once in peace and once under disturbance, and wants the same rows and the same alerts.
func disturb(t *testing.T, addr string, d disturbance) {
	run := fmt.Sprintf("crash%d-", time.Now().UnixMilli())
	cl := dial(t, addr)
	in := &crashInput{cl: cl, prefix: run, lines: d.events, over: d.lasts(), replicas: d.replicas()}
	in.makeTopics(t)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d events", seed, len(in.lines))
	disturbed := &fleet{t: t, addr: addr, replicas: d.replicas(), source: run, prefix: run + "b-", session: d.session, dir: t.TempDir(), running: map[string]*running{}}
	disturbed.start("one")
	var working sync.WaitGroup
	chaosOver := make(chan struct{})
	working.Go(func() { in.produce(t, chaosOver) })
	clerk := &clerk{t: t, fleet: disturbed, rand: rand.New(rand.NewPCG(seed, 2))}
	if d.alerts {
		working.Go(func() { clerk.work(chaosOver) })
	}
	disturbed.chaos(rand.New(rand.NewPCG(seed, 1)), d)
	close(chaosOver)
	working.Wait()

	disturbed.settle(cl)

	peaceful := &fleet{t: t, addr: addr, replicas: d.replicas(), source: run, prefix: run + "a-", session: d.session, dir: t.TempDir(), running: map[string]*running{}}
	peaceful.start("only")
	peaceful.settle(cl)
	want, got := sameTables(t, peaceful, disturbed, cl)
	if len(want.orders) == 0 || len(want.cells) == 0 || want.counters["events"] != int64(len(in.lines)) {
		t.Errorf("the peaceful run is not what it should be: %d orders, %d metric rows, counters %v for %d events", len(want.orders), len(want.cells), want.counters, len(in.lines))
	}
	told := [2]*ledger{readLedger(t, cl, peaceful.prefix+topology.Alerts), readLedger(t, cl, disturbed.prefix+topology.Alerts)}
	for i, rows := range []tables{want, got} {
		for _, fault := range append(told[i].faults, told[i].compare(rows.cases, rows.watermark.Add(-alerts.DefaultRetention))...) {
			t.Errorf("topic alerts of the %s run: %s", [2]string{"peaceful", "disturbed"}[i], fault)
		}
	}
	if a, b := slices.Sorted(maps.Keys(told[0].standing)), slices.Sorted(maps.Keys(told[1].standing)); !slices.Equal(a, b) {
		t.Errorf("%d alerts were told by the peaceful run, %d by the disturbed one, or not the same", len(a), len(b))
	}
	t.Logf("equal: %d order rows, %d metric rows, %d entities, %d rows with alerts, counters %v", len(want.orders), len(want.cells), len(want.entities), len(want.cases), want.counters)
	t.Logf("alerts in the end %d; told: undisturbed %s; disturbed %s", len(told[0].standing), told[0], told[1])
	t.Logf("until all groups worked again after %d kills: %s", d.kills, disturbed.restarts())
	if d.alerts {
		if len(told[0].standing) == 0 {
			t.Error("there is no alert: nothing was shown about alerts")
		}
		clerk.check(got.cases)
	}
	peaceful.stop()
	disturbed.stop()
}

// sameTables reads the tables of both runs until they are the same: timers may still be due on either side.
func sameTables(t *testing.T, peaceful, disturbed *fleet, cl *kgo.Client) (want, got tables) {
	t.Helper()
	set := shippedRules(t)
	deadline := time.Now().Add(patience)
	for {
		want, got = peaceful.read(cl), disturbed.read(cl)
		diffs := append(compareTables(t, want, got), compareFraud(t, set, want, got)...)
		if len(diffs) == 0 {
			return want, got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d differences, of them:\n%s", len(diffs), strings.Join(append(diffs[:min(15, len(diffs))], diffs[max(0, len(diffs)-15):]...), "\n"))
		}
		time.Sleep(time.Second)
	}
}

// crashInput is the events that both runs read.
type crashInput struct {
	cl     *kgo.Client
	prefix string
	lines  [][]byte
	over   time.Duration // how long it takes to produce them
	at     atomic.Value  // time of the event that was produced last, a string

	replicas int
}

func (in *crashInput) topic(stream string) string { return in.prefix + stream }

func (in *crashInput) makeTopics(t *testing.T) {
	t.Helper()
	r, err := kadm.NewClient(in.cl).CreateTopics(context.Background(), 4, int16(in.replicas), nil, in.topic("orders"), in.topic("payments"), in.topic("shipments"))
	if err = errors.Join(err, r.Error()); err != nil {
		t.Fatal(err)
	}
}

// produce spreads the events over the time of the disturbance; what is left when that ends follows at once.
func (in *crashInput) produce(t *testing.T, hurry <-chan struct{}) {
	const pause = 50 * time.Millisecond
	step := max(len(in.lines)*int(pause)/int(in.over), 1)
	for i, line := range in.lines {
		if i%step == 0 {
			select {
			case <-hurry:
			case <-time.After(pause): // pace, not a wait: it spreads the load
			}
		}
		var e struct {
			Type    string `json:"type"`
			Time    string `json:"time"`
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
		in.at.Store(e.Time)
	}
	if err := in.cl.Flush(context.Background()); err != nil {
		t.Error(err)
	}
}

// tables is what a run has computed.
type tables struct {
	orders, cells, entities, cases map[string][]byte
	counters                       map[string]int64 // of the groups orders and metrics
	fraud                          map[string]int64 // of the groups entities and alerts
	watermark                      event.UnixMilli  // of the entities, the greatest of their partitions
}

// readTable reads a table's committed rows. Reserved rows, of which each partition has its own, get their partition's number.
func readTable(t *testing.T, cl *kgo.Client, topic string) map[string][]byte {
	t.Helper()
	rows := map[string][]byte{}
	eachCommitted(t, cl, topic, func(r *kgo.Record) {
		key := string(r.Key)
		if engine.IsReserved(key) {
			key = fmt.Sprintf("%s@%d", key, r.Partition)
		}
		if r.Value == nil {
			delete(rows, key)
		} else {
			rows[key] = r.Value
		}
	})
	return rows
}

// readCommitted reads a topic as far as it is committed now.
func readCommitted(t *testing.T, cl *kgo.Client, topic string) (records []*kgo.Record) {
	t.Helper()
	eachCommitted(t, cl, topic, func(r *kgo.Record) { records = append(records, r) })
	return records
}

// eachCommitted calls fn for each record of a topic as far as it is committed now.
func eachCommitted(t *testing.T, cl *kgo.Client, topic string, fn func(*kgo.Record)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
	for len(left) > 0 {
		fetches := rd.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: partitions %v did not end", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				fn(r)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
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
