package query

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/metric/sketch"
	"weir/topology/table"
	"weir/topology/window"
)

// fill writes a cell as the point's value.
func (q *Query) fill(p *Point, c *table.Cell) error {
	p.Count = c.GetCount()
	switch q.Def.Kind {
	case metric.Count:
		p.Value = c.GetCount()
	case metric.Sum:
		p.Value = integer(c.GetSum())
	case metric.Distinct:
		n, err := sketch.EstimateDistinct(c.GetDistinct())
		p.Value = n
		return err
	case metric.Quantiles:
		return q.fillQuantiles(p, c)
	case metric.Top:
		p.Value = c.GetSum()
		for i, e := range c.GetTop() {
			if i == q.TopN {
				break
			}
			p.Top = append(p.Top, TopEntry{e.Value, e.Count, e.Error})
		}
	default:
		return fmt.Errorf("cells of kind %q cannot be shown", q.Def.Kind)
	}
	return nil
}

// fillQuantiles gives the median as the value, or the first quantile asked for where that is not among them.
func (q *Query) fillQuantiles(p *Point, c *table.Cell) error {
	if c.GetCount() == 0 {
		return nil
	}
	values, err := sketch.QuantilesAt(c.GetQuantiles(), q.Quantiles...)
	if err != nil || values == nil {
		return err
	}
	p.Quantiles = make(map[string]float64, len(values))
	for i, at := range q.Quantiles {
		p.Quantiles[strconv.FormatFloat(at, 'g', -1, 64)] = values[i] / millisecondsInSecond
		if at == 0.5 || i == 0 {
			p.Value = values[i] / millisecondsInSecond
		}
	}
	if c.Ranged {
		p.Min, p.Max = float64(c.Min)/millisecondsInSecond, float64(c.Max)/millisecondsInSecond
	}
	return nil
}

// millisecondsInSecond: quantiles are of seconds, and cells hold milliseconds.
const millisecondsInSecond = 1000

// Slide is what a sliding window's row holds at a time: the slices that begin in (at − size, at], and what came late to any of them.
func Slide(m *metric.Metric, w window.Window, row *table.Cell, at event.UnixMilli) (*table.Cell, error) {
	sum := &table.Cell{Late: row.Late}
	for _, s := range row.Slices {
		if w.InSlide(event.UnixMilli(s.StartMs), at) {
			if err := m.Merge(sum, s.Cell); err != nil {
				return nil, err
			}
		}
	}
	return sum, nil
}

// escapeLabel writes a label's value as row keys have it.
func escapeLabel(v string) string {
	key := metric.Key{Labels: []string{v}}.String()
	return key[strings.LastIndexByte(key, '/')+1:]
}

// plainLabel is the inverse of escapeLabel.
func plainLabel(token string) (string, error) {
	if token == "%" { // how keys write an empty value
		return "", nil
	}
	return url.PathUnescape(token)
}
