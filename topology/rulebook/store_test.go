package rulebook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/broker"
	"weir/topology/broker/kafkatest"
	"weir/topology/client"
)

func embedded(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := broker.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// book is a store on a broker of its own, with its topic.
func book(t *testing.T) *Store {
	t.Helper()
	b := embedded(t, broker.Config{DataDir: t.TempDir()})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Store{Kafka: client.Config{Brokers: []string{b.Addr()}}, Topic: "weir-rules"}
	s.create(t)
	return s
}

func (s *Store) create(t *testing.T) {
	t.Helper()
	cl, err := s.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	spec := client.TopicSpec{Name: s.Topic, Partitions: 3, Replication: 1, Cleanup: client.Compact}
	if err := client.EnsureTopics(t.Context(), kadm.NewClient(cl), []client.TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) mustRead(t *testing.T) Book {
	t.Helper()
	b, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *Store) mustWrite(t *testing.T, c Change) Book {
	t.Helper()
	b, err := s.Write(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func with(d Document, ids ...string) Document {
	d.Rules = slices.Clone(d.Rules)
	for _, id := range ids {
		d.Rules = append(d.Rules, Rule{ID: id, YAML: "when: amount > 1", State: "live", Hash: 1})
	}
	return d
}

// follower keeps what a tail tells.
type follower struct {
	news chan Book
	end  func()
}

func follow(t *testing.T, s *Store) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{news: make(chan Book, 1000)}
	ended := make(chan error, 1)
	go func() {
		ended <- s.Tail(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)), func(b Book) { f.news <- b })
	}()
	f.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(f.end)
	return f
}

func (f *follower) next(t *testing.T) Book {
	t.Helper()
	select {
	case b := <-f.news:
		return b
	case <-time.After(time.Minute):
		t.Fatal("the tail tells nothing")
	}
	return Book{}
}

// Everyone adds rules of their own, each on top of what they have read; whoever is refused looks again.
func writeAtOnce(t *testing.T, s *Store, writers, each int) {
	t.Helper()
	f := follow(t, s)
	if b := f.next(t); b.Revision != 0 || len(b.Document.Rules) != 0 {
		t.Fatalf("an empty topic is told as %+v", b)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	revisions := map[int64]string{}
	refused := 0
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				id := fmt.Sprintf("rule-%d-%d", w, n)
				for {
					had, err := s.Read(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					b, err := s.Write(t.Context(), Change{On: had.Revision, Next: with(had.Document, id), Author: fmt.Sprint(w)})
					var conflict *ConflictError
					mu.Lock()
					switch {
					case err == nil && revisions[b.Revision] != "":
						t.Errorf("revision %d was given twice: %s and %s", b.Revision, revisions[b.Revision], id)
					case err == nil:
						revisions[b.Revision] = id
					case errors.As(err, &conflict) && conflict.Had == had.Revision && conflict.Newest > had.Revision:
						refused++
					case !isUndecided(err):
						t.Error(err)
					}
					mu.Unlock()
					if err == nil {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	total := int64(writers * each)
	last := s.mustRead(t)
	if last.Revision != total || len(last.Document.Rules) != int(total) {
		t.Errorf("%d writes made revision %d with %d rules", total, last.Revision, len(last.Document.Rules))
	}
	for n := int64(1); n <= total; n++ {
		b := f.next(t)
		if _, ok := b.Document.Rule(revisions[n]); b.Revision != n || !ok || int64(len(b.Document.Rules)) != n {
			t.Fatalf("the tail tells revision %d with %d rules where %d is next", b.Revision, len(b.Document.Rules), n)
		}
	}
	history, err := s.History(t.Context())
	if err != nil || int64(len(history)) != total {
		t.Fatalf("%d revisions (%v), want %d", len(history), err, total)
	}
	for i, b := range history {
		if b.Revision != total-int64(i) || int64(len(b.Document.Rules)) != b.Revision {
			t.Errorf("history[%d] is revision %d with %d rules", i, b.Revision, len(b.Document.Rules))
		}
	}
	t.Logf("%d writes, %d refused", total, refused)
}

func TestWritersAtOnceLoseNothing(t *testing.T) { writeAtOnce(t, book(t), 10, 2) }

func TestWritersAtOnceLoseNothingOnApacheKafka(t *testing.T) {
	s := &Store{Kafka: client.Config{Brokers: []string{kafkatest.Start(t)}}, Topic: kafkatest.Unique("weir-rules")}
	s.create(t)
	writeAtOnce(t, s, 4, 2)
}

func TestAWriteOnAnOldRevisionIsRefused(t *testing.T) {
	s := book(t)
	first := s.mustWrite(t, Change{Next: with(Document{}, "a"), Author: "ann"})
	s.mustWrite(t, Change{On: first.Revision, Next: with(first.Document, "b"), Author: "ben"})
	_, err := s.Write(t.Context(), Change{On: first.Revision, Next: with(first.Document, "c"), Author: "cem"})
	want := "someone changed the rules meanwhile (revision 2, you had 1): look at `weir rules diff` and try again"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if b := s.mustRead(t); b.Revision != 2 || b.Author != "ben" {
		t.Errorf("%+v", b)
	}
}

// A writer that dies between its records and its commit has written nothing, and holds nobody up.
func TestAWriterThatDiedLeavesNothing(t *testing.T) {
	s := book(t)
	f := follow(t, s)
	f.next(t)
	s.mustWrite(t, Change{Next: with(Document{}, "a"), Author: "ann"})
	dying, err := s.client(kgo.TransactionalID(s.Topic+"-writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer dying.Close()
	if err := dying.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	ghost := Book{Revision: 2, Author: "ghost"}
	value, err := ghost.encode()
	if err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Topic: s.Topic, Partition: bookPartition, Key: []byte(bookKey), Value: value}
	if err := dying.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if b := s.mustRead(t); b.Author != "ann" {
		t.Errorf("what is not committed is read: %+v", b)
	}
	s.mustWrite(t, Change{On: 1, Next: with(Document{}, "a", "b"), Author: "ben"})
	if err := dying.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("a writer that was shut out commits")
	}
	for _, author := range []string{"ann", "ben"} {
		if b := f.next(t); b.Author != author {
			t.Errorf("the tail tells a book of %s, want %s", b.Author, author)
		}
	}
}

func TestTheNewestHundredEarlierRevisionsAreKept(t *testing.T) {
	s := book(t)
	var b Book
	for n := range int64(Kept + 4) {
		b = s.mustWrite(t, Change{On: b.Revision, Next: with(Document{}, fmt.Sprint("r", n)), Author: "ann"})
		if b.Revision != n+1 {
			t.Fatalf("revision %d, want %d", b.Revision, n+1)
		}
	}
	history, err := s.History(t.Context())
	if err != nil || len(history) != Kept+1 || history[0].Revision != Kept+4 || history[Kept].Revision != 4 {
		t.Fatalf("%d revisions (%v)", len(history), err)
	}
}

func TestTheLargestBookIsWrittenAndRead(t *testing.T) {
	s := book(t)
	var d Document
	for n := range MaxRules {
		d.Rules = append(d.Rules, Rule{ID: fmt.Sprint("r", n), YAML: strings.Repeat(fmt.Sprintf("%x", n*n*7919), 1450)[:1450], State: "live"})
	}
	for n := range int64(2) { // the second one has the first beside it
		s.mustWrite(t, Change{On: n, Next: d, Author: "ann"})
		d.Rules[0].State = "paused"
	}
	if b := s.mustRead(t); len(b.Document.Rules) != MaxRules || b.Document.Rules[0].State != "paused" {
		t.Errorf("revision %d with %d rules", b.Revision, len(b.Document.Rules))
	}
	if history, err := s.History(t.Context()); err != nil || len(history) != 2 {
		t.Errorf("%d revisions: %v", len(history), err)
	}
}

func TestAMissingTopicIsNotMadeByAccident(t *testing.T) {
	s := book(t)
	s.Topic = "other-rules"
	if _, err := s.Read(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
	if _, err := s.Write(t.Context(), Change{Next: with(Document{}, "a")}); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
	f := follow(t, s)
	if b := f.next(t); b.Revision != 0 {
		t.Errorf("%+v", b)
	}
	s.create(t)
	s.mustWrite(t, Change{Next: with(Document{}, "a"), Author: "ann"})
	if b := f.next(t); b.Revision != 1 {
		t.Errorf("a topic that was made later is told as %+v", b)
	}
}

func TestATailGoesOnOverARestartOfTheBroker(t *testing.T) {
	cfg := broker.Config{DataDir: t.TempDir()}
	b := embedded(t, cfg)
	cfg.Listen = b.Addr()
	s := &Store{Kafka: client.Config{Brokers: []string{b.Addr()}}, Topic: "weir-rules"}
	s.create(t)
	f := follow(t, s)
	f.next(t)
	first := s.mustWrite(t, Change{Next: with(Document{}, "a"), Author: "ann"})
	if b := f.next(t); b.Revision != 1 {
		t.Fatalf("%+v", b)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = embedded(t, cfg)
	defer b.Close()
	s.mustWrite(t, Change{On: first.Revision, Next: with(first.Document, "b"), Author: "ben"})
	if b := f.next(t); b.Revision != 2 || b.Author != "ben" {
		t.Errorf("after the restart: %+v", b)
	}
	f.end()
}
