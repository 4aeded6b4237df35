package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/views/api"
)

// bench keeps one backtest, b1.
type bench struct {
	asked api.BacktestRequest
	err   error
	job   api.Backtest
}

func (b *bench) Start(_ context.Context, r api.BacktestRequest) (api.Backtest, error) {
	b.asked = r
	return b.job, b.err
}

func (b *bench) Get(id string) (api.Backtest, error) {
	if id != b.job.ID {
		return api.Backtest{}, api.ErrNoBacktest
	}
	return b.job, nil
}

func (b *bench) Cancel(id string) (api.Backtest, error) {
	b.job.State = "cancelled"
	return b.Get(id)
}

func TestBacktestsAreStartedFollowedAndCancelled(t *testing.T) {
	s := open(t)
	b := &bench{job: api.Backtest{ID: "b1", State: "running", Started: noon, Total: 7}}
	call := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		s.ServeHTTP(w, r)
		return w
	}
	if w := call(http.MethodPost, "/v1/rules/backtest", `{"id":"x"}`); w.Code != 503 {
		t.Errorf("without backtests: %d", w.Code)
	}
	s.deps.Backtests = b
	s.Handler = api.New(s.deps)

	w := call(http.MethodPost, "/v1/rules/backtest", `{"yaml":"rules: []","from":"2026-01-01T00:00:00Z","against":"current"}`)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/v1/rules/backtest/b1" || b.asked.Against != "current" || b.asked.From == nil {
		t.Errorf("started: %d %s %+v", w.Code, w.Body, b.asked)
	}
	for name, c := range map[string]struct {
		body string
		err  error
		want int
	}{
		"neither":        {`{}`, nil, 422},
		"both":           {`{"id":"a","yaml":"rules: []"}`, nil, 422},
		"an empty range": {`{"id":"a","from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, nil, 422},
		"what is that":   {`{"id":"a","against":"yesterday"}`, nil, 422},
		"busy":           {`{"id":"a"}`, api.ErrBusy, 429},
		"no such rule":   {`{"id":"a"}`, api.ErrNoRule, 404},
		"mistakes":       {`{"yaml":"rules: [}"}`, &api.RuleProblems{Problems: []api.RuleProblem{{Line: 1, Column: 9, Message: "what"}}}, 422},
	} {
		b.err = c.err
		if w := call(http.MethodPost, "/v1/rules/backtest", c.body); w.Code != c.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	b.job.Report = map[string]any{"events": 7}
	var got api.Backtest
	w = call(http.MethodGet, "/v1/rules/backtest/b1", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.State != "running" || got.Total != 7 || got.Report == nil {
		t.Errorf("followed: %v %s", err, w.Body)
	}
	if w := call(http.MethodGet, "/v1/rules/backtest/b2", ""); w.Code != 404 {
		t.Errorf("another: %d", w.Code)
	}
	if w := call(http.MethodDelete, "/v1/rules/backtest/b1", ""); w.Code != 200 || b.job.State != "cancelled" {
		t.Errorf("cancelled: %d %s", w.Code, w.Body)
	}
}
