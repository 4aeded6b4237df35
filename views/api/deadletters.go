package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/views/deadletter"
)

// DeadLetters reads and replays what weir could not take.
type DeadLetters interface {
	List(ctx context.Context, f *deadletter.Filter, cursor string, limit int) (*deadletter.Listing, error)
	// Get gives deadletter.ErrNotThere where there is no such letter.
	Get(ctx context.Context, id deadletter.ID) (*deadletter.Letter, error)
	// Replay gives deadletter.ErrBusy where another one is under way.
	Replay(ctx context.Context, o *deadletter.Order) (*deadletter.Report, error)
}

func (s *server) registerDeadLetters(a huma.API) {
	tags := []string{"operations"}
	huma.Register(a, huma.Operation{OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/v1/dead-letters", Tags: tags,
		Summary: "Records that weir could not take, newest first, with the reason and what to do", Errors: []int{422, 503},
		Description: "Values of one filter are alternatives, by commas or repeated; different filters must all hold. The newest 5,000 letters are looked at; " +
			"left_out tells of older ones. The page after begins at next, given as cursor with the same filters."}, s.listDeadLetters)
	huma.Register(a, huma.Operation{OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/v1/dead-letters/{partition}/{offset}", Tags: tags,
		Summary: "One dead letter, whole", Errors: []int{404, 422, 503}}, s.getDeadLetter)
	huma.Register(a, huma.Operation{OperationID: "replay-dead-letters", Method: http.MethodPost, Path: "/v1/dead-letters/replay", Tags: tags,
		Summary: "Write dead letters back to where they came from", Errors: []int{409, 422, 503},
		Description: "The same key, value and headers go into the same partition of the source topic, with the header weir-replay. What would be refused again is " +
			"not written, unless forced. Safe to repeat: a letter is replayed once unless forced, and an event whose id was counted is not counted again. " +
			"409: another replay is under way on this server."}, s.replayDeadLetters)
}

