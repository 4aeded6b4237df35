package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Compaction of a table's partition copies its live rows to the end of the log and deletes everything before. kfake's own
// keeps every transaction's marker, so a log of many small transactions would never shrink, and it would believe the
// rows of a transaction that is still open.
//
// A copy must not hide a newer row. So rows are appended only under a condition, checked inside the broker where requests
// are handled one at a time: no transaction is open on the partition and nothing was appended since the copier last read
// its end. Where a writer was quicker the copier reads on and tries again. A copy that is interrupted is only a row
// written twice.
const (
	// A log is compacted when what was written since the last time passes these bounds and half of what was alive then.
	compactOffsets = 8_000 // kfake holds up to some 150 bytes of memory for each
	compactBytes   = 8 << 20
	copyBytes      = 512 << 10
	copyAttempts   = 400
	copyPause      = 5 * time.Millisecond
	copyStall      = 10 * time.Second // the end of the log cannot be reached
	maxTableRows   = 8 << 20          // keys of one partition held in memory while it is compacted
)

// tableState is the size of a partition when it was last compacted.
type tableState struct{ rows, bytes int64 }

func (t *tidier) compactTopic(ctx context.Context, topic string) error {
	var errs []error
	for _, p := range t.cluster.PartitionInfos(topic) {
		was := t.tables[partition{topic, p.Partition}]
		offsets, bytes := p.HighWatermark-p.LogStartOffset-was.rows, p.NumBytes-was.bytes
		if offsets < compactOffsets+was.rows/2 && bytes < compactBytes+was.bytes/2 {
			continue
		}
		if err := t.compactPartition(ctx, topic, p); err != nil {
			errs = append(errs, fmt.Errorf("partition %d: %w", p.Partition, err))
		}
	}
	return errors.Join(errs...)
}

// copier compacts one partition once.
type copier struct {
	t      *tidier
	topic  string
	id     [16]byte
	p      int32
	end    int64            // the log up to here is copied and then deleted
	latest map[string]int64 // the offset of each key's last row
	tail   *reader          // from end on, so that latest stays true
	cond   *conditional
	rows   int64
	bytes  int64
}

var (
	errBusy    = errors.New("writers left no gap")
	errTooMany = fmt.Errorf("more than %d keys in one partition; give the topic more partitions", maxTableRows)
)

