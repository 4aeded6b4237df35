package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"weir/topology/event"
	"weir/views/query"
)

// Prefix is where the API stands: a data source's URL is the server's with /prometheus.
const Prefix = "/prometheus/api/v1/"

// Limits of one request.
const (
	maxBody       = 256 << 10
	maxExpression = 64 << 10
	maxSelectors  = 32 // match[] of one request
	maxPoints     = query.MaxPoints
	maxRows       = query.MaxRows
	maxSeries     = 10_000
	maxSamples    = 2_000_000
	maxRunning    = 4 // queries at once; others wait for their turn
	queryTimeout  = 20 * time.Second
)

// Config is what the API serves.
type Config struct {
	Catalogue *query.Catalogue
	Metrics   query.Metrics
	Alerts    Alerts // nil: alerts are not served
	Version   string
	Logger    *slog.Logger         // nil: silent
	Registry  *prometheus.Registry // nil: nothing is counted
	Now       func() time.Time     // nil: time.Now
}

type server struct {
	Config
	catalogue *catalogue
	parser    parser.Parser
	engine    *promql.Engine
	turns     chan struct{}
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

// New builds the handler of everything under Prefix.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &server{Config: cfg, catalogue: newCatalogue(cfg.Catalogue, cfg.Alerts != nil), parser: parser.NewParser(parser.Options{}), turns: make(chan struct{}, maxRunning)}
	if len(s.catalogue.left) > 0 {
		cfg.Logger.Warn("names of the Prometheus API are taken twice; the metric declared first has them. Rename one in the metrics file",
			"names", s.catalogue.left)
	}
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger: cfg.Logger, MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: leastHold, EnableAtModifier: true,
		EnableNegativeOffset: true, NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() }, Parser: s.parser,
	})
	s.count()
	mux := http.NewServeMux()
	for name, h := range map[string]handler{
		"query": s.query, "query_range": s.queryRange, "labels": s.labels, "series": s.series, "metadata": s.metadata,
		"status/buildinfo": s.buildinfo, "query_exemplars": s.exemplars, "rules": s.rules, "alerts": s.alerts, "format_query": s.format,
	} {
		mux.Handle(Prefix+name, s.serve(name, h))
	}
	mux.Handle(Prefix+"label/{name}/values", s.serve("label_values", s.labelValues))
	mux.Handle(Prefix, s.serve("other", func(_ context.Context, r *http.Request) (any, annotations.Annotations, error) {
		return nil, nil, &apiError{http.StatusNotFound, "not_found",
			"there is no " + r.URL.Path + " here: weir serves the part of Prometheus' API that reads: query, query_range, labels, label/NAME/values, series, metadata"}
	}))
	return mux
}

func (s *server) count() {
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_prom_requests_total",
		Help: "Requests of the Prometheus read API, by how they ended."}, []string{"handler", "code"})
	s.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_prom_request_seconds",
		Help: "How long requests of the Prometheus read API took, waiting for their turn included.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)},
		[]string{"handler"})
	if s.Registry != nil {
		s.Registry.MustRegister(s.requests, s.seconds)
	}
}

// handler answers one request with data, or with an error that apiError knows how to put.
type handler func(context.Context, *http.Request) (data any, warnings annotations.Annotations, err error)

func (s *server) serve(name string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		var data any
		var warnings annotations.Annotations
		err := s.parse(w, r)
		if err == nil {
			data, warnings, err = h(r.Context(), r)
		}
		code := s.respond(w, r, data, warnings, err)
		s.requests.WithLabelValues(name, fmt.Sprint(code)).Inc()
		s.seconds.WithLabelValues(name).Observe(time.Since(began).Seconds())
	})
}

func (s *server) parse(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return &apiError{http.StatusMethodNotAllowed, "bad_data", "use GET or POST"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseForm()
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return &apiError{http.StatusRequestEntityTooLarge, "bad_data", fmt.Sprintf("the form has more than %d bytes", maxBody)}
	case err != nil:
		return badData("the form cannot be read: %v", err)
	}
	return nil
}

// open begins a reading of the table as it is now.
func (s *server) open(from, to event.UnixMilli) (*querier, error) {
	src, release, err := query.Hold(s.Metrics)
	if err != nil {
		return nil, err
	}
	r := &reader{src: src, progress: src.Progress(), rows: maxRows, series: maxSeries, samples: maxSamples, alerts: s.Alerts}
	if r.watermark = r.progress.Watermark; r.watermark == 0 {
		r.watermark = event.UnixMilli(s.Now().UnixMilli())
	}
	return &querier{reader: r, catalogue: s.catalogue, from: from, to: to, release: release}, nil
}

// partial adds what an answer lacks.
func (s *server) partial(warnings annotations.Annotations) annotations.Annotations {
	out := annotations.New().Merge(warnings)
	p := s.Metrics.Progress()
	if p.Present < p.Expected {
		out.Add(fmt.Errorf("the answer is partial: %d of %d partitions of the metrics are recovered, so values are too low", p.Present, p.Expected))
	}
	if p.Watermark == 0 && p.Present > 0 {
		out.Add(errors.New("the watermark is not known yet: the newest windows may still grow"))
	}
	return out
}
