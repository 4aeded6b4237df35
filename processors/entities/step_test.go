package entities

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/processors/rule"
	"weir/topology/table"
)

const second = int64(1000)

func f64(x float64) uint64 { return math.Float64bits(x) }

// everything is a plan with each aggregate over several windows, of money, numbers and texts, with and without the event itself.
func everything() *rule.Plan {
	plan := &rule.Plan{Kind: "customer", Series: []rule.Series{
		{ID: 10, Text: "total", Type: rule.Money, Cap: 1000}, {ID: 20, Text: "quantity", Type: rule.Number, Cap: 1000},
		{ID: 30, Text: "card", Type: rule.Text, Cap: 1000},
	}}
	add := func(series int, agg rule.Agg, window time.Duration, previous bool) {
		result := rule.Number
		switch typ := plan.Series[series].Type; agg {
		case rule.Sum, rule.Mean, rule.Stddev, rule.Min, rule.Max, rule.Percentile, rule.Last:
			result = typ
		case rule.SinceFirst, rule.SinceLast:
			result = rule.Duration
		}
		plan.Readings = append(plan.Readings, rule.Reading{Series: series, Agg: agg, Window: window, Previous: previous, Quantile: 0.9, Result: result,
			Text: fmt.Sprint(agg, plan.Series[series].Text, window, previous)})
	}
	for i, window := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		for agg := rule.Count; agg <= rule.Percentile; agg++ {
			add(0, agg, window, i == 1)
			add(1, agg, window, i == 0)
		}
		for _, agg := range []rule.Agg{rule.Count, rule.Distinct, rule.Last, rule.SinceFirst, rule.SinceLast, rule.Rate} {
			add(2, agg, window, i == 1)
		}
	}
	for i := range plan.Series {
		plan.Series[i].Horizon = 5 * time.Minute
	}
	plan.Horizon = 5 * time.Minute
	return plan
}

// forEver adds readings of all there is.
func forEver(plan *rule.Plan) *rule.Plan {
	for _, r := range plan.Readings[len(plan.Readings)-30:] {
		r.Window = 0
		r.Text += " ever"
		plan.Readings = append(plan.Readings, r)
	}
	for i := range plan.Series {
		plan.Series[i].Horizon = 0
	}
	plan.Horizon = 0
	return plan
}

// watchful judges everything: part 1 always holds and shows every reading, part 2+i asks reading i to reach an operand. Two parts are
// open: they ask each event for the first and the last reading, about the entity and about the order.
func watchful(plan *rule.Plan) *testJudge {
	j := &testJudge{parts: map[uint32]*rule.Part{}}
	r := &rule.Rule{ID: "r", Version: 3, Hash: 77, State: rule.Live, Late: rule.Revise}
	all := &rule.Part{ID: 1, Rule: r, Of: 1, Kind: plan.Kind}
	for i := range plan.Readings {
		all.Readings = append(all.Readings, i)
		j.parts[uint32(2+i)] = &rule.Part{ID: uint32(2 + i), Rule: r, Clause: 1 + i, Of: 2, Index: 1, Kind: plan.Kind, Readings: []int{i}}
	}
	j.parts[1] = all
	own := &rule.Part{ID: 900, Rule: &rule.Rule{ID: "own", Hash: 5, State: rule.Live, Late: rule.Revise, Entity: plan.Kind}, Of: 1, Kind: plan.Kind, Readings: []int{0}}
	order := &rule.Part{ID: 901, Rule: &rule.Rule{ID: "order", Hash: 6, State: rule.Live, Late: rule.Revise, Entity: "order"}, Of: 1, Kind: plan.Kind,
		Readings: []int{len(plan.Readings) - 1}}
	j.parts[own.ID], j.parts[order.ID] = own, order
	j.least = map[*rule.Part]float64{own: 2, order: 1}
	plan.Open = make([][]*rule.Part, 256)
	for t := range plan.Open {
		plan.Open[t] = []*rule.Part{own, order}
	}
	return j
}

