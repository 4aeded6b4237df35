package deadletter

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// span is a part of a partition: from is inclusive, to exclusive.
type span struct{ from, to int64 }

// span is what the topic holds and what of it is committed. A topic that is not there holds nothing.
func (r *Reader) span(ctx context.Context) (starts, ends map[int32]int64, err error) {
	listed, err := r.cfg.Admin.ListCommittedOffsets(ctx, r.cfg.Topic)
	if err != nil {
		return nil, nil, err
	}
	first, err := r.cfg.Admin.ListStartOffsets(ctx, r.cfg.Topic)
	if err != nil {
		return nil, nil, err
	}
	starts, ends = map[int32]int64{}, map[int32]int64{}
	for p, o := range listed[r.cfg.Topic] {
		if s, ok := first.Lookup(r.cfg.Topic, p); o.Err == nil && ok && s.Err == nil {
			starts[p], ends[p] = s.Offset, o.Offset
		}
	}
	return starts, ends, nil
}

// pick reads single records; those that are not there are left out.
func (r *Reader) pick(ctx context.Context, wanted []ID, fn func(*kgo.Record) error) error {
	starts, ends, err := r.span(ctx)
	if err != nil {
		return client.Diagnose(r.cfg.Kafka, err)
	}
	todo, want := map[int32]span{}, map[ID]bool{}
	for _, id := range wanted {
		if id.Offset < starts[id.Partition] || id.Offset >= ends[id.Partition] {
			continue
		}
		s, ok := todo[id.Partition]
		if !ok {
			s = span{id.Offset, id.Offset + 1}
		}
		todo[id.Partition] = span{min(s.from, id.Offset), max(s.to, id.Offset+1)}
		want[id] = true
	}
	if len(todo) == 0 {
		return nil
	}
	err = readSpans(ctx, r.cfg.Kafka, r.cfg.Topic, todo, func(records []*kgo.Record) error {
		for _, rec := range records {
			if want[ID{rec.Partition, rec.Offset}] {
				if err := fn(rec); err != nil {
					return err
				}
			}
		}
		return nil
	}, func(int32, int64) {})
	return client.Diagnose(r.cfg.Kafka, err)
}

// readSpans reads parts of a topic's partitions, what is committed of them, with a connection of its own. fn gets the records in the
// order of each partition, reached the next offset of each partition when fn has had what is before it. todo is used up.
func readSpans(ctx context.Context, kafka client.Config, topic string, todo map[int32]span, fn func([]*kgo.Record) error, reached func(int32, int64)) error {
	from := map[int32]kgo.Offset{}
	for p, s := range todo {
		from[p] = kgo.NewOffset().At(s.from)
	}
	opts, err := kafka.With(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchMaxWait), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes/4),
		kgo.MaxConcurrentFetches(2))
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	open := len(todo)
	for open > 0 {
		fetches := cl.PollRecords(ctx, pollRecords)
		if err := ctx.Err(); err != nil {
			return err
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		var batch []*kgo.Record
		for iter := fetches.RecordIter(); !iter.Done(); {
			rec := iter.Next()
			s := todo[rec.Partition]
			if s.from >= s.to {
				continue
			}
			if rec.Offset < s.to && !rec.Attrs.IsControl() {
				batch = append(batch, rec)
			}
			if s.from = min(rec.Offset+1, s.to); s.from == s.to {
				open--
				cl.PauseFetchPartitions(map[string][]int32{topic: {rec.Partition}})
			}
			todo[rec.Partition] = s
		}
		if err := fn(batch); err != nil {
			return err
		}
		for p, s := range todo {
			reached(p, s.from)
		}
	}
	return nil
}
