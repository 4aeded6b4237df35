package search

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/views/query"
)

// Limits of a question.
const (
	DefaultLimit = 100
	MaxLimit     = 500
	maxValues    = 64  // of one filter
	maxText      = 256 // bytes of one value
)

// Sort is an order of answers.
type Sort string

// The orders, each greatest first; what is equal comes in the order of ids.
const (
	ByPriority Sort = "priority" // score of the case × amount at risk in hundreds of minor units (at least 1)
	ByNewest   Sort = "newest"   // first hit
	ByRecent   Sort = "recent"   // last hit
	ByRisk     Sort = "risk"     // amount at risk, in minor units of whichever currency
)

// The values that filters know.
var (
	Statuses   = []string{alert.Open, alert.Acknowledged, alert.Confirmed, alert.FalsePositive, alert.Snoozed, alert.Closed, alert.Withdrawn}
	Severities = []string{"low", "medium", "high", "critical"}
	sorts      = []string{string(ByPriority), string(ByNewest), string(ByRecent), string(ByRisk)}
	episodes   = []string{alert.Active, alert.Ended}
	shadows    = []string{"exclude", "only", "include"}
)

// Query is a checked question. The values of one filter are alternatives; different filters must all hold.
type Query struct {
	Status, Rule, Severity, Entity, Kind, Episode, Assignee []string
	Text                                                    string // in small letters: part of a title or an entity; as given: an id or an order's id
	text                                                    string
	MinScore                                                int64
	Shadow                                                  string
	StartedFrom, StartedTo, LastFrom, LastTo                query.Bound // from inclusive, to exclusive
	Sort                                                    Sort
	Limit                                                   int
	after                                                   *cursor
	key                                                     string
}

// Key is the question in canonical form, without its page: equal keys find equal alerts.
func (q *Query) Key() string { return q.key }

// Page is Key with the page's length: equal ones show equal first pages.
func (q *Query) Page() string { return q.key + "&limit=" + strconv.Itoa(q.Limit) }

// Moves tells that the answer may change though no alert does: a bound follows the watermark or the clock.
func (q *Query) Moves() bool {
	return q.StartedFrom.Moves() || q.StartedTo.Moves() || q.LastFrom.Moves() || q.LastTo.Moves()
}

// parameters are the names that Parse knows.
var parameters = []string{"status", "rule", "severity", "entity", "kind", "episode", "assignee", "q", "min_score", "shadow",
	"started_from", "started_to", "last_from", "last_to", "sort", "limit", "cursor"}

// Parse checks the parameters of a question. Errors are *query.ParamError.
//
//	status, severity, rule, entity (kind:id), kind, episode, assignee   any of the values, repeated or by commas (not entity)
//	q                     part of a title or an entity, or a whole order id or alert id
//	min_score             0 to 100, of the alert or of its case
//	shadow                exclude (default), only, include: alerts of rules in shadow
//	started_…, last_…     from and to: RFC 3339, a date, or now-1h / wall-1h, of the first and of the last hit
//	sort                  priority (default), newest, recent, risk
//	limit, cursor         a page: 1 to 500 (default 100), and where it begins
func Parse(params url.Values) (*Query, error) {
	for p := range params {
		if !slices.Contains(parameters, p) {
			return nil, wrong(p, "is not a parameter of a search for alerts; use %s", strings.Join(parameters, ", "))
		}
	}
	q := &Query{}
	for _, list := range []struct {
		name  string
		into  *[]string
		known []string
	}{{"status", &q.Status, Statuses}, {"rule", &q.Rule, nil}, {"severity", &q.Severity, Severities}, {"entity", &q.Entity, nil},
		{"kind", &q.Kind, nil}, {"episode", &q.Episode, episodes}, {"assignee", &q.Assignee, nil}} {
		var err error
		if *list.into, err = values(params, list.name, list.known); err != nil {
			return nil, err
		}
	}
	for _, e := range q.Entity {
		if kind, id, ok := strings.Cut(e, ":"); !ok || kind == "" || id == "" {
			return nil, wrong("entity", "%q must be kind:id, such as customer:c-1", e)
		}
	}
	for _, step := range []func(url.Values) error{q.parseTexts, q.parseBounds, q.parsePage} {
		if err := step(params); err != nil {
			return nil, err
		}
	}
	if err := q.parseCursor(params.Get("cursor")); err != nil {
		return nil, err
	}
	return q, nil
}

func wrong(param, format string, args ...any) *query.ParamError {
	return &query.ParamError{Param: param, Detail: fmt.Sprintf(format, args...), Status: 422}
}

