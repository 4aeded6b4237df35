package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"weir/topology/event"
	"weir/topology/sim"
)

// eventFiles reads files of events for a backtest, merged by the events' time. Each file's own order stays: it is that of arrival.
type eventFiles struct {
	*replaying // knows what a line is, and keeps what was refused
	ctx        context.Context
	files      []*eventFile
	bar        progress
	offsets    map[string]int64 // by topic
}

// eventFile is one of them.
type eventFile struct {
	name   string
	src    io.Closer
	blocks chan block
	ended  chan error // what the reading ended with
	next   func() (numbered, bool)
	stop   func()
	head   sim.Record
	at     event.UnixMilli // greatest so far
	over   bool
}

// numbered is a line with its number.
type numbered struct {
	line   []byte
	number int64
}

func (a *app) openEvents(ctx context.Context, names []string) (*eventFiles, error) {
	total, err := sizeOf(names)
	if err != nil {
		return nil, err
	}
	inputs, err := a.Inputs()
	if err != nil {
		return nil, err
	}
	e := &eventFiles{replaying: newReplaying(inputs, a.StreamTopics(), nil, &pace{}), ctx: ctx, bar: newProgress(a.err, total),
		offsets: map[string]int64{}}
	for _, name := range names {
		f, err := e.open(a.in, name)
		if err != nil {
			e.close()
			return nil, err
		}
		e.files = append(e.files, f)
	}
	return e, nil
}

func (e *eventFiles) open(stdin io.Reader, name string) (*eventFile, error) {
	f := &eventFile{name: name, blocks: make(chan block, 2), ended: make(chan error, 1)}
	src := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("the file cannot be read: %w", err)
		}
		src, f.src = file, file
	}
	ctx, stop := context.WithCancel(e.ctx)
	go func() {
		f.ended <- readBlocks(ctx, &countingReader{src, e.bar.add}, f.blocks)
		close(f.blocks)
	}()
	lines, halt := iter.Pull(e.lines(f))
	f.next = lines
	f.stop = func() {
		halt()
		stop()
		for range f.blocks { // let the reader end
		}
	}
	return f, nil
}

// lines are the lines of a file.
func (e *eventFiles) lines(f *eventFile) iter.Seq[numbered] {
	return func(yield func(numbered) bool) {
		for b := range f.blocks {
			number := b.line
			for line := range b.lines() {
				if len(line) > 0 && !yield(numbered{line, number}) {
					return
				}
				number++
			}
			if b.overlong {
				e.refuse(f.name, number, &event.Malformed{Reason: event.ReasonTooLarge, Detail: fmt.Sprintf("the line has more than %d bytes", maxLine)})
			}
		}
	}
}

func (e *eventFiles) close() {
	for _, f := range e.files {
		f.stop()
		if f.src != nil {
			f.src.Close() // nothing was written
		}
	}
}

// records are all events, as if each topic had one partition.
func (e *eventFiles) records() iter.Seq2[sim.Record, error] {
	return func(yield func(sim.Record, error) bool) {
		for _, f := range e.files {
			if err := e.advance(f); err != nil {
				yield(sim.Record{}, err)
				return
			}
		}
		for {
			var first *eventFile
			for _, f := range e.files {
				if !f.over && (first == nil || f.at < first.at) {
					first = f
				}
			}
			if first == nil {
				return
			}
			r := first.head
			r.Offset = e.offsets[r.Topic]
			e.offsets[r.Topic]++
			if !yield(r, nil) {
				return
			}
			if err := e.advance(first); err != nil {
				yield(sim.Record{}, err)
				return
			}
		}
	}
}

// advance reads the next event of a file.
func (e *eventFiles) advance(f *eventFile) error {
	for {
		n, ok := f.next()
		if !ok {
			f.over = true
			if err := <-f.ended; err != nil && e.ctx.Err() == nil {
				return fmt.Errorf("reading %s: %w", f.name, err)
			}
			return nil
		}
		if topic := e.topic(n.line, f.name, n.number); topic != "" {
			f.at = max(f.at, e.event.At)
			f.head = sim.Record{Topic: topic, Key: strings.Clone(e.event.OrderID), Value: n.line, Timestamp: f.at}
			return nil
		}
	}
}

// topic is where a line belongs; "" where it was refused or passed over. The event is then in e.event.
func (e *eventFiles) topic(line []byte, name string, number int64) string {
	topic, cause := e.place(event.UnixMilli(time.Now().UnixMilli()), line)
	switch {
	case cause == nil:
		return topic
	case errors.Is(cause, event.ErrIgnored):
		e.ignored++
	default:
		e.refuse(name, number, cause)
	}
	return ""
}

// warnings tell what was refused.
func (e *eventFiles) warnings() (all []string) {
	if e.refused == 0 {
		return nil
	}
	all = append(all, fmt.Sprintf("%d lines were refused", e.refused))
	return append(all, e.shown...)
}
