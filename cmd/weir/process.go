package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
)

func newProcess(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "process",
		Short: "Run the processor groups against a Kafka cluster",
		Long: long(`Runs the processor groups against a Kafka cluster: joins the events of each order, and keeps the metrics. Start it as
often as needed: the instances share the partitions. Missing topics are created, existing ones are checked.`,
			`Each instance needs a name of its own and a data folder of its own. Keep both over restarts: an instance that comes back
within session_timeout takes its partitions back without a pause for the others, and finds its tables on disk.`),
		Example: `  weir process --brokers kafka:9092
  weir process --brokers kafka:9092 --instance a --data /var/lib/weir-a
  weir process --config weir.yaml --groups metrics --listen :9100`,
		Args: cobra.NoArgs,
	}, process)
}

func process(ctx context.Context, a *app, _ []string) error {
	lock, err := lockFolder(a.GroupsDir())
	if err != nil {
		return err
	}
	defer lock.release()
	var ln net.Listener
	if a.Process.Listen != "" {
		if ln, err = listen(a.Process.Listen, "--listen"); err != nil {
			return err
		}
	}
	parts := newStages(a.log)
	if ln != nil {
		parts.start("metrics endpoint", func(ctx context.Context) error { return a.serveMetrics(ctx, ln) })
	}
	if _, err := a.probe(ctx); err != nil {
		return parts.abandon(ctx, err)
	}
	if err := a.ensureTopics(ctx); err != nil {
		return parts.abandon(ctx, err)
	}
	if err := a.followRules(ctx, parts); err != nil {
		return parts.abandon(ctx, err)
	}
	parts.start("groups", func(ctx context.Context) error { return runProcessors(ctx, a) })
	if err := a.startWebhooks(parts); err != nil {
		return parts.abandon(ctx, err)
	}
	a.log.Info("processing", "groups", a.Groups, "instance", a.Instance, "guarantee", a.Guarantee, "brokers", a.Kafka.Brokers)
	return parts.wait(ctx)
}

// serveMetrics is /metrics and /healthz of a process without a view server.
func (a *app) serveMetrics(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return serveHTTP(ctx, ln, mux)
}

// Limits of HTTP connections: one that is slower than this is closed.
const (
	headerWithin = 5 * time.Second
	idleWithin   = 2 * time.Minute
	drainWithin  = 5 * time.Second
	maxHeader    = 64 << 10
)

// serveHTTP serves until ctx ends, then lets requests under way end.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerWithin, IdleTimeout: idleWithin, MaxHeaderBytes: maxHeader}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		return srv.Close()
	}
	return nil
}

// firstOf is the cause, where stopping failed as well.
func firstOf(cause, other error) error {
	if cause != nil {
		return cause
	}
	return other
}
