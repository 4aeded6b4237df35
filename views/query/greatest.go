package query

import (
	"cmp"
	"slices"
	"strings"

	"weir/topology/metric"
)

// keepGreatest leaves the n greatest series over the whole range, of each currency where there are several, and merges the others into
// one whose labels are (other): merged, not added up, so that distinct counts and quantiles stay true.
// Where only is not nil those series are kept instead: a comparison keeps the same ones of both periods.
func (t *Table) keepGreatest(n int, only []string) (kept []string, err error) {
	kept, others := t.greatest(n, only)
	for _, groups := range t.buckets {
		for label, rest := range others {
			g := groups[label]
			if g == nil {
				continue
			}
			delete(groups, label)
			if groups[rest] == nil {
				groups[rest] = g
			} else if err := t.merge(groups[rest], g); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// greatest are the series that are kept, greatest first, and the others, each with the one that it is merged into.
func (t *Table) greatest(n int, only []string) (kept []string, others map[string]string) {
	weights := map[string]int64{}
	for _, groups := range t.buckets {
		for label, g := range groups {
			weights[label] += t.weight(g)
		}
	}
	labels := make([]string, 0, len(weights))
	for label := range weights {
		labels = append(labels, label)
	}
	slices.SortFunc(labels, func(a, b string) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), strings.Compare(a, b))
	})
	kept, others = []string{}, map[string]string{}
	apart := map[string]int{} // by currency
	for _, label := range labels {
		rest := t.otherLabel(label)
		if label == rest {
			continue
		}
		keep := slices.Contains(only, label)
		if only == nil {
			apart[rest]++
			keep = apart[rest] <= n
		}
		if keep {
			kept = append(kept, label)
		} else {
			others[label] = rest
		}
	}
	return kept, others
}

// weight is what series are ranked by: sums by their sum, all else by what was counted; of a ratio that is below the line.
func (t *Table) weight(g *group) (sum int64) {
	for i, c := range g.cells {
		switch {
		case t.q.Def.Derived != nil && !t.q.terms[i].under:
		case t.q.Def.Kind == metric.Sum:
			sum += c.GetSum()
		default:
			sum += c.GetCount()
		}
	}
	return sum
}

// otherLabel is the label of what a series is merged into: its currency stays.
func (t *Table) otherLabel(label string) string {
	tokens := strings.Split(label, ",")
	for i, l := range t.q.By {
		if l != currencyLabel {
			tokens[i] = escapeLabel(metric.Other)
		}
	}
	return strings.Join(tokens, ",")
}
