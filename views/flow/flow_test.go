package flow_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/views/flow"
)

var (
	noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ends = flow.Key{Topic: "orders"}
	read = flow.Key{Group: "weir-orders", Topic: "orders"}
)

// sample is one partition at a second after noon.
func sample(second float64, end, committed int64) flow.Sample {
	return flow.Sample{At: noon.Add(time.Duration(second * float64(time.Second))), Offsets: map[flow.Key][]int64{ends: {end}, read: {committed}}}
}

func history(samples ...flow.Sample) *flow.History {
	h := &flow.History{}
	for _, s := range samples {
		h.Add(s)
	}
	return h
}

func TestARateNeedsTwoSamples(t *testing.T) {
	if _, known := history().Rate(ends); known {
		t.Error("a rate from nothing")
	}
	if _, known := history(sample(0, 100, 90)).Rate(ends); known {
		t.Error("a rate from one sample")
	}
	h := history(sample(0, 100, 90), sample(4, 300, 130))
	if rate, known := h.Rate(ends); !known || rate != 50 {
		t.Errorf("%v %v, want 50 records a second", rate, known)
	}
	if rate, known := h.Rate(read); !known || rate != 10 {
		t.Errorf("%v %v, want 10 read a second", rate, known)
	}
}

// A rate is that of the last ten seconds, not of the whole minute.
func TestARateForgets(t *testing.T) {
	h := &flow.History{}
	for i := range 60 {
		h.Add(sample(float64(i), int64(min(i, 40)*100), 0))
	}
	if rate, _ := h.Rate(ends); rate != 0 {
		t.Errorf("%v records a second in a topic that has been quiet for twenty", rate)
	}
}

func TestATopicThatWasMadeAnewHasNoNegativeRate(t *testing.T) {
	if rate, known := history(sample(0, 1000, 0), sample(2, 10, 0)).Rate(ends); !known || rate != 0 {
		t.Errorf("%v %v", rate, known)
	}
}

func TestUnknownOffsetsAreNoZeros(t *testing.T) {
	h := history(sample(0, -1, -1), sample(2, 500, 500))
	if rate, known := h.Rate(ends); known {
		t.Errorf("%v records a second, from an offset that was not known", rate)
	}
	if _, known := h.Wait("weir-metrics", "orders", 0); known {
		t.Error("a group that commits nothing here waits")
	}
}

func TestAGroupThatHasReadAllDoesNotWait(t *testing.T) {
	if wait, known := history(sample(0, 100, 100)).Wait("weir-orders", "orders", 0); !known || wait != 0 {
		t.Errorf("%v %v", wait, known)
	}
}

func TestAStandingGroupIsToldFromAnIdleOne(t *testing.T) {
	idle, stuck, moving, young := &flow.History{}, &flow.History{}, &flow.History{}, &flow.History{}
	for i := range 7 {
		idle.Add(sample(float64(i), 100, 100))
		stuck.Add(sample(float64(i), 100+int64(i), 90))
		moving.Add(sample(float64(i), 1000, 90+int64(i)))
	}
	for i := range 4 {
		young.Add(sample(float64(i), 100, 90))
	}
	for name, c := range map[string]struct {
		h    *flow.History
		want bool
	}{"idle": {idle, false}, "stuck": {stuck, true}, "moving": {moving, false}, "not long enough": {young, false}} {
		if got := c.h.Stands("weir-orders", "orders", 0); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The wait that is told from offsets is that of the record which is next, give or take what one sample spans.
func TestTheWaitIsThatOfTheNextRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var written []time.Duration // when each record came, the oracle
		h := &flow.History{}
		at, committed := time.Duration(0), int64(0)
		seconds := rapid.IntRange(2, 50).Draw(t, "seconds")
		for range seconds {
			n := rapid.IntRange(0, 40).Draw(t, "records")
			for i := range n {
				written = append(written, at+time.Second*time.Duration(i+1)/time.Duration(n+1))
			}
			at += time.Second
			committed += int64(rapid.IntRange(0, 40).Draw(t, "read"))
			committed = min(committed, int64(len(written)))
			h.Add(sample(at.Seconds(), int64(len(written)), committed))
		}
		wait, known := h.Wait("weir-orders", "orders", 0)
		if committed == int64(len(written)) {
			if !known || wait != 0 {
				t.Fatalf("%v %v, want none", wait, known)
			}
			return
		}
		if written[committed] < time.Second { // before the first sample: estimated
			return
		}
		want := at - written[committed]
		if !known || math.Abs((wait-want).Seconds()) > 1.001 {
			t.Fatalf("%v %v, the record came %v ago", wait, known, want)
		}
	})
}

func TestWhatCameBeforeTheFirstSampleIsEstimated(t *testing.T) {
	h := history(sample(0, 1000, 500), sample(10, 1100, 600))
	if wait, known := h.Wait("weir-orders", "orders", 0); !known || wait.Round(time.Second) != 50*time.Second {
		t.Errorf("%v %v, want 50 s: 500 records at 10 a second", wait, known)
	}
	if _, known := history(sample(0, 1000, 500), sample(10, 1000, 600)).Wait("weir-orders", "orders", 0); known {
		t.Error("a topic that does not grow says nothing of when its records came")
	}
}

func TestTimeLeft(t *testing.T) {
	for _, c := range []struct {
		behind         int64
		reads, written float64
		want           time.Duration
		known          bool
	}{{0, 0, 0, 0, true}, {1000, 100, 0, 10 * time.Second, true}, {1000, 100, 50, 20 * time.Second, true}, {1000, 50, 50, 0, false}, {1000, 0, 0, 0, false},
		{1 << 62, 1, 0, 0, false}} {
		if got, known := flow.Left(c.behind, c.reads, c.written); got != c.want || known != c.known {
			t.Errorf("%+v: %v %v", c, got, known)
		}
	}
}

func TestCountsThatBeginAnewHaveNoRate(t *testing.T) {
	h := history(flow.Sample{At: noon, Counts: map[string]float64{"bytes": 100, "frames": 5}},
		flow.Sample{At: noon.Add(2 * time.Second), Counts: map[string]float64{"bytes": 300, "frames": 1, "gaps": 1}})
	if rate, known := h.CountRate("bytes"); !known || rate != 100 {
		t.Errorf("%v %v", rate, known)
	}
	for _, name := range []string{"frames", "gaps"} {
		if rate, known := h.CountRate(name); known {
			t.Errorf("%s: %v", name, rate)
		}
	}
}
