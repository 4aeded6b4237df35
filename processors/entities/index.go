package entities

import (
	"math"
	"slices"
	"time"

	"weir/processors/rule"
)

// entry is one value of a series that is kept one by one.
type entry struct {
	at       int64
	bits     uint64
	obs      int32 // index of its observation
	currency uint32
	late     bool
}

// index is a row's values by series, in the order of their observations.
type index struct {
	shape  *shape
	refs   []ref
	folds  []*fold   // by series; nil = nothing folded
	lists  [][]entry // by series
	since  []int64   // by series: when it began to be kept; nil = all are complete
	values []float64
	hashes []uint64
	set    hashSet
}

// build indexes the observations from the first one on that a window of the earliest judged observation can reach.
func (x *index) build(s *scratch, row []byte, earliest int64, since []int64) {
	h := &s.shape
	x.shape, x.refs, x.since = h, s.refs, since
	n := len(h.series)
	x.lists = slices.Grow(x.lists[:0], n)[:n]
	x.folds = slices.Grow(x.folds[:0], n)[:n]
	for i := range n {
		x.lists[i], x.folds[i] = x.lists[i][:0], nil
	}
	for i := range s.folds {
		if at := h.find(s.folds[i].id, 0); at >= 0 {
			x.folds[at] = &s.folds[i]
		}
	}
	from := int64(math.MinInt64)
	if h.horizon > 0 {
		from = earliest - h.horizon
	}
	for i := range s.refs {
		r := &s.refs[i]
		if r.at <= from {
			continue
		}
		b, hint := row[r.off:r.off+r.size], 0
		e := entry{at: r.at, obs: int32(i), currency: currencyOf(b), late: b[flagsAt]&flagLate != 0}
		for k := range int(b[valuesAt]) {
			id, bits := value(b, k)
			at := h.find(id, hint)
			if at < 0 {
				continue
			}
			hint, e.bits = at+1, bits
			x.lists[at] = append(x.lists[at], e)
		}
	}
}

// moment is what a feature is read at: an observation, or for people a time.
type moment struct {
	at       int64
	hash     uint64
	obs      int32 // its index; entries of later ones are not read
	currency uint32
}

// span is what a reading reads: entries of a series, and which of them.
type span struct {
	r        *rule.Reading
	s        *series
	from     int64 // entries after it
	entries  []entry
	buckets  *fold
	currency uint32
	filtered bool // not all entries of the window count
	money    bool // only those in currency
	dropLate bool
}

func (p *span) takes(e *entry) bool {
	return !p.filtered || (!p.money || e.currency == p.currency) && !(p.dropLate && e.late)
}

// span finds the entries of a reading at m. known is false where the series is not complete, lost where folds no longer tell.
func (x *index) span(r *rule.Reading, m *moment) (p span, known, lost bool) {
	p = span{r: r, s: &x.shape.series[r.Series], from: math.MinInt64, currency: m.currency, money: r.Result == rule.Money, dropLate: r.Late == rule.Drop}
	p.filtered = p.money || p.dropLate
	if r.Window > 0 {
		p.from = m.at - int64(r.Window/time.Millisecond)
	}
	if x.since != nil {
		if since := x.since[r.Series]; since > 0 && p.from < since {
			return p, false, false
		}
	}
	if p.money && m.currency == 0 {
		return p, false, false
	}
	list := x.lists[r.Series]
	end := len(list)
	if end > 0 && list[end-1].obs > m.obs {
		end = searchObs(list, m.obs)
	}
	for r.Previous && end > 0 && list[end-1].obs == m.obs {
		end--
	}
	begin := 0
	if end > 0 && list[0].at <= p.from {
		begin = searchAfter(list[:end], p.from)
	}
	p.entries = list[begin:end]
	f := x.folds[r.Series]
	if f == nil {
		return p, true, false
	}
	p.buckets = f
	return p, true, f.covers(m.at, m.hash) || p.blurred(m)
}

// searchAfter is the index of the first entry after a time.
func searchAfter(list []entry, at int64) int {
	lo, hi := 0, len(list)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); list[mid].at <= at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// searchObs is the index of the first entry of a later observation.
func searchObs(list []entry, obs int32) int {
	lo, hi := 0, len(list)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); list[mid].obs <= obs {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// blurred reports whether an edge of the window lies in a bucket that is wider than the series' step.
func (p *span) blurred(m *moment) bool {
	for i := range p.buckets.buckets {
		x := &p.buckets.buckets[i]
		if x.end-x.start > p.s.step && (x.first <= p.from && p.from < x.last || x.first <= m.at && m.at < x.last) {
			return true
		}
	}
	return false
}

// reads reports whether a bucket counts in the window. A bucket at the edge counts whole, but the one that the observation itself may
// be in does not where the reading leaves it out.
func (p *span) reads(x *bucket, m *moment) bool {
	return x.last > p.from && x.first <= m.at && (!p.money || x.currency == p.currency) && !(p.dropLate && x.late) &&
		!(p.r.Previous && p.s.method != rule.Exact && x.end > m.at)
}

// hashSet is an open hash set of well mixed numbers whose memory is used again.
type hashSet struct {
	slots []uint64
	mask  uint64
	zero  bool
}

func (s *hashSet) begin(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	if cap(s.slots) < size {
		s.slots = make([]uint64, size)
	}
	s.slots = s.slots[:size]
	clear(s.slots)
	s.mask, s.zero = uint64(size-1), false
}

// add reports whether h is new.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		was := s.zero
		s.zero = true
		return !was
	}
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			return true
		}
	}
}
