package backtest

import (
	"cmp"
	"slices"

	"weir/topology/alert"
)

// sample keeps some alerts, the same ones whatever the order in which they come: ids are hashes, the least ones stay.
type sample struct {
	most  int
	kept  []alert.Alert
	left  int64
	bound string // ids from here on are too great; "" = none
}

func (s *sample) wants(id string) bool {
	if s.bound != "" && id >= s.bound {
		s.left++
		return false
	}
	return true
}

func (s *sample) add(a alert.Alert) {
	if len(s.kept) >= 2*s.most {
		s.shrink()
	}
	s.kept = append(s.kept, a)
}

func (s *sample) shrink() {
	if len(s.kept) <= s.most {
		return
	}
	slices.SortFunc(s.kept, func(a, b alert.Alert) int { return cmp.Compare(a.ID, b.ID) })
	s.left += int64(len(s.kept) - s.most)
	s.bound = s.kept[s.most].ID
	clear(s.kept[s.most:])
	s.kept = s.kept[:s.most]
}

// take returns them by their start.
func (s *sample) take() []alert.Alert {
	s.shrink()
	slices.SortFunc(s.kept, func(a, b alert.Alert) int { return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID)) })
	if s.kept == nil {
		return []alert.Alert{}
	}
	return s.kept
}
