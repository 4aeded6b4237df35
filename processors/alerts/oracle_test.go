package alerts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/table"
)

// part is everything that its producer says of one part of a hit, in this order.
type part []*table.Finding

// standing is what holds in the end: nil if the last word was a withdrawal.
func (p part) standing() *table.Finding {
	if last := p[len(p)-1]; !last.Withdrawn {
		return last
	}
	return nil
}

// genParts makes hits of one to three parts in one or two clauses, said, said anew and withdrawn.
func genParts(t *rapid.T, rules []*rule.Rule) (all []part) {
	for hit := range rapid.IntRange(1, 14).Draw(t, "hits") {
		r := rules[rapid.IntRange(0, len(rules)-1).Draw(t, "rule")]
		at := minute(rapid.IntRange(0, 90).Draw(t, "minute"))
		order := fmt.Sprint("o", rapid.IntRange(0, 4).Draw(t, "order"))
		currency := rapid.SampledFrom([]string{"EUR", "EUR", "USD", ""}).Draw(t, "currency")
		for clause := range rapid.IntRange(1, 2).Draw(t, "clauses") {
			parts := rapid.IntRange(1, 3).Draw(t, "parts")
			hash := rapid.SampledFrom([]uint32{7, 7, 8}).Draw(t, "hash")
			for n := range parts {
				var said part
				for range rapid.IntRange(1, 3).Draw(t, "said") {
					score := rapid.Int64Range(0, 3).Draw(t, "score") * 25
					said = append(said, &table.Finding{Rule: r.ID, RuleHash: hash, Version: int64(hash), Hit: uint64(hit), Clause: uint32(clause),
						Part: uint32(n), Parts: uint32(parts), Entity: entity, OrderId: order, AtMs: int64(at), Currency: currency,
						RiskMinor: int64(hit) * 100, Score: score, Reason: fmt.Sprint("score ", score, " by part ", n)})
					if rapid.IntRange(0, 2).Draw(t, "withdrawn") == 0 {
						said = append(said, withdrawn(said[len(said)-1]))
					}
				}
				all = append(all, said)
			}
		}
	}
	return all
}

