package prom

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"weir/topology/metric"
	"weir/topology/window"
)

// Labels beside those of the metrics.
const (
	labelWindow   = "window"
	labelBy       = "by"
	labelQuantile = "quantile"
	labelValue    = "value"

	byTotal     = "total" // by no label at all
	nameLabel   = model.MetricNameLabel
	currencyKey = "currency"
)

var usualQuantiles = []string{"0.5", "0.9", "0.95", "0.99"}

// selection is one form in one window, as a selector asks for it.
type selection struct {
	form      *form
	window    metric.Window
	keep      []int             // positions in the metric's labels of the labels that series keep
	fixed     map[string]string // labels of every series: by, and what merged labels are matched with
	match     []labelMatch      // on labels of the metric
	values    []*labels.Matcher // on labelValue
	quantiles []quantile
}

type labelMatch struct {
	label int
	*labels.Matcher
}

// quantile keeps the text that it was asked for with: 0.50 is another label value than 0.5.
type quantile struct {
	text string
	at   float64
}

// A SelectorError says what is wrong with a selector.
type SelectorError struct{ Detail string }

func (e *SelectorError) Error() string { return e.Detail }

// resolve finds what matchers select. Without a matcher on window it is the finest one, or all where allWindows. notes are told
// to whoever asked.
func (c *catalogue) resolve(matchers []*labels.Matcher, allWindows bool) (out []selection, notes []string, err error) {
	named := false
	for _, f := range c.named(matchers) {
		named = true
		s, note, err := f.selection(matchers)
		if err != nil {
			return nil, nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
		if s == nil {
			continue
		}
		for i, w := range f.of.Windows {
			if f.counter && w.Kind != window.Tumbling { // overlapping windows would count events twice
				continue
			}
			asked := false
			fits := !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool {
				asked = asked || m.Name == labelWindow
				return m.Name == labelWindow && !m.Matches(w.Name)
			})
			if fits && (asked || allWindows || i == 0) {
				of := *s
				of.window = w
				out = append(out, of)
			}
		}
	}
	if !named {
		notes = append(notes, unknownName(matchers)...)
	}
	return out, notes, nil
}

func (c *catalogue) named(matchers []*labels.Matcher) []*form {
	var out []*form
	for _, f := range c.forms {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == nameLabel && !m.Matches(f.name) }) {
			out = append(out, f)
		}
	}
	return out
}

func unknownName(matchers []*labels.Matcher) []string {
	for _, m := range matchers {
		if m.Name == nameLabel && m.Type == labels.MatchEqual {
			return []string{fmt.Sprintf("there is no metric %s; /prometheus/api/v1/label/__name__/values lists them", m.Value)}
		}
	}
	return nil
}

// selection is what the form's series must look like; nil where none can match.
func (f *form) selection(matchers []*labels.Matcher) (s *selection, note string, err error) {
	s = &selection{form: f, fixed: map[string]string{}}
	if note, err = s.group(matchers); err != nil || note != "" {
		return nil, note, err
	}
	var onQuantile []*labels.Matcher
	for _, m := range matchers {
		i := slices.Index(f.of.Labels, m.Name)
		switch {
		case m.Name == nameLabel || m.Name == labelWindow || m.Name == labelBy:
		case i >= 0:
			s.match = append(s.match, labelMatch{i, m})
			if m.Type == labels.MatchEqual && m.Value != "" && !slices.Contains(s.keep, i) {
				s.fixed[m.Name] = m.Value
			}
		case m.Name == labelQuantile && f.part == theQuantiles:
			onQuantile = append(onQuantile, m)
		case m.Name == labelValue && f.part == theTop:
			s.values = append(s.values, m)
		case !m.Matches(""):
			return nil, "", nil
		}
	}
	if f.part == theQuantiles {
		s.quantiles, err = quantilesOf(onQuantile)
	}
	return s, "", err
}

// group reads the label by.
func (s *selection) group(matchers []*labels.Matcher) (note string, err error) {
	known := s.form.of.Labels
	by, asked := "", false
	for _, m := range matchers {
		if m.Name != labelBy {
			continue
		}
		if m.Type != labels.MatchEqual || asked && m.Value != by {
			return "", &SelectorError{`the label by is chosen, not searched: write by="total", or the labels to keep, as in by="region,currency"`}
		}
		by, asked = m.Value, true
	}
	if by == "" {
		for i := range known {
			s.keep = append(s.keep, i)
		}
		return "", nil
	}
	s.fixed[labelBy] = by
	if by != byTotal {
		for l := range strings.SplitSeq(by, ",") {
			i := slices.Index(known, l)
			if i < 0 {
				return fmt.Sprintf("%s has no label %q to keep; it has %s", s.form.name, l, strings.Join(known, ", ")), nil
			}
			s.keep = append(s.keep, i)
		}
	}
	if i := slices.Index(known, currencyKey); s.form.money && i >= 0 {
		s.keep = append(s.keep, i)
	}
	slices.Sort(s.keep)
	s.keep = slices.Compact(s.keep)
	return "", nil
}

// maxQuantiles bounds what one selector computes.
const maxQuantiles = 16

func quantilesOf(matchers []*labels.Matcher) ([]quantile, error) {
	texts := usualQuantiles
	for _, m := range matchers {
		switch set := m.SetMatches(); {
		case m.Type == labels.MatchEqual && m.Value != "":
			texts = []string{m.Value}
		case m.Type == labels.MatchRegexp && len(set) > 0:
			texts = set
		}
	}
	if len(texts) > maxQuantiles {
		return nil, &SelectorError{fmt.Sprintf("at most %d quantiles in one selector", maxQuantiles)}
	}
	var out []quantile
	for _, text := range texts {
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(text) }) {
			continue
		}
		at, err := strconv.ParseFloat(text, 64)
		if err != nil || !(at >= 0 && at <= 1) {
			return nil, &SelectorError{fmt.Sprintf("quantile %q is not a number from 0 to 1", text)}
		}
		out = append(out, quantile{text, at})
	}
	return out, nil
}

// labels are those of one series of the selection. values stand for the labels kept.
func (s *selection) labels(values []string, extra ...string) labels.Labels {
	b := labels.NewScratchBuilder(4 + len(values))
	b.Add(nameLabel, s.form.name)
	b.Add(labelWindow, s.window.Name)
	for name, value := range s.fixed {
		b.Add(name, value)
	}
	for n, i := range s.keep {
		b.Add(s.form.of.Labels[i], values[n])
	}
	for i := 0; i < len(extra); i += 2 {
		b.Add(extra[i], extra[i+1])
	}
	b.Sort()
	return b.Labels()
}
