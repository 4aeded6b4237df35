package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// groupMemory is how long a group without members still counts as a reader: a restart is no reason to lose its input.
	groupMemory = time.Hour
	// backlogWarning is how many times its bound a stream may hold before unread data is reported, at most once in
	// backlogWarningEvery.
	backlogWarning      = 8
	backlogWarningEvery = 10 * time.Minute
)

// tidier keeps memory and disk bounded while the broker serves: streams by retention, tables by compaction.
type tidier struct {
	cfg     Config
	cluster *kfake.Cluster
	opts    []kgo.Opt
	cl      *kgo.Client
	adm     *kadm.Client
	log     *slog.Logger
	cancel  context.CancelFunc
	done    sync.WaitGroup

	readers map[string]*readers      // groups that count
	tables  map[partition]tableState // since the last compaction
	warned  map[string]time.Time     // topics by when their backlog was last reported
}

// readers is a group: when it last had members, and the topics that they read.
type readers struct {
	live   time.Time
	topics map[string]bool
}

type partition struct {
	topic string
	id    int32
}

func startTidier(cfg Config, cluster *kfake.Cluster, listens string) (*tidier, error) {
	t := &tidier{
		cfg: cfg, cluster: cluster, log: cfg.Logger,
		readers: map[string]*readers{}, tables: map[partition]tableState{}, warned: map[string]time.Time{},
	}
	t.opts = []kgo.Opt{
		kgo.SeedBrokers(listens),
		kgo.ClientID("weir-broker"),
		kgo.DisableFetchSessions(),
		// What is advertised may not be reachable from here.
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listens)
		}),
	}
	var err error
	if t.cl, err = kgo.NewClient(t.opts...); err != nil {
		return nil, err
	}
	t.adm = kadm.NewClient(t.cl)
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.done.Go(func() { t.run(ctx) })
	return t, nil
}

func (t *tidier) stop() {
	t.cancel()
	t.done.Wait()
	t.cl.Close()
}

func (t *tidier) run(ctx context.Context) {
	tick := time.NewTicker(t.cfg.TidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.tidy(ctx); err != nil && ctx.Err() == nil {
				t.log.Warn("embedded broker: retention and compaction did not finish; they are tried again", "error", err, "in", t.cfg.TidyEvery)
			}
		}
	}
}

