package entities

import (
	"math"
	"slices"

	"weir/processors/rule"
	"weir/topology/metric/sketch"
	"weir/topology/table"
)

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
