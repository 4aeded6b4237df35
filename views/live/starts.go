package live

import (
	"sync"
	"sync/atomic"
)

// starts counts writers that have been started and do not run yet. Who gives many connections a frame waits while they are many: the
// stacks of all would be in memory at once, and the last frame would be made long before it is written.
type starts struct {
	waiting atomic.Int64
	moved   *sync.Cond
}

// startsMost is how many writers may wait for a processor.
const startsMost = 128

func (s *starts) begin() { s.waiting.Add(1) }

func (s *starts) begun() {
	if s.waiting.Add(-1) == startsMost {
		s.moved.L.Lock()
		s.moved.Broadcast()
		s.moved.L.Unlock()
	}
}

// settle waits until few writers wait. It is not called under conn.mu.
func (s *starts) settle() {
	if s.waiting.Load() <= startsMost {
		return
	}
	s.moved.L.Lock()
	defer s.moved.L.Unlock()
	for s.waiting.Load() > startsMost {
		s.moved.Wait()
	}
}
