package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/views/api"
	"weir/views/deadletter"
)

// letters notes what it is asked.
type letters struct {
	filter *deadletter.Filter
	cursor string
	limit  int
	order  *deadletter.Order
	err    error
}

func (l *letters) List(_ context.Context, f *deadletter.Filter, cursor string, limit int) (*deadletter.Listing, error) {
	l.filter, l.cursor, l.limit = f, cursor, limit
	return &deadletter.Listing{Page: deadletter.Page{Letters: []*deadletter.Letter{}, Reasons: map[string]deadletter.ReasonCount{}, Topics: map[string]int{}}}, l.err
}

func (l *letters) Get(_ context.Context, id deadletter.ID) (*deadletter.Letter, error) {
	return &deadletter.Letter{ID: id.String()}, l.err
}

func (l *letters) Replay(_ context.Context, o *deadletter.Order) (*deadletter.Report, error) {
	l.order = o
	return &deadletter.Report{Outcomes: []deadletter.ReplayOutcome{{ID: "3@17", Status: deadletter.StatusReplayed}, {ID: "3@18", Status: deadletter.StatusRefused}},
		Counts: map[string]int{deadletter.StatusReplayed: 1, deadletter.StatusRefused: 1}, Left: 5}, l.err
}

func openLetters(t *testing.T) (*shop, *letters) {
	t.Helper()
	s, l := open(t), &letters{}
	s.deps.Letters = l
	s.Handler = api.New(s.deps)
	return s, l
}

func TestDeadLettersAreFiltered(t *testing.T) {
	s, l := openLetters(t)
	if w := s.get(t, "/v1/dead-letters?reason=json,bad_time&reason=future&topic=orders&from=now-2h&to=2026-01-01T12:30:00Z&replayed=exclude&limit=7&cursor=1.2.3", nil); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	f := l.filter
	if !slices.Equal(f.Reasons, []string{"json", "bad_time", "future"}) || !slices.Equal(f.Topics, []string{"orders"}) || !f.From.Equal(noon.Add(-time.Hour)) ||
		!f.To.Equal(noon.Add(30*time.Minute)) || f.Replayed != "exclude" || l.limit != 7 || l.cursor != "1.2.3" {
		t.Errorf("%+v %d %s", f, l.limit, l.cursor)
	}
	for query, where := range map[string]string{"from=yesterday": "query.from", "to=now%2B1h": "query.to", "replayed=maybe": "query.replayed", "limit=0": "query.limit", "limit=501": "query.limit", "colour=red": "query.colour"} {
		if p := s.problem(t, "/v1/dead-letters?"+query, http.StatusUnprocessableEntity); len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestProblemsOfDeadLetters(t *testing.T) {
	s, l := openLetters(t)
	for want, err := range map[int]error{http.StatusNotFound: deadletter.ErrNotThere, http.StatusConflict: deadletter.ErrBusy, http.StatusServiceUnavailable: errors.New("the broker is away")} {
		l.err = err
		s.problem(t, "/v1/dead-letters/3/17", want)
	}
	l.err = nil
	if w := s.get(t, "/v1/dead-letters/3/17", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"id":"3@17"`) {
		t.Error(w.Code, w.Body)
	}
	s.problem(t, "/v1/dead-letters/-1/17", http.StatusUnprocessableEntity)
	s.deps.Letters = nil
	s.Handler = api.New(s.deps)
	s.problem(t, "/v1/dead-letters", http.StatusServiceUnavailable)
}

func TestReplayNeedsAnAuthorAndAChoice(t *testing.T) {
	s, l := openLetters(t)
	for body, where := range map[string]string{
		`{"author":"","reason":["json"]}`:                   "body.author",
		`{"author":"  ","reason":["json"]}`:                 "body.author",
		`{"reason":["json"]}`:                               "body",
		`{"author":"ada"}`:                                  "body.reason",
		`{"author":"ada","topic":["orders"]}`:               "body.reason",
		`{"author":"ada","ids":["3@17"],"reason":["json"]}`: "body.ids",
		`{"author":"ada","ids":["3@17","x"]}`:               "body.ids[1]",
		`{"author":"ada","reason":["json"],"limit":1001}`:   "body.limit",
		`{"author":"ada","reason":["json"],"from":"x"}`:     "body.from",
	} {
		if w := s.post(t, "/v1/dead-letters/replay", nil, body, nil); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"location":"`+where+`"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if l.order != nil {
		t.Errorf("replayed all the same: %+v", l.order)
	}
	w := s.post(t, "/v1/dead-letters/replay", nil, `{"author":"ada","reason":["json","future"],"topic":["orders"],"from":"now-1h","force":true}`, nil)
	if o := l.order; w.Code != http.StatusOK || o.Author != "ada" || !o.Force || o.Limit != deadletter.MaxReplay || !slices.Equal(o.Filter.Reasons, []string{"json", "future"}) ||
		!o.Filter.From.Equal(noon) {
		t.Errorf("%d %+v", w.Code, o)
	}
	if !strings.Contains(w.Body.String(), `"replayed":1,"refused":1`) || !strings.Contains(w.Body.String(), `"left":5`) {
		t.Error(w.Body)
	}
	if s.post(t, "/v1/dead-letters/replay", nil, `{"author":"ada","ids":["3@17"],"limit":3}`, nil); !slices.Equal(l.order.IDs, []deadletter.ID{{Partition: 3, Offset: 17}}) || l.order.Limit != 3 {
		t.Errorf("%+v", l.order)
	}
}

// A replay changes something, so a page of another site may not ask for it by a visitor's browser.
func TestAnotherSiteMayNotReplay(t *testing.T) {
	s, l := openLetters(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/dead-letters/replay", strings.NewReader(`{"author":"ada","ids":["3@17"]}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || l.order != nil {
		t.Errorf("%d %+v", w.Code, l.order)
	}
}
