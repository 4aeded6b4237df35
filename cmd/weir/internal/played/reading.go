package played

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/sim"
)

// reading is what a read-committed consumer has seen of all topics.
type reading struct {
	cl     *kgo.Client
	adm    *kadm.Client
	topics []string
	logs   map[topicPartition]*partitionLog
}

type topicPartition struct {
	topic     string
	partition int32
}

func (tp topicPartition) String() string { return fmt.Sprintf("%s/%d", tp.topic, tp.partition) }

// partitionLog is one partition's committed content.
type partitionLog struct {
	position int64 // next offset to be read, markers included
	next     int64 // the offset after the last record that is no marker: whoever has read so far has read all
	records  []sim.Record
	rows     map[string][]byte // by key the last record, as a table keeps it
}

func isReserved(key string) bool { return engine.IsReserved(key) }

func openReading(kafka client.Config, adm *kadm.Client, topics []string) (*reading, error) {
	opts, err := kafka.With(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond)) // a fetch that waits for some partitions holds up what is new in others
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &reading{cl: cl, adm: adm, topics: topics, logs: map[topicPartition]*partitionLog{}}, nil
}

func (r *reading) close() { r.cl.Close() }

// catchUp reads everything that is committed now. It names partitions in which a transaction is still open, so that what follows
// of it is not known yet.
func (r *reading) catchUp(ctx context.Context) (open []topicPartition, err error) {
	ends, err := r.adm.ListEndOffsets(ctx, r.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the ends of topics: %w", err)
	}
	committed, err := r.adm.ListCommittedOffsets(ctx, r.topics...)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the committed ends of topics: %w", err)
	}
	behind := map[topicPartition]int64{}
	committed.Each(func(o kadm.ListedOffset) {
		tp := topicPartition{o.Topic, o.Partition}
		if r.logs[tp] == nil {
			r.logs[tp] = &partitionLog{rows: map[string][]byte{}}
		}
		if end, _ := ends.Lookup(o.Topic, o.Partition); o.Offset < end.Offset {
			open = append(open, tp)
		}
		if r.logs[tp].position < o.Offset {
			behind[tp] = o.Offset
		}
	})
	for len(behind) > 0 {
		fetches := r.cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading, with ends still to be reached: %v: %w", behind, err)
		}
		fetches.EachRecord(r.take)
		for tp, end := range behind {
			if r.logs[tp].position >= end {
				delete(behind, tp)
			}
		}
	}
	return open, nil
}

func (r *reading) take(k *kgo.Record) {
	log := r.logs[topicPartition{k.Topic, k.Partition}]
	log.position = k.Offset + 1
	if k.Attrs.IsControl() {
		return
	}
	log.next = k.Offset + 1
	record := sim.Record{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Key: string(k.Key), Value: k.Value,
		Headers: map[string][]byte{}, Timestamp: event.UnixMilli(k.Timestamp.UnixMilli())}
	for _, h := range k.Headers {
		record.Headers[h.Key] = h.Value
	}
	log.records = append(log.records, record)
	if k.Value == nil {
		delete(log.rows, record.Key)
		return
	}
	log.rows[record.Key] = k.Value
}
