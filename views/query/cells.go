package query

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"weir/topology/metric"
	"weir/topology/metric/sketch"
	"weir/topology/table"
)

// mergeCell adds src to dst, as the metrics group does when it merges a delta, but for any two rows of one metric.
func mergeCell(kind Kind, dst, src *table.Cell) (err error) {
	dst.Count += src.Count
	dst.Sum += src.Sum
	dst.Late += src.Late
	if src.Ranged {
		if dst.Ranged {
			dst.Min, dst.Max = min(dst.Min, src.Min), max(dst.Max, src.Max)
		} else {
			dst.Min, dst.Max, dst.Ranged = src.Min, src.Max, true
		}
	}
	switch kind {
	case Distinct:
		dst.Distinct, err = sketch.MergeDistinct(dst.Distinct, src.Distinct)
	case Quantiles:
		dst.Quantiles, err = sketch.MergeQuantiles(dst.Quantiles, src.Quantiles)
	case Top:
		dst.Top = sketch.MergeTop(dst.Top, src.Top)
	}
	return err
}

// fill writes a cell as the point's value.
func (q *Query) fill(p *Point, c *table.Cell) error {
	p.Count = c.GetCount()
	switch q.Def.Kind {
	case Count, Sessions:
		p.Value = c.GetCount()
	case Sum:
		p.Value = integer(c.GetSum())
	case Distinct:
		n, err := sketch.EstimateDistinct(c.GetDistinct())
		p.Value = n
		return err
	case Quantiles:
		return q.fillQuantiles(p, c)
	case Top:
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
		p.Quantiles[strconv.FormatFloat(at, 'g', -1, 64)] = values[i] / q.Def.scale()
		if at == 0.5 || i == 0 {
			p.Value = values[i] / q.Def.scale()
		}
	}
	if c.Ranged {
		p.Min, p.Max = float64(c.Min)/q.Def.scale(), float64(c.Max)/q.Def.scale()
	}
	return nil
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
