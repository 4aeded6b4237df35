package webhook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/broker"
	"weir/topology/client"
	"weir/topology/event"
)

// installation is an embedded broker with the topics that webhooks use.
type installation struct {
	kafka client.Config
	names topology.Names
	cl    *kgo.Client
	adm   *kadm.Client
}

const testPartitions = 4

func newInstallation(t *testing.T) *installation {
	t.Helper()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{kafka: client.Config{Brokers: []string{b.Addr()}}, names: topology.Names{Prefix: "eu-"}}
	if in.cl, err = kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.TransactionalID("alerts")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.cl.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	in.adm = kadm.NewClient(in.cl)
	if _, err := in.adm.CreateTopics(t.Context(), testPartitions, 1, nil, in.names.In(topology.Alerts), in.names.In(topology.DeadLetters)); err != nil {
		t.Fatal(err)
	}
	return in
}

// tell writes alerts from one number to before another in one transaction, each to one of 50 entities.
func (in *installation) tell(t *testing.T, from, to int64, end kgo.TransactionEndTry) {
	t.Helper()
	if err := in.cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		entity := fmt.Sprint("card:", i%50)
		_, raw := told(t, "opened", entity, i)
		in.cl.Produce(t.Context(), &kgo.Record{Topic: in.names.In(topology.Alerts), Key: []byte(entity), Value: raw}, nil)
	}
	if err := in.cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := in.cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// run delivers until stopped.
