package rule

import (
	"weir/topology/table"
)

type (
	kindPlan struct{}
	typePlan struct{}
	atom     struct{}
	band     struct{}
	frame    struct {
		operands []table.Operand
		readings []Value
	}
	condition interface{ eval(*frame) Tri }
)

// Load parses, checks and compiles a document. name begins the positions in errors.
func Load(name string, data []byte) (*Set, error) { return &Set{}, nil }

func (p *Part) score(*table.Gate, []Value) (int64, string)                           { return 0, "" }
func (p *Part) explain([]table.Operand, []Value, string) ([]*table.Predicate, []int) { return nil, nil }
func (s *Set) observe(*Facts, *Observed)                                             {}
