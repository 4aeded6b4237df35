// Package metrics is group metrics, the second hop of an event's journey: each record of weir-deltas is merged into the metric row
// that its key names. Here, and only here, is decided what is late, what is one series too many, and when a row goes; all of it by
// the partition's watermark, never by a clock.
//
//	step.go      Step, the pure fold of one delta, or of a timer, into a row
//	group.go     the goka adapter
//	simulate.go  the adapter for the simulator
//
// Rows merge commutatively, so a row does not depend on how its deltas were combined or in which order they came, unless they came
// late. What is not in a row's value is in its late count, or in a counter.
package metrics
