// Package sim runs weir's groups without Kafka: partitions in memory, one goroutine, a seeded scheduler and a virtual clock.
// Tests use it to try interleavings, crashes and commit points that a broker shows once a year; backtests use it to run rules over
// the past.
//
// What it keeps of the real thing, because results could depend on it:
//
//   - records of one partition are read in order; partitions and topics are interleaved at random
//   - a group's partitions are spread over instances; each instance has one transaction open, and its rows, offsets, counters and
//     output commit or vanish together; output is seen by readers once it is committed
//   - an abort drops the transaction; a crash drops the processor's memory too; a rebalance moves partitions
//   - keys go to partitions by murmur2, as in Kafka
//   - each partition's watermark is the least of its sources, goes on to every partition of the next group at most once a second,
//     and fires timers at the barrier; timers see committed deadlines only
//
// What it leaves out: the wire, recovery from a changelog, and time that passes by itself. The same seed gives the same run.
//
//	cluster.go    Cluster: topics, instances, the scheduler, Settle
//	log.go        topics, and the stores of rows
//	stream.go     a long history played at once: Config.Stream
//	instance.go   one instance: its transaction, commit, abort, crash
//	partition.go  what a Processor may touch: rows, counters, event time, timers
//	scenario/     the scenario language, run on this simulator or on a broker
package sim
