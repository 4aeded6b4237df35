package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/bench"
	"weir/topology"
)

// fleet is the processes of one run.
type fleet struct {
	t                    *testing.T
	addr, source, prefix string
	replicas             int // of each partition; 0: one
	session              time.Duration
	dir                  string
	settings             string // beyond those of config
	running              map[string]*running
	all                  []*running // that ever ran
	began                []time.Time
}

// config is the same for all processes of the run, and for its view server.
func (f *fleet) config() string {
	return fmt.Sprintf(`
kafka: {brokers: [%s]}
topics: {prefix: %q, orders: %sorders, payments: %spayments, shipments: %sshipments, partitions: 4, replication: %d}
watermark: {idle: 1h}
session_timeout: %s
heartbeat: 300ms
log: {level: info}
%s`, strings.ReplaceAll(strconv.Quote(f.addr), ",", `", "`), f.prefix, f.source, f.source, f.source, max(f.replicas, 1), f.session, f.settings)
}

func (f *fleet) start(name string, args ...string) {
	f.t.Helper()
	f.began = append(f.began, time.Now())
	r := start(f.t, f.prefix+name, f.config(), append([]string{"process", "--instance", name, "--data", filepath.Join(f.dir, name)}, args...)...)
	f.running[name], f.all = r, append(f.all, r)
}

func (f *fleet) kill(name string) {
	_ = f.running[name].cmd.Process.Kill()
	<-f.running[name].ended
	delete(f.running, name)
}

func (f *fleet) stop() {
	for _, r := range f.running {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, r := range f.running {
		select {
		case <-r.ended:
			if r.err != nil {
				f.t.Errorf("weir %s did not stop cleanly: %v", r.name, r.err)
			}
		case <-time.After(patience):
			f.t.Errorf("weir %s does not stop", r.name)
		}
	}
}

// restarts tells how long the processes took from their start until all four groups worked, as their logs say. The first one had
// nothing to take up.
func (f *fleet) restarts() string {
	var took []time.Duration
	for i, r := range f.all[1:] {
		working := map[string]time.Time{}
		for line := range strings.Lines(r.log.String()) {
			m := generationStarted.FindStringSubmatch(line)
			if m == nil || !working[m[2]].IsZero() {
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, m[1])
			if err != nil {
				f.t.Fatal(err)
			}
			working[m[2]] = at
		}
		if len(working) < 4 {
			continue // it was killed before
		}
		last := slices.MaxFunc(slices.Collect(maps.Values(working)), time.Time.Compare)
		took = append(took, last.Sub(f.began[i+1]).Round(10*time.Millisecond))
	}
	if len(took) == 0 {
		return "none came so far"
	}
	slices.Sort(took)
	return fmt.Sprintf("%d starts, median %v, greatest %v", len(took), took[len(took)/2], took[len(took)-1])
}

var generationStarted = regexp.MustCompile(`^time=(\S+) .*msg="generation started" .*group=(\S+)`)

// chaos kills, freezes and scales in random order, at random moments.
func (f *fleet) chaos(r *rand.Rand, d disturbance) {
	var plan []string
	for action, n := range map[string]int{"kill": d.kills, "freeze": d.freezes, "scale": d.scalings, "outage": d.outages} {
		for range n {
			plan = append(plan, action)
		}
	}
	r.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	spare := []string{"two", "three"}
	for _, action := range plan {
		time.Sleep(leastPause + time.Duration(r.Int64N(int64(mostPause)))) // the random moment
		if action == "outage" {
			d.cluster.away(r.IntN(len(d.cluster.nodes)), time.Duration(r.Int64N(int64(mostAway))), r.IntN(3) == 0)
			continue
		}
		names := make([]string, 0, len(f.running))
		for name := range f.running {
			names = append(names, name)
		}
		victim := names[r.IntN(len(names))]
		switch {
		case action == "kill":
			f.kill(victim)
			f.start(victim)
		case action == "freeze":
			p := f.running[victim].cmd.Process
			_ = p.Signal(syscall.SIGSTOP)
			if len(f.running) == 1 { // somebody must take over, or the zombie is none
				f.start(spare[0])
				spare = spare[1:]
			}
			time.Sleep(d.frozenFor) // its session passes
			_ = p.Signal(syscall.SIGCONT)
		case len(spare) > 0:
			f.start(spare[0])
			spare = spare[1:]
		default:
			f.running[victim].stop()
			delete(f.running, victim)
			spare = append(spare, victim)
		}
	}
}

// settle waits until the run's groups have read all input, as long as they get on.
func (f *fleet) settle(cl *kgo.Client) {
	f.t.Helper()
	adm := kadm.NewClient(cl)
	deadline, most := time.Now().Add(patience), int64(0)
	quiet := 0
	for quiet < 3 {
		var left, read int64
		ready, last := true, ""
		for _, group := range []string{topology.GroupOrders, topology.GroupMetrics, topology.GroupEntities, topology.GroupAlerts} {
			done, n, err := bench.Progress(context.Background(), adm, f.prefix+group)
			left, read = left+n, read+done
			ready = ready && err == nil && done > 0
			last = fmt.Sprintf("%s %s: %d done, %d left, %v", last, group, done, n, err)
		}
		if ready && left == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if read > most {
			deadline, most = time.Now().Add(patience), read
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s does not get on:%s", f.prefix, last)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (f *fleet) read(cl *kgo.Client) (rows tables) {
	f.t.Helper()
	rows.counters, rows.fraud = map[string]int64{}, map[string]int64{}
	for _, one := range []struct {
		name     string
		rows     *map[string][]byte
		counters map[string]int64
	}{
		{topology.TableOrders, &rows.orders, rows.counters}, {topology.TableMetrics, &rows.cells, rows.counters},
		{topology.TableAlerts, &rows.cases, rows.fraud}, {topology.TableEntities, &rows.entities, rows.fraud},
	} {
		*one.rows = readTable(f.t, cl, f.prefix+one.name)
		watermarks := takeMarks(f.t, *one.rows, one.counters)
		if one.name == topology.TableEntities {
			rows.watermark = slices.Max(slices.Collect(maps.Values(watermarks)))
		}
	}
	return rows
}
