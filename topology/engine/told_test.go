package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

// reminders is a group whose rows want a timer a day after their event; the timer sends that time to the next group.
func reminders(t *testing.T, c *counting) {
	t.Helper()
	rt, err := New(Config{Kafka: client.Config{Brokers: c.brokers}, Instance: "a", DataDir: t.TempDir(), Idle: time.Hour, LeaveOnStop: true}, c.first(), func(rt *Runtime) Spec {
		cb := func(ctx goka.Context, msg any) {
			rt.Partition(ctx.Partition()).Observe(string(ctx.Topic()), event.UnixMilli(number(msg)))
			ctx.SetValue(msg)
		}
		return Spec{Sources: []string{c.in()}, MarkTopics: []string{c.mid()}, TimersSend: true,
			Graph: goka.DefineGroup(goka.Group(c.first()), rt.Input(c.in(), cb), goka.Persist(new(codec.Bytes))),
			Hooks: Hooks{
				Deadline: func(_ string, row []byte) (event.UnixMilli, bool) {
					return event.UnixMilli(binary.BigEndian.Uint64(row)) + day, true
				},
				Timer: func(tx *Tx, p *Partition, key string, row []byte) error {
					tx.Emit(c.mid(), key, bytesOf(number(row)+uint64(day)))
					return p.Delete(key)
				},
			}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run(t, rt))
}

// received is what the next group is sent, in order.
type received struct {
	cl   *kgo.Client
	mark event.UnixMilli
	due  map[string]event.UnixMilli // what timers have sent, by key
	late map[string]event.UnixMilli // of those the ones that came behind a later mark, with that mark
}

// until reads until there is a mark that far.
func (r *received) until(t *testing.T, mark event.UnixMilli) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for r.mark < mark {
		fs := r.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the next group knows of %v, want %v", r.mark, mark)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			if !IsMark(string(rec.Key)) {
				at := event.UnixMilli(number(rec.Value))
				r.due[string(rec.Key)] = at
				if r.mark >= at {
					r.late[string(rec.Key)] = r.mark
				}
				return
			}
			var m table.Mark
			if err := m.UnmarshalVT(rec.Value); err != nil {
				t.Error(err)
			}
			r.mark = max(r.mark, event.UnixMilli(m.WatermarkMs))
		})
	}
}

// A backlog of years takes the watermark past deadlines of rows that are not in LevelDB yet. What their timers send must not be late for
// the next group.
func TestTimersComeBeforeTheWatermarkThatCallsThem(t *testing.T) {
	c := newCounting(t, cluster(t), 1)
	cl := newClient(t, c.brokers)
	put := func(key string, at event.UnixMilli) {
		cl.Produce(t.Context(), &kgo.Record{Topic: c.in(), Key: []byte(key), Value: bytesOf(uint64(at))}, func(_ *kgo.Record, err error) {
			if err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		})
	}
	const days = 1000
	for d := range event.UnixMilli(days) {
		put(fmt.Sprint("day", d+1), (d+1)*day)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	reminders(t, c)
	r := &received{due: map[string]event.UnixMilli{}, late: map[string]event.UnixMilli{},
		cl: newClient(t, c.brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(c.mid()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))}
	r.until(t, days*day)
	if len(r.due) != days-1 || len(r.late) > 0 {
		t.Errorf("%d timers were called before the watermark of day %d was told, want %d; late: %v", len(r.due), days, days-1, r.late)
	}

	// Where events keep coming late, there is always a row whose deadline has passed. Watermarks are told all the same.
	var now atomic.Int64
	over := make(chan struct{})
	shop := make(chan struct{})
	go func() {
		defer close(shop)
		for n := event.UnixMilli(0); ; n++ {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond): // pace of the shop
			}
			put(fmt.Sprint("late", n), day)
			put(fmt.Sprint("on time", n), days*day+n)
			now.Store(int64(days*day + n))
		}
	}()
	r.until(t, days*day+1)
	r.until(t, event.UnixMilli(now.Load()))
	close(over)
	<-shop
}
