package alerts

import (
	"cmp"
	"slices"
	"strconv"

	"weir/topology/table"
)

// known is everything that is known of one hit: its clauses of which all parts are there, best first.
type known struct {
	rule    string
	hit     uint64
	clauses []*table.Pending
}

// hitKey is the key of the row that keeps a hit's parts.
func hitKey(entity, rule string, hit uint64) string {
	return "\x00hit/" + entity + "\x00" + rule + "\x00" + strconv.FormatUint(hit, 16)
}

// load reads what is known of a hit, nothing if the row is gone.
func (s *step) load(rule string, hit uint64) *known {
	k := &known{rule: rule, hit: hit}
	var stored table.Case
	if raw := s.get(hitKey(s.in.Entity, rule, hit)); raw != nil && stored.UnmarshalVT(raw) == nil {
		k.clauses = stored.Pending
	}
	return k
}

// store writes what is known of a hit for as long as it may still change.
func (s *step) store(k *known) {
	key := hitKey(s.in.Entity, k.rule, k.hit)
	if len(k.clauses) == 0 || s.settled(k.clauses[0].AtMs) {
		s.forget(key)
		return
	}
	value, err := (&table.Case{Pending: k.clauses}).MarshalVT()
	if err != nil {
		panic(err) // a message in memory always has an encoding
	}
	s.out.Rows = append(s.out.Rows, Row{key, value})
}

func (s *step) forget(key string) {
	if s.get(key) != nil {
		s.out.Rows = append(s.out.Rows, Row{Key: key})
	}
}

// get reads a row beside the entity's as this step has left it.
func (s *step) get(key string) []byte {
	for _, r := range slices.Backward(s.out.Rows) {
		if r.Key == key {
			return r.Value
		}
	}
	return s.in.Get(key)
}

// forgetHits deletes what stands beside the row for these hits of an alert.
func (s *step) forgetHits(a *table.Alert, hits []*table.HitRef) {
	for _, h := range hits {
		s.forget(hitKey(s.in.Entity, a.Rule, h.Hit))
	}
}

// order sorts the clauses: the one with the highest score speaks for the hit.
func (k *known) order() {
	slices.SortFunc(k.clauses, func(a, b *table.Pending) int {
		return cmp.Or(cmp.Compare(score(b.Parts), score(a.Parts)), cmp.Compare(a.AtMs, b.AtMs),
			cmp.Compare(a.Clause, b.Clause), cmp.Compare(a.RuleHash, b.RuleHash))
	})
}

// ref is the hit in short; nil if no clause is complete.
func (k *known) ref() *table.HitRef {
	if len(k.clauses) == 0 {
		return nil
	}
	c := k.clauses[0]
	f := c.Parts[0]
	return &table.HitRef{Hit: k.hit, Clause: c.Clause, AtMs: c.AtMs, OrderId: f.OrderId, RiskMinor: f.RiskMinor, Currency: f.Currency,
		Score: score(c.Parts), Version: f.Version}
}

// score is the highest of the parts.
func score(parts []*table.Finding) (n int64) {
	for _, f := range parts {
		n = max(n, f.Score)
	}
	return n
}

// reason is that of the part with the highest score.
func reason(parts []*table.Finding) string {
	for _, f := range parts {
		if f.Score == score(parts) {
			return f.Reason
		}
	}
	return ""
}

func sameClause(f *table.Finding) func(*table.Pending) bool {
	return func(p *table.Pending) bool {
		return p.Hit == f.Hit && p.Clause == f.Clause && p.RuleHash == f.RuleHash && p.Rule == f.Rule
	}
}

// finding folds a part that was found or withdrawn.
func (s *step) finding(f *table.Finding) {
	k := s.load(f.Rule, f.Hit)
	s.fresh = k
	if f.Withdrawn {
		s.withdraw(k, f)
		return
	}
	if r := s.in.Rule(f.Rule); r == nil || !r.State.Evaluated() {
		s.out.count(CounterNotRun, 1)
		return
	}
	var c *table.Pending
	if i := slices.IndexFunc(k.clauses, sameClause(f)); i >= 0 {
		c = k.clauses[i]
		setPart(c, f)
	} else if c = s.collect(f); c == nil {
		return
	} else {
		k.clauses = append(k.clauses, c)
	}
	k.order()
	if s.folded(f) {
		s.out.count(CounterAfterFold, 1)
		return
	}
	s.store(k)
	s.replace(f.Rule, f.Hit, k.ref())
}

