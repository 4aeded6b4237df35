package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is what came of one request.
type Answer struct {
	Status     int           // 0: no answer came
	Err        error         // why none came
	RetryAfter time.Duration // asked for by the receiver; 0: nothing asked
	Took       time.Duration
	Body       string // only for Try
}

// meaning is what an answer says about the event that was sent.
type meaning int

const (
	taken   meaning = iota
	again           // not now
	refused         // never: the same request would be refused again
)

// meaning of the answer. Redirects are not followed; they are tried again, since they may be a proxy's while the receiver is away.
func (a Answer) meaning() meaning {
	switch {
	case a.Err != nil || a.Status == 0:
		return again
	case a.Status >= 200 && a.Status < 300:
		return taken
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests:
		return again
	case a.Status >= 400 && a.Status < 500:
		return refused
	}
	return again
}

// String is the answer in a few words, for logs and dead letters.
func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return strings.TrimSpace("status " + strconv.Itoa(a.Status) + " " + http.StatusText(a.Status))
}

// Waits between attempts.
const (
	firstBackoff  = 500 * time.Millisecond
	maxBackoff    = 10 * time.Minute
	maxRetryAfter = time.Hour
)

// backoff is the wait after the n-th failure in a row: full jitter, a share r in [0, 1) of a ceiling that doubles.
func backoff(n int, r float64) time.Duration {
	ceiling := maxBackoff
	if n < 12 { // 500ms·2¹¹ is above the most
		ceiling = min(ceiling, firstBackoff<<max(n-1, 0))
	}
	return time.Duration(r * float64(ceiling))
}

// retryAfter reads the header of that name: seconds, or a date. What cannot be read asks for nothing.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
