package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A document of rules is smaller and comes sooner.
const (
	maxRuleBody    = 1 << 20
	ruleBodyWithin = 10 * time.Second
)

func (s *server) registerRules(a huma.API) {
	tags := []string{"rules"}
	huma.Register(a, huma.Operation{OperationID: "list-rules", Method: http.MethodGet, Path: "/v1/rules", Tags: tags,
		Summary: "The fraud rules in force", Errors: []int{503}}, s.listRules)
	huma.Register(a, huma.Operation{OperationID: "get-rule", Method: http.MethodGet, Path: "/v1/rules/{id}", Tags: tags,
		Summary: "One rule with its history", Errors: []int{404, 503}}, s.getRule)
	huma.Register(a, huma.Operation{OperationID: "put-rule", Method: http.MethodPut, Path: "/v1/rules/{id}", Tags: tags,
		Summary: "Add or replace a rule", Errors: []int{409, 412, 413, 415, 422, 503}, RequestBody: ruleBody("the rule as YAML, with or without its id and state"),
		SkipValidateBody: true, MaxBodyBytes: maxRuleBody, BodyReadTimeout: ruleBodyWithin,
		Description: "Takes the rule's YAML as it is (application/yaml, with author and comment as query parameters), or in JSON. It is live on every " +
			"instance within two seconds. A rule that is refused (422) is refused whole, and problems has every reason with line and column. " +
			"Without If-Match the newest rules are changed, whichever they are."}, s.putRule)
	huma.Register(a, huma.Operation{OperationID: "set-rule-state", Method: http.MethodPost, Path: "/v1/rules/{id}/state", Tags: tags,
		Summary: "Move a rule to another state", Errors: []int{404, 409, 412, 422, 503}}, s.setRuleState)
	huma.Register(a, huma.Operation{OperationID: "check-rules", Method: http.MethodPost, Path: "/v1/rules/check", Tags: tags,
		Summary: "What applying a document would do, without doing it", Errors: []int{413, 415, 422, 503},
		RequestBody:      ruleBody("a document of rules, features and lists as YAML"),
		SkipValidateBody: true, MaxBodyBytes: maxRuleBody, BodyReadTimeout: ruleBodyWithin}, s.checkRules)
	huma.Register(a, huma.Operation{OperationID: "list-rule-revisions", Method: http.MethodGet, Path: "/v1/rulebook/revisions", Tags: tags,
		Summary: "Who changed what in the rule book, newest first", Errors: []int{503}}, s.listRevisions)
}

// ruleBody describes a body that is YAML itself or JSON with YAML in it.
func ruleBody(what string) *huma.RequestBody {
	text := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description}
	}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/yaml": {Schema: &huma.Schema{Description: what}},
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"yaml"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{"yaml": text(what), "author": text("who changes it"), "comment": text("why")}}},
	}}
}

type rulesOutput struct {
	ETag string `header:"ETag" doc:"the revision, for If-Match"`
	Body Rules
}

func rulesAnswer(r Rules) *rulesOutput {
	return &rulesOutput{ETag: strconv.Quote(strconv.FormatInt(r.Revision, 10)), Body: r}
}

func (s *server) ruleBook() (RuleBook, error) {
	if s.RuleBook == nil {
		return nil, huma.Error503ServiceUnavailable("this server follows no rule book")
	}
	return s.RuleBook, nil
}

type rulesInput struct {
	Paging
	Formats
}

func (s *server) listRules(_ context.Context, in *rulesInput) (*rulesOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	rules := book.Rules()
	rules.Rules, rules.Next, err = page(rules.Rules, in.Paging, func(r Rule) string { return r.ID })
	return rulesAnswer(rules), err
}

type ruleInput struct {
	ID string `path:"id" maxLength:"200" doc:"the rule" example:"card_testing"`
}

type ruleOutput struct {
	ETag string `header:"ETag" doc:"the revision of the rule book, for If-Match"`
	Body struct {
		Rule     *Rule          `json:"rule" doc:"null: it was removed"`
		Revision int64          `json:"revision" doc:"of the rule book"`
		History  []RuleRevision `json:"history" doc:"newest first, as far as revisions are kept"`
	}
}

func (s *server) getRule(ctx context.Context, in *ruleInput) (*ruleOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	out := &ruleOutput{}
	all := book.Rules()
	out.ETag, out.Body.Revision = rulesAnswer(all).ETag, all.Revision
	for i := range all.Rules {
		if all.Rules[i].ID == in.ID {
			out.Body.Rule = &all.Rules[i]
		}
	}
	out.Body.History, err = book.History(ctx, in.ID)
	if errors.Is(err, ErrNoRule) && out.Body.Rule != nil {
		out.Body.History, err = []RuleRevision{}, nil // it came with the file that nobody has changed
	}
	if err != nil {
		return nil, s.ruleProblem(err, in.ID, false)
	}
	return out, nil
}

