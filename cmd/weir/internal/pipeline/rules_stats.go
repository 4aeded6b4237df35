package pipeline

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/processors/rule"
)

// ruleStats tells how often each rule in force was asked, as Prometheus counters. Rules are compiled anew with every revision of the
// book; what the earlier ones counted stays counted, as long as there is a rule of that name.
type ruleStats struct {
	current *rule.Current

	mu    sync.Mutex
	until map[string]tally // counted by sets that are in force no more, by rule
}

type tally struct{ asked, passed, broken int64 }

func (t tally) and(r *rule.Rule) tally {
	s := r.Stats()
	return tally{t.asked + s.Asked.Load(), t.passed + s.Passed.Load(), t.broken + s.Broken.Load()}
}

var (
	ruleAsked = prometheus.NewDesc("weir_rule_asked_total",
		"Times the rule was asked about an event by this process; a rule about an order's own events, about an order.", []string{"rule"}, nil)
	rulePassed = prometheus.NewDesc("weir_rule_passed_total",
		"Times the rule's conditions over the event held: its features, if it has any, are asked next.", []string{"rule"}, nil)
	ruleBroken = prometheus.NewDesc("weir_rule_broken_total",
		"Times a defect ended the rule's evaluation: it did not match there. It should be 0; disable the rule and report it.", []string{"rule"}, nil)
)

// newRuleStats registers the counters of the rules that current holds. The groups are those who ask, so of several followers in one
// process the first one tells.
func newRuleStats(reg *prometheus.Registry, current *rule.Current) (*ruleStats, error) {
	s := &ruleStats{current: current, until: map[string]tally{}}
	if reg == nil {
		return s, nil
	}
	err := reg.Register(s)
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		err = nil
	}
	return s, err
}

// replace puts another set in force.
func (s *ruleStats) replace(set *rule.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current.Load()
	s.current.Store(set)
	until := make(map[string]tally, len(set.Rules()))
	for _, r := range set.Rules() {
		until[r.ID] = s.until[r.ID]
		if old := before.Rule(r.ID); old != nil {
			until[r.ID] = until[r.ID].and(old)
		}
	}
	s.until = until
}

// Describe is of prometheus.Collector.
func (s *ruleStats) Describe(to chan<- *prometheus.Desc) {
	to <- ruleAsked
	to <- rulePassed
	to <- ruleBroken
}

// Collect is of prometheus.Collector. Rules that are not evaluated have no counters.
func (s *ruleStats) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.current.Load().Rules() {
		if !r.State.Evaluated() {
			continue
		}
		t := s.until[r.ID].and(r)
		to <- prometheus.MustNewConstMetric(ruleAsked, prometheus.CounterValue, float64(t.asked), r.ID)
		to <- prometheus.MustNewConstMetric(rulePassed, prometheus.CounterValue, float64(t.passed), r.ID)
		to <- prometheus.MustNewConstMetric(ruleBroken, prometheus.CounterValue, float64(t.broken), r.ID)
	}
}
