package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is the event of an alert, and its record's value.
func told(t testing.TB, kind, entity string, revision int64) (*alert.Event, []byte) {
	t.Helper()
	a := &alert.Alert{
		ID: "3f0c" + strconv.FormatInt(revision, 10), Rule: "card_testing", Version: 2, Title: "Card testing",
		Reason: "many cards in 5 minutes from one address",
		Entity: entity, Severity: "high", Score: 80, CaseScore: 90, Status: alert.Open, Episode: alert.Active, Revision: revision,
		Started: "2026-01-31T09:00:00Z", Last: "2026-01-31T09:05:00Z", Hits: 7, Orders: 6,
		AtRisk:      &alert.Money{Amount: "61250", Currency: "EUR", Exponent: 2},
		Explanation: []alert.Predicate{{Text: "distinct(card.fingerprint by ip, 5m) >= 5", Observed: "7", Operator: ">=", Threshold: "5"}},
		History:     []alert.Change{},
	}
	e := alert.NewEvent(topology.Names{}, typePrefix+kind, event.UnixMilli(1769850300000), a, nil)
	raw, err := e.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return e, raw
}

// request is what a receiver saw.
type request struct {
	path, body string
	header     http.Header
}

// listening is a receiver that answers as told and keeps what it saw.
func listening(t *testing.T, answer http.HandlerFunc) (*httptest.Server, chan request) {
	t.Helper()
	seen := make(chan request, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen <- request{r.URL.Path, string(body), r.Header}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s, seen
}

func posterOf(t *testing.T, r Receiver) *poster {
	t.Helper()
	r.Name = "desk"
	if err := Validate([]Receiver{r}); err != nil {
		t.Fatal(err)
	}
	p := newPoster(r.Filled(), "https://weir.example.com/", nil)
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// signed is what the package's documentation tells a receiver to do.
func signed(r request, secret []byte) bool {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", r.header.Get("webhook-id"), r.header.Get("webhook-timestamp"), r.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Fields(r.header.Get("webhook-signature")), func(s string) bool { return hmac.Equal([]byte(s), []byte(want)) })
}

// The published example of standardwebhooks.com.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	keys, err := Secrets{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}.keys()
	if err != nil {
		t.Fatal(err)
	}
	got := signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestARequestIsTheCloudEventAndSigned(t *testing.T) {
	server, seen := listening(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	file := secretFile(t, "the-old-secret-of-desk\n")
	p := posterOf(t, Receiver{URL: server.URL + "/alerts", SecretFile: file})
	e, raw := told(t, "opened", "ip:203.0.113.7", 1)
	if a := p.post(t.Context(), e, raw, 0); a.Status != 204 || a.Err != nil {
		t.Fatalf("answer %v", a)
	}
	r := <-seen
	if r.path != "/alerts" || r.body != string(raw) || r.header.Get("Content-Type") != "application/cloudevents+json; charset=UTF-8" {
		t.Errorf("got %s %s\n%s", r.path, r.header, r.body)
	}
	if got := r.header.Get("webhook-id"); got != e.ID || got != "3f0c1/1" {
		t.Errorf("id %q", got)
	}
	at, err := strconv.ParseInt(r.header.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-at)) > 60 {
		t.Errorf("timestamp %q", r.header.Get("webhook-timestamp"))
	}
	if !signed(r, []byte("the-old-secret-of-desk")) || signed(r, []byte("another-secret-of-desk")) {
		t.Errorf("signature %q", r.header.Get("webhook-signature"))
	}

	// While the secret changes, both are good; no restart is needed.
	if err := os.WriteFile(file, []byte("the-new-secret-of-desk\nthe-old-secret-of-desk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.post(t.Context(), e, raw, 0)
	if r := <-seen; !signed(r, []byte("the-old-secret-of-desk")) || !signed(r, []byte("the-new-secret-of-desk")) {
		t.Errorf("signature %q", r.header.Get("webhook-signature"))
	}

	// Without its secret nothing is sent.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if a := p.post(t.Context(), e, raw, 0); a.Err == nil || a.meaning() != again || len(seen) > 0 {
		t.Errorf("answer %v", a)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other, otherSeen := listening(t, func(http.ResponseWriter, *http.Request) {})
	server, _ := listening(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	e, raw := told(t, "opened", "ip:203.0.113.7", 1)
	a := posterOf(t, Receiver{URL: server.URL}).post(t.Context(), e, raw, 0)
	if a.Status != 307 || a.meaning() != again || len(otherSeen) != 0 {
		t.Errorf("answer %v, %d requests elsewhere", a, len(otherSeen))
	}
}

func TestOfAnAnswerALimitedPartIsRead(t *testing.T) {
	wrote := make(chan int, 1)
	server, _ := listening(t, func(w http.ResponseWriter, _ *http.Request) {
		n, kib := 0, make([]byte, 1<<10)
		for ; n < 1<<16; n++ { // 64 MiB, unless it is hung up on
			if _, err := w.Write(kib); err != nil {
				break
			}
		}
		wrote <- n
	})
	e, raw := told(t, "opened", "ip:203.0.113.7", 1)
	if a := posterOf(t, Receiver{URL: server.URL}).post(t.Context(), e, raw, maxAnswerBytes); a.Status != 200 || len(a.Body) != maxAnswerBytes {
		t.Errorf("status %d, %d bytes", a.Status, len(a.Body))
	}
	if n := <-wrote; n == 1<<16 {
		t.Error("all 64 MiB were taken")
	}
}

func TestAnUnknownCertificateIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	e, raw := told(t, "opened", "ip:203.0.113.7", 1)
	if a := posterOf(t, Receiver{URL: server.URL}).post(t.Context(), e, raw, 0); a.Err == nil || !strings.Contains(a.Err.Error(), "certificate") {
		t.Errorf("answer %v", a)
	}
}

func TestAReceiverThatIsSilentIsGivenUpAndItsAddressNotTold(t *testing.T) {
	gone := make(chan struct{})
	server, _ := listening(t, func(_ http.ResponseWriter, r *http.Request) { <-gone })
	t.Cleanup(func() { close(gone) }) // before the server is closed
	p := posterOf(t, Receiver{URL: server.URL + "/services/hush", Format: Slack, Timeout: 100 * time.Millisecond})
	e, raw := told(t, "opened", "ip:203.0.113.7", 1)
	if a := p.post(t.Context(), e, raw, 0); a.Err == nil || a.String() != "no answer within 100ms" {
		t.Errorf("answer %v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := p.post(ctx, e, raw, 0); a.Err == nil || strings.Contains(a.String(), "hush") {
		t.Errorf("answer %v", a)
	}
}

func TestASampleAlertIsOneLikeOthers(t *testing.T) {
	server, seen := listening(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("thanks")) })
	a, err := Try(t.Context(), Receiver{Name: "desk", URL: server.URL, Secret: Secrets{"the-secret-of-the-desk"}}, "")
	if err != nil || a.Status != 200 || a.Body != "thanks" {
		t.Fatalf("answer %+v, %v", a, err)
	}
	r := <-seen
	if e, err := parse([]byte(r.body)); err != nil || kind(e) != "opened" || !signed(r, []byte("the-secret-of-the-desk")) {
		t.Errorf("%v\n%s", err, r.body)
	}
	var any map[string]any
	if err := json.Unmarshal([]byte(r.body), &any); err != nil || any["specversion"] != "1.0" {
		t.Errorf("%v: %s", err, r.body)
	}
}
