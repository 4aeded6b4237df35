package entities

import (
	"math"
	"slices"
	"time"

	"weir/processors/rule"
	"weir/topology/metric/sketch"
	"weir/topology/table"
)

// MaxCited is how many contributing events an explanation names at most.
const MaxCited = 64

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

// read gives the value of a reading at m, and how many entries it was made of. lost: it can no longer be told, where it once could.
func (x *index) read(r *rule.Reading, m *moment) (v rule.Value, n int64, lost bool) {
	v.Type = r.Result
	p, known, lost := x.span(r, m)
	if !known || lost {
		return v, 0, lost
	}
	switch {
	case p.buckets != nil:
	case r.Agg == rule.Distinct:
		different, n := x.distinct(&p)
		v.Num, v.Known = float64(different), true
		return v, n, false
	case (r.Agg == rule.Count || r.Agg == rule.Rate) && !p.filtered:
		t := tally{n: int64(len(p.entries))}
		t.value(&p, m, &v)
		return v, t.n, false
	case r.Agg == rule.Percentile:
		return x.percentile(&p, v)
	}
	t := tally{}
	if p.buckets != nil {
		for i := range p.buckets.buckets {
			if b := &p.buckets.buckets[i]; p.reads(b, m) {
				t.bucket(b)
			}
		}
		if r.Agg == rule.Percentile {
			if t.n > 0 {
				return v, 0, false // a bucket does not keep it
			}
			return x.percentile(&p, v)
		}
	}
	for i := range p.entries {
		if e := &p.entries[i]; p.takes(e) {
			t.entry(p.s, e)
		}
	}
	switch r.Agg {
	case rule.Stddev:
		t.spread(&p, m)
	case rule.Distinct:
		v.Num, v.Known = x.distinctFolded(&p, m)
		return v, t.n, false
	}
	t.value(&p, m, &v)
	return v, t.n, false
}

// tally sums up entries in one pass.
type tally struct {
	n           int64
	sum         float64
	min, max    float64
	m2          float64
	first, last int64
	lastBits    uint64
}

func (t *tally) entry(s *series, e *entry) {
	v := number(s, e.bits)
	if t.n == 0 {
		t.min, t.max, t.first, t.last = v, v, e.at, math.MinInt64
	}
	t.n++
	t.sum += v
	t.min, t.max = min(t.min, v), max(t.max, v)
	t.first = min(t.first, e.at)
	if e.at >= t.last {
		t.last, t.lastBits = e.at, e.bits
	}
}

func (t *tally) bucket(b *bucket) {
	if t.n == 0 {
		t.min, t.max, t.first, t.last = b.min, b.max, b.first, math.MinInt64
	}
	t.n += b.count
	t.sum += b.sum
	t.min, t.max, t.first = min(t.min, b.min), max(t.max, b.max), min(t.first, b.first)
	if b.last > t.last || b.last == t.last && b.lastBits > t.lastBits {
		t.last, t.lastBits = b.last, b.lastBits
	}
}

// spread sums squared differences from the mean in a second pass.
func (t *tally) spread(p *span, m *moment) {
	mean := t.sum / float64(t.n)
	for i := range p.entries {
		if e := &p.entries[i]; p.takes(e) {
			d := number(p.s, e.bits) - mean
			t.m2 += d * d
		}
	}
	if p.buckets == nil {
		return
	}
	for i := range p.buckets.buckets {
		if b := &p.buckets.buckets[i]; p.reads(b, m) && b.count > 0 {
			d := b.sum/float64(b.count) - mean
			t.m2 += b.m2 + float64(b.count)*d*d
		}
	}
}

// value makes the aggregate of what was summed up.
func (t *tally) value(p *span, m *moment, v *rule.Value) {
	v.Known = t.n > 0
	switch p.r.Agg {
	case rule.Count:
		v.Num, v.Known = float64(t.n), true
	case rule.Sum:
		v.Num, v.Known = t.sum, true
	case rule.Rate:
		v.Known = p.r.Window > 0
		if v.Known {
			v.Num = float64(t.n) / p.r.Window.Hours()
		}
	case rule.Mean:
		v.Num = t.sum / float64(t.n)
	case rule.Stddev:
		v.Num, v.Known = math.Sqrt(t.m2/float64(t.n)), t.n > 1
	case rule.Min:
		v.Num = t.min
	case rule.Max:
		v.Num = t.max
	case rule.SinceFirst:
		v.Num = float64(m.at - t.first)
	case rule.SinceLast:
		v.Num = float64(m.at - t.last)
	case rule.Last:
		if v.Known && p.s.typ == rule.Text {
			v.Text = table.UnpackText(t.lastBits)
		} else {
			v.Num = number(p.s, t.lastBits)
		}
	default:
		v.Known = false
	}
	if !v.Known {
		v.Num, v.Text = 0, ""
	}
}

// percentile is the nearest rank: the ⌈q·n⌉-th smallest.
func (x *index) percentile(p *span, v rule.Value) (rule.Value, int64, bool) {
	x.values = x.values[:0]
	for i := range p.entries {
		if e := &p.entries[i]; p.takes(e) {
			x.values = append(x.values, number(p.s, e.bits))
		}
	}
	n := len(x.values)
	if n == 0 {
		return v, 0, false
	}
	slices.Sort(x.values)
	rank := int(math.Ceil(p.r.Quantile * float64(n)))
	v.Num, v.Known = x.values[min(max(rank, 1), n)-1], true
	return v, int64(n), false
}

// fewEntries is up to how many entries comparing each with each is the fastest way to tell different ones.
const fewEntries = 16

// distinct tells how many different values there are among n entries.
func (x *index) distinct(p *span) (different int, n int64) {
	x.hashes = x.hashes[:0]
	few := len(p.entries) <= fewEntries
	if !few {
		x.set.begin(len(p.entries))
	}
	for i := range p.entries {
		e := &p.entries[i]
		if !p.takes(e) {
			continue
		}
		n++
		switch {
		case few:
			if bits := same(p.s, e.bits); !slices.Contains(x.hashes, bits) {
				x.hashes = append(x.hashes, bits)
				different++
			}
		case x.set.add(mix(p.s, e.bits)):
			different++
		}
	}
	return different, n
}

// distinctFolded joins the sets of buckets with the entries.
func (x *index) distinctFolded(p *span, m *moment) (n float64, known bool) {
	var set []byte
	var err error
	for i := range p.buckets.buckets {
		if b := &p.buckets.buckets[i]; err == nil && p.reads(b, m) {
			set, err = sketch.MergeDistinct(set, b.distinct)
		}
	}
	x.hashes = x.hashes[:0]
	for i := range p.entries {
		if e := &p.entries[i]; p.takes(e) {
			x.hashes = append(x.hashes, mix(p.s, e.bits))
		}
	}
	if err == nil {
		set, err = sketch.MergeDistinct(set, sketch.AppendDistinct(nil, x.hashes))
	}
	if err != nil {
		return 0, false
	}
	count, err := sketch.EstimateDistinct(set)
	return float64(count), err == nil
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
