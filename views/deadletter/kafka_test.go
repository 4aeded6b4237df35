package deadletter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/event"
)

const lettersTopic = "weir-dead-letters"

// post is a broker with dead letters.
type post struct {
	*Reader
	t    *testing.T
	cl   *kgo.Client
	adm  *kadm.Client
	now  atomic.Int64 // what the reader takes for the time, Unix ms
	asks atomic.Int64 // how often the broker was asked for the ends of partitions
}

// counting counts requests for offsets.
type counting struct{ p *post }

func (c counting) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == 2 { // ListOffsets
		c.p.asks.Add(1)
	}
}

func openPost(t *testing.T, check Check) *post {
	t.Helper()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	p := &post{t: t}
	p.now.Store(time.Now().UnixMilli())
	kafka := client.Config{Brokers: []string{b.Addr()}}
	opts, err := kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.WithHooks(counting{p}))
	if err != nil {
		t.Fatal(err)
	}
	if p.cl, err = kgo.NewClient(opts...); err != nil {
		t.Fatal(err)
	}
	p.adm = kadm.NewClient(p.cl)
	t.Cleanup(func() {
		p.cl.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Reader = New(Config{Kafka: kafka, Admin: p.adm, Topic: lettersTopic, Sources: map[string]Check{"payments": check},
		Now: func() time.Time { return time.UnixMilli(p.now.Load()) }})
	return p
}

func (p *post) create(partitions int32) {
	p.t.Helper()
	for _, topic := range []string{lettersTopic, "payments"} {
		if _, err := p.adm.CreateTopic(p.t.Context(), partitions, 1, nil, topic); err != nil {
			p.t.Fatal(err)
		}
	}
}

// send writes records of the dead-letter topic as they are.
func (p *post) send(records ...*kgo.Record) {
	p.t.Helper()
	for _, r := range records {
		r.Timestamp = time.Time{}
	}
	if err := p.cl.ProduceSync(p.t.Context(), records...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *post) list(f *Filter) *Listing {
	p.t.Helper()
	p.now.Add(lookEvery.Milliseconds())
	l, err := p.List(p.t.Context(), f, "", 500)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

func taken(_, _ []byte) error { return nil }

func TestATopicThatIsNotThereHoldsNoLetters(t *testing.T) {
	p := openPost(t, taken)
	if l := p.list(&Filter{}); l.Total != 0 || l.Unread != 0 {
		t.Errorf("%+v", l)
	}
	if _, err := p.Get(t.Context(), ID{0, 0}); !errors.Is(err, ErrNotThere) {
		t.Error(err)
	}
}

func TestManyWhoAskAskTheBrokerOnce(t *testing.T) {
	p := openPost(t, taken)
	p.create(2)
	p.send(refused(0, 0, badMoney, "o-1", "{}"), refused(1, 0, badMoney, "o-2", "{}"))
	p.list(&Filter{})
	before := p.asks.Load()
	p.now.Add(lookEvery.Milliseconds())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if l, err := p.List(context.Background(), &Filter{}, "", 10); err != nil || l.Total != 2 {
				t.Errorf("%v %+v", err, l)
			}
		})
	}
	all.Wait()
	if asked := p.asks.Load() - before; asked < 1 || asked > 4 { // the beginnings and the ends, and a retry of either
		t.Errorf("the broker was asked %d times", asked)
	}
}

func TestOnlyTheNewestLettersAreRead(t *testing.T) {
	p := openPost(t, taken)
	p.create(1)
	const many = 2*maxLetters + 500
	var records []*kgo.Record
	for i := range many {
		records = append(records, refused(0, int64(i), badMoney, fmt.Sprint("o-", i), "{}"))
	}
	p.send(records...)
	l := p.list(&Filter{})
	for l.Unread > 0 {
		l = p.list(&Filter{})
	}
	if l.Total != maxLetters || l.Letters[0].ID != fmt.Sprintf("0@%d", many-1) || l.LeftOut == 0 {
		t.Errorf("%d letters, %d left out, the newest %s", l.Total, l.LeftOut, l.Letters[0].ID)
	}
	if old, err := p.Get(t.Context(), ID{0, 3}); err != nil || old.Key.Text != "o-3" { // one that is not among them can be read all the same
		t.Errorf("%v %+v", err, old)
	}
}

