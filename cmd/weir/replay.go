package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"weir/configs"
	"weir/topology/event"
)

func newReplay(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "replay FILE…",
		Short: "Send files of events to Kafka",
		Long: long(`Sends events from files to Kafka: NDJSON, one event a line, plain or compressed with zstd; - is standard input. Streams
may be mixed: the type of an event tells where it goes. The key is the order_id, so that an order's events stay in order.`,
			`Lines that are no event are refused, counted and shown; the rest is sent. With a preset or sources in the configuration,
events may have another shape than the canonical one: a line is sent to the first source whose mapping understands it.`),
		Example: `  weir replay events.ndjson.zst
  weir replay --speed 60 monday.ndjson tuesday.ndjson     # an hour in a minute
  weir generate --orders 1000 --output - | weir replay -
  weir replay --preset order-events shop.ndjson`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("name at least one file, or - for standard input")}
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"ndjson", "jsonl", "zst"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}, replay)
}

func replay(ctx context.Context, a *app, files []string) error {
	total, err := sizeOf(files)
	if err != nil {
		return err
	}
	inputs, err := a.Inputs()
	if err != nil {
		return err
	}
	var names []string
	for _, in := range inputs {
		names = append(names, in.Topic)
	}
	to, err := a.newKafkaSinkTo(ctx, names)
	if err != nil {
		return err
	}
	r := newReplaying(inputs, a.StreamTopics(), to, paceOf(a.Replay.Speed))
	err = r.files(ctx, a.in, files, newProgress(a.err, total))
	if closed := to.close(); err == nil {
		err = closed
	}
	if told := r.tell(a.out); err == nil {
		err = told
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return errInterrupted
	case a.Replay.Strict && r.refused > 0:
		return fmt.Errorf("%d lines were refused (--strict)", r.refused)
	}
	return nil
}

// sizeOf is the size of all files, 0 where it is not known. A file that cannot be read is found before anything is sent.
func sizeOf(files []string) (int64, error) {
	var total int64
	known := true
	for _, name := range files {
		if name == "-" {
			known = false
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return 0, fmt.Errorf("the file cannot be read: %w; nothing was sent", err)
		}
		info, err := f.Stat()
		f.Close() // nothing was written
		switch {
		case err != nil:
			return 0, fmt.Errorf("the file cannot be read: %w; nothing was sent", err)
		case info.IsDir():
			return 0, fmt.Errorf("%s is a folder; name the files in it; nothing was sent", name)
		case !info.Mode().IsRegular():
			known = false
		}
		total += info.Size()
	}
	if !known {
		return 0, nil
	}
	return total, nil
}

// producer is where replayed events go.
type producer interface {
	produce(topic string, key, value []byte) error
}

// replaying reads, parses and sends; each of the three goes on while the others wait.
type replaying struct {
	inputs  []configs.Input
	streams map[string]string // canonical stream → topic
	to      producer
	pace    *pace
	event   event.Event

	began   time.Time
	sent    map[string]int64 // by topic
	ignored int64            // lines whose type the mapping passes over
	refused int64
	shown   []string // the first refusals
}

const (
	maxShown  = 10
	showEvery = 512 // lines between looks at the clock of the progress bar
)

func newReplaying(inputs []configs.Input, streams map[string]string, to producer, p *pace) *replaying {
	return &replaying{inputs: inputs, streams: streams, to: to, pace: p, sent: map[string]int64{}, began: time.Now()}
}

// files sends the files one after the other. It stops early when ctx ends.
func (r *replaying) files(ctx context.Context, stdin io.Reader, names []string, bar progress) error {
	defer bar.finish()
	for _, name := range names {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.one(ctx, stdin, name, bar); err != nil {
			return err
		}
	}
	return nil
}

