package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const childEnv = "WEIR_TEST_BROKER_CHILD" // JSON of childConfig: the test binary is a broker of its own process

type childConfig struct {
	DataDir, Listen              string
	RetentionBytes, SegmentBytes int64
	TidyEvery                    time.Duration
}

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		var c childConfig
		err := json.Unmarshal([]byte(child), &c)
		if err == nil {
			var b *Broker
			if b, err = Start(Config{Listen: c.Listen, DataDir: c.DataDir, RetentionBytes: c.RetentionBytes, SegmentBytes: c.SegmentBytes,
				TidyEvery: c.TidyEvery, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}); err == nil {
				fmt.Println(b.Addr())
				select {}
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cfg Config) *Broker {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func client(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func create(t testing.TB, cl *kgo.Client, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(soon(t), partitions, 1, configs, topic); err != nil {
		t.Fatal(err)
	}
}

// readAll returns the committed records of a topic's partitions in order.
func readAll(t *testing.T, addr, topic string) map[int32][]*kgo.Record {
	t.Helper()
	ctx := soon(t)
	adm := kadm.NewClient(client(t, addr))
	ends := must(adm.ListCommittedOffsets(ctx, topic))(t)
	starts := must(adm.ListStartOffsets(ctx, topic))(t)
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	out := map[int32][]*kgo.Record{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if s, _ := starts.Lookup(topic, o.Partition); o.Offset > s.Offset {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v; still to read: %v", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				out[r.Partition] = append(out[r.Partition], r)
			}
		})
	}
	return out
}

func TestRecordsGroupsAndIdentityOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	cl := client(t, b.Addr())
	ctx := soon(t)
	create(t, cl, "orders", 3, nil)
	for i := range 100 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: fmt.Append(nil, "o-", i), Value: []byte("created")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "orders", Partition: 1, At: 7, LeaderEpoch: -1})
	if err := adm.CommitAllOffsets(ctx, "weir-orders", offsets); err != nil {
		t.Fatal(err)
	}
	id := must(adm.BrokerMetadata(ctx))(t).Cluster
	topicID := must(adm.ListTopics(ctx, "orders"))(t)["orders"].ID
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = start(t, Config{DataDir: dir})
	adm = kadm.NewClient(client(t, b.Addr()))
	if got := must(adm.BrokerMetadata(ctx))(t).Cluster; got != id || id == "" {
		t.Errorf("cluster id %q, was %q", got, id)
	}
	if got := must(adm.ListTopics(ctx, "orders"))(t)["orders"].ID; got != topicID {
		t.Errorf("topic id %v, was %v", got, topicID)
	}
	n := 0
	for _, rs := range readAll(t, b.Addr(), "orders") {
		n += len(rs)
	}
	if n != 100 {
		t.Errorf("%d records, 100 were written", n)
	}
	if o, ok := must(adm.FetchOffsets(ctx, "weir-orders"))(t).Lookup("orders", 1); !ok || o.At != 7 {
		t.Errorf("group position %+v", o)
	}
}

func TestTwoFoldersAreTwoClusters(t *testing.T) {
	id := func() string {
		b := start(t, Config{DataDir: t.TempDir()})
		return must(kadm.NewClient(client(t, b.Addr())).BrokerMetadata(soon(t)))(t).Cluster
	}
	if a, b := id(), id(); a == b {
		t.Errorf("both are %q", a)
	}
}

func TestOccupiedPortNamesPortHolderAndRemedy(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_, err := Start(Config{Listen: ln.Addr().String(), DataDir: t.TempDir()})
	for _, says := range []string{port, "in use", "--kafka-listen", "weir process --brokers"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if _, procErr := os.Stat("/proc/self/fd"); procErr == nil && !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("%v does not name this process (%d)", err, os.Getpid())
	}
}

func TestAddressThatCannotServeIsExplained(t *testing.T) {
	for listen, says := range map[string]string{
		"9092":             "host:port",
		"0.0.0.0:0":        "must be told one",
		"203.0.113.7:9092": "no address of this machine",
	} {
		if _, err := Start(Config{Listen: listen}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", listen, err, says)
		}
	}
}

func TestClientsAreSentToTheAdvertisedAddress(t *testing.T) {
	b := start(t, Config{Advertise: "broker.example:9999"})
	if b.Addr() != "broker.example:9999" {
		t.Fatalf("address %s", b.Addr())
	}
	// The broker's own client dials the real port, whatever is advertised.
	meta := must(b.tidier.adm.BrokerMetadata(soon(t)))(t)
	if meta.Brokers[0].Host != "broker.example" || meta.Brokers[0].Port != 9999 {
		t.Errorf("brokers %+v", meta.Brokers)
	}
}

func TestFolderInUseNamesTheOtherProcess(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{DataDir: dir})
	_, err := Start(Config{Listen: "127.0.0.1:0", DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by process "+fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v", err)
	}
}

func TestFolderThatCannotBeWrittenIsExplained(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Listen: "127.0.0.1:0", DataDir: file}); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a file in place of the folder: %v", err)
	}
	if os.Geteuid() == 0 {
		return // root may write anywhere
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Listen: "127.0.0.1:0", DataDir: closed}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a folder without the right to write: %v", err)
	}
}

func TestFailedStartFreesPortAndFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, metaFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	addr := ln.Addr().String()
	ln.Close()
	if _, err := Start(Config{Listen: addr, DataDir: dir}); err == nil {
		t.Fatal("a broken folder was opened")
	}
	if err := os.Remove(filepath.Join(dir, metaFile)); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Listen: addr, DataDir: dir})
}

// kcat is librdkafka: the other implementation of the protocol that shops use most beside Java.
func TestKcatCanProduceAndConsume(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		skipLoudly(t, "kcat is not installed, so the broker was not tried with librdkafka; get it: apt-get install kcat")
	}
	b := start(t, Config{DataDir: t.TempDir()})
	create(t, client(t, b.Addr()), "orders", 4, nil)
	produce := exec.CommandContext(soon(t), kcat, "-b", b.Addr(), "-t", "orders", "-P", "-K", "|",
		"-X", "partitioner=murmur2_random", "-X", "compression.codec=lz4", "-X", "enable.idempotence=true")
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, "o-%d|{\"n\":%d}\n", i, i)
	}
	produce.Stdin = strings.NewReader(in.String())
	if out, err := produce.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	franz := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	n := 0
	for p, rs := range readAll(t, b.Addr(), "orders") {
		for _, r := range rs {
			n++
			if want := franz.Partition(&kgo.Record{Key: r.Key}, 4); want != int(p) {
				t.Errorf("key %s is in partition %d, Java would put it in %d", r.Key, p, want)
			}
		}
	}
	if n != 500 {
		t.Errorf("%d records, kcat wrote 500", n)
	}
	out, err := exec.CommandContext(soon(t), kcat, "-b", b.Addr(), "-G", "readers", "-e", "-q", "-X", "auto.offset.reset=earliest", "-f", "%k\n", "orders").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if lines := strings.Count(string(out), "\n"); lines != 500 {
		t.Errorf("kcat read %d records in a group, there are 500", lines)
	}
}

// skipLoudly skips a test for want of a program. Where everything is to run (CI=true) that is a failure.
func skipLoudly(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}
