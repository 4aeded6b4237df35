package backtest

import (
	"cmp"
	"slices"

	"weir/topology/event"
	"weir/topology/table"
)

// scored holds alerts to the truth while they are counted.
type scored struct {
	truth    *Truth
	alerts   [101]int64 // by score
	touching [101]int64
	caught   map[int32]catch
	false    map[string]*FalsePositive
	unjudged int64 // alerts of rules that are not about fraud
}

// catch is how an episode was caught.
type catch struct {
	score int64 // the highest of the alerts
	at    event.UnixMilli
}

func newScored(t *Truth) *scored {
	return &scored{truth: t, caught: map[int32]catch{}, false: map[string]*FalsePositive{}}
}

// add takes an alert and the cases that it touches.
func (s *scored) add(a *table.Alert, found []touch) {
	score := min(max(a.Score, 0), 100)
	s.alerts[score]++
	touching := false
	for _, f := range found {
		if s.truth.cases[f.index].pattern == "" {
			continue
		}
		touching = true
		c, known := s.caught[f.index]
		if !known {
			c = catch{at: f.at}
		}
		s.caught[f.index] = catch{max(c.score, score), min(c.at, f.at)}
	}
	if touching {
		s.touching[score]++
		return
	}
	names := map[string]bool{}
	for _, f := range found {
		names[s.truth.cases[f.index].lookalike] = true
	}
	if len(names) == 0 {
		names[""] = true
	}
	for name := range names {
		f := s.false[name]
		if f == nil {
			f = &FalsePositive{Lookalike: name, Rules: map[string]int64{}}
			s.false[name] = f
		}
		f.Alerts++
		f.Rules[a.Rule]++
	}
}

const maxMissed = 5

// tell makes Labels of the episodes that lie in the time played.
func (s *scored) tell(first, end event.UnixMilli) *Labels {
	l := &Labels{Unjudged: s.unjudged, FalsePositives: []FalsePositive{}}
	patterns := map[string]*patternSum{}
	all := newPatternSum("")
	var byScore [101]patternSum
	for i := range s.truth.cases {
		c := &s.truth.cases[i]
		if c.pattern == "" || c.from >= end || c.to < first {
			continue
		}
		p := patterns[c.pattern]
		if p == nil {
			p = newPatternSum(c.pattern)
			patterns[c.pattern] = p
		}
		how, caught := s.caught[int32(i)]
		for _, sum := range []*patternSum{p, all} {
			sum.add(c, how, caught)
		}
		if caught {
			if byScore[how.score].caughtValue == nil {
				byScore[how.score] = *newPatternSum("")
			}
			byScore[how.score].add(c, how, true)
		}
	}
	for _, p := range patterns {
		l.Patterns = append(l.Patterns, p.tell())
	}
	slices.SortFunc(l.Patterns, func(a, b Pattern) int { return cmp.Compare(a.Pattern, b.Pattern) })
	sum := all.tell()
	l.Episodes, l.Caught, l.Recall, l.Value, l.ValueCaught = sum.Episodes, sum.Caught, sum.Recall, sum.Value, sum.ValueCaught
	s.curve(l, byScore[:])
	l.Alerts, l.Precision = l.Curve[0].Alerts, l.Curve[0].Precision
	for _, n := range s.touching {
		l.Touching += n
	}
	for _, f := range s.false {
		l.FalsePositives = append(l.FalsePositives, *f)
	}
	slices.SortFunc(l.FalsePositives, func(a, b FalsePositive) int {
		return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Lookalike, b.Lookalike))
	})
	return l
}

// curveStep is between the scores of the curve.
const curveStep = 5

// curve adds up from the highest score down. An episode counts down to the highest score that caught it.
func (s *scored) curve(l *Labels, caught []patternSum) {
	var alerts, touching, episodes int64
	value := map[string]int64{}
	for score := 100; score >= 0; score-- {
		alerts += s.alerts[score]
		touching += s.touching[score]
		episodes += caught[score].caught
		for currency, minor := range caught[score].caughtValue {
			value[currency] += minor
		}
		if score%curveStep == 0 {
			l.Curve = append(l.Curve, Point{int64(score), alerts, ratio(touching, alerts), ratio(episodes, l.Episodes), money(value)})
		}
	}
	slices.Reverse(l.Curve)
}

// patternSum adds up episodes.
type patternSum struct {
	name               string
	episodes, caught   int64
	value, caughtValue map[string]int64
	delays             []int64
	missed             []string
}

func newPatternSum(name string) *patternSum {
	return &patternSum{name: name, value: map[string]int64{}, caughtValue: map[string]int64{}}
}

func (p *patternSum) add(c *knownCase, how catch, caught bool) {
	p.episodes++
	for currency, minor := range c.value {
		p.value[currency] += minor
	}
	if !caught {
		if len(p.missed) < maxMissed {
			p.missed = append(p.missed, c.episode)
		}
		return
	}
	p.caught++
	p.delays = append(p.delays, int64(max(how.at-c.from, 0)))
	for currency, minor := range c.value {
		p.caughtValue[currency] += minor
	}
}

func (p *patternSum) tell() Pattern {
	out := Pattern{Pattern: p.name, Episodes: p.episodes, Caught: p.caught, Recall: ratio(p.caught, p.episodes), Value: money(p.value),
		ValueCaught: money(p.caughtValue), Missed: p.missed}
	if n := len(p.delays); n > 0 {
		slices.Sort(p.delays)
		out.DelaySeconds = float64(p.delays[n/2]) / 1000
	}
	return out
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
