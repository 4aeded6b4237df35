package engine

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"pgregory.net/rapid"
)

const testLimit = 60 // bytes of a transaction that a test's view keeps in memory

func openTestView(t interface{ Fatal(...any) }, disk storage.Storage) *viewStore {
	db, err := leveldb.Open(disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newViewStore(db)
	if err != nil {
		t.Fatal(err)
	}
	v.limit = testLimit
	return v
}

func seen(t interface{ Fatal(...any) }, v *viewStore) map[string]string {
	it, err := v.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Release()
	out := map[string]string{}
	for it.Next() {
		value, _ := it.Value()
		out[string(it.Key())] = string(value)
	}
	return out
}

// die closes the database as a crash does: what waits in memory is gone.
func (v *viewStore) die(t interface{ Fatal(...any) }) {
	close(v.stop)
	v.stopped.Wait()
	if v.before != nil {
		v.before.release()
	}
	if err := v.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whatever comes in whatever pieces, and however often the copy dies between, readers see the state behind a whole transaction: the
// newest one that was received, or none while a torn copy waits for the rest.
func TestViewsShowWholeTransactions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type record struct {
			key, value string
			whole      bool
		}
		var log []record
		large := strings.Repeat("x", testLimit/3)
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			for range rapid.IntRange(1, 5).Draw(t, "rows") {
				value := fmt.Sprint("v", len(log))
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					value = ""
				case 1:
					value += large
				}
				log = append(log, record{fmt.Sprint("k", rapid.IntRange(0, 3).Draw(t, "key")), value, false})
			}
			log = append(log, record{"", "", true})
		}
		states := []map[string]string{{}} // behind each transaction
		state := map[string]string{}
		for _, r := range log {
			switch {
			case r.whole:
				states = append(states, maps.Clone(state))
			case r.value == "":
				delete(state, r.key)
			default:
				state[r.key] = r.value
			}
		}
		disk := storage.NewMemStorage()
		v := openTestView(t, disk)
		for at := 0; at < len(log); at++ {
			r := log[at]
			var err error
			switch {
			case r.whole:
				err = v.Delete(wholeKey)
			case r.value == "":
				err = v.Delete(r.key)
			default:
				err = v.Set(r.key, []byte(r.value))
			}
			if err == nil {
				err = v.SetOffset(int64(at))
			}
			if err != nil {
				t.Fatal(err)
			}
			whole := 0
			for _, r := range log[:at+1] {
				if r.whole {
					whole++
				}
			}
			want := states[whole]
			got := seen(t, v)
			if v.torn {
				want = map[string]string{}
			}
			if !maps.Equal(got, want) {
				t.Fatalf("behind record %d readers see %d rows, not those behind transaction %d", at, len(got), whole)
			}
			for key := range states[len(states)-1] {
				if b, err := v.Get(key); err != nil || string(b) != want[key] {
					t.Fatalf("%s behind record %d: %.20q, %v", key, at, b, err)
				}
			}
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0: // it dies, and reads on where it had come to on disk
				v.die(t)
				v = openTestView(t, disk)
				stored, err := v.GetOffset(-1)
				if err != nil || stored > int64(at) {
					t.Fatalf("%d, %v: only %d was received", stored, err, at)
				}
				at = int(stored)
			case 1: // it is stopped
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				v = openTestView(t, disk)
				stored, _ := v.GetOffset(-1)
				at = int(stored)
			}
		}
		if v.torn || !maps.Equal(seen(t, v), states[len(states)-1]) {
			t.Fatal("at the end of the log readers do not see its end")
		}
		v.die(t)
	})
}

func TestSnapshotsHoldStill(t *testing.T) {
	v := openTestView(t, storage.NewMemStorage())
	defer v.die(t)
	var copies Copies
	copies.add(topicPartition{"t", 0}, v)
	put := func(key, value string) {
		t.Helper()
		if err := v.Set(key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	look := func(s *Snapshot) (out string) {
		t.Helper()
		if err := s.Scan("a", "z", func(key string, value []byte) error { out += key + string(value[:1]) + " "; return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	put("b", "1")
	if err := v.settle(); err != nil {
		t.Fatal(err)
	}
	early, err := copies.Snapshot("t")
	if err != nil {
		t.Fatal(err)
	}
	put("b", "2"+strings.Repeat(".", testLimit)) // a part of an open transaction is written
	put("c", "2")
	during, err := copies.Snapshot("t")
	if err != nil {
		t.Fatal(err)
	}
	if v.before == nil {
		t.Fatal("the transaction is not as large as this test wants it")
	}
	if err := v.settle(); err != nil {
		t.Fatal(err)
	}
	late, err := copies.Snapshot("t")
	if err != nil {
		t.Fatal(err)
	}
	if got := look(early) + "| " + look(during) + "| " + look(late); got != "b1 | b1 | b2 c2 " {
		t.Error(got)
	}
	early.Release()
	during.Release()
	late.Release()
}

func TestBorders(t *testing.T) {
	const stable = 1000
	type record struct {
		kind             recordKind
		producer, offset int64
	}
	for name, c := range map[string]struct {
		records []record
		want    string
	}{
		"a transaction":                              {[]record{{partOfOne, 1, 0}, {partOfOne, 1, 1}, {endMarker, 1, 2}, {partOfOne, 1, 3}}, "..|."},
		"no transactions":                            {[]record{{plainRecord, 1, 0}, {plainRecord, 1, 1}}, "||"},
		"a plain record within one":                  {[]record{{partOfOne, 1, 0}, {plainRecord, 2, 1}, {endMarker, 1, 2}}, "..|"},
		"the marker of an aborted one within":        {[]record{{partOfOne, 2, 0}, {endMarker, 1, 1}, {partOfOne, 2, 2}, {endMarker, 2, 3}}, "...|"},
		"two at once":                                {[]record{{partOfOne, 1, 0}, {partOfOne, 2, 1}, {endMarker, 1, 2}, {endMarker, 2, 3}}, "...|"},
		"a marker was compacted away":                {[]record{{partOfOne, 1, 0}, {partOfOne, 2, 1}, {endMarker, 2, 2}, {partOfOne, 2, stable - 1}, {partOfOne, 2, stable}}, "...|."},
		"reading begins in the midst of transaction": {[]record{{endMarker, 1, 5}, {partOfOne, 1, 6}}, "|."},
	} {
		var b borders
		got := ""
		for _, r := range c.records {
			if b.after(r.kind, r.producer, r.offset, stable) {
				got += "|"
			} else {
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
