package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// RuleBook reads and changes the fraud rules.
type RuleBook interface {
	// Rules are those of the newest revision that this server knows.
	Rules() Rules
	// History is what happened to a rule, newest first; ErrNoRule if the book never had it.
	History(ctx context.Context, id string) ([]RuleRevision, error)
	// Put adds or replaces a rule.
	Put(ctx context.Context, id, yaml string, c RuleChange) (Rules, error)
	// SetState moves a rule to another state.
	SetState(ctx context.Context, id, state string, c RuleChange) (Rules, error)
	// Check tells what applying a document would change, without doing it; a *RuleProblems if it would be refused.
	Check(yaml string) ([]RuleEffect, error)
	// Revisions are those that are kept, newest first.
	Revisions(ctx context.Context) ([]Revision, error)
	Status() RulesStatus
}

// RuleChange is who changes something and why. On is the revision that it is based on, −1 for the newest, whichever that is.
type RuleChange struct {
	Author, Comment string
	On              int64
}

// ErrNoRule is that the book has no rule of this id.
var ErrNoRule = errors.New("there is no such rule")

// RuleConflict is that the rules were changed since the revision that a change is based on.
type RuleConflict struct{ Newest, Had int64 }

func (e *RuleConflict) Error() string {
	return fmt.Sprintf("someone changed the rules meanwhile (revision %d, you had %d): look at them again and repeat the change", e.Newest, e.Had)
}

// RuleProblems are the reasons why a change is refused.
type RuleProblems struct{ Problems []RuleProblem }

func (e *RuleProblems) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
	}
	return strings.Join(lines, "\n")
}

// RuleProblem is one reason, with its place in the text.
type RuleProblem struct {
	Line    int    `json:"line" doc:"in the text that was sent, from 1; 0: no place in it"`
	Column  int    `json:"column" doc:"from 1"`
	Rule    string `json:"rule" doc:"the rule, feature or list concerned; may be empty"`
	Message string `json:"message"`
}

// Rules are all rules of a revision.
type Rules struct {
	Revision int64      `json:"revision" doc:"of the rule book; 0: nobody has changed the built-in or configured rules yet"`
	At       *time.Time `json:"at" doc:"when that revision was made; null at revision 0"`
	Author   string     `json:"author"`
	Comment  string     `json:"comment"`
	Problem  string     `json:"problem" doc:"why this server still evaluates an earlier revision; empty: it evaluates this one"`
	Rules    []Rule     `json:"rules"`
	Next     string     `json:"next" doc:"cursor of the page after; empty: this is the last one"`
}

// Rule is one rule as it is in force.
type Rule struct {
	ID        string     `json:"id"`
	Title     string     `json:"title"`
	State     string     `json:"state" enum:"draft,shadow,live,paused,retired"`
	Version   int64      `json:"version" doc:"counts changes of what decides whether it matches, from 1"`
	Severity  string     `json:"severity" enum:"low,medium,high,critical"`
	Score     int64      `json:"score" doc:"0 to 100"`
	Kind      string     `json:"kind" enum:"when,reconcile,sequence,expect,anomaly"`
	Entity    string     `json:"entity" doc:"the kind of entity that its alerts are about" example:"card"`
	Typology  string     `json:"typology"`
	Reason    string     `json:"reason" doc:"why this is suspicious"`
	Text      string     `json:"text" doc:"the definition as YAML, without its state"`
	Author    string     `json:"author" doc:"of the last change"`
	ChangedAt *time.Time `json:"changed_at" doc:"null: never, since it came with the built-in or configured rules"`
}

// RuleRevision is what one revision did to a rule.
type RuleRevision struct {
	Revision int64      `json:"revision"`
	At       *time.Time `json:"at"`
	Author   string     `json:"author"`
	Comment  string     `json:"comment"`
	Change   string     `json:"change" enum:"added,changed,state,removed"`
	State    string     `json:"state"`
	Version  int64      `json:"version"`
	Text     string     `json:"text"`
}

// RuleEffect is what a change does to one definition.
type RuleEffect struct {
	Kind   string `json:"kind" enum:"rule,feature,list,defaults"`
	ID     string `json:"id"`
	Change string `json:"change" enum:"added,changed,state,removed,same"`
	From   string `json:"from" doc:"the state before; empty if it did not change"`
	To     string `json:"to"`
}

// Revision is one change of the rule book.
type Revision struct {
	Revision int64        `json:"revision"`
	At       *time.Time   `json:"at"`
	Author   string       `json:"author"`
	Comment  string       `json:"comment"`
	Effects  []RuleEffect `json:"effects" doc:"against the revision before; empty for the oldest that is kept"`
}

// RulesStatus tells which rules this process evaluates.
type RulesStatus struct {
	Revision int64      `json:"revision" doc:"in force here"`
	At       *time.Time `json:"at" doc:"when that revision was made; null at revision 0"`
	Problem  string     `json:"problem" doc:"why the newest revision is not in force here; empty: it is"`
}
