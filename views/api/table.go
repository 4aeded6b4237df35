package api

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// The forms that a list can be had in.
const (
	contentJSON   = "application/json"
	contentCSV    = "text/csv"
	contentNDJSON = "application/x-ndjson"
)

// Formats is the parameter of all lists that can be had as tables.
type Formats struct {
	Format string `query:"format" enum:"json,csv,ndjson" doc:"as Accept says, application/json, text/csv or application/x-ndjson, where there is none. Of tables meta is in the header" example:"json"`
}

// tabular is a body that can be written row by row.
type tabular interface {
	columns() []string
	// each calls row with the cells of a line of CSV and what is a line of NDJSON, until it fails.
	each(row func(cells []string, line any) error) error
	// next is the cursor of the page after; "": this is the last one.
	next() string
}

// nextHeader has the cursor of the page after where the body is a table.
const nextHeader = "Weir-Next-Cursor"

// writeTable streams the rows. An error ends it: the client is gone.
func (a *answer) writeTable(r *http.Request) {
	h := a.Header()
	h.Set("Content-Type", a.format)
	if next := a.table.next(); next != "" {
		h.Set(nextHeader, next)
	}
	if a.format == contentCSV {
		h.Set("Content-Type", contentCSV+"; charset=utf-8; header=present")
		h.Set("Content-Disposition", `attachment; filename="weir-`+fileName(path.Base(r.URL.Path))+`.csv"`)
	}
	a.ResponseWriter.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(a.ResponseWriter, 32<<10)
	defer out.Flush()
	if a.format == contentNDJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		_ = a.table.each(func(_ []string, line any) error { return enc.Encode(line) })
		return
	}
	w := csv.NewWriter(out)
	defer w.Flush()
	if w.Write(a.table.columns()) != nil {
		return
	}
	_ = a.table.each(func(cells []string, _ any) error {
		for i := range cells {
			cells[i] = harmless(cells[i])
		}
		return w.Write(cells)
	})
}

var (
	unsafeInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	plainNumber       = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

func fileName(text string) string {
	return unsafeInFileNames.ReplaceAllString(text[:min(len(text), 64)], "_")
}

// harmless keeps a spreadsheet from taking a cell for a formula: whoever places an order chooses what some of them say.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) && !plainNumber.MatchString(cell) {
		return "'" + cell
	}
	return cell
}
