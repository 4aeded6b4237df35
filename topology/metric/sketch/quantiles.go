package sketch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Bytes of a distribution of whole numbers:
//
//	exact, at most ExactQuantiles values   0x01 | first value (signed varint) | gaps to the next, ascending (varints)
//	DDSketch, 1 % relative error           0x02 | zeros | n | n × bin (negative values) | n | n × bin (positive values)
//	                                       bin = gap to the previous index (varint; the first index itself) | count
//	empty                                  (no bytes)
//
// All lengths and counts are varints. A distribution turns from the first form to the second when it has more than
// ExactQuantiles values, and never back. Its bytes are a function of the values alone.
const (
	quantilesExact byte = 1
	quantilesBins  byte = 2

	// ExactQuantiles is how many values are kept as they are.
	ExactQuantiles = 32

	// QuantileError is the relative error of quantiles beyond that.
	QuantileError = 0.01

	// maxIndex bounds the bin of any 64-bit number: log(2⁶³)/log(1.01/0.99) = 2184.
	maxIndex = 2200
)

var binOf = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(QuantileError)
	if err != nil {
		panic(err) // a constant accuracy in the library's range
	}
	return m
}()

// bins are a DDSketch taken apart: how many values fell into each index of each sign, indexes ascending.
type bins struct {
	zeros              uint64
	negative, positive []bin
}

type bin struct {
	index int
	count uint64
}

// AppendQuantiles appends the bytes of the distribution of these values, which it sorts.
func AppendQuantiles(dst []byte, values []int64) []byte {
	slices.Sort(values)
	if len(values) == 0 {
		return dst
	}
	if len(values) > ExactQuantiles {
		var b bins
		b.addAll(values)
		return b.append(dst)
	}
	dst = binary.AppendVarint(append(dst, quantilesExact), values[0])
	for i, v := range values[1:] {
		dst = binary.AppendUvarint(dst, uint64(v)-uint64(values[i]))
	}
	return dst
}

// addAll adds ascending values to empty bins.
func (b *bins) addAll(values []int64) {
	for i := len(values) - 1; i >= 0; i-- {
		if v := values[i]; v < 0 {
			b.negative = addNext(b.negative, binOf.Index(-float64(v)))
		}
	}
	for _, v := range values {
		switch {
		case v == 0:
			b.zeros++
		case v > 0:
			b.positive = addNext(b.positive, binOf.Index(float64(v)))
		}
	}
}

func addNext(list []bin, index int) []bin {
	if n := len(list); n > 0 && list[n-1].index == index {
		list[n-1].count++
		return list
	}
	return append(list, bin{index, 1})
}

func (b *bins) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, quantilesBins), b.zeros)
	for _, list := range [2][]bin{b.negative, b.positive} {
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		previous := 0
		for _, x := range list {
			dst = binary.AppendUvarint(dst, uint64(x.index-previous))
			dst = binary.AppendUvarint(dst, x.count)
			previous = x.index
		}
	}
	return dst
}

// MergeQuantiles returns the distribution of the values of both. It writes over into's bytes where it can, and neither keeps
// nor changes delta.
func MergeQuantiles(into, delta []byte) ([]byte, error) {
	room := mergePool.Get().(*mergeRoom)
	defer mergePool.Put(room)
	a, b := &room.into, &room.delta
	if err := a.decode(into); err != nil {
		return nil, err
	}
	if err := b.decode(delta); err != nil {
		return nil, err
	}
	if !a.binned && !b.binned {
		a.values = append(a.values, b.values...)
		return AppendQuantiles(into[:0], a.values), nil
	}
	for _, d := range [2]*distribution{a, b} {
		if !d.binned {
			d.addAll(d.values)
		}
	}
	var err error
	union := &room.union
	union.zeros = a.zeros + b.zeros
	if union.negative, err = mergeBins(union.negative[:0], a.negative, b.negative); err != nil {
		return nil, err
	}
	if union.positive, err = mergeBins(union.positive[:0], a.positive, b.positive); err != nil {
		return nil, err
	}
	return union.append(into[:0]), nil
}

