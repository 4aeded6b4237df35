package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// An open transaction holds the readers of its partitions back. Its producer ends it, or Kafka does after the transaction timeout.
// Where Kafka itself has crashed, it can be that nobody ever does: its records stay, and readers wait behind them for ever. Only an
// administrator can tell whether to commit or to abort such a one, so weir says where it waits.
const (
	stuckFor    = time.Minute // longer than any transaction of weir's
	stuckRemedy = "if Kafka has crashed, a transaction may stand open there: `kafka-transactions.sh find-hanging` names it, `abort` ends it"
)

// ends is where the claims' partitions ended when that was asked. Of a partition whose records cannot be read no fetch says so.
type ends struct {
	asked time.Time
	at    kadm.ListedOffsets
}

// watchEnds asks once a minute, until ctx ends. What fails then fails for fetches too, which say so.
func (g *generation) watchEnds(ctx context.Context) {
	t := time.NewTicker(stuckFor)
	defer t.Stop()
	topics := slices.Collect(maps.Keys(g.topics))
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if at, err := kadm.NewClient(g.s.client()).ListEndOffsets(ctx, topics...); err == nil {
				g.ends.Store(&ends{now, at})
			}
		}
	}
}

// fetchWithin is how long a record that is there may take until it comes.
const fetchWithin = 10 * time.Second

// waits tells up to where records wait that should have come.
func (e *ends) waits(c *claim, now time.Time) (to int64, waits bool) {
	to = c.end
	if e != nil && now.Sub(e.asked) >= fetchWithin {
		if o, ok := e.at.Lookup(c.topic, c.partition); ok && o.Err == nil {
			to = max(to, o.Offset)
		}
	}
	return to, c.position >= 0 && c.position < to
}

// warnOfStuck tells which partitions have not got on for long though records wait, once a minute.
func (g *generation) warnOfStuck(now time.Time) {
	known := g.ends.Load()
	for tp, c := range g.claims {
		if _, paused := g.paused[tp]; paused || now.Sub(c.lastAt) < stuckFor || now.Sub(c.warnedAt) < stuckFor {
			continue
		}
		to, waits := known.waits(c, now)
		if !waits {
			continue
		}
		c.warnedAt = now
		g.rt.log.Warn("records wait and cannot be read", "topic", c.topic, "partition", c.partition, "from", c.position, "to", to,
			"since", c.lastAt, "remedy", stuckRemedy)
	}
}

// warnOfSlowRecovery tells that tables are still being restored, once a minute, until done is closed.
func (g *generation) warnOfSlowRecovery(started time.Time, done <-chan struct{}) {
	t := time.NewTicker(stuckFor)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			g.rt.log.Warn("the tables are not restored yet: records wait until they are", "for", time.Since(started).Round(time.Second),
				"remedy", "large tables take long; "+stuckRemedy)
		}
	}
}
