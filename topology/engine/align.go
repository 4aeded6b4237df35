package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/topology/event"
)

// alignPatience is how long a source that should have records may bring none before the others stop waiting for it.
const alignPatience = 2 * time.Second

// align keeps the source topics of a partition close to each other in event time while they are read from a backlog: a source that is
// ahead of the slowest by more than a fetch brings is paused. An order's events are then met in one transaction, its row is
// written once, and the watermark, which is the slowest source's, stays near what is processed.
func (g *generation) align(now time.Time) {
	if !g.backlog() && len(g.paused) == 0 {
		return
	}
	pause, resume := map[string][]int32{}, map[string][]int32{}
	for _, p := range g.owned {
		limit := p.ahead(now)
		for i := range p.sources {
			s := &p.sources[i]
			if s.claim == nil {
				continue
			}
			_, isPaused := g.paused[s.claim.topicPartition]
			switch over := s.at > limit; {
			case over && !isPaused:
				g.paused[s.claim.topicPartition] = struct{}{}
				pause[s.name] = append(pause[s.name], p.num)
			case !over && isPaused:
				delete(g.paused, s.claim.topicPartition)
				resume[s.name] = append(resume[s.name], p.num)
			}
		}
	}
	if len(pause) > 0 {
		g.s.client().PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		g.s.client().ResumeFetchPartitions(resume)
	}
}

// ahead is the event time beyond which a source of the partition waits for the slowest one.
func (p *Partition) ahead(now time.Time) event.UnixMilli {
	least, slack, waiting := event.UnixMilli(noDeadline), event.UnixMilli(0), 0
	for i := range p.sources {
		s := &p.sources[i]
		if s.claim == nil {
			continue
		}
		if s.alignedAt != 0 && s.at > s.alignedAt {
			s.advance = s.at - s.alignedAt
		}
		s.alignedAt = s.at
		slack = max(slack, s.advance)
		if s.claim.caughtUp() || now.Sub(s.claim.lastAt) > alignPatience {
			continue
		}
		waiting++
		least = min(least, s.at)
	}
	if waiting == 0 || slack == 0 {
		return noDeadline
	}
	return least + slack
}

// unpause lets every partition be fetched: pauses belong to the client and would outlive the generation.
func (g *generation) unpause() {
	if len(g.paused) == 0 {
		return
	}
	all := map[string][]int32{}
	for tp := range g.paused {
		all[tp.topic] = append(all[tp.topic], tp.partition)
	}
	clear(g.paused)
	g.s.client().ResumeFetchPartitions(all)
}

// learnPositions asks where each claim stands and ends, so that lag and idleness are right before the first record.
func (g *generation) learnPositions(ctx context.Context) error {
	var topics []string
	for topic := range g.topics {
		topics = append(topics, topic)
	}
	if len(topics) == 0 {
		return nil
	}
	adm := kadm.NewClient(g.s.client())
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("asking for start offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("asking for end offsets: %w", err)
	}
	committed, err := adm.FetchOffsets(ctx, g.rt.name)
	if err != nil {
		return fmt.Errorf("asking for committed offsets: %w", err)
	}
	for tp, c := range g.claims {
		if start, ok := starts.Lookup(tp.topic, tp.partition); ok {
			c.position = start.Offset
		}
		if at, ok := committed.Lookup(tp.topic, tp.partition); ok && at.At >= 0 {
			c.position = at.At
		}
		if end, ok := ends.Lookup(tp.topic, tp.partition); ok {
			c.end = end.Offset
		}
	}
	return nil
}
