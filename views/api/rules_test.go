package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/views/api"
)

// shelf is a rule book of one rule, card_testing, at revision 3.
type shelf struct {
	rules   api.Rules
	changes []api.RuleChange
	text    string
	state   string
	err     error
	status  api.RulesStatus
}

func (s *shelf) Rules() api.Rules { return s.rules }
func (s *shelf) History(_ context.Context, id string) ([]api.RuleRevision, error) {
	if s.err != nil {
		return nil, s.err
	}
	if id != "card_testing" {
		return nil, api.ErrNoRule
	}
	return []api.RuleRevision{{Revision: 3, At: &noon, Author: "ann", Change: "added", State: "live", Version: 1}}, nil
}

func (s *shelf) Put(_ context.Context, id, yaml string, c api.RuleChange) (api.Rules, error) {
	s.text = yaml
	return s.change(c)
}

func (s *shelf) SetState(_ context.Context, id, state string, c api.RuleChange) (api.Rules, error) {
	if id != "card_testing" {
		return api.Rules{}, api.ErrNoRule
	}
	s.state = state
	return s.change(c)
}

func (s *shelf) change(c api.RuleChange) (api.Rules, error) {
	if s.err != nil {
		return api.Rules{}, s.err
	}
	if c.On >= 0 && c.On != s.rules.Revision {
		return api.Rules{}, &api.RuleConflict{Newest: s.rules.Revision, Had: c.On}
	}
	s.changes = append(s.changes, c)
	s.rules.Revision++
	return s.rules, nil
}

func (s *shelf) Check(yaml string) ([]api.RuleEffect, error) {
	s.text = yaml
	return []api.RuleEffect{{Kind: "rule", ID: "card_testing", Change: "changed"}}, s.err
}

func (s *shelf) Revisions(context.Context) ([]api.Revision, error) {
	return []api.Revision{{Revision: 3, Author: "ann", Effects: []api.RuleEffect{}}}, s.err
}
func (s *shelf) Status() api.RulesStatus { return s.status }

func openRules(t *testing.T) (*shop, *shelf) {
	s := open(t)
	book := &shelf{rules: api.Rules{Revision: 3, At: &noon, Author: "ann", Rules: []api.Rule{{ID: "card_testing", State: "live", Version: 2, Severity: "high", Kind: "when", Text: "when: amount > 1\n"}}}}
	s.deps.RuleBook = book
	s.Handler = api.New(s.deps)
	return s, book
}

type request struct {
	method, path, body string
	header             map[string]string
}

func (s *shop) send(t *testing.T, r request, into any) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %v: %s", r.method, r.path, err, w.Body)
		}
	}
	return w
}

var (
	yamlBody = map[string]string{"Content-Type": "application/yaml; charset=utf-8"}
	jsonBody = map[string]string{"Content-Type": "application/json"}
)

func TestRulesAreListedWithTheirRevision(t *testing.T) {
	s, _ := openRules(t)
	var list api.Rules
	if w := s.get(t, "/v1/rules", &list); !strings.HasPrefix(w.Header().Get("ETag"), `"3-`) || list.Revision != 3 || len(list.Rules) != 1 || list.Rules[0].Severity != "high" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	var one struct {
		Rule     *api.Rule
		Revision int64
		History  []api.RuleRevision
	}
	if s.get(t, "/v1/rules/card_testing", &one); one.Rule == nil || one.Rule.Text != "when: amount > 1\n" || one.Revision != 3 || len(one.History) != 1 {
		t.Errorf("%+v", one)
	}
	if p := s.problem(t, "/v1/rules/nothing", 404); p.Errors[0].Location != "path.id" {
		t.Errorf("%+v", p)
	}
	var revisions struct{ Revisions []api.Revision }
	if s.get(t, "/v1/rulebook/revisions", &revisions); len(revisions.Revisions) != 1 || revisions.Revisions[0].Author != "ann" {
		t.Errorf("%+v", revisions)
	}
}