func (t *tidier) compactPartition(ctx context.Context, topic string, p *kfake.PartitionInfo) error {
	info := t.cluster.TopicInfo(topic)
	if info == nil {
		return nil
	}
	c := &copier{t: t, topic: topic, id: info.TopicID, p: p.Partition, end: p.LastStableOffset, latest: map[string]int64{}}
	began := time.Now()
	var err error
	if c.tail, err = t.newReader(topic, p.Partition, p.LogStartOffset); err != nil {
		return err
	}
	defer c.tail.close()
	if err := c.tail.until(ctx, c.end, c.learn); err != nil {
		return err
	}
	c.cond = t.watchAppends(topic, p.Partition)
	defer c.cond.stop()
	err = c.copy(ctx, p.LogStartOffset)
	if errors.Is(err, errBusy) {
		t.log.Debug("embedded broker: compaction put off: its writers are too busy", "topic", topic, "partition", p.Partition)
		return nil
	}
	if err != nil {
		return err
	}
	now := t.cluster.PartitionInfo(topic, p.Partition)
	if now == nil {
		return nil
	}
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: topic, Partition: p.Partition, At: min(c.end, now.HighWatermark-1), LeaderEpoch: -1})
	if err := t.deleteRecords(ctx, cut); err != nil {
		return err
	}
	t.tables[partition{topic, p.Partition}] = tableState{rows: c.rows, bytes: c.bytes}
	t.log.Debug("embedded broker: compacted", "topic", topic, "partition", p.Partition,
		"offsets", c.end-p.LogStartOffset, "rows", c.rows, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func (c *copier) learn(r *kgo.Record) error {
	if r.Key == nil || r.Attrs.IsControl() {
		return nil
	}
	c.latest[string(r.Key)] = r.Offset
	if len(c.latest) > maxTableRows {
		return errTooMany
	}
	return nil
}

// copy reads the log again up to end and appends what is still the last row of its key.
func (c *copier) copy(ctx context.Context, start int64) error {
	head, err := c.t.newReader(c.topic, c.p, start)
	if err != nil {
		return err
	}
	defer head.close()
	oldest := time.Now().Add(-c.t.cfg.Tombstones)
	var chunk []*kgo.Record
	size := 0
	err = head.until(ctx, c.end, func(r *kgo.Record) error {
		if r.Key == nil || r.Attrs.IsControl() || r.Offset >= c.end || c.latest[string(r.Key)] != r.Offset {
			return nil
		}
		if r.Value == nil && r.Timestamp.Before(oldest) {
			return nil
		}
		n := len(r.Key) + len(r.Value)
		if size+n > copyBytes {
			if err := c.append(ctx, chunk); err != nil {
				return err
			}
			chunk, size = chunk[:0], 0
		}
		chunk = append(chunk, r)
		size += n
		return nil
	})
	if err != nil {
		return err
	}
	return c.append(ctx, chunk)
}

func (c *copier) append(ctx context.Context, chunk []*kgo.Record) error {
	for range copyAttempts {
		at, quiet, err := c.catchUp(ctx)
		if err != nil {
			return err
		}
		if quiet {
			var rows []*kgo.Record
			for _, r := range chunk {
				if c.latest[string(r.Key)] == r.Offset {
					rows = append(rows, r)
				}
			}
			if len(rows) == 0 {
				return nil
			}
			raw, err := rowBatch(rows)
			if err != nil {
				return err
			}
			switch ok, err := c.cond.append(ctx, c.t.cl, c.id, raw, at); {
			case err != nil:
				return err
			case ok:
				for i, r := range rows {
					c.latest[string(r.Key)] = at + int64(i)
				}
				c.rows += int64(len(rows))
				c.bytes += int64(len(raw))
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(copyPause):
		}
	}
	return errBusy
}

// catchUp reads on to the end of the log. quiet means that the end was reached and no transaction is open there.
func (c *copier) catchUp(ctx context.Context) (at int64, quiet bool, err error) {
	p := c.t.cluster.PartitionInfo(c.topic, c.p)
	if p == nil {
		return 0, false, kerr.UnknownTopicOrPartition
	}
	if err := c.tail.until(ctx, p.LastStableOffset, c.learn); err != nil {
		return 0, false, err
	}
	return c.tail.next, c.tail.next == p.HighWatermark && p.LastStableOffset == p.HighWatermark, nil
}

// reader reads one partition in order, committed records and markers.
type reader struct {
	cl   *kgo.Client
	next int64
}

func (t *tidier) newReader(topic string, p int32, from int64) (*reader, error) {
	cl, err := kgo.NewClient(append(t.opts[:len(t.opts):len(t.opts)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchMaxBytes(4<<20),
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return nil, err
	}
	return &reader{cl: cl, next: from}, nil
}

func (r *reader) close() { r.cl.Close() }

// until calls f with every record up to the offset end, and with those that came along with them.
func (r *reader) until(ctx context.Context, end int64, f func(*kgo.Record) error) error {
	for r.next < end {
		step, cancel := context.WithTimeout(ctx, copyStall)
		fetches := r.cl.PollFetches(step)
		cancel()
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read at offset %d of %d: %w", r.next, end, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read at offset %d: %w", r.next, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			if err := f(rec); err != nil {
				return err
			}
			r.next = rec.Offset + 1
		}
	}
	return nil
}

// conditional lets batches onto a partition only where its log ends at the offset that was expected. It sits in the
// broker, before requests are handled.
type conditional struct {
	topic string
	p     int32
	over  atomic.Bool

	mu     sync.Mutex
	raw    []byte // what is being appended
	expect int64
	used   bool // it was let through once: a repeat would append it twice
	seen   bool
}

func (t *tidier) watchAppends(topic string, p int32) *conditional {
	c := &conditional{topic: topic, p: p}
	t.cluster.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if c.over.Load() {
			t.cluster.DropControl()
			return nil, nil, false
		}
		r := req.(*kmsg.ProduceRequest)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || c.raw == nil || !bytes.Equal(r.Topics[0].Partitions[0].Records, c.raw) {
			return nil, nil, false
		}
		c.seen = true
		info := t.cluster.PartitionInfo(c.topic, c.p)
		if !c.used && info != nil && info.HighWatermark == c.expect && info.LastStableOffset == c.expect {
			c.used = true
			return nil, nil, false
		}
		t.cluster.KeepControl()
		return declined(r), nil, true
	})
	return c
}

// stop takes the watch off at the next request that it would see.
func (c *conditional) stop() { c.over.Store(true) }

func declined(r *kmsg.ProduceRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.ProduceResponse)
	t := kmsg.NewProduceResponseTopic()
	t.Topic, t.TopicID = r.Topics[0].Topic, r.Topics[0].TopicID
	p := kmsg.NewProduceResponseTopicPartition()
	p.Partition = r.Topics[0].Partitions[0].Partition
	p.ErrorCode = kerr.InvalidRecord.Code // one that no client repeats by itself
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	return resp
}

// append appends raw if the log ends at expect; ok tells whether it did.
func (c *conditional) append(ctx context.Context, cl *kgo.Client, id [16]byte, raw []byte, expect int64) (ok bool, err error) {
	c.mu.Lock()
	c.raw, c.expect, c.used, c.seen = raw, expect, false, false
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.raw = nil
		c.mu.Unlock()
	}()
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = int32(copyStall.Milliseconds())
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = c.topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = c.p, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return false, fmt.Errorf("append rows: %w", err)
	}
	c.mu.Lock()
	used, seen := c.used, c.seen
	c.mu.Unlock()
	if !seen {
		return false, errors.New("append rows: the broker did not check the condition")
	}
	code := resp.Topics[0].Partitions[0].ErrorCode
	if code == kerr.InvalidRecord.Code && !used {
		return false, nil
	}
	if err := kerr.ErrorForCode(code); err != nil {
		return false, fmt.Errorf("append rows: %w", err)
	}
	return true, nil
}

// rowBatch encodes rows as one batch that belongs to no producer, each with the timestamp it had.
func rowBatch(rows []*kgo.Record) ([]byte, error) {
	first := rows[0].Timestamp.UnixMilli()
	newest := first
	var records, one []byte
	for i, row := range rows {
		at := row.Timestamp.UnixMilli()
		newest = max(newest, at)
		r := kmsg.Record{TimestampDelta64: at - first, OffsetDelta: int32(i), Key: row.Key, Value: row.Value}
		for _, h := range row.Headers {
			r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		one = r.AppendTo(one[:0]) // its length, not known yet, is one zero byte
		records = binary.AppendVarint(records, int64(len(one)-1))
		records = append(records, one[1:]...)
	}
	compressor, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	packed, codec := compressor.Compress(&buf, records)
	return encodeBatch(kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Attributes: int16(codec), LastOffsetDelta: int32(len(rows) - 1),
		FirstTimestamp: first, MaxTimestamp: newest, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(rows)), Records: packed,
	}), nil
}
