package alerts

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
)

const groupRules = `
rules:
  - id: velocity
    title: Velocity
    entity: customer
    when: count(5m, customer) > 3
    cooldown: 10m
    severity: high
    score: 50
    reason: too many orders
`

// shop is the group on an embedded broker, and what it says.
type shop struct {
	t     *testing.T
	names topology.Names
	cl    *kgo.Client
	ctx   context.Context
}

func startGroup(t *testing.T) *shop {
	set, err := rule.Load("rules.yaml", []byte(groupRules))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s := &shop{t: t, names: topology.Names{Prefix: "shop-"}, ctx: ctx}
	var specs []client.TopicSpec
	for _, topic := range s.names.Own() {
		cleanup := client.Delete
		if topic.Kind == topology.Table {
			cleanup = client.Compact
		}
		specs = append(specs, client.TopicSpec{Name: topic.Name, Partitions: 2, Cleanup: cleanup})
	}
	kafka := client.Config{Brokers: []string{b.Addr()}}
	if s.cl, err = kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeTopics(s.names.In(topology.Alerts), s.names.In(topology.DeadLetters)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cl.Close)
	if err := client.EnsureTopics(ctx, kadm.NewClient(s.cl), specs); err != nil {
		t.Fatal(err)
	}
	g := &Group{Names: s.names, Rules: rule.NewCurrent(set), Partitions: 2}
	rt, err := engine.New(engine.Config{Kafka: kafka, Instance: "one", DataDir: t.TempDir(), CommitInterval: 20 * time.Millisecond, Idle: time.Hour},
		s.names.In(topology.GroupAlerts), g.Define)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { done <- rt.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	return s
}

// send produces a record to the partition of its key.
func (s *shop) send(topic, key string, value []byte) {
	s.sendTo(topic, client.Partition([]byte(key), 2), key, value)
}

func (s *shop) sendTo(topic string, partition int32, key string, value []byte) {
	s.t.Helper()
	r := &kgo.Record{Topic: s.names.In(topic), Partition: partition, Key: []byte(key), Value: value}
	if err := s.cl.ProduceSync(s.ctx, r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) encode(m interface{ MarshalVT() ([]byte, error) }) []byte {
	raw, err := m.MarshalVT()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// mark tells both partitions how far a group has come.
func (s *shop) mark(group string, at event.UnixMilli) {
	for from := range int32(2) {
		for to := range int32(2) {
			s.sendTo(topology.Findings, to, "\x00mark/"+s.names.In(group)+"/"+string(rune('0'+from)),
				s.encode(&table.Mark{Source: s.names.In(group), Partition: from, Partitions: 2, WatermarkMs: int64(at)}))
		}
	}
}

// next is the next record that the group sends.
func (s *shop) next() *kgo.Record {
	s.t.Helper()
	for {
		fetches := s.cl.PollRecords(s.ctx, 1)
		if err := s.ctx.Err(); err != nil {
			s.t.Fatalf("nothing came: %v", err)
		}
		if records := fetches.Records(); len(records) > 0 {
			return records[0]
		}
	}
}

// nextAlert is the next event on topic alerts.
func (s *shop) nextAlert(kind string) (a alert.Alert) {
	s.t.Helper()
	r := s.next()
	var e struct {
		Type, Source string
		Data         *alert.Alert
	}
	e.Data = &a
	if err := json.Unmarshal(r.Value, &e); err != nil {
		s.t.Fatalf("%s: %v", r.Value, err)
	}
	if e.Type != kind || e.Source != "weir/shop-alerts" || string(r.Key) != entity || r.Topic != "shop-alerts" {
		s.t.Fatalf("on %s came %s, want %s", r.Topic, r.Value, kind)
	}
	return a
}

func TestTheGroupOnABroker(t *testing.T) {
	s := startGroup(t)
	s.send(topology.Findings, entity, s.encode(found("velocity", 1, 0)))
	a := s.nextAlert(alert.TypeOpened)
	if a.ID != idAt(0) || a.Severity != "high" || a.Hits != 1 || len(a.Explanation) != 1 || a.CaseScore != 50 {
		t.Errorf("opened %+v", a)
	}
	s.send(topology.Commands, entity, s.encode(&table.Decision{Id: "d1", Alert: a.ID, Entity: entity, Action: alert.Confirm, Author: "ana",
		SeenAtMs: 5, ExpectedRevision: a.Revision}))
	if a = s.nextAlert(alert.TypeDecided); a.Status != alert.Confirmed || a.Revision != 2 {
		t.Errorf("decided %+v", a)
	}
	s.send(topology.Findings, entity, []byte("nonsense"))
	if r := s.next(); r.Topic != "shop-"+topology.DeadLetters || string(r.Value) != "nonsense" || string(r.Key) != entity {
		t.Errorf("on %s came %q", r.Topic, r.Value)
	}
	s.mark(topology.GroupEntities, minute(11))
	s.mark(topology.GroupOrders, minute(11))
	if a = s.nextAlert(alert.TypeEnded); a.Episode != alert.Ended || a.Status != alert.Confirmed {
		t.Errorf("ended %+v", a)
	}
	s.send(topology.Findings, entity, s.encode(withdrawn(found("velocity", 1, 0))))
	if a = s.nextAlert(alert.TypeWithdrawn); a.ID != idAt(0) || a.Hits != 0 {
		t.Errorf("withdrawn %+v", a)
	}
}
