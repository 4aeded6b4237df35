package played

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/pipeline"
	"weir/cmd/weir/internal/simulated"
	"weir/configs"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/sim/scenario"
)

// Place is where a weir is played.
type Place struct {
	Brokers []string
	Prefix  string // of every topic and group; no other weir on the cluster has it
	DataDir string
	Logger  *slog.Logger
	// Patience is how long Settle waits.
	Patience time.Duration
}

// Weir is a weir on a broker. It is a scenario.Runner.
type Weir struct {
	place    Place
	config   configs.Config // of every instance, but for its name and folder
	settings orders.Settings
	own      bool // settings holds what the configuration has no key for
	set      *metric.Set
	rules    *rule.Current
	groups   []sim.Group // as the simulator has them: names, inputs, deadlines
	schedule scenario.Schedule
	rng      *rand.Rand
	stats    Stats

	cl        *kgo.Client
	adm       *kadm.Client
	topics    []string
	reading   *reading
	instances []*instance
	started   []string // names of all instances there ever were
}

var _ scenario.Runner = (*Weir)(nil)

// callTimeout bounds one exchange with the broker, or a few that belong together.
const callTimeout = 30 * time.Second

// New starts a weir as a scenario asks for it.
func New(place Place, setup scenario.Setup) (*Weir, error) {
	setup.Schedule.Partitions = max(setup.Schedule.Partitions, 1)
	w := &Weir{place: place, schedule: setup.Schedule, rng: rand.New(rand.NewPCG(setup.Schedule.Seed, 0x706c6179))}
	err := w.configure(setup)
	if err == nil {
		err = w.open()
	}
	for range max(setup.Schedule.Instances, 1) {
		if err == nil {
			err = w.join()
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// configure turns a scenario's settings into a configuration, as the command line would.
func (w *Weir) configure(setup scenario.Setup) (err error) {
	if w.rules, err = simulated.Rules(setup); err != nil {
		return err
	}
	if w.settings, _, err = simulated.Settings(setup); err != nil { // refuses what no scenario may say
		return err
	}
	standard := orders.DefaultSettings()
	w.own = w.settings.MaxEntries != standard.MaxEntries || w.settings.MaxWaiting != standard.MaxWaiting
	flags := map[string]string{
		"groups":            "orders,metrics,entities,alerts",
		"kafka.brokers":     strings.Join(w.place.Brokers, ","),
		"topics.prefix":     w.place.Prefix,
		"topics.orders":     w.place.Prefix + topology.Orders,
		"topics.payments":   w.place.Prefix + topology.Payments,
		"topics.shipments":  w.place.Prefix + topology.Shipments,
		"topics.partitions": strconv.Itoa(int(setup.Schedule.Partitions)),
		"topics.retention":  "36500d", // records carry the scenario's time, which is long past
		"watermark.idle":    "1h",     // event time moves by events alone, as in the simulator
		"commit_interval":   "10ms",
		"session_timeout":   "6s",
		"heartbeat":         "100ms", // how soon members hear of a rebalance
		"cache_bytes":       "1MiB",
	}
	if w.hostile() {
		flags["commit_interval"] = "60ms" // something is open when a disturbance comes
	}
	for name, key := range map[string]string{"retention": "orders.retention", "disorder": "watermark.disorder"} {
		if value, given := setup.Config[name]; given {
			flags[key] = value
		}
	}
	if setup.MetricsYAML != "" {
		path := filepath.Join(w.place.DataDir, "metrics.yaml")
		if err := os.WriteFile(path, []byte(setup.MetricsYAML), 0o644); err != nil {
			return err
		}
		flags["metrics.file"] = path
	}
	loaded, err := configs.Load(configs.Sourced{Flags: flags})
	if err != nil {
		return err
	}
	w.config = loaded.Config
	if w.set, err = pipeline.Metrics(&w.config); err != nil {
		return err
	}
	w.groups = simulated.Groups(w.settings, w.set, w.rules, setup.Schedule.Partitions)
	return nil
}

// open creates the topics and begins to read them.
func (w *Weir) open() error {
	opts, err := w.config.Kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	if w.cl, err = kgo.NewClient(opts...); err != nil {
		return err
	}
	w.adm = kadm.NewClient(w.cl)
	specs, err := w.config.TopicSpecs()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := client.EnsureTopics(ctx, w.adm, specs); err != nil {
		return client.Diagnose(w.config.Kafka, err)
	}
	for _, s := range specs {
		w.topics = append(w.topics, s.Name)
	}
	w.reading, err = openReading(w.config.Kafka, w.adm, w.topics)
	return err
}

func (w *Weir) in(name string) string { return w.place.Prefix + name }

// Metrics is the set that runs.
func (w *Weir) Metrics() *metric.Set { return w.set }

// Partitions is the partition count of every topic.
func (w *Weir) Partitions() int32 { return w.schedule.Partitions }

// Feed appends records to topics. A hostile schedule disturbs the instances meanwhile.
func (w *Weir) Feed(records []sim.Record) error {
	for len(records) > 0 {
		n := len(records)
		if w.hostile() {
			n = 1 + w.rng.IntN(n)
		}
		if err := w.produce(records[:n]); err != nil {
			return err
		}
		records = records[n:]
		if err := w.disturb(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Weir) produce(records []sim.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var out []*kgo.Record
	for _, r := range records {
		out = append(out, &kgo.Record{Topic: w.in(r.Topic), Partition: client.Partition([]byte(r.Key), w.Partitions()),
			Key: []byte(r.Key), Value: r.Value, Timestamp: r.Timestamp.Time()})
	}
	return w.cl.ProduceSync(ctx, out...).FirstErr()
}

// Rows returns a table's rows.
func (w *Weir) Rows(table string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for p := range w.Partitions() {
		log := w.reading.logs[topicPartition{w.in(table), p}]
		if log == nil {
			return nil, fmt.Errorf("there is no table %q", table)
		}
		for key, row := range log.rows {
			if isReserved(key) {
				continue
			}
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("row %q stands in two partitions of %s", key, table)
			}
			all[key] = row
		}
	}
	return all, nil
}

// Records returns the records of a topic, under the names that the catalogue has for topics.
func (w *Weir) Records(topic string) ([]sim.Record, error) {
	var all []sim.Record
	for p := range w.Partitions() {
		log := w.reading.logs[topicPartition{w.in(topic), p}]
		if log == nil {
			return nil, fmt.Errorf("there is no topic %q", topic)
		}
		all = slices.Concat(all, log.records)
	}
	for i := range all {
		r := &all[i]
		r.Topic = topic
		if from, ok := r.Headers[event.HeaderTopic]; ok {
			r.Headers[event.HeaderTopic] = []byte(strings.TrimPrefix(string(from), w.place.Prefix))
		}
	}
	return slices.DeleteFunc(all, func(r sim.Record) bool { return isReserved(r.Key) }), nil
}

// Counters returns a group's counters.
func (w *Weir) Counters(group string) (map[string]int64, error) {
	sum := map[string]int64{}
	for p := range w.Partitions() {
		marks, err := w.marks(group, p)
		if err != nil {
			return nil, err
		}
		for name, n := range marks.Counters {
			sum[name] += n
		}
	}
	return sum, nil
}

// Close stops the instances and removes everything from the broker. Without disturbances no processor may have failed.
func (w *Weir) Close() error {
	var errs []error
	for _, in := range w.instances {
		errs = append(errs, in.stop())
		if n := in.count(restarts); n > 0 && w.stats.total() == 0 {
			errs = append(errs, fmt.Errorf("processors of %s failed %d times, though nothing disturbed them; see the log", in.name, n))
		}
	}
	w.instances = nil
	if w.reading != nil {
		w.reading.close()
	}
	if w.cl != nil {
		errs = append(errs, w.remove())
		w.cl.Close()
	}
	return errors.Join(errs...)
}

// remove deletes topics and groups.
func (w *Weir) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var errs []error
	for _, g := range w.groups {
		group := g.Name
		if err := w.leave(ctx, group, w.started...); err != nil {
			errs = append(errs, err)
		}
		deleted, err := w.adm.DeleteGroups(ctx, w.in(group))
		if err == nil {
			err = deleted.Error()
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			errs = append(errs, fmt.Errorf("deleting group %s: %w", w.in(group), err))
		}
	}
	deleted, err := w.adm.DeleteTopics(ctx, w.topics...)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("deleting topics: %w", err))
	}
	return errors.Join(errs...)
}

// leave takes instances out of a group. Those that are no members are left out.
func (w *Weir) leave(ctx context.Context, group string, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	left, err := w.adm.LeaveGroup(ctx, kadm.LeaveGroup(w.in(group)).InstanceIDs(names...))
	if err == nil {
		for _, l := range left {
			if l.Err != nil && !errors.Is(l.Err, kerr.UnknownMemberID) {
				err = errors.Join(err, l.Err)
			}
		}
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("taking %v out of group %s: %w", names, w.in(group), err)
	}
	return nil
}
