package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/cmd/weir/internal/pipeline"
	"weir/configs"
	"weir/processors/orders"
	"weir/topology"
	"weir/topology/broker/kafkatest"
	"weir/topology/client"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/api"
	"weir/views/query"
)

// running is a weir that a test has started and talks to from outside, as a person would.
type running struct {
	t      *testing.T
	name   string
	config string // its configuration file
	cmd    *exec.Cmd
	log    transcript // both outputs
	ended  chan struct{}
	err    error // of the process, once ended is closed

	api   string // base of its URLs, where it serves
	kafka string // its embedded broker, where it has one
}

// transcript keeps what a process says; whoever waits for a line is woken by the next write.
type transcript struct {
	mu    sync.Mutex
	text  []byte
	wake  chan struct{}
	shown string // the prefix under which the lines are shown as well; "": not
}

func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
	if l.shown != "" {
		for line := range bytes.Lines(b) {
			fmt.Fprintf(os.Stderr, "%s: %s", l.shown, line)
		}
	}
	return len(b), nil
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// next is closed at the next write.
func (l *transcript) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake
}

// patience bounds every wait of these tests. They wait for facts: it only ends a test that would never end. mostPatience is with something
// that gets on, if slowly.
const (
	patience     = 4 * time.Minute
	mostPatience = 8 * time.Minute
)

// start runs a command of weir with a configuration file.
func start(t *testing.T, name, config string, args ...string) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, name: name, config: file, ended: make(chan struct{})}
	r.cmd = prepare(t, invocation{args: append(args, "--config", file)})
	if testing.Verbose() {
		r.log.shown = name
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-r.ended:
		default:
			_ = r.cmd.Process.Kill()
			<-r.ended
		}
	})
	return r
}

// startUp runs weir up with free ports and without its shop, and waits until it is ready.
func startUp(t *testing.T, config string, args ...string) *running {
	t.Helper()
	r := start(t, "up", config, append([]string{"up", "--generate", "0", "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, args...)...)
	r.api = r.says(`dashboard  (http://\S+)`)
	r.kafka = r.says(`kafka      (\S+)`)
	r.ready()
	return r
}

// startServe runs weir serve with a free port. It does not wait until it is ready: that needs the groups' tables.
func startServe(t *testing.T, config string) *running {
	t.Helper()
	r := start(t, "serve", config, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"))
	r.api = r.says(`dashboard=(http://\S+)`)
	return r
}

// says waits until the process has said what the expression's group matches.
func (r *running) says(expression string) string {
	r.t.Helper()
	e := regexp.MustCompile(expression)
	timeout := time.After(patience)
	for {
		next := r.log.next()
		if m := e.FindStringSubmatch(r.log.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-next:
		case <-r.ended:
			r.t.Fatalf("weir %s ended (%v) before it said %s:\n%s", r.name, r.err, expression, r.log.String())
		case <-timeout:
			r.t.Fatalf("weir %s did not say %s:\n%s", r.name, expression, r.log.String())
		}
	}
}

// eventually asks again until the answer is "", and fails with the last one. It is patient for as long as the answers change, within limits.
func (r *running) eventually(what string, still func() string) {
	r.t.Helper()
	last, began := "", time.Now()
	deadline := began.Add(patience)
	for {
		answer := still()
		if answer == "" {
			return
		}
		if answer != last && time.Since(began) < mostPatience {
			last, deadline = answer, time.Now().Add(patience)
		}
		select {
		case <-r.ended:
			r.t.Fatalf("weir %s ended: %v\n%s", r.name, r.err, r.log.String())
		case <-time.After(50 * time.Millisecond): // between two questions
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %s", what, answer)
		}
	}
}

// get asks the HTTP API. It returns the status and, where that is 200, decodes the answer.
func (r *running) get(path string, into any) (status int, body string) {
	r.t.Helper()
	res, err := http.Get(r.api + path)
	if err != nil {
		select {
		case <-r.ended:
			r.t.Fatalf("weir %s ended: %v\n%s", r.name, r.err, r.log.String())
		default:
			r.t.Fatal(err)
		}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK && into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			r.t.Fatalf("GET %s: %v: %s", path, err, b)
		}
	}
	return res.StatusCode, string(b)
}

// must is get where nothing but an answer will do.
func (r *running) must(path string, into any) {
	r.t.Helper()
	if status, body := r.get(path, into); status != http.StatusOK {
		r.t.Fatalf("GET %s: %d %s", path, status, body)
	}
}

func (r *running) ready() {
	r.t.Helper()
	r.eventually("weir "+r.name+" is not ready", func() string {
		if status, body := r.get("/readyz", nil); status != http.StatusOK {
			return body
		}
		return ""
	})
}

// status is /v1/status; ok is false while the groups or tables cannot be asked.
func (r *running) status() (s api.Status, ok bool) {
	r.t.Helper()
	code, _ := r.get("/v1/status", &s)
	return s, code == http.StatusOK
}

// settled waits until both groups have committed what follows from n input records. Counters commit with the rows: once they tell of
// all input, weir-deltas holds all that comes of it, and a group metrics without lag has read that.
func (r *running) settled(n int64) api.Status {
	r.t.Helper()
	var s api.Status
	r.eventually("the input is not processed", func() string {
		var ok bool
		if s, ok = r.status(); !ok {
			return "no status"
		}
		// A record that is expired or refused was an event before it became a dead letter.
		read := s.Counters[orders.CounterEvents] + s.Counters[orders.CounterIgnored] + s.Dead - s.Counters[orders.CounterExpired] - s.Counters[orders.CounterRefused]
		for _, g := range s.Groups {
			if g.LagRecords != 0 || len(g.Partitions) == 0 {
				return fmt.Sprintf("group %s has a lag of %d records", g.Name, g.LagRecords)
			}
		}
		if read != n {
			return fmt.Sprintf("%d records of %d are processed; counters %v", read, n, s.Counters)
		}
		return ""
	})
	return r.keptUp()
}

// keptUp waits until no group has a lag, as measured after this was called: lags are asked for once a second at most. The first
// measurement that is told afterwards may have begun before.
func (r *running) keptUp() (s api.Status) {
	r.t.Helper()
	since, later := time.Now(), 0
	r.eventually("the groups do not keep up", func() string {
		var ok bool
		if s, ok = r.status(); !ok || s.Measured.At == nil {
			return "lags are not measured"
		}
		if s.Measured.At.After(since) {
			since, later = *s.Measured.At, later+1
		}
		if later < 2 {
			return "lags are not measured"
		}
		for _, g := range s.Groups {
			if g.LagRecords != 0 {
				return fmt.Sprintf("group %s has a lag of %d records", g.Name, g.LagRecords)
			}
		}
		return ""
	})
	return s
}

// neverFailed tells that no part of the process had to be started again.
func (r *running) neverFailed() {
	r.t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "started again") {
			r.t.Errorf("weir %s: %s", r.name, strings.TrimSpace(line))
		}
	}
	if r.api == "" {
		return
	}
	if status, body := r.get("/metrics", nil); status == http.StatusOK {
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "weir_engine_restarts_total") && !strings.HasSuffix(strings.TrimSpace(line), " 0") {
				r.t.Errorf("weir %s: %s", r.name, line)
			}
		}
	}
}

