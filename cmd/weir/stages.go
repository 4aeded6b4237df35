package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// stages are the running parts of a process. They are started in the order of an event's journey and stopped in the opposite
// one, each after the one before it has ended: nothing loses what it writes to.
type stages struct {
	log   *slog.Logger
	all   []*stage
	ended chan *stage
}

type stage struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done is closed
}

func newStages(log *slog.Logger) *stages {
	return &stages{log: log, ended: make(chan *stage, 16)}
}

// start runs a part until it is stopped. A part that ends with an error ends the whole; one without has done its work.
func (s *stages) start(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{name: name, cancel: cancel, done: make(chan struct{})}
	s.all = append(s.all, st)
	go func() {
		defer close(st.done)
		st.err = run(ctx)
		if st.err != nil {
			s.ended <- st
		}
	}()
}

// onStop adds something to close when its turn comes.
func (s *stages) onStop(name string, closer func() error) {
	s.start(name, func(ctx context.Context) error {
		<-ctx.Done()
		return closer()
	})
}

// wait returns when ctx ends or a part has failed, after all parts have been stopped.
func (s *stages) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.log.Info("stopping; a second signal stops at once")
	case st := <-s.ended:
		s.log.Error("stopping, because a part has failed", "part", st.name, "error", st.err)
	}
	return s.stop()
}

// abandon stops what runs already, because the rest cannot start. That a signal ended the start is no failure.
func (s *stages) abandon(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		s.log.Info("stopped before all parts were started")
		cause = nil
	}
	return errors.Join(cause, s.stop())
}

// stop ends all parts, the last one first, and returns what went wrong in any of them.
func (s *stages) stop() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		st := s.all[i]
		st.cancel()
		started := time.Now()
		<-st.done
		s.log.Debug("stopped", "part", st.name, "after", time.Since(started).Round(time.Millisecond))
		if st.err != nil && !errors.Is(st.err, context.Canceled) {
			errs = append(errs, fmt.Errorf("%s: %w", st.name, st.err))
		}
	}
	s.all = nil
	return errors.Join(errs...)
}