// drawFacts draws events of one entity, in the order of their numbers.
func drawFacts(t *rapid.T, plan *rule.Plan, span int64) (facts []*fact) {
	n := rapid.IntRange(1, 40).Draw(t, "events")
	for i := range n {
		at := 1_000_000 + second*rapid.Int64Range(0, span).Draw(t, "at")
		o := newObservation(i, at, rapid.SampledFrom([]string{"EUR", "EUR", "USD", ""}).Draw(t, "currency"))
		if rapid.IntRange(0, 3).Draw(t, "total?") > 0 {
			o.Values = append(o.Values, table.SeriesValue{Series: 10, Bits: f64(float64(rapid.IntRange(1, 6).Draw(t, "total")))})
		}
		if rapid.Bool().Draw(t, "quantity?") {
			o.Values = append(o.Values, table.SeriesValue{Series: 20, Bits: f64(rapid.Float64Range(-3, 3).Draw(t, "quantity"))})
		}
		if rapid.Bool().Draw(t, "card?") {
			card := rapid.SampledFrom([]string{"a", "b", "longer than seven"}).Draw(t, "card")
			o.Values = append(o.Values, table.SeriesValue{Series: 30, Bits: table.PackText(card)})
		}
		if rapid.IntRange(0, 4).Draw(t, "gates?") > 0 {
			o.Gates = []table.Gate{{Part: 1, Score: 5}}
			for range rapid.IntRange(0, 3).Draw(t, "thresholds") {
				part := uint32(2 + rapid.IntRange(0, len(plan.Readings)-1).Draw(t, "reading"))
				if slices.ContainsFunc(o.Gates, func(g table.Gate) bool { return g.Part == part }) {
					continue
				}
				least := f64(float64(rapid.IntRange(0, 6).Draw(t, "threshold")))
				o.Gates = append(o.Gates, table.Gate{Part: part, About: rapid.SampledFrom([]string{"", "order:o9"}).Draw(t, "about"),
					Operands: []table.Operand{{Kind: table.OperandNumber, Bits: least}, {Kind: table.OperandText, Text: "x"}}})
			}
		}
		facts = append(facts, &fact{Observation: o})
	}
	return facts
}

// deliver sends the events in this order, in records of several, some of them twice.
func deliver(t *rapid.T, e *entity, order []*fact, move func(sent []*fact)) {
	for len(order) > 0 {
		n := rapid.IntRange(1, min(5, len(order))).Draw(t, "record")
		record := order[:n:n]
		order = order[n:]
		if rapid.IntRange(0, 3).Draw(t, "twice") == 0 {
			record = append(record, record[rapid.IntRange(0, n-1).Draw(t, "which")])
		}
		if err := e.send(record...); err != nil {
			t.Fatal(err)
		}
		if move != nil {
			move(record)
		}
	}
}

func mustStand(t *rapid.T, e *entity, facts []*fact) {
	t.Helper()
	if ds := differences(e.standing, wanted(e.judge, e.plan, e.key, facts)); ds != nil {
		t.Fatal(strings.Join(ds, "\n"))
	}
}

func TestWhatStandsDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	bounded, unbounded := everything(), forEver(everything())
	rapid.Check(t, func(t *rapid.T) {
		plan := rapid.SampledFrom([]*rule.Plan{bounded, unbounded}).Draw(t, "plan")
		facts := drawFacts(t, plan, 900)
		e := newEntity(watchful(plan), plan, 24*time.Hour)
		deliver(t, e, rapid.Permutation(facts).Draw(t, "order"), nil)
		mustStand(t, e, facts)
	})
}

func TestWithinGraceNothingIsForgotten(t *testing.T) {
	bounded, unbounded := everything(), forEver(everything())
	rapid.Check(t, func(t *rapid.T) {
		plan := rapid.SampledFrom([]*rule.Plan{bounded, unbounded}).Draw(t, "plan")
		facts := drawFacts(t, plan, 3000)
		const grace = 200 // seconds
		delay := map[*fact]int64{}
		for _, f := range facts {
			delay[f] = f.AtMs + second*rapid.Int64Range(0, grace-1).Draw(t, "delay")
		}
		order := slices.Clone(facts)
		slices.SortStableFunc(order, func(a, b *fact) int { return int(delay[a] - delay[b]) })
		e := newEntity(watchful(plan), plan, grace*time.Second)
		deliver(t, e, order, func(sent []*fact) {
			for _, f := range sent {
				e.watermark = max(e.watermark, min(f.AtMs, delay[f]))
			}
			if at := due(e.row); at > 0 && int64(at) <= e.watermark {
				if err := e.step(nil, true); err != nil {
					t.Fatal(err)
				}
				if at := due(e.row); at != 0 && int64(at) <= e.watermark {
					t.Fatalf("a timer left the row due at %d, watermark %d", at, e.watermark)
				}
			}
		})
		if e.total.Late+e.total.Unjudged > 0 {
			t.Fatalf("%d late, %d unjudged: nothing was later than the grace", e.total.Late, e.total.Unjudged)
		}
		mustStand(t, e, facts)
		keep := plan.Horizon.Milliseconds() + grace*second
		e.watermark += 2*keep + 2*patience(keep)
		for range 2 {
			if at := due(e.row); at > 0 && int64(at) <= e.watermark {
				if err := e.step(nil, true); err != nil {
					t.Fatal(err)
				}
			}
		}
		if plan.Horizon > 0 && e.row != nil {
			t.Fatalf("the row stays with %d bytes, due %d, watermark %d", len(e.row), due(e.row), e.watermark)
		}
	})
}
