package live

import (
	"encoding/json"
	"errors"
	"net/url"
	"sync"

	"weir/views/query"
	"weir/views/search"
)

// AlertSource finds alerts.
type AlertSource interface {
	Search(q *search.Query) (*search.Answer, error)
	// Changed tells whether the answer may differ from what it was at the sequence number since, at which some were shown.
	Changed(q *search.Query, since uint64, shown func(id string) bool) (seq uint64, yes bool, err error)
	Progress() query.Progress
}

// AlertTopics serves the topic alerts with the parameters of GET /v1/alerts, and leaves every other topic to Others.
type AlertTopics struct {
	Source AlertSource
	Others Topics
}

// Open implements Topics.
func (a AlertTopics) Open(topic string, filter map[string][]string) (Feed, error) {
	if topic != "alerts" {
		return a.Others.Open(topic, filter)
	}
	if _, ok := filter["cursor"]; ok {
		return nil, &Problem{Title: "Bad parameter", Status: 422, Param: "cursor", Detail: "a subscription shows the first page; leave cursor out"}
	}
	q, err := search.Parse(url.Values(filter))
	if err != nil {
		return nil, asProblem(err)
	}
	return &alertFeed{q: q, src: a.Source}, nil
}

// alertFeed keeps the first page of one question current. Rows are alerts by id.
type alertFeed struct {
	q   *search.Query
	src AlertSource

	mu    sync.Mutex // guards stale
	stale bool       // everything has to be looked at

	loaded bool
	seq    uint64 // of the index
	heldRows
}

// TellsAll implements Telling: an alert that comes and goes is told.
func (f *alertFeed) TellsAll() {}

func (f *alertFeed) Key() string { return "alerts?" + f.q.Page() }

func (f *alertFeed) Info() json.RawMessage {
	info, err := json.Marshal(map[string]any{"sort": f.q.Sort, "limit": f.q.Limit})
	if err != nil { // a string and a number always marshal
		panic(err)
	}
	return info
}

func (f *alertFeed) Touch(c Changed) bool {
	if c.All {
		f.mu.Lock()
		f.stale = true
		f.mu.Unlock()
	}
	return c.Alerts || c.All || c.Progress && f.q.Moves()
}

func (f *alertFeed) Refresh() ([]Op, error) {
	f.mu.Lock()
	look := f.stale || !f.loaded || f.q.Moves()
	f.stale = false
	f.mu.Unlock()
	ops, err := f.refresh(look)
	if err != nil {
		f.mu.Lock()
		f.stale = true
		f.mu.Unlock()
		var starting *query.NotReadyError
		if errors.As(err, &starting) {
			return nil, &Problem{Title: "Not ready", Status: 503, Detail: err.Error()}
		}
		return nil, asProblem(err)
	}
	return ops, nil
}

func (f *alertFeed) refresh(look bool) ([]Op, error) {
	progress := f.src.Progress()
	if !look {
		seq, changed, err := f.src.Changed(f.q, f.seq, func(id string) bool { return f.rows[id] != nil })
		if err != nil {
			return nil, err
		}
		if !changed {
			f.seq, f.fresh = seq, progress
			return nil, nil
		}
	}
	a, err := f.src.Search(f.q)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]json.RawMessage, len(a.Alerts))
	for i := range a.Alerts {
		if rows[a.Alerts[i].ID], err = json.Marshal(a.Alerts[i].Summary()); err != nil {
			return nil, err
		}
	}
	f.seq, f.fresh, f.loaded = a.Seq, progress, true
	return f.replace(rows), nil
}
