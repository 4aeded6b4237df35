package sim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event"
)

// The toy journey: group words counts words by letter in memory and sends the counts at each commit; group letters adds them up.
// A word's time is its number of letters, in hours.

type words struct{ added map[string]int }

func (w *words) Process(p *Partition, r *Record) error {
	p.Observe(r.Topic, hours(len(r.Value)))
	seen, _ := strconv.Atoi(string(p.Get(r.Key)))
	p.Set(r.Key, []byte(strconv.Itoa(seen+1)))
	p.Count("words", 1)
	for _, letter := range string(r.Value) {
		w.added[string(letter)]++
	}
	return nil
}

func (w *words) BeforeCommit(emit func(topic, key string, value []byte)) error {
	for letter, n := range w.added {
		emit("letters", letter, []byte(strconv.Itoa(n)))
	}
	clear(w.added)
	return nil
}

func (w *words) Rollback()                                       { clear(w.added) }
func (w *words) Deadline(string, []byte) (event.UnixMilli, bool) { return 0, false }
func (w *words) Timer(*Partition, string, []byte) error          { return nil }

// letters keeps "sum" until the watermark reaches the letter's hour (a = 1), then "sum closed".
type letters struct{}

func (letters) Process(p *Partition, r *Record) error {
	sum, _ := strconv.Atoi(strings.TrimSuffix(string(p.Get(r.Key)), " closed"))
	n, err := strconv.Atoi(string(r.Value))
	p.Set(r.Key, []byte(strconv.Itoa(sum+n)))
	return err
}

func (letters) BeforeCommit(func(string, string, []byte)) error { return nil }
func (letters) Rollback()                                       {}
func (letters) Deadline(key string, row []byte) (event.UnixMilli, bool) {
	return hours(int(key[0]-'a') + 1), !strings.HasSuffix(string(row), "closed")
}
func (letters) Timer(p *Partition, key string, row []byte) error {
	if p.Watermark() < hours(int(key[0]-'a')+1) {
		return fmt.Errorf("fired at %v", p.Watermark())
	}
	p.Set(key, append(row[:len(row):len(row)], " closed"...))
	return nil
}

func hours(n int) event.UnixMilli { return event.UnixMilli(n) * 3_600_000 }

func journey(t testing.TB, cfg Config) *Cluster {
	c, err := New(cfg,
		Group{Name: "words", Inputs: []string{"first", "second"}, Sources: []string{"first", "second"}, MarkTopics: []string{"letters"},
			New: func() Processor { return &words{map[string]int{}} }},
		Group{Name: "letters", Inputs: []string{"letters"}, New: func() Processor { return letters{} }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryRecordCountsOnceWhateverFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{
			Seed: rapid.Uint64().Draw(rt, "seed"), Partitions: rapid.Int32Range(1, 5).Draw(rt, "partitions"), Instances: rapid.IntRange(1, 3).Draw(rt, "instances"),
			CrashChance: rapid.Float64Range(0, 0.4).Draw(rt, "crash"), AbortChance: rapid.Float64Range(0, 0.4).Draw(rt, "abort"),
			RebalanceChance: rapid.Float64Range(0, 0.4).Draw(rt, "rebalance"), MaxBatch: rapid.IntRange(1, 20).Draw(rt, "batch"),
		}
		c := journey(t, cfg)
		want, keys := map[string]int{}, map[string]int{}
		for i := range rapid.IntRange(0, 200).Draw(rt, "words") {
			word := rapid.StringMatching(`[a-e]{1,6}`).Draw(rt, "word")
			key := strconv.Itoa(i % 7)
			keys[key]++
			for _, letter := range word {
				want[string(letter)]++
			}
			c.Produce(Record{Topic: []string{"first", "second"}[i%2], Key: key, Value: []byte(word)})
			if i%50 == 49 {
				settle(rt, c)
			}
		}
		settle(rt, c)
		got := map[string]int{}
		for key, row := range c.Rows("letters") {
			n, _ := strconv.Atoi(strings.TrimSuffix(string(row), " closed"))
			got[key] = n
		}
		if !maps.Equal(got, want) {
			rt.Fatalf("letters %v, want %v", got, want)
		}
		clear(got)
		for key, row := range c.Rows("words") {
			got[key], _ = strconv.Atoi(string(row))
		}
		if !maps.Equal(got, keys) {
			rt.Fatalf("keys %v, want %v", got, keys)
		}
	})
}

func settle(t interface{ Fatal(...any) }, c *Cluster) {
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
}

func TestTheWatermarkIsTheLeastOfAllSourcesAndFiresTimers(t *testing.T) {
	c := journey(t, Config{Partitions: 1})
	c.Produce(Record{Topic: "first", Key: "k", Value: []byte("abc")})
	settle(t, c)
	if got := c.Watermark("letters"); got != 0 {
		t.Errorf("watermark with a silent source: %v", got)
	}
	c.Produce(Record{Topic: "second", Key: "k", Value: []byte("bb")})
	settle(t, c)
	if got := c.Watermark("letters"); got != hours(2) {
		t.Errorf("watermark: %v, want 2 h", got)
	}
	want := map[string]string{"a": "1 closed", "b": "3 closed", "c": "1"}
	got := map[string]string{}
	for key, row := range c.Rows("letters") {
		got[key] = string(row)
	}
	if !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestAnIdleSourceHoldsNothingBack(t *testing.T) {
	c := journey(t, Config{Partitions: 3, Idle: 30 * time.Second})
	c.Produce(Record{Topic: "first", Key: "k", Value: []byte("abc")})
	if err := c.Sleep(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if got := c.Watermark("letters"); got != 0 {
		t.Errorf("watermark after 10 s: %v", got)
	}
	if err := c.Sleep(time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := c.Watermark("letters"); got != hours(3) {
		t.Errorf("watermark after a minute: %v, want 3 h", got)
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	run := func() string {
		c := journey(t, Config{Seed: 7, Partitions: 4, Instances: 2, CrashChance: 0.2, AbortChance: 0.2, RebalanceChance: 0.2})
		for i := range 100 {
			c.Produce(Record{Topic: "first", Key: strconv.Itoa(i), Value: []byte("abcde")})
		}
		settle(t, c)
		return fmt.Sprint(c.Stats(), c.Now(), c.Counters("words"))
	}
	first, second := run(), run()
	if first != second {
		t.Errorf("two runs:\n%s\n%s", first, second)
	}
	if !strings.Contains(first, "words:100") {
		t.Errorf("counters: %s", first)
	}
}
