package engine

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// stats are the engine's Prometheus metrics; every series carries the label group.
type stats struct {
	processed, committed, commits, aborts, restarts    prometheus.Counter
	changelog, emitted, timers, fetchErrors, misplaced prometheus.Counter
	cacheHits, cacheMisses                             prometheus.Counter
	assigned                                           prometheus.Gauge
	commitSeconds                                      prometheus.Histogram
	lagRecords, lagSeconds, watermark, recovered       *prometheus.GaugeVec

	warnedAt atomic.Int64 // Unix seconds of the last warning about misplaced keys
}

func newStats(reg prometheus.Registerer, group string) *stats {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"group": group}, reg)
	counter := func(name, help string) prometheus.Counter {
		return registered(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_engine_" + name, Help: help}))
	}
	perPartition := func(name, help string) *prometheus.GaugeVec {
		return registered(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_engine_" + name, Help: help}, []string{"topic", "partition"}))
	}
	s := &stats{
		processed:   counter("records_processed_total", "Input records handed to callbacks, including those of transactions that were aborted later."),
		committed:   counter("records_committed_total", "Input records whose offsets are committed."),
		commits:     counter("commits_total", "Transactions committed."),
		aborts:      counter("aborts_total", "Transactions aborted: rebalances, failures, refused commits."),
		restarts:    counter("restarts_total", "Times the processor was built anew after a failure."),
		changelog:   counter("changelog_records_total", "Rows written to the changelog: once per row and transaction."),
		emitted:     counter("emitted_records_total", "Records sent to other topics."),
		timers:      counter("timers_fired_total", "Deadline index entries handled."),
		fetchErrors: counter("fetch_errors_total", "Failed fetches; each is tried again."),
		misplaced:   counter("misplaced_keys_total", "Input records in another partition than murmur2 of their key: their producer uses another partitioner, which breaks joins."),
		cacheHits:   counter("cache_hits_total", "Row reads answered from memory."),
		cacheMisses: counter("cache_misses_total", "Row reads that went to LevelDB."),
		lagRecords:  perPartition("lag_records", "Records between the last processed one and the end of the partition."),
		lagSeconds:  perPartition("lag_seconds", "Age of the last processed record by its Kafka timestamp, 0 when caught up."),
		watermark:   perPartition("watermark_seconds", "Event time (Unix seconds) up to which the partition has been read."),
		recovered:   perPartition("recovered_offset", "Changelog offset that recovery or commits have reached."),
	}
	s.assigned = registered(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_engine_partitions_assigned", Help: "Partitions owned by this instance."}))
	s.commitSeconds = registered(reg, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_engine_commit_seconds", Help: "Duration of a commit, from the barrier to the coordinator's answer.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 15}}))
	return s
}

// registered returns c, or the collector that an earlier life of the same group or view registered.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return are.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // two metrics of one name and different labels: a mistake in this file
	}
	return c
}

// warnEvery bounds how often the log repeats that keys are misplaced.
const warnEvery = time.Minute

// checkPartition counts a record that stands in another partition than murmur2 of its key. Without a key every partition is right.
func (rt *Runtime) checkPartition(r *kgo.Record, f kgo.FetchTopicPartition, partitions int32) {
	if partitions == 0 || len(r.Key) == 0 || client.Partition(r.Key, partitions) == f.Partition {
		return
	}
	rt.stats.misplaced.Inc()
	rt.Partition(f.Partition).misplaced++
	now := time.Now().Unix()
	if last := rt.stats.warnedAt.Load(); now-last >= int64(warnEvery.Seconds()) && rt.stats.warnedAt.CompareAndSwap(last, now) {
		rt.log.Warn("keys stand in partitions where murmur2 would not put them: their producer uses another partitioner (librdkafka's default is CRC32), and events of one order may not meet. Set partitioner=murmur2_random in that producer",
			"topic", f.Topic, "partition", f.Partition, "key", fmt.Sprintf("%.64q", r.Key), "expected", client.Partition(r.Key, partitions))
	}
}

// report publishes what the loop knows, at most once a second.
func (g *generation) report(now time.Time) {
	if now.Sub(g.reportedAt) < time.Second {
		return
	}
	g.reportedAt = now
	g.warnOfStuck(now)
	st := g.rt.stats
	for _, c := range g.claims {
		p := strconv.Itoa(int(c.partition))
		lag := max(c.end-c.position, 0)
		if c.position < 0 {
			lag = 0
		}
		st.lagRecords.WithLabelValues(c.topic, p).Set(float64(lag))
		age := 0.0
		if lag > 0 && !c.recordAt.IsZero() {
			age = now.Sub(c.recordAt).Seconds()
		}
		st.lagSeconds.WithLabelValues(c.topic, p).Set(age)
	}
	for _, part := range g.owned {
		p := strconv.Itoa(int(part.num))
		if part.watermark > 0 {
			st.watermark.WithLabelValues(g.rt.table, p).Set(float64(part.watermark) / 1000)
		}
		if s := part.store; s != nil {
			st.cacheHits.Add(float64(s.hits))
			st.cacheMisses.Add(float64(s.misses))
			s.hits, s.misses = 0, 0
			st.recovered.WithLabelValues(g.rt.table, p).Set(float64(s.offset))
		}
	}
}
