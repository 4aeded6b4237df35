package alerts

import (
	"slices"

	"weir/topology/table"
)

// summarize derives what an alert shows from its hits.
func (s *step) summarize(a *table.Alert, others []*table.Alert) {
	first, last, best := a.HitsKept[0], a.HitsKept[len(a.HitsKept)-1], bestHit(a.HitsKept)
	sources := append([]*table.Alert{a}, others...)
	if parts := s.parts(a.Rule, best, sources); parts != nil {
		a.Reason = reason(parts)
	}
	firstParts, lastParts := s.parts(a.Rule, first, sources), s.parts(a.Rule, last, sources)
	if last.Hit == first.Hit {
		lastParts = nil
	}
	if firstParts == nil { // it is settled and its parts are gone
		firstParts, lastParts = lastParts, nil
	}
	a.First, a.Latest = firstParts, lastParts
	if len(a.First) > 0 {
		a.RuleHash = a.First[0].RuleHash
	}
	a.Score = best.Score
	a.Currency = first.Currency
	a.Orders, a.RiskMinor = risk(a.HitsKept, a.Currency)
}

// bestHit is the earliest of those with the highest score.
func bestHit(hits []*table.HitRef) *table.HitRef {
	best := hits[0]
	for _, h := range hits {
		if h.Score > best.Score {
			best = h
		}
	}
	return best
}

// risk counts the orders of the hits, and adds up what the last hit of each knew as its total, in one currency.
func risk(hits []*table.HitRef, currency string) (orders, minor int64) {
	added := make(map[string]bool, len(hits)) // whether the order's total is in the sum
	for _, h := range slices.Backward(hits) {
		if h.OrderId == "" {
			continue
		}
		done, seen := added[h.OrderId]
		if !seen {
			orders++
		}
		if adds := !done && h.Currency == currency && currency != ""; adds {
			minor += h.RiskMinor
			done = true
		}
		added[h.OrderId] = done
	}
	return orders, minor
}

// parts is the explanation of a hit: that of this step, of an alert that shows it, or of the hit's own row.
func (s *step) parts(name string, h *table.HitRef, shown []*table.Alert) []*table.Finding {
	k := s.fresh
	if k == nil || k.rule != name || k.hit != h.Hit {
		for _, a := range shown {
			if len(a.First) > 0 && a.First[0].Hit == h.Hit {
				return a.First
			}
			if len(a.Latest) > 0 && a.Latest[0].Hit == h.Hit {
				return a.Latest
			}
		}
		k = s.load(name, h.Hit)
	}
	if len(k.clauses) == 0 {
		return nil
	}
	return k.clauses[0].Parts
}