func (r *replaying) one(ctx context.Context, stdin io.Reader, name string, bar progress) (err error) {
	src := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("the file cannot be read: %w", err)
		}
		defer f.Close() // nothing was written
		src = f
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	blocks := make(chan block, 4)
	var g errgroup.Group
	g.Go(func() error {
		defer close(blocks)
		return readBlocks(reading, &countingReader{src, bar.add}, blocks)
	})
	for b := range blocks {
		if err = r.block(ctx, name, b, bar); err != nil || ctx.Err() != nil {
			stop()
			break
		}
	}
	for range blocks { // let the reader end
	}
	if read := g.Wait(); err == nil && ctx.Err() == nil && read != nil {
		return fmt.Errorf("reading %s: %w; what came before was sent", name, read)
	}
	return err
}

// block sends a block's lines.
func (r *replaying) block(ctx context.Context, name string, b block, bar progress) error {
	number := b.line
	for line := range b.lines() {
		if len(line) > 0 {
			if err := r.send(ctx, name, number, line); err != nil || ctx.Err() != nil {
				return err
			}
		}
		if number++; number%showEvery == 0 || r.pace.factor > 0 {
			bar.events(r.all())
		}
	}
	if b.overlong {
		r.refuse(name, number, &event.Malformed{Reason: event.ReasonTooLarge, Detail: fmt.Sprintf("the line has more than %d bytes", maxLine)})
	}
	return nil
}

// send sends one line to where it belongs, or refuses it.
func (r *replaying) send(ctx context.Context, name string, number int64, line []byte) error {
	topic, cause := r.place(event.UnixMilli(time.Now().UnixMilli()), line)
	switch {
	case errors.Is(cause, event.ErrIgnored):
		r.ignored++
	case cause != nil:
		r.refuse(name, number, cause)
	default:
		r.pace.wait(ctx, r.event.At)
		if ctx.Err() != nil {
			return nil
		}
		r.sent[topic]++
		return r.to.produce(topic, []byte(r.event.OrderID), line)
	}
	return nil
}

// place finds the source that understands a line; the event is then in r.event.
func (r *replaying) place(now event.UnixMilli, line []byte) (topic string, cause error) {
	for _, in := range r.inputs {
		err := in.Parser.ParseInto(&r.event, line, now)
		if err == nil {
			if t, ok := r.streams[r.event.Type.Stream()]; ok && in.Shape == configs.Canonical && r.reads(t) {
				return t, nil
			}
			return in.Topic, nil
		}
		if cause == nil || isUnknownType(cause) {
			cause = err
		}
		if in.Shape == configs.Canonical && !isUnknownType(err) {
			break // the other canonical sources say the same
		}
	}
	return "", cause
}

// reads tells whether a topic is one of the sources.
func (r *replaying) reads(topic string) bool {
	return slices.ContainsFunc(r.inputs, func(in configs.Input) bool { return in.Topic == topic })
}

func isUnknownType(err error) bool {
	var m *event.Malformed
	return errors.As(err, &m) && m.Reason == event.ReasonUnknownType
}

func (r *replaying) refuse(name string, number int64, cause error) {
	r.refused++
	if len(r.shown) < maxShown {
		r.shown = append(r.shown, fmt.Sprintf("%s:%d: %v", name, number, cause))
	}
}

func (r *replaying) all() int64 {
	var n int64
	for _, sent := range r.sent {
		n += sent
	}
	return n
}

// tell says what was sent and what was refused.
func (r *replaying) tell(w io.Writer) error {
	var b strings.Builder
	took := time.Since(r.began)
	fmt.Fprintf(&b, "sent %d events in %v (%d a second)\n", r.all(), took.Round(time.Millisecond), int64(float64(r.all())/took.Seconds()))
	var topics []string
	for t := range r.sent {
		topics = append(topics, t)
	}
	slices.Sort(topics)
	for _, t := range topics {
		fmt.Fprintf(&b, "  %-20s %d\n", t, r.sent[t])
	}
	if r.ignored > 0 {
		fmt.Fprintf(&b, "passed over %d lines whose type the mapping ignores\n", r.ignored)
	}
	if r.refused > 0 {
		fmt.Fprintf(&b, "refused %d lines\n", r.refused)
		for _, line := range r.shown {
			fmt.Fprintf(&b, "  %s\n", line)
		}
		if r.refused > int64(len(r.shown)) {
			fmt.Fprintf(&b, "  … and %d more\n", r.refused-int64(len(r.shown)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
