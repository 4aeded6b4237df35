package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// pollsPerCommit bounds how often a live stream is polled between commits. Records become visible at commits only, so fetching each of
// them the moment it arrives would cost requests and wake-ups, and win nothing.
const pollsPerCommit = 5

// pollOnce waits for records at most until something else is due: a commit, timers, the watermark of idle sources.
func (g *generation) pollOnce() kgo.Fetches {
	if gap := time.Until(g.polledAt.Add(g.rt.cfg.CommitInterval / pollsPerCommit)); gap > 0 && g.polled > 0 && g.polled < maxPollRecords/20 && !g.backlog() {
		t := time.NewTimer(gap)
		select {
		case <-t.C:
		case <-g.live.Done():
			t.Stop()
		}
	}
	wait := 200 * time.Millisecond
	if g.hasWork() {
		wait = max(time.Until(g.lastCommit.Add(g.interval())), time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(g.live, wait)
	defer cancel()
	fetches := g.s.poll(ctx, g.pollLimit())
	g.polledAt = time.Now()
	return fetches
}

// pollLimit keeps one poll from holding far more than a transaction should: sparse events touch many rows each.
func (g *generation) pollLimit() int {
	held := g.rt.spec.Hooks.Held
	if held == nil || g.pending == 0 {
		return g.nextPoll(0)
	}
	return g.nextPoll(float64(held()) / float64(g.pending))
}

func (g *generation) nextPoll(heldPerRecord float64) int {
	if heldPerRecord > 0 {
		g.heldPerRecord = heldPerRecord
	}
	if g.heldPerRecord == 0 {
		return maxPollRecords
	}
	return max(1000, min(maxPollRecords, int(maxHeld/2/g.heldPerRecord)))
}

// backlog reports that more input is buffered already than a live stream brings.
func (g *generation) backlog() bool {
	cl := g.s.client()
	return cl.BufferedFetchRecords() > maxPollRecords/10 || cl.BufferedFetchBytes() > backlogBytes
}

// process hands the records to their claims and returns at the barrier: goka has marked each of them.
func (g *generation) process(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		g.rt.stats.fetchErrors.Inc()
		g.rt.log.Warn("fetching failed; trying again", "topic", e.Topic, "partition", e.Partition, "error", client.Diagnose(g.rt.cfg.Kafka, e.Err))
	}
	n, err := g.handOut(fetches)
	g.polled = n
	if err != nil {
		return err
	}
	if n > 0 {
		select {
		case <-g.marked:
		case err := <-g.failed:
			return err
		}
		g.pending += n
		g.worked = true
		g.rt.stats.processed.Add(float64(n))
	}
	g.watermarks()
	g.align(time.Now())
	return nil
}

// handOut gives each claim what came for it, as one message, and returns how many records that are.
func (g *generation) handOut(fetches kgo.Fetches) (n int, err error) {
	type share struct {
		claim   *claim
		records []*kgo.Record
	}
	var shares []share
	now := time.Now()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 || err != nil {
			return
		}
		c := g.claims[topicPartition{f.Topic, f.Partition}]
		if c == nil {
			err = fmt.Errorf("records of %s/%d arrived without an assignment", f.Topic, f.Partition)
			return
		}
		last := f.Records[len(f.Records)-1]
		c.end, c.position, c.lastAt, c.recordAt = f.HighWatermark, last.Offset+1, now, last.Timestamp
		records := slices.DeleteFunc(f.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
		if len(records) == 0 {
			return
		}
		if g.rt.spec.CheckKeys {
			for _, r := range records {
				g.rt.checkPartition(r, f, g.partitions)
			}
		}
		shares = append(shares, share{c, records})
		n += len(records)
	})
	if err != nil {
		return n, err
	}
	g.left.Store(int64(len(shares)))
	for _, s := range shares {
		g.owned[s.claim.partition].inputs[s.claim.topic].records = s.records
		select {
		case s.claim.records <- &sarama.ConsumerMessage{Topic: s.claim.topic, Partition: s.claim.partition, Offset: s.records[0].Offset, Timestamp: s.records[0].Timestamp}:
		case err := <-g.failed:
			return n, err
		}
	}
	return n, nil
}
