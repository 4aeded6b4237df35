package metric

import "weir/topology/table"

// Accumulator adds up facts in memory until a commit sends what they come to. One goroutine at a time may use it: there is one
// for each partition, and DrainAll takes them together at the barrier.
//
// Its memory follows the number of cells touched since the last drain, and shrinks after a burst.
type Accumulator struct {
	set    *Set
	key    []byte             // built anew for each fact
	series map[string]*series // by bundle and label values
	used   []*series          // those with cells
	cells  map[cellKey]*cell  // of series that have more than fewCells
	count  int                // of cells
	open   []map[string]*shopper

	cellRoom    blocks[cell]
	partRoom    blocks[part]
	shopperRoom blocks[shopper]
	spanRoom    blocks[span]
	spare       []*sketches
	drain       drain
}

// series is one combination of label values in a bundle.
type series struct {
	bundle *bundle
	key    string   // bundle and values, as in Accumulator.series
	text   string   // the values as they stand in a key
	values []string // for sessions
	last   *cell    // used last
	first  *cell    // the others hang on cell.next
	cells  int
	alike  *series // while draining: the same series of another accumulator
}

type cellKey struct {
	series *series
	start  int64
}

// cell adds up one series in one granule: a part for each metric of the bundle.
type cell struct {
	start, end int64 // milliseconds, half-open
	next       *cell // of the same series
	parts      []part
}

type part struct {
	count, sum int64
	more       *sketches // nil where count and sum say it all
}

// fewCells is how many cells of a series are found by a walk.
const fewCells = 6

// Times outside these have no start of four-digit years in some window; they are counted at the bound.
const (
	firstMoment = minStart + 367*24*3600*1000
	lastMoment  = maxStart
)

// NewAccumulator returns an empty accumulator of the set's metrics.
func (s *Set) NewAccumulator() *Accumulator {
	return &Accumulator{
		set: s, series: map[string]*series{}, cells: map[cellKey]*cell{}, open: make([]map[string]*shopper, len(s.bundles)),
	}
}

// Add folds facts into the cells of every metric that counts them. The sign is 1, or −1 to take earlier facts back: that is for the
// funnel, and metrics other than counts and sums take no notice of it. Facts are not kept.
func (a *Accumulator) Add(f *Facts, sign int64) {
	p := a.set.plans[f.Type]
	if f.Stage != "" {
		p = a.set.funnel
	}
	if p == nil || f.Order == nil {
		return
	}
	for _, b := range p.bundles {
		if !b.source.each {
			a.fold(b, f, nil, sign)
			continue
		}
		for _, item := range f.Order.Items {
			a.fold(b, f, item, sign)
		}
	}
	if sign > 0 {
		for _, b := range p.sessions {
			a.addSession(b, f)
		}
	}
}

func (a *Accumulator) fold(b *bundle, f *Facts, item *table.Item, sign int64) {
	if b.where != nil && !b.where.holds(f, item) {
		return
	}
	at := int64(max(firstMoment, min(lastMoment, f.At)))
	s := a.seriesOf(b, f, item)
	c := s.last
	if c == nil || at < c.start || at >= c.end {
		c = a.cellOf(s, at)
	}
	for i, m := range b.metrics {
		p := &c.parts[i]
		switch m.Kind {
		case Count:
			p.count += sign
		case Sum:
			p.count += sign
			p.sum += sign * m.number.of(f, item)
		default:
			if sign > 0 {
				a.foldSketch(p, m, f, item)
			}
		}
	}
}

// foldSketch adds a fact to a part that is more than a sum. Facts that lack what the metric is about are not counted.
func (a *Accumulator) foldSketch(p *part, m *Metric, f *Facts, item *table.Item) {
	if m.Kind == Distinct && m.text(f, item) == "" || m.Kind == Quantiles && !f.Order.Created {
		return
	}
	if p.more == nil {
		p.more = a.spareSketches()
	}
	switch m.Kind {
	case Distinct:
		p.more.addDistinct(m.text(f, item))
	case Quantiles:
		n := m.number.of(f, item)
		p.sum += n
		p.more.addNumber(n)
	case Top:
		weight := m.number.of(f, item)
		if weight <= 0 {
			return
		}
		p.sum += weight
		p.more.addTop(m.text(f, item), weight)
	}
	p.count++
}

