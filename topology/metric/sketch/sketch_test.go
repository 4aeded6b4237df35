package sketch

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/topology/table"
)

// split deals things out to some parts, and tells an order in which to merge these.
func split[T any](t *rapid.T, things []T) [][]T {
	parts := make([][]T, rapid.IntRange(1, 6).Draw(t, "parts"))
	for _, x := range things {
		p := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
		parts[p] = append(parts[p], x)
	}
	return parts
}

func TestDistinctDependsOnTheSetOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 5, 255, 256, 257, 400, 3000}).Draw(t, "values")
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = Hash(fmt.Sprint("customer-", i))
		}
		whole, err := EstimateDistinct(AppendDistinct(nil, slices.Clone(hashes)))
		if err != nil {
			t.Fatal(err)
		}
		var merged []byte
		for _, part := range split(t, hashes) {
			delta := AppendDistinct(nil, part)
			for range rapid.IntRange(1, 2).Draw(t, "times") { // a set merged twice is the same set
				before := bytes.Clone(delta)
				if merged, err = MergeDistinct(merged, delta); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(before, delta) {
					t.Fatal("merging changed the delta")
				}
			}
		}
		got, err := EstimateDistinct(merged)
		if err != nil {
			t.Fatal(err)
		}
		if got != whole {
			t.Fatalf("%d values: merged %d, at once %d", n, got, whole)
		}
		if n <= ExactDistinct && got != uint64(n) {
			t.Fatalf("%d values are counted as %d", n, got)
		}
		if math.Abs(float64(got)-float64(n)) > 5*1.04/64*float64(n) { // five standard errors
			t.Fatalf("%d values are estimated as %d", n, got)
		}
	})
}

func TestQuantilesDependOnTheValuesOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(-50, 50), rapid.Int64Range(0, 1e10), rapid.Int64()), 1, 200).Draw(t, "values")
		whole := AppendQuantiles(nil, slices.Clone(values))
		var merged []byte
		var err error
		for _, part := range split(t, values) {
			delta := AppendQuantiles(nil, slices.Clone(part))
			before := bytes.Clone(delta)
			if merged, err = MergeQuantiles(merged, delta); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, delta) {
				t.Fatal("merging changed the delta")
			}
		}
		quantiles := []float64{0, 0.5, 0.9, 0.95, 0.99, 1}
		got, err := QuantilesAt(merged, quantiles...)
		if err != nil {
			t.Fatal(err)
		}
		once, err := QuantilesAt(whole, quantiles...)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, once) {
			t.Fatalf("merged %v, at once %v", got, once)
		}
		slices.Sort(values)
		for i, q := range quantiles {
			want := float64(values[int(q*float64(len(values)-1))])
			within := 1e-9
			if len(values) > ExactQuantiles {
				within = QuantileError * 1.0001 * math.Abs(want)
			}
			if math.Abs(got[i]-want) > within {
				t.Fatalf("q %v of %d values: %v, exactly %v", q, len(values), got[i], want)
			}
		}
	})
}

// Beyond TopSize values the list must keep the bounds that its comment states, whatever was merged with what.
func TestTopKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SampledFrom([]int{3, TopSize, TopSize + 1, 3 * TopSize, 1000}).Draw(t, "kinds")
		exact := map[string]int64{}
		var total int64
		lists := make([][]*table.TopEntry, rapid.IntRange(1, 8).Draw(t, "lists"))
		for i := range lists {
			counts := map[string]int64{}
			for range rapid.IntRange(0, 600).Draw(t, "sales") {
				k := rapid.IntRange(0, kinds-1).Draw(t, "product")
				v, weight := fmt.Sprintf("p%04d", k), int64(1+kinds/(k+1))
				counts[v] += weight
				exact[v] += weight
				total += weight
			}
			for v, c := range counts {
				lists[i] = append(lists[i], &table.TopEntry{Value: v, Count: c})
			}
			lists[i] = CutTop(lists[i])
		}
		for len(lists) > 1 { // merge any two, until one is left
			i := rapid.IntRange(0, len(lists)-2).Draw(t, "merge")
			lists[i] = MergeTop(lists[i], lists[i+1])
			lists = slices.Delete(lists, i+1, i+2)
		}
		list := lists[0]
		bound := total / TopSize
		listed := map[string]bool{}
		for i, e := range list {
			listed[e.Value] = true
			if e.Count < exact[e.Value] || e.Count-e.Error > exact[e.Value] || e.Error > bound || len(exact) <= TopSize && e.Error != 0 {
				t.Fatalf("%s: count %d, error %d (at most %d); exactly %d", e.Value, e.Count, e.Error, bound, exact[e.Value])
			}
			if i > 0 && list[i-1].Count < e.Count {
				t.Fatal("the list is not sorted")
			}
		}
		if len(list) > TopSize || len(list) < min(len(exact), TopSize) {
			t.Fatalf("%d entries for %d values", len(list), len(exact))
		}
		for v, c := range exact {
			if !listed[v] && c > bound {
				t.Fatalf("%s weighs %d and is not listed; the bound is %d", v, c, bound)
			}
		}
	})
}

