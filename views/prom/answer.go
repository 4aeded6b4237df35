package prom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"weir/views/query"
)

// apiError is an error as the API puts it.
type apiError struct {
	status int
	kind   string // bad_data, execution, timeout, canceled, unavailable, not_found, internal
	detail string
}

func (e *apiError) Error() string { return e.detail }

func badData(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, "bad_data", fmt.Sprintf(format, args...)}
}

// statusClientClosed is what Prometheus answers a client that is gone.
const statusClientClosed = 499

// apiErrorOf finds out whose fault an error is.
func (s *server) apiErrorOf(err error) *apiError {
	var (
		known    *apiError
		limit    *LimitError
		selector *SelectorError
		notReady *query.NotReadyError
		tooMany  promql.ErrTooManySamples
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		broken   promql.ErrStorage
		reading  readError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &selector):
		return &apiError{http.StatusBadRequest, "bad_data", selector.Error()}
	case errors.As(err, &notReady):
		return &apiError{http.StatusServiceUnavailable, "unavailable", notReady.Error()}
	case errors.As(err, &limit):
		return &apiError{http.StatusUnprocessableEntity, "execution", limit.Error()}
	case errors.As(err, &tooMany):
		return &apiError{http.StatusUnprocessableEntity, "execution", err.Error()}
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return &apiError{http.StatusServiceUnavailable, "timeout", fmt.Sprintf("the query took longer than its timeout (at most %s); ask for less", queryTimeout)}
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return &apiError{statusClientClosed, "canceled", "the client went away"}
	case errors.As(err, &broken), errors.As(err, &reading):
		s.Logger.Error("a Prometheus query failed", "error", err)
		return &apiError{http.StatusInternalServerError, "internal", "the rows could not be read; the server has logged why"}
	}
	return &apiError{http.StatusUnprocessableEntity, "execution", err.Error()}
}

// readError is what reading the table failed with.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

type response struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// maxTold bounds the warnings of one answer.
const maxTold = 10

func (s *server) respond(w http.ResponseWriter, r *http.Request, data any, warnings annotations.Annotations, err error) (code int) {
	out := response{Status: "success", Data: data}
	out.Warnings, out.Infos = warnings.AsStrings(r.Form.Get("query"), maxTold, maxTold)
	code = http.StatusOK
	if err != nil {
		e := s.apiErrorOf(err)
		code, out.Status, out.Data, out.ErrorType, out.Error = e.status, "error", nil, e.kind, e.detail
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		s.Logger.Error("a Prometheus answer could not be written", "error", err)
		code = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	if _, err := w.Write(body.Bytes()); err != nil {
		s.Logger.Debug("a client went away before its answer", "error", err)
	}
	return code
}

// result is the data of a query.
type result struct {
	Type  parser.ValueType
	Value []byte // JSON
}

// MarshalJSON implements json.Marshaler.
func (r result) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"resultType":%q,"result":%s}`, r.Type, r.Value), nil
}

// appendValue writes a value as Prometheus' API does.
func appendValue(dst []byte, v parser.Value) []byte {
	switch v := v.(type) {
	case promql.Scalar:
		return appendSample(dst, v.T, v.V)
	case promql.String:
		dst = appendTime(append(dst, '['), v.T)
		return append(appendText(append(dst, ','), v.V), ']')
	case promql.Vector:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendLabels(append(dst, `{"metric":`...), s.Metric), `,"value":`...)
			dst = append(appendSample(dst, s.T, s.F), '}')
		}
		return append(dst, ']')
	case promql.Matrix:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendLabels(append(dst, `{"metric":`...), s.Metric), `,"values":[`...)
			for j, p := range s.Floats {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = appendSample(dst, p.T, p.F)
			}
			dst = append(dst, `]}`...)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

func appendSample(dst []byte, t int64, v float64) []byte {
	dst = append(appendTime(append(dst, '['), t), `,"`...)
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return append(strconv.AppendFloat(dst, v, form, -1, 64), `"]`...)
}

func appendTime(dst []byte, t int64) []byte {
	return strconv.AppendFloat(dst, float64(t)/1000, 'f', -1, 64)
}

func appendText(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // text marshals always
		return append(dst, `""`...)
	}
	return append(dst, b...)
}

func appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendText(dst, l.Name), ':')
		dst = appendText(dst, l.Value)
	})
	return append(dst, '}')
}

// truncate leaves the first limit series; 0 leaves all.
func truncate(v parser.Value, limit int) (parser.Value, bool) {
	if limit == 0 {
		return v, false
	}
	switch v := v.(type) {
	case promql.Vector:
		return v[:min(limit, len(v))], len(v) > limit
	case promql.Matrix:
		return v[:min(limit, len(v))], len(v) > limit
	}
	return v, false
}

func cutList(data any, limit int) (any, bool) {
	switch list := data.(type) {
	case []string:
		if limit == 0 || len(list) <= limit {
			return append([]string{}, list...), false // never null
		}
		return list[:limit], true
	case []labels.Labels:
		if limit == 0 || len(list) <= limit {
			return append([]labels.Labels{}, list...), false
		}
		return list[:limit], true
	}
	return data, false
}
