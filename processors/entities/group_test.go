package entities

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
)

// running is the group on an embedded broker, and what it writes.
type running struct {
	t     *testing.T
	ctx   context.Context
	names topology.Names
	cl    *kgo.Client
	set   *rule.Set
}

// startGroup starts the group over a table that holds rows already.
func startGroup(t *testing.T, rows map[string][]byte) *running {
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	r := &running{t: t, ctx: ctx, names: topology.Names{Prefix: "shop-"}, set: shopSet(t)}
	var specs []client.TopicSpec
	for _, topic := range r.names.Own() {
		cleanup := client.Delete
		if topic.Kind == topology.Table {
			cleanup = client.Compact
		}
		specs = append(specs, client.TopicSpec{Name: topic.Name, Partitions: 1, Cleanup: cleanup})
	}
	if r.cl, err = kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeTopics(r.names.In(topology.Findings), r.names.In(topology.DeadLetters), r.names.In(topology.TableEntities))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cl.Close)
	if err := client.EnsureTopics(ctx, kadm.NewClient(r.cl), specs); err != nil {
		t.Fatal(err)
	}
	for key, row := range rows {
		r.send(topology.TableEntities, key, row)
	}
	g := &Group{Names: r.names, Rules: rule.NewCurrent(r.set)}
	rt, err := engine.New(engine.Config{Kafka: client.Config{Brokers: []string{b.Addr()}}, Instance: "one", DataDir: t.TempDir(),
		CommitInterval: 20 * time.Millisecond, Idle: time.Hour}, r.names.In(topology.GroupEntities), g.Define)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	life, stop := context.WithCancel(ctx)
	go func() { done <- rt.Run(life) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *running) send(topic, key string, value []byte) {
	r.t.Helper()
	if err := r.cl.ProduceSync(r.ctx, &kgo.Record{Topic: r.names.In(topic), Key: []byte(key), Value: value}).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// mark says how far group orders has come.
func (r *running) mark(at event.UnixMilli) {
	name := r.names.In(topology.GroupOrders)
	value, err := (&table.Mark{Source: name, Partitions: 1, WatermarkMs: int64(at)}).MarshalVT()
	if err != nil {
		r.t.Fatal(err)
	}
	r.send(topology.Observations, "\x00mark/"+name+"/0", value)
}

// next is the next record of a topic; others are passed over.
func (r *running) next(topic string) *kgo.Record {
	r.t.Helper()
	for {
		fetches := r.cl.PollRecords(r.ctx, 1)
		if r.ctx.Err() != nil {
			r.t.Fatalf("nothing came on %s", topic)
		}
		for _, x := range fetches.Records() {
			if x.Topic == r.names.In(topic) && !engine.IsReserved(string(x.Key)) {
				return x
			}
		}
	}
}

func (r *running) finding() *table.Finding {
	r.t.Helper()
	x, f := r.next(topology.Findings), new(table.Finding)
	if err := f.UnmarshalVT(x.Value); err != nil || f.Entity != string(x.Key) {
		r.t.Fatalf("a finding about %q at %q: %v", f.Entity, x.Key, err)
	}
	return f
}

// try is an attempt to pay with a card, as observations of the ip.
func (r *running) try(n int, card string, at event.UnixMilli) []byte {
	f := &rule.Facts{Type: event.PaymentAttempted, At: at, OrderID: "o1", Order: &table.Order{Created: true, CustomerId: "c1", Currency: "EUR"},
		Entry: &table.Entry{EventId: "e" + strconv.Itoa(n), IdHash: uint64(n), AmountMinor: 100, Currency: "EUR", Topic: "payments", Offset: int64(n),
			Card: &table.Card{Fingerprint: card}, Client: &table.Client{Ip: "192.0.2.1"}}}
	var seen rule.Observed
	r.set.Observe(f, &seen)
	for _, o := range seen.Observations {
		if o.Key == "ip:192.0.2.1" {
			return o.Body
		}
	}
	r.t.Fatal("the ip is not concerned")
	return nil
}

func TestTheGroupOnABroker(t *testing.T) {
	const ip = "ip:192.0.2.1"
	at := event.UnixMilli(1_767_225_600_000)
	damaged := []byte{rowVersion, 0, 1, 0, 255, 255}
	r := startGroup(t, map[string][]byte{ip: damaged})
	r.mark(at.Add(-time.Minute))
	r.send(topology.Observations, ip, r.try(1, "a", at))
	if x := r.next(topology.DeadLetters); string(x.Value) != string(damaged) || string(x.Key) != ip {
		t.Errorf("of the damaged row came %q", x.Value)
	}
	r.send(topology.Observations, ip, append(r.try(2, "b", at.Add(time.Second)), r.try(3, "c", at.Add(2*time.Second))...))
	f := r.finding()
	if f.Rule != "testing" || f.Entity != ip || f.Score != 60 || f.Hit != 3 || f.Event.Id != "e3" || len(f.Predicates) != 2 ||
		len(f.Predicates[0].Events) != 3 {
		t.Errorf("found %v", f)
	}
	r.send(topology.Observations, ip, []byte("nonsense"))
	if x := r.next(topology.DeadLetters); string(x.Value) != "nonsense" || string(x.Key) != ip {
		t.Errorf("of nonsense came %q at %q", x.Value, x.Key)
	}
	r.send(topology.Observations, ip, r.try(4, "d", at.Add(3*time.Second)))
	if f = r.finding(); f.Score != 90 || f.Reason != "four cards" || f.Hit != 4 {
		t.Errorf("found %v", f)
	}
	// Once the watermark has passed the longest window and the grace, the row goes.
	r.mark(at.Add(3 * time.Hour))
	for {
		if x := r.next(topology.TableEntities); string(x.Key) == ip && x.Value == nil {
			return
		}
	}
}

// record is where a record stands, for a callback that asks for nothing else.
type record struct{ gokaContext }

type gokaContext interface{ goka.Context }

func (record) Topic() goka.Stream { return "observations" }
func (record) Partition() int32   { return 0 }
func (record) Offset() int64      { return 7 }

func TestADefectCostsOneRecord(t *testing.T) {
	g := &Group{Logger: slog.New(slog.DiscardHandler)} // without rules, a step panics
	s := new(shard)
	s.in.Key = "ip:1"
	err := g.step(record{}, "ip", nil, s)
	if m, ok := errors.AsType[*event.Malformed](err); !ok || m.Reason != event.ReasonPanic {
		t.Errorf("got %v", err)
	}
}
