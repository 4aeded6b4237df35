package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newServe(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "serve",
		Short: "Run the dashboard and the HTTP API against a Kafka cluster",
		Long: long(`Runs the view server against a Kafka cluster: it follows the tables that weir process keeps and answers from its own
copy. Start as many as needed.`,
			`It has no login of its own: listen on a loopback address, or put a proxy with authentication in front of it.`),
		Example: `  weir serve --brokers kafka:9092 --listen :8080
  curl 'http://127.0.0.1:8080/v1/metrics/revenue?window=1h&by=region,currency'`,
		Args: cobra.NoArgs,
	}, serve)
}

// serveGC is the garbage collector's percentage for a view server alone. Much of its memory are the stacks of connections, which the
// collector counts as live: at Go's own 100 it would keep as much again for garbage that there is not.
const serveGC = 30

// upGC is that of `weir up`, which is left running on a laptop: 226 MB instead of 291 after a minute of a shop's orders, for a tenth more CPU.
const upGC = 50

// collect sets the percentage, unless $GOGC does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func serve(ctx context.Context, a *app, _ []string) error {
	collect(serveGC)
	lock, err := lockFolder(a.ViewsDir())
	if err != nil {
		return err
	}
	defer lock.release()
	ln, err := listen(a.Serve.Listen, "--listen")
	if err != nil {
		return err
	}
	parts := newStages(a.log)
	if _, err := a.probe(ctx); err != nil {
		return errors.Join(parts.abandon(ctx, err), ln.Close())
	}
	if err := a.followRules(ctx, parts); err != nil {
		return errors.Join(parts.abandon(ctx, err), ln.Close())
	}
	parts.start("view server", func(ctx context.Context) error { return runServer(ctx, a, ln) })
	a.log.Info("serving", "dashboard", "http://"+ln.Addr().String(), "brokers", a.Kafka.Brokers)
	return parts.wait(ctx)
}