func TestMergingTopListsTakesNoneOfTheDeltasEntries(t *testing.T) {
	delta := []*table.TopEntry{{Value: "a", Count: 2}}
	merged := MergeTop(nil, delta)
	delta[0].Count = 99 // a pooled message is used again
	if merged[0].Count != 2 {
		t.Fatal("the merged list holds the delta's entry")
	}
}

func FuzzDistinct(f *testing.F) {
	f.Add([]byte{}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Add(append([]byte{2}, make([]byte, registers)...), []byte{1, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, badA := EstimateDistinct(a)
		_, badB := EstimateDistinct(b)
		merged, err := MergeDistinct(bytes.Clone(a), b)
		if (badA != nil || badB != nil) != (err != nil) {
			t.Fatalf("damage %v, %v; merging says %v", badA, badB, err)
		}
		if err == nil {
			if _, err := EstimateDistinct(merged); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzQuantiles(f *testing.F) {
	f.Add([]byte{}, []byte{1, 3, 4, 5})
	f.Add([]byte{2, 1, 1, 5, 1, 2, 7, 1, 1, 1}, []byte{1, 3})
	f.Add(AppendQuantiles(nil, []int64{math.MinInt64, 0, math.MaxInt64}), AppendQuantiles(nil, make([]int64, 40)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		at, err := QuantilesAt(a, 0, 0.5, 1)
		if err != nil {
			return
		}
		for _, v := range at {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("quantiles %v", at)
			}
		}
		if _, err := QuantilesAt(b, 0.5); err != nil {
			return
		}
		ab, err := MergeQuantiles(bytes.Clone(a), b)
		if err != nil {
			return // a bin would be too full
		}
		ba, err := MergeQuantiles(bytes.Clone(b), a)
		if err != nil || !bytes.Equal(ab, ba) {
			t.Fatalf("%x and %x: merged %x, the other way %x (%v)", a, b, ab, ba, err)
		}
	})
}

func BenchmarkMergeDistinctExact(b *testing.B) {
	hashes := make([]uint64, 200)
	for i := range hashes {
		hashes[i] = Hash(fmt.Sprint(i))
	}
	row, delta := AppendDistinct(nil, hashes), AppendDistinct(nil, []uint64{hashes[3], hashes[7], Hash("x")})
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		if _, err := MergeDistinct(append(buf[:0], row...), delta); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMergeDistinctHLL(b *testing.B) {
	hashes := make([]uint64, 5000)
	for i := range hashes {
		hashes[i] = Hash(fmt.Sprint(i))
	}
	row, delta := AppendDistinct(nil, hashes), AppendDistinct(nil, []uint64{1, 2, 3})
	buf := make([]byte, 0, 8192)
	for b.Loop() {
		if _, err := MergeDistinct(append(buf[:0], row...), delta); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMergeQuantiles(b *testing.B) {
	values := make([]int64, 5000)
	for i := range values {
		values[i] = int64(1000 + i*i)
	}
	row, delta := AppendQuantiles(nil, values), AppendQuantiles(nil, []int64{5, 60_000, 7_000_000})
	buf := make([]byte, 0, 8192)
	for b.Loop() {
		if _, err := MergeQuantiles(append(buf[:0], row...), delta); err != nil {
			b.Fatal(err)
		}
	}
}
