package api

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/topology"
	"weir/topology/table"
	"weir/views/live"
	"weir/views/query"
)

// Orders reads single orders. Get gives nil without an error where there is none.
type Orders interface {
	Get(id string) (row *table.Order, partition int32, err error)
	Progress() query.Progress
}

// StatusSource tells what the view server cannot see in its own tables: the groups that process, and exact counts.
type StatusSource interface {
	Status(ctx context.Context) (Status, error)
}

// Deps is what the API serves. Catalogue, Metrics, Orders and Ready are required.
type Deps struct {
	Catalogue *query.Catalogue
	Metrics   query.Metrics
	Orders    Orders
	Ready     func() (ready bool, missing string)
	Status    StatusSource        // nil: only tables are told
	RuleBook  RuleBook            // nil: no rules
	Backtests Backtests           // nil: none are run here
	Alerts    Alerts              // nil: this server tells nothing of fraud
	Entities  Entities            // nil: as Alerts
	Commands  Commands            // nil: no decisions are taken here
	Letters   DeadLetters         // nil: no dead letters are read here
	Topology  topology.Graph      // without groups: the one of the usual names
	Gatherer  prometheus.Gatherer // nil: no /metrics
	Live      http.Handler        // live.Paths; nil: 404
	Prom      http.Handler        // /prometheus/api/v1/; nil: 404
	Dashboard http.Handler        // everything else; nil: 404
	Version   string
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

type server struct {
	Deps
	overview overview
	replies  replies
}

// New builds the handler of the whole view server.
func New(deps Deps) http.Handler {
	s, mux, _ := build(deps)
	// There is no login, so whoever reaches the server may change rules: but not the page of another site, by a visitor's browser.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "a page of another origin may not change anything here")
	}))
	return guard.Handler(s.answers(mux))
}

// OpenAPI is the description of the API, as /openapi.json gives it.
func OpenAPI() ([]byte, error) {
	_, _, a := build(Deps{Version: "1"})
	return a.OpenAPI().MarshalJSON()
}

func build(deps Deps) (*server, *http.ServeMux, huma.API) {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if len(deps.Topology.Groups) == 0 {
		deps.Topology = topology.Describe(topology.Names{})
	}
	s := &server{Deps: deps}
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("weir", deps.Version)
	cfg.Info.Description = "Live metrics, order timelines and fraud alerts of a shop's orders, payments and shipments. Every answer says how fresh and how complete it is (meta). Errors are RFC 9457 problem details."
	cfg.CreateHooks = nil // no $schema in bodies: answers have exactly the documented shape
	cfg.DocsPath, cfg.SchemasPath = "", ""
	cfg.RejectUnknownQueryParameters = true
	cfg.Transformers = append(cfg.Transformers, noteAnswer)
	a := humago.New(mux, cfg)
	a.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		ctx.SetHeader("Cache-Control", "no-store")
		ctx.SetHeader("X-Content-Type-Options", "nosniff")
		if name, detail := malformed(ctx); detail != "" {
			_ = huma.WriteErr(a, ctx, http.StatusUnprocessableEntity, name+": "+detail, &huma.ErrorDetail{Message: detail, Location: "query." + name})
			return // that the client is gone is nobody's fault
		}
		next(ctx)
	})
	s.register(a)
	if deps.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(deps.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	if deps.Live != nil {
		for _, path := range live.Paths() {
			mux.Handle("GET "+path, deps.Live)
		}
	}
	if deps.Prom != nil {
		mux.Handle("/prometheus/", deps.Prom)
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if methods := methodsAt(mux, r); len(methods) > 0 {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeProblem(w, http.StatusMethodNotAllowed, r.URL.Path+" takes "+strings.Join(methods, ", ")+", not "+r.Method)
			return
		}
		writeProblem(w, http.StatusNotFound, "there is no "+r.URL.Path+"; /openapi.json lists what there is")
	})
	if deps.Dashboard != nil {
		mux.Handle("/", deps.Dashboard)
	}
	return s, mux, a
}

