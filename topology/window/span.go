package window

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day
)

// units are those that a duration may be written in; the canonical text uses no larger unit than the day.
var units = []struct {
	name      string
	size      time.Duration
	canonical bool
}{
	{"y", year, false},
	{"w", week, false},
	{"d", day, true},
	{"h", time.Hour, true},
	{"m", time.Minute, true},
	{"s", time.Second, true},
	{"ms", time.Millisecond, true},
}

// ParseSpan reads a duration such as "1m", "48h", "90d", "3y" or "1h30m". It is never negative.
func ParseSpan(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	if text == "" {
		return 0, errors.New("duration is empty: write a number and a unit, such as 90s, 1m, 48h, 90d or 3y")
	}
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		letters := len(rest) - digits - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		size := sizeOf(rest[digits : digits+letters])
		if err != nil || size == 0 {
			return 0, fmt.Errorf("duration %q: write a number and a unit, such as 90s, 1m, 48h, 90d or 3y (units: ms, s, m, h, d, w, y)", text)
		}
		if n > int64(math.MaxInt64-sum)/int64(size) {
			return 0, fmt.Errorf("duration %q is longer than 292 years", text)
		}
		sum += time.Duration(n) * size
		rest = rest[digits+letters:]
	}
	return sum, nil
}

func sizeOf(unit string) time.Duration {
	for _, u := range units {
		if u.name == unit {
			return u.size
		}
	}
	return 0
}

// FormatSpan writes a duration in its canonical form: the largest of d, h, m, s and ms that divides it. A remainder below a
// millisecond is cut off.
func FormatSpan(d time.Duration) string {
	for _, u := range units {
		if u.canonical && d >= u.size && d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}
