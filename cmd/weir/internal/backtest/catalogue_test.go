package backtest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/cmd/weir/internal/shop"
	"weir/configs"
	"weir/processors/rule"
)

// shippedRules are the rules that weir comes with.
func shippedRules(t testing.TB) *rule.Document {
	t.Helper()
	name, data, err := new(configs.Config).RulesFile()
	if err != nil {
		t.Fatal(err)
	}
	d, err := rule.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func compiled(t testing.TB, d *rule.Document) *rule.Set {
	t.Helper()
	set, err := rule.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestShippedRulesPassTheirTests(t *testing.T) {
	results, err := RunTests(shippedRules(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.OK {
			t.Errorf("%s: %s: mistake %q, missing %v, extra %v", r.Rule, r.Name, r.Mistake, r.Missing, r.Extra)
		}
	}
}

// aMonth is 30 days of a shop that sells so many orders.
func aMonth(orders, seed int64) shop.Options {
	return shop.Options{Seed: seed, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Orders: orders,
		Rate: float64(orders) / (30 * 86400), Rhythm: true, Duplicates: 0.002}
}

// quality is how well the shipped rules find what a shop plants.
func quality(t testing.TB, o shop.Options) *Report {
	t.Helper()
	records, truth := history(t, o)
	r, err := Run(context.Background(), Options{Set: compiled(t, shippedRules(t)), Events: all(records), Truth: truth, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %v", r.Warnings)
	}
	return r
}

// The seed is none that the rules were tuned on. A month of 20,000 orders has about 30 episodes.
func TestShippedRulesFindPlantedFraud(t *testing.T) {
	l := quality(t, aMonth(20_000, 31)).All.Labels
	t.Logf("%d of %d episodes, %d of %d alerts", l.Caught, l.Episodes, l.Touching, l.Alerts)
	if l.Episodes < 20 || len(l.Patterns) != len(shop.PatternNames()) {
		t.Fatalf("only %d episodes of %d patterns were planted", l.Episodes, len(l.Patterns))
	}
	if l.Recall < 0.9 {
		t.Errorf("recall is %.3f, at least 0.9 is promised", l.Recall)
	}
	if l.Precision < 0.75 {
		t.Errorf("precision is %.3f, at least 0.75 is promised", l.Precision)
	}
	for _, p := range l.Patterns {
		if len(p.Missed) > 0 {
			t.Logf("%s: missed %v", p.Pattern, p.Missed)
		}
	}
}

// TestQualityOfShippedRules measures over whole months: WEIR_TEST_SEEDS=11,12 go test -run Quality -v.
func TestQualityOfShippedRules(t *testing.T) {
	if os.Getenv("WEIR_TEST_SEEDS") == "" {
		t.Skip("WEIR_TEST_SEEDS names no shops")
	}
	sums := newQualitySums()
	for text := range strings.SplitSeq(os.Getenv("WEIR_TEST_SEEDS"), ",") {
		seed, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sums.add(quality(t, aMonth(100_000, seed)))
	}
	t.Log("\n" + sums.String())
}

// qualitySums adds up reports of several shops.
type qualitySums struct {
	days, seconds    float64
	events           int64
	alerts, touching int64
	patterns         map[string]*Pattern
	delays           map[string][]float64
	rules            map[string]*RuleReport
	looks            map[string]int64
}

func newQualitySums() *qualitySums {
	return &qualitySums{patterns: map[string]*Pattern{}, delays: map[string][]float64{}, rules: map[string]*RuleReport{}, looks: map[string]int64{}}
}

func (q *qualitySums) add(r *Report) {
	q.events += r.Events
	q.seconds += r.Micros * float64(r.Events) / 1e6
	q.days += 30
	q.alerts += r.All.Labels.Alerts
	q.touching += r.All.Labels.Touching
	for _, p := range r.All.Labels.Patterns {
		sum := q.patterns[p.Pattern]
		if sum == nil {
			sum = new(Pattern)
			q.patterns[p.Pattern] = sum
		}
		sum.Episodes += p.Episodes
		sum.Caught += p.Caught
		q.delays[p.Pattern] = append(q.delays[p.Pattern], p.DelaySeconds)
	}
	for i := range r.Rules {
		rr := &r.Rules[i]
		if rr.Labels == nil { // of operations
			continue
		}
		sum := q.rules[rr.ID]
		if sum == nil {
			sum = &RuleReport{ID: rr.ID, State: rr.State, Tally: Tally{Labels: new(Labels)}}
			q.rules[rr.ID] = sum
		}
		sum.Hits += rr.Hits
		sum.Labels.Alerts += rr.Labels.Alerts
		sum.Labels.Touching += rr.Labels.Touching
		sum.Labels.Caught += rr.Labels.Caught
	}
	for _, f := range r.All.Labels.FalsePositives {
		q.looks[f.Lookalike] += f.Alerts
	}
}

func (q *qualitySums) String() string {
	var b strings.Builder
	var episodes, caught int64
	fmt.Fprintf(&b, "%-20s %8s %8s %8s  %s\n", "pattern", "episodes", "caught", "recall", "median minutes, by shop")
	for _, name := range sorted(q.patterns) {
		p := q.patterns[name]
		episodes += p.Episodes
		caught += p.Caught
		fmt.Fprintf(&b, "%-20s %8d %8d %8.3f ", name, p.Episodes, p.Caught, ratio(p.Caught, p.Episodes))
		for _, s := range q.delays[name] {
			fmt.Fprintf(&b, " %.0f", s/60)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%-20s %8d %8d %8.3f\n\n", "all", episodes, caught, ratio(caught, episodes))
	fmt.Fprintf(&b, "%-26s %-7s %8s %8s %9s %8s %8s\n", "rule", "state", "alerts", "true", "precision", "a day", "episodes")
	for _, id := range sorted(q.rules) {
		l := q.rules[id].Labels
		fmt.Fprintf(&b, "%-26s %-7s %8d %8d %9.3f %8.2f %8d\n", id, q.rules[id].State, l.Alerts, l.Touching,
			ratio(l.Touching, l.Alerts), float64(l.Alerts)/q.days, l.Caught)
	}
	fmt.Fprintf(&b, "%-26s %-7s %8d %8d %9.3f %8.2f\n\n", "all", "live", q.alerts, q.touching, ratio(q.touching, q.alerts), float64(q.alerts)/q.days)
	for _, name := range sorted(q.looks) {
		fmt.Fprintf(&b, "false alerts about %q: %d\n", name, q.looks[name])
	}
	fmt.Fprintf(&b, "%d events, %.1f µs each\n", q.events, q.seconds/float64(q.events)*1e6)
	return b.String()
}

func sorted[T any](m map[string]T) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
