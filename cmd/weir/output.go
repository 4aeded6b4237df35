package main

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printJSON prints v for programs.
func printJSON(a *app, v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// aligned prints cells that tabs divide in columns. Flush it at the end.
func aligned(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

// oneLine is a text with its line breaks as spaces.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// maxPrinted is how many bytes of a text from outside are printed.
const maxPrinted = 2 << 10

// printable is the beginning of a text from outside, without what a terminal would obey.
func printable(text string) string {
	if len(text) > maxPrinted {
		text = text[:maxPrinted]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, "")))
}
