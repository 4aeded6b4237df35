package engine

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"weir/topology/client"
)

// RunStock runs the group on unmodified goka, for comparing: sarama, at-least-once with goka's holes, no hooks, timers or watermarks.
// The group must send what it would send at a commit with each record.
func (rt *Runtime) RunStock(ctx context.Context) error {
	if rt.cfg.Kafka.TLS.Enabled || rt.cfg.Kafka.SASL.Mechanism != "" {
		return errors.New("stock goka is compared on plain connections only: turn tls and sasl off")
	}
	rt.stock = true
	cfg := goka.DefaultConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	goka.ReplaceGlobalConfig(cfg)
	p, err := goka.NewProcessor(rt.cfg.Kafka.Brokers, rt.spec.Graph,
		goka.WithHasher(Hasher),
		goka.WithLogger(gokaLogger{rt.log}),
		goka.WithPartitionChannelSize(claimBuffer),
		goka.WithStorageBuilder(storage.DefaultBuilder(filepath.Join(rt.cfg.DataDir, "stock"))))
	if err != nil {
		return client.Diagnose(rt.cfg.Kafka, err)
	}
	return p.Run(ctx)
}
