package query

import (
	"fmt"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/table"
	"weir/topology/window"
)

// startLayout is how a window start stands in a row key: fixed width, so that keys sort by time.
const startLayout = "2006-01-02T15:04:05Z"

// Table is the working set of one query: the rows it read, merged to the labels asked for, by window start. It can be kept
// current: Reload reads single starts again, Move follows a range that moves.
type Table struct {
	q       *Query
	src     Metrics
	plan    Plan
	buckets map[Bucket]map[string]*group // the inner key: label values in the order of q.By, as they stand in row keys
	groups  int
	maxRows int
}

// group is one cell for each term of the query; nil where no row matched.
type group struct{ cells []*table.Cell }

// errTooManyRows and errTooManyPoints end a scan.
var (
	errTooManyRows   = wrong("from", "the query reads more than %d rows; ask for a shorter range or a coarser window", MaxRows)
	errTooManyPoints = wrong("by", "the answer has more than %d points; ask for a shorter range, a coarser window or fewer labels", MaxPoints)
)

// Load answers the query's plan from the rows of src.
func Load(q *Query, src Metrics, plan Plan) (*Table, error) {
	t := &Table{q: q, src: src, plan: plan, buckets: map[Bucket]map[string]*group{}, maxRows: MaxRows}
	if !q.merges() && len(plan.Segments) == 1 && plan.Segments[0].starts() > MaxPoints {
		return nil, wrong("from", "the range has more than %d windows of %s; ask for a shorter range or a coarser window", MaxPoints, q.Window)
	}
	for _, s := range plan.Segments {
		if err := t.load(s); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Plan is what the table covers now.
func (t *Table) Plan() Plan { return t.plan }

// Move makes the table cover another plan of the same query: what fell out is dropped, what came in is read. The buckets that
// went or came are told.
func (t *Table) Move(plan Plan) (touched []Bucket, err error) {
	added := subtract(plan.Segments, t.plan.Segments)
	if gone := subtract(t.plan.Segments, plan.Segments); len(gone) > 0 {
		for b := range t.buckets {
			if within(gone, b.Window, b.Start) {
				t.drop(b)
				touched = append(touched, b)
			}
		}
	}
	t.plan = plan
	for _, s := range added {
		if err := t.load(s); err != nil {
			return touched, err
		}
		for b := range t.buckets {
			if b.Window == s.Window.Name && s.From <= b.Start && b.Start < s.To {
				touched = append(touched, b)
			}
		}
	}
	return touched, nil
}

// Bucket names the windows of one start.
type Bucket struct {
	Window string
	Start  event.UnixMilli
}

// Covers tells whether the table holds that bucket.
func (t *Table) Covers(b Bucket) bool { return within(t.plan.Segments, b.Window, b.Start) }

// Reload reads one bucket again.
func (t *Table) Reload(b Bucket) error {
	for _, s := range t.plan.Segments {
		if s.Window.Name == b.Window && s.From <= b.Start && b.Start < s.To {
			return t.load(Segment{s.Window, b.Start, b.Start + 1})
		}
	}
	return nil
}

func (t *Table) drop(b Bucket) {
	t.groups -= len(t.buckets[b])
	delete(t.buckets, b)
}

// load reads one segment, replacing what the table holds of it. A start stands for all starts of its second, since keys tell
// whole seconds.
func (t *Table) load(s Segment) error {
	if s.To <= s.From+1 {
		t.drop(Bucket{s.Window.Name, s.From})
	} else {
		for b := range t.buckets {
			if b.Window == s.Window.Name && s.From <= b.Start && b.Start < s.To {
				t.drop(b)
			}
		}
	}
	src, release, err := Hold(t.src)
	if err != nil {
		return err
	}
	defer release()
	rows := 0
	for i := range t.q.terms {
		if err := t.scan(src, i, s, &rows); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) scan(src Metrics, i int, s Segment, rows *int) error {
	term := &t.q.terms[i]
	start, limit := metric.Range(term.def.Name, s.Window.Name, s.From, s.To)
	if s.To == endOfTime {
		_, limit = metric.Range(term.def.Name, s.Window.Name, 0, endOfTime+1000)
	}
	prefix := len(term.def.Name) + 1 + len(s.Window.Name) + 1
	var (
		lastText  string
		lastStart event.UnixMilli
		tokens    []string
		label     []byte
		spare     = &table.Cell{}
	)
	return src.Scan(start, limit, func(key string, value []byte) error {
		if *rows++; *rows > t.maxRows {
			return errTooManyRows
		}
		text, labels, ok := strings.Cut(key[min(prefix, len(key)):], "/")
		if !ok {
			return fmt.Errorf("row key %q has no labels part", key)
		}
		if text != lastText {
			at, err := time.Parse(startLayout, text)
			if err != nil {
				return fmt.Errorf("row key %q: %w", key, err)
			}
			lastText, lastStart = strings.Clone(text), event.UnixMilli(at.UnixMilli())
		}
		tokens = splitLabels(tokens[:0], labels)
		if len(tokens) != len(term.def.Labels) {
			return fmt.Errorf("row key %q has %d labels where %s has %d", key, len(tokens), term.def.Name, len(term.def.Labels))
		}
		if !term.matches(tokens) {
			return nil
		}
		spare.ResetVT()
		err := spare.UnmarshalVT(value)
		if err != nil {
			return fmt.Errorf("row %q: %w", key, err)
		}
		if s.Window.Kind == window.Sliding {
			if spare, err = Slide(term.def, s.Window.Window, spare, t.plan.Watermark); err != nil {
				return err
			}
		}
		label = term.project(label[:0], tokens)
		adopted, err := t.add(Bucket{s.Window.Name, lastStart}, label, i, spare)
		if adopted {
			spare = &table.Cell{}
		}
		return err
	})
}

// add merges a cell into its group; adopted tells that the group keeps it.
func (t *Table) add(b Bucket, label []byte, i int, c *table.Cell) (adopted bool, err error) {
	groups := t.buckets[b]
	if groups == nil {
		groups = map[string]*group{}
		t.buckets[b] = groups
	}
	g := groups[string(label)]
	if g == nil {
		if t.groups++; !t.q.merges() && t.groups > MaxPoints {
			return false, errTooManyPoints
		}
		g = &group{make([]*table.Cell, len(t.q.terms))}
		groups[string(label)] = g
	}
	if g.cells[i] == nil {
		g.cells[i] = c
		return true, nil
	}
	return false, t.q.terms[i].def.Merge(g.cells[i], c)
}

func (t *term) matches(tokens []string) bool {
	for _, c := range t.conds {
		if _, ok := c.values[tokens[c.label]]; !ok {
			return false
		}
	}
	return true
}

func (t *term) project(out []byte, tokens []string) []byte {
	for n, i := range t.by {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, tokens[i]...)
	}
	return out
}

func splitLabels(out []string, labels string) []string {
	if labels == "" {
		return out
	}
	for {
		i := strings.IndexByte(labels, ',')
		if i < 0 {
			return append(out, labels)
		}
		out, labels = append(out, labels[:i]), labels[i+1:]
	}
}

// merges tells that buckets are no points, but parts of them.
func (q *Query) merges() bool { return q.Window == WindowAll || q.unit != nil }

// Closing are the buckets that became final when the watermark went on from before to that of the plan; sliding windows are
// another one at each watermark.
func (t *Table) Closing(before event.UnixMilli) ([]Bucket, error) {
	var out []Bucket
	if before == t.plan.Watermark || t.q.merges() {
		return nil, nil
	}
	w, _ := t.q.def.window(t.q.Window)
	if w.Kind == window.Sliding {
		b := Bucket{w.Name, metric.Placeholder}
		return []Bucket{b}, t.Reload(b)
	}
	for b := range t.buckets {
		closes := b.Start.Add(w.Size + t.q.Def.Grace)
		if (before != 0 && closes <= before) != (closes <= t.plan.Watermark) {
			out = append(out, b)
		}
	}
	return out, nil
}
