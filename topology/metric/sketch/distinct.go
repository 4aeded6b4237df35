package sketch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"
)

// Bytes of a set of distinct values, known by their 64-bit hashes:
//
//	exact, at most ExactDistinct hashes    0x01 | n × hash (8 bytes, big endian, ascending, no two alike)
//	HyperLogLog, p = 12                    0x02 | 4096 × register (1 byte, 0…53)
//	empty                                  (no bytes)
//
// A set turns from the first form to the second when it holds more than ExactDistinct hashes, and never back.
const (
	distinctExact byte = 1
	distinctHLL   byte = 2

	// ExactDistinct is how many values are counted exactly.
	ExactDistinct = 256

	precision   = 12
	registers   = 1 << precision
	maxRegister = 64 - precision + 1
)

// Hash is how a value is known in a set of distinct values.
func Hash(value string) uint64 { return xxhash.Sum64String(value) }

// AppendDistinct appends the bytes of the set of these hashes, which it sorts.
func AppendDistinct(dst []byte, hashes []uint64) []byte {
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	if len(hashes) == 0 {
		return dst
	}
	if len(hashes) > ExactDistinct {
		return registersOf(append(dst, distinctHLL), hashes)
	}
	dst = append(slices.Grow(dst, 1+8*len(hashes)), distinctExact)
	for _, h := range hashes {
		dst = binary.BigEndian.AppendUint64(dst, h)
	}
	return dst
}

// MergeDistinct returns the union of both sets. It writes over into's bytes where it can, and neither keeps nor changes delta.
func MergeDistinct(into, delta []byte) ([]byte, error) {
	if err := checkDistinct(into); err != nil {
		return nil, err
	}
	if err := checkDistinct(delta); err != nil {
		return nil, err
	}
	switch {
	case len(delta) == 0:
		return into, nil
	case len(into) == 0:
		return append(into, delta...), nil
	case into[0] == distinctExact && delta[0] == distinctExact:
		return unionExact(into, delta), nil
	}
	var sketch []byte
	if into[0] == distinctHLL {
		sketch = into
	} else {
		sketch = registersOf([]byte{distinctHLL}, appendHashes(nil, into))
	}
	other := delta
	if delta[0] == distinctExact {
		scratch := registerPool.Get().(*[]byte)
		defer registerPool.Put(scratch)
		*scratch = registersOf(append((*scratch)[:0], distinctHLL), appendHashes(nil, delta))
		other = *scratch
	}
	for i, r := range other[1:] {
		sketch[1+i] = max(sketch[1+i], r)
	}
	return sketch, nil
}

func unionExact(into, delta []byte) []byte {
	var room [2 * ExactDistinct]uint64
	union := room[:0]
	a, b := into[1:], delta[1:]
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && string(a[:8]) < string(b[:8]):
			union, a = append(union, binary.BigEndian.Uint64(a)), a[8:]
		case len(a) == 0 || string(a[:8]) > string(b[:8]):
			union, b = append(union, binary.BigEndian.Uint64(b)), b[8:]
		default:
			union, a, b = append(union, binary.BigEndian.Uint64(a)), a[8:], b[8:]
		}
	}
	return AppendDistinct(into[:0], union)
}

// EstimateDistinct returns how many values the set holds: exactly up to ExactDistinct, beyond with a standard error of
// 1.04/√4096 = 1.6 %. An estimate takes tens of microseconds.
func EstimateDistinct(set []byte) (uint64, error) {
	if err := checkDistinct(set); err != nil {
		return 0, err
	}
	switch {
	case len(set) == 0:
		return 0, nil
	case set[0] == distinctExact:
		return uint64(len(set)-1) / 8, nil
	}
	// The library's form of the same registers: version 2, precision, 0, not sparse, their number.
	data := append(make([]byte, 0, 8+registers), 2, precision, 0, 0, 0, 0, registers>>8, registers&0xff)
	var hll hyperloglog.Sketch
	if err := hll.UnmarshalBinary(append(data, set[1:]...)); err != nil {
		return 0, fmt.Errorf("distinct values: %w", err)
	}
	return hll.Estimate(), nil
}

func checkDistinct(set []byte) error {
	switch {
	case len(set) == 0:
		return nil
	case set[0] == distinctExact:
		if n := len(set) - 1; n == 0 || n%8 != 0 || n/8 > ExactDistinct {
			return fmt.Errorf("distinct values: %d bytes of hashes", n)
		}
		for rest := set[1:]; len(rest) > 8; rest = rest[8:] {
			if string(rest[:8]) >= string(rest[8:16]) {
				return errors.New("distinct values: hashes are not in ascending order")
			}
		}
		return nil
	case set[0] == distinctHLL:
		if len(set) != 1+registers {
			return fmt.Errorf("distinct values: %d registers, want %d", len(set)-1, registers)
		}
		for _, r := range set[1:] {
			if r > maxRegister {
				return fmt.Errorf("distinct values: register %d is above %d", r, maxRegister)
			}
		}
		return nil
	}
	return fmt.Errorf("distinct values: version %d is not known to this build: upgrade weir", set[0])
}

func appendHashes(dst []uint64, exact []byte) []uint64 {
	for rest := exact[1:]; len(rest) > 0; rest = rest[8:] {
		dst = append(dst, binary.BigEndian.Uint64(rest))
	}
	return dst
}

var registerPool = sync.Pool{New: func() any { return new([]byte) }}

// registersOf appends the registers that the hashes give. The library is asked for its dense form only: its sparse form's
// answers depend on the order of insertion.
func registersOf(dst []byte, hashes []uint64) []byte {
	hll, err := hyperloglog.NewSketch(precision, false)
	if err != nil {
		panic(err) // a constant precision in the library's range
	}
	for _, h := range hashes {
		hll.InsertHash(h)
	}
	start := len(dst)
	if dst, err = hll.AppendBinary(dst); err != nil {
		panic(err) // an initialised sketch always has an encoding
	}
	return append(dst[:start], dst[start+8:]...)
}
