package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"

	"weir/configs"
	"weir/processors/rule"
	"weir/topology/rulebook"
)

// rulesWithin bounds how long a process waits at its start for the rules that are in force.
const rulesWithin = 30 * time.Second

// RuleFollower holds the newest rules of the book. Run keeps them so: a change is there within two seconds of its commit.
type RuleFollower struct {
	*RuleBook
	log     *slog.Logger
	gauge   prometheus.Gauge
	stats   *ruleStats
	current *rule.Current

	mu      sync.Mutex
	newest  rulebook.Book // whether or not it compiles here
	inForce rulebook.Book
	problem string
}

// FollowRules reads the rules in force.
func FollowRules(ctx context.Context, cfg *configs.Config, deps Deps) (*RuleFollower, error) {
	book, err := OpenRules(cfg)
	if err != nil {
		return nil, err
	}
	f := &RuleFollower{RuleBook: book, log: deps.Logger, current: rule.NewCurrent(book.fileSet)}
	if f.gauge, err = rulesGauge(deps.Registry); err != nil {
		return nil, err
	}
	if f.stats, err = newRuleStats(deps.Registry, f.current); err != nil {
		return nil, err
	}
	f.newest = rulebook.Book{Document: book.file}
	f.inForce = f.newest
	newest, err := f.readFirst(ctx)
	if errors.Is(err, rulebook.ErrMissing) {
		return f, nil // a view server may be started before the groups: the book is found once it is there
	}
	if err != nil {
		return nil, fmt.Errorf("the rules in force cannot be read from topic %s: %w", book.store.Topic, err)
	}
	f.take(newest)
	if newest.Revision == 0 {
		f.log.Info("rules in force", "revision", 0, "rules", len(book.file.Rules), "from", book.fileName)
	}
	return f, nil
}

// readFirst reads the book. The broker that leads it may be away just now: until another one leads it, nobody can tell the rules, and to
// go on with others would be wrong.
func (f *RuleFollower) readFirst(ctx context.Context) (rulebook.Book, error) {
	ctx, cancel := context.WithTimeout(ctx, rulesWithin)
	defer cancel()
	for {
		newest, err := f.store.Read(ctx)
		if err == nil || errors.Is(err, rulebook.ErrMissing) || errors.Is(err, kerr.TopicAuthorizationFailed) || ctx.Err() != nil {
			return newest, err
		}
		f.log.Warn("the rule book cannot be read yet; trying again", "topic", f.store.Topic, "error", err)
		select {
		case <-ctx.Done():
			return newest, err
		case <-time.After(time.Second):
		}
	}
}

// rulesGauge is one for the process, whoever follows the rules in it.
func rulesGauge(reg *prometheus.Registry) (prometheus.Gauge, error) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_rules_revision", Help: "Revision of the rule book whose rules are in force in this process; 0: the file's"})
	if reg == nil {
		return g, nil
	}
	err := reg.Register(g)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if have, ok := there.ExistingCollector.(prometheus.Gauge); ok {
			return have, nil
		}
	}
	return g, err
}

// Current holds the compiled rules in force.
func (f *RuleFollower) Current() *rule.Current { return f.current }

// Run follows the book until ctx ends.
func (f *RuleFollower) Run(ctx context.Context) error { return f.store.Tail(ctx, f.log, f.take) }

// take puts a book in force, unless a newer one is. A book that does not compile here leaves the rules as they are: it may have been
// written by a newer weir, or without the command line's checks.
func (f *RuleFollower) take(b rulebook.Book) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.Revision <= f.newest.Revision && !b.At.After(f.newest.At) { // a topic that was made anew counts from 1 again
		return
	}
	f.newest = b
	set, err := f.Compile(b)
	if err != nil {
		f.problem = fmt.Sprintf("revision %d: %v", b.Revision, err)
		f.log.Error("the newest rules cannot be used here: the earlier ones stay in force; run the same version of weir everywhere, or see `weir rules history` and `weir rules rollback`",
			"revision", b.Revision, "author", b.Author, "in_force", f.inForce.Revision, "problems", err)
		return
	}
	f.stats.replace(set)
	f.inForce, f.problem = b, ""
	f.gauge.Set(float64(b.Revision))
	f.log.Info("rules in force", "revision", b.Revision, "rules", len(b.Document.Rules), "author", b.Author, "comment", b.Comment)
}

// Newest is the newest book that this process knows, and why it is not in force here, if it is not.
func (f *RuleFollower) Newest() (b rulebook.Book, problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest, f.problem
}

// InForce is the book whose rules are evaluated here.
func (f *RuleFollower) InForce() rulebook.Book {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inForce
}
