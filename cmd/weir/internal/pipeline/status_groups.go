package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/topology"
	"weir/views/api"
	"weir/views/flow"
	"weir/views/webhook"
)

func (s *statusSource) groupStatus(name string, lag kadm.DescribedGroupLag) api.GroupStatus {
	g := api.GroupStatus{Name: name, State: lag.State, Partitions: []api.PartitionStatus{}}
	instances := map[string]bool{}
	for _, byPartition := range lag.Lag {
		for _, m := range byPartition {
			p := s.partitionStatus(s.names.In(name), lag.State, m)
			if p.Instance != "" {
				instances[p.Instance] = true
			}
			g.LagRecords += p.LagRecords
			g.LagSeconds = greater(g.LagSeconds, p.LagSeconds)
			g.Rate = plus(g.Rate, p.Rate)
			g.Partitions = append(g.Partitions, p)
		}
	}
	g.Instances = len(instances)
	slices.SortFunc(g.Partitions, func(a, b api.PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return g
}

func (s *statusSource) partitionStatus(group, state string, m kadm.GroupMemberLag) api.PartitionStatus {
	p := api.PartitionStatus{Topic: m.Topic, Partition: m.Partition, Instance: instanceOf(m.Member), Committed: m.Commit.At, End: m.End.Offset, LagRecords: max(m.Lag, 0)}
	if wait, ok := s.history.Wait(group, m.Topic, int(m.Partition)); ok {
		p.LagSeconds = seconds(wait)
	}
	if rate, ok := s.history.PartitionRate(flow.Key{Group: group, Topic: m.Topic}, int(m.Partition)); ok {
		p.Rate = &rate
	}
	switch {
	case p.Instance == "":
		p.State = api.PartitionUnowned
	case state != stable:
		p.State = api.PartitionRebalancing
	case s.history.Stands(group, m.Topic, int(m.Partition)):
		p.State = api.PartitionStalled
	case p.LagSeconds != nil && *p.LagSeconds >= flow.Lagging.Seconds():
		p.State = api.PartitionCatchingUp
	default:
		p.State = api.PartitionRunning
	}
	return p
}

// stable is how Kafka calls a group that shares out nothing.
const stable = "Stable"

func instanceOf(m *kadm.DescribedGroupMember) string {
	switch {
	case m == nil:
		return ""
	case m.InstanceID != nil:
		return *m.InstanceID
	}
	return m.MemberID
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// plus adds up what is known; nil is not.
func plus(sum, v *float64) *float64 {
	if sum == nil || v == nil {
		return cmp.Or(sum, v)
	}
	total := *sum + *v
	return &total
}

// greater is the greater of what is known; nil is not.
func greater(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// maxChanges is how many changes of groups are remembered.
const maxChanges = 20

// noteMembers sees who came and went since the last sample.
func (s *statusSource) noteMembers(group string, a *asked) {
	now := map[string]bool{}
	for _, m := range a.lags[s.names.In(group)].Members {
		now[instanceOf(&m)] = true
	}
	before, known := s.members[group]
	s.members[group] = now
	if !known || maps.Equal(before, now) {
		return
	}
	c := api.GroupChange{At: a.at.UTC(), Group: group, Joined: missingFrom(before, now), Left: missingFrom(now, before)}
	s.changes = slices.Insert(s.changes, 0, c)
	s.changes = s.changes[:min(len(s.changes), maxChanges)]
}

// missingFrom are the names of b that a has not.
func missingFrom(a, b map[string]bool) []string {
	out := []string{}
	for name := range b {
		if !a[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// edges are the ways of the topology with what goes over them.
func (s *statusSource) edges(groups []api.GroupStatus) []api.EdgeStatus {
	out := []api.EdgeStatus{}
	for _, e := range s.graph.Edges {
		edge := api.EdgeStatus{Edge: e}
		key := flow.Key{Topic: e.To} // what is written is what its topic grows by, whoever else writes to it
		switch e.Kind {
		case topology.Reads:
			key = flow.Key{Group: e.To, Topic: e.From}
			s.readEdge(&edge, groups)
		case topology.Follows:
			key = flow.Key{Group: copyOf, Topic: e.From}
		}
		rate, ok := s.counted(e)
		if !ok {
			rate, ok = s.history.Rate(key)
		}
		if ok {
			edge.Rate = &rate
		}
		out = append(out, edge)
	}
	return out
}

// counted is the rate of records where groups keep exact counts of them. Offsets would count watermarks and markers of transactions as
// well, of which a quiet topic between groups has many more than records.
func (s *statusSource) counted(e topology.Edge) (float64, bool) {
	switch (topology.Edge{From: e.From, To: e.To, Kind: e.Kind}) {
	case topology.Edge{From: s.names.In(topology.Observations), To: s.names.In(topology.GroupEntities), Kind: topology.Reads},
		topology.Edge{From: s.names.In(topology.GroupOrders), To: s.names.In(topology.Observations), Kind: topology.Writes}:
		return s.countRate(topology.GroupEntities, entities.CounterObservations)
	case topology.Edge{From: s.names.In(topology.Findings), To: s.names.In(topology.GroupAlerts), Kind: topology.Reads}:
		return s.countRate(topology.GroupAlerts, alerts.CounterFindings)
	case topology.Edge{From: s.names.In(topology.GroupEntities), To: s.names.In(topology.Findings), Kind: topology.Writes}:
		return s.countRate(topology.GroupEntities, entities.CounterFindings, entities.CounterWithdrawn)
	case topology.Edge{From: s.names.In(topology.GroupOrders), To: s.names.In(topology.Findings), Kind: topology.Writes}:
		all, ok := s.countRate(topology.GroupAlerts, alerts.CounterFindings)
		others, ok2 := s.countRate(topology.GroupEntities, entities.CounterFindings, entities.CounterWithdrawn)
		return max(all-others, 0), ok && ok2
	}
	return 0, false
}

// countRate is how fast exact counts of a group grow together. One that is not there yet is nothing, if the group has others.
func (s *statusSource) countRate(group string, names ...string) (sum float64, known bool) {
	for _, name := range names {
		rate, ok := s.history.CountRate(group + " " + name)
		sum, known = sum+rate, known || ok
	}
	return sum, known
}

// readEdge says how far a group is behind in a topic.
func (s *statusSource) readEdge(edge *api.EdgeStatus, groups []api.GroupStatus) {
	i := slices.IndexFunc(groups, func(g api.GroupStatus) bool { return s.names.In(g.Name) == edge.To })
	if i < 0 {
		return
	}
	for _, p := range groups[i].Partitions {
		if p.Topic != edge.From {
			continue
		}
		edge.LagRecords += p.LagRecords
		edge.LagSeconds = greater(edge.LagSeconds, p.LagSeconds)
		switch p.State {
		case api.PartitionCatchingUp, api.PartitionStalled:
			edge.Lagging = true
		case api.PartitionUnowned:
			edge.Lagging = edge.Lagging || p.LagRecords > 0
		}
	}
}

func (s *statusSource) webhookGroup(receiver string) string {
	return s.names.In(webhook.GroupPrefix + receiver)
}

func (s *statusSource) webhookStatus(receiver string, lag kadm.DescribedGroupLag) api.WebhookStatus {
	w := api.WebhookStatus{Receiver: receiver, Instances: len(lag.Members)}
	for _, byPartition := range lag.Lag {
		for _, m := range byPartition {
			w.LagRecords += max(m.Lag, 0)
			if wait, ok := s.history.Wait(s.webhookGroup(receiver), m.Topic, int(m.Partition)); ok {
				w.LagSeconds = greater(w.LagSeconds, seconds(wait))
			}
		}
	}
	return w
}
