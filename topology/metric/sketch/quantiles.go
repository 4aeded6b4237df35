package sketch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

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
	values, a, err := decodeQuantiles(into)
	if err != nil {
		return nil, err
	}
	more, b, err := decodeQuantiles(delta)
	if err != nil {
		return nil, err
	}
	if a == nil && b == nil {
		return AppendQuantiles(into[:0], append(values, more...)), nil
	}
	if a == nil {
		a = new(bins)
		a.addAll(values)
	}
	if b == nil {
		b = new(bins)
		b.addAll(more)
	}
	union := bins{zeros: a.zeros + b.zeros}
	if union.negative, err = mergeBins(a.negative, b.negative); err != nil {
		return nil, err
	}
	if union.positive, err = mergeBins(a.positive, b.positive); err != nil {
		return nil, err
	}
	return union.append(into[:0]), nil
}

func mergeBins(a, b []bin) ([]bin, error) {
	union := make([]bin, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].index < b[0].index:
			union, a = append(union, a[0]), a[1:]
		case len(a) == 0 || a[0].index > b[0].index:
			union, b = append(union, b[0]), b[1:]
		default:
			count := a[0].count + b[0].count
			if count > maxCount {
				return nil, fmt.Errorf("quantiles: more than %d values in a bin", uint64(maxCount))
			}
			union, a, b = append(union, bin{a[0].index, count}), a[1:], b[1:]
		}
	}
	return union, nil
}

// maxCount bounds a count, so that sums of counts stay exact in a float64.
const maxCount = 1 << 48

// decodeQuantiles returns the values, ascending, of the exact form, or the bins of the other.
func decodeQuantiles(b []byte) ([]int64, *bins, error) {
	if len(b) == 0 {
		return nil, nil, nil
	}
	r := reader{rest: b[1:]}
	switch b[0] {
	case quantilesExact:
		values := []int64{r.varint()}
		for len(r.rest) > 0 && !r.bad {
			last := values[len(values)-1]
			gap := r.uvarint()
			if gap > uint64(math.MaxInt64)-uint64(last) || len(values) == ExactQuantiles {
				r.bad = true
				break
			}
			values = append(values, last+int64(gap))
		}
		if r.bad {
			return nil, nil, errors.New("quantiles: the list of values is damaged")
		}
		return values, nil, nil
	case quantilesBins:
		d := bins{zeros: r.uvarint()}
		d.negative = r.bins()
		d.positive = r.bins()
		if r.bad || len(r.rest) > 0 || d.zeros > maxCount {
			return nil, nil, errors.New("quantiles: the sketch is damaged")
		}
		return nil, &d, nil
	}
	return nil, nil, fmt.Errorf("quantiles: version %d is not known to this build: upgrade weir", b[0])
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

func (r *reader) bins() []bin {
	n := r.uvarint()
	if n > maxIndex+1 {
		r.bad = true
		return nil
	}
	list := make([]bin, 0, n)
	index := uint64(0)
	for i := range n {
		gap, count := r.uvarint(), r.uvarint()
		if index += gap; gap > maxIndex || index > maxIndex || i > 0 && gap == 0 || count == 0 || count > maxCount {
			r.bad = true
			return nil
		}
		list = append(list, bin{int(index), count})
	}
	return list
}

// QuantilesAt returns the values at the quantiles (0 … 1): of n values in order the ⌊q·(n−1)⌋th, exactly up to ExactQuantiles
// values and within QuantileError beyond. It returns nil for an empty distribution.
func QuantilesAt(distribution []byte, quantiles ...float64) ([]float64, error) {
	values, b, err := decodeQuantiles(distribution)
	if err != nil || values == nil && b == nil {
		return nil, err
	}
	at := make([]float64, len(quantiles))
	if b == nil {
		for i, q := range quantiles {
			at[i] = float64(values[int(q*float64(len(values)-1))])
		}
		return at, nil
	}
	s := ddsketch.NewDDSketch(binOf, b.store(b.positive), b.store(b.negative))
	if b.zeros > 0 {
		if err := s.AddWithCount(0, float64(b.zeros)); err != nil {
			return nil, fmt.Errorf("quantiles: %w", err)
		}
	}
	if s.IsEmpty() {
		return nil, errors.New("quantiles: the sketch holds no value")
	}
	if at, err = s.GetValuesAtQuantiles(quantiles); err != nil {
		return nil, fmt.Errorf("quantiles: %w", err)
	}
	return at, nil
}

func (*bins) store(list []bin) store.Store {
	s := store.NewBufferedPaginatedStore()
	for _, x := range list {
		s.AddWithCount(x.index, float64(x.count))
	}
	return s
}
