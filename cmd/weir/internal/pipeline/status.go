package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/topology"
	"weir/topology/engine"
	"weir/views"
	"weir/views/api"
	"weir/views/flow"
	"weir/views/query"
)

// statusSource asks the cluster about the groups and the views about exact counts. However many ask it, it asks Kafka once a second at
// most: what it found last is the answer for all who come within that second, also if it was an error.
type statusSource struct {
	adm       *kadm.Client
	names     topology.Names
	graph     topology.Graph
	views     *views.Views
	rows      rowReader           // of the orders table, for the watermarks of its sources
	registry  prometheus.Gatherer // of this process, for the websocket; nil: it is not told
	receivers []string            // of webhooks
	now       func() time.Time    // nil: time.Now

	turn chan struct{} // of who may ask Kafka: one at a time

	mu      sync.Mutex
	last    api.Status
	lastErr error
	lastAt  time.Time

	history flow.History // with the fields below only touched by whoever has the turn
	members map[string]map[string]bool
	changes []api.GroupChange
	begun   map[behindKey]int64 // how far behind a partition was when it was first seen so
}

var _ api.StatusSource = (*statusSource)(nil)

// rowReader reads one partition of a table's copy; nil without an error where there is no such row.
type rowReader interface {
	Row(table string, partition int32, key string) ([]byte, error)
}

// statusTimeout bounds how long a request for the status waits for the cluster; statusEvery how often the cluster is asked.
const (
	statusTimeout = 5 * time.Second
	statusEvery   = time.Second
)

// newStatusSource completes a source whose first fields are set.
func newStatusSource(s *statusSource) *statusSource {
	s.turn = make(chan struct{}, 1)
	if s.now == nil {
		s.now = time.Now
	}
	s.members, s.begun = map[string]map[string]bool{}, map[behindKey]int64{}
	return s
}

// Status implements api.StatusSource.
func (s *statusSource) Status(ctx context.Context) (api.Status, error) {
	if st, err, ok := s.recent(); ok {
		return st, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return api.Status{}, ctx.Err()
	}
	if st, err, ok := s.recent(); ok { // somebody asked while this request waited
		return st, err
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout) // others wait for the same answer
	defer cancel()
	st, err := s.ask(ask)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.lastErr, s.lastAt = st, err, s.now()
	return st, err
}

func (s *statusSource) recent() (api.Status, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.lastErr, !s.lastAt.IsZero() && s.now().Sub(s.lastAt) < statusEvery
}

func (s *statusSource) ask(ctx context.Context) (api.Status, error) {
	st := api.Status{Groups: []api.GroupStatus{}, Counters: map[string]int64{}, Edges: []api.EdgeStatus{}, Webhooks: []api.WebhookStatus{}}
	groups := groupViews(s.views)
	asked, err := s.sample(ctx, groups)
	if err != nil {
		return st, err
	}
	for _, g := range groups {
		name := s.names.In(g.name)
		group := s.groupStatus(g.name, asked.lags[name])
		group.Counters = g.view.Counters()
		if at := g.view.Progress().Watermark.Time(); at.Unix() > 0 {
			group.Watermark = &at
		}
		for name, n := range group.Counters {
			st.Counters[name] += n
		}
		st.Groups = append(st.Groups, group)
		s.noteMembers(g.name, asked)
	}
	st.Orphans = st.Counters[orders.CounterWaiting]
	st.Duplicates = st.Counters[orders.CounterDuplicates]
	st.Dead = st.Counters[orders.CounterDeadLetters]
	st.Late = st.Counters[metrics.CounterLate]
	st.Misplaced = st.Counters[engine.CounterMisplaced]
	st.Edges = s.edges(st.Groups)
	st.Sources = s.sources()
	withWatermarks(st.Groups[0].Partitions, st.Sources)
	st.Recoveries = s.recoveries(st.Groups, groups)
	st.Changes = append([]api.GroupChange{}, s.changes...)
	for _, r := range s.receivers {
		st.Webhooks = append(st.Webhooks, s.webhookStatus(r, asked.lags[s.webhookGroup(r)]))
	}
	st.Live = s.live(asked)
	st.Measured = api.Measured{At: &asked.at, Over: s.history.Over().Seconds()}
	return st, nil
}

