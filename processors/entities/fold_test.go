package entities

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/table"
)

// crowded is a plan whose series keep little exactly. Readings: count, sum, max, distinct and mean of each series over a minute.
func crowded(method rule.Method) (*testJudge, *rule.Plan) {
	plan := &rule.Plan{Kind: "ip", Horizon: time.Minute, Series: []rule.Series{
		{ID: 10, Type: rule.Money, Method: method, Cap: 12, Step: 2 * time.Second, Horizon: time.Minute},
		{ID: 20, Type: rule.Number, Method: method, Cap: 20, Horizon: time.Minute}, // its step is a second
	}}
	for s := range plan.Series {
		for _, agg := range []rule.Agg{rule.Count, rule.Sum, rule.Max, rule.Distinct, rule.SinceFirst} {
			r := rule.Reading{Series: s, Agg: agg, Window: time.Minute, Result: rule.Number}
			if s == 0 && (agg == rule.Sum || agg == rule.Max) {
				r.Result = rule.Money
			}
			plan.Readings = append(plan.Readings, r)
		}
	}
	return watchful(plan), plan
}

// A window that reaches into buckets counts a bucket at its edge whole, so it is as if it began at most a step earlier; and of series
// that are buckets from the start as if it ended at most a step later.
func TestFoldedFeaturesAreWithinAStep(t *testing.T) {
	steps := []time.Duration{2 * time.Second, time.Second}
	for name, method := range map[string]rule.Method{"exact": rule.Exact, "buckets": rule.Buckets, "hll": rule.HLL} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			j, plan := crowded(method)
			e := newEntity(j, plan, 30*time.Second)
			var sent []*fact
			at := int64(1_000_000)
			for n := range 70 {
				at += rapid.Int64Range(1, 2000).Draw(t, "after")
				back := int64(0)
				if rapid.IntRange(0, 9).Draw(t, "late") == 0 {
					back = rapid.Int64Range(0, 4000).Draw(t, "by")
				}
				f := &fact{Observation: newObservation(n, at-back, rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency"))}
				for _, s := range plan.Series {
					if rapid.IntRange(0, 4).Draw(t, "value?") > 0 {
						f.Values = append(f.Values, table.SeriesValue{Series: s.ID, Bits: f64(float64(rapid.IntRange(1, 30).Draw(t, "value")))})
					}
				}
				f.Gates = []table.Gate{{Part: 1}}
				j.saw = nil
				if err := e.send(f); err != nil {
					t.Fatal(err)
				}
				sent = append(sent, f)
				e.watermark = max(e.watermark, at-10*second)
				if j.saw == nil { // it came where everything is folded already
					if back == 0 {
						t.Fatal("the newest observation was not judged")
					}
					continue
				}
				if back > 0 {
					continue // later ones were judged after it
				}
				for i, v := range j.saw {
					within(t, plan, i, v, f, sent, steps[plan.Readings[i].Series], method)
				}
			}
			if e.total.Folded == 0 {
				t.Fatal("nothing was folded")
			}
			if len(e.row) > 40_000 {
				t.Fatalf("the row has %d bytes", len(e.row))
			}
			// In the end everything goes.
			for range 3 {
				e.watermark += 3600 * second
				if e.row != nil {
					if err := e.step(nil, true); err != nil {
						t.Fatal(err)
					}
				}
			}
			if e.row != nil {
				t.Fatalf("%d bytes stay", len(e.row))
			}
		}))
	}
}

func within(t *rapid.T, plan *rule.Plan, i int, v rule.Value, f *fact, all []*fact, step time.Duration, method rule.Method) {
	r := plan.Readings[i]
	least, _ := naive(plan, &r, f, all)
	r.Window += step
	end := *f
	if method != rule.Exact {
		end.AtMs, end.IDHash = f.AtMs+step.Milliseconds(), math.MaxUint64
		r.Window += step
	}
	greatest, _ := naive(plan, &r, &end, all)
	if greatest.Known != v.Known && least.Known != v.Known {
		t.Fatalf("reading %d is known: %t", i, v.Known)
	}
	if v.Known && (v.Num < least.Num-1e-9 || v.Num > greatest.Num+1e-9) {
		t.Fatalf("reading %d (%d of series %d) at %d is %v, want %v to %v", i, r.Agg, r.Series, f.AtMs, v.Num, least.Num, greatest.Num)
	}
}

