package entities

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"weir/processors/rule"
	"weir/topology/metric/sketch"
)

// fold is what is left of a series' entries that are not kept one by one: buckets of time.
//
//	0        4       12       20        22      26
//	┌────────┬───────┬────────┬─────────┬───────┬──────────────────┐
//	│series 4│ at 8  │ hash 8 │ count 2 │bytes 4│ buckets × count  │
//	└────────┴───────┴────────┴─────────┴───────┴──────────────────┘
//
// (at, hash) is the newest entry that an exact series has folded: none at or before it is kept one by one, and no feature can be
// read at or before it. It is the least possible for series that are buckets from the start.
type fold struct {
	id      uint32
	at      int64
	hash    uint64
	buckets []bucket // sorted by (start, currency, late)
}

// bucket sums up the entries of one currency in [start, end).
//
//	start 8, end 8, first 8, last 8, lastBits 8, count 8, sum 8, m2 8, min 8, max 8, currency 3, late 1, length 4, distinct
type bucket struct {
	start, end  int64
	first, last int64 // times of the oldest and newest entry
	lastBits    uint64
	count       int64
	sum, m2     float64 // m2: sum of squared differences from the mean
	min, max    float64
	currency    uint32
	late        bool
	owned       bool   // distinct is this step's own memory
	distinct    []byte // sketch.AppendDistinct; kept where a reading counts distinct values
}

const (
	foldHeader = 26
	bucketSize = 88
	maxBuckets = 256 // of a series
)

// readFolds decodes a row's folds into folds, whose memory is used again. Distinct sets stay in b.
func readFolds(b []byte, n int, folds []fold) ([]fold, error) {
	folds = folds[:0]
	for range n {
		if len(b) < foldHeader {
			return folds, fmt.Errorf("%w: a fold is cut off", errRow)
		}
		folds = slices.Grow(folds, 1)[:len(folds)+1]
		f := &folds[len(folds)-1]
		f.id, f.at, f.hash = binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint64(b[4:])), binary.LittleEndian.Uint64(b[12:])
		count, size := int(binary.LittleEndian.Uint16(b[20:])), int(binary.LittleEndian.Uint32(b[22:]))
		if b = b[foldHeader:]; size > len(b) {
			return folds, fmt.Errorf("%w: buckets are cut off", errRow)
		}
		var err error
		if f.buckets, err = readBuckets(b[:size], count, f.buckets[:0]); err != nil {
			return folds, err
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return folds, fmt.Errorf("%w: %d bytes follow its folds", errRow, len(b))
	}
	return folds, nil
}

func readBuckets(b []byte, n int, buckets []bucket) ([]bucket, error) {
	number := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[i:])) }
	for range n {
		if len(b) < bucketSize {
			return buckets, fmt.Errorf("%w: a bucket is cut off", errRow)
		}
		x := bucket{
			start: int64(binary.LittleEndian.Uint64(b)), end: int64(binary.LittleEndian.Uint64(b[8:])),
			first: int64(binary.LittleEndian.Uint64(b[16:])), last: int64(binary.LittleEndian.Uint64(b[24:])),
			lastBits: binary.LittleEndian.Uint64(b[32:]), count: int64(binary.LittleEndian.Uint64(b[40:])),
			sum: number(48), m2: number(56), min: number(64), max: number(72),
			currency: uint32(b[80]) | uint32(b[81])<<8 | uint32(b[82])<<16, late: b[83] != 0,
		}
		size := int(binary.LittleEndian.Uint32(b[84:]))
		if b = b[bucketSize:]; size > len(b) {
			return buckets, fmt.Errorf("%w: distinct values are cut off", errRow)
		}
		x.distinct, b = b[:size:size], b[size:]
		buckets = append(buckets, x)
	}
	if len(b) != 0 {
		return buckets, fmt.Errorf("%w: %d bytes follow its buckets", errRow, len(b))
	}
	return buckets, nil
}

func appendFolds(b []byte, folds []fold) []byte {
	for i := range folds {
		f := &folds[i]
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(b, f.id), uint64(f.at))
		b = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint64(b, f.hash), uint16(len(f.buckets)))
		b = binary.LittleEndian.AppendUint32(b, uint32(f.size()-foldHeader))
		for k := range f.buckets {
			x := &f.buckets[k]
			for _, v := range [...]uint64{uint64(x.start), uint64(x.end), uint64(x.first), uint64(x.last), x.lastBits, uint64(x.count),
				math.Float64bits(x.sum), math.Float64bits(x.m2), math.Float64bits(x.min), math.Float64bits(x.max)} {
				b = binary.LittleEndian.AppendUint64(b, v)
			}
			late := byte(0)
			if x.late {
				late = 1
			}
			b = append(b, byte(x.currency), byte(x.currency>>8), byte(x.currency>>16), late)
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(x.distinct))), x.distinct...)
		}
	}
	return b
}

