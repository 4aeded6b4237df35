package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim/lines"
	"weir/topology/table"
	"weir/topology/window"
)

// question is the input of a metric command.
type question struct {
	metric       *metric.Metric
	window       *metric.Window
	by           []string
	label, value string          // where=label:value
	at           event.UnixMilli // of a sliding window
}

func ask(set *metric.Set, d *datadriven.TestData) (q question, err error) {
	if q.metric = set.Lookup(argument(d)); q.metric == nil || q.metric.Kind == metric.Ratio {
		return q, fmt.Errorf("there is no metric %q with rows", argument(d))
	}
	for _, arg := range d.CmdArgs[1:] {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "window":
			for i := range q.metric.Windows {
				if q.metric.Windows[i].Name == value {
					q.window = &q.metric.Windows[i]
				}
			}
		case "by":
			q.by = strings.Split(value, ",")
		case "where":
			q.label, q.value, _ = strings.Cut(value, ":")
			if !slices.Contains(q.metric.Labels, q.label) {
				return q, fmt.Errorf("where=%s: %s has no label %q", value, q.metric.Name, q.label)
			}
		case "at":
			at, err := lines.ParseTime(value)
			if err != nil {
				return q, err
			}
			q.at = event.UnixMilli(at.UnixMilli())
		default:
			return q, fmt.Errorf("metric has no argument %q", arg.Key)
		}
	}
	if q.window == nil {
		return q, fmt.Errorf("name a window of %s, such as window=%s", q.metric.Name, q.metric.Windows[0].Name)
	}
	if (q.window.Kind == window.Sliding) != (q.at != 0) {
		return q, errors.New("a sliding window, and no other, is read at=TIME")
	}
	if q.metric.Unit == metric.Money && !slices.Contains(q.by, "currency") {
		q.by = append(q.by, "currency") // currencies are never added up
	}
	for _, label := range q.by {
		if !slices.Contains(q.metric.Labels, label) {
			return q, fmt.Errorf("%s has no label %q, its labels are %v", q.metric.Name, label, q.metric.Labels)
		}
	}
	return q, nil
}

// group is what is printed on one line.
type group struct {
	start  event.UnixMilli
	labels []string
	cell   table.Cell
}

func compareGroups(a, b *group) int {
	return cmp.Or(cmp.Compare(a.start, b.start), slices.Compare(a.labels, b.labels))
}

// printMetric merges a metric's rows by window and labels. Rows of which nothing is left are not printed: whether there is one
// depends on how contributions were combined.
func printMetric(r Runner, d *datadriven.TestData) (string, error) {
	q, err := ask(r.Metrics(), d)
	if err != nil {
		return "", err
	}
	groups, err := q.groups(r)
	if err != nil {
		return "", err
	}
	var p page
	for _, g := range groups {
		if metric.Empty(&g.cell) {
			continue
		}
		words, err := describe(q.metric, g, q.by)
		if err != nil {
			return "", err
		}
		p.line(lines.FormatTime(g.start), words...)
	}
	if p.b.Len() == 0 {
		return "none\n", nil
	}
	return p.String(), nil
}

func (q *question) groups(r Runner) ([]*group, error) {
	rows, err := r.Rows(topology.TableMetrics)
	if err != nil {
		return nil, err
	}
	var groups []*group
	for text, raw := range rows {
		key, err := metric.ParseKey(text)
		if err != nil {
			return nil, err
		}
		if key.Metric != q.metric.Name || key.Window != q.window.Name || !q.matches(key.Labels) {
			continue
		}
		var row table.Cell
		if err := row.UnmarshalVT(raw); err != nil {
			return nil, fmt.Errorf("row %s: %w", text, err)
		}
		g := &group{start: key.Start}
		cell := &row
		if q.at != 0 {
			g.start = q.at
			if cell, err = q.metric.SlidingValue(q.window.Window, &row, q.at); err != nil {
				return nil, err
			}
		}
		for _, label := range q.by {
			g.labels = append(g.labels, key.Labels[slices.Index(q.metric.Labels, label)])
		}
		i, found := slices.BinarySearchFunc(groups, g, compareGroups)
		if !found {
			groups = slices.Insert(groups, i, g)
		}
		if err := q.metric.Merge(&groups[i].cell, cell); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

func (q *question) matches(labels []string) bool {
	return q.label == "" || labels[slices.Index(q.metric.Labels, q.label)] == q.value
}

// describe is the words of one line: labels, value, count, and what came late.
func describe(m *metric.Metric, g *group, by []string) ([]string, error) {
	v, err := m.Value(&g.cell)
	if err != nil {
		return nil, err
	}
	words := slices.Clone(g.labels)
	seconds := func(name string, s float64) string {
		return name + " " + time.Duration(s*float64(time.Second)).Round(time.Second).String()
	}
	switch {
	case v.Count == 0 && g.cell.Late != 0: // a row only for what came late
	case m.Unit == metric.Money:
		i := slices.Index(by, "currency")
		words = append(slices.Delete(words, i, i+1), money(v.Sum, g.labels[i]))
	case m.Kind == metric.Sum:
		words = append(words, fmt.Sprint("sum ", v.Sum))
	case m.Kind == metric.Distinct:
		words = append(words, fmt.Sprint("distinct ", v.Distinct))
	case m.Kind == metric.Quantiles:
		words = append(words, seconds("min", v.Min), seconds("p50", v.P50), seconds("p99", v.P99), seconds("max", v.Max), seconds("average", v.Average))
	case m.Kind == metric.Top:
		slices.SortStableFunc(v.Top, func(a, b metric.Ranked) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		for _, t := range v.Top {
			words = append(words, fmt.Sprint(t.Value, " ", t.Count))
		}
	}
	words = append(words, fmt.Sprint("count ", v.Count))
	if g.cell.Late != 0 {
		words = append(words, fmt.Sprint("late ", g.cell.Late))
	}
	return words, nil
}

// printKeys prints the keys of a metric's rows.
func printKeys(r Runner, name string) (string, error) {
	if r.Metrics().Lookup(name) == nil {
		return "", fmt.Errorf("there is no metric %q", name)
	}
	rows, err := r.Rows(topology.TableMetrics)
	if err != nil {
		return "", err
	}
	var keys []string
	for key, raw := range rows {
		var cell table.Cell
		if err := cell.UnmarshalVT(raw); err != nil {
			return "", fmt.Errorf("row %s: %w", key, err)
		}
		if strings.HasPrefix(key, name+"/") && !metric.Empty(&cell) {
			keys = append(keys, key+"\n")
		}
	}
	slices.Sort(keys)
	return orNone(keys), nil
}