// stop asks the process to end and wants it to do so cleanly.
func (r *running) stop() {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
		if r.err != nil {
			r.t.Errorf("weir %s did not stop cleanly: %v\n%s", r.name, r.err, r.log.String())
		}
	case <-time.After(patience):
		r.t.Fatalf("weir %s does not stop:\n%s", r.name, r.log.String())
	}
}

// dial opens a Kafka client that partitions as Java does.
func dial(t *testing.T, kafka string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(kafka, ",")...), kgo.ProducerBatchCompression(kgo.SnappyCompression())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// replayed runs weir replay and returns how many events it has sent.
func replayed(t *testing.T, config, kafka string, files ...string) int64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := weir(t, invocation{args: append([]string{"replay", "--strict", "--config", file, "--brokers", kafka}, files...)})
	var n int64
	if _, err := fmt.Sscanf(r.out, "sent %d events", &n); r.code != 0 || err != nil {
		t.Fatalf("weir replay: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	return n
}

// answer is GET /v1/metrics/{name} with the range in one point; values by the labels' values, in the order of by.
func (r *running) answer(metric, rangeOf string, by ...string) map[string]total {
	r.t.Helper()
	var a query.Answer
	r.must(fmt.Sprintf("/v1/metrics/%s?window=all%s&by=%s", metric, rangeOf, strings.Join(by, ",")), &a)
	out := map[string]total{}
	for _, s := range a.Series {
		if len(s.Points) != 1 {
			r.t.Fatalf("%s has %d points in window=all", metric, len(s.Points))
		}
		values := make([]string, len(by))
		for i, label := range by {
			values[i] = s.Labels[label]
		}
		out[strings.Join(values, "|")] = total{value: fmt.Sprint(s.Points[0].Value), count: s.Points[0].Count}
	}
	return out
}

// total is one figure of an answer: its value as a person would write it, and how many events it comes from.
type total struct {
	value string
	count int64
}

// tables are the group tables of weir up as they stand in Kafka, once no row is due any more: timers run after the input is read.
func (r *running) tables() (rows tables) {
	r.t.Helper()
	cl := dial(r.t, r.kafka)
	config, err := configs.Load(configs.Sourced{File: r.config})
	if err != nil {
		r.t.Fatal(err)
	}
	set, err := pipeline.Metrics(&config.Config)
	if err != nil {
		r.t.Fatal(err)
	}
	read := func() string {
		rows = tables{orders: readTable(r.t, cl, topology.TableOrders), cells: readTable(r.t, cl, topology.TableMetrics), counters: map[string]int64{}}
		takeMarks(r.t, rows.orders, rows.counters)
		watermarks := takeMarks(r.t, rows.cells, rows.counters)
		due := 0
		for key, row := range rows.cells {
			at, ok := set.Expiry(key)
			if !ok {
				var cell table.Cell
				if err := cell.UnmarshalVT(row); err != nil {
					r.t.Fatal(err)
				}
				at, ok = set.CellExpiry(key, &cell)
			}
			if ok && at <= watermarks[partitionOf(key, len(watermarks))] {
				due++
			}
		}
		if due > 0 {
			return fmt.Sprintf("%d of %d metric rows", due, len(rows.cells))
		}
		return ""
	}
	r.eventually("rows are due", read)
	if r.api != "" { // what came of the last rows that were due, such as sessions that closed, is counted once the groups have read it
		r.keptUp()
		r.eventually("rows are due", read)
	}
	return rows
}

// takeMarks takes the reserved rows out of a table, adds up their counters and returns each partition's watermark.
func takeMarks(t *testing.T, rows map[string][]byte, counters map[string]int64) map[int]event.UnixMilli {
	t.Helper()
	watermarks := map[int]event.UnixMilli{}
	for key, row := range rows {
		if !engine.IsReserved(key) {
			continue
		}
		delete(rows, key)
		name, partition, _ := strings.Cut(key, "@")
		if name != engine.MarksKey {
			continue
		}
		var m table.Marks
		n, err := strconv.Atoi(partition)
		if err = errors.Join(err, m.UnmarshalVT(row)); err != nil {
			t.Fatal(err)
		}
		watermarks[n] = event.UnixMilli(m.WatermarkMs)
		for name, n := range m.Counters {
			counters[name] += n
		}
	}
	return watermarks
}

// partitionOf is where a record with this key belongs.
func partitionOf(key string, partitions int) int {
	return int(client.Partition([]byte(key), int32(partitions)))
}

// sharedFile is a file of real events. They are not part of the project: where they are absent the test says so.
func sharedFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "data", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("SKIP: the real events are not here (%s): nothing is shown about real input", path)
	}
	return path
}

