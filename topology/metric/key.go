package metric

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/window"
)

// Key names a metric row: metric/window/start/labels, such as
//
//	revenue/1m/2026-01-01T00:00:00Z/card,eu-west,DE,EUR
//
// so that the rows of a time range stand together and in order. The start has always 20 characters. Label values stand in the
// order of the metric's declaration; those that hold a slash, comma, percent sign, control character or bytes that are no
// UTF-8 are percent-escaped, an empty value is a lone percent sign. No labels leave the last part empty. A row that is kept for
// all time (a sliding window's, an open session's) has Placeholder for its start.
type Key struct {
	Metric, Window string
	Start          event.UnixMilli
	Labels         []string
}

// Placeholder is the start in the keys of rows that are kept for all time.
const Placeholder event.UnixMilli = 0

// None stands for a label value that the event does not have; Other for the values of all rows beyond max_series.
const (
	None  = "(none)"
	Other = "(other)"
)

// MaxLabelBytes bounds a label value. A longer one is cut and ends in ~ and a hash of the whole, so that two long values
// stay two.
const MaxLabelBytes = 120

// Starts that have 20 characters in RFC 3339: years 0000 to 9999, whole seconds.
const (
	minStart event.UnixMilli = -62_167_219_200_000
	maxStart event.UnixMilli = 253_402_300_799_000

	startLength = len("2006-01-02T15:04:05Z")
)

// AppendKey appends the text of k. Starts are whole seconds of the years 0 to 9999.
func AppendKey(dst []byte, k Key) []byte {
	dst = append(append(dst, k.Metric...), '/')
	dst = append(append(dst, k.Window...), '/')
	dst = append(appendStart(dst, k.Start), '/')
	return appendLabels(dst, k.Labels)
}

// String returns the key's text.
func (k Key) String() string { return string(AppendKey(nil, k)) }

// ParseKey reads the text of a key. It accepts the text that AppendKey writes, and no other.
func ParseKey(text string) (Key, error) {
	metric, win, start, labels, ok := cutKey(text)
	if !ok {
		return Key{}, fmt.Errorf("metric row key %q: want metric/window/start/labels", text)
	}
	k := Key{Metric: metric, Window: win}
	if !validName(metric) {
		return Key{}, fmt.Errorf("metric row key %q: %q is no metric name", text, metric)
	}
	if w, err := window.Parse(win); err != nil {
		return Key{}, fmt.Errorf("metric row key %q: %w", text, err)
	} else if w.String() != win {
		return Key{}, fmt.Errorf("metric row key %q: the window is written %s", text, w)
	}
	if k.Start, ok = parseStart(start); !ok {
		return Key{}, fmt.Errorf("metric row key %q: %q is no start such as 2026-01-01T00:00:00Z", text, start)
	}
	var err error
	if k.Labels, err = parseLabels(labels); err != nil {
		return Key{}, fmt.Errorf("metric row key %q: %w", text, err)
	}
	return k, nil
}

func cutKey(text string) (metric, window, start, labels string, ok bool) {
	metric, rest, ok1 := strings.Cut(text, "/")
	window, rest, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 || len(rest) <= startLength || rest[startLength] != '/' {
		return "", "", "", "", false
	}
	return metric, window, rest[:startLength], rest[startLength+1:], true
}

// WindowPrefix returns metric/window/start of a row's key: what the series of one window have in common. It is false for keys
// that are no row's, and for the rows of open sessions, whose number is that of the shoppers.
func WindowPrefix(key string) (string, bool) {
	_, win, _, labels, ok := cutKey(key)
	if !ok || strings.HasPrefix(win, sessionPrefix) {
		return "", false
	}
	return key[:len(key)-len(labels)-1], true
}

const sessionPrefix = "session-"

// Range returns the bounds, start inclusive and limit exclusive, of the keys of a metric's rows in one window whose starts lie in
// [from, to).
func Range(metric, window string, from, to event.UnixMilli) (start, limit string) {
	prefix := metric + "/" + window + "/"
	return prefix + bound(from), prefix + bound(to)
}

// bound is the least text of a start that is not before t. Starts are whole seconds.
func bound(t event.UnixMilli) string {
	t = ceilSecond(t)
	switch {
	case t < minStart:
		return ""
	case t > maxStart:
		return ":" // after every digit
	}
	return string(appendStart(nil, t))
}

func ceilSecond(t event.UnixMilli) event.UnixMilli {
	if t < minStart || t > maxStart {
		return t
	}
	return t + (1000-t%1000)%1000
}

