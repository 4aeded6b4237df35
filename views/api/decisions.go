package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/topology/alert"
	"weir/topology/table"
	"weir/views/search"
)

// Commands writes decisions to the group alerts.
type Commands interface {
	// Decide writes all of them, each acknowledged by Kafka or with its error, within a bounded time.
	Decide(ctx context.Context, decisions []*table.Decision) []error
}

// decidedWithin is how long a request waits until a decision that is written has been taken or refused.
const decidedWithin = 5 * time.Second

// maxSnooze bounds until.
const maxSnooze = 366 * 24 * time.Hour

// DecisionBody is what somebody makes of an alert.
type DecisionBody struct {
	Action   string     `json:"action" enum:"acknowledge,confirm,false_positive,snooze,close,reopen,assign,comment"`
	Author   string     `json:"author" minLength:"1" maxLength:"200" doc:"who decides"`
	Reason   string     `json:"reason,omitempty" maxLength:"2000" doc:"of a comment: the text"`
	Until    *time.Time `json:"until,omitempty" doc:"of snooze: when the alert is open again; at most 366 days ahead"`
	Assignee string     `json:"assignee,omitempty" maxLength:"200" doc:"of assign; empty: nobody"`
}

type decisionInput struct {
	ID      string `path:"id" maxLength:"64" doc:"the alert's id, also one that it had before"`
	IfMatch string `header:"If-Match" doc:"ETag of the alert that is decided on: refused (412) if it has changed since. None or *: any revision"`
	Key     string `header:"Idempotency-Key" maxLength:"128" doc:"a text of your choice, the same in each repetition: the decision is taken once"`
	Body    DecisionBody
}

// Decided is the body of a decision's answer.
type Decided struct {
	Decision string       `json:"decision" doc:"its id, as the alert's history names it"`
	Taken    bool         `json:"taken" doc:"false with 202: it is written, and will be taken or refused"`
	Alert    *alert.Alert `json:"alert" doc:"as it is now"`
}

type decisionOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   Decided
}

func (s *server) decideAlert(ctx context.Context, in *decisionInput) (*decisionOutput, error) {
	revision, err := expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	d, err := s.decision(in.Key, &in.Body)
	if err != nil {
		return nil, err
	}
	v := s.decide(ctx, d, []target{{in.ID, revision}})[0]
	if v.err != nil {
		return nil, v.err
	}
	switch v.status {
	case http.StatusOK, http.StatusAccepted:
		out := &decisionOutput{Status: v.status, Body: Decided{Decision: v.decision, Taken: v.status == http.StatusOK}}
		if a := alertIn(v.row, in.ID); a != nil {
			out.ETag, out.Body.Alert = etag(a), s.shown(v.row, a)
		}
		return out, nil
	case http.StatusNotFound:
		return nil, huma.Error404NotFound(v.detail, &huma.ErrorDetail{Message: v.detail, Location: "path.id", Value: in.ID})
	case http.StatusPreconditionFailed:
		return nil, huma.Error412PreconditionFailed(v.detail, &huma.ErrorDetail{Message: v.detail, Location: "header.If-Match", Value: in.IfMatch})
	}
	return nil, huma.NewError(v.status, v.detail)
}

// BulkDecision is the body of POST /v1/alerts/decisions.
type BulkDecision struct {
	Alerts []BulkTarget `json:"alerts" minItems:"1" maxItems:"200"`
	DecisionBody
}

// BulkTarget is one alert of many.
type BulkTarget struct {
	ID       string `json:"id" minLength:"1" maxLength:"64"`
	Revision int64  `json:"revision,omitempty" minimum:"0" doc:"that the decision is about; 0: any"`
}

type bulkInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"a text of your choice, the same in each repetition: each decision is taken once"`
	Body BulkDecision
}

// BulkResult is what became of the decision on one alert.
type BulkResult struct {
	ID       string          `json:"id" doc:"as it was given"`
	Status   int             `json:"status" doc:"200 taken, 202 written, 404, 409 and 412 refused, 503 not written"`
	Detail   string          `json:"detail,omitempty" doc:"why it was refused or not written"`
	Decision string          `json:"decision,omitempty"`
	Alert    *search.Summary `json:"alert" doc:"as it is now; null where there is none"`
}

type bulkOutput struct {
	Body struct {
		Results []BulkResult `json:"results" doc:"in the order of the alerts"`
	}
}

func (s *server) decideAlerts(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	d, err := s.decision(in.Key, &in.Body.DecisionBody)
	if err != nil {
		return nil, err
	}
	targets := make([]target, len(in.Body.Alerts))
	for i, a := range in.Body.Alerts {
		targets[i] = target(a)
		if slices.ContainsFunc(targets[:i], func(t target) bool { return t.ID == a.ID }) {
			detail := fmt.Sprintf("%q is given twice", a.ID)
			where := fmt.Sprintf("body.alerts[%d].id", i)
			return nil, huma.Error422UnprocessableEntity(detail, &huma.ErrorDetail{Message: detail, Location: where, Value: a.ID})
		}
	}
	out := &bulkOutput{}
	for i, v := range s.decide(ctx, d, targets) {
		if v.err != nil {
			return nil, v.err
		}
		r := BulkResult{ID: targets[i].ID, Status: v.status, Detail: v.detail, Decision: v.decision}
		if a := alertIn(v.row, targets[i].ID); a != nil {
			for _, summary := range search.Of(a.Entity, v.row, s.Now()) {
				if summary.ID == a.Id {
					shown := summary.Summary()
					r.Alert = &shown
				}
			}
		}
		out.Body.Results = append(out.Body.Results, r)
	}
	return out, nil
}

// expected reads an If-Match; 0 = any.
func expected(ifMatch string) (int64, error) {
	text := revisionOf(ifMatch)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, wrongField("header.If-Match", fmt.Sprintf("%q is no alert's ETag; GET the alert again and repeat its ETag", ifMatch), ifMatch)
	}
	return n, nil
}

// decision checks what can be checked without the alert. Its id is that of the request, to which each alert adds its own.
func (s *server) decision(key string, b *DecisionBody) (*table.Decision, error) {
	if s.Alerts == nil || s.Commands == nil {
		return nil, noFraud()
	}
	now := s.Now()
	switch {
	case strings.TrimSpace(b.Author) == "":
		return nil, wrongField("body.author", "say who decides", nil)
	case b.Action == alert.Comment && strings.TrimSpace(b.Reason) == "":
		return nil, wrongField("body.reason", "a comment needs a text", nil)
	case b.Action == alert.Snooze && (b.Until == nil || !b.Until.After(now) || b.Until.Sub(now) > maxSnooze):
		return nil, wrongField("body.until", "to snooze say until when: a time that has not come yet, at most 366 days ahead", nil)
	}
	if key == "" {
		key = rand.Text()
	}
	d := &table.Decision{Id: key, Action: b.Action, Author: b.Author, Reason: b.Reason, Assignee: b.Assignee, SeenAtMs: now.UnixMilli()}
	if b.Until != nil {
		d.UntilMs = b.Until.UnixMilli()
	}
	return d, nil
}

// target is an alert to decide on, and the revision that the decision is about; 0 = any.
type target struct {
	ID       string
	Revision int64
}

// verdict is what became of one decision.
type verdict struct {
	status   int // 0 = not known yet
	detail   string
	decision string
	row      *table.Case // as it was seen last; nil where there is no such alert
	err      error       // the server cannot tell

	entity  string
	changes <-chan struct{}
}

// decide writes a decision on each target and waits until all have been taken or refused, or the time is up.
func (s *server) decide(ctx context.Context, d *table.Decision, targets []target) []verdict {
	verdicts := make([]verdict, len(targets))
	var decisions []*table.Decision
	var written []int
	for i, t := range targets {
		one := d.CloneVT()
		one.Id, one.Alert, one.ExpectedRevision = d.Id+"/"+t.ID, t.ID, t.Revision
		v := &verdicts[i]
		if s.prepare(v, one); v.status != 0 || v.err != nil {
			continue
		}
		changes, stop := s.Alerts.Watch(v.entity) // before it is written: no change is missed
		defer stop()
		v.changes = changes
		decisions, written = append(decisions, one), append(written, i)
	}
	if len(decisions) == 0 {
		return verdicts
	}
	deadline, cancel := context.WithTimeout(ctx, decidedWithin)
	defer cancel()
	for n, err := range s.Commands.Decide(ctx, decisions) {
		v := &verdicts[written[n]]
		if err != nil {
			s.Logger.Error("a decision could not be written", "alert", decisions[n].Alert, "error", err)
			v.status = http.StatusServiceUnavailable
			v.detail = "the decision could not be written to Kafka: " + err.Error() + ". Repeat it with the same Idempotency-Key"
			continue
		}
		s.await(deadline, v, decisions[n])
	}
	return verdicts
}

// prepare finds the decision's alert, and answers what needs no writing: a repetition, or an alert that has changed.
func (s *server) prepare(v *verdict, d *table.Decision) {
	v.decision = d.Id
	id, entity, err := s.Alerts.Find(d.Alert)
	if err != nil {
		v.err = s.problem(err)
		return
	}
	if id == "" {
		v.status, v.detail = http.StatusNotFound, fmt.Sprintf("there is no alert %q; it may have expired", d.Alert)
		return
	}
	v.entity, d.Entity = entity, entity
	if !s.look(v, d) {
		return
	}
	a := alertIn(v.row, d.Alert)
	if a != nil && d.ExpectedRevision != 0 && d.ExpectedRevision < a.Revision {
		v.status = http.StatusPreconditionFailed
		v.detail = fmt.Sprintf("the alert is at revision %d, the decision was made at %d: look at it again", a.Revision, d.ExpectedRevision)
	}
}

// look reads the row for what became of the decision; true: nothing yet.
func (s *server) look(v *verdict, d *table.Decision) (open bool) {
	row, err := s.Alerts.Case(v.entity)
	if err != nil {
		v.err = s.problem(err)
		return false
	}
	v.row = row
	if slices.Contains(row.GetApplied(), d.Id) {
		v.status = http.StatusOK
		return false
	}
	for _, r := range row.GetRefusals() {
		if r.Decision != d.Id {
			continue
		}
		v.status, v.detail = http.StatusConflict, r.Why
		switch {
		case r.Revision == 0:
			v.status = http.StatusNotFound
		case d.ExpectedRevision != 0 && d.ExpectedRevision != r.Revision:
			v.status = http.StatusPreconditionFailed
		}
		return false
	}
	return true
}

// await looks each time the row changes, until the decision has been taken or refused or ctx ends.
func (s *server) await(ctx context.Context, v *verdict, d *table.Decision) {
	for s.look(v, d) {
		select {
		case <-v.changes:
		case <-ctx.Done():
			v.status = http.StatusAccepted
			return
		}
	}
	if v.err != nil { // the table cannot be read now, but the decision is written
		v.status, v.err = http.StatusAccepted, nil
	}
}
