package engine

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
)

// Guarantee is what a crash may cost.
type Guarantee string

const (
	// ExactlyOnce binds input offsets, state and output into one Kafka transaction.
	ExactlyOnce Guarantee = "exactly_once"
	// AtLeastOnce commits offsets only after state and output are acknowledged: after a crash some input is processed again.
	AtLeastOnce Guarantee = "at_least_once"
)

// Config is how a Runtime runs. Zero values take the defaults named beside the fields.
type Config struct {
	Kafka     client.Config
	Instance  string // this process among its peers: static membership and transactional id; required
	DataDir   string // LevelDB lives below it; required
	Guarantee Guarantee

	CommitInterval  time.Duration // between commits of a live stream; 50 ms
	BacklogInterval time.Duration // between commits while far behind; 1 s
	SessionTimeout  time.Duration // 10 s
	Heartbeat       time.Duration // 1 s
	Idle            time.Duration // a caught-up source without a record for so long holds no watermark back; 30 s
	Disorder        time.Duration // watermark = greatest event time − Disorder
	CacheBytes      int           // committed rows kept in memory, all partitions together; 64 MiB
	LeaveOnStop     bool          // give partitions up at once on a graceful stop (scale-in), instead of keeping them for a restart
	RecoverAhead    bool          // restore tables before joining a group that others run, so that taking partitions over is short

	Logger   *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// Limits of one Runtime.
const (
	maxPollRecords    = 50_000
	maxPendingRecords = 150_000 // input records in one transaction
	backlogBytes      = 2 << 20 // buffered, where records are few and large
	maxDirtyBytes     = 192 << 20
	maxHeld           = 150_000 // records that wait for the commit to be sent
	transactionLimit  = 60 * time.Second
	claimBuffer       = 1024
)

func (c Config) withDefaults() (Config, error) {
	if c.Instance == "" || c.DataDir == "" {
		return c, errors.New("engine: Instance and DataDir are required")
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.CommitInterval, 50*time.Millisecond)
	set(&c.BacklogInterval, time.Second)
	set(&c.SessionTimeout, 10*time.Second)
	set(&c.Heartbeat, time.Second)
	set(&c.Idle, 30*time.Second)
	if c.CacheBytes <= 0 {
		c.CacheBytes = 64 << 20
	}
	switch c.Guarantee {
	case "":
		c.Guarantee = ExactlyOnce
	case ExactlyOnce, AtLeastOnce:
	default:
		return c, fmt.Errorf("guarantee %q is not known: use %s or %s", c.Guarantee, ExactlyOnce, AtLeastOnce)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Spec is what a group gives the engine beside its goka graph.
type Spec struct {
	Graph *goka.GroupGraph
	// Sources are the input topics whose partitions make the watermark (their callbacks call Partition.Observe). With none, the
	// watermark comes from upstream marks (Partition.Mark).
	Sources []string
	// Upstream names the groups whose marks make the watermark: it is not known before each has spoken. With none, those that speak.
	Upstream []string
	// MarkTopics get this group's watermark: each partition sends it to each of theirs.
	MarkTopics []string
	// TimersSend says that Timer sends to MarkTopics: a watermark is told there once the timers up to it have been called.
	TimersSend bool
	// CheckKeys counts input records that stand in another partition than murmur2 of their key.
	CheckKeys bool
	Hooks     Hooks
}

// Hooks run at the barrier, when no callback does and the engine owns all rows. Nil functions are skipped.
type Hooks struct {
	// Begin comes before the first record or timer of each transaction: what it takes up holds for the whole of it. While nothing comes it
	// is called again and again.
	Begin func()
	// BeforeCommit may add output and rows to the transaction that is about to end.
	BeforeCommit func(*Tx) error
	// Held tells how many records BeforeCommit would send now: a transaction that holds too many is committed early.
	Held func() int
	// Rollback follows an abort: rows and output since the last commit are gone, so must be what was kept beside them.
	Rollback func()
	// Deadline tells when a row wants Timer to be called. It depends on nothing but its arguments.
	Deadline func(key string, row []byte) (event.UnixMilli, bool)
	// Timer is called once the partition's watermark has passed a row's deadline. It must move or end the deadline.
	Timer func(tx *Tx, p *Partition, key string, row []byte) error
}

// Runtime is one group of processors on this instance.
type Runtime struct {
	cfg     Config
	spec    Spec
	name    string
	table   string
	log     *slog.Logger
	stats   *stats
	levels  *levels
	writers chan *rowWriter

	mu    sync.RWMutex
	parts map[int32]*Partition

	session session // of the running Consume; written by the loop, read by callbacks it started
	stock   bool    // see stock.go
}

// New builds a Runtime. build gets it early so that callbacks can ask for their Partition.
func New(cfg Config, group string, build func(*Runtime) Spec) (*Runtime, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	rt := &Runtime{cfg: cfg, name: group, table: group + "-table", log: cfg.Logger.With("group", group), parts: map[int32]*Partition{}}
	rt.stats = newStats(cfg.Registry, group)
	rt.levels, rt.writers = newLevels(rt), newRowWriters()
	rt.spec = build(rt)
	return rt, nil
}

// Name is the goka group's name.
func (rt *Runtime) Name() string { return rt.name }

// Partition is the handle that a callback uses for its own partition.
func (rt *Runtime) Partition(p int32) *Partition {
	rt.mu.RLock()
	part := rt.parts[p]
	rt.mu.RUnlock()
	if part == nil {
		rt.mu.Lock()
		defer rt.mu.Unlock()
		if part = rt.parts[p]; part == nil {
			part = newPartition(rt, p)
			rt.parts[p] = part
		}
	}
	return part
}

// Run processes until ctx ends. A processor that fails is built anew, after a pause that grows from 0.5 s to 30 s and starts again
// once a processor has run for a minute.
func (rt *Runtime) Run(ctx context.Context) error {
	defer rt.levels.close()
	pause := 500 * time.Millisecond
	for {
		started := time.Now()
		err := rt.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > time.Minute {
			pause = 500 * time.Millisecond
		}
		rt.stats.restarts.Inc()
		rt.log.Error("processor stopped; it will be started again", "in", pause, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(pause*2, 30*time.Second)
	}
}

func (rt *Runtime) runOnce(ctx context.Context) error {
	options := rt.options()
	if rt.cfg.RecoverAhead && rt.joinsOthers(ctx) {
		rt.log.Info("others run this group: restoring its tables before joining them")
		options = append(options, goka.WithRecoverAhead())
	}
	proc, err := goka.NewProcessor(rt.cfg.Kafka.Brokers, rt.spec.Graph, options...)
	if err != nil {
		return fmt.Errorf("building processor %s: %w", rt.name, err)
	}
	err = proc.Run(ctx)
	if err == nil && ctx.Err() == nil {
		err = errors.New("processor ended without an error")
	}
	return err
}

func (rt *Runtime) options() []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithClientID(rt.cfg.Instance),
		goka.WithLogger(gokaLogger{rt.log}),
		goka.WithHasher(Hasher),
		goka.WithNilHandling(goka.NilProcess),
		goka.WithPartitionChannelSize(len(rt.spec.Graph.AllEdges())), // a poll brings a message for each input at most
		goka.WithUpdateCallback(updateTable),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) {
			return &consumerGroup{rt: rt, errs: make(chan error)}, nil
		}),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) {
			return producer{rt}, nil
		}),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return newTableConsumer(rt.cfg.Kafka, rt.log, rt.stats)
		}),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return newTopicManager(rt.cfg.Kafka)
		}),
		goka.WithStorageBuilder(func(topic string, partition int32) (storage.Storage, error) {
			return rt.openStore(topic, partition)
		}),
	}
}

