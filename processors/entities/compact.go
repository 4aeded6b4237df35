package entities

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"weir/processors/rule"
)

// compactEvery is how many observations a row gains between two compactions that nothing else asks for.
const compactEvery = 64

// crowded reports whether the row has to be compacted before it is written: also when its oldest observation has been of no use for a
// while, because a row is written whole however little of it is new.
func (s *scratch) crowded(in *Input) bool {
	h := &s.shape
	return in.Timer || h.bucketed || len(s.folds) > 0 || len(s.refs) > h.leastCap || len(s.refs)%compactEvery == 0 ||
		s.stale(int64(in.Watermark)) || s.size() > maxRowBytes
}

// stale reports whether the oldest observation was of no use a quarter of its time ago.
func (s *scratch) stale(watermark int64) bool {
	h := &s.shape
	return h.horizon > 0 && len(s.refs) > 0 && s.refs[0].at <= h.forgotten(watermark)-h.keep/4
}

func (s *scratch) size() int {
	n := rowHeader
	for i := range s.refs {
		n += int(s.refs[i].size)
	}
	return n + s.foldSize()
}

func (s *scratch) foldSize() (n int) {
	for i := range s.folds {
		n += s.folds[i].size()
	}
	return n
}

// compact makes the row as small as it may be: values past their horizon, gates past the grace and values of unknown series go; of a
// series over its cap the oldest entries fold, but none that the watermark has not passed: what comes in its time is always read
// exactly, also when partitions are hours apart in a backlog; and so does the oldest part of a row that is too large for a record.
func (s *scratch) compact(watermark int64, counts *Counts) error {
	s.countEntries()
	kept := s.refs[:0]
	for i := range s.refs {
		r := s.refs[i]
		keep, err := s.trim(&r, watermark, counts)
		if err != nil {
			return err
		}
		if keep {
			kept = append(kept, r)
		}
	}
	s.refs = kept
	if err := s.shrink(counts); err != nil {
		return err
	}
	return s.tidyFolds(watermark)
}

// countEntries sets s.excess: how many entries each series has to fold. Folding a few more than needed makes the next ones cheap.
func (s *scratch) countEntries() {
	h := &s.shape
	s.excess = slices.Grow(s.excess[:0], len(h.series))[:len(h.series)]
	clear(s.excess)
	if len(s.refs) > h.leastCap {
		for i := range s.refs {
			b, hint := s.bytes(&s.refs[i]), 0
			for k := range int(b[valuesAt]) {
				id, _ := value(b, k)
				if at := h.find(id, hint); at >= 0 {
					s.excess[at]++
					hint = at + 1
				}
			}
		}
	}
	for i := range h.series {
		x := &h.series[i]
		switch {
		case x.method != rule.Exact:
			s.excess[i] = math.MaxInt
		case x.cap > 0 && s.excess[i] > x.cap:
			s.excess[i] -= x.cap - x.cap/8
		default:
			s.excess[i] = 0
		}
	}
}

// trim rewrites one observation without what it need not keep, and reports whether something is left.
func (s *scratch) trim(r *ref, watermark int64, counts *Counts) (keep bool, err error) {
	h, b := &s.shape, s.bytes(r)
	n, judged, hint := int(b[valuesAt]), r.at > h.settled(watermark), 0
	gatesLeft := judged && b[gatesAt] > 0
	s.kept = s.kept[:0]
	for i := range n {
		id, bits := value(b, i)
		at := h.find(id, hint)
		if at < 0 { // of another set: perhaps of the next one, as long as that may still come
			if r.at > watermark || watermark == 0 {
				s.kept = append(s.kept, i)
			}
			continue
		}
		hint = at + 1
		x := &h.series[at]
		switch f := s.foldOf(x.id); {
		case watermark > 0 && x.horizon > 0 && r.at <= watermark-h.grace-x.horizon:
		case s.excess[at] > 0 && (x.method != rule.Exact || r.at <= watermark) || f != nil && f.covers(r.at, r.hash):
			if err := s.fold(x, r, bits, b); err != nil {
				return false, err
			}
			s.excess[at]--
			counts.Folded++
		default:
			s.kept = append(s.kept, i)
		}
	}
	if len(s.kept) == 0 && !gatesLeft && !(judged && len(h.plan.OpenOf(b[typeAt])) > 0) {
		return false, nil
	}
	if len(s.kept) == n && gatesLeft == (b[gatesAt] > 0) {
		return true, nil
	}
	return true, s.rewrite(r, b, gatesLeft)
}

