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
	"weir/views/query"
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
	groups := s.groups()
	var names []string
	for _, g := range groups {
		names = append(names, s.names.In(g.name))
	}
	lags, err := s.adm.Lag(ctx, names...)
	if err != nil {
		return st, fmt.Errorf("asking Kafka for the groups' lag: %w", err)
	}
	for _, g := range groups {
		group := groupStatus(g.name, lags[s.names.In(g.name)])
		group.Counters = g.view.Counters()
		if at := g.view.Progress().Watermark.Time(); at.Unix() > 0 {
			group.Watermark = &at
		}
		for name, n := range group.Counters {
			st.Counters[name] += n
		}
		st.Groups = append(st.Groups, group)
	}
	st.Orphans = st.Counters[orders.CounterWaiting]
	st.Duplicates = st.Counters[orders.CounterDuplicates]
	st.Dead = st.Counters[orders.CounterDeadLetters]
	st.Late = st.Counters[metrics.CounterLate]
	st.Misplaced = st.Counters[engine.CounterMisplaced]
	return st, nil
}

// groupView is a group with the view of its table.
type groupView struct {
	name string
	view interface {
		Counters() map[string]int64
		Progress() query.Progress
	}
}

// groups are those of this installation: the ones for fraud only where they have tables.
func (s *statusSource) groups() []groupView {
	all := []groupView{{topology.GroupOrders, s.views.Orders}, {topology.GroupMetrics, s.views.Metrics}}
	if !s.views.Entities.Missing() {
		all = append(all, groupView{topology.GroupEntities, s.views.Entities})
	}
	if !s.views.Alerts.Missing() {
		all = append(all, groupView{topology.GroupAlerts, s.views.Alerts})
	}
	return all
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
