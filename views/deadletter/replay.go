package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
	"weir/topology/event"
)

// MaxReplay bounds the letters of one request.
const MaxReplay = 1000

// Order is a request to replay letters: those of IDs, or, without any, those of the filter that have not been replayed, oldest first.
type Order struct {
	IDs    []ID
	Filter Filter
	Limit  int // 1 to MaxReplay, of the filter
	Author string
	Force  bool // also what would be refused again, and what has been replayed already
}

// ReplayOutcome is what became of one letter.
type ReplayOutcome struct {
	ID     string    `json:"id"`
	Status string    `json:"status" enum:"replayed,refused,already,gone,failed" doc:"replayed: it stands on its source topic again; refused: why says so; already: it was replayed before; gone: it is not on the topic any more; failed: Kafka did not take it"`
	Why    string    `json:"why,omitempty"`
	Force  bool      `json:"force,omitempty" doc:"of refused and already: force would replay it"`
	Place  *Position `json:"place" doc:"where the record stands now"`
}

// The statuses of an outcome.
const (
	StatusReplayed = "replayed"
	StatusRefused  = "refused"
	StatusAlready  = "already"
	StatusGone     = "gone"
	StatusFailed   = "failed"
)

// Report is what became of all letters.
type Report struct {
	Outcomes []ReplayOutcome // in the order of the ids, or oldest first
	Counts   map[string]int  // by status
	Left     int             // letters of the filter beyond the limit
}

// ErrBusy is that another replay is being done by this server.
var ErrBusy = errors.New("another replay is under way here; try again when it has ended")

const (
	replayWithin = 30 * time.Second
	produceBytes = 16 << 20
)

// Replay writes letters back to where they came from: the same key and value into the same partition, so that a record meets its order
// again whichever partitioner its producer has. Each is acknowledged by all replicas before its note is written: after a crash between
// the two the letter looks as if it had not been replayed, and replaying it again changes nothing, since its event's id is known.
func (r *Reader) Replay(ctx context.Context, o *Order) (*Report, error) {
	select {
	case r.replaying <- struct{}{}:
		defer func() { <-r.replaying }()
	default:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayWithin) // a client that goes away leaves nothing half done
	defer cancel()
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	w := &writing{reader: r, order: o, outcomes: map[ID]*ReplayOutcome{}}
	report := &Report{Counts: map[string]int{}}
	chosen := w.choose(report)
	opts, err := r.cfg.Kafka.With(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.MaxBufferedBytes(produceBytes), kgo.ProducerBatchMaxBytes(1_000_012))
	if err != nil {
		return nil, err
	}
	if w.cl, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	defer w.cl.Close()
	var pending []ID
	for _, id := range chosen {
		if w.outcomes[id].Status == StatusGone {
			pending = append(pending, id)
		}
	}
	err = r.pick(ctx, pending, func(rec *kgo.Record) error { return w.take(ctx, rec) })
	if flushErr := w.cl.Flush(ctx); err == nil {
		err = flushErr
	}
	if err != nil && len(pending) > 0 {
		w.fail(pending, client.Diagnose(r.cfg.Kafka, err))
	}
	r.mu.Lock()
	r.outdated = true
	r.mu.Unlock()
	for _, id := range chosen {
		out := w.outcomes[id]
		report.Outcomes = append(report.Outcomes, *out)
		report.Counts[out.Status]++
	}
	r.cfg.Logger.Info("dead letters were replayed", "author", o.Author, "force", o.Force, "replayed", report.Counts[StatusReplayed], "refused", report.Counts[StatusRefused])
	return report, nil
}

// writing is one replay under way.
type writing struct {
	reader *Reader
	order  *Order
	cl     *kgo.Client

	mu       sync.Mutex
	outcomes map[ID]*ReplayOutcome // gone until it is found
}

