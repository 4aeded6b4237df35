package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
)

// Config is what a reader is opened with.
type Config struct {
	Kafka   client.Config
	Admin   *kadm.Client
	Topic   string           // of dead letters
	Sources map[string]Check // the source topics, each with what its parser says of a record now
	Logger  *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now
}

// Reader keeps the newest letters in memory, for as long as somebody asks: it looks for new ones when it is asked, at most once a
// second, however many ask. It holds no connection meanwhile.
type Reader struct {
	cfg       Config
	turn      chan struct{} // of who may look: one at a time
	replaying chan struct{} // one replay at a time

	mu        sync.Mutex
	index     *index
	positions map[int32]int64 // the next offset to read of each partition
	askedAt   time.Time
	unread    int64 // records that the last look did not come to
	err       error // of the last look
	outdated  bool  // something was written since the last look
}

// Limits of one look at the topic.
const (
	lookEvery    = time.Second
	lookWithin   = 5 * time.Second
	dropAfter    = 10 * time.Minute // nobody has asked for this long: begin anew
	fetchBytes   = 4 << 20
	pollRecords  = 500
	fetchMaxWait = 250 * time.Millisecond
)

// New makes a reader. It reads nothing before it is asked.
func New(cfg Config) *Reader {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Reader{cfg: cfg, turn: make(chan struct{}, 1), replaying: make(chan struct{}, 1), index: newIndex(), positions: map[int32]int64{}}
}

// Listing is a page with what it does not cover.
type Listing struct {
	Page
	LeftOut int   // older letters that are not looked at: more than the limit of memory
	Unread  int64 // records of the topic that are still to be read: ask again
}

// List gives the letters that match, newest first.
func (r *Reader) List(ctx context.Context, f *Filter, cursor string, limit int) (*Listing, error) {
	if _, err := parseCursor(cursor); err != nil {
		return nil, &CursorError{err}
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.index.page(f, cursor, limit)
	if err != nil {
		return nil, &CursorError{err}
	}
	for i, l := range p.Letters {
		c := *l // the index goes on changing its own
		p.Letters[i] = &c
	}
	return &Listing{*p, r.index.leftOut, r.unread}, nil
}

// CursorError is that a cursor is none.
type CursorError struct{ error }

// ErrNotThere is that there is no such letter, or none any more.
var ErrNotThere = errors.New("there is no such dead letter; the topic may have lost it by its retention")

// Get reads one letter whole.
func (r *Reader) Get(ctx context.Context, id ID) (*Letter, error) {
	if err := r.look(ctx); err != nil { // for the note that it was replayed
		return nil, err
	}
	var found *Letter
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	err := r.pick(ctx, []ID{id}, func(rec *kgo.Record) error {
		if l, _ := decode(rec, wholeValue); l != nil {
			l.Replay = judge(l, r.cfg.Sources, rec.Key, rec.Value)
			found = l
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, ErrNotThere
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.index.byID[id]; l != nil {
		found.Replayed = l.Replayed
	}
	return found, nil
}

// look reads what is new on the topic, unless somebody has within the last second.
func (r *Reader) look(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	since, err, outdated := r.cfg.Now().Sub(r.askedAt), r.err, r.outdated
	if since > dropAfter {
		r.index, r.positions = newIndex(), map[int32]int64{}
	}
	r.mu.Unlock()
	if since >= 0 && since < lookEvery && !outdated {
		return err // those who waited for a look that failed do not try again one after the other
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin) // others wait for the same look
	defer cancel()
	unread, err := r.catchUp(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("reading the dead letters: %w", client.Diagnose(r.cfg.Kafka, err))
	}
	r.askedAt, r.unread, r.err, r.outdated = r.cfg.Now(), unread, err, false
	if err == nil {
		r.judgeAgain()
	}
	return err
}

// judgeAgain looks at what the clock may have mended.
func (r *Reader) judgeAgain() {
	for _, l := range r.index.letters {
		if l.value != nil {
			l.Replay = judge(l, r.cfg.Sources, l.key, l.value)
		}
	}
}

// catchUp reads to the end of the topic, or as far as time allows: then it tells how many records are left.
func (r *Reader) catchUp(ctx context.Context) (unread int64, err error) {
	starts, ends, err := r.span(ctx)
	if err != nil || len(ends) == 0 {
		return 0, err
	}
	r.mu.Lock()
	r.index.forget(func(id ID) bool {
		anew := r.positions[id.Partition] > ends[id.Partition] // the topic has been deleted meanwhile
		return anew || id.Offset < starts[id.Partition]
	})
	todo := map[int32]span{}
	most := 2 * int64(maxLetters) / int64(len(ends)) // a letter and its commit marker
	for p, end := range ends {
		from, known := r.positions[p]
		if from > end {
			from = starts[p]
		}
		if least := max(starts[p], end-most); !known || from < least {
			if skipped := least - max(from, starts[p]); skipped > 0 {
				r.index.leftOut += int(skipped / 2) // half of them are commit markers
			}
			from = least
		}
		if from < end {
			todo[p] = span{from, end}
		}
	}
	r.mu.Unlock()
	if len(todo) == 0 {
		return 0, nil
	}
	err = readSpans(ctx, r.cfg.Kafka, r.cfg.Topic, todo, func(records []*kgo.Record) error {
		r.take(records)
		return nil
	}, r.reached)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, s := range todo {
		unread += max(s.to-r.positions[p], 0)
	}
	return unread, err
}

func (r *Reader) reached(partition int32, next int64) {
	r.mu.Lock()
	r.positions[partition] = next
	r.mu.Unlock()
}

func (r *Reader) take(records []*kgo.Record) {
	var letters []*Letter
	var notes []note
	for _, rec := range records {
		l, n := decode(rec, listedValue)
		if n != nil {
			notes = append(notes, *n)
		}
		if l == nil {
			continue
		}
		l.Replay = judge(l, r.cfg.Sources, rec.Key, rec.Value)
		if l.Reason == event.ReasonFuture && len(rec.Value) <= listedValue && len(rec.Key) <= shownKey {
			l.key, l.value = slices.Clone(rec.Key), slices.Clone(rec.Value)
		}
		letters = append(letters, l)
	}
	r.mu.Lock()
	r.index.add(letters, notes)
	r.mu.Unlock()
}