// tidy looks at every topic once.
func (t *tidier) tidy(ctx context.Context) error {
	topics, err := t.adm.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	unread, err := t.unread(ctx)
	if err != nil {
		return fmt.Errorf("find what groups have read: %w", err)
	}
	var errs []error
	for _, name := range topics.Names() {
		info := t.cluster.TopicInfo(name)
		if info == nil {
			continue // deleted meanwhile
		}
		if c := info.Configs["cleanup.policy"]; c != nil && strings.Contains(*c, "compact") {
			err = t.compactTopic(ctx, name)
		} else {
			err = t.trimTopic(ctx, name, info.Configs, unread)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// trimTopic removes what is too old or too much and was read.
func (t *tidier) trimTopic(ctx context.Context, topic string, configs map[string]*string, unread kadm.Offsets) error {
	keep := time.Duration(bound(configs["retention.ms"], t.cfg.Retention.Milliseconds())) * time.Millisecond
	keepBytes := bound(configs["retention.bytes"], t.cfg.RetentionBytes)
	var young kadm.ListedOffsets
	if keep > 0 {
		var err error
		if young, err = t.adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-keep).UnixMilli(), topic); err != nil {
			return fmt.Errorf("list offsets by time: %w", err)
		}
	}
	cut := kadm.Offsets{}
	for _, p := range t.cluster.PartitionInfos(topic) {
		if p.HighWatermark == p.LogStartOffset {
			continue
		}
		to := p.LogStartOffset
		if o, ok := young.Lookup(topic, p.Partition); ok && o.Err == nil {
			if to = max(to, o.Offset); o.Offset < 0 {
				to = p.HighWatermark // nothing is young enough
			}
		}
		if keepBytes >= 0 && p.NumBytes > keepBytes {
			// Offsets are taken to be equally large, which the next look corrects.
			span := float64(p.HighWatermark-p.LogStartOffset) * (1 - float64(keepBytes)/float64(p.NumBytes))
			to = max(to, p.LogStartOffset+int64(span))
		}
		if at, ok := unread.Lookup(topic, p.Partition); ok && at.At < to {
			to = at.At
			t.warnBacklog(topic, p, keepBytes)
		}
		// The last batch always stays: a log without a file would start again at offset 0.
		if to = min(to, p.LastStableOffset, p.HighWatermark-1); to > p.LogStartOffset {
			cut.Add(kadm.Offset{Topic: topic, Partition: p.Partition, At: to, LeaderEpoch: -1})
		}
	}
	return t.deleteRecords(ctx, cut)
}

func (t *tidier) deleteRecords(ctx context.Context, upTo kadm.Offsets) error {
	if len(upTo) == 0 {
		return nil
	}
	rs, err := t.adm.DeleteRecords(ctx, upTo)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	return nil
}

func bound(config *string, or int64) int64 {
	if config == nil {
		return or
	}
	n, err := strconv.ParseInt(*config, 10, 64)
	if err != nil {
		return or
	}
	return min(n, math.MaxInt64/int64(time.Millisecond))
}

func (t *tidier) warnBacklog(topic string, p *kfake.PartitionInfo, keepBytes int64) {
	if keepBytes < 0 || p.NumBytes < backlogWarning*keepBytes || time.Since(t.warned[topic]) < backlogWarningEvery {
		return
	}
	t.warned[topic] = time.Now()
	t.log.Warn("embedded broker: a stream is far larger than its bound because a group has not read it yet; nothing unread is removed",
		"topic", topic, "partition", p.Partition, "bytes", p.NumBytes, "bound", keepBytes)
}

// unread returns for each partition the first offset that some live group has not read. A group is live while it has
// members, and for groupMemory after; what it subscribes to and never committed, it has not read at all.
func (t *tidier) unread(ctx context.Context) (kadm.Offsets, error) {
	groups, err := t.adm.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var live, members []string
	for _, g := range groups.Sorted() {
		r := t.readers[g.Group]
		if r == nil { // one that is new to this process was live a moment ago, for all that is known
			r = &readers{live: now, topics: map[string]bool{}}
			t.readers[g.Group] = r
		}
		if g.State != "Empty" && g.State != "Dead" {
			r.live = now
			members = append(members, g.Group)
		}
		if now.Sub(r.live) <= groupMemory {
			live = append(live, g.Group)
		}
	}
	maps.DeleteFunc(t.readers, func(g string, _ *readers) bool { _, ok := groups[g]; return !ok })
	if len(live) == 0 {
		return nil, nil
	}
	if len(members) > 0 {
		described, err := t.adm.DescribeGroups(ctx, members...)
		if err != nil {
			return nil, err
		}
		for _, g := range described {
			for topic := range g.AssignedPartitions() {
				t.readers[g.Group].topics[topic] = true
			}
		}
	}
	unread := kadm.Offsets{}
	lower := func(topic string, p int32, at int64) {
		if old, ok := unread.Lookup(topic, p); !ok || at < old.At {
			unread.Add(kadm.Offset{Topic: topic, Partition: p, At: at, LeaderEpoch: -1})
		}
	}
	for _, r := range t.adm.FetchManyOffsets(ctx, live...) {
		if errors.Is(r.Err, kerr.GroupIDNotFound) {
			continue // deleted meanwhile
		}
		if r.Err != nil {
			return nil, fmt.Errorf("group %s: %w", r.Group, r.Err)
		}
		for topic, ps := range r.Fetched {
			for p, o := range ps {
				if o.Err == nil && o.At >= 0 {
					lower(topic, p, o.At)
				}
			}
		}
		for topic := range t.readers[r.Group].topics {
			for _, p := range t.cluster.PartitionInfos(topic) {
				if o, ok := r.Fetched.Lookup(topic, p.Partition); !ok || o.At < 0 {
					lower(topic, p.Partition, 0)
				}
			}
		}
	}
	return unread, nil
}
