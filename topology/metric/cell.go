package metric

import (
	"fmt"
	"slices"

	"weir/topology/metric/sketch"
	"weir/topology/table"
)

// Merge adds delta to into. It is commutative and associative: a row does not depend on how its contributions were combined or in
// which order they came (the least of top lists may, see sketch.TopSize). Nothing of delta is kept or changed, so both cells may
// come from a pool. Merge fails on damaged bytes only, and into is then not to be stored.
func (m *Metric) Merge(into, delta *table.Cell) error {
	into.Count += delta.Count
	into.Sum += delta.Sum
	into.Late += delta.Late
	if delta.Ranged {
		if !into.Ranged {
			into.Min, into.Max, into.Ranged = delta.Min, delta.Max, true
		}
		into.Min, into.Max = min(into.Min, delta.Min), max(into.Max, delta.Max)
	}
	var err error
	if len(delta.Distinct) > 0 {
		if into.Distinct, err = sketch.MergeDistinct(into.Distinct, delta.Distinct); err != nil {
			return fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	if len(delta.Quantiles) > 0 {
		if into.Quantiles, err = sketch.MergeQuantiles(into.Quantiles, delta.Quantiles); err != nil {
			return fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	if len(delta.Top) > 0 {
		into.Top = sketch.MergeTop(into.Top, delta.Top)
	}
	if len(delta.Sessions) > 0 && m.Session != nil {
		into.Sessions = MergeSessions(into.Sessions, delta.Sessions, m.Session.Gap)
	}
	for _, s := range delta.Slices {
		if err := m.mergeSlice(into, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Metric) mergeSlice(into *table.Cell, delta *table.Slice) error {
	if delta.Cell == nil || len(delta.Cell.Slices) > 0 {
		return fmt.Errorf("metric %s: a slice of a sliding window is damaged", m.Name)
	}
	i, found := slices.BinarySearchFunc(into.Slices, delta.StartMs, func(s *table.Slice, at int64) int {
		switch {
		case s.StartMs < at:
			return -1
		case s.StartMs > at:
			return 1
		}
		return 0
	})
	if !found {
		into.Slices = slices.Insert(into.Slices, i, &table.Slice{StartMs: delta.StartMs})
	}
	slice := into.Slices[i]
	if slice.Cell == nil {
		slice.Cell = new(table.Cell)
	}
	return m.Merge(slice.Cell, delta.Cell)
}

// MergeLate counts delta's contributions as late: they change nothing else of the row.
func MergeLate(into, delta *table.Cell) {
	into.Late += delta.Late + max(delta.Count, -delta.Count)
}

// Empty reports whether a cell says nothing, as after everything that it counted was taken back.
func Empty(c *table.Cell) bool {
	return c.Count == 0 && c.Sum == 0 && c.Late == 0 && !c.Ranged && len(c.Distinct) == 0 && len(c.Quantiles) == 0 &&
		len(c.Top) == 0 && len(c.Sessions) == 0 && len(c.Slices) == 0
}

// Value is what a cell shows. Which fields mean something follows from the Kind; Count always does.
type Value struct {
	Kind  Kind
	Count int64
	Sum   int64 // Sum: minor units of money, or pieces. Top: the weight of all values together

	Average            float64 // Sum and Quantiles; 0 without contributions
	Min, Max           float64 // Quantiles, in the metric's unit
	P50, P90, P95, P99 float64 // Quantiles, in the metric's unit
	Distinct           uint64
	Top                []Ranked // greatest first
}

// Ranked is one of the most frequent values. Its true weight is at most Count and at least Count − Error.
type Ranked struct {
	Value        string
	Count, Error int64
}

// Value reads a cell, or several merged. An estimate of many distinct values takes tens of microseconds: keep it.
func (m *Metric) Value(c *table.Cell) (Value, error) {
	v := Value{Kind: m.Kind, Count: c.Count}
	switch m.Kind {
	case Sum:
		v.Sum = c.Sum
		if c.Count != 0 {
			v.Average = float64(c.Sum) / float64(c.Count)
		}
	case Distinct:
		n, err := sketch.EstimateDistinct(c.Distinct)
		if err != nil {
			return v, fmt.Errorf("metric %s: %w", m.Name, err)
		}
		v.Distinct = n
	case Quantiles:
		at, err := sketch.QuantilesAt(c.Quantiles, 0.5, 0.9, 0.95, 0.99)
		if err != nil {
			return v, fmt.Errorf("metric %s: %w", m.Name, err)
		}
		const perUnit = 1000 // cells hold milliseconds, Seconds is the unit
		if at != nil {
			v.P50, v.P90, v.P95, v.P99 = at[0]/perUnit, at[1]/perUnit, at[2]/perUnit, at[3]/perUnit
		}
		v.Min, v.Max = float64(c.Min)/perUnit, float64(c.Max)/perUnit
		if c.Count != 0 {
			v.Average = float64(c.Sum) / float64(c.Count) / perUnit
		}
	case Top:
		v.Sum = c.Sum
		for _, e := range c.Top {
			v.Top = append(v.Top, Ranked{e.Value, e.Count, e.Error})
		}
	}
	return v, nil
}

// Amount returns what a row contributes to the part; rows whose label is another count nothing.
func (p *Part) Amount(labels []string, c *table.Cell) int64 {
	if p.Label != "" {
		i := slices.Index(p.Metric.Labels, p.Label)
		if i < 0 || i >= len(labels) || labels[i] != p.Value {
			return 0
		}
	}
	if p.Sum {
		return c.Sum
	}
	return c.Count
}

// Divide returns over / under, and false where there is nothing to divide by.
func Divide(over, under int64) (float64, bool) {
	if under == 0 {
		return 0, false
	}
	return float64(over) / float64(under), true
}
