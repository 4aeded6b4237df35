package scenario

import (
	"fmt"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
)

// Runner is one weir that a scenario is played on: a simulator, or processors on a broker. Topic and table names are the catalogue's;
// a Runner on a shared cluster puts its own prefix before them.
type Runner interface {
	// Metrics is the set of metrics that runs.
	Metrics() *metric.Set
	// Partitions is the partition count of every topic.
	Partitions() int32
	// Feed appends records to topics, in this order. Topic, Key, Value and Timestamp are given; the partition is murmur2's.
	Feed([]sim.Record) error
	// Settle returns once all that was fed has been processed and committed by every group. Unless reached is 0, every partition of
	// every table also knows a watermark of at least that.
	Settle(reached event.UnixMilli) error
	// Rows returns a table's committed rows without the engine's own (keys that begin with a zero byte).
	Rows(table string) (map[string][]byte, error)
	// Records returns the committed records of one of weir's topics.
	Records(topic string) ([]sim.Record, error)
	// Counters returns a group's counters, summed over its partitions.
	Counters(group string) (map[string]int64, error)
	Close() error
}

// Setup is what a scenario asks of the weir that it runs on.
type Setup struct {
	// Config holds the file's config command: retention, max_entries, max_waiting, disorder.
	Config map[string]string
	// Partitions is the count that the file insists on; 0 = any.
	Partitions int32
	// MetricsYAML are the file's own metric definitions; "" = the shipped ones.
	MetricsYAML string
	// RulesYAML are the file's own rules; "" = as the Runner's own weir has them.
	RulesYAML string
	// Schedule is how to run. A Runner on a broker takes from it what it can.
	Schedule Schedule
}

// Schedule is one way to run a scenario. None may change what it prints.
type Schedule struct {
	Name       string
	Seed       uint64
	Partitions int32
	Instances  int
	Crash      float64 // chance at each barrier
	Abort      float64 // chance at each commit
	Rebalance  float64 // chance at each commit
	Duplicate  float64 // chance that an event is delivered again, somewhere later in its block
}

// String names the schedule in test output.
func (s Schedule) String() string {
	return fmt.Sprintf("%s, %d partitions, seed %d", s.Name, s.Partitions, s.Seed)
}

// Schedules are those that tests play every scenario under: from the plainest to the most hostile.
func Schedules(seeds int) []Schedule {
	all := []Schedule{{Name: plainName, Seed: 1, Partitions: 1, Instances: 1}}
	for _, partitions := range []int32{1, 4, 8} {
		for seed := range seeds {
			s := Schedule{Seed: uint64(seed) + 2, Partitions: partitions, Instances: 1 + seed%3}
			s.Name = "calm"
			all = append(all, s)
			s.Name, s.Crash, s.Abort, s.Rebalance = "crashes", 0.1, 0.2, 0.2
			all = append(all, s)
			s.Name, s.Duplicate = "crashes and duplicates", 0.4
			all = append(all, s)
		}
	}
	return all
}

const plainName = "plain"
