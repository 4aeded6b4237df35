package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClusterInfo is what a cluster says about itself.
type ClusterInfo struct {
	ID         string   // of the cluster; a new one means that every offset kept locally is worthless
	Brokers    []string // advertised host:port, sorted
	Controller int32
	Version    string // the Kafka version that its API versions match best, for example "v4.1"
}

// requirement is an API version without which weir cannot work, and what needs it.
type requirement struct {
	key     kmsg.Key
	version int16
	why     string
	since   string
}

var requirements = []requirement{
	{kmsg.TxnOffsetCommit, 3, "transactions fenced by group generation (KIP-447)", "2.5"},
	{kmsg.JoinGroup, 5, "static membership (KIP-345)", "2.3"},
	{kmsg.InitProducerID, 3, "producer epochs (KIP-360)", "2.5"},
	{kmsg.IncrementalAlterConfigs, 0, "topic configuration", "2.3"},
}

const probeTimeout = 15 * time.Second

// Probe connects once with cfg and tells what answers. An error is an *Error wherever the cause can be told.
func Probe(ctx context.Context, cfg Config) (ClusterInfo, error) {
	opts, err := cfg.With(
		kgo.RequestRetries(1),
		kgo.RetryTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(dialTimeout),
	)
	if err != nil {
		return ClusterInfo{}, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return ClusterInfo{}, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()

	adm := kadm.NewClient(cl)
	meta, err := adm.BrokerMetadata(kadm.WithAuthorizedOps(ctx))
	if err != nil {
		return ClusterInfo{}, Diagnose(cfg, err)
	}
	info := ClusterInfo{ID: meta.Cluster, Controller: meta.Controller}
	for _, b := range meta.Brokers {
		info.Brokers = append(info.Brokers, fmt.Sprintf("%s:%d", b.Host, b.Port))
	}
	slices.Sort(info.Brokers)

	apis, err := adm.ApiVersions(ctx)
	if err != nil {
		return info, Diagnose(cfg, err)
	}
	for _, api := range apis.Sorted() {
		if api.Err != nil {
			// The seed answered but a broker it advertises does not: the advertised address is what must be mended.
			return info, advertised(cfg, meta, api.NodeID, api.Err)
		}
		info.Version = api.VersionGuess()
		for _, need := range requirements {
			if got, ok := api.KeyMaxVersion(need.key.Int16()); !ok || got < need.version {
				return info, &Error{
					Broker: fmt.Sprint("broker ", api.NodeID),
					Cause:  fmt.Sprintf("the broker (%s) is too old for %s", info.Version, need.why),
					Remedy: fmt.Sprintf("use Apache Kafka %s or later, or another cluster that speaks %s version %d", need.since, need.key.Name(), need.version),
				}
			}
		}
	}
	return info, nil
}

func advertised(cfg Config, meta kadm.Metadata, node int32, err error) error {
	for _, b := range meta.Brokers {
		if b.NodeID != node {
			continue
		}
		addr := fmt.Sprintf("%s:%d", b.Host, b.Port)
		return &Error{
			Broker: addr,
			Cause:  fmt.Sprintf("%v answered, but the cluster advertises %s, which does not: %v", cfg.Brokers, addr, err),
			Remedy: "make advertised.listeners of that broker an address that this machine can reach",
			Err:    err,
		}
	}
	return Diagnose(cfg, err)
}