// joinsOthers reports that other instances run the group and that this one is none of its members any more: what it will take over is
// being processed now, and should stand still for as short as can be. An instance that comes back within its session takes its
// own partitions back, whose tables it has; waiting for all others' would only cost time.
func (rt *Runtime) joinsOthers(ctx context.Context) bool {
	tm, err := newTopicManager(rt.cfg.Kafka)
	if err != nil {
		return false // joining will tell why
	}
	defer tm.cl.Close()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	groups, err := tm.adm.DescribeGroups(ctx, rt.name)
	if err != nil {
		return false
	}
	for _, m := range groups[rt.name].Members {
		if m.InstanceID != nil && *m.InstanceID == rt.cfg.Instance {
			return false
		}
	}
	return len(groups[rt.name].Members) > 0
}

// updateTable applies a changelog record while a table recovers. A record without a key is a transaction marker that the
// table consumer passes on, so that goka sees the end of the log.
func updateTable(_ goka.UpdateContext, s storage.Storage, key string, value []byte) error {
	switch {
	case key == "":
		return nil
	case value == nil:
		return s.Delete(key)
	default:
		return s.Set(key, value)
	}
}

// gokaLogger passes goka's few words on: its chatter is debug to an operator of weir.
type gokaLogger struct{ log *slog.Logger }

func (l gokaLogger) Printf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l gokaLogger) Println(args ...any)               { l.Print(args...) }
func (l gokaLogger) Print(args ...any)                 { l.log.Debug(fmt.Sprint(args...)) }

// clientOptions are the options of every group client of the runtime.
func (rt *Runtime) clientOptions() ([]kgo.Opt, error) {
	opts, err := rt.cfg.Kafka.Options()
	if err != nil {
		return nil, err
	}
	return append(opts,
		kgo.WithHooks(groupErrors{rt}),
		kgo.ConsumerGroup(rt.name),
		kgo.Balancers(kgo.RangeBalancer()), // assigns equal partition numbers of all topics together: goka needs co-partitioned claims
		kgo.InstanceID(rt.cfg.Instance),
		kgo.SessionTimeout(rt.cfg.SessionTimeout),
		kgo.HeartbeatInterval(rt.cfg.Heartbeat),
		kgo.RebalanceTimeout(30*time.Second),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), // they move positions: without them a transactional topic never looks read to its end
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(96<<10), kgo.FetchMaxWait(time.Second),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedRecords(4*maxPendingRecords),
		kgo.RecordPartitioner(byNumber{kgo.StickyKeyPartitioner(nil)}),
	), nil
}

// groupErrors reports why the group cannot be joined: the client tries again by itself and would say nothing.
type groupErrors struct{ rt *Runtime }

func (h groupErrors) OnGroupManageError(err error) {
	remedy := ""
	switch {
	case errors.Is(err, kerr.InvalidSessionTimeout):
		remedy = "the brokers allow session timeouts from group.min.session.timeout.ms (6 s by default): raise session_timeout"
	case errors.Is(err, kerr.FencedInstanceID):
		remedy = "another process runs under the same instance name: give each its own --instance"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		remedy = "grant this user READ on the group"
	}
	h.rt.log.Warn("the group cannot be joined; trying again", "error", err, "remedy", remedy)
}