// appendStart writes fixed-width RFC 3339. It is called for every row of every drain.
func appendStart(dst []byte, t event.UnixMilli) []byte {
	seconds := int64(max(minStart, min(maxStart, t))-minStart) / 1000 // since 0000-01-01
	days, rest := seconds/86400, seconds%86400
	year, month, day := civil(days)
	return append(dst,
		digit(year/1000), digit(year/100), digit(year/10), digit(year), '-', digit(month/10), digit(month), '-', digit(day/10), digit(day),
		'T', digit(rest/36000), digit(rest/3600%10), ':', digit(rest/600%6), digit(rest/60), ':', digit(rest/10%6), digit(rest), 'Z')
}

func digit(n int64) byte { return '0' + byte(n%10) }

// daysPerEra is 400 years; shift is from 1 March of the year −400, which begins one, to 1 January of the year 0.
const (
	daysPerEra = 146_097
	shift      = daysPerEra - 60
)

// civil returns the date of the day that many days after 0000-01-01, in the proleptic Gregorian calendar. Years are counted from
// March, so that the leap day is the last of its year.
func civil(days int64) (year, month, day int64) {
	days += shift
	era, ofEra := days/daysPerEra, days%daysPerEra
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*ofYear + 2) / 153
	year, day = era*400+yearOfEra-400, ofYear-(153*m+2)/5+1
	if m < 10 {
		return year, m + 3, day
	}
	return year + 1, m - 9, day
}

// daysTo is the inverse of civil, for months 1 to 12.
func daysTo(year, month, day int64) int64 {
	year, month = year+400, month-3
	if month < 0 {
		year, month = year-1, month+12
	}
	era, yearOfEra := year/400, year%400
	return era*daysPerEra + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + (153*month+2)/5 + day - 1 - shift
}

func parseStart(text string) (event.UnixMilli, bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(text) != len(form) {
		return 0, false
	}
	for i := range len(form) {
		if c := text[i]; form[i] == '0' && (c < '0' || c > '9') || form[i] != '0' && c != form[i] {
			return 0, false
		}
	}
	n := func(from, to int) (v int64) {
		for _, c := range []byte(text[from:to]) {
			v = v*10 + int64(c-'0')
		}
		return v
	}
	year, month, day, h, m, s := n(0, 4), n(5, 7), n(8, 10), n(11, 13), n(14, 16), n(17, 19)
	if month < 1 || month > 12 || day < 1 || h > 23 || m > 59 || s > 59 {
		return 0, false
	}
	days := daysTo(year, month, day)
	if y, mo, d := civil(days); y != year || mo != month || d != day {
		return 0, false
	}
	return minStart + event.UnixMilli(((days*24+h)*60+m)*60+s)*1000, true
}

// plain tells which bytes of a label value stand for themselves.
var plain = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= ' ' && c < 0x7f && c != '/' && c != ',' && c != '%'
	}
	return is
}()

// isPlain reports whether a value stands in a key as it is.
func isPlain(value string) bool {
	for i := range len(value) {
		if !plain[value[i]] {
			return false
		}
	}
	return value != ""
}

func appendLabels(dst []byte, values []string) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendLabel(dst, v)
	}
	return dst
}

func appendLabel(dst []byte, value string) []byte {
	const hex = "0123456789ABCDEF"
	if value == "" {
		return append(dst, '%')
	}
	for i := 0; i < len(value); {
		c := value[i]
		if plain[c] {
			dst = append(dst, c)
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(value[i:]); r != utf8.RuneError || size > 1 {
				dst = append(dst, value[i:i+size]...)
				i += size
				continue
			}
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
		i++
	}
	return dst
}

func parseLabels(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		v, err := unescape(part)
		if err != nil {
			return nil, err
		}
		if string(appendLabel(nil, v)) != part {
			return nil, fmt.Errorf("label %q is not escaped as weir does it", part)
		}
		parts[i] = v
	}
	return parts, nil
}

func unescape(part string) (string, error) {
	if part == "%" || strings.IndexByte(part, '%') < 0 {
		return strings.TrimPrefix(part, "%"), nil
	}
	v := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			v = append(v, part[i])
			continue
		}
		if i+2 >= len(part) || unhex(part[i+1]) > 15 || unhex(part[i+2]) > 15 {
			return "", errors.New("a label ends in the middle of an escape, or has one that is not % and two digits")
		}
		v = append(v, unhex(part[i+1])<<4|unhex(part[i+2]))
		i += 2
	}
	return string(v), nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// labelValue is the value as it stands in keys: None for an empty one, cut where it is too long.
func labelValue(v string) string {
	switch {
	case v == "":
		return None
	case len(v) <= MaxLabelBytes:
		return v
	}
	hash := fmt.Sprintf("~%016x", xxhash.Sum64String(v))
	cut := MaxLabelBytes - len(hash)
	for cut > MaxLabelBytes-len(hash)-utf8.UTFMax && !utf8.RuneStart(v[cut]) {
		cut--
	}
	return v[:cut] + hash
}

func validName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" // only these, from both ends
}
