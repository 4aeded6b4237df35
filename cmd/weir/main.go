// Command weir turns a shop's Kafka streams of orders, payments and shipments into live metrics.
//
// It is the outermost layer: it reads the configuration, opens what a subcommand needs, starts the parts in the order of an
// event's journey and stops them in the opposite one. What the parts do is in the packages below.
//
//	main.go       the tree of commands, exit codes
//	command.go    flags from the table of keys, the configuration, logs
//	stages.go     starting and stopping parts
//	pipeline.go   the processor groups and the view server, wired
//	kafka.go      connections and topics
//	up.go, process.go, serve.go, generate.go, replay.go, topics.go, topology.go, inspect.go, rules*.go, webhooks.go, dead_letters.go, config.go, version.go, bench.go
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 2 // of weir rules: a file with mistakes
	exitInterrupted = 130
)

func main() {
	os.Exit(run(os.Args[1:], system{os.Stdin, os.Stdout, os.Stderr, os.Environ()}))
}

// system is what a command touches of the process it runs in.
type system struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

func run(args []string, sys system) int {
	ctx, stop := signals(sys.err)
	defer stop()
	root := newRoot(sys)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			line = "weir: " + line
		} else if !strings.HasPrefix(line, " ") {
			line = "      " + line
		}
		fmt.Fprintln(sys.err, line)
	}
	var usage *usageError
	if errors.As(err, &usage) || isUnknownCommand(err) {
		fmt.Fprintf(sys.err, "      `%s --help` shows what there is\n", cmd.CommandPath())
		return exitUsage
	}
	var mistakes *refusedError
	if errors.As(err, &mistakes) {
		return exitRefused
	}
	return exitFailed
}

// errInterrupted ends a command that a signal ended before its work was done.
var errInterrupted = errors.New("interrupted")

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func isUnknownCommand(err error) bool { return strings.HasPrefix(err.Error(), "unknown command") }

// sameSignal is the time within which a second signal is the first one again: timeout(1), for one, signals its child and
// then its whole group.
const sameSignal = 300 * time.Millisecond

// signals returns a context that the first SIGINT or SIGTERM ends. The second one ends the process at once.
func signals(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-ch:
			cancel()
		}
		for first := time.Now(); ; {
			select {
			case <-done:
				return
			case <-ch:
				if time.Since(first) < sameSignal {
					continue
				}
				fmt.Fprintln(stderr, "weir: stopped at once")
				os.Exit(exitInterrupted)
			}
		}
	}()
	return ctx, func() { signal.Stop(ch); close(done); cancel() }
}

func newRoot(sys system) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Live metrics from a shop's Kafka streams of orders, payments and shipments",
		Long: `weir turns a shop's Kafka streams of orders, payments and shipments into live metrics, exactly once.

weir up runs all of it in one process, on a Kafka broker of its own. The same binary, started as often as needed against
a real Kafka cluster (weir process, weir serve), scales by consumer groups.

Every flag is also a key of the configuration file and an environment variable: weir config shows them all.`,
		Example: `  weir up                                          # everything, with a shop that makes orders
  weir process --brokers kafka:9092                # the processor groups, on a cluster
  weir serve --brokers kafka:9092                  # dashboard and HTTP API, on a cluster
  weir replay events.ndjson.zst                    # send a file of events`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(sys.in)
	root.SetOut(sys.out)
	root.SetErr(sys.err)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().String(configFlag, "", "configuration file (default: $WEIR_CONFIG, else weir.yaml where it exists)")
	if err := root.MarkPersistentFlagFilename(configFlag, "yaml", "yml"); err != nil {
		panic(err) // the flag exists: the line above made it
	}
	for _, c := range commands {
		root.AddCommand(c(sys))
	}
	return root
}

// commands make the subcommands, in the order of help.
var commands = []func(system) *cobra.Command{
	newUp, newProcess, newServe, newGenerate, newReplay, newTopics, newTopology, newInspect, newRules, newWebhooks, newDeadLetters, newBench, newConfig, newVersion,
}