// choose tells which letters are meant, and settles those that were replayed before.
func (w *writing) choose(report *Report) []ID {
	r := w.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := w.order.IDs
	if len(ids) == 0 {
		f := w.order.Filter
		f.Replayed = "exclude"
		var letters []*Letter
		letters, report.Left = r.index.choose(&f, w.order.Limit)
		for _, l := range letters {
			ids = append(ids, l.id)
		}
	}
	var chosen []ID
	for _, id := range ids {
		if w.outcomes[id] != nil {
			continue
		}
		out := &ReplayOutcome{ID: id.String(), Status: StatusGone, Why: ErrNotThere.Error()}
		if l := r.index.byID[id]; l != nil && l.Replayed != nil && !w.order.Force {
			*out = ReplayOutcome{ID: out.ID, Status: StatusAlready, Force: true, Place: &l.Replayed.Place,
				Why: fmt.Sprintf("%s replayed it at %s", l.Replayed.Author, l.Replayed.At.Format(time.RFC3339))}
		}
		w.outcomes[id] = out
		chosen = append(chosen, id)
	}
	return chosen
}

// take decides on a letter that was read, and writes it.
func (w *writing) take(ctx context.Context, rec *kgo.Record) error {
	id := ID{rec.Partition, rec.Offset}
	l, _ := decode(rec, listedValue)
	if l == nil {
		return nil // a note, or a stranger's record: no letter
	}
	if v := judge(l, w.reader.cfg.Sources, rec.Key, rec.Value); !v.Can && !(v.Force && w.order.Force) {
		w.settle(id, ReplayOutcome{Status: StatusRefused, Why: v.Why, Force: v.Force})
		return nil
	}
	w.cl.Produce(ctx, original(rec, l), func(back *kgo.Record, err error) {
		if err != nil {
			w.settle(id, ReplayOutcome{Status: StatusFailed, Why: client.Diagnose(w.reader.cfg.Kafka, err).Error()})
			return
		}
		place := Position{back.Topic, back.Partition, back.Offset}
		w.settle(id, ReplayOutcome{Status: StatusReplayed, Place: &place})
		w.cl.TryProduce(ctx, noteOf(rec, id, place, w.order.Author), func(_ *kgo.Record, err error) {
			if err != nil {
				w.reader.cfg.Logger.Warn("a replay could not be noted: the letter looks as if it had not been replayed", "letter", id, "error", err)
			}
		})
	})
	return ctx.Err()
}

func (w *writing) settle(id ID, out ReplayOutcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out.ID = id.String()
	w.outcomes[id] = &out
}

// fail tells of what was not come to, and why.
func (w *writing) fail(ids []ID, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if w.outcomes[id].Status == StatusGone {
			w.outcomes[id] = &ReplayOutcome{ID: id.String(), Status: StatusFailed, Why: err.Error()}
		}
	}
}

// original is the record as it came, marked as a replay.
func original(rec *kgo.Record, l *Letter) *kgo.Record {
	out := &kgo.Record{Topic: l.Place.Topic, Partition: l.Place.Partition, Key: slices.Clone(rec.Key), Value: slices.Clone(rec.Value)}
	for _, h := range rec.Headers {
		if !isOwn(h.Key) {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: slices.Clone(h.Value)})
		}
	}
	out.Headers = append(out.Headers, kgo.RecordHeader{Key: HeaderReplay, Value: []byte(l.ID)},
		kgo.RecordHeader{Key: HeaderReplays, Value: strconv.AppendInt(nil, int64(l.Replays)+1, 10)})
	return out
}

// noteOf is the note beside a letter.
func noteOf(rec *kgo.Record, id ID, place Position, author string) *kgo.Record {
	header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
	return &kgo.Record{Topic: rec.Topic, Partition: rec.Partition, Key: slices.Clone(rec.Key), Headers: []kgo.RecordHeader{
		header(HeaderLetter, id.String()), header(HeaderAuthor, author), header(event.HeaderTopic, place.Topic),
		header(event.HeaderPartition, strconv.Itoa(int(place.Partition))), header(event.HeaderOffset, strconv.FormatInt(place.Offset, 10))}}
}
