package pipeline

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"weir/cmd/weir/internal/backtest"
	"weir/configs"
	"weir/processors/rule"
	"weir/views/api"
)

var _ api.Backtests = (*Backtests)(nil)

// Bounds of what backtests may take of a view server.
const (
	maxBacktests      = 2 // at once
	maxBacktestEvents = 5_000_000
	maxBacktestTime   = 15 * time.Minute
	maxBacktestAlerts = 200
	backtestMemory    = 128 << 20 // of rows, each
	keptBacktests     = 20
	keptBacktestFor   = time.Hour
)

// Backtests runs backtests over the cluster's topics, beside the view server. Close ends them.
type Backtests struct {
	cfg   *configs.Config
	rules *RuleFollower
	log   *slog.Logger
	ctx   context.Context
	end   context.CancelFunc
	done  sync.WaitGroup

	mu   sync.Mutex
	jobs []*backtestJob // oldest first
}

// backtestJob is one of them. Its fields are guarded by Backtests.mu.
type backtestJob struct {
	api.Backtest
	cancel context.CancelFunc
}

// NewBacktests runs none yet.
func NewBacktests(cfg *configs.Config, rules *RuleFollower, log *slog.Logger) *Backtests {
	b := &Backtests{cfg: cfg, rules: rules, log: log}
	b.ctx, b.end = context.WithCancel(context.Background())
	return b
}

// Close cancels what runs and waits for it.
func (b *Backtests) Close() {
	b.mu.Lock()
	b.end() // none starts any more
	b.mu.Unlock()
	b.done.Wait()
}

// Start implements api.Backtests.
func (b *Backtests) Start(_ context.Context, r api.BacktestRequest) (api.Backtest, error) {
	o, err := BacktestOptions(b.cfg)
	if err != nil {
		return api.Backtest{}, err
	}
	o.MaxEvents, o.MaxTime, o.MaxAlerts, o.MemoryBytes, o.TempDir = maxBacktestEvents, maxBacktestTime, maxBacktestAlerts, backtestMemory, b.cfg.DataDir
	if r.From != nil {
		o.From = *r.From
	}
	if r.To != nil {
		o.To = *r.To
	}
	book := b.rules.InForce()
	current, err := b.rules.DocumentOf(book)
	if err != nil {
		return api.Backtest{}, err
	}
	if err := compileRequest(&o, current, r); err != nil {
		return api.Backtest{}, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	job := &backtestJob{cancel: cancel}
	job.ID, job.State, job.Started, job.Revision = rand.Text(), "running", time.Now().UTC(), book.Revision
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running() >= maxBacktests || b.ctx.Err() != nil {
		cancel()
		return api.Backtest{}, api.ErrBusy
	}
	b.forget()
	b.jobs = append(b.jobs, job)
	b.done.Go(func() { b.run(ctx, job, o) })
	return job.Backtest, nil
}

// compileRequest makes the rules that a request is about.
func compileRequest(o *backtest.Options, current *rule.Document, r api.BacktestRequest) (err error) {
	w := written{name: "document"}
	tried, over := current, current
	if r.YAML != "" {
		if over, err = rule.Parse(w.name, []byte(r.YAML)); err != nil {
			return w.refused(err)
		}
		tried = current.Merge(over)
	}
	if r.ID != "" {
		if over, err = Only(current, r.ID); err != nil {
			return api.ErrNoRule
		}
		tried = current.Merge(over)
	}
	over = Tried(over, true)
	if r.Against == "" {
		alone := *tried
		alone.Rules = over.Rules
		tried = &alone
	} else {
		tried = tried.Merge(&rule.Document{Name: w.name, Rules: over.Rules})
		if o.Against, err = rule.Compile(current); err != nil {
			return w.refused(err)
		}
	}
	o.Set, err = rule.Compile(tried)
	return w.refused(err)
}

// run plays a job's events.
func (b *Backtests) run(ctx context.Context, job *backtestJob, o backtest.Options) {
	defer job.cancel()
	report, err := b.play(ctx, job, o)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now().UTC()
	job.Ended = &now
	switch {
	case err != nil && ctx.Err() == nil:
		job.State, job.Problem = "failed", err.Error()
		b.log.Warn("a backtest failed", "id", job.ID, "error", err)
	case err != nil || report.Partial == backtest.Cancelled:
		job.State, job.Partial = "cancelled", backtest.Cancelled
	default:
		job.State, job.Partial = "done", report.Partial
	}
	if report != nil {
		job.Events, job.Report = report.Events, report
	}
	b.log.Info("a backtest has ended", "id", job.ID, "state", job.State, "events", job.Events, "took", now.Sub(job.Started).Round(time.Millisecond))
}

func (b *Backtests) play(ctx context.Context, job *backtestJob, o backtest.Options) (*backtest.Report, error) {
	h, err := OpenHistory(ctx, b.cfg, &o)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	b.mu.Lock()
	job.Total = min(h.Total(), maxBacktestEvents)
	b.mu.Unlock()
	o.Progress = func(done int64) {
		b.mu.Lock()
		defer b.mu.Unlock()
		job.Events = done
	}
	return backtest.Run(ctx, o)
}

// running counts the jobs that run.
func (b *Backtests) running() (n int) {
	for _, j := range b.jobs {
		if j.Ended == nil {
			n++
		}
	}
	return n
}

// forget drops jobs that ended long ago, and the oldest of too many.
func (b *Backtests) forget() {
	kept := b.jobs[:0]
	for i, j := range b.jobs {
		if j.Ended == nil || time.Since(*j.Ended) < keptBacktestFor && len(b.jobs)-i < keptBacktests {
			kept = append(kept, j)
		}
	}
	clear(b.jobs[len(kept):])
	b.jobs = kept
}

// Get implements api.Backtests.
func (b *Backtests) Get(id string) (api.Backtest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget()
	for _, j := range b.jobs {
		if j.ID == id {
			return j.Backtest, nil
		}
	}
	return api.Backtest{}, api.ErrNoBacktest
}

// Cancel implements api.Backtests.
func (b *Backtests) Cancel(id string) (api.Backtest, error) {
	job, err := b.Get(id)
	if err != nil {
		return job, err
	}
	b.mu.Lock()
	for _, j := range b.jobs {
		if j.ID == id {
			j.cancel()
		}
	}
	b.mu.Unlock()
	return b.Get(id)
}
