package backtest

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/processors/rule"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/sim"
)

// History is what the source topics hold, up to the moment when it was opened.
type History struct {
	kafka   client.Config
	cl      *kgo.Client
	cursors map[string]map[int32]*cursor
	heads   heads
	waiting int // cursors that are not at their end and have nothing to give
	total   int64
	cut     bool    // something of the past is not read
	counts  []int32 // partitions of each topic
}

// cursor reads one partition.
type cursor struct {
	topic     string
	number    int // of topic, to break ties
	partition int32
	next, end int64
	buffer    []*kgo.Record
	at        event.UnixMilli // greatest arrival so far: a partition's order stays as it is
	paused    bool
	whole     bool   // it is read from the very first record on
	first     []byte // the first record's value
}

const (
	bufferMost  = 2000 // records of a partition: beyond them it is paused
	bufferLeast = 500
	pollMost    = 10_000
	stalled     = 30 * time.Second
)

// OpenHistory finds what the topics hold since a time; the zero time is their beginning.
func OpenHistory(ctx context.Context, kafka client.Config, topics []string, since time.Time) (*History, error) {
	h := &History{kafka: kafka, cursors: map[string]map[int32]*cursor{}}
	opts, err := kafka.With(kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(512<<10))
	if err != nil {
		return nil, err
	}
	if h.cl, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	if err := h.find(ctx, topics, since); err != nil {
		h.Close()
		return nil, client.Diagnose(kafka, err)
	}
	return h, nil
}

// find places the cursors.
func (h *History) find(ctx context.Context, topics []string, since time.Time) error {
	adm := kadm.NewClient(h.cl)
	list := adm.ListStartOffsets
	if !since.IsZero() {
		list = func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topics...)
		}
	}
	starts, err := list(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	from := map[string]map[int32]kgo.Offset{}
	for number, topic := range topics {
		if len(ends[topic]) == 0 {
			return fmt.Errorf("topic %s does not exist", topic)
		}
		h.cursors[topic], from[topic] = map[int32]*cursor{}, map[int32]kgo.Offset{}
		h.counts = append(h.counts, int32(len(ends[topic])))
		for partition, end := range ends[topic] {
			start, _ := starts.Lookup(topic, partition)
			h.cut = h.cut || start.Offset > 0
			if err := errors.Join(start.Err, end.Err); err != nil {
				return fmt.Errorf("topic %s partition %d: %w", topic, partition, err)
			}
			if start.Offset < 0 || start.Offset >= end.Offset {
				continue
			}
			h.cursors[topic][partition] = &cursor{topic: topic, number: number, partition: partition, next: start.Offset, end: end.Offset,
				whole: start.Offset == 0}
			from[topic][partition] = kgo.NewOffset().At(start.Offset)
			h.total += end.Offset - start.Offset
			h.waiting++
		}
	}
	h.cl.AddConsumePartitions(from)
	return nil
}

// Close ends the reading.
func (h *History) Close() { h.cl.Close() }

// Total is about how many records there are.
func (h *History) Total() int64 { return h.total }

// Partitions is the partition count of the source topics.
func (h *History) Partitions() int32 { return slices.Max(h.counts) }

// Records reads all, merged by arrival over topics and partitions. They can be read once.
func (h *History) Records(ctx context.Context) iter.Seq2[sim.Record, error] {
	return func(yield func(sim.Record, error) bool) {
		for {
			for h.waiting > 0 {
				if err := h.poll(ctx); err != nil {
					if ctx.Err() == nil {
						yield(sim.Record{}, fmt.Errorf("reading the history: %w", client.Diagnose(h.kafka, err)))
					}
					return
				}
			}
			if len(h.heads) == 0 || !yield(h.take(), nil) {
				return
			}
		}
	}
}