// linesOf are the lines of a file, decompressed where needed.
func linesOf(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var src io.Reader = f
	if strings.HasSuffix(path, ".zst") {
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		src = z
	}
	var lines [][]byte
	sc := bufio.NewScanner(src)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// onKafka is a real cluster and names on it that nobody else uses. What has them is deleted after the test.
func onKafka(t *testing.T) (addr, prefix string) {
	t.Helper()
	addr, prefix = kafkatest.Start(t), kafkatest.Unique("real")+"-"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		adm := kadm.NewClient(dial(t, addr))
		found, err := adm.ListTopics(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		ours := slices.DeleteFunc(found.Names(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		if _, err := adm.DeleteTopics(ctx, ours...); err != nil {
			t.Errorf("deleting topics %v: %v", ours, err)
		}
		if _, err := adm.DeleteGroups(ctx, prefix+topology.GroupOrders, prefix+topology.GroupMetrics); err != nil {
			t.Errorf("deleting groups: %v", err)
		}
	})
	return addr, prefix
}

// installation is the configuration of a weir on a shared cluster: source topics and weir's own under one prefix.
func installation(addr, prefix string) string {
	return fmt.Sprintf("kafka: {brokers: [%q]}\ntopics: {prefix: %q, orders: %sorders, payments: %spayments, shipments: %sshipments, partitions: 4, replication: 1}\n",
		addr, prefix, prefix, prefix, prefix)
}

// TestMissingTopicsAreNamed is about a cluster on which weir may not create topics, and about a view server that finds none of the tables.
func TestMissingTopicsAreNamed(t *testing.T) {
	longForm(t)
	t.Parallel()
	c, addr := cluster(t, kfake.SeedTopics(4, "orders", "payments"))
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		create, ok := req.(*kmsg.CreateTopicsRequest)
		if !ok {
			return nil, nil, false
		}
		res := create.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, topic := range create.Topics {
			refused := kmsg.NewCreateTopicsResponseTopic()
			refused.Topic, refused.ErrorCode = topic.Topic, kerr.TopicAuthorizationFailed.Code
			res.Topics = append(res.Topics, refused)
		}
		return res, nil, true
	})
	r := weir(t, invocation{args: []string{"process", "--brokers", addr, "--instance", "one"}})
	if r.code == 0 {
		t.Error("weir process runs without its topics")
	}
	for _, says := range []string{"create topic shipments", "TOPIC_AUTHORIZATION_FAILED", "grant this user Create"} {
		if !strings.Contains(r.err, says) {
			t.Errorf("does not say %q: %s", says, r.err)
		}
	}
	serve := startServe(t, fmt.Sprintf("kafka: {brokers: [%q]}\n", addr))
	serve.eventually("the missing tables are not named", func() string {
		status, body := serve.get("/readyz", nil)
		for _, says := range []string{topology.TableOrders, topology.TableMetrics, "UNKNOWN_TOPIC_OR_PARTITION", "weir topics --ensure", "topics.prefix"} {
			if status != http.StatusServiceUnavailable || !strings.Contains(body, says) {
				return fmt.Sprintf("%d %s", status, body)
			}
		}
		return ""
	})
	serve.stop()
}
