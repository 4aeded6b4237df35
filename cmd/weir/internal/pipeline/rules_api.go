package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"weir/processors/rule"
	"weir/topology/rulebook"
	"weir/views/api"
)

var _ api.RuleBook = (*RulesAPI)(nil)

// RulesAPI is the rule book as the HTTP API sees it.
type RulesAPI struct {
	*RuleFollower
	history chan struct{} // holds one token: a history may be 80 MB, so one request reads it at a time
}

// NewRulesAPI serves what f follows.
func NewRulesAPI(f *RuleFollower) *RulesAPI { return &RulesAPI{f, make(chan struct{}, 1)} }

// Rules implements api.RuleBook.
func (a *RulesAPI) Rules() api.Rules {
	book, problem := a.Newest()
	return RulesOf(book, a.Current().Load(), problem)
}

// RulesOf describes a book. What only the compiled rules know comes from set, as far as it has them.
func RulesOf(book rulebook.Book, set *rule.Set, problem string) api.Rules {
	out := api.Rules{Revision: book.Revision, At: instant(book.At), Author: book.Author, Comment: book.Comment, Problem: problem, Rules: []api.Rule{}}
	for _, r := range book.Document.Rules {
		info := api.Rule{ID: r.ID, State: r.State, Version: r.Version, Text: r.YAML, Author: r.Author, ChangedAt: instant(r.At)}
		if c := compiled(set, r.ID); c != nil {
			info.Title, info.Severity, info.Score, info.Kind = c.Title, string(c.Severity), c.Score, c.Kind
			info.Entity, info.Typology, info.Reason = c.Entity, c.Typology, c.Reason
		}
		out.Rules = append(out.Rules, info)
	}
	return out
}

// compiled finds a rule in a set, if there is one.
func compiled(set *rule.Set, id string) *rule.Rule {
	if set == nil {
		return nil
	}
	return set.Rule(id)
}