// seriesOf finds the series of the facts' label values without making text of them.
func (a *Accumulator) seriesOf(b *bundle, f *Facts, item *table.Item) *series {
	key := append(a.key[:0], byte(b.index), byte(b.index>>8))
	for _, get := range b.labels {
		v := get(f, item)
		if v == "" || len(v) > MaxLabelBytes {
			v = labelValue(v)
		}
		key = append(append(key, byte(len(v))), v...) // a length is at most MaxLabelBytes
	}
	a.key = key
	if s := a.series[string(key)]; s != nil {
		return s
	}
	return a.addSeries(b, key)
}

func (a *Accumulator) addSeries(b *bundle, key []byte) *series {
	s := &series{bundle: b, key: string(key)}
	for rest := s.key[2:]; rest != ""; {
		n := int(rest[0])
		s.values = append(s.values, rest[1:1+n])
		rest = rest[1+n:]
	}
	s.text = string(appendLabels(nil, s.values))
	a.series[s.key] = s
	return s
}

// cellOf finds or makes the cell of the granule that holds at. A series has few cells unless a backlog is sparse, so that a walk
// is quicker than a look-up.
func (a *Accumulator) cellOf(s *series, at int64) *cell {
	granule := s.bundle.granule
	offset := at % granule
	if offset < 0 {
		offset += granule
	}
	start := at - offset
	if s.cells > fewCells {
		s.last = a.cells[cellKey{s, start}]
	} else {
		for s.last = s.first; s.last != nil && s.last.start != start; {
			s.last = s.last.next
		}
	}
	if s.last == nil {
		s.last = a.addCell(s, start)
	}
	return s.last
}

func (a *Accumulator) addCell(s *series, start int64) *cell {
	if s.cells == 0 {
		a.used = append(a.used, s)
	}
	c := &a.cellRoom.take(1)[0]
	c.start, c.end, c.next = start, start+s.bundle.granule, s.first
	c.parts = a.partRoom.take(len(s.bundle.metrics))
	s.first = c
	s.cells++
	a.count++
	switch {
	case s.cells == fewCells+1:
		for known := c; known != nil; known = known.next {
			a.cells[cellKey{s, known.start}] = known
		}
	case s.cells > fewCells:
		a.cells[cellKey{s, start}] = c
	}
	return c
}

// Len returns how many cells are held: one for each series and granule, and one for each shopper with a session.
func (a *Accumulator) Len() int {
	n := a.count
	for _, shoppers := range a.open {
		n += len(shoppers)
	}
	return n
}

// Reset drops everything that was added since the last drain.
func (a *Accumulator) Reset() {
	for _, s := range a.used {
		for c := s.first; c != nil; c = c.next {
			a.releaseParts(c.parts)
		}
		s.first, s.last, s.cells = nil, nil, 0
	}
	a.used = reuse(a.used)
	a.cells = reuseMap(a.cells)
	a.count = 0
	a.cellRoom.reset()
	a.partRoom.reset()
	a.shopperRoom.reset()
	a.spanRoom.reset()
	if len(a.series) > keptSeries {
		a.series = map[string]*series{}
	}
	for i := range a.open {
		a.open[i] = reuseMap(a.open[i])
	}
}

func (a *Accumulator) releaseParts(parts []part) {
	for i := range parts {
		if m := parts[i].more; m != nil {
			parts[i].more = nil
			a.release(m)
		}
	}
}

func (a *Accumulator) release(m *sketches) {
	if len(a.spare) < keptSketches {
		m.reset()
		a.spare = append(a.spare, m)
	}
}

func (a *Accumulator) spareSketches() *sketches {
	if n := len(a.spare); n > 0 {
		m := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return m
	}
	return new(sketches)
}
