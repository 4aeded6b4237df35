package sim

import (
	"maps"

	"weir/topology/client"
	"weir/topology/event"
)

// topicLog is one partition of a topic.
type topicLog struct {
	dropped int // before records
	records []Record
}

func (l *topicLog) end() int { return l.dropped + len(l.records) }

// Produce appends a record from outside, to the partition of its key. Partition and Offset are set here, and Timestamp if it is 0.
func (c *Cluster) Produce(r Record) {
	r.Partition = client.Partition([]byte(r.Key), c.cfg.Partitions)
	c.append(r)
}

// ProduceTo appends a record from outside to a partition of its own choice.
func (c *Cluster) ProduceTo(partition int32, r Record) {
	r.Partition = partition
	c.append(r)
}

// Replay appends a record that stands in a log elsewhere: processors see the Partition and Offset that it has there.
func (c *Cluster) Replay(r Record) {
	c.add(client.Partition([]byte(r.Key), c.cfg.Partitions), r)
}

func (c *Cluster) append(r Record) {
	r.Offset = int64(c.log(r.Topic, r.Partition).end())
	c.add(r.Partition, r)
}

func (c *Cluster) add(partition int32, r Record) {
	if r.Timestamp == 0 {
		r.Timestamp = event.UnixMilli(c.now.UnixMilli())
	}
	if c.cfg.Stream {
		if !c.reads[r.Topic] {
			return
		}
		c.seq++
		r.seq = c.seq
		if at := r.Timestamp.Time(); at.After(c.now) {
			c.now = at
		}
	}
	log := c.log(r.Topic, partition)
	log.records = append(log.records, r)
}

func (c *Cluster) log(topic string, partition int32) *topicLog {
	logs := c.topics[topic]
	if logs == nil {
		logs = make([]topicLog, c.cfg.Partitions)
		c.topics[topic] = logs
	}
	return &logs[partition]
}

// Records returns the committed records of a topic, partition by partition.
func (c *Cluster) Records(topic string) (all []Record) {
	for i := range c.topics[topic] {
		all = append(all, c.topics[topic][i].records...)
	}
	return all
}

// drop forgets what every reader has read. Its memory is used again.
func (l *topicLog) drop() {
	l.dropped += len(l.records)
	clear(l.records)
	l.records = l.records[:0]
	const kept = 1 << 16
	if cap(l.records) > kept {
		l.records = nil
	}
}

// Rows keeps the committed rows of one partition.
type Rows interface {
	// Get returns a row, nil if there is none. Whoever holds it does not change it.
	Get(key string) []byte
	// Set writes a row and keeps it; nil deletes it.
	Set(key string, row []byte)
	// All calls yield for each row, in no particular order, until it returns false. Nothing is set meanwhile.
	All(yield func(key string, row []byte) bool)
}

// memory is the plain Rows.
type memory map[string][]byte

func (m memory) Get(key string) []byte                       { return m[key] }
func (m memory) All(yield func(key string, row []byte) bool) { maps.All(m)(yield) }
func (m memory) Set(key string, row []byte) {
	if row == nil {
		delete(m, key)
		return
	}
	m[key] = row
}
