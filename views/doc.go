// Package views holds the view server's copies of weir's tables: goka views over weir-orders-table, weir-metrics-table and, where
// there are groups for fraud, weir-entities-table and weir-alerts-table, on the engine's readers and storage. It is where an
// event's journey turns from streams into something that can be asked: views/query answers questions about metrics from it,
// views/search finds alerts, views/live pushes changes, views/api puts all of it on HTTP.
//
// A view's update callback runs on goka's goroutine of the partition. It stores the row and notes its key with a Listener, and
// never waits for a reader: a slow client costs that client, not the table.
package views
