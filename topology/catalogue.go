// Package topology is the catalogue of everything that has a name in Kafka: topics, groups, tables and their partition
// counts. It is the map of an event's journey (see DESIGN.md beside this file); the packages below it are the vocabulary
// that processors, views and the dashboard share.
package topology

// Topic names. The three source streams can be renamed in the configuration; the others belong to weir.
const (
	Orders    = "orders"
	Payments  = "payments"
	Shipments = "shipments"

	Deltas       = "weir-deltas"       // orders → metrics: table.Cell, key = metric row
	Observations = "weir-observations" // orders → entities
	Signals      = "weir-signals"      // entities → orders
	Findings     = "weir-findings"     // orders → alerts: table.Finding, key rule|entity
	DeadLetters  = "weir-dead-letters" // input that could not be understood, as it came
)

// Group names: goka names the table after the group.
const (
	GroupOrders  = "weir-orders"
	GroupMetrics = "weir-metrics"

	TableOrders  = GroupOrders + "-table"
	TableMetrics = GroupMetrics + "-table"
)

// DefaultPartitions is the partition count of every topic that weir creates.
const DefaultPartitions = 8
