package prom

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// earliest and latest bound every time that is asked for: what a row key can say.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// timeParam reads Unix seconds or RFC 3339.
func timeParam(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(seconds) {
			return t, badData("invalid parameter %q: cannot parse %q to a valid timestamp: write Unix seconds or RFC 3339", name, text)
		}
		seconds = min(max(seconds, 0), float64(latest.Unix()))
		whole, part := math.Modf(seconds)
		t = time.Unix(int64(whole), int64(math.Round(part*1000))*int64(time.Millisecond))
	}
	if t.Before(earliest) {
		return earliest, nil
	}
	if t.After(latest) {
		return latest, nil
	}
	return t.UTC(), nil
}

// durationParam reads seconds or Prometheus' 1m30s.
func durationParam(r *http.Request, name string, otherwise time.Duration) (time.Duration, error) {
	text := r.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if ns := seconds * float64(time.Second); ns >= 0 && ns < math.MaxInt64 {
			return time.Duration(ns), nil
		}
		return 0, badData("invalid parameter %q: %q is out of range", name, text)
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, badData("invalid parameter %q: cannot parse %q to a valid duration: write seconds, or as in 1m30s", name, text)
	}
	return time.Duration(d), nil
}

func limitParam(r *http.Request) (int, error) {
	text := r.Form.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badData(`invalid parameter "limit": must be a number that is not negative`)
	}
	return n, nil
}