// rewrite makes r the observation b with the values s.kept, and without its gates if they are done.
func (s *scratch) rewrite(r *ref, b []byte, gatesLeft bool) error {
	texts, err := tail(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errRow, err)
	}
	off := len(s.made)
	s.made = append(s.made, b[:bodyAt]...)
	s.made[off+valuesAt] = byte(len(s.kept))
	for _, i := range s.kept {
		s.made = append(s.made, b[bodyAt+valueSize*i:][:valueSize]...)
	}
	if gatesLeft {
		s.made = append(s.made, b[bodyAt+valueSize*int(b[valuesAt]):texts]...)
	} else {
		s.made[off+gatesAt] = 0
	}
	s.made = append(s.made, b[texts:]...)
	r.off, r.size, r.src = int32(off), int32(len(s.made)-off), ofMade
	binary.LittleEndian.PutUint32(s.made[off:], uint32(r.size))
	return nil
}

func (s *scratch) foldOf(id uint32) *fold {
	for i := range s.folds {
		if s.folds[i].id == id {
			return &s.folds[i]
		}
	}
	return nil
}

// fold moves a value from its observation into a bucket.
func (s *scratch) fold(x *series, r *ref, bits uint64, b []byte) error {
	f := s.foldOf(x.id)
	if f == nil {
		s.folds = slices.Grow(s.folds, 1)[:len(s.folds)+1]
		f = &s.folds[len(s.folds)-1]
		*f = fold{id: x.id, at: math.MinInt64, buckets: f.buckets[:0]}
	}
	if x.method == rule.Exact && !f.covers(r.at, r.hash) {
		f.at, f.hash = r.at, r.hash
	}
	if err := f.add(x, r.at, bits, currencyOf(b), r.late || b[flagsAt]&flagLate != 0); err != nil {
		return fmt.Errorf("%w: %w", errRow, err)
	}
	return nil
}

// shrink folds the oldest observations of a row that is too large, whole. Findings that stand on them stay.
func (s *scratch) shrink(counts *Counts) error {
	if s.size() <= maxRowBytes {
		return nil
	}
	gone, left := 0, s.size()
	for before := s.foldSize(); gone < len(s.refs) && left > shrunkBytes; gone++ {
		r := &s.refs[gone]
		b, hint := s.bytes(r), 0
		for i := range int(b[valuesAt]) {
			id, bits := value(b, i)
			at := s.shape.find(id, hint)
			if at < 0 {
				continue
			}
			hint = at + 1
			if err := s.fold(&s.shape.series[at], r, bits, b); err != nil {
				return err
			}
		}
		now := s.foldSize()
		left, before = left-int(r.size)+now-before, now
		counts.Dropped++
	}
	s.refs = slices.Delete(s.refs, 0, gone)
	for limit := maxBuckets / 2; s.size() > maxRowBytes && limit > 0; limit /= 2 {
		for i := range s.folds {
			if err := s.folds[i].bound(limit); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidyFolds drops buckets that no window can reach, and folds of unknown series.
func (s *scratch) tidyFolds(watermark int64) error {
	h := &s.shape
	kept := s.folds[:0]
	for _, f := range s.folds {
		at := h.find(f.id, 0)
		if at < 0 {
			continue
		}
		if x := &h.series[at]; x.horizon > 0 {
			if f.at != math.MinInt64 { // nothing is read at or before f.at
				f.forget(f.at - x.horizon)
			}
			if watermark > 0 {
				f.forget(watermark - h.grace - x.horizon)
			}
		}
		if err := f.bound(maxBuckets); err != nil {
			return err
		}
		if len(f.buckets) > 0 || f.at > h.settled(watermark) {
			kept = append(kept, f)
		}
	}
	clear(s.folds[len(kept):]) // their buckets are others' memory now
	s.folds = kept
	return nil
}
