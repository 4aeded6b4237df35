package sim

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"weir/topology/client"
	"weir/topology/event"
)

// Record is one record of a topic. Whoever holds one must not change Value.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string
	Value     []byte
	Headers   map[string][]byte
	Timestamp event.UnixMilli

	seq int64 // counts the records of all topics, in a stream
}

// Group is one group of processors.
type Group struct {
	Name   string
	Inputs []string
	// Sources are the inputs whose event time makes the watermark (Partition.Observe). With none it comes from the marks of the
	// group before.
	Sources []string
	// Upstream names the groups whose marks make the watermark; with none, those that speak.
	Upstream []string
	// MarkTopics get this group's watermarks.
	MarkTopics []string
	// New makes the processor of one instance. It is called again after a crash.
	New func() Processor
}

// Beginner is a Processor that wants to know of each transaction before its first record.
type Beginner interface{ Begin() }

// Processor is a group's logic on one instance. Calls never overlap.
type Processor interface {
	Process(p *Partition, r *Record) error
	// BeforeCommit may add output to the transaction that is about to end.
	BeforeCommit(emit func(topic, key string, value []byte)) error
	// Rollback follows an abort: rows, counters and output since the last commit are gone.
	Rollback()
	// Deadline tells when a row wants Timer to be called.
	Deadline(key string, row []byte) (event.UnixMilli, bool)
	// Timer is called when the watermark has passed a row's deadline. It must move or end the deadline.
	Timer(p *Partition, key string, row []byte) error
}

// Config is how a simulated cluster behaves. Chances are from 0 to below 1.
type Config struct {
	Seed       uint64
	Partitions int32     // of every topic; 1
	Instances  int       // of every group; 1
	Start      time.Time // of the virtual clock; 2026-01-01

	Disorder time.Duration // watermark = greatest event time − Disorder
	Idle     time.Duration // a source without records for so long holds no watermark back; 0 = it always does

	MaxBatch        int     // records of one partition handled in a row; 10
	CommitChance    float64 // of a commit at a barrier; 0.2
	AbortChance     float64 // of a commit being refused
	CrashChance     float64 // of an instance dying at a barrier
	RebalanceChance float64 // of partitions moving after a commit

	// Stream plays a long history at once: nothing is left to chance. A Settle takes all records in the order in which they came, and
	// commits once for each group; the clock follows the records' timestamps. What was read, and what nobody reads, is dropped.
	Stream bool
	// Rows makes the store of a group's committed rows. Nil: they are in memory.
	Rows func(group string, partition int32) Rows
}

func (c Config) withDefaults() (Config, error) {
	c.Partitions = max(c.Partitions, 1)
	c.Instances = min(max(c.Instances, 1), int(c.Partitions))
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = 10
	}
	if c.CommitChance <= 0 {
		c.CommitChance = 0.2
	}
	for _, chance := range []float64{c.AbortChance, c.CrashChance, c.RebalanceChance} {
		if chance < 0 || chance > 0.9 {
			return c, fmt.Errorf("sim: a chance of %v leaves no way forward; use 0 to 0.9", chance)
		}
		if c.Stream && (chance > 0 || c.Instances > 1) {
			return c, errors.New("sim: in a stream nothing fails, and each group has one instance")
		}
	}
	if c.Rows == nil {
		c.Rows = func(string, int32) Rows { return memory{} }
	}
	return c, nil
}

// markEvery is how often a partition tells the next group how far it has come, in virtual time.
const markEvery = time.Second

// Cluster is a simulated Kafka cluster with its groups.
type Cluster struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Time
	topics map[string][]topicLog // by partition
	groups []*group
	reads  map[string]bool // topics that some group reads
	seq    int64
	stats  Stats
}

// Stats counts what the scheduler did.
type Stats struct{ Records, Commits, Aborts, Crashes, Rebalances, Timers, Marks, Tombstones int64 }

type group struct {
	Group
	partitions []*Partition
	instances  []*instance
}

// New builds a cluster at rest.
func New(cfg Config, groups ...Group) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x77656972)), now: cfg.Start, topics: map[string][]topicLog{}, reads: map[string]bool{}}
	for _, g := range groups {
		gr := &group{Group: g}
		for n := range cfg.Partitions {
			gr.partitions = append(gr.partitions, newPartition(c, gr, n))
		}
		for range cfg.Instances {
			gr.instances = append(gr.instances, &instance{c: c, g: gr, proc: g.New()})
		}
		c.assign(gr)
		c.groups = append(c.groups, gr)
		for _, topic := range g.Inputs {
			c.reads[topic] = true
		}
	}
	return c, nil
}

