package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/backtest"
	"weir/cmd/weir/internal/shop"
	"weir/configs"
	"weir/processors/rule"
	"weir/topology/broker"
	"weir/topology/client"
	"weir/views/api"
)

const rulesInForce = `
features:
  - name: cards_of_ip
    on: payment.attempted
    key: ip
    value: card.fingerprint
    agg: distinct
    windows: 10m
rules:
  - id: card_testing
    on: payment.attempted
    entity: ip
    when: cards_of_ip >= 5
    state: shadow
  - id: pricey
    entity: customer
    when: total > 400.00
`

// aCluster is a broker with the source topics, a shop's events in them, and rules in force.
func aCluster(t *testing.T) *Backtests {
	t.Helper()
	k, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rulesInForce), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"WEIR_KAFKA_BROKERS=" + k.Addr(), "WEIR_RULES_FILE=" + file, "WEIR_DATA_DIR=" + t.TempDir()}
	loaded, err := configs.Load(configs.Sourced{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, &loaded.Config)
	follower, err := FollowRules(t.Context(), &loaded.Config, Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBacktests(&loaded.Config, follower, slog.New(slog.DiscardHandler))
	t.Cleanup(b.Close)
	return b
}

func fill(t *testing.T, cfg *configs.Config) {
	t.Helper()
	opts, err := cfg.Kafka.With()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var specs []client.TopicSpec
	for _, name := range []string{"orders", "payments", "shipments"} {
		specs = append(specs, client.TopicSpec{Name: name, Partitions: 4, Replication: 1, Cleanup: client.Delete})
	}
	if err := client.EnsureTopics(t.Context(), kadm.NewClient(cl), specs); err != nil {
		t.Fatal(err)
	}
	s, err := shop.New(shop.Options{Seed: 2, Start: time.Now().Add(-12 * 24 * time.Hour), Rate: 0.01, Orders: 600, LifeScale: 0.1,
		Fraud: shop.Mix{"card_testing_bot": 0.2}})
	if err != nil {
		t.Fatal(err)
	}
	for r, ok := s.Next(); ok; r, ok = s.Next() {
		cl.Produce(t.Context(), &kgo.Record{Topic: r.Type.Stream(), Partition: client.Partition([]byte(r.OrderID), 4), Key: []byte(r.OrderID),
			Value: append([]byte(nil), r.Value...), Timestamp: r.Due.Time()}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ended waits for a job to end.
func ended(t *testing.T, b *Backtests, id string) api.Backtest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		job, err := b.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if job.Ended != nil {
			return job
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the backtest does not end: %+v", job)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func report(t *testing.T, job api.Backtest) *backtest.Report {
	t.Helper()
	r, ok := job.Report.(*backtest.Report)
	if !ok || job.State != "done" {
		t.Fatalf("job %+v", job)
	}
	if _, err := json.Marshal(job); err != nil {
		t.Error(err)
	}
	return r
}

func TestBacktestsRunOverTheClustersTopics(t *testing.T) {
	b := aCluster(t)
	job, err := b.Start(t.Context(), api.BacktestRequest{ID: "card_testing"})
	if err != nil {
		t.Fatal(err)
	}
	job = ended(t, b, job.ID)
	r := report(t, job)
	if len(r.Rules) != 1 || r.Rules[0].State != string(rule.Live) || r.All.Alerts == 0 || job.Events != job.Total || r.Events < 4000 {
		t.Errorf("rule card_testing: job %+v, report %+v", job, r)
	}
	if e := r.Alerts[0].Explanation[0].Events; len(e) == 0 || e[0].Partition != client.Partition([]byte(e[0].OrderID), 4) {
		t.Errorf("cited events: %+v", e)
	}

	job, err = b.Start(t.Context(), api.BacktestRequest{Against: "current", YAML: "rules:\n  - {id: pricey, entity: customer, when: \"total > 200.00\"}\n"})
	if err != nil {
		t.Fatal(err)
	}
	r = report(t, ended(t, b, job.ID))
	if len(r.Rules) != 2 || r.Against == nil || r.All.Alerts <= r.Against.All.Alerts || r.Against.All.Alerts == 0 ||
		r.Against.OnlyThen.Entities != 0 {
		t.Errorf("against the rules in force: %+v, against %+v", r.All, r.Against)
	}

	for name, c := range map[string]struct {
		ask  api.BacktestRequest
		want string
	}{
		"no such rule": {api.BacktestRequest{ID: "nothing"}, api.ErrNoRule.Error()},
		"a mistake":    {api.BacktestRequest{YAML: "rules:\n  - {id: a, when: \"totl > 1\"}\n"}, `"totl"`},
	} {
		if _, err := b.Start(t.Context(), c.ask); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBacktestsAreBoundedAndCancelled(t *testing.T) {
	b := aCluster(t)
	b.jobs = []*backtestJob{{Backtest: api.Backtest{ID: "a"}}, {Backtest: api.Backtest{ID: "b"}}}
	if _, err := b.Start(t.Context(), api.BacktestRequest{ID: "pricey"}); !errors.Is(err, api.ErrBusy) {
		t.Errorf("a third one: %v", err)
	}
	long := time.Now().Add(-keptBacktestFor - time.Minute)
	b.jobs[0].Ended = &long
	if _, err := b.Get("a"); !errors.Is(err, api.ErrNoBacktest) {
		t.Errorf("one that ended long ago: %v", err)
	}
	job, err := b.Start(t.Context(), api.BacktestRequest{ID: "pricey"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Cancel(job.ID); err != nil {
		t.Fatal(err)
	}
	if job = ended(t, b, job.ID); job.State != "cancelled" && job.State != "done" {
		t.Errorf("cancelled: %+v", job)
	}
	if _, err := b.Cancel("nothing"); !errors.Is(err, api.ErrNoBacktest) {
		t.Errorf("cancelling nothing: %v", err)
	}
	b.Close()
	if _, err := b.Start(t.Context(), api.BacktestRequest{ID: "pricey"}); !errors.Is(err, api.ErrBusy) {
		t.Errorf("after the end: %v", err)
	}
}
