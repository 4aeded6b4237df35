package search

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
)

// Moment is when a question is asked: relative bounds follow it.
type Moment struct {
	Watermark event.UnixMilli
	Now       time.Time
}

// Answer is a page of alerts.
type Answer struct {
	Alerts  []Alert
	Next    string // the cursor of the page after; "" = there is none
	Total   int    // alerts that match, on all pages
	Facets  Facets
	LeftOut int    // alerts that the index could not hold
	Seq     uint64 // the index as it was
}

// Facets count what matches, by value. Each leaves its own filter out of account, so that the other values can be chosen.
type Facets struct{ Status, Severity, Rule map[string]int }

// Search answers a question.
func (x *Index) Search(q *Query, at Moment) *Answer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	m := x.matcher(q, at)
	best := ranking{x: x, sort: q.Sort}
	status, severity, rule := make([]int, len(x.texts)), make([]int, len(x.texts)), make([]int, len(x.texts))
	out := &Answer{LeftOut: x.leftOut, Seq: x.seq}
	x.each(q, func(slot int32) {
		a := &x.slots[slot]
		held := m.match(a)
		if held|byStatus == all {
			status[a.status]++
		}
		if held|bySeverity == all {
			severity[a.severity]++
		}
		if held|byRule == all {
			rule[a.rule]++
		}
		if held != all {
			return
		}
		out.Total++
		if q.after == nil || after(q.after, rank(a, q.Sort), a.ID) {
			best.offer(slot, q.Limit+1)
		}
	})
	out.Facets = Facets{x.counts(status), x.counts(severity), x.counts(rule)}
	slots := best.sorted()
	if len(slots) > q.Limit {
		slots = slots[:q.Limit]
		last := &x.slots[slots[len(slots)-1]]
		out.Next = q.cursorAt(rank(last, q.Sort), last.ID)
	}
	out.Alerts = make([]Alert, len(slots))
	for i, s := range slots {
		out.Alerts[i] = x.slots[s]
	}
	return out
}

// each visits what may match: the alerts of the entities asked for, or all.
func (x *Index) each(q *Query, fn func(slot int32)) {
	if len(q.Entity) > 0 {
		for _, key := range q.Entity {
			if c := x.cases[key]; c != nil {
				for _, s := range c.slots {
					fn(s)
				}
			}
		}
		return
	}
	for s := range x.slots {
		if x.slots[s].ID != "" {
			fn(int32(s))
		}
	}
}

func (x *Index) counts(byNumber []int) map[string]int {
	out := map[string]int{}
	for n, count := range byNumber {
		if count > 0 {
			out[x.texts[n].Value()] = count
		}
	}
	return out
}

// held tells which groups of filters an alert passes.
type held uint8

const (
	byStatus held = 1 << iota
	bySeverity
	byRule
	byRest
	all = byStatus | bySeverity | byRule | byRest
)

// matcher is a question over one state of the index.
type matcher struct {
	q                      *Query
	times                  times
	status, severity, rule []uint32
	titles                 []int8 // by the text's number: 1 holds the text, -1 does not, 0 not looked at
	texts                  []unique.Handle[string]
	hash                   uint64
}

func (x *Index) matcher(q *Query, at Moment) *matcher {
	m := &matcher{q: q, times: q.times(at.Watermark, at.Now), texts: x.texts,
		status: x.numbersOf(q.Status), severity: x.numbersOf(q.Severity), rule: x.numbersOf(q.Rule)}
	if q.Text != "" {
		m.titles, m.hash = make([]int8, len(x.texts)), xxhash.Sum64String(q.text)
	}
	return m
}

// numbersOf gives nil for no filter, and a number that no text has for a value that no alert has.
func (x *Index) numbersOf(values []string) []uint32 {
	var out []uint32
	for _, v := range values {
		n, ok := x.numbers[unique.Make(v)]
		if !ok {
			n = ^uint32(0)
		}
		out = append(out, n)
	}
	return out
}

func (m *matcher) match(a *Alert) held {
	var h held
	if m.status == nil || slices.Contains(m.status, a.status) {
		h |= byStatus
	}
	if m.severity == nil || slices.Contains(m.severity, a.severity) {
		h |= bySeverity
	}
	if m.rule == nil || slices.Contains(m.rule, a.rule) {
		h |= byRule
	}
	if m.rest(a) {
		h |= byRest
	}
	return h
}

