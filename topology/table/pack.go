package table

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// PackText puts a text into eight bytes: as it is up to seven bytes, else as 63 bits of its hash. Equal texts give equal bits, and
// short ones can be shown again.
//
//	bit 63 = 0: bytes 0–6 are the text, padded with zeros; byte 7 its length
//	bit 63 = 1: hash
func PackText(s string) uint64 {
	if len(s) > 7 {
		return xxhash.Sum64String(s) | 1<<63
	}
	x := uint64(len(s)) << 56
	for i := range len(s) {
		x |= uint64(s[i]) << (8 * i)
	}
	return x
}

// UnpackText is the text that was packed, or # and its hash.
func UnpackText(x uint64) string {
	if x>>63 != 0 {
		return "#" + strconv.FormatUint(x&^(1<<63), 16)
	}
	b := make([]byte, min(x>>56, 7))
	for i := range b {
		b[i] = byte(x >> (8 * i))
	}
	return string(b)
}
