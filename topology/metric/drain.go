package metric

import (
	"slices"
	"strings"

	"weir/topology/event"
	"weir/topology/table"
	"weir/topology/window"
)

// Drain gives fn what was added since the last drain, one cell a metric row, in the order of the keys, and empties the
// accumulator. The cell is valid only during the call. Rows to which nothing is added, because what came was taken back, are left
// out. If fn fails, Drain stops with its error and the accumulator is to be Reset.
func (a *Accumulator) Drain(fn func(key string, cell *table.Cell) error) error {
	return DrainAll([]*Accumulator{a}, fn)
}

// DrainAll is Drain over accumulators of one Set taken together: what they add to the same row comes as one cell.
func DrainAll(accs []*Accumulator, fn func(key string, cell *table.Cell) error) error {
	if len(accs) == 0 {
		return nil
	}
	d := &accs[0].drain
	d.begin(accs[0])
	d.gather(accs)
	err := d.emit(accs, fn)
	d.end()
	if err != nil {
		return err
	}
	for _, a := range accs {
		a.Reset()
	}
	return nil
}

// drain rolls granules up into windows and writes them out. Its memory is used again at the next drain.
type drain struct {
	first    *Accumulator       // lends cells and sketches
	rows     []windowRows       // by bundle
	index    map[string]*series // of the first accumulator that has the series
	order    []*series
	cells    []*cell // of one series, by start
	owned    []*sketches
	open     []openRow
	sessions []*table.Session
	cell     table.Cell
	key      []byte

	starts []event.UnixMilli
	spread []spreadCell
}

func (d *drain) begin(first *Accumulator) {
	d.first = first
	if d.rows == nil {
		d.rows = make([]windowRows, len(first.set.bundles))
		d.index = map[string]*series{}
	}
}

// end gives back what was lent, and lets go of what the rows point to.
func (d *drain) end() {
	for _, m := range d.owned {
		d.first.release(m)
	}
	d.owned = reuse(d.owned)
	for _, s := range d.order {
		for s != nil {
			s, s.alike = s.alike, nil
		}
	}
	d.order = reuse(d.order)
	d.index = reuseMap(d.index)
	for _, lists := range d.rows {
		for i := range lists {
			lists[i] = reuse(lists[i])
		}
	}
	d.cells, d.spread, d.open = reuse(d.cells), reuse(d.spread), reuse(d.open)
	clearCell(&d.cell)
}

// windowRows are the rows of one bundle, by window.
type windowRows [][]row

type row struct {
	start  event.UnixMilli
	text   string // of the labels
	parts  []part
	slices []*cell // of a sliding window
}

type spreadCell struct {
	start event.UnixMilli
	cell  *cell
}

// gather brings the cells of each series together, from all accumulators, and rolls them up.
func (d *drain) gather(accs []*Accumulator) {
	for _, a := range accs {
		for _, s := range a.used {
			if len(accs) > 1 {
				if known := d.index[s.key]; known != nil {
					s.alike, known.alike = known.alike, s
					continue
				}
				d.index[s.key] = s
			}
			d.order = append(d.order, s)
		}
	}
	for _, s := range d.order {
		d.cells = d.cells[:0]
		for same := s; same != nil; same = same.alike {
			d.take(same)
		}
		d.rollUp(s)
	}
}

func (d *drain) take(s *series) {
	for c := s.first; c != nil; c = c.next {
		d.cells = append(d.cells, c)
	}
}

func (d *drain) rollUp(s *series) {
	slices.SortFunc(d.cells, func(a, b *cell) int { return compareInts(a.start, b.start) })
	b := s.bundle
	if d.rows[b.index] == nil {
		d.rows[b.index] = make(windowRows, len(b.windows))
	}
	for i := range b.windows {
		into := &d.rows[b.index][i]
		switch w := b.windows[i].Window; w.Kind {
		case window.Sliding:
			*into = append(*into, row{start: Placeholder, text: s.text, slices: slices.Clone(d.cells)})
		case window.Hopping:
			d.spreadOut(b, w)
			d.runs(into, s)
		default:
			d.spread = d.spread[:0]
			for _, c := range d.cells {
				d.spread = append(d.spread, spreadCell{window.Floor(event.UnixMilli(c.start), w.Size), c})
			}
			d.runs(into, s)
		}
	}
}

func (d *drain) spreadOut(b *bundle, w window.Window) {
	d.spread = d.spread[:0]
	for _, c := range d.cells {
		d.starts = w.Covering(d.starts[:0], event.UnixMilli(c.start), b.granule)
		for _, start := range d.starts {
			d.spread = append(d.spread, spreadCell{start, c})
		}
	}
	slices.SortStableFunc(d.spread, func(a, b spreadCell) int { return compareInts(a.start, b.start) })
}

// runs adds one row for each run of equal starts.
func (d *drain) runs(into *[]row, s *series) {
	for rest := d.spread; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].start == rest[0].start {
			n++
		}
		parts := rest[0].cell.parts
		if n > 1 {
			parts = d.sum(rest[:n], len(parts))
		}
		*into = append(*into, row{start: rest[0].start, text: s.text, parts: parts})
		rest = rest[n:]
	}
}

func (d *drain) sum(cells []spreadCell, n int) []part {
	sum := d.first.partRoom.take(n)
	for _, c := range cells {
		d.add(sum, c.cell.parts)
	}
	return sum
}