// groupView is a group with the view of its table.
type groupView struct {
	name string
	view interface {
		Counters() map[string]int64
		Progress() query.Progress
		Partitions() ([]views.PartitionState, error)
		NoteEnds(ends []int64)
		NoteCaughtUp(at time.Time)
	}
	table string
}

// groupViews are the groups of this installation: the ones for fraud only where they have tables.
func groupViews(v *views.Views) []groupView {
	all := []groupView{{topology.GroupOrders, v.Orders, topology.TableOrders}, {topology.GroupMetrics, v.Metrics, topology.TableMetrics}}
	if !v.Entities.Missing() {
		all = append(all, groupView{topology.GroupEntities, v.Entities, topology.TableEntities})
	}
	if !v.Alerts.Missing() {
		all = append(all, groupView{topology.GroupAlerts, v.Alerts, topology.TableAlerts})
	}
	return all
}

// asked is one answer of the cluster.
type asked struct {
	at      time.Time
	lags    kadm.DescribedGroupLags
	metrics map[string]float64 // of this process
}

// sample asks the cluster: what the groups have committed, who is in them, and what every topic ends with. Three kinds of requests,
// however many partitions there are.
func (s *statusSource) sample(ctx context.Context, groups []groupView) (*asked, error) {
	var names []string
	for _, g := range groups {
		names = append(names, s.names.In(g.name))
	}
	for _, r := range s.receivers {
		names = append(names, s.webhookGroup(r))
	}
	askedAt := s.now()
	lags, err := s.adm.Lag(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("asking Kafka for the groups' lag: %w", err)
	}
	var topics []string
	for _, t := range s.graph.Topics {
		topics = append(topics, t.Name)
	}
	ends, err := s.adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking Kafka how far the topics reach: %w", err)
	}
	a := &asked{at: s.now(), lags: lags, metrics: gathered(s.registry)}
	sample := flow.Sample{At: a.at, AskedAt: askedAt, Offsets: map[flow.Key][]int64{}, Counts: a.metrics}
	ends.Each(func(o kadm.ListedOffset) {
		switch {
		case o.Err == nil:
			sample.Set(flow.Key{Topic: o.Topic}, o.Partition, o.Offset)
		case o.Partition >= 0:
			sample.Set(flow.Key{Topic: o.Topic}, o.Partition, -1)
		}
	})
	for group, lag := range lags {
		for topic, byPartition := range lag.Lag {
			for p, m := range byPartition {
				if m.End.Err == nil {
					sample.Set(flow.Key{Topic: topic}, p, m.End.Offset) // beside the commit, so that the two fit
				}
				if m.Err == nil {
					sample.Set(flow.Key{Group: group, Topic: topic}, p, m.Commit.At)
				}
			}
		}
	}
	for _, g := range groups {
		s.sampleCopy(&sample, s.names.In(g.table), g)
		for name, n := range g.view.Counters() {
			sample.Counts[g.name+" "+name] = float64(n)
		}
	}
	s.history.Add(sample)
	s.tellViews(&sample, groups)
	return a, nil
}

// sampleCopy notes how far this server has read a table.
func (s *statusSource) sampleCopy(sample *flow.Sample, table string, g groupView) {
	states, err := g.view.Partitions()
	if err != nil {
		return // readiness says why
	}
	for _, p := range states {
		sample.Set(flow.Key{Group: copyOf, Topic: table}, p.Partition, p.Next)
	}
}

// copyOf stands for a group where this server itself reads a table.
const copyOf = "\x00copy"
