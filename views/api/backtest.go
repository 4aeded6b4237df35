package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Backtests run rules over the past, beside the requests.
type Backtests interface {
	// Start begins a backtest. *RuleProblems refuses its rules, ErrNoRule an id that the rule book does not have, ErrBusy one too many.
	Start(ctx context.Context, r BacktestRequest) (Backtest, error)
	// Get is how far a backtest has come; ErrNoBacktest if there is none of this id any more.
	Get(id string) (Backtest, error)
	// Cancel ends a backtest. What it has found until then stays.
	Cancel(id string) (Backtest, error)
}

// ErrBusy is that as many backtests run as may.
var ErrBusy = errors.New("as many backtests run as may at once: wait for one to end, or cancel one")

// ErrNoBacktest is that there is no backtest of an id.
var ErrNoBacktest = errors.New("there is no such backtest (any more): they are kept for an hour, in the process that ran them")

// BacktestRequest says what to run. Exactly one of YAML and ID is given.
type BacktestRequest struct {
	YAML    string     `json:"yaml,omitempty" maxLength:"1000000" doc:"a document of rules; what it refers to and does not define comes from the rules in force. Its rules are tried as live, unless they are paused or retired"`
	ID      string     `json:"id,omitempty" maxLength:"200" doc:"a rule of the rule book, tried as live"`
	From    *time.Time `json:"from,omitempty" doc:"report alerts that began then or later; events before it still fill features"`
	To      *time.Time `json:"to,omitempty" doc:"read no events that arrived then or later"`
	Against string     `json:"against,omitempty" enum:"current" doc:"current: try all rules in force with what is given laid over them, and compare with those in force"`
}

// Backtest is one backtest.
type Backtest struct {
	ID       string     `json:"id"`
	State    string     `json:"state" enum:"running,done,cancelled,failed"`
	Started  time.Time  `json:"started"`
	Ended    *time.Time `json:"ended" doc:"null: it runs"`
	Events   int64      `json:"events" doc:"played so far"`
	Total    int64      `json:"total" doc:"about how many there are to play"`
	Problem  string     `json:"problem" doc:"why it failed"`
	Report   any        `json:"report" doc:"what it found, as weir rules backtest --format json prints it; null while it runs and where it failed"`
	Partial  string     `json:"partial" enum:",cancelled,event limit,time limit" doc:"why it ended before the events did; empty: it did not"`
	Revision int64      `json:"revision" doc:"of the rule book that it is based on"`
}

func (s *server) registerBacktests(a huma.API) {
	tags := []string{"rules"}
	huma.Register(a, huma.Operation{OperationID: "start-backtest", Method: http.MethodPost, Path: "/v1/rules/backtest", Tags: tags,
		Summary: "Run rules over the past", DefaultStatus: http.StatusAccepted, Errors: []int{404, 422, 429, 503}, MaxBodyBytes: maxRuleBody,
		Description: "Plays what the source topics hold through the rules, beside everything else; nothing is told to anybody. At most two run at " +
			"once, for at most 5 million events or 15 minutes each; then the report is partial and says so."}, s.startBacktest)
	huma.Register(a, huma.Operation{OperationID: "get-backtest", Method: http.MethodGet, Path: "/v1/rules/backtest/{job}", Tags: tags,
		Summary: "How far a backtest has come, and its report", Errors: []int{404, 503}}, s.getBacktest)
	huma.Register(a, huma.Operation{OperationID: "cancel-backtest", Method: http.MethodDelete, Path: "/v1/rules/backtest/{job}", Tags: tags,
		Summary: "End a backtest", Errors: []int{404, 503}, Description: "Its report is then of what was played until now."}, s.cancelBacktest)
}

type startBacktestInput struct {
	IdempotencyKey
	Body BacktestRequest
}

type backtestOutput struct {
	Location string `header:"Location" doc:"where to ask how far it has come"`
	Body     Backtest
}

type backtestInput struct {
	Job string `path:"job" maxLength:"100" doc:"the backtest's id"`
}

func (s *server) startBacktest(ctx context.Context, in *startBacktestInput) (*backtestOutput, error) {
	r := in.Body
	switch {
	case s.Backtests == nil:
		return nil, noBacktests()
	case (r.YAML == "") == (r.ID == ""):
		return nil, huma.Error422UnprocessableEntity("give either yaml or id", &huma.ErrorDetail{Location: "body", Message: "one of yaml and id is needed"})
	case r.From != nil && r.To != nil && !r.From.Before(*r.To):
		return nil, huma.Error422UnprocessableEntity("the range is empty", &huma.ErrorDetail{Location: "body.to", Message: "is not after from"})
	}
	asked, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return once(&s.replies, "start-backtest", in.Key, string(asked), func() (*backtestOutput, error) {
		job, err := s.Backtests.Start(ctx, r)
		switch {
		case errors.Is(err, ErrBusy):
			return nil, huma.Error429TooManyRequests(err.Error())
		case err != nil:
			return nil, s.ruleProblem(err, r.ID, false)
		}
		return backtestAnswer(job), nil
	})
}

func backtestAnswer(b Backtest) *backtestOutput {
	return &backtestOutput{Location: "/v1/rules/backtest/" + b.ID, Body: b}
}

func noBacktests() error {
	return huma.Error503ServiceUnavailable("this server runs no backtests")
}

func (s *server) getBacktest(_ context.Context, in *backtestInput) (*backtestOutput, error) {
	return s.backtest(in.Job, Backtests.Get)
}

func (s *server) cancelBacktest(_ context.Context, in *backtestInput) (*backtestOutput, error) {
	return s.backtest(in.Job, Backtests.Cancel)
}

func (s *server) backtest(id string, call func(Backtests, string) (Backtest, error)) (*backtestOutput, error) {
	if s.Backtests == nil {
		return nil, noBacktests()
	}
	job, err := call(s.Backtests, id)
	if err != nil {
		return nil, huma.Error404NotFound(err.Error(), &huma.ErrorDetail{Message: err.Error(), Location: "path.job", Value: id})
	}
	return backtestAnswer(job), nil
}
