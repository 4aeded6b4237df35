// Package query answers questions about metrics from the rows of weir-metrics-table. It is pure: it reads through the Metrics
// interface, which package views fills from Kafka and tests fill from memory, and package live keeps its Tables current.
//
//	Parameters ─ Parse ─► Query ─ Plan ─► segments (metric, window, from, to) ─ Scan ─► Table ─► Answer
//
// A row is kept at the finest label set that its metric declares. A query merges rows to the labels asked for, so grouping and
// filtering cost no state. Ranges count window starts: from is inclusive, to exclusive.
package query