// distribution is one of either form, taken apart.
type distribution struct {
	values []int64 // ascending, of the exact form
	binned bool    // it is of the other form
	bins
}

type mergeRoom struct {
	into, delta distribution
	union       bins
}

var mergePool = sync.Pool{New: func() any { return new(mergeRoom) }}

func mergeBins(union, a, b []bin) ([]bin, error) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			union, a = append(union, a[0]), a[1:]
		case a[0].index > b[0].index:
			union, b = append(union, b[0]), b[1:]
		default:
			count := a[0].count + b[0].count
			if count > maxCount {
				return nil, fmt.Errorf("quantiles: more than %d values in a bin", uint64(maxCount))
			}
			union, a, b = append(union, bin{a[0].index, count}), a[1:], b[1:]
		}
	}
	return append(append(union, a...), b...), nil
}

// maxCount bounds a count, so that sums of counts stay exact in a float64.
const maxCount = 1 << 48

// decode takes bytes apart, into the memory that d has.
func (d *distribution) decode(b []byte) error {
	d.values, d.binned = d.values[:0], false
	d.zeros, d.negative, d.positive = 0, d.negative[:0], d.positive[:0]
	if len(b) == 0 {
		return nil
	}
	r := reader{rest: b[1:]}
	switch b[0] {
	case quantilesExact:
		d.values = append(d.values, r.varint())
		for len(r.rest) > 0 && !r.bad {
			last := d.values[len(d.values)-1]
			gap := r.uvarint()
			if gap > uint64(math.MaxInt64)-uint64(last) || len(d.values) == ExactQuantiles {
				r.bad = true
				break
			}
			d.values = append(d.values, last+int64(gap))
		}
		if r.bad {
			return errors.New("quantiles: the list of values is damaged")
		}
		return nil
	case quantilesBins:
		d.binned = true
		d.zeros = r.uvarint()
		d.negative = r.bins(d.negative)
		d.positive = r.bins(d.positive)
		if r.bad || len(r.rest) > 0 || d.zeros > maxCount || d.zeros == 0 && len(d.negative) == 0 && len(d.positive) == 0 {
			return errors.New("quantiles: the sketch is damaged")
		}
		return nil
	}
	return fmt.Errorf("quantiles: version %d is not known to this build: upgrade weir", b[0])
}

// reader reads varints and remembers when they were damaged.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bins(list []bin) []bin {
	n := r.uvarint()
	if n > maxIndex+1 {
		r.bad = true
		return list
	}
	list = slices.Grow(list, int(n))
	index := uint64(0)
	for i := range n {
		gap, count := r.uvarint(), r.uvarint()
		if index += gap; gap > maxIndex || index > maxIndex || i > 0 && gap == 0 || count == 0 || count > maxCount {
			r.bad = true
			return list
		}
		list = append(list, bin{int(index), count})
	}
	return list
}

// QuantilesAt returns the values at the quantiles (0 … 1): of n values in order the ⌊q·(n−1)⌋th, exactly up to ExactQuantiles
// values and within QuantileError beyond. It returns nil for an empty distribution.
func QuantilesAt(bytes []byte, quantiles ...float64) ([]float64, error) {
	var d distribution
	if err := d.decode(bytes); err != nil || len(bytes) == 0 {
		return nil, err
	}
	at := make([]float64, len(quantiles))
	if !d.binned {
		for i, q := range quantiles {
			at[i] = float64(d.values[int(q*float64(len(d.values)-1))])
		}
		return at, nil
	}
	s := ddsketch.NewDDSketch(binOf, storeOf(d.positive), storeOf(d.negative))
	if d.zeros > 0 {
		if err := s.AddWithCount(0, float64(d.zeros)); err != nil {
			return nil, fmt.Errorf("quantiles: %w", err)
		}
	}
	at, err := s.GetValuesAtQuantiles(quantiles)
	if err != nil {
		return nil, fmt.Errorf("quantiles: %w", err)
	}
	return at, nil
}

func storeOf(list []bin) store.Store {
	s := store.NewBufferedPaginatedStore()
	for _, x := range list {
		s.AddWithCount(x.index, float64(x.count))
	}
	return s
}
