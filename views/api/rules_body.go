package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// ruleText is a document of rules, and who sends it why.
type ruleText struct{ YAML, Author, Comment string }

// readRuleText takes a body that is YAML itself, or JSON with YAML in it.
func readRuleText(contentType string, body []byte, author, comment string) (ruleText, error) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
	case media == "application/yaml", media == "application/x-yaml", media == "text/yaml":
		return ruleText{string(body), author, comment}, nil
	case media == "application/json":
		text := struct {
			YAML            *string
			Author, Comment string
		}{Author: author, Comment: comment}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		err := d.Decode(&text)
		if err == nil && text.YAML == nil {
			err = errors.New("yaml is missing")
		}
		if err != nil {
			return ruleText{}, huma.Error422UnprocessableEntity("the body is not {\"yaml\": …, \"author\": …, \"comment\": …}: "+err.Error(),
				&huma.ErrorDetail{Message: err.Error(), Location: "body"})
		}
		return ruleText{*text.YAML, text.Author, text.Comment}, nil
	}
	return ruleText{}, huma.Error415UnsupportedMediaType(fmt.Sprintf("the Content-Type is %q; send application/yaml or application/json", contentType))
}

func authorMissing() error {
	return huma.Error422UnprocessableEntity("author: missing; say who changes the rule, for its history",
		&huma.ErrorDetail{Message: "missing: as a query parameter beside YAML, as a field in JSON", Location: "query.author"})
}

// bookRevision reads If-Match: an ETag of GET /v1/rules. −1: none, or any.
func bookRevision(ifMatch string) (int64, error) {
	text := revisionOf(ifMatch)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, huma.Error422UnprocessableEntity("If-Match: not an ETag of GET /v1/rules",
			&huma.ErrorDetail{Message: "not a revision", Location: "header.If-Match", Value: ifMatch})
	}
	return n, nil
}

// refusal is a problem with the reasons why rules are refused.
type refusal struct {
	huma.ErrorModel
	Problems []RuleProblem `json:"problems"`
}

// ruleProblem turns an error of the rule book into one for the client. matched tells that the client named a revision.
func (s *server) ruleProblem(err error, id string, matched bool) error {
	var refused *RuleProblems
	var conflict *RuleConflict
	switch {
	case errors.Is(err, ErrNoRule):
		return huma.Error404NotFound(fmt.Sprintf("there is no rule %q; GET /v1/rules lists what there is", id),
			&huma.ErrorDetail{Message: "there is no such rule", Location: "path.id", Value: id})
	case errors.As(err, &conflict) && matched:
		return huma.Error412PreconditionFailed(conflict.Error(), &huma.ErrorDetail{Message: "is not of the newest revision", Location: "header.If-Match"})
	case errors.As(err, &conflict):
		return huma.Error409Conflict(conflict.Error())
	case errors.As(err, &refused):
		out := &refusal{Problems: refused.Problems}
		out.Status, out.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
		out.Detail = fmt.Sprintf("nothing was changed, because of %d problems in the rules", len(refused.Problems))
		for _, p := range refused.Problems {
			out.Errors = append(out.Errors, &huma.ErrorDetail{Message: p.Message, Location: fmt.Sprintf("body:%d:%d", p.Line, p.Column), Value: p.Rule})
		}
		return out
	}
	s.Logger.Warn("the rule book cannot be reached", "error", err)
	return huma.Error503ServiceUnavailable("the rule book cannot be read or written now: " + err.Error())
}
