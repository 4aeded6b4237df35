package rulebook

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// contents are the newest records of the topic.
type contents struct {
	keys map[string]bool
	raw  map[string][]byte
}

// contents reads the topic to its end: the names of all keys, and the values of those that keep tells.
func (s *Store) contents(ctx context.Context, keep func(key string) bool) (*contents, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	cl, err := s.reader()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	c := &contents{keys: map[string]bool{}, raw: map[string][]byte{}}
	err = s.scan(ctx, cl, func(r *kgo.Record) { c.take(string(r.Key), r.Value, keep) })
	return c, err
}

// scan gives what the topic holds now, up to what is committed.
func (s *Store) scan(ctx context.Context, cl *kgo.Client, each func(*kgo.Record)) error {
	end, err := s.end(ctx, cl)
	for at, silent := int64(0), 0; err == nil && at < end; {
		poll, stop := context.WithTimeout(ctx, quiet)
		fetches := cl.PollFetches(poll)
		stop()
		if ctx.Err() != nil {
			return s.diagnose(fmt.Errorf("the rule book was not read within %v: %w", readWithin, ctx.Err()))
		}
		silent++
		for r := range fetches.RecordsAll() {
			silent, at = 0, r.Offset+1
			if !r.Attrs.IsControl() {
				each(r)
			}
		}
		if silent > 1 { // the end may be compacted away: a cluster that answers, and still has nothing to give, has no more
			_, err = s.end(ctx, cl)
			return err
		}
	}
	return err
}

func (c *contents) take(key string, value []byte, keep func(string) bool) {
	switch _, isRevision := revisionOf(key); {
	case key != bookKey && !isRevision:
	case value == nil:
		delete(c.keys, key)
		delete(c.raw, key)
	default:
		c.keys[key] = true
		if keep(key) {
			c.raw[key] = value
		}
	}
}

// end is the offset up to which everything is committed; 0 if there is nothing to read.
func (s *Store) end(ctx context.Context, cl *kgo.Client) (int64, error) {
	adm := kadm.NewClient(cl)
	ends, err := adm.ListCommittedOffsets(ctx, s.Topic)
	if err == nil {
		err = ends.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return 0, ErrMissing
	}
	if err != nil {
		return 0, s.diagnose(err)
	}
	starts, err := adm.ListStartOffsets(ctx, s.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, s.diagnose(err)
	}
	end, ok := ends.Lookup(s.Topic, bookPartition)
	if !ok {
		return 0, ErrMissing
	}
	if start, ok := starts.Lookup(s.Topic, bookPartition); ok && start.Offset >= end.Offset {
		return 0, nil
	}
	return end.Offset, nil
}

func (s *Store) reader() (*kgo.Client, error) {
	return s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Topic: {bookPartition: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchWait))
}
