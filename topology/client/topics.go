package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Cleanup is a topic's cleanup.policy.
type Cleanup string

// The two policies that weir uses.
const (
	Compact Cleanup = "compact" // tables: the last row of each key stays
	Delete  Cleanup = "delete"  // streams: records go by age and size
)

// TopicSpec is what weir needs a topic to be.
type TopicSpec struct {
	Name       string
	Partitions int32 // for creation
	// CoPartition names the topics whose records with equal keys must meet in one partition: all topics of one name must
	// have equal partition counts. A missing one is created with the count of those that exist.
	CoPartition string
	// Replication is the replication factor for creation; 0 is the cluster's: three, or fewer where there are fewer brokers.
	Replication int16
	Cleanup     Cleanup
	// Retention and RetentionBytes bound a stream; 0 leaves the cluster's default. RetentionBytes is for one partition.
	Retention      time.Duration
	RetentionBytes int64
}

const maxReplication = 3

// EnsureTopics creates the topics that are missing and checks the others. Instances that start at once may all call it:
// a topic that another one created first is a success. It never changes a topic that exists.
func EnsureTopics(ctx context.Context, adm *kadm.Client, specs []TopicSpec) error {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	have, err := listTopics(ctx, adm, names)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var missing []TopicSpec
	for _, s := range specs {
		t, ok := have[s.Name]
		switch {
		case !ok, errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			s.Partitions = wantedPartitions(s, specs, have)
			missing = append(missing, s)
		case t.Err != nil:
			return fmt.Errorf("topic %s: %w%s", s.Name, t.Err, authorisation(t.Err))
		}
	}
	if err := create(ctx, adm, missing); err != nil {
		return err
	}
	if have, err = settled(ctx, adm, names); err != nil {
		return err
	}
	return errors.Join(checkPartitions(specs, have), checkCleanup(ctx, adm, specs))
}

// listTopics asks the cluster. A plain ListTopics may answer from a cache that is seconds old, in which a deleted topic
// still has its id; asking for authorised operations goes past the cache.
func listTopics(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	return adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...)
}

// wantedPartitions is the count for a new topic: that of its existing co-partitioned siblings, so that a cluster that
// came with orders in 12 partitions gets everything else in 12.
func wantedPartitions(s TopicSpec, specs []TopicSpec, have kadm.TopicDetails) int32 {
	if s.CoPartition == "" {
		return s.Partitions
	}
	for _, other := range specs {
		if t, ok := have[other.Name]; ok && other.CoPartition == s.CoPartition && t.Err == nil && len(t.Partitions) > 0 {
			return int32(len(t.Partitions))
		}
	}
	return s.Partitions
}

func create(ctx context.Context, adm *kadm.Client, missing []TopicSpec) error {
	if len(missing) == 0 {
		return nil
	}
	meta, err := adm.BrokerMetadata(kadm.WithAuthorizedOps(ctx))
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	var errs []error
	for _, s := range missing {
		replication := s.Replication
		if replication == 0 {
			replication = int16(min(maxReplication, len(meta.Brokers)))
		}
		_, err := adm.CreateTopic(ctx, s.Partitions, replication, s.configs(), s.Name)
		switch {
		case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		case errors.Is(err, kerr.InvalidReplicationFactor):
			errs = append(errs, fmt.Errorf("create topic %s: replication factor %d needs as many brokers and there are %d; lower it or add brokers: %w",
				s.Name, replication, len(meta.Brokers), err))
		default:
			errs = append(errs, fmt.Errorf("create topic %s (%d partitions): %w%s", s.Name, s.Partitions, err, authorisation(err)))
		}
	}
	return errors.Join(errs...)
}

func authorisation(err error) string {
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return "; grant this user Create and Describe on the topic, or create it beforehand (`weir topics` prints the shapes)"
	}
	return ""
}

func (s TopicSpec) configs() map[string]*string {
	value := func(v string) *string { return &v }
	c := map[string]*string{}
	if s.Cleanup != "" {
		c["cleanup.policy"] = value(string(s.Cleanup))
	}
	if s.Retention > 0 {
		c["retention.ms"] = value(strconv.FormatInt(s.Retention.Milliseconds(), 10))
	}
	if s.RetentionBytes > 0 {
		c["retention.bytes"] = value(strconv.FormatInt(s.RetentionBytes, 10))
	}
	return c
}

const settleEvery = 50 * time.Millisecond

// settled waits until every topic is known with a leader for each partition: a new topic is not at once.
func settled(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	for {
		have, err := listTopics(ctx, adm, names)
		if err != nil {
			return nil, fmt.Errorf("list topics: %w", err)
		}
		waiting := ""
		for _, n := range names {
			t, ok := have[n]
			if !ok || t.Err != nil || len(t.Partitions) == 0 {
				waiting = n
			}
			for _, p := range t.Partitions {
				if p.Err != nil || p.Leader < 0 {
					waiting = n
				}
			}
		}
		if waiting == "" {
			return have, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("topic %s has no leader for every partition: %w; check that the cluster's brokers are all up", waiting, ctx.Err())
		case <-time.After(settleEvery):
		}
	}
}