func (m *matcher) rest(a *Alert) bool {
	q := m.q
	switch {
	case q.Shadow == "exclude" && a.Shadow, q.Shadow == "only" && !a.Shadow:
		return false
	case max(a.Score, a.CaseScore) < q.MinScore, !m.times.hold(a.Started, a.Last):
		return false
	case q.Entity != nil && !slices.Contains(q.Entity, a.Entity),
		q.Kind != nil && !slices.Contains(q.Kind, kindOf(a.Entity)),
		q.Episode != nil && !slices.Contains(q.Episode, a.Episode.Value()),
		q.Assignee != nil && !slices.Contains(q.Assignee, a.Assignee.Value()):
		return false
	}
	return q.Text == "" || m.says(a)
}

// says tells whether the text is part of the alert's title or entity, or names its id or one of its orders.
func (m *matcher) says(a *Alert) bool {
	t := &m.titles[a.title]
	if *t == 0 {
		*t = -1
		if strings.Contains(strings.ToLower(m.texts[a.title].Value()), m.q.Text) {
			*t = 1
		}
	}
	return *t > 0 || strings.Contains(a.folded, m.q.Text) || a.ID == m.q.text || slices.Contains(a.formerly, m.q.text) ||
		slices.Contains(a.orders, m.hash)
}

func kindOf(entity string) string {
	kind, _, _ := strings.Cut(entity, ":")
	return kind
}

func rank(a *Alert, sort Sort) float64 {
	switch sort {
	case ByNewest:
		return float64(a.Started)
	case ByRecent:
		return float64(a.Last)
	case ByRisk:
		return a.risk
	default:
		return a.priority
	}
}

func after(c *cursor, rank float64, id string) bool {
	return rank < c.rank || rank == c.rank && id > c.id
}

// ranking keeps the best slots; the worst of them is at its root.
type ranking struct {
	x     *Index
	sort  Sort
	slots []int32
}

func (r *ranking) compare(i, j int32) int {
	a, b := &r.x.slots[i], &r.x.slots[j]
	return cmp.Or(cmp.Compare(rank(b, r.sort), rank(a, r.sort)), cmp.Compare(a.ID, b.ID))
}

func (r *ranking) offer(slot int32, most int) {
	if len(r.slots) < most {
		heap.Push(r, slot)
	} else if r.compare(slot, r.slots[0]) < 0 {
		r.slots[0] = slot
		heap.Fix(r, 0)
	}
}

func (r *ranking) sorted() []int32 {
	slices.SortFunc(r.slots, r.compare)
	return r.slots
}

// The methods of heap.Interface.

func (r *ranking) Len() int           { return len(r.slots) }
func (r *ranking) Less(i, j int) bool { return r.compare(r.slots[i], r.slots[j]) > 0 }
func (r *ranking) Swap(i, j int)      { r.slots[i], r.slots[j] = r.slots[j], r.slots[i] }
func (r *ranking) Push(slot any)      { r.slots = append(r.slots, slot.(int32)) }
func (r *ranking) Pop() any {
	n := len(r.slots) - 1
	slot := r.slots[n]
	r.slots = r.slots[:n]
	return slot
}

// Shared is an alert that has an entity or orders in common with something else.
type Shared struct {
	Alert
	Orders []string // of those asked for
}

// Sharing gives the alerts about any of the entities or with any of the orders, but the one of the id, the first of the queue first.
func (x *Index) Sharing(entities, orders []string, but string, limit int) []Shared {
	x.mu.RLock()
	defer x.mu.RUnlock()
	hashes := make([]uint64, len(orders))
	for i, order := range orders {
		hashes[i] = xxhash.Sum64String(order)
	}
	best := ranking{x: x, sort: ByPriority}
	for s := range x.slots {
		a := &x.slots[s]
		if a.ID == "" || a.ID == but {
			continue
		}
		if slices.Contains(entities, a.Entity) || slices.ContainsFunc(a.orders, func(h uint64) bool { return slices.Contains(hashes, h) }) {
			best.offer(int32(s), limit)
		}
	}
	out := make([]Shared, 0, len(best.slots))
	for _, s := range best.sorted() {
		a := Shared{Alert: x.slots[s]}
		for i, order := range orders {
			if slices.Contains(a.Alert.orders, hashes[i]) {
				a.Orders = append(a.Orders, order)
			}
		}
		out = append(out, a)
	}
	return out
}