// assign spreads a group's partitions over its instances at random. No transaction may be open.
func (c *Cluster) assign(g *group) {
	for _, in := range g.instances {
		in.partitions = in.partitions[:0]
	}
	for _, n := range c.rng.Perm(len(g.partitions)) {
		in := g.instances[c.rng.IntN(len(g.instances))]
		p := g.partitions[n]
		p.in = in
		in.partitions = append(in.partitions, p)
	}
}

// Now is the virtual clock.
func (c *Cluster) Now() time.Time { return c.now }

// Stats returns what happened so far.
func (c *Cluster) Stats() Stats { return c.stats }

// Partitions is the partition count of every topic.
func (c *Cluster) Partitions() int32 { return c.cfg.Partitions }

// Each calls yield for the committed rows of a group's table, in no particular order, until it returns false.
func (c *Cluster) Each(name string, yield func(key string, row []byte) bool) {
	more := true
	for _, p := range c.group(name).partitions {
		p.rows.All(func(key string, row []byte) bool {
			more = yield(key, row)
			return more
		})
		if !more {
			return
		}
	}
}

// Row returns a committed row of a group's table, nil if there is none.
func (c *Cluster) Row(name, key string) []byte {
	return c.group(name).partitions[client.Partition([]byte(key), c.cfg.Partitions)].rows.Get(key)
}

// Rows returns the committed rows of a group's table in the order of their keys.
func (c *Cluster) Rows(name string) iter.Seq2[string, []byte] {
	all := map[string][]byte{}
	c.Each(name, func(key string, row []byte) bool {
		all[key] = row
		return true
	})
	return func(yield func(string, []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if !yield(key, all[key]) {
				return
			}
		}
	}
}

// Counters returns a group's counters, summed over its partitions. Those that are 0 are left out.
func (c *Cluster) Counters(name string) map[string]int64 {
	sum := map[string]int64{}
	for _, p := range c.group(name).partitions {
		for k, n := range p.saved.counters {
			sum[k] += n
		}
	}
	maps.DeleteFunc(sum, func(_ string, n int64) bool { return n == 0 })
	return sum
}

// Watermark returns the least watermark of a group's partitions, 0 while one does not know its own.
func (c *Cluster) Watermark(name string) event.UnixMilli {
	ps := c.group(name).partitions
	least := ps[0].saved.watermark
	for _, p := range ps {
		least = min(least, p.saved.watermark)
	}
	return least
}

func (c *Cluster) group(name string) *group {
	for _, g := range c.groups {
		if g.Name == name {
			return g
		}
	}
	panic("sim: there is no group " + name)
}

// Settle runs until every record has been processed and committed and every watermark has been passed on.
func (c *Cluster) Settle() error {
	if c.cfg.Stream {
		return c.stream()
	}
	for {
		busy := c.busy()
		if len(busy) == 0 {
			// At rest but for timers of rows just committed, and watermarks that were sent less than a second ago, or not at all.
			c.now = c.now.Add(markEvery)
			if err := c.barriers(); err != nil {
				return err
			}
			if busy = c.unmarked(); len(busy) == 0 && len(c.busy()) == 0 {
				return nil
			}
			for _, in := range busy {
				if err := in.commit(); err != nil {
					return err
				}
			}
			continue
		}
		in := busy[c.rng.IntN(len(busy))]
		if err := in.step(); err != nil {
			return fmt.Errorf("group %s: %w", in.g.Name, err)
		}
		c.now = c.now.Add(time.Duration(c.rng.IntN(20)) * time.Millisecond)
	}
}

// sleepStep is how far the clock moves at once while the cluster sleeps.
const sleepStep = 10 * time.Second

// Sleep lets virtual time pass in a quiet cluster. With Config.Idle set, sources become idle.
func (c *Cluster) Sleep(d time.Duration) error {
	for end := c.now.Add(d); c.now.Before(end); {
		if err := c.Settle(); err != nil {
			return err
		}
		c.now = c.now.Add(min(sleepStep, end.Sub(c.now)))
		if err := c.barriers(); err != nil {
			return err
		}
	}
	return c.Settle()
}

func (c *Cluster) barriers() error {
	for _, g := range c.groups {
		for _, in := range g.instances {
			if err := in.barrier(); err != nil {
				return fmt.Errorf("group %s: %w", g.Name, err)
			}
		}
	}
	return nil
}

func (c *Cluster) busy() []*instance {
	return c.instances(func(in *instance) bool { return in.open() || in.hasInput() })
}

func (c *Cluster) unmarked() []*instance { return c.instances((*instance).markDue) }

func (c *Cluster) instances(which func(*instance) bool) (found []*instance) {
	for _, g := range c.groups {
		for _, in := range g.instances {
			if which(in) {
				found = append(found, in)
			}
		}
	}
	return found
}
