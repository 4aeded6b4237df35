package search

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"unique"
)

// DefaultMax is how many alerts an index holds unless told otherwise: about 200 MB.
const DefaultMax = 500_000

// remembered is how many changes Changed can look back on; a reader that comes later looks at everything.
const remembered = 8_192

// Index holds the alerts of all entities. Its methods may be called at once.
type Index struct {
	max int

	mu      sync.RWMutex
	slots   []Alert // a free one has no ID
	free    []int32
	byID    map[string]int32 // ids of now and of before
	cases   map[string]*entity
	live    int
	leftOut int
	asleep  map[int32]struct{} // snoozed alerts

	texts   []unique.Handle[string] // by number
	numbers map[unique.Handle[string]]uint32

	seq     uint64
	changed [remembered]string // ids, at seq modulo remembered
}

// entity is what the index knows of one row.
type entity struct {
	slots  []int32
	alerts int // of the row: more than slots where some are left out
}

// New makes an empty index for at most so many alerts. Beyond it the ended ones with the oldest last hits are left out.
func New(most int) *Index {
	return &Index{max: most, byID: map[string]int32{}, cases: map[string]*entity{}, asleep: map[int32]struct{}{},
		numbers: map[unique.Handle[string]]uint32{}}
}

// Put makes alerts those of the entity, in the place of what it had. None removes it.
func (x *Index) Put(key string, alerts []Alert) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.cases[key]
	if before == nil && len(alerts) == 0 {
		return
	}
	if before != nil {
		x.note(before, alerts)
		for _, s := range before.slots {
			x.remove(s)
		}
		x.leftOut -= before.alerts - len(before.slots)
		delete(x.cases, key)
	} else {
		for i := range alerts {
			x.remember(alerts[i].ID)
		}
	}
	if len(alerts) == 0 {
		return
	}
	now := &entity{slots: make([]int32, 0, len(alerts)), alerts: len(alerts)}
	x.cases[key] = now
	for i := range alerts {
		now.slots = append(now.slots, x.add(&alerts[i]))
	}
	for i, s := range now.slots { // after the ids of now, which win
		for _, id := range alerts[i].formerly {
			if _, taken := x.byID[id]; !taken {
				x.byID[id] = s
			}
		}
	}
	if x.live > x.max {
		x.shrink()
	}
}

// note remembers the ids of what differs between a row's alerts of before and of now.
func (x *Index) note(before *entity, now []Alert) {
	left := make(map[string]*Alert, len(before.slots))
	for _, s := range before.slots {
		left[x.slots[s].ID] = &x.slots[s]
	}
	for i := range now {
		old := left[now[i].ID]
		delete(left, now[i].ID)
		if old == nil || !old.same(&now[i]) {
			x.remember(now[i].ID)
		}
	}
	for id := range left {
		x.remember(id)
	}
}

func (x *Index) remember(id string) {
	x.changed[x.seq%remembered] = id
	x.seq++
}

func (x *Index) add(a *Alert) int32 {
	slot := int32(len(x.slots))
	if n := len(x.free); n > 0 {
		slot, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.slots = append(x.slots, Alert{})
	}
	kept := &x.slots[slot]
	*kept = *a
	kept.rule, kept.title, kept.status, kept.severity = x.number(a.Rule), x.number(a.Title), x.number(a.Status), x.number(a.Severity)
	x.byID[a.ID] = slot
	if a.SnoozedUntil != 0 {
		x.asleep[slot] = struct{}{}
	}
	x.live++
	return slot
}

func (x *Index) remove(slot int32) {
	a := &x.slots[slot]
	delete(x.byID, a.ID)
	for _, id := range a.formerly {
		if s, ok := x.byID[id]; ok && s == slot {
			delete(x.byID, id)
		}
	}
	delete(x.asleep, slot)
	*a = Alert{}
	x.free = append(x.free, slot)
	x.live--
}

// number gives texts small numbers. There are few: rules, titles, statuses, severities.
func (x *Index) number(text unique.Handle[string]) uint32 {
	n, ok := x.numbers[text]
	if !ok {
		n = uint32(len(x.texts))
		x.numbers[text] = n
		x.texts = append(x.texts, text)
	}
	return n
}

// shrink leaves out a tenth: ended alerts before active ones, the oldest last hit first.
func (x *Index) shrink() {
	order := make([]int32, 0, x.live)
	for s := range x.slots {
		if x.slots[s].ID != "" {
			order = append(order, int32(s))
		}
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := &x.slots[i], &x.slots[j]
		if (a.Episode == ended) != (b.Episode == ended) {
			if a.Episode == ended {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Last, b.Last), cmp.Compare(a.ID, b.ID))
	})
	for _, s := range order[:x.live-x.max*9/10] {
		c := x.cases[x.slots[s].Entity]
		c.slots = slices.DeleteFunc(c.slots, func(other int32) bool { return other == s })
		x.remember(x.slots[s].ID)
		x.remove(s)
		x.leftOut++
	}
}

// Wake opens the snoozed alerts whose time has come, and tells whether there were any. Their rows do not change for that.
func (x *Index) Wake(now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.seq
	for s := range x.asleep {
		if a := &x.slots[s]; int64(a.SnoozedUntil) <= now.UnixMilli() {
			a.Status, a.status, a.SnoozedUntil = opened, x.number(opened), 0
			x.remember(a.ID)
			delete(x.asleep, s)
		}
	}
	return x.seq != before
}

// Find gives the alert of an id, also of one that it had before.
func (x *Index) Find(id string) (Alert, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s, ok := x.byID[id]
	if !ok {
		return Alert{}, false
	}
	return x.slots[s], true
}

// Entities lists all entities that have alerts, in no order.
func (x *Index) Entities() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make([]string, 0, len(x.cases))
	for key := range x.cases {
		out = append(out, key)
	}
	return out
}

// Len is how many alerts the index holds, and how many it has left out.
func (x *Index) Len() (held, leftOut int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.live, x.leftOut
}

// Changed tells whether the answer to q may differ from what it was at the sequence number since: something that was shown has
// changed, or something that holds now has. It gives the sequence number of now.
func (x *Index) Changed(q *Query, at Moment, since uint64, shown func(id string) bool) (seq uint64, yes bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if since > x.seq || x.seq-since > remembered {
		return x.seq, true
	}
	m := x.matcher(q, at)
	for n := since; n < x.seq; n++ {
		id := x.changed[n%remembered]
		if shown(id) {
			return x.seq, true
		}
		if s, ok := x.byID[id]; ok && x.slots[s].ID == id && m.match(&x.slots[s]) == all {
			return x.seq, true
		}
	}
	return x.seq, false
}

// Seq counts the changes of the index.
func (x *Index) Seq() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.seq
}
