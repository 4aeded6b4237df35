package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// diary notes what happens, from any goroutine.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) write(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

// untilStopped is a part that runs until it is stopped.
func (d *diary) untilStopped(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		d.write(name)
		return nil
	}
}

func TestPartsStopInTheOppositeOrder(t *testing.T) {
	var d diary
	s := newStages(slog.New(slog.DiscardHandler))
	s.onStop("broker", func() error { d.write("broker"); return nil })
	s.start("groups", d.untilStopped("groups"))
	s.start("server", d.untilStopped("server"))
	s.start("errand", func(context.Context) error { return nil }) // ends by itself: the others go on
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.wait(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"server", "groups", "broker"}; !slices.Equal(d.entries, want) {
		t.Errorf("stopped in the order %v, want %v", d.entries, want)
	}
}

func TestAPartThatFailsStopsAll(t *testing.T) {
	var d diary
	s := newStages(slog.New(slog.DiscardHandler))
	s.start("broker", d.untilStopped("broker"))
	s.start("groups", func(context.Context) error { return errors.New("disk full") })
	s.start("generator", func(ctx context.Context) error { <-ctx.Done(); return errors.New("late") })
	err := s.wait(t.Context())
	for _, says := range []string{"groups: disk full", "generator: late"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if !slices.Equal(d.entries, []string{"broker"}) {
		t.Errorf("stopped: %v", d.entries)
	}
}

// A process that is asked to stop while it still waits for its cluster does so, and has not failed.
func TestAStopDuringTheStartIsNoFailure(t *testing.T) {
	for _, command := range []string{"process", "serve"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			r := start(t, command, fmt.Sprintf("kafka: {brokers: [%q]}\nserve: {listen: 127.0.0.1:0}\n", silent.Addr()), command)
			conn, err := silent.Accept() // of a cluster that never answers
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			r.stop()
			if said := r.log.String(); strings.Contains(said, "SASL") {
				t.Error(said)
			}
		})
	}
}
