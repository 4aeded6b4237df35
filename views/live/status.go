package live

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"weir/views/query"
)

// StatusSource tells how the installation does.
type StatusSource interface {
	// StatusRows are the parts of the query API's status by key.
	StatusRows(ctx context.Context) (map[string]json.RawMessage, error)
	Progress() query.Progress // of the metrics
}

// StatusTopics serves the topic status and leaves every other to Others. However many subscribe, the status is asked for at most
// once a second, and not at all while nobody does.
type StatusTopics struct {
	Source StatusSource
	Others Topics

	mu    sync.Mutex
	asked time.Time
	rows  map[string]json.RawMessage
}

const (
	statusEvery  = 900 * time.Millisecond // less than the hub's second, which jitters
	statusWithin = 5 * time.Second
)

// Open implements Topics.
func (s *StatusTopics) Open(topic string, filter map[string][]string) (Feed, error) {
	if topic != "status" {
		return s.Others.Open(topic, filter)
	}
	for name := range filter {
		return nil, &Problem{Title: "Bad parameter", Status: 422, Param: name, Detail: "topic status takes no filter"}
	}
	return &statusFeed{topics: s}, nil
}

// read gives the rows of now, or those of less than a second ago.
func (s *StatusTopics) read() (map[string]json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows != nil && time.Since(s.asked) < statusEvery {
		return s.rows, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusWithin)
	defer cancel()
	rows, err := s.Source.StatusRows(ctx)
	if err != nil {
		return nil, err
	}
	s.rows, s.asked = rows, time.Now()
	return rows, nil
}

// statusFeed shows the status of the last second.
type statusFeed struct {
	topics *StatusTopics
	loaded bool
	heldRows
}

func (f *statusFeed) Key() string { return "status" }

func (f *statusFeed) Info() json.RawMessage { return json.RawMessage(`{}`) }

func (f *statusFeed) Touch(c Changed) bool { return c.Second }

func (f *statusFeed) Refresh() ([]Op, error) {
	rows, err := f.topics.read()
	if err != nil && !f.loaded {
		return nil, &Problem{Title: "Not ready", Status: 503, Detail: "the groups cannot be asked now: " + err.Error() + ". Try again later."}
	}
	if err != nil {
		return nil, err
	}
	f.fresh, f.loaded = f.topics.Source.Progress(), true
	return f.replace(rows), nil // all feeds hold the same map
}
