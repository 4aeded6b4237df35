package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/backtest"
	"weir/configs"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/sim"
)

// Warming is what is to be filled from the log: see backtest.Warm.
type Warming struct {
	Document *rule.Document // in force
	Names    []string       // features and rules; none: everything
	Since    time.Time      // read events that arrived then or later; zero: as far back as the longest window needs
	Progress func(done, total int64)
}

// Warmed tells what was filled.
type Warmed struct {
	backtest.Warmed
	Series   int
	Complete time.Time // event time since when they are complete; zero: always
}

// Warm reads the source topics' past again and sends what new series keep of it to group entities.
func Warm(ctx context.Context, cfg *configs.Config, w Warming) (*Warmed, error) {
	set, err := rule.Compile(backtest.Quiet(w.Document))
	if err != nil {
		return nil, err
	}
	series, err := backtest.SeriesOf(set, w.Names)
	if err != nil {
		return nil, err
	}
	o, err := BacktestOptions(cfg)
	if err != nil {
		return nil, err
	}
	since := w.Since
	if since.IsZero() {
		since = backtest.Warmup(time.Now(), set)
	}
	h, err := backtest.OpenHistory(ctx, cfg.Kafka, sourceTopics(o.Parsers), since)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	to, err := newWarmSink(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer to.cl.Close()
	done, err := backtest.Warm(ctx, backtest.WarmOptions{Set: set, Series: series, Events: h.Records(ctx), Parsers: o.Parsers,
		Orders: o.Orders, Send: to.send,
		Progress: func(n int64) { w.Progress(n, h.Total()) }})
	if err != nil {
		return nil, err
	}
	out := &Warmed{Warmed: *done, Series: len(series)}
	complete := h.Complete(since, o.Parsers)
	if complete > 0 {
		out.Complete = complete.Time()
	}
	return out, to.finish(ctx, backtest.Complete(series, complete))
}

func sourceTopics(parsers map[string]*event.Parser) (topics []string) {
	for topic := range parsers {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return topics
}

// warmWithin bounds how long a record waits for Kafka to acknowledge it.
const warmWithin = time.Minute

// warmSink writes to weir-observations.
type warmSink struct {
	cfg        *configs.Config
	cl         *kgo.Client
	topic      string
	partitions int32
}

func newWarmSink(ctx context.Context, cfg *configs.Config) (*warmSink, error) {
	opts, err := cfg.Kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytes(900_000), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(20_000), kgo.RecordDeliveryTimeout(warmWithin))
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	s := &warmSink{cfg: cfg, cl: cl, topic: cfg.Names().In(topology.Observations)}
	infos, err := client.Describe(ctx, kadm.NewClient(cl), s.topic)
	if err == nil && infos[0].Missing {
		err = fmt.Errorf("topic %s is missing; `weir topics --ensure` creates what weir needs", s.topic)
	}
	if err != nil {
		cl.Close()
		return nil, client.Diagnose(cfg.Kafka, err)
	}
	s.partitions = infos[0].Partitions
	return s, nil
}

// send writes records to the partitions of their keys.
func (s *warmSink) send(ctx context.Context, records []sim.Record) error {
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: s.topic, Partition: client.Partition([]byte(r.Key), s.partitions), Key: []byte(r.Key), Value: r.Value}
	}
	return s.write(ctx, batch)
}

// finish tells every partition what is complete.
func (s *warmSink) finish(ctx context.Context, records []sim.Record) error {
	var batch []*kgo.Record
	for n := range s.partitions {
		for _, r := range records {
			batch = append(batch, &kgo.Record{Topic: s.topic, Partition: n, Key: []byte(r.Key), Value: r.Value})
		}
	}
	return s.write(ctx, batch)
}

func (s *warmSink) write(ctx context.Context, batch []*kgo.Record) error {
	if err := s.cl.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return fmt.Errorf("writing to %s: %w", s.topic, client.Diagnose(s.cfg.Kafka, err))
	}
	return nil
}
