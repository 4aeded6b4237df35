package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Produced remembers what topics a transactional client has produced to, so that a commit can wait until the client knows it as well.
//
// The client sends the first records of a topic a moment before it keeps the topic's partitions. Ended within that moment, a
// transaction that moves no group's position finds no partition that took part: it is aborted, and the commit says that all is well
// (franz-go 1.22.2). A busy machine makes the moment long. The zero value is ready; all methods may be called by any goroutine.
type Produced struct {
	topics sync.Map // topic → bool: its partitions are kept
	fresh  atomic.Int32
}

// Add notes the topic of a record that is produced.
func (p *Produced) Add(topic string) {
	if _, ok := p.topics.Load(topic); ok {
		return
	}
	if _, had := p.topics.LoadOrStore(topic, false); !had {
		p.fresh.Add(1)
	}
}

// Wait returns once cl keeps the partitions of all topics that were noted. Call it after the records are acknowledged and before the
// transaction ends.
func (p *Produced) Wait(ctx context.Context, cl *kgo.Client) error {
	for p.fresh.Load() > 0 {
		p.topics.Range(func(topic, kept any) bool {
			leader, _, err := cl.PartitionLeader(topic.(string), 0)
			if isKept := leader >= 0 || err != nil; isKept && !kept.(bool) {
				p.topics.Store(topic, true)
				p.fresh.Add(-1)
			}
			return true
		})
		if p.fresh.Load() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