func (in *installation) run(t *testing.T, reg prometheus.Registerer, receivers ...Receiver) (stop func()) {
	t.Helper()
	w, err := New(Config{Kafka: in.kafka, Names: in.names, Receivers: receivers, Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range w.consumers { // the jitter is always near its least: tests do not sit out pauses
		c.schedule.random = func() float64 { return 0.001 }
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a fact.
func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !fact() {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// joined waits until the receiver's group has a position in every partition: what is told from now on is delivered.
func (in *installation) joined(t *testing.T, receiver string) {
	t.Helper()
	until(t, "the group has joined", func() bool { return len(in.positions(t, receiver)) == testPartitions })
}

func (in *installation) positions(t *testing.T, receiver string) map[int32]int64 {
	t.Helper()
	at := map[int32]int64{}
	offsets, err := in.adm.FetchOffsets(t.Context(), in.names.In(GroupPrefix+receiver))
	if err != nil {
		return at // not there yet
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			at[o.Partition] = o.At
		}
	})
	return at
}

// isDone reports whether a receiver's group stands at the end of every partition.
func (in *installation) isDone(t *testing.T, receiver string) bool {
	t.Helper()
	ends, err := in.adm.ListEndOffsets(t.Context(), in.names.In(topology.Alerts))
	if err != nil {
		t.Fatal(err)
	}
	at := in.positions(t, receiver)
	done := true
	ends.Each(func(o kadm.ListedOffset) { done = done && at[o.Partition] == o.Offset })
	return done
}

// dead reads all dead letters, by alert number.
func (in *installation) dead(t *testing.T) map[int64]map[string]string {
	t.Helper()
	ends, err := in.adm.ListCommittedOffsets(t.Context(), in.names.In(topology.DeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	cl, err := kgo.NewClient(kgo.SeedBrokers(in.kafka.Brokers...), kgo.ConsumeTopics(in.names.In(topology.DeadLetters)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	letters := map[int64]map[string]string{}
	for left > 0 {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			e, err := parse(r.Value)
			if err != nil || string(r.Key) != e.Data.Entity {
				t.Fatalf("%v: %s %s", err, r.Key, r.Value)
			}
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			letters[e.Data.Revision] = headers
		})
	}
	return letters
}

// inbox is a receiver that keeps what it has taken.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	taken  map[int64]int // by alert number: how often
	firsts []int64       // in the order in which they were first taken
}

func newInbox(t *testing.T, answer func(number int64) int) *inbox {
	t.Helper()
	in := &inbox{taken: map[int64]int{}}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, number, _ := strings.Cut(r.Header.Get("Webhook-Id"), "/")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Errorf("id %q", r.Header.Get("Webhook-Id"))
		}
		status := answer(n)
		if status < 300 {
			in.mu.Lock()
			if in.taken[n]++; in.taken[n] == 1 {
				in.firsts = append(in.firsts, n)
			}
			in.mu.Unlock()
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.taken)
}

// inOrder reports the first event that was taken before an earlier one of its entity.
func (in *inbox) inOrder(t *testing.T) {
	t.Helper()
	last := map[int64]int64{}
	for _, n := range in.firsts {
		if before, ok := last[n%50]; ok && n < before {
			t.Fatalf("alert %d of card:%d was first taken after alert %d", n, n%50, before)
		}
		last[n%50] = n
	}
}

// 2,000 alerts to a receiver that fails three times in ten and refuses some for ever, while the process is restarted twice: each is
// delivered or a dead letter, each entity's in order, and a second receiver that refuses nothing has all.
func TestNoAlertIsLostOverRestarts(t *testing.T) {
	const n = 2000
	in := newInstallation(t)
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	shaky := newInbox(t, func(number int64) int {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case number%97 == 0:
			return 422
		case random.IntN(10) < 3:
			return 503
		}
		return 204
	})
	steady := newInbox(t, func(int64) int { return 200 })
	receivers := []Receiver{{Name: "shaky", URL: shaky.URL, MaxAttempts: 100}, {Name: "steady", URL: steady.URL, Format: Slack}}
	stop := in.run(t, nil, receivers...)
	in.joined(t, "shaky")
	in.joined(t, "steady")
	in.tell(t, 0, 700, kgo.TryCommit)
	until(t, "300 alerts are delivered", func() bool { return shaky.len() > 300 })
	stop()
	in.tell(t, 700, 1400, kgo.TryCommit)
	in.tell(t, 5000, 5100, kgo.TryAbort)
	stop = in.run(t, nil, receivers...)
	until(t, "900 alerts are delivered", func() bool { return shaky.len() > 900 })
	stop()
	in.tell(t, 1400, n, kgo.TryCommit)
	stop = in.run(t, nil, receivers...)
	until(t, "everything is committed", func() bool { return in.isDone(t, "shaky") && in.isDone(t, "steady") })
	stop()

	letters := in.dead(t)
	for number := range int64(n) {
		refused := number%97 == 0
		headers, dead := letters[number]
		switch {
		case refused != dead || refused == (shaky.taken[number] > 0):
			t.Fatalf("alert %d: taken %d times, dead letter: %v", number, shaky.taken[number], dead)
		case steady.taken[number] == 0:
			t.Fatalf("alert %d is missing at the steady receiver", number)
		case dead && (headers[event.HeaderReason] != "webhook" || headers[event.HeaderReceiver] != "shaky" || headers[HeaderStatus] != "422" ||
			headers[HeaderAttempts] == "0" || headers[event.HeaderTopic] != "eu-alerts" || headers[event.HeaderOffset] == ""):
			t.Fatalf("the dead letter of %d has the headers %v", number, headers)
		}
	}
	if len(shaky.taken)+len(letters) != n || len(steady.taken) != n {
		t.Errorf("%d taken, %d dead, %d at the steady one", len(shaky.taken), len(letters), len(steady.taken))
	}
	shaky.inOrder(t)
	steady.inOrder(t)
}

// A process that dies has committed nothing of what it has sent last; the next one sends it again, with the same id.
func TestAfterACrashAnAlertComesAgainWithItsID(t *testing.T) {
	in := newInstallation(t)
	hang := make(chan struct{})
	arrived := make(chan int64, 10)
	box := newInbox(t, func(number int64) int {
		arrived <- number
		<-hang
		return 200
	})
	t.Cleanup(func() { // before the server is closed
		select {
		case <-hang:
		default:
			close(hang)
		}
	})
	r := Receiver{Name: "desk", URL: box.URL, Timeout: time.Minute}
	w, err := New(Config{Kafka: in.kafka, Names: in.names, Receivers: []Receiver{r}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	in.joined(t, "desk")
	in.tell(t, 1, 2, kgo.TryCommit)
	if first := <-arrived; first != 1 {
		t.Fatalf("alert %d came", first)
	}
	cancel() // the request never ends: it is broken off, as a crash would
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	close(hang)
	defer in.run(t, nil, r)()
	if again := <-arrived; again != 1 {
		t.Fatalf("alert %d came, want 1 again", again)
	}
	until(t, "it is committed", func() bool { return in.isDone(t, "desk") })
}

// Two processes share a receiver's partitions; when one leaves, the other takes over where it stopped.
func TestInstancesShareAReceiver(t *testing.T) {
	in := newInstallation(t)
	box := newInbox(t, func(int64) int { return 200 })
	reg := prometheus.NewRegistry()
	stopFirst := in.run(t, nil, Receiver{Name: "desk", URL: box.URL})
	in.joined(t, "desk")
	in.tell(t, 0, 300, kgo.TryCommit)
	stopSecond := in.run(t, reg, Receiver{Name: "desk", URL: box.URL})
	until(t, "both are members", func() bool {
		group, err := in.adm.DescribeGroups(t.Context(), in.names.In(GroupPrefix+"desk"))
		if err != nil {
			t.Fatal(err)
		}
		g := group[in.names.In(GroupPrefix+"desk")]
		holding := 0
		for _, m := range g.Members {
			if a, ok := m.Assigned.AsConsumer(); ok && len(a.Topics) > 0 {
				holding++
			}
		}
		return g.State == "Stable" && holding == 2
	})
	in.tell(t, 300, 600, kgo.TryCommit)
	until(t, "everything is committed", func() bool { return in.isDone(t, "desk") })
	stopFirst()
	in.tell(t, 600, 900, kgo.TryCommit)
	until(t, "everything is committed", func() bool { return in.isDone(t, "desk") })
	stopSecond()
	if len(box.taken) != 900 {
		t.Errorf("%d alerts were taken, want 900", len(box.taken))
	}
	box.inOrder(t)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	want := []string{"weir_webhook_deliveries_total", "weir_webhook_lag_events", "weir_webhook_retries_total", "weir_webhook_seconds"}
	if !slices.Equal(names, want) {
		t.Errorf("series %v, want %v", names, want)
	}
}

// A receiver that is new is told what comes, not what has been.
func TestANewReceiverIsNotToldOldAlerts(t *testing.T) {
	in := newInstallation(t)
	in.tell(t, 0, 100, kgo.TryCommit)
	until(t, "the clock has moved on", func() func() bool {
		wrote := time.Now().UnixMilli()
		return func() bool { return time.Now().UnixMilli() > wrote }
	}())
	box := newInbox(t, func(int64) int { return 200 })
	defer in.run(t, nil, Receiver{Name: "desk", URL: box.URL})()
	in.joined(t, "desk")
	in.tell(t, 100, 200, kgo.TryCommit)
	until(t, "everything is committed", func() bool { return in.isDone(t, "desk") })
	for number := range box.taken {
		if number < 100 {
			t.Fatalf("alert %d is from before", number)
		}
	}
	if len(box.taken) != 100 {
		t.Errorf("%d alerts were taken, want 100", len(box.taken))
	}
}
