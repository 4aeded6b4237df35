package query

import (
	"fmt"

	"weir/topology/table"
)

func mergeCell(kind Kind, dst, src *table.Cell) error {
	switch kind {
	case Count, Sum:
		dst.Count += src.Count
		dst.Sum += src.Sum
		dst.Late += src.Late
		return nil
	}
	return fmt.Errorf("cells of kind %q cannot be merged", kind)
}

func (q *Query) fill(p *Point, c *table.Cell) error {
	p.Count = c.GetCount()
	switch q.Def.Kind {
	case Count:
		p.Value = c.GetCount()
	case Sum:
		p.Value = integer(c.GetSum())
	default:
		return fmt.Errorf("cells of kind %q cannot be shown", q.Def.Kind)
	}
	return nil
}

func escapeLabel(v string) string { return v }
