package broker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// child is a broker in a process of its own, to be killed.
type child struct {
	cmd  *exec.Cmd
	addr string
}

func startChild(t testing.TB, c childConfig) *child {
	t.Helper()
	env, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	started := &child{cmd: cmd}
	t.Cleanup(started.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker did not start: %v", err)
	}
	started.addr = line[:len(line)-1]
	return started
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // an error means that it is gone already
	_ = c.cmd.Wait()
}

// A shop produces while a processor answers every order exactly once, and the broker under both is killed again and
// again. Clients outlive it; at the end each acknowledged order is there once, and each has one answer.
func TestKilledBrokerLosesNothingAcknowledgedAndKeepsTransactionsWhole(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 4
	}
	if n, err := strconv.Atoi(os.Getenv("WEIR_TEST_KILLS")); err == nil { // make crash
		kills = n
	}
	cfg := childConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", SegmentBytes: 64 << 10, TidyEvery: 100 * time.Millisecond}
	b := startChild(t, cfg)
	cfg.Listen = b.addr
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(kills)*10*time.Second)
	defer cancel()
	const partitions = 4
	setup := client(t, b.addr)
	create(t, setup, "orders", partitions, nil)
	create(t, setup, "deltas", partitions, nil)
	create(t, setup, "rows", partitions, config("cleanup.policy", "compact"))

	var acknowledged sync.Map
	var commits atomic.Int64
	stop := make(chan struct{})
	var shop, processor sync.WaitGroup
	shop.Go(func() {
		cl := client(t, b.addr, kgo.MetadataMinAge(50*time.Millisecond), kgo.MaxBufferedRecords(2000))
		for i := 0; ; i++ {
			select {
			case <-stop:
				if err := cl.Flush(ctx); err != nil {
					t.Error(err)
				}
				return
			default:
			}
			key := strconv.Itoa(i)
			cl.Produce(ctx, &kgo.Record{Topic: "orders", Key: []byte(key), Value: []byte(key)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("order %s: %v", key, err)
					return
				}
				acknowledged.Store(key, true)
			})
			if i%10 == 0 {
				time.Sleep(time.Millisecond) // a shop's pace, not a measure of time
			}
		}
	})
	processing, enough := context.WithCancel(ctx)
	processor.Go(func() { process(processing, t, b.addr, &commits) })

	rnd := rand.New(rand.NewPCG(7, uint64(os.Getpid())))
	for range kills {
		after := commits.Load() + 3 + int64(rnd.IntN(30))
		waitFor(t, ctx, "more commits", func() bool { return commits.Load() > after })
		time.Sleep(time.Duration(rnd.IntN(20_000)) * time.Microsecond) // anywhere in a transaction
		b.kill()
		b = startChild(t, cfg)
	}
	close(stop)
	shop.Wait()
	adm := kadm.NewClient(client(t, b.addr))
	waitFor(t, ctx, "every order to be processed", func() bool {
		lag, err := adm.Lag(ctx, "weir-orders")
		group := lag["weir-orders"]
		return err == nil && group.Error() == nil && group.Lag.Total() == 0 && len(group.Lag["orders"]) == partitions
	})
	enough()
	processor.Wait()
	b.kill()
	b = startChild(t, cfg)

	orders, deltas := readAll(t, b.addr, "orders"), readAll(t, b.addr, "deltas")
	rows := table(t, b.addr, "rows")
	for p, rs := range orders {
		if len(deltas[p]) != len(rs) {
			t.Errorf("partition %d: %d orders, %d answers", p, len(rs), len(deltas[p]))
			continue
		}
		for i, r := range rs {
			if _, ok := acknowledged.LoadAndDelete(string(r.Key)); !ok {
				t.Errorf("order %s is there twice", r.Key)
			}
			if string(deltas[p][i].Key) != string(r.Key) {
				t.Errorf("partition %d: answer %d is for %s, the order is %s", p, i, deltas[p][i].Key, r.Key)
			}
		}
		if got, want := rows[fmt.Sprint("count-", p)], strconv.Itoa(len(rs)); got != want {
			t.Errorf("partition %d: the row counts %s, there are %s", p, got, want)
		}
	}
	acknowledged.Range(func(key, _ any) bool { t.Errorf("order %s was acknowledged and is gone", key); return true })
	t.Logf("%d orders across %d kills", count(orders), kills)
}

// process answers each order on deltas and counts each partition's orders in a row of a table, in transactions with the
// group's positions. Whatever fails, it starts again from what is committed.
func process(ctx context.Context, t *testing.T, addr string, commits *atomic.Int64) {
	for ctx.Err() == nil {
		if err := processSession(ctx, addr, commits); err != nil && ctx.Err() == nil {
			t.Logf("processor starts again: %v", err)
		}
	}
}

func processSession(ctx context.Context, addr string, commits *atomic.Int64) error {
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(addr), kgo.TransactionalID("weir-orders-a"), kgo.ConsumerGroup("weir-orders"), kgo.ConsumeTopics("orders"),
		kgo.InstanceID("a"), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond), kgo.TransactionTimeout(10*time.Second),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryTimeout(5*time.Second), kgo.MetadataMinAge(50*time.Millisecond), kgo.FetchMaxWait(50*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer s.Close()
	for ctx.Err() == nil {
		fetches := s.PollRecords(ctx, 200)
		if err := fetches.Err0(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		var failed atomic.Pointer[error]
		promise := func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				s.Produce(ctx, &kgo.Record{Topic: "deltas", Partition: p.Partition, Key: r.Key}, promise)
			}
			if n := len(p.Records); n > 0 { // without gaps, an order's offset is the count of those before it
				s.Produce(ctx, &kgo.Record{Topic: "rows", Partition: p.Partition, Key: fmt.Append(nil, "count-", p.Partition),
					Value: strconv.AppendInt(nil, p.Records[n-1].Offset+1, 10)}, promise)
			}
		})
		if err := s.Client().Flush(ctx); err != nil {
			return err
		}
		if e := failed.Load(); e != nil {
			_, err := s.End(ctx, kgo.TryAbort)
			return errors.Join(*e, err)
		}
		committed, err := s.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if committed {
			commits.Add(1)
		}
	}
	return nil
}

func waitFor(t *testing.T, ctx context.Context, what string, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