func TestDistinctValuesOfBucketsAreEstimated(t *testing.T) {
	plan := &rule.Plan{Kind: "ip", Horizon: time.Hour,
		Series:   []rule.Series{{ID: 1, Type: rule.Text, Method: rule.HLL, Step: 10 * time.Minute, Horizon: time.Hour}},
		Readings: []rule.Reading{{Agg: rule.Distinct, Window: time.Hour, Result: rule.Number}, {Agg: rule.Last, Window: time.Hour, Result: rule.Text}}}
	j := watchful(plan)
	plan.Open = nil // only what has a gate is asked
	e := newEntity(j, plan, time.Minute)
	const n = 5000
	for i := 0; i < n; i += 10 {
		var facts []*fact
		for k := i; k < i+10; k++ {
			f := &fact{Observation: newObservation(k, 3_600_000+int64(k)*700, "EUR", table.SeriesValue{Series: 1, Bits: table.PackText("c" + fmt.Sprint(k))})}
			if k == n-1 {
				f.Gates = []table.Gate{{Part: 1}}
			}
			facts = append(facts, f)
		}
		if err := e.send(facts...); err != nil {
			t.Fatal(err)
		}
	}
	if got := j.saw[0].Num; math.Abs(got-n)/n > 0.05 {
		t.Errorf("%v different values, want %d", got, n)
	}
	if got := j.saw[1].Text; got != "c4999" {
		t.Errorf("the last is %q", got)
	}
	if len(e.row) > 64<<10 {
		t.Errorf("the row has %d bytes", len(e.row))
	}
}

// The sums of what a row gave up are kept: only where a window begins is known less well.
func TestARowStaysBelowARecordsSize(t *testing.T) {
	plan := &rule.Plan{Kind: "ip", Series: []rule.Series{{ID: 1, Type: rule.Number}},
		Readings: []rule.Reading{{Agg: rule.Count, Result: rule.Number}, {Agg: rule.Sum, Result: rule.Number}, {Agg: rule.Stddev, Result: rule.Number}}}
	j := watchful(plan)
	plan.Open = nil // only what has a gate is asked
	e := newEntity(j, plan, time.Hour)
	n, sum, squares := 0, 0.0, 0.0
	for range 60 {
		var facts []*fact
		for range 50 {
			v := float64(n % 17)
			f := &fact{Observation: newObservation(n, 1_000_000+int64(n)*90_000, "EUR", table.SeriesValue{Series: 1, Bits: f64(v)})}
			f.Topic, f.Gates = strings.Repeat("t", 400), []table.Gate{{Part: 1}}
			facts = append(facts, f)
			n, sum, squares = n+1, sum+v, squares+v*v
		}
		if err := e.send(facts...); err != nil {
			t.Fatal(err)
		}
		if len(e.row) > maxRowBytes {
			t.Fatalf("the row has %d bytes", len(e.row))
		}
	}
	mean := sum / float64(n)
	if j.saw[0].Num != float64(n) || j.saw[1].Num != sum || math.Abs(j.saw[2].Num-math.Sqrt(squares/float64(n)-mean*mean)) > 1e-9 {
		t.Errorf("count, sum and standard deviation are %v, want %d, %v", j.saw, n, sum)
	}
	if e.total.Dropped == 0 || len(e.standing) != n {
		t.Errorf("%d observations were given up, %d findings stand of %d", e.total.Dropped, len(e.standing), n)
	}
}

func TestBucketsAreBounded(t *testing.T) {
	s := &series{id: 1, typ: rule.Number, method: rule.Buckets, step: 1000, distinct: true}
	f := fold{id: 1, at: math.MinInt64}
	sum, n := 0.0, int64(0)
	for i := range int64(3000) {
		v := float64(i % 50)
		sum, n = sum+v, n+1
		if err := f.add(s, i*1000, f64(v), uint32('A'+i%3), i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if err := f.bound(maxBuckets); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(f.buckets))
	}
	for _, b := range f.buckets {
		sum, n = sum-b.sum, n-b.count
		if b.first < b.start || b.last >= b.end || b.first > b.last {
			t.Errorf("a bucket [%d, %d) holds entries from %d to %d", b.start, b.end, b.first, b.last)
		}
	}
	if sum != 0 || n != 0 {
		t.Errorf("%d entries with a sum of %v were lost", n, sum)
	}
	encoded := appendFolds(nil, []fold{f})
	if len(encoded) != f.size() {
		t.Errorf("%d bytes, foretold %d", len(encoded), f.size())
	}
	again, err := readFolds(encoded, 1, nil)
	if err != nil || string(appendFolds(nil, again)) != string(encoded) {
		t.Errorf("a fold does not come back as it was: %v", err)
	}
}
