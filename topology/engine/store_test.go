package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
)

// promised is a session whose produces succeed at once, with rising offsets.
type promised struct {
	session
	offset int64
	sent   map[string][]byte
}

func (p *promised) note(error) {}
func (p *promised) produce(r *kgo.Record, promise func(*kgo.Record, error)) {
	p.offset++
	r.Offset = p.offset
	p.sent[string(r.Key)] = r.Value
	promise(r, nil)
}

func testStore(t *testing.T, dir string, deadline func(string, []byte) (event.UnixMilli, bool)) *Store {
	t.Helper()
	rt, err := New(Config{Instance: "t", DataDir: dir}, "g", func(*Runtime) Spec { return Spec{Hooks: Hooks{Deadline: deadline}} })
	if err != nil {
		t.Fatal(err)
	}
	rt.levels.id["g-table"] = []byte("identity")
	rt.levels.logStart = func(string, int32) (int64, error) { return 0, nil }
	st, err := rt.openStore("g-table", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := st.(*Store)
	if err := s.MarkRecovered(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.levels.close)
	return s
}

func commitStore(t *testing.T, s *Store, p *promised) {
	t.Helper()
	s.produceChangelog(p)
	s.committed(time.Now(), 0)
}

func want(t *testing.T, s *Store, key, value string) {
	t.Helper()
	got, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != value {
		t.Errorf("row %q = %q, want %q", key, got, value)
	}
}

func TestRollbackLeavesCommittedRows(t *testing.T) {
	dir := t.TempDir()
	s, p := testStore(t, dir, nil), &promised{sent: map[string][]byte{}}
	s.Set("a", []byte("1"))
	commitStore(t, s, p)
	s.Set("a", []byte("2"))
	s.Set("b", []byte("2"))
	s.rollback()
	want(t, s, "a", "1")
	want(t, s, "b", "")
	s.Delete("a")
	want(t, s, "a", "")
	commitStore(t, s, p)
	want(t, s, "a", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	off, err := s.GetOffset(-3)
	if err != nil || off != p.offset {
		t.Errorf("changelog offset = %d, %v; want %d", off, err, p.offset)
	}
	if v, ok := p.sent["a"]; !ok || v != nil {
		t.Errorf("deleted row's changelog record = %q, want a tombstone", v)
	}
}

func TestDamagedOrForeignTableIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	s, p := testStore(t, dir, nil), &promised{sent: map[string][]byte{}}
	for i := range 2000 {
		s.Set(fmt.Sprint("row", i), make([]byte, 200))
	}
	commitStore(t, s, p)
	s.Close()
	s.rt.levels.close()
	path := filepath.Join(dir, "g-table", "0")

	t.Run("damaged", func(t *testing.T) {
		logs, err := filepath.Glob(filepath.Join(path, "*.log"))
		if err != nil || len(logs) == 0 {
			t.Fatal("no journal", err)
		}
		b, err := os.ReadFile(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 0xff
		if err := os.WriteFile(logs[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := testStore(t, dir, nil)
		if off, err := s.GetOffset(-3); off != -3 || err != nil {
			t.Errorf("offset after damage = %d, %v: the table must be read again from the start", off, err)
		}
		s.Set("x", []byte("1"))
		commitStore(t, s, p)
		s.Close()
		s.rt.levels.close()
	})
	t.Run("behind its changelog", func(t *testing.T) {
		db, err := openLevel(path, []byte("identity"), groupBuffer, func(string, ...any) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Put(metaOffset, []byte("41"), nil); err != nil {
			t.Fatal(err)
		}
		for logStart, kept := range map[int64]bool{0: true, 42: true, 43: false} {
			if db, err = rebuiltIfBehind(db, path, []byte("identity"), groupBuffer, logStart, func(string, ...any) {}); err != nil {
				t.Fatal(err)
			}
			if has, _ := db.Has(metaOffset, nil); has != kept {
				t.Errorf("a copy up to offset 41 of a log that begins at %d: kept = %v, want %v", logStart, has, kept)
			}
			if err := db.Put(metaOffset, []byte("41"), nil); err != nil {
				t.Fatal(err)
			}
		}
		db.Close()
	})
	t.Run("foreign", func(t *testing.T) {
		db, err := openLevel(path, []byte("another topic"), groupBuffer, func(string, ...any) {})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if ok, _ := db.Has(metaOffset, nil); ok {
			t.Error("rows of another topic were kept")
		}
	})
}

func TestDeadlinesFireOnceInOrderAndFollowTheirRow(t *testing.T) {
	s, p := testStore(t, t.TempDir(), func(_ string, row []byte) (event.UnixMilli, bool) {
		return event.UnixMilli(binary.BigEndian.Uint64(row)), true
	}), &promised{sent: map[string][]byte{}}
	at := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	s.Set("late", at(300))
	s.Set("early", at(100))
	s.Set("moves", at(150))
	commitStore(t, s, p)
	if err := s.flushAll(); err != nil {
		t.Fatal(err)
	}
	s.Set("moves", at(500))
	commitStore(t, s, p)
	if err := s.flushAll(); err != nil {
		t.Fatal(err)
	}

	var fired []string
	fire := func(now event.UnixMilli) {
		t.Helper()
		if _, err := s.fire(now, 100, func(key string, _ []byte) error { fired = append(fired, key); return s.Delete(key) }); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(keys ...string) {
		t.Helper()
		if fmt.Sprint(fired) != fmt.Sprint(keys) {
			t.Fatalf("fired %v, want %v", fired, keys)
		}
	}
	fire(50)
	expect()
	fire(350)
	expect("early", "late")
	fire(350)
	expect("early", "late")
	s.rollback() // the transaction is aborted: they are due again
	fired = nil
	fire(350)
	expect("early", "late")
	commitStore(t, s, p)
	fire(1000)
	expect("early", "late", "moves")
	commitStore(t, s, p)
	if err := s.flushAll(); err != nil {
		t.Fatal(err)
	}
	if next, err := s.db.firstDeadline(); err != nil || next != noDeadline {
		t.Errorf("deadline index still holds %v, %v", next, err)
	}
}

func TestCacheStaysWithinItsLimit(t *testing.T) {
	c := cache{limit: 10_000}
	for i := range 10_000 {
		c.put(fmt.Sprint("key", i), make([]byte, 100))
		if n := len(c.young) + len(c.old); n > 10_000/(100+cacheEntryBytes) {
			t.Fatalf("%d entries", n)
		}
	}
	if _, ok := c.get("key9999"); !ok {
		t.Error("the latest row is not in the cache")
	}
}

// Rows of a quiet key are deleted once every source partition has passed their deadline, on this and on the next instance.
func TestTimersDeleteRowsByWatermark(t *testing.T) {
	c := newCounting(t, cluster(t), 2)
	start := func(instance string) (stop func()) {
		rt, err := New(Config{Kafka: client.Config{Brokers: c.brokers}, Instance: instance, DataDir: t.TempDir(), Idle: time.Hour, LeaveOnStop: true, Heartbeat: 300 * time.Millisecond}, c.first(), func(rt *Runtime) Spec {
			cb := func(ctx goka.Context, msg any) {
				at := event.UnixMilli(binary.BigEndian.Uint64(msg.([]byte)))
				rt.Partition(ctx.Partition()).Observe(string(ctx.Topic()), at)
				ctx.SetValue(msg)
			}
			return Spec{Sources: []string{c.in()},
				Graph: goka.DefineGroup(goka.Group(c.first()), rt.Input(c.in(), cb), goka.Persist(new(codec.Bytes))),
				Hooks: Hooks{
					Deadline: func(_ string, row []byte) (event.UnixMilli, bool) {
						return event.UnixMilli(binary.BigEndian.Uint64(row)) + 1000, true
					},
					Timer: func(_ *Tx, p *Partition, key string, _ []byte) error { return p.Delete(key) },
				}}
		})
		if err != nil {
			t.Fatal(err)
		}
		return run(t, rt)
	}
	cl := newClient(t, c.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	put := func(p int32, key string, at uint64) {
		t.Helper()
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: c.in(), Partition: p, Key: []byte(key), Value: bytesOf(at)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	waitKeys := func(want ...string) {
		t.Helper()
		var keys []string
		for deadline := time.Now().Add(30 * time.Second); fmt.Sprint(keys) != fmt.Sprint(want); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("rows %v, want %v", keys, want)
			}
			keys = slices.Sorted(maps.Keys(c.rows(t, c.first())))
		}
	}
	stop := start("a")
	put(0, "quiet", 10_000)
	put(1, "busy", 10_000)
	waitKeys("busy", "quiet")
	put(0, "other", 20_000)
	put(1, "busy", 20_000)
	waitKeys("busy", "other")
	stop()
	defer start("b")()
	put(0, "last", 40_000)
	waitKeys("busy", "last") // other's deadline was known to b from the changelog
}
