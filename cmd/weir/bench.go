package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/bench"
	"weir/configs"
)

// workloadFlag is bench's --config: the metrics to keep while measuring. It stands in the place of the file's flag, which other
// commands have: bench takes a file from $WEIR_CONFIG or ./weir.yaml.
type workloadFlag string

func (w *workloadFlag) String() string { return string(*w) }
func (w *workloadFlag) Type() string   { return "metrics" }
func (w *workloadFlag) Set(text string) error {
	if text != "w" && text != "default" && text != bench.Shop {
		return errors.New("is w (the reference workload's own aggregates and alerts), default (the shipped metrics and rules over its events), or shop (the same over a shop's)")
	}
	*w = workloadFlag(text)
	return nil
}

func newBench(sys system) *cobra.Command {
	workload := workloadFlag("w")
	c := command(sys, &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput, CPU and latency on a Kafka cluster",
		Long: long(`Measures weir on the reference workload W: 500,000 orders, their payments and shipments, on 8 partitions. First a backlog
is worked off by one process, then the stream is paced, and the time from producing an order to seeing it at a websocket is
taken. Processes are started and read from outside; their CPU time is user and system time of the whole process.`,
			`With --clients it measures live push instead: a shop runs on a broker of its own, a view server follows it, and so many
websockets subscribe to what dashboards show. It tells how late frames come to those that read, and what a connection costs.`,
			`It makes topics and groups whose names begin with bench- and removes them at the end. "warm" leaves out start-up and the
first third of the events. Machines differ and are noisy: compare figures of one run with each other.`),
		Example: `  weir bench --brokers 127.0.0.1:9092
  weir bench --brokers 127.0.0.1:9092 --config default --runs 3 --rate 0
  weir bench --brokers 127.0.0.1:9092 --stock-goka --rate 0
  weir bench --clients 10000 --subs 3 --stuck 1%`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, a *app, _ []string) error {
		if a.Bench.Clients > 0 {
			return a.inBenchDir(func(binary, dir string) error { return runBenchClients(ctx, a, binary, dir) })
		}
		if _, err := a.probe(ctx); err != nil {
			return err
		}
		return a.inBenchDir(func(binary, dir string) error { return runBench(ctx, a, string(workload), binary, dir) })
	})
	c.Flags().Var(&workload, configFlag, "what to measure: w (the reference workload with its own metrics and rules), default (the shipped ones over its events), shop (the shipped ones over a shop's events)")
	return c
}

func runBench(ctx context.Context, a *app, workload, binary, dir string) error {
	kafka, err := a.Kafka.Options()
	if err != nil {
		return err
	}
	children, err := a.benchChildren(dir, workload)
	if err != nil {
		return err
	}
	o := bench.Options{
		Kafka: kafka, Binary: binary, Partitions: int32(a.Topics.Partitions), Orders: a.Bench.Orders, Metrics: workload,
		Fraud: a.Rules.File != configs.RulesOff, Rate: a.Bench.Rate, Warm: a.Bench.Warm, Measure: a.Bench.Measure,
		Process: children("process"), Serve: children("serve"), Progress: newBenchProgress(a.err),
	}
	for i := range a.Bench.Runs {
		t, err := bench.RunThroughput(ctx, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "BACKLOG run=%d metrics=%s guarantee=%s stock_goka=%v %s\n", i+1, workload, a.Guarantee, a.Process.StockGoka, t)
	}
	if a.Bench.Rate == 0 || workload == bench.Shop || a.Process.StockGoka {
		return nil
	}
	l, err := bench.RunLatency(ctx, o, map[string]string{"w": "gross", "default": "gmv"}[workload])
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "PACED metrics=%s guarantee=%s commit_interval=%s %s\n", workload, a.Guarantee, a.CommitInterval, l)
	return nil
}

// inBenchDir gives run this program, to start processes of it, and a folder for their tables, which is removed at the end. It is made
// in the temporary folder, unless a folder was chosen.
func (a *app) inBenchDir(run func(binary, dir string) error) (err error) {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	parent := ""
	if a.isGiven("data_dir") {
		parent = a.DataDir
	}
	dir, err := os.MkdirTemp(parent, "weir-bench-")
	if err != nil {
		return fmt.Errorf("a folder for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return run(binary, dir)
}

// benchChildren writes this command's configuration to a file, for the processes that it measures to run under, and tells their
// arguments.
func (a *app) benchChildren(dir, workload string) (func(role string) func(prefix, listen string) []string, error) {
	file := filepath.Join(dir, "weir.yaml")
	var text strings.Builder
	if err := a.Write(&text); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	declarations := configs.MetricsDefault
	if workload == "w" {
		declarations = configs.MetricsReference
	}
	data, err := configs.EmbeddedMetrics(declarations)
	if err != nil {
		return nil, err
	}
	metrics := filepath.Join(dir, "metrics.yaml")
	if err := os.WriteFile(metrics, data, 0o600); err != nil {
		return nil, err
	}
	rules := a.Rules.File
	if rules == "" && workload == "w" {
		rules = configs.RulesReference
	}
	return func(role string) func(prefix, listen string) []string {
		return func(prefix, listen string) []string {
			args := []string{role, "--config", file, "--metrics", metrics, "--prefix", prefix,
				"--rules", rules, "--data", filepath.Join(dir, prefix+role), "--listen", listen, "--log-level", "warn"}
			if role == "process" {
				args = append(args, "--instance", "bench")
			}
			return args
		}
	}, nil
}

// newBenchProgress shows long steps on a terminal and keeps silent elsewhere.
func newBenchProgress(w io.Writer) func(what string, done, of int) {
	if !isTerminal(w) {
		return func(string, int, int) {}
	}
	var bar *progressbar.ProgressBar
	current := ""
	return func(what string, done, of int) {
		if what != current {
			current = what
			bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
		}
		_ = bar.Set(done) // a terminal that is gone
	}
}
