package pipeline

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/broker"
	"weir/topology/engine"
	"weir/topology/table"
	"weir/views"
	"weir/views/api"
	"weir/views/flow"
	"weir/views/query"
)

// marksOf are the marks rows of the orders table.
type marksOf map[int32]*table.Marks

func (m marksOf) Row(_ string, partition int32, key string) ([]byte, error) {
	if marks := m[partition]; marks != nil && key == engine.MarksKey {
		return marks.MarshalVT()
	}
	return nil, nil
}

// offsetRequests counts how often the broker is asked for offsets.
type offsetRequests struct{ n atomic.Int64 }

func (o *offsetRequests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == 2 {
		o.n.Add(1)
	}
}

func openStatus(t *testing.T) (*statusSource, *kgo.Client, *offsetRequests) {
	t.Helper()
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	asked := &offsetRequests{}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.WithHooks(asked))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	adm, graph := kadm.NewClient(cl), topology.Describe(topology.Names{})
	for _, topic := range graph.Topics {
		if _, err := adm.CreateTopic(t.Context(), 2, 1, nil, topic.Name); err != nil {
			t.Fatal(err)
		}
	}
	s := newStatusSource(&statusSource{adm: adm, graph: graph, views: views.Open(views.Deps{}), rows: marksOf{}, receivers: []string{"desk"}})
	return s, cl, asked
}

func TestManyDashboardsAskKafkaOnceASecond(t *testing.T) {
	s, _, asked := openStatus(t)
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := asked.n.Load()
	s.lastAt = time.Time{} // a second later
	asked.n.Store(0)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if st, err := s.Status(t.Context()); err != nil || len(st.Groups) != 4 {
				t.Errorf("%v %+v", err, st.Groups)
			}
		})
	}
	all.Wait()
	if n := asked.n.Load(); one == 0 || n > one {
		t.Errorf("%d requests for a hundred dashboards, %d for one", n, one)
	}
}

