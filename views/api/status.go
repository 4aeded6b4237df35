package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology"
	"weir/views/query"
)

// Status is how the whole installation does, as far as this view server can tell.
type Status struct {
	Groups     []GroupStatus    `json:"groups"`
	Tables     []TableStatus    `json:"tables"`
	Counters   map[string]int64 `json:"counters" doc:"every exact count that the groups keep with their rows, by name, summed over groups"`
	Orphans    int64            `json:"orphans" doc:"payments and shipments that wait for their order"`
	Late       int64            `json:"late" doc:"contributions that came after their window was final"`
	Duplicates int64            `json:"duplicates" doc:"redelivered events, recognised and not counted again"`
	Dead       int64            `json:"dead_letters" doc:"records that could not be understood; they are in the dead-letter topic with the reason"`
	Misplaced  int64            `json:"misplaced" doc:"records in another partition than murmur2 of their key: their producer partitions differently, so joins may miss them"`
	Rules      *RulesStatus     `json:"rules,omitempty" doc:"which fraud rules this server knows; absent: none are followed"`
	Version    string           `json:"version"`
	Time       time.Time        `json:"time"`
}

// GroupStatus is one consumer group.
type GroupStatus struct {
	Name       string            `json:"name"`
	State      string            `json:"state" doc:"as Kafka calls it: Stable, Empty, PreparingRebalance …"`
	Instances  int               `json:"instances"`
	LagRecords int64             `json:"lag_records"`
	Watermark  *time.Time        `json:"watermark"`
	Counters   map[string]int64  `json:"counters" doc:"the group's exact counts, by name"`
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one input partition of a group.
type PartitionStatus struct {
	Topic      string     `json:"topic"`
	Partition  int32      `json:"partition"`
	Instance   string     `json:"instance" doc:"empty: nobody reads it"`
	Committed  int64      `json:"committed_offset"`
	End        int64      `json:"end_offset"`
	LagRecords int64      `json:"lag_records"`
	Watermark  *time.Time `json:"watermark"`
}

// TableStatus is one table's copy in this view server.
type TableStatus struct {
	Name string `json:"name"`
	query.Meta
	Missing bool `json:"missing,omitempty" doc:"the table does not exist: its group has not run here. The server is ready without it"`
}

type statusOutput struct{ Body Status }

func (s *server) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	st := Status{Groups: []GroupStatus{}, Counters: map[string]int64{}}
	if s.Status != nil {
		var err error
		if st, err = s.Status.Status(ctx); err != nil {
			s.Logger.Warn("status of the groups", "error", err)
			return nil, huma.Error503ServiceUnavailable("the groups cannot be asked now: " + err.Error())
		}
	}
	st.Tables = []TableStatus{
		{topology.TableMetrics, s.Metrics.Progress().Meta(), false},
		{topology.TableOrders, s.Orders.Progress().Meta(), false},
	}
	if s.Entities != nil && s.Alerts != nil {
		st.Tables = append(st.Tables, TableStatus{topology.TableEntities, s.Entities.Progress().Meta(), s.Entities.Missing()},
			TableStatus{topology.TableAlerts, s.Alerts.Progress().Meta(), s.Alerts.Missing()})
	}
	if s.RuleBook != nil {
		rules := s.RuleBook.Status()
		st.Rules = &rules
	}
	st.Version, st.Time = s.Version, s.Now().UTC()
	return &statusOutput{st}, nil
}

type topologyOutput struct{ Body topology.Graph }

func (s *server) topology(context.Context, *struct{}) (*topologyOutput, error) {
	return &topologyOutput{s.Topology}, nil
}
