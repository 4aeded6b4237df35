package pipeline

import (
	"context"
	"slices"
	"time"

	"weir/topology"
	"weir/views/flow"
)

// caughtUpEvery is how often Kafka is asked while nobody asks for the status: so old is what views know of the ends of topics.
const caughtUpEvery = 2 * time.Second

// follow keeps the views told of where the streams end until ctx ends: a quiet shop and one that is not counted look the same in its tables.
func (s *statusSource) follow(ctx context.Context) error {
	tick := time.NewTicker(caughtUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, _ = s.Status(ctx) // without an answer the time that all was counted stands, which is what is told
		}
	}
}

// tellViews tells each table's copy where its topic ends, and until when everything sent is in it.
func (s *statusSource) tellViews(sample *flow.Sample, groups []groupView) {
	for _, g := range groups {
		table := s.names.In(g.table)
		g.view.NoteEnds(slices.Clone(sample.Offsets[flow.Key{Topic: table}]))
		way := append(s.way(g.name), flow.Stage{Reader: copyOf, Topics: []string{table}})
		if at, ok := s.history.CaughtUp(way); ok && sample.Offsets[flow.Key{Group: copyOf, Topic: table}] != nil {
			g.view.NoteCaughtUp(at)
		}
	}
}

// way is who an event goes through until a group has written it to its table.
func (s *statusSource) way(group string) []flow.Stage {
	stage := func(group string, topics ...string) flow.Stage {
		st := flow.Stage{Reader: s.names.In(group)}
		for _, t := range topics {
			st.Topics = append(st.Topics, s.names.In(t))
		}
		return st
	}
	way := []flow.Stage{{Reader: s.names.In(topology.GroupOrders), Topics: s.sourceTopics()}}
	switch group {
	case topology.GroupMetrics:
		return append(way, stage(group, topology.Deltas))
	case topology.GroupEntities:
		return append(way, stage(group, topology.Observations))
	case topology.GroupAlerts: // findings are of group orders, too: what it wrote before is behind the same ends
		return append(way, stage(topology.GroupEntities, topology.Observations), stage(group, topology.Findings, topology.Commands))
	}
	return way
}

func (s *statusSource) sourceTopics() (topics []string) {
	for _, t := range s.graph.Topics {
		if t.Role == topology.Source {
			topics = append(topics, t.Name)
		}
	}
	return topics
}
