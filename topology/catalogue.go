// Package topology is the catalogue of everything that has a name in Kafka: topics, groups, tables and their partition
// counts. It is the map of an event's journey (see DESIGN.md beside this file); the packages below it are the vocabulary
// that processors, views and the dashboard share.
package topology

// Topic names. The three source streams can be renamed in the configuration; the others belong to weir.
const (
	Orders    = "orders"
	Payments  = "payments"
	Shipments = "shipments"

	Deltas       = "weir-deltas"         // orders → metrics: table.Cell, key = metric row
	Observations = "weir-observations"   // orders → entities: bundles of table.Observation (table.BundleKey), a few records a transaction
	Findings     = "weir-findings"       // orders and entities → alerts: table.Finding, key = the alert's entity, kind:id
	Commands     = "weir-alert-commands" // views → alerts: table.Decision, key as of findings
	Alerts       = "alerts"              // alerts → whoever wants them: CloudEvents in JSON, key as of findings
	Rules        = "weir-rules"          // the rule book, compacted
	DeadLetters  = "weir-dead-letters"   // input that could not be understood, as it came
)

// Group names: goka names the table after the group.
const (
	GroupOrders   = "weir-orders"
	GroupMetrics  = "weir-metrics"
	GroupEntities = "weir-entities"
	GroupAlerts   = "weir-alerts"

	TableOrders   = GroupOrders + tableSuffix
	TableMetrics  = GroupMetrics + tableSuffix
	TableEntities = GroupEntities + tableSuffix
	TableAlerts   = GroupAlerts + tableSuffix
)

const tableSuffix = "-table"

// DefaultPartitions is the partition count of every topic that weir creates.
const DefaultPartitions = 8

// Names are the names that one installation uses: several share a cluster by different prefixes. The source streams
// keep the names that the configuration gives them.
type Names struct{ Prefix string }

// In returns name as this installation spells it.
func (n Names) In(name string) string { return n.Prefix + name }

// Kind is how a topic keeps its records.
type Kind int

// The kinds.
const (
	Stream Kind = iota // deleted after a time
	Table              // compacted: the last record of each key stays
)

// Topic is one topic that weir makes for itself.
type Topic struct {
	Name string
	Kind Kind
}

// Own lists the topics that weir makes for itself.
func (n Names) Own() []Topic {
	return []Topic{
		{n.In(Deltas), Stream}, {n.In(Observations), Stream}, {n.In(Findings), Stream}, {n.In(Commands), Stream},
		{n.In(Alerts), Stream}, {n.In(DeadLetters), Stream}, {n.In(Rules), Table},
		{n.In(TableOrders), Table}, {n.In(TableMetrics), Table}, {n.In(TableEntities), Table}, {n.In(TableAlerts), Table},
	}
}
