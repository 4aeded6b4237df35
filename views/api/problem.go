package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"weir/views/query"
)

// problem turns an error of a query into one that names the parameter.
func (s *server) problem(err error) error {
	if p, ok := query.IsParam(err); ok {
		where := "query." + p.Param
		if p.Param == "name" {
			where = "path.name"
		}
		return huma.NewError(p.Status, p.Param+": "+p.Detail, &huma.ErrorDetail{Message: p.Detail, Location: where})
	}
	var stale *query.NotReadyError
	if errors.As(err, &stale) {
		return tryAgain(huma.Error503ServiceUnavailable(stale.Error()))
	}
	s.Logger.Error("a request failed", "error", err)
	return huma.Error500InternalServerError("the rows could not be read; the server has logged why")
}

// wrongField is the problem of one field of a request. where is its place and name: query.cursor, header.If-Match, body.ids[3]; value
// is what it holds, nil where that need not be shown.
func wrongField(where, detail string, value any) error {
	_, name, _ := strings.Cut(where, ".")
	return huma.Error422UnprocessableEntity(name+": "+detail, &huma.ErrorDetail{Message: detail, Location: where, Value: value})
}

// tryAgain says when.
func tryAgain(err error) error {
	return huma.ErrorWithHeaders(err, http.Header{"Retry-After": {"1"}})
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body := huma.NewError(status, detail)
	if err := huma.DefaultJSONFormat.Marshal(w, body); err != nil {
		return // the client is gone
	}
}
