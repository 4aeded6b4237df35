package entities

import (
	"weir/processors/rule"
	"weir/topology/event"
)

// SeriesKey is the reserved row of each partition that Warming reads.
const SeriesKey = seriesKey

// Warming tells of each reading of Features, in their order, since when it is kept in the partition that the reserved row is of; 0 = it
// is complete. Rules take a reading as unknown while its window reaches back before that.
func Warming(set *rule.Set, key string, series []byte) ([]event.UnixMilli, error) {
	plan := set.Plan(kindOf(key))
	if plan == nil {
		return nil, nil
	}
	known, err := readSince(series)
	if err != nil {
		return nil, err
	}
	out := make([]event.UnixMilli, len(plan.Readings))
	for i := range plan.Readings {
		out[i] = event.UnixMilli(known[plan.Series[plan.Readings[i].Series].ID])
	}
	return out, nil
}
