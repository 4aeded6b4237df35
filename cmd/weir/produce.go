package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// Limits of producing: what waits for the brokers, and for how long.
const (
	maxBuffered      = 50_000
	maxBufferedBytes = 64 << 20
	deliverWithin    = time.Minute
	flushWithin      = 10 * time.Second
	slabBytes        = 256 << 10
)

// kafkaSink produces events: idempotent, acknowledged by all replicas, partitioned by murmur2 of the key as every group expects.
type kafkaSink struct {
	app     *app
	client  *kgo.Client
	topics  map[string]string // stream → topic
	acked   map[string]*atomic.Int64
	failure atomic.Pointer[error]
	ctx     context.Context // of what is under way: it outlives a stop by flushWithin
	cancel  context.CancelFunc

	slab    []byte
	records []kgo.Record
}

// newKafkaSink connects and makes sure that the topics of the canonical streams exist.
func (a *app) newKafkaSink(ctx context.Context) (*kafkaSink, error) {
	return a.newKafkaSinkTo(ctx, slices.Sorted(maps.Values(a.StreamTopics())))
}

// newKafkaSinkTo is newKafkaSink for other topics.
func (a *app) newKafkaSinkTo(ctx context.Context, names []string) (*kafkaSink, error) {
	if _, err := a.probe(ctx); err != nil {
		return nil, err
	}
	cl, err := a.connect(
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytes(900_000),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.RecordDeliveryTimeout(deliverWithin),
	)
	if err != nil {
		return nil, err
	}
	if err := a.needTopics(ctx, cl, names...); err != nil {
		cl.Close()
		return nil, err
	}
	s := &kafkaSink{app: a, client: cl, topics: a.StreamTopics(), acked: map[string]*atomic.Int64{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(flushWithin, s.cancel) })
	for _, n := range names {
		s.acked[n] = new(atomic.Int64)
	}
	return s, nil
}

// send copies key and value: the caller may use its buffer again.
func (s *kafkaSink) send(stream, orderID string, value []byte) error {
	need := len(orderID) + len(value)
	if need > cap(s.slab)-len(s.slab) {
		s.slab = make([]byte, 0, max(slabBytes, need))
	}
	from := len(s.slab)
	s.slab = append(append(s.slab, orderID...), value...)
	middle := from + len(orderID)
	return s.produce(s.topics[stream], s.slab[from:middle:middle], s.slab[middle:len(s.slab):len(s.slab)])
}

// produce keeps key and value until they are acknowledged. It blocks while too much waits.
func (s *kafkaSink) produce(topic string, key, value []byte) error {
	if len(s.records) == 0 {
		s.records = make([]kgo.Record, 256)
	}
	r := &s.records[0]
	s.records = s.records[1:]
	r.Topic, r.Key, r.Value = topic, key, value
	s.client.Produce(s.ctx, r, s.done)
	return s.failed()
}

func (s *kafkaSink) done(r *kgo.Record, err error) {
	if err != nil {
		s.failure.CompareAndSwap(nil, &err)
		return
	}
	s.acked[r.Topic].Add(1)
}

func (s *kafkaSink) failed() error {
	if err := s.failure.Load(); err != nil {
		return fmt.Errorf("producing: %w", client.Diagnose(s.app.Kafka, *err))
	}
	return nil
}

// close waits until all is acknowledged, which may take as long for the last event as for any other; after a stop, for flushWithin.
func (s *kafkaSink) close() error {
	ctx, cancel := context.WithTimeout(s.ctx, deliverWithin)
	defer cancel()
	defer s.cancel()
	defer s.client.Close()
	if err := s.client.Flush(ctx); err != nil {
		limit := deliverWithin
		if s.ctx.Err() != nil {
			limit = flushWithin
		}
		return fmt.Errorf("producing: %d events were not acknowledged within %v", s.client.BufferedProduceRecords(), limit)
	}
	return s.failed()
}
