package live

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/topology/event"
	"weir/views/query"
)

// MetricTopics serves topics metrics/<name> with the parameters of the query API.
type MetricTopics struct {
	Catalogue *query.Catalogue
	Source    query.Metrics
	Now       func() time.Time // nil: time.Now
}

// Open implements Topics.
func (m MetricTopics) Open(topic string, filter map[string][]string) (Feed, error) {
	name, ok := strings.CutPrefix(topic, "metrics/")
	if !ok {
		return nil, &Problem{Title: "No such topic", Status: 404, Param: "topic", Detail: "topics are metrics/<name> (GET /v1/metrics lists the names), alerts, orders/<id>, orders and status"}
	}
	q, err := m.Catalogue.Parse(name, url.Values(filter))
	if err == nil {
		err = q.Followable()
	}
	if err != nil {
		return nil, asProblem(err)
	}
	now := m.Now
	if now == nil {
		now = time.Now
	}
	return &metricFeed{q: q, src: m.Source, now: now, heldRows: heldRows{rows: map[string]json.RawMessage{}}, byBucket: map[query.Bucket][]string{}}, nil
}

func asProblem(err error) error {
	if p, ok := query.IsParam(err); ok {
		title := "Bad parameter"
		if p.Status == 404 {
			title = "No such metric"
		}
		return &Problem{Title: title, Status: p.Status, Param: p.Param, Detail: p.Detail}
	}
	return err
}

// dirtyBound is how many single starts a feed reads one by one; with more it reads its whole range once.
const dirtyBound = 512

// metricFeed keeps the rows of one metric query current.
type metricFeed struct {
	q   *query.Query
	src query.Metrics
	now func() time.Time

	mu    sync.Mutex // guards dirty, all
	dirty map[query.Bucket]struct{}
	all   bool

	table    *query.Table
	byBucket map[query.Bucket][]string // keys in rows, where buckets are points
	heldRows
}

func (f *metricFeed) Key() string { return "metrics/" + f.q.Key() }

func (f *metricFeed) Info() json.RawMessage {
	info, err := json.Marshal(map[string]any{"metric": f.q.Def.Name, "kind": f.q.Def.Kind, "unit": f.q.Def.Unit, "window": f.q.Window, "by": f.q.By})
	if err != nil { // strings always marshal
		panic(err)
	}
	return info
}

func (f *metricFeed) Touch(c Changed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.All {
		f.all = true
		return true
	}
	touched := c.Progress // the range, or what is final, may move
	for group := range c.Groups {
		b, ok := f.bucket(group)
		if !ok {
			continue
		}
		touched = true
		if f.dirty == nil {
			f.dirty = map[query.Bucket]struct{}{}
		}
		if f.dirty[b] = struct{}{}; len(f.dirty) > dirtyBound {
			f.all, f.dirty = true, nil
			return true
		}
	}
	return touched
}

// bucket parses a row group metric/window/start of one of the query's metrics and windows.
func (f *metricFeed) bucket(group string) (query.Bucket, bool) {
	metric, rest, ok := strings.Cut(group, "/")
	if !ok || !f.q.Reads(metric) {
		return query.Bucket{}, false
	}
	window, start, ok := strings.Cut(rest, "/")
	if !ok || f.q.Window != query.WindowAll && window != f.q.Window {
		return query.Bucket{}, false
	}
	t, err := time.Parse(time.RFC3339, start)
	if err != nil {
		return query.Bucket{}, false
	}
	return query.Bucket{Window: window, Start: event.UnixMilli(t.UnixMilli())}, true
}

func (f *metricFeed) Refresh() ([]Op, error) {
	f.mu.Lock()
	dirty, all := f.dirty, f.all || f.table == nil
	f.dirty, f.all = nil, false
	f.mu.Unlock()
	ops, err := f.refresh(dirty, all)
	if err != nil { // the state may be half renewed: read everything next time
		f.mu.Lock()
		f.all = true
		f.mu.Unlock()
		return nil, asProblem(err)
	}
	return ops, nil
}