func (f *fold) size() int {
	n := foldHeader + bucketSize*len(f.buckets)
	for i := range f.buckets {
		n += len(f.buckets[i].distinct)
	}
	return n
}

// covers reports whether an entry at this place was folded, if it was there.
func (f *fold) covers(at int64, hash uint64) bool { return at < f.at || at == f.at && hash <= f.hash }

// add takes an entry into its bucket.
func (f *fold) add(s *series, at int64, bits uint64, currency uint32, late bool) error {
	x := f.bucket(s, at, currency, late)
	v := number(s, bits)
	if x.count == 0 {
		x.first, x.last, x.lastBits, x.min, x.max = at, at, bits, v, v
	} else {
		x.first, x.min, x.max = min(x.first, at), min(x.min, v), max(x.max, v)
		if at > x.last || at == x.last && bits > x.lastBits {
			x.last, x.lastBits = at, bits
		}
		mean := x.sum / float64(x.count)
		x.m2 += (v - mean) * (v - (x.sum+v)/float64(x.count+1))
	}
	x.sum += v
	x.count++
	if !s.distinct {
		return nil
	}
	var hashes [1]uint64
	hashes[0] = mix(s, bits)
	var room [9]byte
	return x.union(sketch.AppendDistinct(room[:0], hashes[:]))
}

// bucket finds or makes the bucket of an entry.
func (f *fold) bucket(s *series, at int64, currency uint32, late bool) *bucket {
	for i := len(f.buckets) - 1; i >= 0; i-- {
		if x := &f.buckets[i]; x.start <= at && at < x.end && x.currency == currency && x.late == late {
			return x
		}
	}
	rest := at % s.step
	if rest < 0 {
		rest += s.step
	}
	x := bucket{start: at - rest, end: at - rest + s.step, currency: currency, late: late}
	i := len(f.buckets)
	for i > 0 && x.start < f.buckets[i-1].start {
		i--
	}
	f.buckets = slices.Insert(f.buckets, i, x)
	return &f.buckets[i]
}

func (x *bucket) union(set []byte) (err error) {
	if !x.owned {
		x.distinct, x.owned = slices.Clone(x.distinct), true
	}
	x.distinct, err = sketch.MergeDistinct(x.distinct, set)
	return err
}

// merge takes a later bucket of the same kind into x.
func (x *bucket) merge(o *bucket) error {
	if n, m := float64(x.count), float64(o.count); n > 0 && m > 0 {
		d := o.sum/m - x.sum/n
		x.m2 += o.m2 + d*d*n*m/(n+m)
	}
	if o.last > x.last || o.last == x.last && o.lastBits > x.lastBits {
		x.last, x.lastBits = o.last, o.lastBits
	}
	x.start, x.end, x.first = min(x.start, o.start), max(x.end, o.end), min(x.first, o.first)
	x.count, x.sum, x.min, x.max = x.count+o.count, x.sum+o.sum, min(x.min, o.min), max(x.max, o.max)
	if len(o.distinct) == 0 {
		return nil
	}
	return x.union(o.distinct)
}

// forget drops buckets that end at or before a time.
func (f *fold) forget(until int64) {
	f.buckets = slices.DeleteFunc(f.buckets, func(x bucket) bool { return x.last <= until })
}

// bound keeps the number of buckets in limits: the older half joins by twos, again and again.
func (f *fold) bound(limit int) error {
	for len(f.buckets) > limit {
		before := len(f.buckets)
		if err := f.coarsen(before / 2); err != nil {
			return err
		}
		if len(f.buckets) == before { // no two of one currency: the oldest goes
			f.buckets = slices.Delete(f.buckets, 0, 1)
		}
	}
	return nil
}

func (f *fold) coarsen(n int) error {
	for i := 0; i < n; i++ {
		for j := i + 1; j < n; j++ {
			if x, o := &f.buckets[i], &f.buckets[j]; x.currency == o.currency && x.late == o.late {
				if err := x.merge(o); err != nil {
					return err
				}
				f.buckets = slices.Delete(f.buckets, j, j+1)
				n--
				break
			}
		}
	}
	return nil
}

// number is a value's number; a text has none.
func number(s *series, bits uint64) float64 {
	if s.typ == rule.Text {
		return 0
	}
	return math.Float64frombits(bits)
}

// same makes equal values equal bits: −0 is 0.
func same(s *series, bits uint64) uint64 {
	if s.typ != rule.Text && bits == 1<<63 {
		return 0
	}
	return bits
}

// mix spreads a value's bits for a sketch, one to one (the end of splitmix64).
func mix(s *series, bits uint64) uint64 {
	z := same(s, bits)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
