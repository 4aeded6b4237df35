package main

import (
	"context"
	"fmt"
	"path/filepath"

	"weir/cmd/weir/internal/bench"
)

// benchOrders is how many orders a second the shop behind the measured view server takes.
const benchOrders = "20"

// runBenchClients measures live push.
func runBenchClients(ctx context.Context, a *app, binary, dir string) error {
	c, err := bench.RunClients(ctx, bench.ClientOptions{
		Clients: a.Bench.Clients, Subs: a.Bench.Subs, Stuck: float64(a.Bench.Stuck), Interval: a.Bench.Interval,
		Warm: a.Bench.Warm, Measure: a.Bench.Measure, Binary: binary, Progress: newBenchProgress(a.err),
		Up: func(listen, kafka string) []string {
			return []string{"up", "--listen", listen, "--kafka-listen", kafka, "--generate", benchOrders, "--data", filepath.Join(dir, "up"), "--log-level", "warn"}
		},
		Serve: func(listen, kafka string) []string {
			return []string{"serve", "--listen", listen, "--brokers", kafka, "--data", filepath.Join(dir, "serve"), "--log-level", "warn"}
		},
	})
	if c.Frames > 0 {
		fmt.Fprintf(a.out, "LIVE %s\n", c)
	}
	return err
}
