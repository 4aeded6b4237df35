package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// Records of a batch are told apart by all that a goka context tells, a failure ends the batch where it happens, and what the batch did
// before is done once in the end.
func TestACallbackFailsInTheMiddleOfABatch(t *testing.T) {
	c := newCounting(t, cluster(t), 1)
	cl := newClient(t, c.brokers)
	const records, fails = 300, 137
	var sent []*kgo.Record
	for i := range records {
		number := strconv.Itoa(i)
		sent = append(sent, &kgo.Record{Topic: c.in(), Key: []byte("k" + strconv.Itoa(i%7)), Value: []byte(number), Timestamp: time.UnixMilli(int64(1_700_000_000_000 + i)),
			Headers: []kgo.RecordHeader{{Key: "number", Value: []byte(number)}}})
	}
	sent = append(sent, &kgo.Record{Topic: c.in(), Key: []byte("k0")}) // a tombstone: the row goes
	if err := cl.ProduceSync(context.Background(), sent...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var failed, again atomic.Bool
	rt, err := New(Config{Kafka: client.Config{Brokers: c.brokers}, Instance: "one", DataDir: t.TempDir(), Idle: time.Hour, LeaveOnStop: true}, c.second(), func(rt *Runtime) Spec {
		cb := func(ctx goka.Context, msg any) {
			if ctx.Offset() == 0 && failed.Load() {
				again.Store(true)
			}
			if failed.Load() && !again.Load() {
				t.Errorf("offset %d was handed out after the failure", ctx.Offset())
			}
			if msg == nil {
				ctx.Delete()
				return
			}
			if ctx.Offset() == fails && failed.CompareAndSwap(false, true) {
				ctx.Fail(errors.New("a defect that comes once"))
			}
			got := fmt.Sprintf("%s %d %s %d %s %s", ctx.Topic(), ctx.Partition(), ctx.Key(), ctx.Timestamp().UnixMilli(), ctx.Headers()["number"], msg)
			if r := sent[ctx.Offset()]; got != fmt.Sprintf("%s 0 %s %d %s %s", r.Topic, r.Key, r.Timestamp.UnixMilli(), r.Value, r.Value) {
				t.Errorf("offset %d came as %s", ctx.Offset(), got)
			}
			ctx.SetValue(bytesOf(number(ctx.Value()) + 1))
		}
		return Spec{Graph: goka.DefineGroup(goka.Group(c.second()), rt.Input(c.in(), cb), goka.Persist(new(codec.Bytes)))}
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, rt)
	want := map[string]uint64{}
	for i := range records {
		if i%7 != 0 {
			want["k"+strconv.Itoa(i%7)]++
		}
	}
	got := c.waitFor(t, records-(records+6)/7)
	for deadline := time.Now().Add(time.Minute); len(got) > len(want) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = c.rows(t, c.second())
	}
	stop()
	check(t, got, want)
	if !again.Load() {
		t.Error("nothing failed")
	}
}
