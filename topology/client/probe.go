package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// ClusterInfo is what a cluster says about itself.
type ClusterInfo struct {
	ID         string   // of the cluster; a new one means that every offset kept locally is worthless
	Brokers    []string // advertised host:port, sorted
	Controller int32
	Version    string // the Kafka version that its API versions match best, for example "v4.1"
	// Away are brokers that the cluster names and that do not answer, while others do: each with cause and remedy.
	Away []error
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

const (
	probeTimeout = 15 * time.Second
	// versionsTimeout is for one broker: one that hangs accepts connections and says nothing.
	versionsTimeout = dialTimeout + time.Second
)

// Probe connects once to each of cfg's brokers and tells what the first one says that answers. A broker that is away is no error where
// another one answers: a cluster goes on without it, and so must whoever is started meanwhile. An error is an *Error wherever the cause can
// be told; of several mistakes it is the first broker's.
func Probe(ctx context.Context, cfg Config) (ClusterInfo, error) {
	if len(cfg.Brokers) == 0 {
		return ClusterInfo{}, errors.New("no broker is named: set kafka.brokers")
	}
	type answer struct {
		seed int
		info ClusterInfo
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(cfg.Brokers))
	for i, seed := range cfg.Brokers {
		go func() {
			one := cfg
			one.Brokers = []string{seed}
			info, err := probe(ctx, one)
			answers <- answer{i, info, err}
		}()
	}
	var first answer
	for range cfg.Brokers {
		a := <-answers
		if a.err == nil || a.seed == 0 {
			first = a
		}
		if a.err == nil {
			break
		}
	}
	return first.info, first.err
}

// probe asks one seed about the cluster.
func probe(ctx context.Context, cfg Config) (ClusterInfo, error) {
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

	answers := askVersions(ctx, cl, meta)
	slices.SortFunc(answers, func(a, b versions) int { return int(a.node - b.node) })
	for _, a := range answers {
		if a.err != nil {
			// A seed answered but a broker it advertises does not: it is away, or the advertised address is what must be mended.
			info.Away = append(info.Away, advertised(cfg, meta, a.node, a.err))
			continue
		}
		info.Version = kversion.FromApiVersionsResponse(a.response).VersionGuess()
		if err := a.suffice(info.Version); err != nil {
			return info, err
		}
	}
	if len(info.Away) == len(answers) && len(answers) > 0 {
		return info, info.Away[0]
	}
	return info, nil
}

// versions is what a broker says it speaks.
type versions struct {
	node     int32
	response *kmsg.ApiVersionsResponse
	err      error
}

// askVersions asks every broker at once.
func askVersions(ctx context.Context, cl *kgo.Client, meta kadm.Metadata) []versions {
	ctx, cancel := context.WithTimeout(ctx, versionsTimeout)
	defer cancel()
	answers := make([]versions, len(meta.Brokers))
	var asked sync.WaitGroup
	for i, b := range meta.Brokers {
		asked.Go(func() {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1"
			resp, err := req.RequestWith(ctx, cl.Broker(int(b.NodeID)))
			if err == nil {
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			answers[i] = versions{b.NodeID, resp, err}
		})
	}
	asked.Wait()
	return answers
}

// suffice is an error where a broker lacks what weir needs.
func (v *versions) suffice(guess string) error {
	for _, need := range requirements {
		i := slices.IndexFunc(v.response.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == need.key.Int16() })
		if i < 0 || v.response.ApiKeys[i].MaxVersion < need.version {
			return &Error{
				Broker: fmt.Sprint("broker ", v.node),
				Cause:  fmt.Sprintf("the broker (%s) is too old for %s", guess, need.why),
				Remedy: fmt.Sprintf("use Apache Kafka %s or later, or another cluster that speaks %s version %d", need.since, need.key.Name(), need.version),
			}
		}
	}
	return nil
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
			Remedy: "make advertised.listeners of that broker an address that this machine can reach, if it is not just away",
			Err:    err,
		}
	}
	return Diagnose(cfg, err)
}