// collect adds a part to its clause and returns the clause once it is complete.
func (s *step) collect(f *table.Finding) *table.Pending {
	i := slices.IndexFunc(s.row.Pending, sameClause(f))
	var c *table.Pending
	if i >= 0 {
		c = s.row.Pending[i]
	} else {
		c = &table.Pending{Rule: f.Rule, RuleHash: f.RuleHash, Hit: f.Hit, Clause: f.Clause}
	}
	setPart(c, f)
	complete := len(c.Parts) >= int(f.Parts)
	switch {
	case complete && i >= 0:
		s.row.Pending = slices.Delete(s.row.Pending, i, i+1)
		s.dirty = true
	case !complete:
		s.keepPending(c)
		return nil
	}
	return c
}

// keepPending puts a clause of which parts are missing where it belongs.
func (s *step) keepPending(c *table.Pending) {
	if !slices.Contains(s.row.Pending, c) {
		s.row.Pending = append(s.row.Pending, c)
	}
	slices.SortFunc(s.row.Pending, func(a, b *table.Pending) int {
		return cmp.Or(cmp.Compare(a.AtMs, b.AtMs), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Hit, b.Hit),
			cmp.Compare(a.Clause, b.Clause), cmp.Compare(a.RuleHash, b.RuleHash))
	})
	s.dirty = true
}

// setPart puts a part into its clause, in the place of what was said of it before.
func setPart(c *table.Pending, f *table.Finding) {
	i, found := slices.BinarySearchFunc(c.Parts, f.Part, comparePart)
	if found {
		c.Parts[i] = f
	} else {
		c.Parts = slices.Insert(c.Parts, i, f)
	}
	c.AtMs = c.Parts[0].AtMs
}

func unsetPart(c *table.Pending, part uint32) {
	if i, found := slices.BinarySearchFunc(c.Parts, part, comparePart); found {
		c.Parts = slices.Delete(c.Parts, i, i+1)
	}
	if len(c.Parts) > 0 {
		c.AtMs = c.Parts[0].AtMs
	}
}

func comparePart(f *table.Finding, part uint32) int { return cmp.Compare(f.Part, part) }

// withdraw takes a part away.
func (s *step) withdraw(k *known, f *table.Finding) {
	if i := slices.IndexFunc(k.clauses, sameClause(f)); i >= 0 {
		c := k.clauses[i]
		k.clauses = slices.Delete(k.clauses, i, i+1)
		if unsetPart(c, f.Part); len(c.Parts) > 0 { // it is a hit again if this part comes back
			s.keepPending(c)
		}
		s.store(k)
		s.replace(f.Rule, f.Hit, k.ref())
		return
	}
	if i := slices.IndexFunc(s.row.Pending, sameClause(f)); i >= 0 {
		c := s.row.Pending[i]
		if unsetPart(c, f.Part); len(c.Parts) == 0 {
			s.row.Pending = slices.Delete(s.row.Pending, i, i+1)
		}
		s.dirty = true
		return
	}
	// Of a settled hit only the short form is left: any part that is withdrawn withdraws it.
	if ref := s.ref(f.Rule, f.Hit); ref != nil && len(k.clauses) == 0 && ref.Clause == f.Clause {
		s.replace(f.Rule, f.Hit, nil)
		return
	}
	s.out.count(CounterUnknown, 1)
}

// ref finds a hit of a rule among those kept.
func (s *step) ref(rule string, hit uint64) *table.HitRef {
	for _, a := range s.row.Alerts {
		if a.Rule != rule {
			continue
		}
		for _, h := range a.HitsKept {
			if h.Hit == hit {
				return h
			}
		}
	}
	return nil
}

// folded reports whether a finding is of a hit that is not kept and stands among those of which only the count is left.
func (s *step) folded(f *table.Finding) bool {
	for _, a := range s.row.Alerts {
		if a.Rule == f.Rule && foldedHits(a) > 0 && f.AtMs >= a.StartedMs && f.AtMs < a.HitsKept[oldestWhole(a)].AtMs {
			return s.ref(f.Rule, f.Hit) == nil
		}
	}
	return false
}
