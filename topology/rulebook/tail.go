package rulebook

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	tailPause    = 500 * time.Millisecond // before the topic is looked for again
	tailPauseMax = 5 * time.Second
)

// Tail calls each with the book that is in force once everything committed has been read (the zero Book if the topic is empty or not
// there yet), and then with every newer one in the order of revisions, until ctx ends. It goes on over brokers that restart and
// topics that are made anew, and logs what holds it up. It takes no part in a group, so any number of processes may follow the topic.
func (s *Store) Tail(ctx context.Context, log *slog.Logger, each func(Book)) error {
	t := &tail{Store: s, log: log, each: each}
	for pause := tailPause; ctx.Err() == nil; pause = min(2*pause, tailPauseMax) {
		err := t.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrMissing):
			t.tell(Book{}) // serve may be started before the topics are made
			pause = tailPause
		default:
			log.Warn("the rule book cannot be read; trying again, with the rules as they are", "topic", s.Topic, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

type tail struct {
	*Store
	log  *slog.Logger
	each func(Book)
	told bool
	last Book // told most recently
}

// tell passes a book on unless it is the one that was told before: compaction copies records, and a new connection reads all again.
func (t *tail) tell(b Book) {
	if t.told && b.Revision == t.last.Revision && b.At.Equal(t.last.At) {
		return
	}
	t.told, t.last = true, b
	t.each(b)
}

// follow reads until ctx ends, or until it has to begin anew.
func (t *tail) follow(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	cl, err := t.reader()
	if err != nil {
		return err
	}
	defer cl.Close()
	var newest Book
	err = t.scan(within, cl, func(r *kgo.Record) {
		if b, ok := t.book(r); ok {
			newest = b
		}
	})
	if err != nil {
		return err
	}
	t.tell(newest)
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		for r := range fetches.RecordsAll() {
			if b, ok := t.book(r); ok {
				t.tell(b)
			}
		}
		for _, e := range fetches.Errors() {
			switch {
			case ctx.Err() != nil:
			case errors.Is(e.Err, kerr.UnknownTopicOrPartition), errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.InconsistentTopicID):
				return e.Err
			default:
				t.log.Warn("reading the rule book failed; trying again", "topic", t.Topic, "error", t.diagnose(e.Err))
			}
		}
	}
	return nil
}

func (t *tail) book(r *kgo.Record) (Book, bool) {
	if r.Attrs.IsControl() || string(r.Key) != bookKey {
		return Book{}, false
	}
	if r.Value == nil {
		return Book{}, true
	}
	b, err := decode(r.Value)
	if err != nil {
		t.log.Error("a rule book was skipped; the rules stay as they are", "offset", r.Offset, "error", err)
		return Book{}, false
	}
	return b, true
}
