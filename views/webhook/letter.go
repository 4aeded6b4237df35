package webhook

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/event"
)

// Headers of dead letters beside those of package event.
const (
	HeaderStatus   = "weir-status"   // of the last answer; 0: none came
	HeaderAttempts = "weir-attempts" // 0: it was no event of an alert
)

// Limits of a dead letter. Of one that is larger the beginning is kept.
const (
	maxLetterBytes = 900 << 10
	cutBytes       = 64 << 10
	maxDetail      = 1 << 10
	buryAgain      = 5 * time.Second // after a dead letter that could not be written
)

// bury writes a dead letter and returns when Kafka has it, or when ctx has ended.
func (c *consumer) bury(ctx context.Context, l letter) error {
	r := &kgo.Record{Topic: c.cfg.Names.In(topology.DeadLetters), Key: []byte(l.key), Value: l.value}
	cause := &event.Malformed{Reason: event.ReasonWebhook, Detail: c.receiver.Name + ": " + cut(l.why, maxDetail)}
	headers := event.DeadLetterHeaders(cause, c.topic, l.partition, l.offset)
	headers[event.HeaderReceiver] = []byte(c.receiver.Name)
	headers[HeaderStatus] = strconv.AppendInt(nil, int64(l.status), 10)
	headers[HeaderAttempts] = strconv.AppendInt(nil, int64(l.attempts), 10)
	if size := len(r.Key) + len(r.Value); size > maxLetterBytes {
		headers[event.HeaderSize] = strconv.AppendInt(nil, int64(size), 10)
		r.Key, r.Value = r.Key[:min(len(r.Key), cutBytes)], r.Value[:min(len(r.Value), cutBytes)]
	}
	for name, value := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: value})
	}
	for {
		err := c.cl.ProduceSync(ctx, r).FirstErr()
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.log.Error("a dead letter cannot be written; trying again", "receiver", c.receiver.Name, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(buryAgain):
		}
	}
}
