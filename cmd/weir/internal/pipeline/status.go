package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/topology"
	"weir/topology/engine"
	"weir/views"
	"weir/views/api"
)

// statusSource asks the cluster about the groups and the views about exact counts.
type statusSource struct {
	adm   *kadm.Client
	names topology.Names
	views *views.Views
}

var _ api.StatusSource = (*statusSource)(nil)

// statusTimeout bounds how long a request for the status waits for the cluster.
const statusTimeout = 5 * time.Second

// Status implements api.StatusSource.
func (s *statusSource) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st := api.Status{Groups: []api.GroupStatus{}, Counters: map[string]int64{}}
	lags, err := s.adm.Lag(ctx, s.names.In(topology.GroupOrders), s.names.In(topology.GroupMetrics))
	if err != nil {
		return st, fmt.Errorf("asking Kafka for the groups' lag: %w", err)
	}
	for _, g := range []struct {
		name string
		view interface {
			Counters() map[string]int64
		}
	}{{topology.GroupOrders, s.views.Orders}, {topology.GroupMetrics, s.views.Metrics}} {
		st.Groups = append(st.Groups, groupStatus(g.name, lags[s.names.In(g.name)]))
		for name, n := range g.view.Counters() {
			st.Counters[name] += n
		}
	}
	st.Orphans = st.Counters[orders.CounterWaiting]
	st.Duplicates = st.Counters[orders.CounterDuplicates]
	st.Dead = st.Counters[orders.CounterDeadLetters]
	st.Late = st.Counters[metrics.CounterLate]
	st.Misplaced = st.Counters[engine.CounterMisplaced]
	for i, at := range []time.Time{s.views.Orders.Progress().Watermark.Time(), s.views.Metrics.Progress().Watermark.Time()} {
		if at.Unix() > 0 {
			st.Groups[i].Watermark = &at
		}
	}
	return st, nil
}

func groupStatus(name string, lag kadm.DescribedGroupLag) api.GroupStatus {
	g := api.GroupStatus{Name: name, State: lag.State, Partitions: []api.PartitionStatus{}}
	instances := map[string]bool{}
	for _, byPartition := range lag.Lag {
		for _, m := range byPartition {
			p := api.PartitionStatus{Topic: m.Topic, Partition: m.Partition, Committed: m.Commit.At, End: m.End.Offset, LagRecords: max(m.Lag, 0)}
			if m.Member != nil {
				p.Instance = m.Member.MemberID
				if m.Member.InstanceID != nil {
					p.Instance = *m.Member.InstanceID
				}
				instances[p.Instance] = true
			}
			g.LagRecords += p.LagRecords
			g.Partitions = append(g.Partitions, p)
		}
	}
	g.Instances = len(instances)
	slices.SortFunc(g.Partitions, func(a, b api.PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return g
}