func (s *server) register(a huma.API) {
	huma.Register(a, huma.Operation{OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"health"},
		Summary: "The process lives"}, s.healthz)
	huma.Register(a, huma.Operation{OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary: "All partitions of all tables are recovered", Errors: []int{503}}, s.readyz)
	huma.Register(a, huma.Operation{OperationID: "status", Method: http.MethodGet, Path: "/v1/status", Tags: []string{"operations"},
		Summary: "Groups, partitions, watermarks, lag and exact counts", Errors: []int{503}}, s.status)
	huma.Register(a, huma.Operation{OperationID: "topology", Method: http.MethodGet, Path: "/v1/topology", Tags: []string{"operations"},
		Summary: "Topics, groups and tables, and how events travel"}, s.topology)
	huma.Register(a, huma.Operation{OperationID: "list-metrics", Method: http.MethodGet, Path: "/v1/metrics", Tags: []string{"metrics"},
		Summary: "The metrics that can be asked for, and what a dashboard should show first", Errors: []int{503}}, s.listMetrics)
	huma.Register(a, huma.Operation{OperationID: "query-metric", Method: http.MethodGet, Path: "/v1/metrics/{name}", Tags: []string{"metrics"},
		Summary: "The points of one metric", Errors: []int{404, 422, 503},
		Description: "Points are windows of event time, by their starts: from is inclusive, to exclusive. A window without a row has no point. " +
			"Rows are merged to the labels in by; money always keeps currency."}, s.queryMetric)
	huma.Register(a, huma.Operation{OperationID: "get-order", Method: http.MethodGet, Path: "/v1/orders/{id}", Tags: []string{"orders"},
		Summary: "One order: facts, state and the timeline of its events", Errors: []int{404, 503}}, s.getOrder)
	s.registerRules(a)
	s.registerBacktests(a)
	s.registerAlerts(a)
	s.registerEntities(a)
	s.registerDeadLetters(a)
	describe(a)
}

// malformed finds a parameter that is given twice, or empty where nothing is no value: huma would take the first one, or the default.
func malformed(ctx huma.Context) (name, detail string) {
	asked := ctx.URL()
	params := asked.Query()
	for _, p := range ctx.Operation().Parameters {
		values := params[p.Name]
		if p.In != "query" || p.Schema == nil || len(values) == 0 || p.Schema.Type == huma.TypeArray {
			continue
		}
		switch {
		case len(values) > 1:
			return p.Name, fmt.Sprintf("is given %d times; give it once", len(values))
		case values[0] == "" && (p.Schema.Type != huma.TypeString || len(p.Schema.Enum) > 0):
			return p.Name, "is empty; give it a value, or leave it out"
		}
	}
	return "", ""
}

// methodsAt are the methods that a path takes, by the most specific pattern that it fits.
func methodsAt(mux *http.ServeMux, r *http.Request) []string {
	var out []string
	fewest := math.MaxInt
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		asked := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		_, pattern := mux.Handler(asked)
		wildcards := strings.Count(pattern, "{")
		if !strings.Contains(pattern, " ") || wildcards > fewest {
			continue
		}
		if wildcards < fewest {
			out, fewest = nil, wildcards
		}
		out = append(out, method)
	}
	return out
}

type healthOutput struct {
	Body struct {
		Status  string `json:"status" enum:"ok"`
		Version string `json:"version"`
	}
}

func (s *server) healthz(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Status, out.Body.Version = "ok", s.Version
	return out, nil
}

func (s *server) readyz(context.Context, *struct{}) (*healthOutput, error) {
	if ready, missing := s.Ready(); !ready {
		return nil, tryAgain(&unready{huma.ErrorModel{Status: http.StatusServiceUnavailable, Title: http.StatusText(http.StatusServiceUnavailable),
			Detail: "not ready: " + missing + ". What is there is served, and meta.partial says that it is not all"}, s.tables()})
	}
	return s.healthz(context.Background(), nil)
}

// unready is the problem of a server that is starting or recovering.
type unready struct {
	huma.ErrorModel
	Tables []TableStatus `json:"tables" doc:"how far each has come"`
}
