package rulebook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

const (
	bookKey       = "book"
	revisionKey   = "revision/"
	bookPartition = 0 // everything stands in one partition: the order of revisions is the order of the log
)

const (
	readWithin    = 30 * time.Second // a whole read of the topic
	writeWithin   = 45 * time.Second // a write with all its attempts
	writeAttempts = 12
	quiet         = 2 * time.Second // records before the end that are gone by compaction are not waited for longer than this
	fetchWait     = time.Second     // how long a broker holds an answer back for news
	transaction   = 20 * time.Second
)

// ErrMissing is that the topic does not exist.
var ErrMissing = errors.New("the topic of the rule book is missing; `weir topics --ensure` creates what weir needs")

// ConflictError refuses a write that was not made on top of the newest revision.
type ConflictError struct{ Newest, Had int64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("someone changed the rules meanwhile (revision %d, you had %d): look at `weir rules diff` and try again", e.Newest, e.Had)
}

// Store is the rule book on its topic.
type Store struct {
	Kafka client.Config
	Topic string           // with the installation's prefix
	Now   func() time.Time // nil: time.Now
}

// Read returns the newest book; the zero Book if the topic is empty.
func (s *Store) Read(ctx context.Context) (Book, error) {
	c, err := s.contents(ctx, func(key string) bool { return key == bookKey })
	if err != nil || c.raw[bookKey] == nil {
		return Book{}, err
	}
	return decode(c.raw[bookKey])
}

// History returns the newest book and the earlier ones that are kept, newest first.
func (s *Store) History(ctx context.Context) ([]Book, error) {
	c, err := s.contents(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	var books []Book
	for _, value := range c.raw {
		b, err := decode(value)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	slices.SortFunc(books, func(a, b Book) int { return cmp.Compare(b.Revision, a.Revision) })
	return books, nil
}

// Change is what a write does.
type Change struct {
	On      int64    // the revision that the change was made on
	Base    Document // what is in force while there is no book; only for a change on revision 0
	Next    Document // versions, authors and times in it do not count: they follow from what was before
	Author  string
	Comment string
}

// Write puts a document in force as the next revision. It gives a *ConflictError if the change was not made on the newest book. Only
// one writer at a time gets through: opening a producer with the book's transactional id shuts out all earlier ones.
func (s *Store) Write(ctx context.Context, c Change) (Book, error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	var written []byte
	var err error
	for attempt := range writeAttempts {
		if attempt > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(attempt) * (20 + rand.N(80*time.Millisecond))):
			}
		}
		var b Book
		if b, written, err = s.attempt(ctx, c, written); err == nil || !isUndecided(err) || ctx.Err() != nil {
			return b, s.diagnose(err)
		}
	}
	return Book{}, fmt.Errorf("the rules could not be written, because others keep writing them: %w; try again", s.diagnose(err))
}

// undecidedError is that a write may or may not have happened: the next attempt sees which.
type undecidedError struct{ error }

func (u undecidedError) Unwrap() error { return u.error }

func isUndecided(err error) bool {
	var u undecidedError
	return errors.As(err, &u)
}

// attempt writes once. written is the record of the attempt before, nil for the first.
func (s *Store) attempt(ctx context.Context, c Change, written []byte) (Book, []byte, error) {
	// Whoever is late is told so before they shut out others. Here it shows as well that the topic is there: a write would make it,
	// with a cluster's defaults.
	if _, before, done, err := s.ground(ctx, c, written); err != nil || done {
		return before, written, err
	}
	cl, err := s.client(kgo.TransactionalID(s.Topic+"-writer"), kgo.TransactionTimeout(transaction), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(transaction))
	if err != nil {
		return Book{}, written, err
	}
	defer cl.Close()
	// From here on every earlier writer is shut out, and what it left open is decided.
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return Book{}, written, undecidedError{err}
	}
	have, before, done, err := s.ground(ctx, c, written)
	if err != nil || done {
		return before, written, err
	}
	next := s.following(before, c)
	records, err := s.records(next, have)
	if err != nil {
		return Book{}, written, err
	}
	written = records[0].Value
	if err := cl.BeginTransaction(); err != nil {
		return Book{}, written, undecidedError{err}
	}
	var produced client.Produced
	produced.Add(s.Topic)
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return Book{}, written, s.abort(cl, err)
	}
	if err := produced.Wait(ctx, cl); err != nil {
		return Book{}, written, s.abort(cl, err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return Book{}, written, undecidedError{err}
	}
	return next, written, nil
}

// ground is what a change is made on. done tells that an attempt before has written it after all: before is then that book.
func (s *Store) ground(ctx context.Context, c Change, written []byte) (have *contents, before Book, done bool, err error) {
	mine := revisionKey + strconv.FormatInt(c.On+1, 10)
	if have, err = s.contents(ctx, func(key string) bool { return key == bookKey || key == mine }); err != nil {
		return nil, Book{}, false, err
	}
	for _, raw := range have.raw {
		if written != nil && bytes.Equal(raw, written) {
			before, err = decode(raw)
			return have, before, true, err
		}
	}
	before.Document = c.Base
	if raw := have.raw[bookKey]; raw != nil {
		if before, err = decode(raw); err != nil {
			return nil, Book{}, false, err
		}
	}
	if before.Revision != c.On {
		return nil, Book{}, false, &ConflictError{Newest: before.Revision, Had: c.On}
	}
	return have, before, false, nil
}

// abort gives up an open transaction. Where that fails, the next writer does it, or the transaction's timeout.
func (s *Store) abort(cl *kgo.Client, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := cl.EndTransaction(ctx, kgo.TryAbort)
	if errors.Is(cause, kerr.MessageTooLarge) {
		return fmt.Errorf("the cluster refuses a record of this size: %w; raise max.message.bytes of topic %s to 1048588, or shorten the rules", cause, s.Topic)
	}
	if err != nil {
		cause = fmt.Errorf("%w (and the transaction could not be given up: %w)", cause, err)
	}
	return undecidedError{cause}
}

func (s *Store) following(before Book, c Change) Book {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	b := Book{Revision: before.Revision + 1, At: now().UTC().Truncate(time.Millisecond), Author: c.Author, Comment: c.Comment}
	b.Document = Succeed(before.Document, c.Next, c.Author, b.At)
	return b
}

// records are those of one write: the book, the one before it under its number, and the end of those that are too old.
func (s *Store) records(b Book, have *contents) ([]*kgo.Record, error) {
	value, err := b.encode()
	if err != nil {
		return nil, err
	}
	record := func(key string, value []byte) *kgo.Record {
		return &kgo.Record{Topic: s.Topic, Partition: bookPartition, Key: []byte(key), Value: value}
	}
	all := []*kgo.Record{record(bookKey, value)}
	if earlier := have.raw[bookKey]; earlier != nil {
		all = append(all, record(revisionKey+strconv.FormatInt(b.Revision-1, 10), earlier))
	}
	for key := range have.keys {
		if n, ok := revisionOf(key); ok && n < b.Revision-Kept {
			all = append(all, record(key, nil))
		}
	}
	return all, nil
}

func revisionOf(key string) (int64, bool) {
	text, ok := strings.CutPrefix(key, revisionKey)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func (s *Store) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := s.Kafka.With(more...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// diagnose tells cause and remedy of a failed connection, and leaves other errors as they are.
func (s *Store) diagnose(err error) error {
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return conflict
	}
	return client.Diagnose(s.Kafka, err)
}
