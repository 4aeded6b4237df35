package orders

import (
	"cmp"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// observe asks what an event that counts means to fraud. Each event has memory of its own in out, so that nothing is copied.
func observe(row *table.Order, e *table.Entry, orderID string, in *Input, out *Output) {
	n := len(out.Observed)
	if n < cap(out.Observed) {
		out.Observed = out.Observed[:n+1]
	} else {
		out.Observed = append(out.Observed, rule.Observed{})
	}
	o := &out.Observed[n]
	out.facts = rule.Facts{Type: event.Type(e.Type), At: event.UnixMilli(e.AtMs), OrderID: orderID, Order: row, Entry: e, Partition: in.Record.Partition}
	in.Rules.Observe(&out.facts, o)
	out.Findings = append(out.Findings, o.Findings...)
}

// maxRaisedBytes is how much of a row hits take. What would pass it is not told: the first hits of an order say enough.
const maxRaisedBytes = 64 << 10

// judge asks the order's own rules for the hits that hold, and when to ask again.
func judge(row *table.Order, orderID string, in *Input) (hits []rule.Hit, due event.UnixMilli) {
	if in.Rules == nil || !row.Created || !in.Rules.JudgesOrders() {
		return nil, 0
	}
	hits, due = in.Rules.Judge(orderID, row, in.Record.Partition, in.Watermark)
	return within(hits, maxRaisedBytes), due
}

// within are the first of the hits, those that a row has room for.
func within(hits []rule.Hit, room int) []rule.Hit {
	const numbers = 32
	for i := range hits {
		if room -= numbers + len(hits[i].Rule.ID) + len(hits[i].Entity); room < 0 {
			return hits[:i]
		}
	}
	return hits
}

// told are the findings that an order stands by before an event is applied, where it stands by any.
func told(row *table.Order, orderID string, in *Input) []*table.Finding {
	if len(row.Raised) == 0 {
		return nil
	}
	hits, _ := judge(row, orderID, in)
	findings := make([]*table.Finding, len(hits))
	for i := range hits {
		findings[i] = finding(&hits[i], row, orderID, in)
	}
	return findings
}

// rejudge judges the order anew. before is what it stood by until now, as told says.
func rejudge(row *table.Order, orderID string, in *Input, before []*table.Finding, out *Output) {
	hits, due := judge(row, orderID, in)
	row.NextDueMs = int64(due)
	raise(row, orderID, in, hits, before, out)
}

// raise keeps in row.Raised the hits that hold, and tells what has changed: hits that are new, those that hold no longer, and those of
// which something else is to be said than before.
func raise(row *table.Order, orderID string, in *Input, hits []rule.Hit, before []*table.Finding, out *Output) {
	if len(hits) == 0 && len(row.Raised) == 0 {
		return
	}
	standing := row.Raised
	raised := make([]*table.Raised, 0, len(hits))
	for i := range hits {
		h := &hits[i]
		for len(standing) > 0 && compare(standing[0], h) < 0 {
			withdraw(standing[0], orderID, out)
			standing = standing[1:]
		}
		f := finding(h, row, orderID, in)
		r := &table.Raised{Rule: f.Rule, RuleHash: f.RuleHash, Key: f.Hit, Entity: f.Entity}
		raised = append(raised, r)
		if len(standing) > 0 && compare(standing[0], h) == 0 {
			was := standing[0]
			standing = standing[1:]
			if was.RuleHash == r.RuleHash && was.Entity == r.Entity {
				if before != nil && !contains(before, f) {
					out.Findings = append(out.Findings, f)
				}
				continue
			}
			withdraw(was, orderID, out)
		}
		out.Findings = append(out.Findings, f)
	}
	for _, was := range standing {
		withdraw(was, orderID, out)
	}
	row.Raised = raised
}

func compare(r *table.Raised, h *rule.Hit) int {
	return cmp.Or(cmp.Compare(r.Rule, h.Rule.ID), cmp.Compare(r.Key, h.Key))
}

func contains(all []*table.Finding, f *table.Finding) bool {
	for _, other := range all {
		if other.Hit == f.Hit && other.Rule == f.Rule {
			return other.EqualVT(f)
		}
	}
	return false
}

// finding is what a hit says. A hit of an order rule has one part.
func finding(h *rule.Hit, row *table.Order, orderID string, in *Input) *table.Finding {
	return &table.Finding{
		Rule: h.Rule.ID, RuleHash: h.Rule.Hash, Version: h.Rule.Version, Entity: h.Entity, Hit: h.Key, Parts: 1, OrderId: orderID, AtMs: int64(h.At),
		Event: rule.EntryPlace(orderID, in.Record.Partition, h.Event), RiskMinor: row.TotalMinor, Currency: row.Currency,
		Score: h.Rule.Score, Reason: cmp.Or(h.Rule.Reason, h.Detail), Predicates: h.Predicates,
	}
}

// withdraw tells that a hit holds no longer.
func withdraw(r *table.Raised, orderID string, out *Output) {
	out.Findings = append(out.Findings,
		&table.Finding{Rule: r.Rule, RuleHash: r.RuleHash, Entity: r.Entity, Hit: r.Key, Parts: 1, OrderId: orderID, Withdrawn: true})
}

// Timer is called when the watermark has passed the row's deadline: its rules are judged again, or it expires. Hits that hold then
// stay with the alerts. in has no event.
func Timer(s *Settings, row *table.Order, orderID string, in *Input, out *Output) (expired bool) {
	at := *in
	end := expiry(s, row.LastAtMs)
	if expired = end > 0 && end <= in.Watermark; expired {
		at.Watermark = end // how far the watermark leaps does not decide what is found
	}
	if row.NextDueMs > 0 && event.UnixMilli(row.NextDueMs) <= at.Watermark {
		rejudge(row, orderID, &at, nil, out)
	}
	return expired
}
