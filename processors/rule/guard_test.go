package rule

import (
	"testing"

	"weir/topology/table"
)

// broken makes every evaluation of a rule panic, as a defect of the language would.
func broken(t *testing.T, s *Set, id string) *Rule {
	t.Helper()
	defect := func(*frame) Tri { panic("a defect") }
	r := s.Rule(id)
	for i := range r.bands {
		r.bands[i].cond = defect
	}
	for _, p := range r.Parts {
		p.cond = defect
		for i := range p.bands {
			p.bands[i].cond = defect
		}
		for i := range p.atoms {
			p.atoms[i].left = func(*frame) string { panic("a defect") }
		}
	}
	return r
}

func TestADefectInAPartCostsItsRuleOneAnswer(t *testing.T) {
	s := load(t, shopRules)
	var out Observed
	s.Observe(paymentFacts(), &out)
	var o table.Observation
	if _, err := o.Parse(out.Observations[0].Body); err != nil {
		t.Fatal(err)
	}
	p := s.Part(o.Gates[0].Part)
	r := broken(t, s, p.Rule.ID)
	many := []Value{{Type: Number, Known: true, Num: 12}}
	asked := new(Evidence).Of(o.Gates[0].Operands, many, "EUR")
	if got := p.Holds(asked); got != Unknown {
		t.Errorf("the part is %v", got)
	}
	if score, reason := p.Score(asked, o.Gates[0].Score); score != 60 || reason != "many cards from one address" {
		t.Errorf("the score is %d because %q", score, reason)
	}
	if predicates, feature := p.Explain(asked); len(predicates) != len(feature) {
		t.Errorf("explained by %v, %v", predicates, feature)
	}
	if n := r.Stats().Broken.Load(); n != 3 {
		t.Errorf("%d evaluations are told as broken", n)
	}
}

func TestADefectInARuleLeavesTheOthers(t *testing.T) {
	s := load(t, `
rules:
  - {id: a_differs, title: t, entity: payment, reconcile: {check: capture_differs}}
  - {id: b_stuck, title: t, entity: order, expect: {event: dispatched, within: 1h, after: created}}
`)
	o := life(capture1("12:01", 2001, "p1"))
	o.Entries = append(o.Entries, nil) // a row that the first rule cannot understand
	hits, due := s.Judge("o1", o, 3, forever)
	if len(hits) != 1 || hits[0].Rule.ID != "b_stuck" || due != 0 {
		t.Errorf("%v, again at %d", hits, due)
	}
	if stats := s.Rule("a_differs").Stats(); stats.Asked.Load() != 1 || stats.Passed.Load() != 0 || stats.Broken.Load() != 1 {
		t.Errorf("the broken rule was asked %d times, held %d times and broke %d times", stats.Asked.Load(), stats.Passed.Load(), stats.Broken.Load())
	}
	if stats := s.Rule("b_stuck").Stats(); stats.Asked.Load() != 1 || stats.Passed.Load() != 1 || stats.Broken.Load() != 0 {
		t.Errorf("the other rule was asked %d times, held %d times and broke %d times", stats.Asked.Load(), stats.Passed.Load(), stats.Broken.Load())
	}
}