func (f *metricFeed) refresh(dirty map[query.Bucket]struct{}, all bool) ([]Op, error) {
	progress := f.src.Progress()
	plan, err := f.q.Plan(progress, f.now())
	if err != nil {
		return nil, err
	}
	before := f.fresh.Watermark
	touched := map[query.Bucket]struct{}{}
	if all {
		t, err := query.Load(f.q, f.src, plan)
		if err != nil {
			return nil, err
		}
		for b := range f.byBucket {
			touched[b] = struct{}{}
		}
		f.table = t
		for _, b := range t.Buckets() {
			touched[b] = struct{}{}
		}
	} else {
		moved, err := f.table.Move(plan)
		if err != nil {
			return nil, err
		}
		for _, b := range moved {
			touched[b] = struct{}{}
		}
		for b := range dirty {
			if f.table.Covers(b) {
				if err := f.table.Reload(b); err != nil {
					return nil, err
				}
				touched[b] = struct{}{}
			}
		}
		closing, err := f.table.Closing(before)
		if err != nil {
			return nil, err
		}
		for _, b := range closing {
			touched[b] = struct{}{}
		}
	}
	f.fresh = progress
	if f.q.Window == query.WindowAll {
		return f.renderAll(len(touched) > 0 || before != progress.Watermark)
	}
	return f.render(touched)
}

// render compares the rows of the buckets touched with what was there. Nothing is held before all of them can be shown: a change that
// is held counts as told.
func (f *metricFeed) render(touched map[query.Bucket]struct{}) ([]Op, error) {
	rendered := make(map[query.Bucket][]Op, len(touched))
	for b := range touched {
		rows, err := f.table.Rows(b)
		if err != nil {
			return nil, err
		}
		if rendered[b], err = encoded(rows); err != nil {
			return nil, err
		}
	}
	var ops []Op
	for b, rows := range rendered {
		keys, changed := f.renew(rows, f.byBucket[b])
		if len(keys) == 0 {
			delete(f.byBucket, b)
		} else {
			f.byBucket[b] = keys
		}
		ops = append(ops, changed...)
	}
	slices.SortFunc(ops, func(a, b Op) int { return strings.Compare(a.Key, b.Key) })
	return ops, nil
}

func (f *metricFeed) renderAll(changed bool) ([]Op, error) {
	if !changed {
		return nil, nil
	}
	all, err := f.table.All()
	if err != nil {
		return nil, err
	}
	rows, err := encoded(all)
	if err != nil {
		return nil, err
	}
	_, ops := f.renew(rows, slices.Sorted(maps.Keys(f.rows)))
	return ops, nil
}

func encoded(rows []query.Keyed) ([]Op, error) {
	out := make([]Op, len(rows))
	for i, r := range rows {
		data, err := json.Marshal(r.Row)
		if err != nil {
			return nil, err
		}
		out[i] = Op{r.Key, data}
	}
	return out, nil
}

// renew puts rows in the place of those under the keys old.
func (f *metricFeed) renew(rows []Op, old []string) (keys []string, ops []Op) {
	present := make(map[string]struct{}, len(rows))
	for _, r := range rows {
		keys = append(keys, r.Key)
		present[r.Key] = struct{}{}
		ops = f.put(ops, r.Key, r.Row)
	}
	for _, key := range old {
		if _, ok := present[key]; !ok {
			ops = f.put(ops, key, nil)
		}
	}
	return keys, ops
}

// FreshnessOf puts a table's progress into a frame's form.
func FreshnessOf(p query.Progress) Freshness {
	m := p.Meta()
	return Freshness{Watermark: m.Watermark, AsOf: m.AsOf, CaughtUpAt: m.CaughtUpAt, LagRecords: m.LagRecords, Partitions: Partitions(m.Partitions)}
}
