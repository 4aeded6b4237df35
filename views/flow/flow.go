package flow

import (
	"slices"
	"time"
)

// Key is something that has an offset for each partition: a topic's end, or what a group has committed of a topic.
type Key struct{ Group, Topic string } // no group: the topic's end

// Sample is the state of all offsets at a moment. Offsets are by partition; −1 is unknown.
type Sample struct {
	At      time.Time
	AskedAt time.Time // when the first of it was asked for: its ends hold what was sent until then
	Offsets map[Key][]int64
	// Counts are totals that only grow, such as bytes sent.
	Counts map[string]float64
}

// Limits of what is kept.
const (
	Span     = time.Minute      // samples older than this, as seen from the newest, go
	RateOver = 10 * time.Second // a rate is that of this time, or of what there is of it
	least    = 500 * time.Millisecond
	// Lagging is the wait from which an edge or a partition is said to lag.
	Lagging = 5 * time.Second
)

// History is the samples of the last minute, oldest first. It is not safe for concurrent use.
type History struct{ samples []Sample }

// Add takes the newest sample. One that is not newer is left out.
func (h *History) Add(s Sample) {
	if n := len(h.samples); n > 0 && !s.At.After(h.samples[n-1].At) {
		return
	}
	h.samples = append(h.samples, s)
	old := slices.IndexFunc(h.samples, func(o Sample) bool { return s.At.Sub(o.At) <= Span })
	h.samples = slices.Delete(h.samples, 0, old)
}

func (h *History) newest() *Sample { return &h.samples[len(h.samples)-1] }

// before is the sample that a rate is measured from; nil without one.
func (h *History) before() *Sample {
	if len(h.samples) < 2 {
		return nil
	}
	now := h.newest().At
	for i := range h.samples[:len(h.samples)-1] {
		if age := now.Sub(h.samples[i].At); age <= RateOver+least && age >= least {
			return &h.samples[i]
		}
	}
	return nil
}

// at is one partition's offset; −1 where it is not known.
func (s *Sample) at(k Key, partition int) int64 {
	if offsets := s.Offsets[k]; partition < len(offsets) {
		return offsets[partition]
	}
	return -1
}

// PartitionRate is offsets a second; false where it is not known yet.
func (h *History) PartitionRate(k Key, partition int) (float64, bool) {
	from := h.before()
	if from == nil {
		return 0, false
	}
	a, b := from.at(k, partition), h.newest().at(k, partition)
	if a < 0 || b < 0 {
		return 0, false
	}
	return float64(max(b-a, 0)) / h.newest().At.Sub(from.At).Seconds(), true // less than before: the topic was made anew
}

// Rate is that of all partitions that are known.
func (h *History) Rate(k Key) (rate float64, known bool) {
	if len(h.samples) == 0 {
		return 0, false
	}
	for p := range h.newest().Offsets[k] {
		if r, ok := h.PartitionRate(k, p); ok {
			rate, known = rate+r, true
		}
	}
	return rate, known
}

// CountRate is how fast a total grows.
func (h *History) CountRate(name string) (float64, bool) {
	from := h.before()
	if from == nil {
		return 0, false
	}
	a, ok := from.Counts[name]
	b, ok2 := h.newest().Counts[name]
	if !ok || !ok2 || b < a {
		return 0, false
	}
	return (b - a) / h.newest().At.Sub(from.At).Seconds(), true
}

// Wait is how long the next record that a group reads has been there: the time since the topic's end stood where the group stands.
// Between two samples the end is taken to have moved evenly, before the first as fast as since. False where that is not known.
func (h *History) Wait(group, topic string, partition int) (time.Duration, bool) {
	if len(h.samples) == 0 {
		return 0, false
	}
	now, end := h.newest(), Key{Topic: topic}
	read := now.at(Key{group, topic}, partition)
	if read < 0 || now.at(end, partition) < 0 {
		return 0, false
	}
	if read >= now.at(end, partition) {
		return 0, true
	}
	for i := len(h.samples) - 2; i >= 0; i-- {
		a, b := h.samples[i].at(end, partition), h.samples[i+1].at(end, partition)
		if a < 0 {
			return 0, false
		}
		if a <= read {
			step := h.samples[i+1].At.Sub(h.samples[i].At)
			return now.At.Sub(h.samples[i].At) - time.Duration(float64(step)*float64(read-a)/float64(max(b-a, 1))), true
		}
	}
	first := &h.samples[0]
	grown, over := now.at(end, partition)-first.at(end, partition), now.At.Sub(first.At)
	if grown <= 0 || over < least {
		return 0, false
	}
	return over + time.Duration(float64(over)*float64(first.at(end, partition)-read)/float64(grown)), true
}

// Stands tells whether a group has not moved in a partition for as long as the samples reach back, at least Lagging, although there
// were records to read.
func (h *History) Stands(group, topic string, partition int) bool {
	if len(h.samples) == 0 {
		return false
	}
	now := h.newest()
	read := now.at(Key{group, topic}, partition)
	for i := range slices.Backward(h.samples) {
		s := &h.samples[i]
		if s.at(Key{group, topic}, partition) != read || s.at(Key{Topic: topic}, partition) <= max(read, 0) {
			return false
		}
		if now.At.Sub(s.At) >= Lagging {
			return true
		}
	}
	return false
}

// Left is how long a reader needs that is so many records behind, reads so many a second and has so many more written to it meanwhile.
// False where it does not come nearer.
func Left(behind int64, reads, written float64) (time.Duration, bool) {
	if behind <= 0 {
		return 0, true
	}
	if reads <= written {
		return 0, false
	}
	seconds := float64(behind) / (reads - written)
	if seconds > (30 * 24 * time.Hour).Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// Over is how far back the samples reach.
func (h *History) Over() time.Duration {
	if len(h.samples) == 0 {
		return 0
	}
	return h.newest().At.Sub(h.samples[0].At)
}

// Set notes one partition's offset.
func (s *Sample) Set(k Key, partition int32, offset int64) {
	for int(partition) >= len(s.Offsets[k]) {
		s.Offsets[k] = append(s.Offsets[k], -1)
	}
	s.Offsets[k][partition] = offset
}
