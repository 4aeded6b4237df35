package metric

import (
	"slices"
	"strings"

	"weir/topology/metric/sketch"
	"weir/topology/table"
)

// sketches collect what a cell holds beyond count and sum. Single values are collected as they come and folded into the bytes of
// package sketch when there are many, so that memory is bounded at any rate.
type sketches struct {
	hashes   []uint64
	distinct []byte

	numbers   []int64
	quantiles []byte
	min, max  int64
	ranged    bool

	weights map[string]int64
	top     []*table.TopEntry
}

const (
	manyHashes  = 2 * sketch.ExactDistinct
	manyNumbers = 1024
	manyWeights = 8 * sketch.TopSize
)

func (s *sketches) addDistinct(value string) {
	s.hashes = append(s.hashes, sketch.Hash(value))
	if len(s.hashes) >= manyHashes {
		s.foldHashes()
	}
}

func (s *sketches) addNumber(n int64) {
	s.widen(n, n)
	s.numbers = append(s.numbers, n)
	if len(s.numbers) >= manyNumbers {
		s.foldNumbers()
	}
}

func (s *sketches) widen(low, high int64) {
	if !s.ranged {
		s.min, s.max, s.ranged = low, high, true
	}
	s.min, s.max = min(s.min, low), max(s.max, high)
}

func (s *sketches) addTop(value string, weight int64) {
	if s.weights == nil {
		s.weights = map[string]int64{}
	}
	value = labelValue(value)
	if _, known := s.weights[value]; !known {
		if len(s.weights) >= manyWeights {
			s.foldWeights()
		}
		value = strings.Clone(value) // the row that it came from goes back to its pool
	}
	s.weights[value] += weight
}

// foldHashes leaves hashes alone while they are few once duplicates have gone.
func (s *sketches) foldHashes() {
	slices.Sort(s.hashes)
	s.hashes = slices.Compact(s.hashes)
	if len(s.hashes) > sketch.ExactDistinct {
		s.distinct = mustMerge(sketch.MergeDistinct(s.distinct, sketch.AppendDistinct(nil, s.hashes)))
		s.hashes = s.hashes[:0]
	}
}

func (s *sketches) foldNumbers() {
	s.quantiles = mustMerge(sketch.MergeQuantiles(s.quantiles, sketch.AppendQuantiles(nil, s.numbers)))
	s.numbers = s.numbers[:0]
}

func (s *sketches) foldWeights() {
	list := make([]*table.TopEntry, 0, len(s.weights))
	for value, weight := range s.weights {
		list = append(list, &table.TopEntry{Value: value, Count: weight})
	}
	s.top = sketch.MergeTop(s.top, sketch.CutTop(list))
	clear(s.weights)
}

// mustMerge is for bytes that this process has just written itself: damage in them is a defect of package sketch.
func mustMerge(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// merge adds what other holds, which stays as it is.
func (s *sketches) merge(other *sketches) {
	if len(other.distinct) > 0 {
		s.distinct = mustMerge(sketch.MergeDistinct(s.distinct, other.distinct))
	}
	s.hashes = append(s.hashes, other.hashes...)
	if len(s.hashes) >= manyHashes {
		s.foldHashes()
	}
	if len(other.quantiles) > 0 {
		s.quantiles = mustMerge(sketch.MergeQuantiles(s.quantiles, other.quantiles))
	}
	s.numbers = append(s.numbers, other.numbers...)
	if len(s.numbers) >= manyNumbers {
		s.foldNumbers()
	}
	if other.ranged {
		s.widen(other.min, other.max)
	}
	for value, weight := range other.weights {
		s.addTop(value, weight)
	}
	s.top = sketch.MergeTop(s.top, other.top)
}

// write puts what was collected into a cell, which borrows memory of s.
func (s *sketches) write(c *table.Cell) {
	if len(s.hashes) > 0 {
		slices.Sort(s.hashes)
		s.hashes = slices.Compact(s.hashes)
		c.Distinct = sketch.AppendDistinct(c.Distinct[:0], s.hashes)
	}
	if len(s.distinct) > 0 {
		c.Distinct = mustMerge(sketch.MergeDistinct(c.Distinct, s.distinct))
	}
	if len(s.numbers) > 0 {
		c.Quantiles = sketch.AppendQuantiles(c.Quantiles[:0], s.numbers)
	}
	if len(s.quantiles) > 0 {
		c.Quantiles = mustMerge(sketch.MergeQuantiles(c.Quantiles, s.quantiles))
	}
	c.Min, c.Max, c.Ranged = s.min, s.max, s.ranged
	if len(s.weights) > 0 {
		s.foldWeights()
	}
	c.Top = s.top
}

func (s *sketches) reset() {
	weights := s.weights
	clear(weights)
	*s = sketches{hashes: s.hashes[:0], numbers: s.numbers[:0], weights: weights}
}
