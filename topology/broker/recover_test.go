package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const tornPartitions = 3

var fuzzTime = time.UnixMilli(1_767_225_600_000)

// copyFolder is what a killed broker leaves at this moment: every write has reached the kernel.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeTxn writes one record to each partition of deltas in a transaction and leaves it open.
func writeTxn(t *testing.T, ctx context.Context, cl *kgo.Client, value string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(tornPartitions) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "deltas", Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// stage sends the positions that the open transaction's commit will set.
func stage(t *testing.T, ctx context.Context, cl *kgo.Client, at int64) {
	t.Helper()
	pid, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = "w", "weir-orders", pid, epoch, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = "deltas"
	topic.TopicID = must(kadm.NewClient(cl).ListTopics(ctx, "deltas"))(t)["deltas"].ID
	for p := range int32(tornPartitions) {
		o := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		o.Partition, o.Offset = p, at
		topic.Partitions = append(topic.Partitions, o)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			t.Fatalf("positions were not taken: %d", p.ErrorCode)
		}
	}
}

func end(t *testing.T, ctx context.Context, cl *kgo.Client, e kgo.TransactionEndTry) {
	t.Helper()
	if err := cl.EndTransaction(ctx, e); err != nil {
		t.Fatal(err)
	}
}

// outcome is what clients see of the transaction "torn": on how many partitions, and where the group stands.
func outcome(t *testing.T, dir string) (partitions int, positions []int64) {
	t.Helper()
	b := start(t, Config{DataDir: dir})
	defer b.Close()
	for _, rs := range readAll(t, b.Addr(), "deltas") {
		for _, r := range rs {
			switch string(r.Value) {
			case "torn":
				partitions++
			case "aborted":
				t.Errorf("a record of an aborted transaction is visible: %s-%d", r.Topic, r.Partition)
			}
		}
		if len(rs) == 0 || string(rs[0].Value) != "first" {
			t.Errorf("the first transaction is gone: %v", rs)
		}
	}
	offsets := must(kadm.NewClient(client(t, b.Addr())).FetchOffsets(soon(t), "weir-orders"))(t)
	for p := range int32(tornPartitions) {
		o, _ := offsets.Lookup("deltas", p)
		positions = append(positions, o.At)
	}
	return partitions, positions
}