// shuffle is one order in which parts can come: each producer's own order stays.
func shuffle(t *rapid.T, all []part) (findings []*table.Finding) {
	left := slices.Clone(all)
	for len(left) > 0 {
		i := rapid.IntRange(0, len(left)-1).Draw(t, "next")
		findings = append(findings, left[i][0])
		if left[i] = left[i][1:]; len(left[i]) == 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	return findings
}

// hit is one that holds, as the oracle sees it.
type hit struct {
	id       uint64
	at       int64
	clauses  [][]*table.Finding // complete, best first
	best     []*table.Finding
	score    int64
	order    string
	risk     int64
	currency string
}

func top(parts []*table.Finding) (n int64) {
	for _, f := range parts {
		n = max(n, f.Score)
	}
	return n
}

// oracle describes the alerts that hold, from the last word on each part.
func oracle(all []part, rules []*rule.Rule, watermark int64) (lines []string) {
	for _, r := range rules {
		clauses := map[string][]*table.Finding{}
		for _, p := range all {
			if f := p.standing(); f != nil && f.Rule == r.ID {
				key := fmt.Sprint(f.Hit, "/", f.Clause, "/", f.RuleHash)
				clauses[key] = append(clauses[key], f)
			}
		}
		hits := map[uint64]*hit{}
		for _, parts := range clauses {
			if len(parts) < int(parts[0].Parts) {
				continue
			}
			slices.SortFunc(parts, func(a, b *table.Finding) int { return int(a.Part) - int(b.Part) })
			f := parts[0]
			if hits[f.Hit] == nil {
				hits[f.Hit] = &hit{id: f.Hit, at: f.AtMs, order: f.OrderId, risk: f.RiskMinor, currency: f.Currency}
			}
			hits[f.Hit].clauses = append(hits[f.Hit].clauses, parts)
		}
		var sorted []*hit
		for _, h := range hits {
			slices.SortFunc(h.clauses, func(a, b []*table.Finding) int {
				return cmp.Or(cmp.Compare(top(b), top(a)), cmp.Compare(a[0].Clause, b[0].Clause), cmp.Compare(a[0].RuleHash, b[0].RuleHash))
			})
			h.best, h.score = h.clauses[0], top(h.clauses[0])
			sorted = append(sorted, h)
		}
		slices.SortFunc(sorted, func(a, b *hit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
		for from := 0; from < len(sorted); {
			to := from + 1
			for to < len(sorted) && sorted[to].at-sorted[to-1].at <= r.Cooldown.Milliseconds() {
				to++
			}
			lines = append(lines, episode(r, sorted[from:to], watermark))
			from = to
		}
	}
	return lines
}

func episode(r *rule.Rule, hits []*hit, watermark int64) string {
	first, last := hits[0], hits[len(hits)-1]
	state := alert.Active
	if watermark > last.at+r.Cooldown.Milliseconds() {
		state = alert.Ended
	}
	best := first
	orders, risk := map[string]bool{}, map[string]int64{}
	for _, h := range hits {
		if h.score > best.score {
			best = h
		}
		orders[h.order] = true
		if h.currency == first.currency && h.currency != "" {
			risk[h.order] = h.risk
		}
	}
	total := int64(0)
	for _, n := range risk {
		total += n
	}
	why := ""
	for _, f := range best.best {
		if f.Score == best.score {
			why = f.Reason
			break
		}
	}
	text := fmt.Sprintf(headline, r.ID, state, clock(first.at), clock(last.at),
		first.best[0].Version, first.best[0].RuleHash, len(hits), len(orders), total, first.currency, best.score, why)
	text += "\n first" + describe(first.best)
	if last != first {
		text += "\n last" + describe(last.best)
	}
	for _, h := range hits {
		text += fmt.Sprintf("\n %d/%d", h.id, h.best[0].Clause)
	}
	return text
}

const headline = "%s %s %s..%s version %d hash %d hits %d orders %d risk %d %s score %d (%s)"

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04") }

func describe(parts []*table.Finding) (text string) {
	for _, f := range parts {
		text += fmt.Sprintf(" %d/%d/%d:%d", f.Hit, f.Clause, f.Part, f.Score)
	}
	return text
}

// seen describes the row in the oracle's words.
func seen(row *table.Case) (lines []string) {
	for _, a := range row.Alerts {
		if a.Status == alert.Withdrawn {
			continue
		}
		text := fmt.Sprintf(headline, a.Rule, a.Episode, clock(a.StartedMs), clock(a.LastMs),
			a.Version, a.RuleHash, a.Hits, a.Orders, a.RiskMinor, a.Currency, a.Score, a.Reason)
		text += "\n first" + describe(a.First)
		if len(a.Latest) > 0 {
			text += "\n last" + describe(a.Latest)
		}
		for _, h := range a.HitsKept {
			text += fmt.Sprintf("\n %d/%d", h.Hit, h.Clause)
		}
		lines = append(lines, text)
	}
	return lines
}

func waiting(row *table.Case) (lines []string) {
	for _, p := range row.Pending {
		lines = append(lines, p.Rule+describe(p.Parts)+fmt.Sprint(" hash ", p.RuleHash))
	}
	return lines
}

func TestAlertsAreAFunctionOfTheHitsThatHold(t *testing.T) {
	spike := velocity()
	spike.ID, spike.Cooldown, spike.Severity = "spike", 25*time.Minute, rule.Low
	rules := []*rule.Rule{spike, velocity()}
	rapid.Check(t, func(rt *rapid.T) {
		all := genParts(rt, rules)
		end := minute(rapid.IntRange(0, 130).Draw(rt, "end"))
		var rows []*table.Case
		for range 2 {
			d := newDesk(t, rules...)
			for _, f := range shuffle(rt, all) {
				if rapid.IntRange(0, 5).Draw(rt, "time passes") == 0 {
					d.pass(max(d.watermark, min(end, minute(rapid.IntRange(0, 130).Draw(rt, "to")))))
				}
				d.feed(f)
			}
			d.pass(end)
			checkRow(rt, d)
			rows = append(rows, d.read())
		}
		want := strings.Join(oracle(all, rules, int64(end)), "\n")
		for _, row := range rows {
			if got := strings.Join(seen(row), "\n"); got != want {
				rt.Fatalf("alerts are\n%s\nthe oracle says\n%s", got, want)
			}
		}
		if a, b := waiting(rows[0]), waiting(rows[1]); !slices.Equal(a, b) {
			rt.Fatalf("in one order wait\n%q\nin another\n%q", a, b)
		}
	})
}

// checkRow holds what is true of every row.
func checkRow(t *rapid.T, d *desk) {
	row := d.read()
	hits, kept := int64(0), 0
	ids := map[string]int{}
	for _, a := range row.Alerts {
		ids[a.Id]++
		hits += a.Hits
		kept += len(a.HitsKept)
		if want := alert.ID(a.Rule, a.Version, entity, minute(0)+0); a.StartedMs == int64(minute(0)) && a.Id != want {
			t.Fatalf("the id of %v", a)
		}
	}
	for _, a := range row.Alerts {
		for _, f := range a.Formerly {
			if ids[f] != 0 {
				t.Fatalf("%s is said to be the former id of %s, and is an alert", f, a.Id)
			}
		}
		if ids[a.Id] != 1 {
			t.Fatalf("%d alerts have the id %s", ids[a.Id], a.Id)
		}
	}
	if d.counts[CounterHits] != hits {
		t.Fatalf("counted %d hits, the alerts have %d", d.counts[CounterHits], hits)
	}
	if len(d.beside) != kept {
		t.Fatalf("%d hits are kept, and the parts of %d", kept, len(d.beside))
	}
	if !slices.IsSortedFunc(row.Alerts, func(a, b *table.Alert) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.StartedMs, b.StartedMs))
	}) {
		t.Fatalf("alerts are not in order: %v", seen(row))
	}
}
