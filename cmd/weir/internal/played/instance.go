package played

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"weir/cmd/weir/internal/pipeline"
	"weir/configs"
	"weir/processors/orders"
	"weir/topology"
	"weir/topology/engine"
)

// instance is one process of weir.
type instance struct {
	name     string
	config   configs.Config
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ended    chan error
}

// Series of the engine that tell what happened to an instance.
const (
	restarts = "weir_engine_restarts_total"
	aborts   = "weir_engine_aborts_total"
)

// join starts one more instance. The first keeps its place when it is stopped, for a restart; the others leave.
func (w *Weir) join() error {
	name := fmt.Sprint("instance-", len(w.started)+1)
	in := &instance{name: name, config: w.config, registry: prometheus.NewRegistry()}
	in.config.Instance = name
	in.config.DataDir = filepath.Join(w.place.DataDir, name)
	in.config.LeaveOnStop = len(w.started) > 0
	if err := w.start(in); err != nil {
		return err
	}
	w.started = append(w.started, name)
	w.instances = append(w.instances, in)
	return nil
}

func (w *Weir) start(in *instance) error {
	runtimes, err := w.runtimes(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel, in.ended = cancel, make(chan error, 1)
	go func() { in.ended <- pipeline.Run(ctx, &in.config, runtimes) }()
	return nil
}

// stop ends the instance as a signal would, and returns when it has ended.
func (in *instance) stop() error {
	in.cancel()
	if err := <-in.ended; err != nil {
		return fmt.Errorf("stopping %s: %w", in.name, err)
	}
	return nil
}

func (w *Weir) runtimes(in *instance) ([]*engine.Runtime, error) {
	deps := pipeline.Deps{Logger: w.place.Logger.With("instance", in.name), Registry: in.registry, Rules: w.rules}
	if !w.own {
		return pipeline.Processors(&in.config, deps)
	}
	config := in.config
	config.Groups = slices.DeleteFunc(slices.Clone(config.Groups), func(name string) bool { return name == "orders" })
	runtimes, err := pipeline.Processors(&config, deps)
	if err != nil {
		return nil, err
	}
	rt, err := w.ownOrders(in, deps)
	return append(runtimes, rt), err
}

// ownOrders is group orders with settings that the configuration has no keys for.
func (w *Weir) ownOrders(in *instance, deps pipeline.Deps) (*engine.Runtime, error) {
	c := &in.config
	inputs, err := c.Inputs()
	if err != nil {
		return nil, err
	}
	g := &orders.Group{Names: c.Names(), Metrics: w.set, Settings: w.settings, Rules: w.rules, Logger: deps.Logger}
	for _, input := range inputs {
		g.Sources = append(g.Sources, orders.Source{Topic: input.Topic, Parser: input.Parser})
	}
	settings, err := pipeline.EngineConfig(c, deps)
	if err != nil {
		return nil, err
	}
	return engine.New(settings, c.Names().In(topology.GroupOrders), g.Define)
}

// count is the sum of a counter over the instance's groups.
func (in *instance) count(name string) (n int) {
	families, err := in.registry.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			n += int(m.GetCounter().GetValue())
		}
	}
	return n
}
