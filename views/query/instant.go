package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/topology/event"
)

// instant is a bound of a range: open, absolute, or counted back from the watermark or the wall clock.
type instant struct {
	kind byte // 0 open, 'a' absolute, 'n' now (the watermark), 'w' wall clock
	at   event.UnixMilli
	back time.Duration
}

func parseInstant(param, text string, zone *time.Location) (instant, error) {
	const usage = "must be RFC 3339 (2026-01-01T00:00:00Z), a date (2026-01-01), or relative like now-1h or wall-15m"
	if text == "" {
		return instant{}, nil
	}
	for _, rel := range []struct {
		word string
		kind byte
	}{{"now", 'n'}, {"wall", 'w'}} {
		rest, ok := strings.CutPrefix(text, rel.word)
		if !ok {
			continue
		}
		if rest == "" {
			return instant{kind: rel.kind}, nil
		}
		back, err := parseDuration(strings.TrimPrefix(rest, "-"))
		if rest[0] != '-' || err != nil {
			return instant{}, wrong(param, "%q is not a time: it %s", text, usage)
		}
		return instant{kind: rel.kind, back: back}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return instant{kind: 'a', at: event.UnixMilli(t.UnixMilli())}, nil
		}
	}
	return instant{}, wrong(param, "%q is not a time: it %s", text, usage)
}

// parseDuration reads Go durations and whole days (7d) and weeks (2w).
func parseDuration(text string) (time.Duration, error) {
	var d time.Duration
	var err error
	if n, ok := strings.CutSuffix(text, "d"); ok {
		d, err = times(n, 24*time.Hour)
	} else if n, ok := strings.CutSuffix(text, "w"); ok {
		d, err = times(n, 7*24*time.Hour)
	} else {
		d, err = time.ParseDuration(text)
	}
	if err == nil && (d < 0 || d > 100*365*24*time.Hour) {
		err = fmt.Errorf("out of range")
	}
	return d, err
}

func times(n string, unit time.Duration) (time.Duration, error) {
	i, err := strconv.ParseUint(n, 10, 16)
	return time.Duration(i) * unit, err
}
