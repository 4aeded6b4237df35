package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// topicManager is goka's TopicManager on kadm, so that addresses, TLS and SASL are configured in one place. Topics are
// made by weir before processors start (client.EnsureTopics); here it is only checked that they are there.
type topicManager struct {
	cfg client.Config
	cl  *kgo.Client
	adm *kadm.Client
}

var _ goka.TopicManager = (*topicManager)(nil)

const adminTimeout = 30 * time.Second

func newTopicManager(cfg client.Config) (*topicManager, error) {
	opts, err := cfg.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts, kgo.MetadataMinAge(50*time.Millisecond))...) // a topic made a moment ago is asked for again
	if err != nil {
		return nil, err
	}
	return &topicManager{cfg, cl, kadm.NewClient(cl)}, nil
}

// newTopicPatience bounds how long a broker may take to hear of a topic that was just made.
const newTopicPatience = 3 * time.Second

func (t *topicManager) detail(topic string) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	for started := time.Now(); ; {
		all, err := t.adm.ListTopics(ctx, topic)
		if err != nil {
			return kadm.TopicDetail{}, client.Diagnose(t.cfg, err)
		}
		d := all[topic]
		switch {
		case d.Err == nil:
			return d, nil
		case !errors.Is(d.Err, kerr.UnknownTopicOrPartition) || time.Since(started) > newTopicPatience:
			return d, fmt.Errorf("topic %s: %w; `weir process` and `weir topics --ensure` create what is missing, under the same topics.prefix", topic, d.Err)
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Partitions lists a topic's partitions in order.
func (t *topicManager) Partitions(topic string) ([]int32, error) {
	d, err := t.detail(topic)
	if err != nil {
		return nil, err
	}
	return d.Partitions.Numbers(), nil
}

// GetOffset returns the first offset (sarama.OffsetOldest) or the high watermark (sarama.OffsetNewest). The high watermark, not the
// last stable offset: at the start of a generation it covers everything that an owner before us may have committed.
func (t *topicManager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	list := t.adm.ListEndOffsets
	if at == sarama.OffsetOldest {
		list = t.adm.ListStartOffsets
	}
	offsets, err := list(ctx, topic)
	if err != nil {
		return 0, client.Diagnose(t.cfg, err)
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("topic %s has no partition %d", topic, partition)
	}
	return o.Offset, o.Err
}

// EnsureTableExists checks the table topic.
func (t *topicManager) EnsureTableExists(topic string, partitions int) error {
	return t.check(topic, partitions)
}

// EnsureStreamExists checks the stream topic.
func (t *topicManager) EnsureStreamExists(topic string, partitions int) error {
	return t.check(topic, partitions)
}

// EnsureTopicExists checks the topic.
func (t *topicManager) EnsureTopicExists(topic string, partitions, _ int, _ map[string]string) error {
	return t.check(topic, partitions)
}

func (t *topicManager) check(topic string, partitions int) error {
	d, err := t.detail(topic)
	if err != nil {
		return err
	}
	if n := len(d.Partitions); n != partitions {
		return fmt.Errorf("topic %s has %d partitions, its group's input has %d: they must be equal; delete the topic, or give the input topics %d partitions", topic, n, partitions, n)
	}
	return nil
}

// Close ends the client.
func (t *topicManager) Close() error { t.cl.Close(); return nil }

// topicIdentity names the topic of the cluster that a local copy was made from.
func topicIdentity(ctx context.Context, cfg client.Config, topic string) ([]byte, error) {
	t, err := newTopicManager(cfg)
	if err != nil {
		return nil, err
	}
	defer t.cl.Close()
	m, err := t.adm.Metadata(ctx, topic)
	if err != nil {
		return nil, client.Diagnose(t.cfg, err)
	}
	d := m.Topics[topic]
	if d.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, d.Err)
	}
	return []byte(layoutVersion + " " + m.Cluster + " " + d.ID.String()), nil
}

// logStart is the first offset that a partition of a table's changelog still has.
func logStart(cfg client.Config, topic string, partition int32) (int64, error) {
	t, err := newTopicManager(cfg)
	if err != nil {
		return 0, err
	}
	defer t.cl.Close()
	return t.GetOffset(topic, partition, sarama.OffsetOldest)
}