func TestStatusSaysHowMuchGoesOverEachEdge(t *testing.T) {
	s, cl, _ := openStatus(t)
	write := func(n int) {
		t.Helper()
		for range n {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topology.Orders, Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(at int64) {
		t.Helper()
		var o kadm.Offsets
		o.Add(kadm.Offset{Topic: topology.Orders, Partition: 1, At: at, LeaderEpoch: -1})
		if err := s.adm.CommitAllOffsets(t.Context(), topology.GroupOrders, o); err != nil {
			t.Fatal(err)
		}
	}
	write(10)
	commit(5)
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(20)
	commit(15)
	later := time.Now().Add(2 * time.Second)
	s.now = func() time.Time { return later }
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(st.Edges, func(e api.EdgeStatus) bool { return e.From == topology.Orders && e.To == topology.GroupOrders })
	e := st.Edges[i]
	if e.Rate == nil || *e.Rate <= 0 || *e.Rate > 5 || e.LagRecords != 15 || e.LagSeconds == nil || *e.LagSeconds <= 0 || !e.Lagging {
		t.Errorf("%+v: want some of 10 records a second, 15 behind, read by nobody", e)
	}
	if len(st.Edges) != len(s.graph.Edges) || st.Measured.At == nil || st.Measured.Over <= 0 || len(st.Webhooks) != 1 || st.Live != nil {
		t.Errorf("%+v", st)
	}
	g := st.Groups[0]
	if g.Name != topology.GroupOrders || g.LagRecords != 15 || g.Partitions[0].State != api.PartitionUnowned {
		t.Errorf("%+v", g)
	}
	if len(st.Recoveries) != 1 || st.Recoveries[0].LagRecords != 15 || st.Recoveries[0].State != api.PartitionUnowned {
		t.Errorf("%+v", st.Recoveries)
	}
}

// lagOf is what Kafka says of one partition of a group.
func lagOf(instance string, committed, end int64) kadm.GroupMemberLag {
	m := kadm.GroupMemberLag{Topic: "orders", Partition: 0, Commit: kadm.Offset{At: committed}, End: kadm.ListedOffset{Offset: end}, Lag: end - committed}
	if instance != "" {
		m.Member = &kadm.DescribedGroupMember{InstanceID: &instance}
	}
	return m
}

func TestWhatAPartitionDoes(t *testing.T) {
	const group = "weir-orders"
	at := time.Now()
	source := func(ends, committed func(second int) int64) *statusSource {
		s := newStatusSource(&statusSource{})
		for i := range 8 {
			s.history.Add(flow.Sample{At: at.Add(time.Duration(i) * time.Second), Offsets: map[flow.Key][]int64{{Topic: "orders"}: {ends(i)}, {Group: group, Topic: "orders"}: {committed(i)}}})
		}
		return s
	}
	grows := func(by, behind int64) func(int) int64 {
		return func(i int) int64 { return 1000 + int64(i)*by - behind }
	}
	for want, c := range map[string]struct {
		s     *statusSource
		state string
		m     kadm.GroupMemberLag
	}{
		api.PartitionRunning:     {source(grows(100, 0), grows(100, 10)), stable, lagOf("a", 1690, 1700)},
		api.PartitionCatchingUp:  {source(grows(100, 0), grows(110, 900)), stable, lagOf("a", 870, 1700)},
		api.PartitionStalled:     {source(grows(100, 0), grows(0, 10)), stable, lagOf("a", 990, 1700)},
		api.PartitionRebalancing: {source(grows(100, 0), grows(100, 0)), "PreparingRebalance", lagOf("a", 1700, 1700)},
		api.PartitionUnowned:     {source(grows(0, 0), grows(0, 0)), "Empty", lagOf("", 1000, 1000)},
	} {
		if p := c.s.partitionStatus(group, c.state, c.m); p.State != want {
			t.Errorf("%s: %+v", want, p)
		}
	}
}

func TestARecoveryTellsItsProgressAndEnd(t *testing.T) {
	s := newStatusSource(&statusSource{})
	at := time.Now()
	behind := func(second int, lag int64) []api.Recovery {
		s.history.Add(flow.Sample{At: at.Add(time.Duration(second) * time.Second), Offsets: map[flow.Key][]int64{{Topic: "orders"}: {1000}, {Group: "weir-orders", Topic: "orders"}: {1000 - lag}}})
		return s.recoveries([]api.GroupStatus{{Name: "weir-orders", Partitions: []api.PartitionStatus{{Topic: "orders", Instance: "a", LagRecords: lag, State: api.PartitionCatchingUp}}}}, nil)
	}
	if r := behind(0, 800); r[0].Left != nil || *r[0].Progress != 0 {
		t.Errorf("%+v", r)
	}
	if r := behind(4, 400); *r[0].Progress != 0.5 || *r[0].Rate != 100 || *r[0].Left != 4 {
		t.Errorf("half: %v %v %v", *r[0].Progress, *r[0].Rate, *r[0].Left)
	}
	if r := s.recoveries(nil, nil); len(r) != 0 || len(s.begun) != 0 {
		t.Errorf("%+v %v: what has ended is forgotten", r, s.begun)
	}
}

func TestWhoCameAndWentIsRemembered(t *testing.T) {
	s := newStatusSource(&statusSource{})
	with := func(names ...string) {
		var members []kadm.DescribedGroupMember
		for _, n := range names {
			members = append(members, kadm.DescribedGroupMember{InstanceID: &n})
		}
		s.noteMembers("weir-orders", &asked{at: time.Now(), lags: kadm.DescribedGroupLags{"weir-orders": {Members: members}}})
	}
	with("a")
	with("a")
	if len(s.changes) != 0 {
		t.Errorf("%+v: who is there at first has not come", s.changes)
	}
	with("b", "c")
	if c := s.changes[0]; len(s.changes) != 1 || fmt.Sprint(c.Joined, c.Left) != "[b c] [a]" {
		t.Errorf("%+v", s.changes)
	}
	for i := range 2 * maxChanges {
		with(fmt.Sprint(i))
	}
	if len(s.changes) != maxChanges {
		t.Errorf("%d changes are remembered", len(s.changes))
	}
}

func TestTheOneThatHoldsTheWatermarkIsNamed(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	all := []api.SourceStatus{{Topic: "a", Watermark: noon}, {Topic: "b", Watermark: noon.Add(-time.Hour), Idle: true}, {Topic: "c", Watermark: noon.Add(-time.Minute)}}
	compareSources(all)
	if all[0].Holds || all[1].Holds || !all[2].Holds || all[2].Behind != 60 || all[1].Behind != 3600 {
		t.Errorf("%+v: who is idle holds nothing", all)
	}
	compareSources(nil)
}

// copyAt is a table's copy that has read so far.
type copyAt struct {
	next       []int64
	ends       []int64
	caughtUpAt time.Time
}

func (c *copyAt) Counters() map[string]int64   { return map[string]int64{} }
func (c *copyAt) Progress() query.Progress     { return query.Progress{} }
func (c *copyAt) NoteEnds(ends []int64)        { c.ends = ends }
func (c *copyAt) NoteCaughtUp(at time.Time)    { c.caughtUpAt = at }
func (c *copyAt) reads(partition int, n int64) { c.next[partition] += n }
func (c *copyAt) Partitions() (out []views.PartitionState, err error) {
	for p, next := range c.next {
		out = append(out, views.PartitionState{Partition: int32(p), Recovered: true, Next: next})
	}
	return out, nil
}

// A quiet shop is told from one that is not counted: the time until which everything is counted goes on, or stands, whichever stage the
// record waits for.
func TestViewsAreToldUntilWhenAllIsCounted(t *testing.T) {
	s, cl, _ := openStatus(t)
	metrics := &copyAt{next: []int64{0, 0}}
	groups := []groupView{{topology.GroupOrders, &copyAt{}, topology.TableOrders}, {topology.GroupMetrics, metrics, topology.TableMetrics}}
	write := func(topic string) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(group, topic string, at int64) {
		t.Helper()
		var o kadm.Offsets
		o.Add(kadm.Offset{Topic: topic, Partition: 1, At: at, LeaderEpoch: -1})
		if err := s.adm.CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	clock := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { clock = clock.Add(time.Millisecond); return clock }
	look := func(what string, goesOn bool) {
		t.Helper()
		clock = clock.Add(time.Minute + time.Second) // what was seen before is forgotten
		asked := clock
		if _, err := s.sample(t.Context(), groups); err != nil {
			t.Fatal(err)
		}
		if got := metrics.caughtUpAt.After(asked); got != goesOn || metrics.caughtUpAt.After(asked.Add(time.Millisecond)) {
			t.Errorf("%s: caught up at %v, asked at %v", what, metrics.caughtUpAt, asked)
		}
	}
	look("nothing was ever sent", true)
	write(topology.Payments)
	look("an event waits", false)
	write(topology.Deltas)
	commit(topology.GroupOrders, topology.Payments, 1)
	look("a delta waits", false)
	write(topology.TableMetrics)
	commit(topology.GroupMetrics, topology.Deltas, 1)
	look("a row is not read yet", false)
	if !slices.Equal(metrics.ends, []int64{0, 1}) {
		t.Errorf("the table ends at %v", metrics.ends)
	}
	metrics.reads(1, 1)
	look("the row is read", true)
	look("nothing happens", true)
	write(topology.Orders)
	look("the next event waits", false)
}
