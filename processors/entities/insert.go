package entities

import (
	"encoding/binary"
	"fmt"
	"slices"

	"weir/topology/table"
)

// take reads the record's observations into s.fresh, sorted and each once.
func (s *scratch) take(record []byte, watermark int64, counts *Counts) error {
	sorted := true
	for off := 0; off < len(record); {
		r, err := refAt(record, off)
		if err == nil {
			err = check(record[off : off+int(r.size)])
		}
		if err != nil {
			return fmt.Errorf("%w: at byte %d: %w", errRecord, off, err)
		}
		off += int(r.size)
		counts.Observations++
		if r.at <= s.shape.forgotten(watermark) {
			counts.Late++
			continue
		}
		r.src, r.fresh = ofRecord, record[int(r.off)+flagsAt]&table.FlagBackfill == 0
		r.late = r.fresh && watermark > 0 && r.at <= watermark
		if n := len(s.fresh); n > 0 && !s.fresh[n-1].before(&r) {
			sorted = false
		}
		s.fresh = append(s.fresh, r)
	}
	if sorted {
		return nil
	}
	slices.SortStableFunc(s.fresh, compareRefs)
	n := 0
	for i := range s.fresh {
		if n > 0 && s.fresh[n-1].same(&s.fresh[i]) {
			s.combine(&s.fresh[n-1], &s.fresh[i], counts)
			continue
		}
		s.fresh[n] = s.fresh[i]
		n++
	}
	s.fresh = s.fresh[:n]
	return nil
}

func compareRefs(a, b ref) int {
	switch {
	case a.before(&b):
		return -1
	case b.before(&a):
		return 1
	}
	return 0
}

// combine joins two observations of one event, and reports whether that changes the older one. What was read again from the log adds
// the values that are missing; what came as it should takes the place of what was read again. All else is a duplicate.
func (s *scratch) combine(old, r *ref, counts *Counts) bool {
	base, extra := old, r
	switch oldAgain, again := s.bytes(old)[flagsAt]&table.FlagBackfill != 0, s.bytes(r)[flagsAt]&table.FlagBackfill != 0; {
	case again:
	case oldAgain:
		base, extra = r, old
	default:
		counts.Duplicates++
		return false
	}
	joined, added := s.join(base, extra)
	if base == old && added == 0 {
		counts.Duplicates++
		return false
	}
	*old = joined
	return true
}

// join makes an observation of base with the values of extra's series that it does not have.
func (s *scratch) join(base, extra *ref) (joined ref, added int) {
	b, e := s.bytes(base), s.bytes(extra)
	n, off := int(b[valuesAt]), len(s.made)
	rest := bodyAt + valueSize*n
	s.made = append(s.made, b[:rest]...)
	for i := range int(e[valuesAt]) {
		id, _ := value(e, i)
		if n+added < table.MaxValues && !hasValue(b, id) {
			s.made = append(s.made, e[bodyAt+valueSize*i:][:valueSize]...)
			added++
		}
	}
	s.made = append(s.made, b[rest:]...)
	s.made[off+valuesAt] = byte(n + added)
	joined = *base
	joined.off, joined.size, joined.src = int32(off), int32(len(s.made)-off), ofMade
	binary.LittleEndian.PutUint32(s.made[off:], uint32(joined.size))
	return joined, added
}

func hasValue(b []byte, series uint32) bool {
	for i := range int(b[valuesAt]) {
		if id, _ := value(b, i); id == series {
			return true
		}
	}
	return false
}

// insert puts the fresh observations where they belong, takes away what no window can reach any more, and reports whether anything
// came in.
func (s *scratch) insert(watermark int64, counts *Counts) (changed bool) {
	until, n := s.shape.forgotten(watermark), 0
	for n < len(s.refs) && s.refs[n].at <= until {
		n++
	}
	s.refs = slices.Delete(s.refs, 0, n)
	n = 0
	for i := range s.fresh {
		f := &s.fresh[i]
		if last := len(s.refs) - 1; last >= 0 && !s.refs[last].before(f) {
			if at, known := slices.BinarySearchFunc(s.refs, *f, compareRefs); known {
				changed = s.combine(&s.refs[at], f, counts) || changed
				continue
			}
		}
		s.fresh[n] = *f
		n++
	}
	s.fresh = s.fresh[:n]
	at := len(s.refs) - 1
	s.refs = append(s.refs, s.fresh...)
	for to := len(s.refs) - 1; n > 0; to-- { // from the newest on, so that a row is moved only as far as something comes before it
		if at >= 0 && s.fresh[n-1].before(&s.refs[at]) {
			s.refs[to] = s.refs[at]
			at--
			continue
		}
		n--
		s.refs[to] = s.fresh[n]
	}
	return changed || len(s.fresh) > 0
}