type putRuleInput struct {
	ID          string `path:"id" maxLength:"200" doc:"the rule" example:"card_testing"`
	IfMatch     string `header:"If-Match" doc:"the ETag of the rules that you have seen"`
	ContentType string `header:"Content-Type"`
	IdempotencyKey
	Author  string `query:"author" maxLength:"200" doc:"who changes it, where the body is YAML"`
	Comment string `query:"comment" maxLength:"2000" doc:"why, where the body is YAML"`
	RawBody []byte
}

func (s *server) putRule(ctx context.Context, in *putRuleInput) (*rulesOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	text, err := readRuleText(in.ContentType, in.RawBody, in.Author, in.Comment)
	if err != nil {
		return nil, err
	}
	on, err := bookRevision(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if text.Author == "" {
		return nil, authorMissing()
	}
	asked := strings.Join([]string{in.ID, in.IfMatch, text.YAML, text.Author, text.Comment}, "\x00")
	return once(&s.replies, "put-rule", in.Key, asked, func() (*rulesOutput, error) {
		rules, err := book.Put(ctx, in.ID, text.YAML, RuleChange{text.Author, text.Comment, on})
		if err != nil {
			return nil, s.ruleProblem(err, in.ID, on >= 0)
		}
		return rulesAnswer(rules), nil
	})
}

type ruleStateInput struct {
	ID      string `path:"id" maxLength:"200" doc:"the rule" example:"card_testing"`
	IfMatch string `header:"If-Match" doc:"the ETag of the rules that you have seen"`
	IdempotencyKey
	Body struct {
		State  string `json:"state" enum:"draft,shadow,live,paused,retired"`
		Reason string `json:"reason,omitempty" maxLength:"2000"`
		Author string `json:"author" minLength:"1" maxLength:"200"`
	}
}

func (s *server) setRuleState(ctx context.Context, in *ruleStateInput) (*rulesOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	on, err := bookRevision(in.IfMatch)
	if err != nil {
		return nil, err
	}
	asked := strings.Join([]string{in.ID, in.IfMatch, in.Body.State, in.Body.Author, in.Body.Reason}, "\x00")
	return once(&s.replies, "set-rule-state", in.Key, asked, func() (*rulesOutput, error) {
		rules, err := book.SetState(ctx, in.ID, in.Body.State, RuleChange{in.Body.Author, in.Body.Reason, on})
		if err != nil {
			return nil, s.ruleProblem(err, in.ID, on >= 0)
		}
		return rulesAnswer(rules), nil
	})
}

type checkRulesInput struct {
	ContentType string `header:"Content-Type"`
	RawBody     []byte
}

type checkRulesOutput struct {
	Body struct {
		Valid    bool          `json:"valid"`
		Problems []RuleProblem `json:"problems"`
		Effects  []RuleEffect  `json:"effects" doc:"what applying it would change"`
	}
}

func (s *server) checkRules(_ context.Context, in *checkRulesInput) (*checkRulesOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	text, err := readRuleText(in.ContentType, in.RawBody, "", "")
	if err != nil {
		return nil, err
	}
	out := &checkRulesOutput{}
	out.Body.Problems, out.Body.Effects = []RuleProblem{}, []RuleEffect{}
	effects, err := book.Check(text.YAML)
	var refused *RuleProblems
	switch {
	case errors.As(err, &refused):
		out.Body.Problems = refused.Problems
	case err != nil:
		return nil, s.ruleProblem(err, "", false)
	default:
		out.Body.Valid, out.Body.Effects = true, effects
	}
	return out, nil
}

type revisionList struct {
	Revisions []Revision `json:"revisions"`
	Next      string     `json:"next" doc:"cursor of the page after; empty: this is the last one"`
}

type revisionsOutput struct{ Body revisionList }

func (s *server) listRevisions(ctx context.Context, in *rulesInput) (*revisionsOutput, error) {
	book, err := s.ruleBook()
	if err != nil {
		return nil, err
	}
	out := &revisionsOutput{}
	all, err := book.Revisions(ctx)
	if err != nil {
		return nil, s.ruleProblem(err, "", false)
	}
	out.Body.Revisions, out.Body.Next, err = page(all, in.Paging, func(r Revision) string { return strconv.FormatInt(r.Revision, 10) })
	return out, err
}
