package flow

import (
	"slices"
	"time"
)

// Stage is a reader on the way from the sources to a table, and the topics that it reads.
type Stage struct {
	Reader string // the Group of its keys
	Topics []string
}

// CaughtUp is the newest moment of which it is known that everything sent until then has passed all stages, the first of which reads the
// sources. False: it is not known of any moment of the last minute.
//
// A sample's commits were read before its ends. So what a stage had written for what it had committed then is behind those ends, and the
// next stage has passed it once it has committed them, in whichever sample that is seen. The way is gone backwards from the newest one.
func (h *History) CaughtUp(stages []Stage) (time.Time, bool) {
	at := len(h.samples) - 1
	for _, stage := range slices.Backward(stages) {
		at = h.passed(stage, at)
	}
	if at < 0 {
		return time.Time{}, false
	}
	return h.samples[at].AskedAt, true
}

// passed is the newest sample, up to by, all of whose ends the stage had passed in sample by; −1 without one.
func (h *History) passed(stage Stage, by int) int {
	for i := by; i >= 0; i-- {
		if h.samples[i].passedIn(&h.samples[by], stage) {
			return i
		}
	}
	return -1
}

// passedIn tells whether the reader had passed in later all that the topics held in s. An offset that is not known is not passed.
func (s *Sample) passedIn(later *Sample, stage Stage) bool {
	for _, topic := range stage.Topics {
		for p, end := range s.Offsets[Key{Topic: topic}] {
			if end < 0 || end > max(later.at(Key{stage.Reader, topic}, p), 0) {
				return false
			}
		}
	}
	return true
}
