package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// due says whether to commit now. A live stream commits every CommitInterval, and at once after a quiet spell; a backlog (more
// input is already buffered) commits in large transactions, because rows touched twice are then written once.
func (g *generation) due(now time.Time) bool {
	if !g.hasWork() {
		return false
	}
	if g.pending >= maxPendingRecords || g.dirtyBytes() >= maxDirtyBytes {
		return true
	}
	if held := g.rt.spec.Hooks.Held; held != nil && held() >= maxHeld {
		return true
	}
	return now.Sub(g.lastCommit) >= g.interval()
}

func (g *generation) interval() time.Duration {
	if g.backlog() {
		return g.rt.cfg.BacklogInterval
	}
	return g.rt.cfg.CommitInterval
}

func (g *generation) hasWork() bool {
	if g.pending > 0 {
		return true
	}
	now := time.Now()
	for _, p := range g.owned {
		if p.changed() || p.markDue(now) {
			return true
		}
	}
	return false
}

func (g *generation) dirtyBytes() (n int) {
	for _, p := range g.owned {
		if p.store != nil {
			n += p.store.dirtyBytes
		}
	}
	return n
}

// flushDue lets partitions write settled rows beside the batches that follow.
func (g *generation) flushDue(now time.Time) error {
	for _, p := range g.owned {
		if p.store != nil {
			if err := p.store.flushDue(now, p.watermark); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish commits what a graceful stop finds at the barrier.
func (g *generation) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	if ok, err := g.commit(ctx); err != nil || !ok {
		g.drop()
		return err
	}
	return g.flushAll()
}

// rollback drops everything since the last commit.
func (g *generation) rollback(cause error) error {
	g.drop()
	g.rt.stats.aborts.Inc()
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	if err := g.s.abort(ctx); err != nil {
		return errors.Join(cause, fmt.Errorf("aborting the transaction: %w", err))
	}
	return errors.Join(cause, g.flushAll())
}

func (g *generation) drop() {
	for _, p := range g.owned {
		p.rollback()
	}
	if g.rt.spec.Hooks.Rollback != nil {
		g.rt.spec.Hooks.Rollback()
	}
	g.pending = 0
}

// flushAll writes all committed rows to LevelDB.
func (g *generation) flushAll() error {
	var errs []error
	for _, p := range g.owned {
		if p.store != nil {
			errs = append(errs, p.store.flushAll())
		}
	}
	return errors.Join(errs...)
}

// commit ends the transaction: hooks, changelog, marks, offsets; then the rows become LevelDB's.
func (g *generation) commit(ctx context.Context) (bool, error) {
	started := time.Now()
	tx := &Tx{g: g}
	if g.rt.spec.Hooks.BeforeCommit != nil {
		if err := g.rt.spec.Hooks.BeforeCommit(tx); err != nil {
			return false, err
		}
	}
	for _, p := range g.owned {
		if err := p.writeMarks(); err != nil {
			return false, err
		}
		if p.store != nil {
			p.store.produceChangelog(g.s)
		}
	}
	if err := g.sendMarks(tx, started); err != nil { // the store knows now which deadlines the rows have
		return false, err
	}
	ok, err := g.s.commit(ctx)
	if err != nil || !ok {
		return false, err
	}
	for _, p := range g.owned {
		if p.store != nil {
			p.store.committed(started, p.watermark)
		}
		p.committed()
	}
	g.rt.stats.commits.Inc()
	g.rt.stats.commitSeconds.Observe(time.Since(started).Seconds())
	g.rt.stats.committed.Add(float64(g.pending))
	g.pending = 0
	g.lastCommit = time.Now()
	return true, nil
}