func checkPartitions(specs []TopicSpec, have kadm.TopicDetails) error {
	first := map[string]string{} // co-partition name → its first topic
	var errs []error
	for _, s := range specs {
		if s.CoPartition == "" {
			continue
		}
		f, ok := first[s.CoPartition]
		if !ok {
			first[s.CoPartition] = s.Name
			continue
		}
		a, b := len(have[f].Partitions), len(have[s.Name].Partitions)
		if a == b {
			continue
		}
		small, n := f, b
		if b < a {
			small, n = s.Name, a
		}
		errs = append(errs, fmt.Errorf("topic %s has %d partitions and topic %s has %d: records with one key would never meet; "+
			"give both the same count: create a new topic in place of %s with %d partitions and produce into that (adding partitions in place moves keys)",
			f, a, s.Name, b, small, n))
	}
	return errors.Join(errs...)
}

func checkCleanup(ctx context.Context, adm *kadm.Client, specs []TopicSpec) error {
	var names []string
	want := map[string]Cleanup{}
	for _, s := range specs {
		if s.Cleanup != "" {
			names = append(names, s.Name)
			want[s.Name] = s.Cleanup
		}
	}
	if len(names) == 0 {
		return nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("describe topic configurations: %w%s", err, authorisation(err))
	}
	var errs []error
	for _, rc := range configs {
		if rc.Err != nil {
			errs = append(errs, fmt.Errorf("topic %s: describe its configuration: %w%s", rc.Name, rc.Err, authorisation(rc.Err)))
			continue
		}
		got := configValue(rc, "cleanup.policy")
		if got == string(want[rc.Name]) {
			continue
		}
		why := "a table would lose rows that are not written for the retention time"
		if want[rc.Name] == Delete {
			why = "of events with one key only the last would stay"
		}
		errs = append(errs, fmt.Errorf("topic %s has cleanup.policy=%s and weir needs %s (%s); set it: kafka-configs.sh --alter --topic %s --add-config cleanup.policy=%s",
			rc.Name, got, want[rc.Name], why, rc.Name, want[rc.Name]))
	}
	return errors.Join(errs...)
}

func configValue(rc kadm.ResourceConfig, key string) string {
	for _, c := range rc.Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

// TopicIDs returns the id that the cluster gave each topic. A topic that was deleted and made anew has another id, so
// anything kept locally under the old one must be wiped. A missing topic is an error.
func TopicIDs(ctx context.Context, adm *kadm.Client, topics ...string) (map[string][16]byte, error) {
	have, err := listTopics(ctx, adm, topics)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	ids := make(map[string][16]byte, len(topics))
	for _, n := range topics {
		t, ok := have[n]
		if !ok {
			return nil, fmt.Errorf("topic %s: %w; `weir topics --ensure` creates what is missing", n, kerr.UnknownTopicOrPartition)
		}
		if t.Err != nil {
			return nil, fmt.Errorf("topic %s: %w%s", n, t.Err, authorisation(t.Err))
		}
		ids[n] = t.ID
	}
	return ids, nil
}

// ClusterID returns the id of the cluster.
func ClusterID(ctx context.Context, adm *kadm.Client) (string, error) {
	meta, err := adm.BrokerMetadata(kadm.WithAuthorizedOps(ctx))
	if err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	return meta.Cluster, nil
}

// TopicInfo describes a topic as it stands on the cluster.
type TopicInfo struct {
	Name            string
	ID              string
	Missing         bool
	Partitions      int32
	Replication     int16
	UnderReplicated int32 // partitions with fewer replicas in sync than assigned
	Cleanup         string
	Retention       time.Duration // negative: for ever
	RetentionBytes  int64         // for one partition; negative: no bound
	// Offsets is the span between first and last offset, summed over partitions: an upper bound of the records held
	// (commit markers and compacted records count).
	Offsets int64
}

// Describe tells how the topics stand on the cluster, in the order given. A missing topic is not an error.
func Describe(ctx context.Context, adm *kadm.Client, topics ...string) ([]TopicInfo, error) {
	have, err := listTopics(ctx, adm, topics)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	infos := make([]TopicInfo, len(topics))
	var present []string
	for i, n := range topics {
		t, ok := have[n]
		infos[i] = TopicInfo{Name: n, Missing: !ok || t.Err != nil}
		if infos[i].Missing {
			continue
		}
		present = append(present, n)
		infos[i].ID = t.ID.String()
		infos[i].Partitions = int32(len(t.Partitions))
		for _, p := range t.Partitions {
			infos[i].Replication = int16(len(p.Replicas))
			if len(p.ISR) < len(p.Replicas) {
				infos[i].UnderReplicated++
			}
		}
	}
	if len(present) == 0 {
		return infos, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("describe topic configurations: %w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("list first offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("list last offsets: %w", err)
	}
	for i := range infos {
		if !infos[i].Missing {
			infos[i].fill(configs, starts, ends)
		}
	}
	return infos, nil
}

func (t *TopicInfo) fill(configs kadm.ResourceConfigs, starts, ends kadm.ListedOffsets) {
	if i := slices.IndexFunc(configs, func(rc kadm.ResourceConfig) bool { return rc.Name == t.Name }); i >= 0 {
		t.Cleanup = strings.TrimSpace(configValue(configs[i], "cleanup.policy"))
		if ms, err := strconv.ParseInt(configValue(configs[i], "retention.ms"), 10, 64); err == nil {
			t.Retention = retention(ms)
		}
		if n, err := strconv.ParseInt(configValue(configs[i], "retention.bytes"), 10, 64); err == nil {
			t.RetentionBytes = n
		}
	}
	for p, end := range ends[t.Name] {
		if start, ok := starts.Lookup(t.Name, p); ok && end.Err == nil && start.Err == nil {
			t.Offsets += end.Offset - start.Offset
		}
	}
}

// retention reads retention.ms; what a Duration cannot hold (some 290 years) is for ever.
func retention(ms int64) time.Duration {
	if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
