package entities

import (
	"encoding/binary"
	"fmt"
	"slices"

	"weir/processors/rule"
)

// seriesKey is the reserved row in which each partition keeps since when it has had each series of the set in force. A series that is
// new to a running partition is not complete before the watermark of that moment, and what reads further back is unknown. The first
// set that a partition ever had is complete from the start. A series that the set no longer has is forgotten: if it comes back, what
// happened meanwhile is missing.
//
//	version 1 │ n × { series 4, since 8 }       sorted by series; since is event time in ms, 0 = complete
const seriesKey = "\x00series"

const (
	seriesVersion = 1
	sinceSize     = 12
)

// began is what one partition knows about the series of a set.
type began struct {
	set   *rule.Set
	row   []byte             // of which it was made
	since map[string][]int64 // by kind, by index in Plan.Series
}

// update makes it that of set. row is the partition's row, nil if it has none yet; a result that is not nil is to be written.
func (n *began) update(set *rule.Set, row []byte, watermark int64) (changed []byte, err error) {
	if n.set == set && n.row != nil && string(n.row) == string(row) {
		return nil, nil
	}
	before, err := readSince(row)
	if err != nil {
		return nil, err
	}
	known, first := map[uint32]int64{}, row == nil
	n.since = map[string][]int64{}
	for _, kind := range set.Kinds() {
		plan := set.Plan(kind)
		list := make([]int64, len(plan.Series))
		for i, s := range plan.Series {
			at, was := before[s.ID]
			if !was && !first {
				at = watermark
			}
			list[i], known[s.ID] = at, at
		}
		n.since[kind] = list
	}
	n.set, n.row = set, appendSince(known)
	if string(n.row) == string(row) {
		return nil, nil
	}
	return n.row, nil
}

func appendSince(known map[uint32]int64) []byte {
	ids := make([]uint32, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	row := append(make([]byte, 0, 1+sinceSize*len(ids)), seriesVersion)
	for _, id := range ids {
		row = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(row, id), uint64(known[id]))
	}
	return row
}

func readSince(row []byte) (map[uint32]int64, error) {
	known := map[uint32]int64{}
	if row == nil {
		return known, nil
	}
	if len(row) == 0 || row[0] != seriesVersion || len(row)%sinceSize != 1 {
		return nil, fmt.Errorf("the row that tells since when series are kept is damaged, or of a newer weir: %d bytes", len(row))
	}
	for b := row[1:]; len(b) > 0; b = b[sinceSize:] {
		known[binary.LittleEndian.Uint32(b)] = int64(binary.LittleEndian.Uint64(b[4:]))
	}
	return known, nil
}
