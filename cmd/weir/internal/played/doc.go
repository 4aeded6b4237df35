// Package played is the whole weir on a broker: real groups, started as `weir process` starts them, on which the scenario files of
// processors/*/testdata are played. It stands beside package simulated, which plays the same files without Kafka; both must print
// what the files say.
//
//	played.go       Weir: topics and configuration of one scenario, feeding it, reading it
//	instance.go     one process of weir, inside this one: start, stop, take part
//	disturb.go      what a hostile schedule does to instances while they work
//	reading.go      everything that weir has committed, read as any consumer would
//	settle.go       when nothing is left to do
package played
