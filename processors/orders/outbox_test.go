package orders

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"weir/topology/table"
)

// TestAnOutboxIsAListOfEachEntity holds outboxes of several partitions, used over and over, to plain maps.
func TestAnOutboxIsAListOfEachEntity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := make([]*outbox, rapid.IntRange(1, 4).Draw(t, "partitions"))
		for i := range partitions {
			partitions[i] = new(outbox)
		}
		for transaction := range rapid.IntRange(1, 4).Draw(t, "transactions") {
			want := map[string][]byte{}
			aborted := rapid.IntRange(0, 4).Draw(t, "aborted") == 0
			for i, o := range partitions {
				for n := range rapid.IntRange(0, 20).Draw(t, "observations") {
					key := fmt.Sprint("card:", rapid.IntRange(0, 5).Draw(t, "card"))
					body := fmt.Appendf(nil, "<%d %d %d>", transaction, i, n)
					o.add(key, body)
					want[key] = append(want[key], body...)
					clear(body) // the caller uses it again
				}
			}
			if aborted {
				for _, o := range partitions {
					o.reset()
				}
				continue
			}
			got := map[string][]byte{}
			drainOutboxes(partitions, func(key string, value []byte) {
				if got[key] != nil {
					t.Fatalf("two records for %s", key)
				}
				got[key] = value
			})
			for key, value := range want {
				if !bytes.Equal(got[key], value) {
					t.Fatalf("%s: %s, want %s", key, got[key], value)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
			for _, o := range partitions {
				if o.held() != 0 {
					t.Fatal("an outbox is not empty after it was sent")
				}
			}
		}
	})
}

func TestALongRecordIsSplitBetweenObservations(t *testing.T) {
	var o, other outbox
	obs := table.Observation{ID: string(make([]byte, 1040)), Topic: "payments"}
	const n = 1000
	for i := range n {
		obs.AtMs = int64(i)
		to := &o
		if i >= n/2 {
			to = &other
		}
		to.add("ip:192.0.2.1", obs.Append(nil))
	}
	if held := o.held(); held < n/2 {
		t.Errorf("%d bytes count as %d records", len(o.bytes), held)
	}
	records, next := 0, int64(0)
	drainOutboxes([]*outbox{&o, &other}, func(key string, value []byte) {
		if records++; len(value) > maxObservationsBytes || key != "ip:192.0.2.1" {
			t.Errorf("a record of %s has %d bytes", key, len(value))
		}
		for len(value) > 0 {
			rest, err := obs.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			if obs.AtMs != next {
				t.Fatalf("observation %d stands where %d was counted", obs.AtMs, next)
			}
			next++
			value = rest
		}
	})
	if next != n || records != 5 {
		t.Errorf("%d observations in %d records", next, records)
	}
	o.add("ip:1", make([]byte, 2*maxObservationsBytes))
	o.add("ip:1", []byte("x"))
	records = 0
	o.drain(func(string, []byte) { records++ })
	if records != 2 {
		t.Errorf("an observation that is larger than a record may be went in %d records", records)
	}
}

func TestAnOutboxShrinksAfterABurst(t *testing.T) {
	var o outbox
	burst := func(n int) {
		for i := range n {
			o.add(fmt.Sprint(i), make([]byte, 100))
		}
		o.reset()
	}
	burst(100_000)
	if cap(o.bytes) < 10_000_000 {
		t.Error("memory was let go of after one large transaction")
	}
	burst(10)
	if cap(o.bytes) > keptBytes || o.room > keptBoxes {
		t.Errorf("%d bytes and %d boxes are kept for 10", cap(o.bytes), o.room)
	}
	burst(10)
	if n := testing.AllocsPerRun(100, func() { o.add("a", []byte("b")); o.reset() }); n != 0 {
		t.Errorf("%v allocations in a warm outbox", n)
	}
}

// BenchmarkOutbox is one observation of one of many entities, and its share of a transaction.
func BenchmarkOutbox(b *testing.B) {
	keys := make([]string, 20_000)
	for i := range keys {
		keys[i] = fmt.Sprint("customer:c", i)
	}
	body := make([]byte, 150)
	partitions := []*outbox{{}, {}, {}, {}, {}, {}, {}, {}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		partitions[i%8].add(keys[i*31%len(keys)], body)
		if i%40_000 == 0 {
			drainOutboxes(partitions, func(string, []byte) {})
		}
	}
}
