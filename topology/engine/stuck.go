package engine

import "time"

// An open transaction holds the readers of its partitions back. Its producer ends it, or Kafka does after the transaction timeout.
// Where Kafka itself has crashed, it can be that nobody ever does: its records stay, and readers wait behind them for ever. Only an
// administrator can tell whether to commit or to abort such a one, so weir says where it waits.
const (
	stuckFor    = time.Minute // longer than any transaction of weir's
	stuckRemedy = "if Kafka has crashed, a transaction may stand open there: `kafka-transactions.sh find-hanging` names it, `abort` ends it"
)

// stuck reports that records have waited for long though the broker answers.
func (c *claim) stuck(now time.Time) bool {
	return !c.caughtUp() && now.Sub(c.lastAt) >= stuckFor && now.Sub(c.warnedAt) >= stuckFor
}

// warnOfStuck tells which partitions do not get on, once a minute.
func (g *generation) warnOfStuck(now time.Time) {
	for tp, c := range g.claims {
		if _, paused := g.paused[tp]; paused || !c.stuck(now) {
			continue
		}
		c.warnedAt = now
		g.rt.log.Warn("records wait and cannot be read", "topic", c.topic, "partition", c.partition, "from", c.position, "to", c.end,
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