// poll waits for records of some partition.
func (h *History) poll(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, stalled)
	defer cancel()
	fetches := h.cl.PollRecords(within, pollMost)
	if within.Err() != nil && fetches.NumRecords() == 0 {
		return errors.Join(ctx.Err(), fmt.Errorf("nothing came for %v of %s: the records may have been deleted meanwhile; try again", stalled, h.unread()))
	}
	for _, e := range fetches.Errors() {
		if e.Err != nil && !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if c := h.cursors[p.Topic][p.Partition]; c != nil {
			h.add(c, p.Records)
		}
	})
	return nil
}

func (h *History) unread() string {
	var all []string
	for topic, partitions := range h.cursors {
		for n, c := range partitions {
			if c.waits() {
				all = append(all, fmt.Sprintf("%s/%d", topic, n))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// waits reports that a cursor has nothing to give and is not at its end.
func (c *cursor) waits() bool { return len(c.buffer) == 0 && c.next < c.end }

func (h *History) add(c *cursor, records []*kgo.Record) {
	before, empty := c.waits(), len(c.buffer) == 0
	for _, r := range records {
		if r.Offset < c.next || r.Offset >= c.end {
			continue
		}
		c.next = r.Offset + 1
		if !r.Attrs.IsControl() {
			c.buffer = append(c.buffer, r)
		}
	}
	if last := len(records) - 1; last >= 0 && records[last].Offset >= c.end {
		c.next = c.end
	}
	if before && !c.waits() {
		h.waiting--
	}
	if empty && len(c.buffer) > 0 {
		c.advance()
		heap.Push(&h.heads, c)
	}
	if !c.paused && (len(c.buffer) >= bufferMost || c.next >= c.end) {
		c.paused = true
		h.cl.PauseFetchPartitions(map[string][]int32{c.topic: {c.partition}})
	}
}

// advance makes the time of the next record the cursor's.
func (c *cursor) advance() { c.at = max(c.at, event.UnixMilli(c.buffer[0].Timestamp.UnixMilli())) }

// take is the earliest record.
func (h *History) take() sim.Record {
	c := h.heads[0]
	r := c.buffer[0]
	if c.first == nil {
		c.first = r.Value
	}
	out := sim.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Value: r.Value, Timestamp: c.at}
	c.buffer[0] = nil
	c.buffer = c.buffer[1:]
	if c.paused && len(c.buffer) < bufferLeast && c.next < c.end {
		c.paused = false
		h.cl.ResumeFetchPartitions(map[string][]int32{c.topic: {c.partition}})
	}
	if len(c.buffer) > 0 {
		c.advance()
		heap.Fix(&h.heads, 0)
		return out
	}
	heap.Pop(&h.heads)
	if c.waits() {
		h.waiting++
	}
	return out
}

// Complete is the event time since when all events were among the records read; 0 if the topics were read from their first record on.
// What is left out are events before since, and those that the topics do not have any more.
func (h *History) Complete(since time.Time, parsers map[string]*event.Parser) (at event.UnixMilli) {
	if !h.cut {
		return 0
	}
	if !since.IsZero() {
		at = event.UnixMilli(since.UnixMilli())
	}
	var e event.Event
	for topic, partitions := range h.cursors {
		for _, c := range partitions {
			if c.whole || c.first == nil {
				continue
			}
			if err := parsers[topic].ParseInto(&e, c.first, 0); err == nil {
				at = max(at, e.At)
			}
		}
	}
	return at
}

// heads are the cursors that have something to give, the earliest first.
type heads []*cursor

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.number != b.number:
		return a.number < b.number
	}
	return a.partition < b.partition
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *heads) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}

// life is how long before its last event an order may have begun, for nearly all orders.
const life = 30 * 24 * time.Hour

// Warmup is since when events are needed so that features and orders are whole at a time; the zero time for all of them.
func Warmup(from time.Time, sets ...*rule.Set) time.Time {
	if from.IsZero() {
		return from
	}
	var longest time.Duration
	for _, set := range sets {
		if set == nil {
			continue
		}
		for _, kind := range set.Kinds() {
			horizon := set.Plan(kind).Horizon
			if horizon == 0 {
				return time.Time{}
			}
			longest = max(longest, horizon)
		}
	}
	return from.Add(-longest - life)
}
