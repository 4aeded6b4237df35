package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/lovoo/goka"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"weir/configs"
	"weir/dashboard"
	"weir/topology/engine"
	"weir/views"
	"weir/views/api"
	"weir/views/live"
)

// Serve runs the view server until ctx ends. ready gets the address once requests are answered.
func Serve(ctx context.Context, cfg *configs.Config, deps Deps, version string, ready func(address string)) error {
	catalogue, err := Catalogue(cfg)
	if err != nil {
		return err
	}
	listener, err := listen("serve.listen", cfg.Serve.Listen)
	if err != nil {
		return err
	}
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return err
	}
	admin, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer admin.Close()

	tables := views.Open(views.Deps{Brokers: cfg.Kafka.Brokers, Names: cfg.Names(), Logger: deps.Logger, Options: func(table string) []goka.ViewOption {
		return engine.ViewOptions(engine.ViewConfig{Kafka: cfg.Kafka, DataDir: cfg.ViewsDir(), Logger: deps.Logger, Registry: deps.Registry}, table)
	}})
	hub := live.New(live.Config{
		Topics:         live.MetricTopics{Catalogue: catalogue, Source: tables.Metrics},
		Freshness:      func() live.Freshness { return live.FreshnessOf(tables.Metrics.Progress()) },
		AllowedOrigins: cfg.Serve.AllowedOrigins, Build: version, Logger: deps.Logger, Registry: deps.Registry,
	})
	tables.Metrics.Subscribe(hub)
	handler := api.New(api.Deps{
		Catalogue: catalogue, Metrics: tables.Metrics, Orders: tables.Orders, Ready: tables.Ready,
		Status:   &statusSource{adm: kadm.NewClient(admin), names: cfg.Names(), views: tables},
		Gatherer: deps.Registry, Live: hub, Dashboard: dashboard.Handler(), Version: version, Logger: deps.Logger,
	})

	// Ends in this order: requests first, then pushes, then the tables under them.
	tablesCtx, stopTables := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTables()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return tables.Run(tablesCtx) })
	g.Go(func() error { return hub.Run(running) })
	g.Go(func() error {
		defer stopTables()
		return serveHTTP(running, listener, handler)
	})
	if ready != nil {
		ready(listener.Addr().String())
	}
	return g.Wait()
}

// ServeMetrics answers /metrics and /healthz of a process without a view server, until ctx ends.
func ServeMetrics(ctx context.Context, address string, deps Deps) error {
	listener, err := listen("process.listen", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(deps.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n")) // the client may be gone
	})
	return serveHTTP(ctx, listener, mux)
}

// shutdownWithin bounds how long a graceful stop waits for requests in progress.
const shutdownWithin = 5 * time.Second

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
	defer cancel()
	if err := srv.Shutdown(stopping); err != nil {
		_ = srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; stop what uses the address, or choose another one (--listen, key %s)", address, err, key)
	}
	return l, nil
}
