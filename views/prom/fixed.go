package prom

import (
	"context"
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/prometheus/util/annotations"
)

// languageVersion is the Prometheus whose engine this is. Clients choose by it what they may ask.
const languageVersion = "3.16.0"

type description struct {
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

func (s *server) metadata(_ context.Context, r *http.Request) (any, annotations.Annotations, error) {
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	if text := r.Form.Get("limit_per_metric"); text != "" { // there is one for each
		if _, err := strconv.Atoi(text); err != nil {
			return nil, nil, badData(`invalid parameter "limit_per_metric": must be a number`)
		}
	}
	only := r.Form.Get("metric")
	out := map[string][]description{}
	for _, f := range s.catalogue.forms {
		if (only == "" || only == f.name) && (limit == 0 || len(out) < limit) {
			out[f.name] = []description{{f.kind, f.help, f.unit}}
		}
	}
	return out, nil, nil
}

func (s *server) buildinfo(context.Context, *http.Request) (any, annotations.Annotations, error) {
	return map[string]string{"version": languageVersion, "revision": "weir " + s.Version, "branch": "", "buildUser": "", "buildDate": "",
		"goVersion": runtime.Version()}, nil, nil
}

// exemplars: metrics of the shop point to no traces.
func (s *server) exemplars(_ context.Context, r *http.Request) (any, annotations.Annotations, error) {
	_, err := s.expression(r, times{})
	return []any{}, nil, err
}

// rules and alerts: weir's own rules are of another kind, and have an API of their own.
func (s *server) rules(context.Context, *http.Request) (any, annotations.Annotations, error) {
	return map[string][]any{"groups": {}}, nil, nil
}

func (s *server) alerts(context.Context, *http.Request) (any, annotations.Annotations, error) {
	return map[string][]any{"alerts": {}}, nil, nil
}

func (s *server) format(_ context.Context, r *http.Request) (any, annotations.Annotations, error) {
	expr, err := s.expression(r, times{})
	if err != nil {
		return nil, nil, err
	}
	return expr.Pretty(0), nil, nil
}
