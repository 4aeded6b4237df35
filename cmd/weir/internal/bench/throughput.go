package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what to measure.
type Options struct {
	Kafka      []kgo.Opt
	Partitions int32
	Orders     int    // three events each
	Fraud      bool   // groups entities and alerts run too
	Metrics    string // what the run computes, for the report: w, default, shop
	Rate       int    // events/s of the paced part; 0: leave it out
	Warm       time.Duration
	Measure    time.Duration
	// Process and Serve give the arguments of the children for a run with this prefix and HTTP address.
	Process, Serve func(prefix, listen string) []string
	Binary         string
	Progress       func(what string, done, of int)
}

// Shop as Options.Metrics means the shipped metrics and rules over the events of a shop instead of W's.
const Shop = "shop"

// Throughput is one run of W from a full backlog to its end.
type Throughput struct {
	Events              int
	Wall                time.Duration // from the first committed event to the last committed row
	CPU                 time.Duration // of the whole process, start and stop included
	WarmCPU             time.Duration // of what followed the first third of the events
	WarmEvents          int64
	PeakBytes           int64
	Commits, Aborts     float64
	Changelog, Deltas   float64
	OrderRows, CellRows int
	Facts               string
}

func (t Throughput) String() string {
	perEvent := func(d time.Duration, n float64) float64 { return float64(d.Nanoseconds()) / 1000 / n }
	return fmt.Sprintf("events=%d rate=%.0f/s cpu_us_per_event=%.2f warm_cpu_us_per_event=%.2f peak_mb=%d commits=%.0f aborts=%.0f changelog_records=%.0f order_rows=%d metric_rows=%d\n%s",
		t.Events, float64(t.Events)/t.Wall.Seconds(), perEvent(t.CPU, float64(t.Events)), perEvent(t.WarmCPU, float64(t.WarmEvents)), t.PeakBytes>>20, t.Commits, t.Aborts, t.Changelog, t.OrderRows, t.CellRows, t.Facts)
}

// RunThroughput fills fresh topics, lets one process work them off, and reads the result. The topics are removed at the end.
func RunThroughput(ctx context.Context, o Options) (Throughput, error) {
	prefix := fmt.Sprintf("bench-%d-", time.Now().UnixMilli())
	cl, err := kgo.NewClient(append(o.Kafka[:len(o.Kafka):len(o.Kafka)], kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(100_000))...)
	if err != nil {
		return Throughput{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	defer removeTopics(adm, prefix)
	t := Throughput{Events: 3 * o.Orders}
	if t.Events, err = fill(ctx, cl, topicsOf(prefix), o, func(n int) { o.Progress("producing", n, 3*o.Orders) }); err != nil {
		return t, err
	}
	listen, err := freeAddress()
	if err != nil {
		return t, err
	}
	c, err := startChild("process", o.Binary, sourcesOf(prefix, o), listen, o.Process(prefix, listen)...)
	if err != nil {
		return t, err
	}
	runErr := t.follow(ctx, adm, c, prefix, o)
	if runErr == nil {
		var counters map[string]float64
		if counters, runErr = c.counters(ctx); runErr == nil {
			t.Commits, t.Aborts = counters["weir_engine_commits_total"], counters["weir_engine_aborts_total"]
			t.Changelog = counters["weir_engine_changelog_records_total"]
		}
	}
	var stopErr error
	t.CPU, t.PeakBytes, stopErr = c.stop()
	if err := errors.Join(runErr, stopErr); err != nil {
		return t, fmt.Errorf("%w; last words of weir process:\n%s", err, c.log.buf.String())
	}
	return t, t.readFacts(ctx, o, prefix)
}

// sampleEvery is how often progress is looked at; it bounds the error of Wall and of the warm third.
const sampleEvery = 50 * time.Millisecond

// follow watches the groups' committed offsets until both have reached the end of their input.
func (t *Throughput) follow(ctx context.Context, adm *kadm.Client, c *child, prefix string, o Options) error {
	var first time.Time
	var warmFrom time.Duration
	var warmDone int64
	quiet := 0
	for {
		if err := c.check(); err != nil {
			return err
		}
		orders, ordersLag, err1 := Progress(ctx, adm, prefix+"weir-orders")
		behind, err2 := lagOf(ctx, adm, prefix, o.Fraud)
		if err1 == nil && err2 == nil {
			if orders > 0 && first.IsZero() {
				first = time.Now()
			}
			if warmFrom == 0 && orders >= int64(t.Events)/3 {
				warmFrom, warmDone = c.cpu(), orders
			}
			o.Progress("processing", int(orders), t.Events)
			if orders >= int64(t.Events) && ordersLag == 0 && behind == 0 {
				if quiet++; quiet == 1 {
					t.Wall, t.WarmCPU, t.WarmEvents = time.Since(first), c.cpu()-warmFrom, int64(t.Events)-warmDone
				}
				if quiet == 6 { // still at the end: nothing came after
					return nil
				}
			} else {
				quiet = 0
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sampleEvery):
		}
	}
}

// lagOf is how much the groups after the first have left to read.
func lagOf(ctx context.Context, adm *kadm.Client, prefix string, fraud bool) (left int64, err error) {
	groups := []string{"weir-metrics"}
	if fraud {
		groups = append(groups, "weir-entities", "weir-alerts")
	}
	for _, g := range groups {
		_, n, err := Progress(ctx, adm, prefix+g)
		if err != nil {
			return 0, err
		}
		left += n
	}
	return left, nil
}

// Progress is how many input records a group has committed and how many are left.
func Progress(ctx context.Context, adm *kadm.Client, group string) (done, left int64, err error) {
	offsets, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return 0, 0, err
	}
	var names []string
	for topic := range offsets {
		names = append(names, topic)
	}
	if len(names) == 0 {
		return 0, 1, nil
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return 0, 0, err
	}
	ends.Each(func(e kadm.ListedOffset) {
		if at, ok := offsets.Lookup(e.Topic, e.Partition); ok && at.At >= 0 {
			done += at.At
			left += e.Offset - at.At
		} else {
			left += e.Offset
		}
	})
	return done, left, nil
}

func removeTopics(adm *kadm.Client, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	all, err := adm.ListTopics(ctx)
	if err != nil {
		return
	}
	var ours []string
	for _, name := range all.Names() {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			ours = append(ours, name)
		}
	}
	if len(ours) > 0 {
		_, _ = adm.DeleteTopics(ctx, ours...) // a leftover costs the cluster disk, not the figures
	}
	_, _ = adm.DeleteGroups(ctx, prefix+"weir-orders", prefix+"weir-metrics", prefix+"weir-entities", prefix+"weir-alerts")
}
