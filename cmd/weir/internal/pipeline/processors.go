package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"weir/configs"
	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/engine"
	"weir/topology/metric"
)

// Deps is what a process shares between its parts.
type Deps struct {
	Logger   *slog.Logger
	Registry *prometheus.Registry
	Rules    *rule.Current // in force; nil: no fraud rules, and none of the groups that only they need
	Book     *RuleFollower // where the rules come from, for the API; nil: it tells of none
}

// Processors builds the groups that the configuration asks for. Topics must exist.
func Processors(cfg *configs.Config, deps Deps) ([]*engine.Runtime, error) {
	set, err := Metrics(cfg)
	if err != nil {
		return nil, err
	}
	var runtimes []*engine.Runtime
	for _, name := range cfg.Groups {
		ec, err := EngineConfig(cfg, deps)
		if err != nil {
			return nil, err
		}
		var group string
		var define func(*engine.Runtime) engine.Spec
		switch name {
		case "orders":
			g, err := ordersGroup(cfg, deps, set)
			if err != nil {
				return nil, err
			}
			group, define = topology.GroupOrders, g.Define
		case "metrics":
			g := &metrics.Group{Names: cfg.Names(), Metrics: set, Partitions: int32(cfg.Topics.Partitions), Logger: deps.Logger}
			group, define = topology.GroupMetrics, g.Define
		case "entities":
			g := &entities.Group{Names: cfg.Names(), Rules: deps.Rules, Logger: deps.Logger}
			group, define = topology.GroupEntities, g.Define
		case "alerts":
			g := &alerts.Group{Names: cfg.Names(), Rules: deps.Rules, Partitions: int32(cfg.Topics.Partitions), Logger: deps.Logger}
			group, define = topology.GroupAlerts, g.Define
		default:
			return nil, fmt.Errorf("there is no group %q", name)
		}
		if deps.Rules == nil && (name == "entities" || name == "alerts") {
			continue
		}
		if name != "orders" { // its input comes in transactions of the group before, so it commits as soon as one has been read
			ec.CommitInterval /= 4
		}
		rt, err := engine.New(ec, cfg.Names().In(group), define)
		if err != nil {
			return nil, err
		}
		runtimes = append(runtimes, rt)
	}
	return runtimes, nil
}

// Run processes until ctx ends.
func Run(ctx context.Context, cfg *configs.Config, runtimes []*engine.Runtime) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, rt := range runtimes {
		g.Go(func() error {
			if cfg.Process.StockGoka {
				return rt.RunStock(ctx)
			}
			return rt.Run(ctx)
		})
	}
	return g.Wait()
}

func ordersGroup(cfg *configs.Config, deps Deps, set *metric.Set) (*orders.Group, error) {
	inputs, err := cfg.Inputs()
	if err != nil {
		return nil, err
	}
	g := &orders.Group{Names: cfg.Names(), Metrics: set, Rules: deps.Rules, Logger: deps.Logger, Settings: orders.DefaultSettings()}
	g.SendEach = cfg.Process.StockGoka
	g.Settings.Retention = cfg.Orders.Retention
	if err := g.Settings.Validate(); err != nil {
		return nil, err
	}
	for _, in := range inputs {
		g.Sources = append(g.Sources, orders.Source{Topic: in.Topic, Parser: in.Parser})
	}
	slices.SortFunc(g.Sources, func(a, b orders.Source) int {
		switch {
		case a.Topic < b.Topic:
			return -1
		case a.Topic > b.Topic:
			return 1
		}
		return 0
	})
	return g, nil
}

// EngineConfig is what the engine runs a group with.
func EngineConfig(cfg *configs.Config, deps Deps) (engine.Config, error) {
	instance := cfg.Instance
	if instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return engine.Config{}, fmt.Errorf("the host has no name, so --instance is needed: %w", err)
		}
		instance = host
	}
	return engine.Config{
		Kafka:           cfg.Kafka,
		Instance:        instance,
		DataDir:         cfg.GroupsDir(),
		Guarantee:       engine.Guarantee(cfg.Guarantee),
		CommitInterval:  cfg.CommitInterval,
		BacklogInterval: cfg.BacklogInterval,
		SessionTimeout:  cfg.SessionTimeout,
		Heartbeat:       cfg.Heartbeat,
		Idle:            cfg.Watermark.Idle,
		Disorder:        cfg.Watermark.Disorder,
		CacheBytes:      int(cfg.CacheBytes),
		LeaveOnStop:     cfg.LeaveOnStop,
		RecoverAhead:    cfg.RecoverAhead,
		Logger:          deps.Logger,
		Registry:        deps.Registry,
	}, nil
}