func TestCommitThatWasInterruptedIsCommittedEverywhereOrNowhere(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	cl := client(t, b.Addr(), kgo.TransactionalID("w"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	create(t, cl, "deltas", tornPartitions, nil)
	ctx := soon(t)
	writeTxn(t, ctx, cl, "first")
	stage(t, ctx, cl, 1)
	end(t, ctx, cl, kgo.TryCommit)
	writeTxn(t, ctx, cl, "aborted")
	end(t, ctx, cl, kgo.TryAbort)
	writeTxn(t, ctx, cl, "torn")
	stage(t, ctx, cl, 5)
	before := copyFolder(t, dir)
	end(t, ctx, cl, kgo.TryCommit)
	after := copyFolder(t, dir)

	check := func(name, dir string, wantPartitions int, wantPosition int64) {
		t.Helper()
		partitions, positions := outcome(t, dir)
		if partitions != wantPartitions {
			t.Errorf("%s: visible on %d partitions, want %d", name, partitions, wantPartitions)
		}
		for p, at := range positions {
			if at != wantPosition {
				t.Errorf("%s: the group stands at %d of partition %d, want %d", name, at, p, wantPosition)
			}
		}
	}
	check("killed before the commit was asked for", copyFolder(t, before), 0, 1)
	for markers := range 1 << tornPartitions {
		torn := copyFolder(t, before)
		copyFile(t, after, torn, intentFile)
		for p := range tornPartitions {
			if markers&(1<<p) != 0 {
				pdir := filepath.Join(partitionsDir, fmt.Sprint("deltas-", p))
				copyFile(t, after, torn, filepath.Join(pdir, "0.dat"))
				copyFile(t, after, torn, filepath.Join(pdir, "0.idx"))
			}
		}
		check(fmt.Sprintf("killed with markers %03b", markers), torn, tornPartitions, 5)
		if markers != 1<<tornPartitions-1 {
			continue
		}
		copyFile(t, after, torn, groupsFile)
		check("killed before the producer's state was written", copyFolder(t, torn), tornPartitions, 5)
	}
	check("killed after the commit", copyFolder(t, after), tornPartitions, 5)
}

func TestIntentThatWasBeingWrittenIsNone(t *testing.T) {
	dir := t.TempDir()
	for _, slot := range [][]byte{nil, {1, 2, 3}, make([]byte, 8), {200, 0, 0, 0, 1, 2, 3, 4, '{'}, {2, 0, 0, 0, 9, 9, 9, 9, '{', '}'}} {
		if err := os.WriteFile(filepath.Join(dir, intentFile), slot, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := readIntent(dir); c != nil || err != nil {
			t.Errorf("%v: %+v, %v", slot, c, err)
		}
	}
}

// kfake alone brings the first transaction back to life here: it leaves no marker when it aborts at start.
func TestTransactionAbortedByOneCrashStaysAbortedAfterTheNext(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	ctx := soon(t)
	manual := []kgo.Opt{kgo.TransactionalID("w"), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	cl := client(t, b.Addr(), manual...)
	create(t, cl, "deltas", tornPartitions, nil)
	writeTxn(t, ctx, cl, "first")
	end(t, ctx, cl, kgo.TryCommit)
	writeTxn(t, ctx, cl, "aborted")
	for range 3 {
		dir = copyFolder(t, dir)
		b = start(t, Config{DataDir: dir})
		cl = client(t, b.Addr(), manual...)
		writeTxn(t, ctx, cl, "torn")
		end(t, ctx, cl, kgo.TryCommit)
	}
	for p, rs := range readAll(t, b.Addr(), "deltas") {
		for _, r := range rs {
			if string(r.Value) == "aborted" {
				t.Errorf("a record of an aborted transaction is visible in partition %d", p)
			}
		}
		if len(rs) != 4 {
			t.Errorf("partition %d shows %d records, want 4", p, len(rs))
		}
	}
}

func TestProducerThatOutlivesTheBrokerIsNotToldThatItsTransactionWasCommitted(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	addr := b.Addr()
	ctx := soon(t)
	cl := client(t, addr, kgo.TransactionalID("w"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	create(t, cl, "deltas", tornPartitions, nil)
	writeTxn(t, ctx, cl, "first")
	end(t, ctx, cl, kgo.TryCommit)
	writeTxn(t, ctx, cl, "aborted")
	dir = copyFolder(t, dir)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, Config{DataDir: dir, Listen: addr})
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("the producer believes that its transaction was committed")
	}
	rs := readAll(t, addr, "deltas")
	if count(rs) != tornPartitions {
		t.Errorf("visible: %v", rs)
	}
}

// A stop in the middle of a transaction is no better than a kill: the transaction is gone, and nobody is told otherwise.
func TestTransactionThatWasOpenAtAStopIsAborted(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	addr := b.Addr()
	ctx := soon(t)
	cl := client(t, addr, kgo.TransactionalID("w"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	create(t, cl, "deltas", tornPartitions, nil)
	writeTxn(t, ctx, cl, "first")
	stage(t, ctx, cl, 1)
	end(t, ctx, cl, kgo.TryCommit)
	writeTxn(t, ctx, cl, "torn")
	stage(t, ctx, cl, 5)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, Config{DataDir: dir, Listen: addr})
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("the producer believes that its transaction was committed")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n, at := outcome(t, dir); n != 0 || at[0] != 1 {
		t.Errorf("visible on %d partitions, group at %v", n, at)
	}
}

// A record that was written but not acknowledged is repeated by its producer and must not be there twice.
func TestRetryAcrossACrashIsNotWrittenTwice(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir})
	ctx := soon(t)
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	pid, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	info := b.cluster.TopicInfo("orders")
	produce := func(cl *kgo.Client, sequence int32) (int64, int16) {
		r := kmsg.Record{Value: []byte("v")}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 5000
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = "orders", info.TopicID
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = encodeBatch(kmsg.RecordBatch{PartitionLeaderEpoch: -1, ProducerID: pid, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: 1, Records: r.AppendTo(nil)})
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		resp := must(req.RequestWith(ctx, cl))(t).Topics[0].Partitions[0]
		return resp.BaseOffset, resp.ErrorCode
	}
	for i := range int32(7) {
		if at, code := produce(cl, i); at != int64(i) || code != 0 {
			t.Fatalf("batch %d: offset %d, error %d", i, at, code)
		}
	}
	b = start(t, Config{DataDir: copyFolder(t, dir)})
	cl = client(t, b.Addr())
	for _, i := range []int32{4, 6, 5, 7} {
		if at, code := produce(cl, i); at != int64(i) || code != 0 {
			t.Errorf("batch %d again: offset %d, error %d", i, at, code)
		}
	}
	if n := count(readAll(t, b.Addr(), "orders")); n != 8 {
		t.Errorf("%d records, want 8", n)
	}
}

func TestDamageBeforeNewerDataIsReportedAndNotSkipped(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{DataDir: dir, SegmentBytes: 100})
	cl := client(t, b.Addr())
	create(t, cl, "orders", 1, nil)
	produceOrders(t, b.Addr(), 0, 5)
	produceOrders(t, b.Addr(), 5, 10)
	produceOrders(t, b.Addr(), 10, 15)
	dir = copyFolder(t, dir)
	first := filepath.Join(partitionDir(dir, "orders", 0), "0.dat")
	raw := must(os.ReadFile(first))(t)
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(first, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Listen: "127.0.0.1:0", DataDir: dir}); err == nil {
		t.Error("the damage went unnoticed")
	} else {
		t.Log(err)
	}
}

// Whatever is cut off the last file, recovery keeps the whole batches before the cut, and the index matches them.
func FuzzTornWrite(f *testing.F) {
	var log []byte
	var ends []int
	for i := range 12 {
		log = append(log, marker(int64(i%3), 0, i%2 == 0, int64(i), 0, fuzzTime)...)
		ends = append(ends, len(log))
	}
	for _, cut := range []uint16{0, 1, 60, 61, 77, 78, uint16(len(log)), uint16(len(log)) - 1} {
		f.Add(cut, []byte{})
		f.Add(cut, []byte{0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255})
	}
	f.Fuzz(func(t *testing.T, cut uint16, rubbish []byte) {
		dir := t.TempDir()
		pdir := partitionDir(dir, "orders", 0)
		if err := os.MkdirAll(pdir, 0o755); err != nil {
			t.Fatal(err)
		}
		n := min(int(cut), len(log))
		torn := append(log[:n:n], rubbish...)
		kept := 0 // rubbish may happen to be what was cut
		for kept < min(len(torn), len(log)) && torn[kept] == log[kept] {
			kept++
		}
		whole := 0
		for whole < len(ends) && ends[whole] <= kept {
			whole++
		}
		for _, name := range []string{"0.dat", "0.idx"} {
			if err := os.WriteFile(filepath.Join(pdir, name), torn, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := scanLog(dir, "orders", 0)
		if err != nil {
			t.Fatal(err)
		}
		if whole == 0 && s == nil {
			return
		}
		if s == nil || s.batches != whole {
			t.Fatalf("%d whole batches, scan %+v", whole, s)
		}
		dat := must(os.ReadFile(filepath.Join(pdir, "0.dat")))(t)
		idx := must(os.ReadFile(filepath.Join(pdir, "0.idx")))(t)
		if len(idx) != s.batches*indexEntrySize || int64(len(dat)) != s.segments[0].Size {
			t.Fatalf("%d batches, index of %d bytes, log of %d, segment %+v", s.batches, len(idx), len(dat), s.segments[0])
		}
	})
}

func FuzzLogEntries(f *testing.F) {
	whole, err := appendEntry(nil, commitJSON{Type: "commit", Group: "g", Topic: "orders", Offset: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(append(whole, whole[:20]...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		seen := 0
		valid, err := entries(raw, func(data []byte) error { seen += len(data) + 10; return nil })
		if err == nil && (valid != seen || valid > len(raw)) {
			t.Fatalf("%d bytes valid, entries take %d of %d", valid, seen, len(raw))
		}
	})
}

func TestRecoveryOfANewFolderDoesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := recoverFolder(dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if files := must(os.ReadDir(dir))(t); len(files) != 0 {
		t.Errorf("files: %v", files)
	}
}