func TestARuleIsPutAsYAMLOrInJSON(t *testing.T) {
	s, book := openRules(t)
	w := s.send(t, request{"PUT", "/v1/rules/card_testing?author=ben&comment=tighter", "when: amount > 2\n", yamlBody}, nil)
	if w.Code != 200 || w.Header().Get("ETag") != `"4"` || book.text != "when: amount > 2\n" || book.changes[0] != (api.RuleChange{Author: "ben", Comment: "tighter", On: -1}) {
		t.Errorf("%d %s %+v", w.Code, w.Body, book)
	}
	withETag := map[string]string{"Content-Type": "application/json", "If-Match": `"4"`}
	w = s.send(t, request{"PUT", "/v1/rules/card_testing", `{"yaml": "when: amount > 3", "author": "cem"}`, withETag}, nil)
	if w.Code != 200 || book.text != "when: amount > 3" || book.changes[1] != (api.RuleChange{Author: "cem", On: 4}) {
		t.Errorf("%d %s %+v", w.Code, w.Body, book)
	}
	var p problem
	if w = s.send(t, request{"PUT", "/v1/rules/card_testing", `{"yaml": "when: amount > 3", "author": "cem"}`, withETag}, &p); w.Code != 412 || !strings.Contains(p.Detail, "revision 5, you had 4") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for name, c := range map[string]struct {
		request
		status int
		says   string
	}{
		"no author":         {request{"PUT", "/v1/rules/a", "when: x", yamlBody}, 422, "author"},
		"a form":            {request{"PUT", "/v1/rules/a?author=b", "when: x", map[string]string{"Content-Type": "text/plain"}}, 415, "application/yaml"},
		"no type":           {request{"PUT", "/v1/rules/a?author=b", "when: x", nil}, 415, "application/yaml"},
		"an unknown field":  {request{"PUT", "/v1/rules/a", `{"yaml": "x", "auhtor": "b"}`, jsonBody}, 422, "auhtor"},
		"no revision":       {request{"PUT", "/v1/rules/a?author=b", "when: x", map[string]string{"Content-Type": "text/yaml", "If-Match": `"abc"`}}, 422, "If-Match"},
		"too long":          {request{"PUT", "/v1/rules/a?author=b", strings.Repeat("x", 2<<20), yamlBody}, 413, "large"},
		"an unknown state":  {request{"POST", "/v1/rules/card_testing/state", `{"state": "asleep", "author": "b"}`, jsonBody}, 422, "validation"},
		"a state's author":  {request{"POST", "/v1/rules/card_testing/state", `{"state": "live"}`, jsonBody}, 422, "validation"},
		"a state of nobody": {request{"POST", "/v1/rules/nothing/state", `{"state": "live", "author": "b"}`, jsonBody}, 404, "no rule"},
	} {
		var p problem
		if w := s.send(t, c.request, &p); w.Code != c.status || !strings.Contains(p.Detail, c.says) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v %.300s", name, w.Code, w.Header(), w.Body)
		}
	}
}

func TestARefusedRuleComesBackWithEveryReason(t *testing.T) {
	s, book := openRules(t)
	book.err = &api.RuleProblems{Problems: []api.RuleProblem{{Line: 1, Column: 7, Rule: "card_testing", Message: "there is no field amuont"}, {Line: 4, Column: 9, Message: "grace is no duration"}}}
	var p struct {
		problem
		Problems []api.RuleProblem
	}
	w := s.send(t, request{"PUT", "/v1/rules/card_testing?author=ben", "when: amuont > 2\n", yamlBody}, &p)
	if w.Code != 422 || len(p.Problems) != 2 || p.Problems[0].Line != 1 || p.Problems[0].Column != 7 || len(p.Errors) != 2 || p.Errors[1].Location != "body:4:9" ||
		w.Header().Get("Content-Type") != "application/problem+json" || p.Status != 422 {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	var checked struct {
		Valid    bool
		Problems []api.RuleProblem
		Effects  []api.RuleEffect
	}
	if w := s.send(t, request{"POST", "/v1/rules/check", "rules: []", yamlBody}, &checked); w.Code != 200 || checked.Valid || len(checked.Problems) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	book.err = nil
	if w := s.send(t, request{"POST", "/v1/rules/check", `{"yaml": "rules: []"}`, jsonBody}, &checked); w.Code != 200 || !checked.Valid || len(checked.Problems) != 0 || len(checked.Effects) != 1 || book.text != "rules: []" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	book.err = errors.New("broker 10.0.0.1:9092 does not answer")
	if w := s.send(t, request{"POST", "/v1/rules/card_testing/state", `{"state": "paused", "author": "b"}`, jsonBody}, nil); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	book.err = &api.RuleConflict{Newest: 5, Had: 3}
	if w := s.send(t, request{"POST", "/v1/rules/card_testing/state", `{"state": "paused", "author": "b"}`, jsonBody}, nil); w.Code != 409 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAStateIsSetWithItsReason(t *testing.T) {
	s, book := openRules(t)
	w := s.send(t, request{"POST", "/v1/rules/card_testing/state", `{"state": "paused", "reason": "too loud", "author": "ben"}`, jsonBody}, nil)
	if w.Code != 200 || book.state != "paused" || book.changes[0] != (api.RuleChange{Author: "ben", Comment: "too loud", On: -1}) {
		t.Errorf("%d %s %+v", w.Code, w.Body, book)
	}
}

// There is no login: a page of another site must not change rules by the browser of someone who can reach the server.
func TestAPageOfAnotherSiteChangesNothing(t *testing.T) {
	s, book := openRules(t)
	foreign := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example", "Content-Type": "application/json"}
	for _, r := range []request{
		{"POST", "/v1/rules/card_testing/state", `{"state": "paused", "author": "b"}`, foreign},
		{"PUT", "/v1/rules/card_testing", `{"yaml": "x", "author": "b"}`, foreign},
	} {
		if w := s.send(t, r, nil); w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != "application/problem+json" || len(book.changes) > 0 {
			t.Errorf("%s: %d %s", r.path, w.Code, w.Body)
		}
	}
	own := map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
	if w := s.send(t, request{"POST", "/v1/rules/card_testing/state", `{"state": "paused", "author": "b"}`, own}, nil); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStatusTellsWhichRulesAreInForce(t *testing.T) {
	s, book := openRules(t)
	book.status = api.RulesStatus{Revision: 2, At: &noon, Problem: "revision 3: rules.yaml:3:4: there is no field amuont"}
	var st api.Status
	if s.get(t, "/v1/status", &st); st.Rules == nil || st.Rules.Revision != 2 || !strings.Contains(st.Rules.Problem, "amuont") {
		t.Errorf("%+v", st.Rules)
	}
	bare := open(t)
	bare.problem(t, "/v1/rules", 503)
}
