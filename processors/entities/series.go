package entities

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/processors/rule"
	"weir/topology/event"
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

// warmPrefix begins the key of a record that tells a partition that a series was filled from the log; hexadecimal digits of the
// series follow. The value is since when it is complete, event time in ms (8, little-endian; 0 = always was).
const warmPrefix = "\x00warm/"

// WarmRecord is the record that each partition of weir-observations gets behind the observations of a series that were read again
// from the log.
func WarmRecord(series uint32, since event.UnixMilli) (key string, value []byte) {
	return warmPrefix + strconv.FormatUint(uint64(series), 16), binary.LittleEndian.AppendUint64(nil, uint64(since))
}

func isWarm(key string) bool { return strings.HasPrefix(key, warmPrefix) }

// warm notes in the partition's row that a series is complete since a time. Nil: nothing is new. Series that the set in force does
// not have are not kept.
func (n *began) warm(set *rule.Set, row []byte, key string, value []byte) (changed []byte, err error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(key, warmPrefix), 16, 32)
	if err != nil || len(value) != 8 {
		return nil, fmt.Errorf("%w: it tells of no series", errRecord)
	}
	known, err := readSince(row)
	if err != nil {
		return nil, err
	}
	since := int64(binary.LittleEndian.Uint64(value))
	if at, ok := known[uint32(id)]; !ok || since < 0 || since >= at {
		return nil, nil
	}
	known[uint32(id)] = since
	changed = appendSince(known)
	_, err = n.update(set, changed, 0)
	return changed, err
}
