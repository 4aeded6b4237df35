package sketch

import (
	"cmp"
	"slices"
	"strings"

	"weir/topology/table"
)

// TopSize is how many values a list of the most frequent ones holds (Space-Saving's m).
//
// With N the sum of all weights ever added, of a list that was merged from any lists in any order:
//   - a value's true weight is at most its Count and at least Count − Error;
//   - Error ≤ N / TopSize, and a value that is not in the list weighs at most N / TopSize;
//   - while no more than TopSize values were seen, every Error is 0 and the list is exact.
//
// Why merging keeps it: call a full list's least count its floor, and 0 the floor of one that is not full. The counts sum to at
// most N, so a floor is at most N / TopSize. In a merger a value that one list lacks may have weighed up to that list's floor
// there, so that is added to its count and its error. Of the TopSize greatest sums, let p values be lacking in A and q in B:
// A lent its floor p times but keeps at least p of its own values outside the choice, each at least the floor, and B likewise; so the counts
// chosen still sum to at most N. Every sum is at least both floors together, which therefore bound what neither list holds.
const TopSize = 128

// MergeTop adds delta to into and returns the list, greatest first, equal counts by value. It changes into's entries and takes
// none of delta's.
func MergeTop(into, delta []*table.TopEntry) []*table.TopEntry {
	if len(delta) == 0 {
		return into
	}
	floorInto, floorDelta := floorOf(into), floorOf(delta)
	known := make(map[string]*table.TopEntry, len(into)+len(delta))
	for _, e := range into {
		known[e.Value] = e
		e.Count += floorDelta
		e.Error += floorDelta
	}
	for _, d := range delta {
		if e := known[d.Value]; e != nil {
			e.Count += d.Count - floorDelta
			e.Error += d.Error - floorDelta
			continue
		}
		e := &table.TopEntry{Value: d.Value, Count: d.Count + floorInto, Error: d.Error + floorInto}
		known[d.Value] = e
		into = append(into, e)
	}
	return CutTop(into)
}

// CutTop sorts a list and keeps its TopSize greatest entries.
func CutTop(list []*table.TopEntry) []*table.TopEntry {
	slices.SortFunc(list, func(a, b *table.TopEntry) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return list[:min(len(list), TopSize)]
}

func floorOf(list []*table.TopEntry) int64 {
	if len(list) < TopSize {
		return 0
	}
	least := list[0].Count
	for _, e := range list[1:] {
		least = min(least, e.Count)
	}
	return least
}
