package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/table"
	"weir/views/api"
)

// commands writes decisions on alerts to their topic, each into the partition of its entity.
type commands struct {
	kafka client.Config
	cl    *kgo.Client
	topic string
}

var _ api.Commands = (*commands)(nil)

// commandsWithin bounds how long a request waits for Kafka to acknowledge its decisions.
const commandsWithin = 5 * time.Second

// producing are the options of a client that writes commands: murmur2 of the key as every group has it, and acknowledged by all
// replicas, once.
func producing() []kgo.Opt {
	return []kgo.Opt{kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(commandsWithin), kgo.MaxBufferedRecords(10_000)}
}

// Decide implements api.Commands. A client that goes away does not leave a decision half written.
func (c *commands) Decide(ctx context.Context, decisions []*table.Decision) []error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandsWithin)
	defer cancel()
	errs := make([]error, len(decisions))
	var written sync.WaitGroup
	for i, d := range decisions {
		value, err := d.MarshalVT()
		if err != nil {
			errs[i] = err
			continue
		}
		written.Add(1)
		c.cl.Produce(ctx, &kgo.Record{Topic: c.topic, Key: []byte(d.Entity), Value: value}, func(_ *kgo.Record, err error) {
			defer written.Done()
			if err != nil {
				errs[i] = client.Diagnose(c.kafka, err)
			}
		})
	}
	written.Wait() // bounded by ctx and the delivery timeout
	return errs
}