func (d *drain) add(sum, parts []part) {
	for i := range parts {
		sum[i].count += parts[i].count
		sum[i].sum += parts[i].sum
		if parts[i].more == nil {
			continue
		}
		if sum[i].more == nil {
			sum[i].more = d.first.spareSketches()
			d.owned = append(d.owned, sum[i].more)
		}
		sum[i].more.merge(parts[i].more)
	}
}

// emit writes the rows of every metric in the order of their keys: by name, window, start and labels.
func (d *drain) emit(accs []*Accumulator, fn func(string, *table.Cell) error) error {
	for _, lists := range d.rows {
		for _, rows := range lists {
			slices.SortFunc(rows, func(a, b row) int {
				if a.start != b.start {
					return compareInts(a.start, b.start)
				}
				return strings.Compare(a.text, b.text)
			})
		}
	}
	for _, o := range d.first.set.outputs {
		var err error
		if o.window < 0 {
			err = d.emitSessions(accs, o, fn)
		} else if lists := d.rows[o.bundle.index]; lists != nil {
			err = d.emitRows(lists[o.window], o, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// output is a metric in one of its windows (−1: its open sessions), where its numbers stand, and how its keys begin.
type output struct {
	metric       *Metric
	bundle       *bundle
	part, window int
	prefix       string
}

func (d *drain) emitRows(rows []row, o output, fn func(string, *table.Cell) error) error {
	d.key = append(d.key[:0], o.prefix...)
	var start event.UnixMilli
	for i := range rows {
		r := &rows[i]
		if i == 0 || r.start != start {
			start = r.start
			d.key = append(appendStart(d.key[:len(o.prefix)], start), '/')
		}
		clearCell(&d.cell)
		if r.slices != nil {
			d.writeSlices(r, o)
		} else {
			r.parts[o.part].write(&d.cell)
		}
		if Empty(&d.cell) {
			continue
		}
		d.key = append(d.key[:len(o.prefix)+startLength+1], r.text...)
		if err := fn(string(d.key), &d.cell); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) write(c *table.Cell) {
	c.Count, c.Sum = p.count, p.sum
	if p.more != nil {
		p.more.write(c)
	}
}

func clearCell(c *table.Cell) {
	c.Count, c.Sum, c.Min, c.Max, c.Ranged = 0, 0, 0, 0, false
	c.Distinct, c.Quantiles, c.Top, c.Sessions, c.Slices = c.Distinct[:0], c.Quantiles[:0], nil, nil, nil
}

// writeSlices makes the slices of a sliding window from granules, which may be shorter.
func (d *drain) writeSlices(r *row, o output) {
	step := o.bundle.windows[o.window].Advance
	for rest := r.slices; len(rest) > 0; {
		start := window.Floor(event.UnixMilli(rest[0].start), step)
		var sum [1]part
		for len(rest) > 0 && window.Floor(event.UnixMilli(rest[0].start), step) == start {
			d.add(sum[:], rest[0].parts[o.part:o.part+1])
			rest = rest[1:]
		}
		slice := &table.Slice{StartMs: int64(start), Cell: new(table.Cell)}
		sum[0].write(slice.Cell)
		if !Empty(slice.Cell) {
			d.cell.Slices = append(d.cell.Slices, slice)
		}
	}
}

// openRow is the spans of one shopper in one accumulator.
type openRow struct {
	text  string
	spans []span
}

func (d *drain) emitSessions(accs []*Accumulator, o output, fn func(string, *table.Cell) error) error {
	d.open = d.open[:0]
	for _, a := range accs {
		for by, s := range a.open[o.bundle.index] {
			text := by
			if !isPlain(by) {
				text = string(appendLabel(nil, by))
			}
			d.open = append(d.open, openRow{text, s.spans})
		}
	}
	slices.SortFunc(d.open, func(a, b openRow) int { return strings.Compare(a.text, b.text) })
	d.key = append(appendStart(append(d.key[:0], o.prefix...), Placeholder), '/')
	at := len(d.key)
	for rest := d.open; len(rest) > 0; {
		text, n := rest[0].text, 0
		for len(rest) > 0 && rest[0].text == text {
			for _, s := range rest[0].spans {
				n = d.session(n, s)
			}
			rest = rest[1:]
		}
		clearCell(&d.cell)
		d.cell.Sessions = d.sessions[:n]
		if n > 1 {
			d.cell.Sessions = MergeSessions(nil, d.cell.Sessions, o.metric.Session.Gap)
		}
		d.key = append(d.key[:at], text...)
		if err := fn(string(d.key), &d.cell); err != nil {
			return err
		}
	}
	return nil
}

// session writes a span as the nth session of a row and returns n + 1.
func (d *drain) session(n int, s span) int {
	if n == len(d.sessions) {
		d.sessions = append(d.sessions, new(table.Session))
	}
	x := d.sessions[n]
	x.StartMs, x.EndMs, x.Count, x.Labels = s.start, s.end, s.count, s.labels
	return n + 1
}

func compareInts[T ~int64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// outputs lists every place where rows go, in the order of keys.
func (s *Set) listOutputs() {
	for _, b := range s.bundles {
		for i, m := range b.metrics {
			if m.Session != nil {
				s.outputs = append(s.outputs, output{metric: m, bundle: b, window: -1, prefix: m.Name + "/" + m.Session.Window + "/"})
				continue
			}
			for w := range b.windows {
				s.outputs = append(s.outputs, output{metric: m, bundle: b, part: i, window: w, prefix: m.Name + "/" + b.windows[w].Name + "/"})
			}
		}
	}
	slices.SortFunc(s.outputs, func(a, b output) int { return strings.Compare(a.prefix, b.prefix) })
}
