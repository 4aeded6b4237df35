package scenario

import (
	"testing"

	"weir/topology/sim"
)

func TestRepeatsComeLaterThanTheirFirst(t *testing.T) {
	p := newPlayer(Setup{Schedule: Schedule{Seed: 3, Duplicate: 0.5}}, nil)
	var records []sim.Record
	for i := range 50 {
		records = append(records, sim.Record{Offset: int64(i)})
	}
	repeated, seen, next := p.repeat(records), map[int64]bool{}, int64(0)
	if len(repeated) <= 50 {
		t.Fatal("nothing was repeated")
	}
	for _, r := range repeated {
		if !seen[r.Offset] {
			if r.Offset != next {
				t.Fatalf("%d comes before %d", r.Offset, next)
			}
			next++
		}
		seen[r.Offset] = true
	}
	if next != 50 {
		t.Errorf("%d records left of 50", next)
	}
}