type deadLettersInput struct {
	Reason   []string `query:"reason,explode" doc:"json, missing_field, bad_money …" example:"bad_money"`
	Topic    []string `query:"topic,explode" doc:"source topics"`
	From     string   `query:"from" doc:"refused at or after: RFC 3339, or now-1h by the wall clock" example:"now-24h"`
	To       string   `query:"to" doc:"refused before"`
	Replayed string   `query:"replayed" doc:"exclude: only those that have not been replayed; only: those that have. Default: both"`
	Limit    int      `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor   string   `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

// DeadLetterList is the body of GET /v1/dead-letters.
type DeadLetterList struct {
	Letters []*deadletter.Letter              `json:"letters"`
	Next    string                            `json:"next" doc:"cursor of the page after; empty: this is the last one"`
	Total   int                               `json:"total" doc:"letters that match, on all pages"`
	Reasons map[string]deadletter.ReasonCount `json:"reasons" doc:"what matches, by reason, without the filter of reasons"`
	Topics  map[string]int                    `json:"topics" doc:"what matches, by source topic, without the filter of topics"`
	LeftOut int                               `json:"left_out" doc:"about how many older letters are not looked at"`
	Unread  int64                             `json:"unread" doc:"records of the topic that are still to be read: ask again"`
}

type deadLettersOutput struct{ Body DeadLetterList }

func (s *server) listDeadLetters(ctx context.Context, in *deadLettersInput) (*deadLettersOutput, error) {
	if s.Letters == nil {
		return nil, noDeadLetters()
	}
	f, err := s.deadLetterFilter("query", in.Reason, in.Topic, in.From, in.To)
	if err != nil {
		return nil, err
	}
	if f.Replayed = in.Replayed; !slices.Contains([]string{"", "exclude", "only"}, in.Replayed) {
		return nil, wrongField("query.replayed", "exclude, only, or nothing for both", nil)
	}
	l, err := s.Letters.List(ctx, f, in.Cursor, in.Limit)
	if err != nil {
		return nil, s.deadLetterProblem(err)
	}
	return &deadLettersOutput{DeadLetterList{Letters: l.Letters, Next: l.Next, Total: l.Total, Reasons: l.Reasons, Topics: l.Topics,
		LeftOut: l.LeftOut, Unread: l.Unread}}, nil
}

type deadLetterInput struct {
	Partition int32 `path:"partition" minimum:"0" doc:"of the dead-letter topic"`
	Offset    int64 `path:"offset" minimum:"0"`
}

type deadLetterOutput struct{ Body *deadletter.Letter }

func (s *server) getDeadLetter(ctx context.Context, in *deadLetterInput) (*deadLetterOutput, error) {
	if s.Letters == nil {
		return nil, noDeadLetters()
	}
	l, err := s.Letters.Get(ctx, deadletter.ID{Partition: in.Partition, Offset: in.Offset})
	if err != nil {
		return nil, s.deadLetterProblem(err)
	}
	return &deadLetterOutput{l}, nil
}

// ReplayBody is the body of POST /v1/dead-letters/replay: ids, or a filter.
type ReplayBody struct {
	IDs    []string `json:"ids,omitempty" maxItems:"1000" doc:"letters, PARTITION@OFFSET"`
	Reason []string `json:"reason,omitempty" maxItems:"50" doc:"without ids: those of these reasons that have not been replayed"`
	Topic  []string `json:"topic,omitempty" maxItems:"50" doc:"without ids: only those of these source topics"`
	From   string   `json:"from,omitempty" doc:"without ids: refused at or after"`
	To     string   `json:"to,omitempty" doc:"without ids: refused before"`
	Limit  int      `json:"limit,omitempty" minimum:"0" maximum:"1000" doc:"of the filter, the oldest first; 0: 1000"`
	Author string   `json:"author" minLength:"1" maxLength:"200" doc:"who replays them"`
	Force  bool     `json:"force,omitempty" doc:"also what would be refused again, and what has been replayed before"`
}

type replayInput struct{ Body ReplayBody }

// ReplayResult is what became of each letter.
type ReplayResult struct {
	Replayed int                        `json:"replayed"`
	Refused  int                        `json:"refused" doc:"not written: results say why"`
	Results  []deadletter.ReplayOutcome `json:"results"`
	Left     int                        `json:"left" doc:"letters of the filter beyond the limit"`
}

type replayOutput struct{ Body ReplayResult }

func (s *server) replayDeadLetters(ctx context.Context, in *replayInput) (*replayOutput, error) {
	if s.Letters == nil {
		return nil, noDeadLetters()
	}
	b := &in.Body
	if strings.TrimSpace(b.Author) == "" {
		return nil, wrongField("body.author", "say who replays them", nil)
	}
	o := &deadletter.Order{Limit: b.Limit, Author: b.Author, Force: b.Force}
	if o.Limit == 0 {
		o.Limit = deadletter.MaxReplay
	}
	for i, text := range b.IDs {
		id, err := deadletter.ParseID(text)
		if err != nil {
			return nil, wrongField(fmt.Sprintf("body.ids[%d]", i), err.Error(), nil)
		}
		o.IDs = append(o.IDs, id)
	}
	f, err := s.deadLetterFilter("body", b.Reason, b.Topic, b.From, b.To)
	if err != nil {
		return nil, err
	}
	chosen := len(b.Reason)+len(b.Topic) > 0 || b.From != "" || b.To != ""
	switch {
	case len(o.IDs) > 0 && chosen:
		return nil, wrongField("body.ids", "give ids or a filter, not both", nil)
	case len(o.IDs) == 0 && len(b.Reason) == 0:
		return nil, wrongField("body.reason", "say which letters: their ids, or a reason at least", nil)
	}
	o.Filter = *f
	report, err := s.Letters.Replay(ctx, o)
	if err != nil {
		return nil, s.deadLetterProblem(err)
	}
	out := &replayOutput{ReplayResult{Results: append([]deadletter.ReplayOutcome{}, report.Outcomes...), Left: report.Left,
		Replayed: report.Counts[deadletter.StatusReplayed]}}
	for status, n := range report.Counts {
		if status != deadletter.StatusReplayed {
			out.Body.Refused += n
		}
	}
	return out, nil
}

func (s *server) deadLetterFilter(where string, reasons, topics []string, from, to string) (*deadletter.Filter, error) {
	f := &deadletter.Filter{Reasons: listed(reasons), Topics: listed(topics)}
	for name, text := range map[string]string{"from": from, "to": to} {
		if text == "" {
			continue
		}
		at, err := s.wallTime(text)
		if err != nil {
			return nil, wrongField(where+"."+name, err.Error(), nil)
		}
		if name == "from" {
			f.From = at
		} else {
			f.To = at
		}
	}
	return f, nil
}

// wallTime reads a time, or one by the clock: now-1h.
func (s *server) wallTime(text string) (time.Time, error) {
	if ago, ok := strings.CutPrefix(text, "now"); ok {
		if ago == "" {
			return s.Now(), nil
		}
		if d, err := time.ParseDuration(ago); err == nil && d < 0 {
			return s.Now().Add(d), nil
		}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time; write 2026-01-31T08:00:00Z, or now-1h", text)
	}
	return at, nil
}

// listed takes values apart that commas join.
func listed(values []string) []string {
	var out []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func noDeadLetters() error {
	return huma.Error503ServiceUnavailable("this server reads no dead letters")
}

func (s *server) deadLetterProblem(err error) error {
	var cursor *deadletter.CursorError
	switch {
	case errors.As(err, &cursor):
		return wrongField("query.cursor", err.Error(), nil)
	case errors.Is(err, deadletter.ErrNotThere):
		return huma.Error404NotFound(err.Error(), &huma.ErrorDetail{Message: err.Error(), Location: "path.offset"})
	case errors.Is(err, deadletter.ErrBusy):
		return huma.Error409Conflict(err.Error())
	}
	s.Logger.Warn("the dead letters cannot be reached", "error", err)
	return huma.Error503ServiceUnavailable("the dead letters cannot be read now: " + err.Error())
}
