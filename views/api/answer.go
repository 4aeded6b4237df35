package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"weir/topology/window"
	"weir/views/live"
	"weir/views/query"
)

// What answers to GET have in common: a tag by which a client learns that nothing has changed (304), how fresh they are in their
// header, and lists as tables where a client wants them so.
//
//	handler ─ body ─► noteAnswer (meta, table) ─► answer ─► 304, or the body, or its rows as CSV or NDJSON
//
// The tag is of the body without meta: an answer that only became fresher has not changed, and a 304 says by its header how fresh it is.
// For the same reason answers stay no-store: a browser's cache would give a page the meta of the first one.

// The headers that say of when an answer is.
const (
	watermarkHeader = "Weir-Watermark"
	asOfHeader      = "Weir-As-Of"
	caughtUpHeader  = "Weir-Caught-Up-At"
	partialHeader   = "Weir-Partial"
)

// answer holds the answer to one GET until it is known what becomes of it.
type answer struct {
	http.ResponseWriter
	now    time.Time
	format string
	status int
	body   bytes.Buffer
	meta   *query.Meta
	table  tabular // nil, or what is written instead of the body
}

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.body.Write(b)
}

// answers gives every answer to a GET under /v1/ its tag, and 304 to who has it already.
func (s *server) answers(next http.Handler) http.Handler {
	pushed := live.Paths()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.HasPrefix(r.URL.Path, "/v1/") || slices.Contains(pushed, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		a := &answer{ResponseWriter: w, now: s.Now(), format: formatOf(r)}
		next.ServeHTTP(a, r)
		a.finish(r)
	})
}

// formatOf is what the request wants lists to be: what format says, else what Accept prefers.
func formatOf(r *http.Request) string {
	switch format := r.URL.Query().Get("format"); format {
	case "":
	case "csv":
		return contentCSV
	case "ndjson":
		return contentNDJSON
	default:
		return contentJSON
	}
	accept := r.Header.Get("Accept")
	if accept == "" {
		return contentJSON
	}
	return negotiation.SelectQValueFast(accept, []string{contentJSON, contentCSV, contentNDJSON})
}

// noteAnswer is huma's transformer: it tells the answer what its body is.
func noteAnswer(ctx huma.Context, status string, v any) (any, error) {
	_, w := humago.Unwrap(ctx)
	a, ok := w.(*answer)
	if !ok || !strings.HasPrefix(status, "2") {
		return v, nil
	}
	if body := reflect.Indirect(reflect.ValueOf(v)); body.Kind() == reflect.Struct {
		if f := body.FieldByName("Meta"); f.IsValid() && f.CanInterface() {
			if m, ok := f.Interface().(query.Meta); ok {
				a.meta = &m
			}
		}
	}
	if a.format == contentCSV || a.format == contentNDJSON {
		if a.table = tableOf(v); a.table != nil {
			return struct{}{}, nil // its rows are written instead
		}
	}
	return v, nil
}

func (a *answer) finish(r *http.Request) {
	h := a.Header()
	if a.meta != nil {
		a.tellFreshness(h)
	}
	switch {
	case a.status != http.StatusOK:
	case a.table != nil:
		h.Del("Content-Length")
		h.Set("Vary", "Accept")
		a.writeTable(r)
		return
	default:
		tag := a.tag(h.Get("ETag"))
		h.Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			h.Del("Content-Type")
			h.Del("Content-Length")
			a.ResponseWriter.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(a.body.Bytes()) // an error is the client's: it is gone
}

func (a *answer) tellFreshness(h http.Header) {
	if a.meta.Watermark != nil {
		h.Set(watermarkHeader, a.meta.Watermark.Format(time.RFC3339Nano))
	}
	if a.meta.AsOf != nil {
		h.Set(asOfHeader, a.meta.AsOf.Format(time.RFC3339Nano))
	}
	if a.meta.CaughtUpAt != nil {
		h.Set(caughtUpHeader, a.meta.CaughtUpAt.Format(time.RFC3339Nano))
	}
	if at := a.meta.CurrentAt(); at != nil {
		h.Set("Age", strconv.Itoa(int(max(0, math.Floor(a.now.Sub(*at).Seconds())))))
	}
	if p := a.meta.Partitions; p.Present < p.Expected {
		h.Set(partialHeader, strconv.Itoa(p.Present)+"/"+strconv.Itoa(p.Expected))
	}
}

// tag is the ETag of the body. Where the handler gave a revision it begins with that, so that it serves as an If-Match.
func (a *answer) tag(revision string) string {
	body := a.body.Bytes()
	h := xxhash.New()
	if a.meta != nil {
		if meta, err := json.Marshal(a.meta); err == nil {
			if i := bytes.LastIndex(body, meta); i >= 0 {
				_, _ = h.Write(body[:i]) // a hash takes everything
				body = body[i+len(meta):]
			}
		}
	}
	_, _ = h.Write(body)
	sum := strconv.FormatUint(h.Sum64(), 36)
	if revision == "" {
		return `W/"` + sum + `"`
	}
	return strconv.Quote(revisionOf(revision) + "-" + sum)
}

// revisionOf is the revision in a tag that serves as an If-Match: "12-1x8h3" and "12" are both of revision 12. "" = any.
func revisionOf(tag string) string {
	text := strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
	if text == "*" {
		return ""
	}
	revision, _, _ := strings.Cut(text, "-")
	return revision
}

// matches compares an If-None-Match with a tag, weakly: RFC 9110, 13.1.2.
func matches(ifNoneMatch, tag string) bool {
	for _, candidate := range strings.Split(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || candidate != "" && strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// Freshness is the parameter of all answers that say how fresh they are.
type Freshness struct {
	MaxStaleness string `query:"max_staleness" maxLength:"12" pattern:"^([0-9]{1,7}(ms|s|m|h|d))?$" doc:"answer 503 where what would be told is older (by the later of as_of and caught_up_at) or not complete, such as 10s" example:"1d"`
}

// enough refuses an answer that is older than the client allows.
func (in Freshness) enough(p query.Progress, now time.Time) error {
	if in.MaxStaleness == "" {
		return nil
	}
	refuse := func(detail string) error {
		return tryAgain(huma.Error503ServiceUnavailable("max_staleness: "+detail,
			&huma.ErrorDetail{Message: detail, Location: "query.max_staleness", Value: in.MaxStaleness}))
	}
	limit, err := window.ParseSpan(in.MaxStaleness)
	switch age := now.Sub(p.CurrentAt()); {
	case err != nil:
		return wrongField("query.max_staleness", err.Error(), in.MaxStaleness)
	case p.CurrentAt().IsZero():
		return refuse("nothing has been read yet")
	case p.Present < p.Expected:
		return refuse("only " + strconv.Itoa(p.Present) + " of " + strconv.Itoa(p.Expected) + " partitions are recovered")
	case age > limit:
		return refuse("it is of " + p.CurrentAt().UTC().Format(time.RFC3339Nano) + ", " + age.Round(time.Millisecond).String() + " ago" +
			". Ask without max_staleness for what there is")
	}
	return nil
}
