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
	Edges      []EdgeStatus     `json:"edges" doc:"the ways of /v1/topology with how much goes over them"`
	Sources    []SourceStatus   `json:"sources" doc:"the event time that each partition of the source topics has come to"`
	Recoveries []Recovery       `json:"recoveries" doc:"partitions of tables and groups that are behind, the longest first; none: all is current"`
	Changes    []GroupChange    `json:"changes" doc:"instances that came and went while this server was asked, newest first"`
	Live       *LiveStatus      `json:"live,omitempty" doc:"the websocket of this view server"`
	Webhooks   []WebhookStatus  `json:"webhooks" doc:"who is told of alerts"`
	Measured   Measured         `json:"measured"`
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
	LagSeconds *float64          `json:"lag_seconds" doc:"how long its oldest record has waited, as far as it can be told from a minute of offsets; null: it cannot"`
	Rate       *float64          `json:"records_per_second" doc:"offsets that it passes; null until measured"`
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
	LagSeconds *float64   `json:"lag_seconds"`
	Rate       *float64   `json:"records_per_second"`
	State      string     `json:"state" enum:"running,catching_up,stalled,rebalancing,unowned" doc:"catching_up: records wait for 5 s and more; stalled: none was passed for 5 s although there are some: its instance restores the table, or is stuck; rebalancing: the group shares out its partitions; unowned: nobody reads it"`
	Watermark  *time.Time `json:"watermark"`
}

// The states of a partition.
const (
	PartitionRunning     = "running"
	PartitionCatchingUp  = "catching_up"
	PartitionStalled     = "stalled"
	PartitionRebalancing = "rebalancing"
	PartitionUnowned     = "unowned"
)

// EdgeStatus is how much goes over one way of the topology.
type EdgeStatus struct {
	topology.Edge
	Rate       *float64 `json:"records_per_second" doc:"over the last 10 s: what a group has read, or what its topic has grown by. Of observations and findings exactly; elsewhere offsets are counted, and with them markers of transactions. null until measured"`
	LagRecords int64    `json:"lag_records" doc:"of what is read or followed: records that wait"`
	LagSeconds *float64 `json:"lag_seconds" doc:"how long the oldest of them has waited; null: it cannot be told"`
	Lagging    bool     `json:"lagging" doc:"records have waited for 5 s and more, or are not read at all"`
}

// SourceStatus is the watermark of one partition of a source topic.
type SourceStatus struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Watermark time.Time `json:"watermark"`
	Behind    float64   `json:"behind_seconds" doc:"behind the newest partition of all"`
	Idle      bool      `json:"idle" doc:"it is quiet, and holds nothing back"`
	Holds     bool      `json:"holds" doc:"it is the one that holds the watermark back"`
}

// Recovery is one partition that is behind: of a table's copy in this view server, or of a group.
type Recovery struct {
	Kind       string   `json:"kind" enum:"table,group" doc:"table: this server reads its copy; group: an instance restores its table or works off a backlog"`
	Name       string   `json:"name" doc:"of the table or the group"`
	Partition  int32    `json:"partition"`
	Instance   string   `json:"instance,omitempty" doc:"of a group"`
	State      string   `json:"state" enum:"recovering,catching_up,stalled,rebalancing"`
	Progress   *float64 `json:"progress" doc:"0 to 1, since this server first saw it behind"`
	LagRecords int64    `json:"lag_records"`
	Rate       *float64 `json:"records_per_second"`
	Left       *float64 `json:"seconds_left" doc:"at the rates of now; null: it cannot be told, or it does not come nearer"`
}

// GroupChange is that instances joined or left a group.
type GroupChange struct {
	At     time.Time `json:"at"`
	Group  string    `json:"group"`
	Joined []string  `json:"joined"`
	Left   []string  `json:"left"`
}

// LiveStatus is the websocket hub of this view server.
type LiveStatus struct {
	Connections   int64            `json:"connections"`
	Subscriptions int64            `json:"subscriptions"`
	Shared        int64            `json:"shared" doc:"distinct subscriptions: each is computed once for all that share it"`
	BytesRate     *float64         `json:"bytes_per_second" doc:"before compression"`
	FramesRate    *float64         `json:"frames_per_second"`
	MergedShare   *float64         `json:"merged_share" doc:"of the frames now, those that stand for several which a slow client missed"`
	Merged        int64            `json:"merged" doc:"such frames, since the start"`
	Gaps          int64            `json:"gaps" doc:"snapshots sent because a client missed more than can be merged, since the start"`
	Refused       int64            `json:"refused" doc:"connections refused before the upgrade, since the start"`
	Closed        map[string]int64 `json:"closed" doc:"connections that the server closed, by close code, since the start"`
}

// WebhookStatus is one receiver of alerts.
type WebhookStatus struct {
	Receiver   string   `json:"receiver"`
	Instances  int      `json:"instances"`
	LagRecords int64    `json:"lag_records" doc:"alerts that it has not been told"`
	LagSeconds *float64 `json:"lag_seconds"`
}

// Measured says what rates and waits rest on. Offsets are asked for at most once a second, however many ask, and only while somebody does.
type Measured struct {
	At   *time.Time `json:"at" doc:"when the offsets were asked for"`
	Over float64    `json:"over_seconds" doc:"how far back the samples reach"`
}

// TableStatus is one table's copy in this view server.
type TableStatus struct {
	Name string `json:"name"`
	query.Meta
	Missing bool `json:"missing,omitempty" doc:"the table does not exist: its group has not run here. The server is ready without it"`
}

type statusOutput struct{ Body Status }

func (s *server) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	st := Status{Groups: []GroupStatus{}, Counters: map[string]int64{}, Edges: []EdgeStatus{}, Sources: []SourceStatus{}, Recoveries: []Recovery{},
		Changes: []GroupChange{}, Webhooks: []WebhookStatus{}}
	if s.Status != nil {
		var err error
		if st, err = s.Status.Status(ctx); err != nil {
			s.Logger.Warn("status of the groups", "error", err)
			return nil, huma.Error503ServiceUnavailable("the groups cannot be asked now: " + err.Error())
		}
	}
	st.Tables = s.tables()
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

// tables is how far each copy has come.
func (s *server) tables() []TableStatus {
	out := []TableStatus{
		{topology.TableMetrics, s.Metrics.Progress().Meta(), false},
		{topology.TableOrders, s.Orders.Progress().Meta(), false},
	}
	if s.Entities != nil && s.Alerts != nil {
		out = append(out, TableStatus{topology.TableEntities, s.Entities.Progress().Meta(), s.Entities.Missing()},
			TableStatus{topology.TableAlerts, s.Alerts.Progress().Meta(), s.Alerts.Missing()})
	}
	return out
}
