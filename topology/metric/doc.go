// Package metric is what the shop is measured by. Metrics are declared (configs/metrics.yaml), not coded: Load turns the
// declarations into a Set.
//
// In an event's journey it is used at both ends of weir-deltas. Group orders gives each counted event, as Facts, to an
// Accumulator; at each commit the accumulators of all partitions are drained together into one record a metric row touched.
// Group metrics merges these into its rows (Merge), closes sessions, and asks for keys when a row is late (LateAfter) or to be
// deleted (Expiry). Views read ranges of rows (Range), merge those that a query groups together, and show them (Value).
//
// Everything here is pure: no clock, no I/O, no goroutines.
package metric
