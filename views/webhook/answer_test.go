package webhook

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestWhatAnAnswerMeans(t *testing.T) {
	for status, want := range map[int]meaning{
		200: taken, 202: taken, 204: taken, 301: again, 302: again, 400: refused, 401: refused, 404: refused, 408: again, 410: refused, 413: refused,
		425: again, 429: again, 499: refused, 500: again, 502: again, 503: again, 504: again,
	} {
		if got := (Answer{Status: status}).meaning(); got != want {
			t.Errorf("%d means %d, want %d", status, got, want)
		}
	}
	if (Answer{Err: errors.New("refused")}).meaning() != again {
		t.Error("no answer is no refusal")
	}
}

func TestBackoffDoublesFromHalfASecondToTenMinutes(t *testing.T) {
	const nearly = 0.999999
	for n, ceiling := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 5: 8 * time.Second,
		10: 256 * time.Second, 11: 512 * time.Second, 12: 10 * time.Minute, 13: 10 * time.Minute, 1000: 10 * time.Minute} {
		if got := backoff(n, nearly); got > ceiling || got < ceiling-ceiling/1000 {
			t.Errorf("after %d failures at most %s, want %s", n, got, ceiling)
		}
		if backoff(n, 0) != 0 {
			t.Error("full jitter begins at 0")
		}
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-5": 0, "soon": 0, "1e3": 0, "999999999": time.Hour, "99999999999999999999": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q asks for %s, want %s", header, got, want)
		}
	}
}
