package engine

import (
	"context"
	"maps"
	"sync"

	"github.com/IBM/sarama"
)

// consumerGroup is goka's sarama.ConsumerGroup. Consume loops over generations itself: returning would make goka sleep 5 s.
type consumerGroup struct {
	rt   *Runtime
	errs chan error // never used: failures end Consume
}

func (g *consumerGroup) Errors() <-chan error      { return g.errs }
func (g *consumerGroup) Close() error              { return nil }
func (g *consumerGroup) Pause(map[string][]int32)  {}
func (g *consumerGroup) Resume(map[string][]int32) {}
func (g *consumerGroup) PauseAll()                 {}
func (g *consumerGroup) ResumeAll()                {}

// assignment is the group's latest word on which partitions are ours. Each change ends the generation that ran before it.
type assignment struct {
	mu      sync.Mutex
	claims  map[string][]int32 // nil: none right now
	version int64
	wake    chan struct{} // closed at the next change
}

func newAssignment() *assignment { return &assignment{wake: make(chan struct{})} }

func (a *assignment) set(claims map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claims = claims
	a.version++
	close(a.wake)
	a.wake = make(chan struct{})
}

func (a *assignment) assigned(m map[string][]int32) {
	claims := maps.Clone(m)
	if claims == nil {
		claims = map[string][]int32{}
	}
	a.set(claims)
}
func (a *assignment) revoked() { a.set(nil) }

// next waits for an assignment. changed is closed when it is over.
func (a *assignment) next(ctx context.Context) (claims map[string][]int32, changed <-chan struct{}, err error) {
	for {
		a.mu.Lock()
		claims, changed = a.claims, a.wake
		a.mu.Unlock()
		if claims != nil {
			return claims, changed, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-changed:
		}
	}
}

func (g *consumerGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	a := newAssignment()
	s, err := g.rt.newSession(ctx, topics, a)
	if err != nil {
		return err
	}
	defer s.close()
	g.rt.session = s
	for {
		claims, changed, err := a.next(ctx)
		if err != nil {
			return nil // the context ended
		}
		gen := newGeneration(g.rt, s, claims, changed)
		if err := gen.run(ctx, h); err != nil || ctx.Err() != nil {
			return err
		}
	}
}
