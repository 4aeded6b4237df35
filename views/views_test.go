package views_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/client"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
	"weir/views/query"
	"weir/views/query/querytest"
)

const partitions = 4

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// kafka is a broker with weir's tables, written to as the groups do: in transactions, each row to the partition of its key.
type kafka struct {
	t       *testing.T
	brokers []string
	names   topology.Names
	cl      *kgo.Client
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	k := &kafka{t: t, names: topology.Names{Prefix: fmt.Sprintf("v%d-", time.Now().UnixNano())}}
	if addr := os.Getenv("WEIR_KAFKA"); addr != "" {
		k.brokers = []string{addr}
	} else {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		k.brokers = c.ListenAddrs()
	}
	var err error
	k.cl, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.TransactionalID(k.names.Prefix+"test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.cl.Close)
	return k
}

func (k *kafka) createTables() {
	k.t.Helper()
	k.create(topology.TableMetrics, topology.TableOrders)
}

func (k *kafka) create(tables ...string) {
	k.t.Helper()
	compact := "compact"
	for _, name := range tables {
		if _, err := kadm.NewClient(k.cl).CreateTopic(context.Background(), partitions, 1, map[string]*string{"cleanup.policy": &compact}, k.names.In(name)); err != nil {
			k.t.Fatal(err)
		}
	}
}

type row struct {
	table, key string
	partition  int32 // -1: of the key
	value      []byte
}

func (k *kafka) write(rows ...row) {
	k.t.Helper()
	if err := k.cl.BeginTransaction(); err != nil {
		k.t.Fatal(err)
	}
	for _, r := range rows {
		p := r.partition
		if p < 0 {
			p = client.Partition([]byte(r.key), partitions)
		}
		k.cl.Produce(context.Background(), &kgo.Record{Topic: k.names.In(r.table), Partition: p, Key: []byte(r.key), Value: r.value}, func(_ *kgo.Record, err error) {
			if err != nil {
				k.t.Error(err)
			}
		})
	}
	if err := errors.Join(k.cl.Flush(context.Background()), k.cl.EndTransaction(context.Background(), kgo.TryCommit)); err != nil {
		k.t.Fatal(err)
	}
}

func metric(key string, count, sum int64) row {
	data, err := (&table.Cell{Count: count, Sum: sum}).MarshalVT()
	if err != nil {
		panic(err)
	}
	return row{topology.TableMetrics, key, -1, data}
}

func marks(name string, partition int32, watermark time.Time, counters map[string]int64) row {
	data, err := (&table.Marks{WatermarkMs: watermark.UnixMilli(), Counters: counters}).MarshalVT()
	if err != nil {
		panic(err)
	}
	return row{name, engine.MarksKey, partition, data}
}

// ears collect what a listener hears.
type ears struct {
	mu      sync.Mutex
	keys    map[string]int
	resyncs int
	changed chan struct{}
}

func (e *ears) note(f func()) {
	e.mu.Lock()
	f()
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
}
func (e *ears) RowChanged(key string) { e.note(func() { e.keys[key]++ }) }
func (e *ears) ProgressChanged()      { e.note(func() {}) }
func (e *ears) Resync()               { e.note(func() { e.resyncs++ }) }

func (e *ears) heard(key string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keys[key]
}

// open runs views until the test or stop ends them.
func (k *kafka) open(dir string) (v *views.Views, l *ears, stop func()) {
	k.t.Helper()
	copies := new(engine.Copies)
	v = views.Open(views.Deps{Brokers: k.brokers, Names: k.names, Copies: copies, Exists: k.exists, Entity: plainEntity, Options: func(name string) []goka.ViewOption {
		return engine.ViewOptions(engine.ViewConfig{Kafka: client.Config{Brokers: k.brokers}, DataDir: dir, Copies: copies}, name)
	}})
	l = &ears{keys: map[string]int{}, changed: make(chan struct{}, 1)}
	v.Metrics.Subscribe(l)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := v.Run(ctx); err != nil {
			k.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	k.t.Cleanup(stop)
	return v, l, stop
}

func (k *kafka) exists(ctx context.Context, name string) (bool, error) {
	topics, err := kadm.NewClient(k.cl).ListTopics(kadm.WithAuthorizedOps(ctx), name)
	return err == nil && topics.Has(name), err
}

// plainEntity reads rows that are one feature's text.
func plainEntity(kind, id string, row []byte, at event.UnixMilli, _ func(string) ([]byte, error)) (*views.Entity, error) {
	return &views.Entity{At: at, Features: []views.EntityFeature{{Text: string(row)}}}, nil
}

func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !fact(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func ready(v *views.Views) func() bool {
	return func() bool { ok, _ := v.Ready(); return ok }
}

func revenue(t *testing.T, v *views.Views) string {
	t.Helper()
	q, err := querytest.Catalogue().Parse("revenue", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := query.Run(q, v.Metrics, noon)
	if err != nil {
		return err.Error()
	}
	out := ""
	for _, s := range a.Series {
		for _, p := range s.Points {
			out += fmt.Sprint(s.Labels["currency"], p.Value, " ")
		}
	}
	return out
}

func TestViewsFollowTheTables(t *testing.T) {
	k := startKafka(t)
	dir := t.TempDir()
	v, l, stop := k.open(dir)
	if ok, why := v.Ready(); ok || why == "" {
		t.Fatal("ready before there are tables")
	}
	if err := v.Metrics.Scan("a", "z", nil); err == nil {
		t.Error("a table that is not there can be read")
	}
	k.createTables()
	eur, usd := querytest.Key("revenue", "1m", noon, "card", "eu", "DE", "EUR"), querytest.Key("revenue", "1m", noon, "card", "us", "US", "USD")
	k.write(metric(eur, 2, 300), metric(usd, 1, 50))
	until(t, "the views to be ready", ready(v))
	until(t, "both rows", func() bool { return revenue(t, v) == "EUR300 USD50 " })
	until(t, "the listener to hear of them", func() bool { return l.heard(eur) == 1 && l.heard(usd) == 1 })

	k.write(metric(eur, 3, 450))
	until(t, "the changed row", func() bool { return revenue(t, v) == "EUR450 USD50 " })
	k.write(row{topology.TableMetrics, usd, -1, nil})
	until(t, "the tombstone", func() bool { return revenue(t, v) == "EUR450 " && l.heard(usd) == 2 })

	for p := range int32(partitions) {
		k.write(marks(topology.TableMetrics, p, noon.Add(time.Duration(p)*time.Second), map[string]int64{"late": 2}))
	}
	until(t, "the least watermark", func() bool { return v.Metrics.Counters()["late"] == 2*partitions })
	p := v.Metrics.Progress()
	if p.Watermark.Time() != noon || p.Present != partitions || p.Expected != partitions || time.Since(p.AsOf) > time.Minute {
		t.Errorf("%+v", p)
	}
	if l.heard(engine.MarksKey) != 0 {
		t.Error("the engine's rows are told as rows")
	}

	stop() // what was read is on disk: a second life starts where this one ended
	if err := v.Metrics.Scan("a", "z", nil); err == nil {
		t.Error("a stopped view can be read")
	}
	k.write(metric(usd, 1, 7))
	again, l2, _ := k.open(dir)
	until(t, "the views to be ready again", ready(again))
	until(t, "old and new rows", func() bool { return revenue(t, again) == "EUR450 USD7 " })
	if n := l2.heard(eur); n != 0 {
		t.Errorf("a row that was on disk was read from Kafka again (%d times)", n)
	}
	until(t, "the watermark from disk", func() bool { return again.Metrics.Progress().Watermark.Time() == noon })
}

func TestOrdersAreReadByID(t *testing.T) {
	k := startKafka(t)
	k.createTables()
	var rows []row
	for i := range 50 {
		data, err := (&table.Order{Created: true, TotalMinor: int64(i)}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row{topology.TableOrders, fmt.Sprintf("o-%d", i), -1, data})
	}
	k.write(append(rows, marks(topology.TableOrders, 0, noon, map[string]int64{"duplicates": 5}))...)
	v, _, _ := k.open(t.TempDir())
	until(t, "the views to be ready", ready(v))
	for i := range 50 {
		id := fmt.Sprintf("o-%d", i)
		o, p, err := v.Orders.Get(id)
		if err != nil || o == nil || o.TotalMinor != int64(i) || p != client.Partition([]byte(id), partitions) {
			t.Fatalf("%s: %v in partition %d, %v", id, o, p, err)
		}
	}
	for _, id := range []string{"o-50", "", engine.MarksKey} {
		if o, _, err := v.Orders.Get(id); o != nil || err != nil {
			t.Errorf("order %q: %v, %v", id, o, err)
		}
	}
	if n := v.Orders.Counters()["duplicates"]; n != 5 {
		t.Errorf("%d duplicates", n)
	}
}

// A producer that does not partition by murmur2 puts an order's events, and with them its row, elsewhere. If the producer of payments
// does otherwise than that of orders, there are two rows.
func TestOrdersOfAnotherPartitionerAreFound(t *testing.T) {
	k := startKafka(t)
	k.createTables()
	encode := func(o *table.Order) []byte {
		data, err := o.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	home := client.Partition([]byte("both"), partitions)
	elsewhere := (client.Partition([]byte("one"), partitions) + 1) % partitions
	k.write(
		row{topology.TableOrders, "one", elsewhere, encode(&table.Order{Created: true, TotalMinor: 7})},
		row{topology.TableOrders, "both", home, encode(&table.Order{LastAtMs: 1})},
		row{topology.TableOrders, "both", (home + 2) % partitions, encode(&table.Order{Created: true, TotalMinor: 8})},
	)
	dir := t.TempDir()
	v, _, stop := k.open(dir)
	for range 2 { // the rows are read from Kafka, then from disk
		until(t, "the views to be ready", ready(v))
		if o, p, err := v.Orders.Get("one"); err != nil || o == nil || o.TotalMinor != 7 || p != elsewhere {
			t.Errorf("%v in partition %d, %v; want it in %d", o, p, err, elsewhere)
		}
		if o, p, err := v.Orders.Get("both"); err != nil || o == nil || o.TotalMinor != 8 || p != (home+2)%partitions {
			t.Errorf("%v in partition %d, %v; want the row that knows the order", o, p, err)
		}
		if o, _, err := v.Orders.Get("none"); err != nil || o != nil {
			t.Errorf("%v, %v", o, err)
		}
		stop()
		if _, _, err := v.Orders.Get("one"); err == nil {
			t.Error("a stopped view can be read")
		}
		v, _, stop = k.open(dir)
	}
}

// A transaction that moves money from one row to another is seen whole or not at all, by reads of single rows as by queries, also
// where it is larger than what a view keeps in memory.
func TestReadsNeverSeeHalfATransaction(t *testing.T) {
	k := startKafka(t)
	k.createTables()
	const total = 1_000_000
	keys := []string{}
	for n := 0; len(keys) < 2; n++ { // of one partition
		key := querytest.Key("revenue", "1m", noon, fmt.Sprint("method", n), "eu", "DE", "EUR")
		if client.Partition([]byte(key), partitions) == 0 {
			keys = append(keys, key)
		}
	}
	filler := row{topology.TableMetrics, querytest.Key("refunds", "1m", noon, "card", "eu", "EUR"), 0, make([]byte, 300_000)}
	move := func(n int64) {
		rows := []row{metric(keys[0], n+1, n)}
		for range []int{0, 0, 1, 5}[n%4] { // 5: more than a megabyte between the rows
			rows = append(rows, filler)
		}
		rows = append(rows, metric(keys[1], n+1, total-n), marks(topology.TableMetrics, 0, noon.Add(time.Duration(n)*time.Second), nil))
		k.write(rows...)
	}
	move(0)
	v, _, _ := k.open(t.TempDir())
	until(t, "the views to be ready", ready(v))
	until(t, "the first transaction", func() bool { return revenue(t, v) == fmt.Sprint("EUR", total, " ") })

	const transactions = 150
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := range int64(transactions) {
			move(n + 1)
		}
	}()
	q, err := querytest.Catalogue().Parse("revenue", url.Values{"by": {"method"}})
	if err != nil {
		t.Fatal(err)
	}
	states := map[int64]bool{}
	look := func() int64 {
		a, err := query.Run(q, v.Metrics, noon)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Series) != 2 || a.Series[0].Points[0].Count != a.Series[1].Points[0].Count {
			t.Fatalf("half a transaction: %+v", a.Series)
		}
		n := a.Series[0].Points[0].Count - 1
		states[n] = true
		return n
	}
	reading := true
	for reading {
		select {
		case <-written:
			reading = false
		default:
			look()
		}
	}
	until(t, "the last transaction", func() bool { return look() == transactions })
	if len(states) < 5 {
		t.Errorf("readers saw %d states of %d: too few for this test to mean something", len(states), transactions)
	}
}
