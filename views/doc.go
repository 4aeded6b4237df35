// Package views holds the view server's copies of weir's tables: goka views over weir-metrics-table and weir-orders-table, on
// the engine's readers and storage. It is where an event's journey turns from streams into something that can be asked:
// views/query answers questions about metrics from it, views/live pushes its changes, views/api puts both on HTTP.
//
// A view's update callback runs on goka's goroutine of the partition. It stores the row and notes its key with a Listener, and
// never waits for a reader: a slow client costs that client, not the table.
package views
