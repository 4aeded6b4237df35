package pipeline

import (
	"context"
	"net/http"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/configs"
	"weir/dashboard"
	"weir/topology"
	"weir/topology/engine"
	"weir/views"
	"weir/views/api"
	"weir/views/live"
	"weir/views/prom"
	"weir/views/query"
)

// Server is a view server without its listener.
type Server struct {
	Handler http.Handler
	tables  *views.Views
	hub     *live.Hub
	kafka   *kgo.Client
	status  *statusSource
	// backtests is nil where there is no rule book.
	backtests *Backtests
}

// NewServer wires a view server. Run fills it.
func NewServer(cfg *configs.Config, deps Deps, version string) (*Server, error) {
	set, err := Metrics(cfg)
	if err != nil {
		return nil, err
	}
	inputs, err := cfg.Inputs()
	if err != nil {
		return nil, err
	}
	var sources []string
	for _, in := range inputs {
		sources = append(sources, in.Topic)
	}
	opts, err := cfg.Kafka.With(producing()...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	graph := topology.Describe(cfg.Names(), sources...)
	catalogue := query.NewCatalogue(set)
	copies := new(engine.Copies)
	tables := openTables(cfg, deps, adm, copies)
	rows := api.LiveRows{Deps: new(api.Deps)}
	hub := newHub(cfg, deps, version, rows, tables, live.MetricTopics{Catalogue: catalogue, Source: tables.Metrics})
	letters, err := DeadLetters(cfg, adm, deps.Logger)
	if err != nil {
		return nil, err
	}
	status := newStatusSource(&statusSource{adm: adm, names: cfg.Names(), graph: graph, views: tables, rows: copies, registry: gatherer(deps),
		receivers: receivers(cfg)})
	served := api.Deps{
		Letters:   letters,
		Catalogue: catalogue, Metrics: tables.Metrics, Orders: tables.Orders, Ready: tables.Ready,
		Alerts: tables.Alerts, Entities: tables.Entities, Commands: &commands{cfg.Kafka, cl, cfg.Names().In(topology.Commands)},
		Status:   status,
		Topology: graph,
		Gatherer: deps.Registry, Live: hub, Dashboard: dashboard.Handler(), Version: version, Logger: deps.Logger,
	}
	if deps.Registry != nil {
		deps.Registry.MustRegister(&viewStats{tables})
	}
	served.Prom = prom.New(prom.Config{Catalogue: catalogue, Metrics: tables.Metrics, Alerts: tables.Alerts,
		Version: version, Logger: deps.Logger, Registry: deps.Registry})
	var backtests *Backtests
	if deps.Book != nil {
		served.RuleBook = NewRulesAPI(deps.Book)
		backtests = NewBacktests(cfg, deps.Book, deps.Logger)
		served.Backtests = backtests
	}
	*rows.Deps = served
	return &Server{Handler: api.New(served), tables: tables, hub: hub, kafka: cl, status: status, backtests: backtests}, nil
}

// openTables are the groups' tables, not followed yet; what is open of them is in copies.
func openTables(cfg *configs.Config, deps Deps, adm *kadm.Client, copies *engine.Copies) *views.Views {
	exists := func(ctx context.Context, table string) (bool, error) {
		found, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), table) // goes past the client's cache
		return err == nil && found.Has(table), err
	}
	return views.Open(views.Deps{Brokers: cfg.Kafka.Brokers, Names: cfg.Names(), Logger: deps.Logger, Copies: copies,
		Exists: exists, Entity: entityReader(deps.Rules), Options: func(table string) []goka.ViewOption {
			return engine.ViewOptions(engine.ViewConfig{Kafka: cfg.Kafka, DataDir: cfg.ViewsDir(), Logger: deps.Logger, Registry: deps.Registry,
				Copies: copies}, table)
		}})
}

// newHub is live push of all topics, told of what changes in tables.
func newHub(cfg *configs.Config, deps Deps, version string, rows api.LiveRows, tables *views.Views, metrics live.MetricTopics) *live.Hub {
	limits := live.DefaultLimits()
	limits.Connections, limits.PerAddress = cfg.Serve.Connections, cfg.Serve.ConnectionsPerAddress
	hub := live.New(live.Config{
		Topics:         &live.StatusTopics{Source: rows, Others: live.OrderTopics{Source: rows, Others: live.AlertTopics{Source: tables.Alerts, Others: metrics}}},
		Limits:         limits,
		Freshness:      func() live.Freshness { return live.FreshnessOf(tables.Metrics.Progress()) },
		AllowedOrigins: cfg.Serve.AllowedOrigins, Build: version, Logger: deps.Logger, Registry: deps.Registry,
	})
	tables.Metrics.Subscribe(hub)
	tables.Orders.Subscribe(hub.Orders())
	tables.Alerts.Subscribe(hub.AlertsChanged)
	return hub
}

// Run follows the tables and answers requests by listen until ctx ends. It ends in this order: pushes, requests, the tables under
// them.
func (s *Server) Run(ctx context.Context, listen func(context.Context) error) error {
	defer s.kafka.Close()
	tables, stopTables := context.WithCancel(context.WithoutCancel(ctx))
	hub, stopHub := context.WithCancel(ctx) // pushes end first: a stream is a request that would not end by itself
	defer stopHub()
	ended := make(chan error, 2)
	go func() { ended <- s.tables.Run(tables) }()
	go func() { ended <- s.hub.Run(hub) }()
	go func() { ended <- s.status.follow(hub) }()
	err := listen(ctx)
	if s.backtests != nil {
		s.backtests.Close()
	}
	stopHub()
	stopTables()
	for range 3 {
		if e := <-ended; err == nil {
			err = e
		}
	}
	return err
}
