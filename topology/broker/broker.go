package broker

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Defaults of Config.
const (
	DefaultListen         = "127.0.0.1:9092"
	DefaultPartitions     = 8
	DefaultRetention      = 7 * 24 * time.Hour
	DefaultRetentionBytes = 8 << 20
	DefaultSegmentBytes   = 2 << 20
	DefaultTidyEvery      = 30 * time.Second
	DefaultTombstones     = 24 * time.Hour
)

// Config of the embedded broker. The zero value of a field is its default.
type Config struct {
	Listen    string // host:port; port 0 takes a free one
	Advertise string // host:port told to clients; default: where it listens
	DataDir   string // empty: in memory, gone at Close

	// Retention and RetentionBytes (of one partition) bound streams for which the topic itself says nothing. What a group
	// with members has not read is never removed.
	Retention      time.Duration
	RetentionBytes int64
	SegmentBytes   int64         // size at which a partition's log takes a new file
	Tombstones     time.Duration // how long a table keeps the tombstone of a deleted row
	TidyEvery      time.Duration // how often retention and compaction are looked after

	Partitions int // of topics created without a count
	// SyncWrites makes each write durable against power loss, at a cost; without it data is safe against a killed process.
	SyncWrites bool
	Logger     *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Retention, DefaultRetention)
	def(&c.Tombstones, DefaultTombstones)
	def(&c.TidyEvery, DefaultTidyEvery)
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = DefaultRetentionBytes
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = DefaultSegmentBytes
	}
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Broker is a running embedded broker.
type Broker struct {
	cfg     Config
	cluster *kfake.Cluster
	addr    string
	log     *logger
	lock    *folderLock
	intent  *intent
	tidier  *tidier
	once    sync.Once
	closed  error
}

const never = 100 * 365 * 24 * time.Hour

// Start opens the data folder, recovers it, and serves.
func Start(cfg Config) (_ *Broker, err error) {
	cfg = cfg.withDefaults()
	b := &Broker{cfg: cfg, log: &logger{Logger: cfg.Logger}}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.DefaultNumPartitions(cfg.Partitions),
		kfake.WithLogger(b.log),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.ClusterID(newClusterID()), // a folder's own id wins
		kfake.BrokerConfigs(map[string]string{
			"log.retention.ms":    strconv.FormatInt(cfg.Retention.Milliseconds(), 10),
			"log.retention.bytes": strconv.FormatInt(cfg.RetentionBytes, 10),
			"log.segment.bytes":   strconv.FormatInt(cfg.SegmentBytes, 10),
			// kfake's own cleaner removes the committed row under an open transaction that then aborts, and keeps markers for
			// ever; its own retention may empty a log, which then starts again at offset 0. The tidier does both.
			"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10),
			// A folder that was not served for a month must not have lost its groups' positions: they belong to their tables.
			"offsets.retention.minutes":      strconv.Itoa(5 * 365 * 24 * 60),
			"transactional.id.expiration.ms": strconv.FormatInt((24 * 24 * time.Hour).Milliseconds(), 10),
			"state.log.compact.bytes":        strconv.Itoa(1 << 20),
		}),
	}
	if cfg.DataDir != "" {
		if err := b.openFolder(); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(cfg.DataDir))
		if cfg.SyncWrites {
			opts = append(opts, kfake.SyncWrites())
		}
	}
	ln, err := listen(cfg.Listen, cfg.Advertise)
	if err != nil {
		return nil, err
	}
	b.addr = ln.advertised.String()
	opts = append(opts, kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }))
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		ln.Close()
		return nil, fmt.Errorf("broker: open %s: %w; if the folder is damaged, restore it from a copy or start with another one", cfg.DataDir, err)
	}
	if b.intent != nil {
		b.intent.watch(b.cluster)
	}
	ln.open() // no client is served before the watch is on
	if b.tidier, err = startTidier(cfg, b.cluster, ln.Listener.Addr().String()); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// openFolder makes sure that the folder can be written, belongs to this process alone, and is consistent.
func (b *Broker) openFolder() error {
	dir := b.cfg.DataDir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("broker: data folder %s cannot be made: %w; choose another with --data", dir, err)
	}
	var err error
	if b.lock, err = lockFolder(dir); err != nil {
		return err
	}
	if err := recoverFolder(dir, b.cfg.Logger); err != nil {
		return fmt.Errorf("broker: recover %s: %w", dir, err)
	}
	if b.intent, err = openIntent(dir, b.cfg.Logger); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// Addr returns the host:port that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Close stops serving. What is open then is as after a kill: the next start aborts open transactions, and members of
// groups join anew.
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.tidier.stop()
		failures := b.log.failures.Load()
		b.cluster.Close()
		if b.log.failures.Load() > failures {
			b.closed = errors.New("broker: not all of its state could be written at the stop (the log says why); the next start recovers it from the records")
		}
		b.release()
	})
	return b.closed
}

func (b *Broker) release() {
	if b.cluster != nil && b.tidier == nil {
		b.cluster.Close() // Start failed after the cluster was up
	}
	if b.intent != nil {
		b.intent.close()
	}
	if b.lock != nil {
		b.lock.release()
	}
}

func newClusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand does not fail: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(id[:])
}