// values reads one filter. Entities may hold commas, so they are only repeated.
func values(params url.Values, name string, known []string) ([]string, error) {
	var out []string
	for _, text := range params[name] {
		parts := []string{text}
		if name != "entity" {
			parts = strings.Split(text, ",")
		}
		for _, v := range parts {
			switch {
			case v == "":
				continue
			case len(v) > maxText:
				return nil, wrong(name, "a value may have %d bytes", maxText)
			case known != nil && !slices.Contains(known, v):
				return nil, wrong(name, "%q is not known; use %s", v, strings.Join(known, ", "))
			}
			out = append(out, v)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > maxValues {
		return nil, wrong(name, "at most %d values", maxValues)
	}
	return out, nil
}

func one(params url.Values, name, otherwise string, known []string) (string, error) {
	v := params[name]
	switch {
	case len(v) > 1:
		return "", wrong(name, "is given %d times; give it once", len(v))
	case len(v) == 0 || v[0] == "":
		return otherwise, nil
	case len(v[0]) > maxText:
		return "", wrong(name, "may have %d bytes", maxText)
	case known != nil && !slices.Contains(known, v[0]):
		return "", wrong(name, "%q is not known; use %s", v[0], strings.Join(known, ", "))
	}
	return v[0], nil
}

func (q *Query) parseTexts(params url.Values) (err error) {
	if q.text, err = one(params, "q", "", nil); err != nil {
		return err
	}
	q.text = strings.TrimSpace(q.text)
	q.Text = strings.ToLower(q.text)
	if q.Shadow, err = one(params, "shadow", "exclude", shadows); err != nil {
		return err
	}
	score, err := one(params, "min_score", "0", nil)
	if err != nil {
		return err
	}
	if q.MinScore, err = strconv.ParseInt(score, 10, 64); err != nil || q.MinScore < 0 || q.MinScore > 100 {
		return wrong("min_score", "must be a whole number from 0 to 100")
	}
	return nil
}

func (q *Query) parseBounds(params url.Values) error {
	for _, b := range []struct {
		name string
		into *query.Bound
	}{{"started_from", &q.StartedFrom}, {"started_to", &q.StartedTo}, {"last_from", &q.LastFrom}, {"last_to", &q.LastTo}} {
		text, err := one(params, b.name, "", nil)
		if err != nil {
			return err
		}
		if *b.into, err = query.ParseBound(b.name, text); err != nil {
			return err
		}
	}
	return nil
}

func (q *Query) parsePage(params url.Values) error {
	sort, err := one(params, "sort", string(ByPriority), sorts)
	if err != nil {
		return err
	}
	q.Sort = Sort(sort)
	limit, err := one(params, "limit", strconv.Itoa(DefaultLimit), nil)
	if err != nil {
		return err
	}
	if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 || q.Limit > MaxLimit {
		return wrong("limit", "must be a whole number from 1 to %d", MaxLimit)
	}
	q.key = q.canonical(params)
	return nil
}

func (q *Query) canonical(params url.Values) string {
	v := url.Values{"status": q.Status, "rule": q.Rule, "severity": q.Severity, "entity": q.Entity, "kind": q.Kind, "episode": q.Episode,
		"assignee": q.Assignee, "q": {q.text}, "min_score": {strconv.FormatInt(q.MinScore, 10)}, "shadow": {q.Shadow}, "sort": {string(q.Sort)}}
	for _, name := range []string{"started_from", "started_to", "last_from", "last_to"} {
		if text := params.Get(name); text != "" {
			v.Set(name, text)
		}
	}
	return v.Encode()
}

// cursor is where the next page begins: after the alert of that rank and id.
type cursor struct {
	rank float64
	id   string
}

// parseCursor reads what Answer.Next gave. A page belongs to its question.
func (q *Query) parseCursor(text string) error {
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(raw), " ", 3)
	if err != nil || len(parts) != 3 {
		return wrong("cursor", "is not one that an answer gave as next; leave it out for the first page")
	}
	rank, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		return wrong("cursor", "is not one that an answer gave as next; leave it out for the first page")
	}
	if parts[0] != q.fingerprint() {
		return wrong("cursor", "belongs to other filters or another sort; leave it out for the first page")
	}
	q.after = &cursor{rank, parts[2]}
	return nil
}

func (q *Query) fingerprint() string { return strconv.FormatUint(xxhash.Sum64String(q.key), 36) }

func (q *Query) cursorAt(rank float64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(q.fingerprint() + " " + strconv.FormatFloat(rank, 'g', -1, 64) + " " + id))
}

// times are a question's bounds, resolved; 0 = open.
type times struct{ startedFrom, startedTo, lastFrom, lastTo event.UnixMilli }

func (q *Query) times(watermark event.UnixMilli, now time.Time) times {
	return times{q.StartedFrom.At(watermark, now), q.StartedTo.At(watermark, now), q.LastFrom.At(watermark, now), q.LastTo.At(watermark, now)}
}

func (t times) hold(started, last event.UnixMilli) bool {
	return (t.startedFrom == 0 || started >= t.startedFrom) && (t.startedTo == 0 || started < t.startedTo) &&
		(t.lastFrom == 0 || last >= t.lastFrom) && (t.lastTo == 0 || last < t.lastTo)
}