func TestATopicThatIsMadeAnewIsReadAnew(t *testing.T) {
	p := openPost(t, taken)
	p.create(1)
	p.send(refused(0, 0, badMoney, "o-1", "{}"), refused(0, 1, badMoney, "o-2", "{}"))
	if l := p.list(&Filter{}); l.Total != 2 {
		t.Fatalf("%+v", l)
	}
	if _, err := p.adm.DeleteTopic(t.Context(), lettersTopic); err != nil {
		t.Fatal(err)
	}
	if _, err := p.adm.CreateTopic(t.Context(), 1, 1, nil, lettersTopic); err != nil {
		t.Fatal(err)
	}
	p.cl.PurgeTopicsFromClient(lettersTopic) // it knows the topic by its id
	p.send(refused(0, 0, badMoney, "o-3", "{}"))
	if l := p.list(&Filter{}); l.Total != 1 || l.Letters[0].Key.Text != "o-3" {
		t.Errorf("%d letters, the newest of %s", l.Total, l.Letters[0].Key.Text)
	}
}

func TestAReplayKeepsKeyPartitionAndOrder(t *testing.T) {
	p := openPost(t, func(_, value []byte) error {
		if string(value) == "bad" {
			return badMoney
		}
		return nil
	})
	p.create(3)
	strange := &event.Malformed{Reason: event.ReasonPanic}
	p.send(refused(1, 0, strange, "o-1", "first"), refused(1, 1, strange, "o-1", "second"), refused(1, 2, badMoney, "o-1", "bad"),
		&kgo.Record{Topic: lettersTopic, Partition: 1, Value: []byte("a stranger's")})
	p.list(&Filter{})
	r, err := p.Replay(t.Context(), &Order{Filter: Filter{Reasons: []string{"panic", "bad_money"}}, Limit: 10, Author: "ada"})
	if err != nil || r.Counts[StatusReplayed] != 2 || r.Counts[StatusRefused] != 1 {
		t.Fatalf("%v %+v", err, r)
	}
	var values []string
	err = readSpans(t.Context(), p.cfg.Kafka, "payments", map[int32]span{2: {0, 2}}, func(records []*kgo.Record) error { // header weir-partition says 2
		for _, rec := range records {
			values = append(values, string(rec.Key)+" "+string(rec.Value))
		}
		return nil
	}, func(int32, int64) {})
	if err != nil || len(values) != 2 || values[0] != "o-1 first" || values[1] != "o-1 second" {
		t.Errorf("%v %q", err, values)
	}
	l := p.list(&Filter{Replayed: "only"})
	if l.Total != 2 || l.Letters[0].Replayed.Author != "ada" || l.Letters[0].Replayed.Place.Topic != "payments" {
		t.Errorf("%+v", l)
	}
	again, err := p.Replay(t.Context(), &Order{IDs: []ID{{1, 0}, {1, 0}, {1, 3}, {1, 99}, {7, 0}}, Author: "bob"})
	if err != nil || len(again.Outcomes) != 4 || again.Outcomes[0].Status != StatusAlready || again.Counts[StatusGone] != 3 {
		t.Errorf("%v %+v", err, again)
	}
	limited, err := p.Replay(t.Context(), &Order{Filter: Filter{Reasons: []string{"bad_money", "panic"}}, Limit: 1, Author: "bob", Force: true})
	if err != nil || limited.Counts[StatusReplayed] != 1 || limited.Left != 0 { // what was replayed is not chosen by a filter
		t.Errorf("%v %+v", err, limited)
	}
}

func TestOneReplayAtATime(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var first, opened atomic.Bool
	p := openPost(t, func(_, _ []byte) error {
		if opened.Load() && first.CompareAndSwap(false, true) {
			close(entered)
			<-leave
		}
		return nil
	})
	p.create(1)
	p.send(refused(0, 0, badMoney, "o-1", "{}"))
	p.list(&Filter{})
	opened.Store(true)
	done := make(chan error)
	go func() {
		_, err := p.Replay(context.Background(), &Order{IDs: []ID{{0, 0}}, Author: "ada"})
		done <- err
	}()
	<-entered
	if _, err := p.Replay(t.Context(), &Order{IDs: []ID{{0, 0}}, Author: "bob"}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestABrokerThatIsAwayIsToldSo(t *testing.T) {
	p := openPost(t, taken)
	p.create(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Reader.turn <- struct{}{} // somebody looks
	if _, err := p.List(ctx, &Filter{}, "", 10); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-p.Reader.turn
	p.cl.Close()
	if _, err := p.List(t.Context(), &Filter{}, "", 10); err == nil {
		t.Error("letters of a broker that cannot be asked")
	}
}
