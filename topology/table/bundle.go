package table

import (
	"encoding/binary"
	"errors"
)

// BundleKey is the key of a record of weir-observations that holds what one transaction has for many entities of one partition: a record
// for each entity costs more than what is in it. A bundle is a sequence of
//
//	key length uvarint, key, length uvarint, Observation × n
//
// with each entity once. A record with any other key is of that one entity.
const BundleKey = "\x00bundle"

// AppendBundle adds an entity's observations to a bundle.
func AppendBundle(b []byte, key string, observations []byte) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	return append(binary.AppendUvarint(b, uint64(len(observations))), observations...)
}

var errBundle = errors.New("a bundle of observations is cut off")

// EachOfBundle calls each for every entity of a bundle, in order, until an error.
func EachOfBundle(b []byte, each func(key string, observations []byte) error) error {
	for len(b) > 0 {
		var parts [2][]byte
		for i := range parts {
			n, width := binary.Uvarint(b)
			if width <= 0 || n > uint64(len(b)-width) {
				return errBundle
			}
			parts[i], b = b[width:width+int(n)], b[width+int(n):]
		}
		if err := each(string(parts[0]), parts[1]); err != nil {
			return err
		}
	}
	return nil
}
