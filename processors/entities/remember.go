package entities

import (
	"encoding/binary"
	"fmt"

	"weir/topology/table"
)

// raised is an open part that holds at an observation.
type raised struct {
	obs   int // index in scratch.refs
	part  uint32
	about int
}

// remember writes a gate for each open part that has just been found to hold, so that the finding can be withdrawn. s.raised is in the
// order of the observations. The refs mean the new row from here on.
func (s *scratch) remember(row []byte) ([]byte, error) {
	next := make([]byte, 0, len(row)+gateSize*len(s.raised))
	copied, moved := 0, int32(0)
	left := s.raised
	for k := range s.refs {
		r := &s.refs[k]
		begin := int(r.off)
		r.off += moved
		if len(left) == 0 || left[0].obs != k {
			continue
		}
		gatesEnd, err := tail(row[begin : begin+int(r.size)])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errRow, err)
		}
		next = append(next, row[copied:begin+gatesEnd]...)
		copied = begin + gatesEnd
		for ; len(left) > 0 && left[0].obs == k; left = left[1:] {
			if next[int(r.off)+gatesAt] == table.MaxGates {
				continue // Set limits the questions of a kind: only gates of rules that are gone can fill this
			}
			next[int(r.off)+gatesAt]++
			next = binary.LittleEndian.AppendUint32(next, left[0].part)
			next = append(next, 0, 1, table.ShapeOf(left[0].about, 0))
			r.size += gateSize
			moved += gateSize
		}
		binary.LittleEndian.PutUint32(next[r.off:], uint32(r.size))
	}
	next = append(next, row[copied:]...)
	s.src[ofRow] = next
	return next, nil
}