func instant(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// books reads the history, one request at a time.
func (a *RulesAPI) books(ctx context.Context) ([]rulebook.Book, error) {
	select {
	case a.history <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.history }()
	return a.RuleBook.History(ctx)
}

// History implements api.RuleBook.
func (a *RulesAPI) History(ctx context.Context, id string) ([]api.RuleRevision, error) {
	books, err := a.books(ctx)
	if err != nil {
		return nil, err
	}
	history := RuleHistory(books, id)
	if len(history) == 0 {
		return nil, api.ErrNoRule
	}
	return history, nil
}

// RuleHistory is what revisions, newest first, did to a rule.
func RuleHistory(books []rulebook.Book, id string) []api.RuleRevision {
	var out []api.RuleRevision
	for i, b := range books {
		var before rulebook.Document
		if i+1 < len(books) {
			before = books[i+1].Document
		}
		was, existed := before.Rule(id)
		r, exists := b.Document.Rule(id)
		h := api.RuleRevision{Revision: b.Revision, At: instant(b.At), Author: b.Author, Comment: b.Comment, State: r.State, Version: r.Version, Text: r.YAML}
		switch {
		case exists && !existed:
			h.Change = rulebook.Added
		case !exists && existed:
			h.Change, h.Version = rulebook.Gone, was.Version
		case exists && (was.YAML != r.YAML || was.Hash != r.Hash):
			h.Change = rulebook.Changed
		case exists && was.State != r.State:
			h.Change = rulebook.Moved
		default:
			continue
		}
		out = append(out, h)
	}
	return out
}

// Revisions implements api.RuleBook.
func (a *RulesAPI) Revisions(ctx context.Context) ([]api.Revision, error) {
	books, err := a.books(ctx)
	if err != nil {
		return nil, err
	}
	return RevisionsOf(books), nil
}

// RevisionsOf describes revisions, newest first.
func RevisionsOf(books []rulebook.Book) []api.Revision {
	out := make([]api.Revision, len(books))
	for i, b := range books {
		out[i] = api.Revision{Revision: b.Revision, At: instant(b.At), Author: b.Author, Comment: b.Comment, Effects: []api.RuleEffect{}}
		if i+1 < len(books) {
			out[i].Effects = effectsOf(rulebook.Compare(&books[i+1].Document, &b.Document))
		}
	}
	return out
}

func effectsOf(effects []rulebook.Effect) []api.RuleEffect {
	out := make([]api.RuleEffect, len(effects))
	for i, e := range effects {
		out[i] = api.RuleEffect{Kind: e.Kind, ID: e.ID, Change: e.Change, From: e.From, To: e.To}
	}
	return out
}

// Status implements api.RuleBook.
func (a *RulesAPI) Status() api.RulesStatus {
	inForce := a.InForce()
	_, problem := a.Newest()
	return api.RulesStatus{Revision: inForce.Revision, At: instant(inForce.At), Problem: problem}
}

// Put implements api.RuleBook.
func (a *RulesAPI) Put(ctx context.Context, id, yaml string, c api.RuleChange) (api.Rules, error) {
	over, w, err := parseRule(id, yaml)
	if err != nil {
		return api.Rules{}, w.refused(err)
	}
	return a.change(ctx, c, func(book rulebook.Book) (rulebook.Document, error) {
		next, err := a.Over(book, over, false)
		return next, w.refused(err)
	})
}

// SetState implements api.RuleBook.
func (a *RulesAPI) SetState(ctx context.Context, id, state string, c api.RuleChange) (api.Rules, error) {
	return a.change(ctx, c, func(book rulebook.Book) (rulebook.Document, error) {
		if _, ok := book.Document.Rule(id); !ok {
			return rulebook.Document{}, api.ErrNoRule
		}
		next, err := a.Moved(book, rule.State(state), id)
		return next, written{}.refused(err)
	})
}

// changeAttempts bounds how often a change that names no revision is made anew on rules that others have just changed.
const changeAttempts = 3

// change writes what next makes of the newest book, and shows it at once.
func (a *RulesAPI) change(ctx context.Context, c api.RuleChange, next func(rulebook.Book) (rulebook.Document, error)) (api.Rules, error) {
	for attempt := 1; ; attempt++ {
		book, err := a.RuleBook.Newest(ctx)
		if err != nil {
			return api.Rules{}, err
		}
		if c.On >= 0 && c.On != book.Revision {
			return api.Rules{}, &api.RuleConflict{Newest: book.Revision, Had: c.On}
		}
		document, err := next(book)
		if err != nil {
			return api.Rules{}, err
		}
		if len(rulebook.Compare(&book.Document, &document)) > 0 {
			written, err := a.Write(ctx, book, document, c.Author, c.Comment)
			var conflict *rulebook.ConflictError
			var limit *rulebook.LimitError
			switch {
			case errors.As(err, &conflict) && c.On < 0 && attempt < changeAttempts:
				continue
			case errors.As(err, &conflict):
				return api.Rules{}, &api.RuleConflict{Newest: conflict.Newest, Had: conflict.Had}
			case errors.As(err, &limit):
				return api.Rules{}, &api.RuleProblems{Problems: []api.RuleProblem{{Message: limit.Error()}}}
			case err != nil:
				return api.Rules{}, err
			}
			book = written
		}
		a.take(book)
		return a.Rules(), nil
	}
}

// Check implements api.RuleBook.
func (a *RulesAPI) Check(yaml string) ([]api.RuleEffect, error) {
	w := written{name: "document"}
	over, err := rule.Parse(w.name, []byte(yaml))
	if err != nil {
		return nil, w.refused(err)
	}
	book, _ := a.Newest()
	next, err := a.Over(book, over, false)
	if err != nil {
		return nil, w.refused(err)
	}
	return effectsOf(rulebook.Compare(&book.Document, &next)), nil
}

// written is how a text that was sent stands in the document that is parsed: lines come before it, and columns.
type written struct {
	name           string
	lines, columns int
}

var (
	wholeDocument = regexp.MustCompile(`(?m)^rules:`)
	ownID         = regexp.MustCompile(`(?m)^id:`)
)

// parseRule reads a rule as it stands in a list of rules, or a whole document with one rule and what that needs.
func parseRule(id, yaml string) (*rule.Document, written, error) {
	w := written{name: "rule " + id}
	if !wholeDocument.MatchString(yaml) {
		if !ownID.MatchString(yaml) {
			yaml, w.lines = "id: "+id+"\n"+yaml, 1
		}
		yaml = string((&rule.Document{Rules: []rule.Definition{{Text: yaml}}}).YAML())
		w.lines, w.columns = w.lines+1, 4
	}
	d, err := rule.Parse(w.name, []byte(yaml))
	if err != nil {
		return nil, w, err
	}
	if len(d.Rules) != 1 || d.Rules[0].ID != id {
		var ids []string
		for _, r := range d.Rules {
			ids = append(ids, r.ID)
		}
		return nil, w, rule.Problems{{Message: fmt.Sprintf("the text defines %s; it must define the rule %s and no other", strings.Join(ids, ", "), id)}}
	}
	return d, w, nil
}

// refused turns the language's problems into the API's, with places in the text that was sent.
func (w written) refused(err error) error {
	var problems rule.Problems
	if !errors.As(err, &problems) {
		return err
	}
	out := &api.RuleProblems{}
	for _, p := range problems {
		q := api.RuleProblem{Rule: p.Rule, Message: p.Message}
		switch {
		case p.File == w.name && p.Line > w.lines:
			q.Line, q.Column = p.Line-w.lines, max(1, p.Column-w.columns)
		case p.File != "" && p.File != w.name:
			q.Message = p.File + ": " + p.Message
		}
		out.Problems = append(out.Problems, q)
	}
	return out
}
