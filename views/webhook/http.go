package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
)

const (
	maxAnswerBytes = 64 << 10
	maxHeaderBytes = 64 << 10
	idleConns      = 4
)

// poster posts events to one receiver.
type poster struct {
	receiver  Receiver
	publicURL string
	client    *http.Client
}

func newPoster(r Receiver, publicURL string, transport http.RoundTripper) *poster {
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: r.Timeout, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2: true, MaxConnsPerHost: maxFlying, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: r.Timeout, MaxResponseHeaderBytes: maxHeaderBytes, DisableCompression: true,
		}
	}
	return &poster{r, publicURL, &http.Client{
		Transport: transport,
		// What is meant for one address is not sent to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// check reads what is read at each request, so that a missing file is told at start.
func (p *poster) check() error {
	_, err := p.receiver.target()
	_, keysErr := p.receiver.keys()
	return errors.Join(err, keysErr)
}

// post sends an event once, within the receiver's timeout. Of the answer's body, that many bytes are kept; the rest, up to
// maxAnswerBytes, is read so that the connection can be used again.
func (p *poster) post(ctx context.Context, e *alert.Event, raw []byte, keep int64) Answer {
	ctx, cancel := context.WithTimeout(ctx, p.receiver.Timeout)
	defer cancel()
	started := time.Now()
	req, err := p.request(ctx, e, raw, started)
	if err != nil {
		return Answer{Err: err}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return Answer{Err: p.withoutAddress(err), Took: time.Since(started)}
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswerBytes)
	kept, err := io.ReadAll(io.LimitReader(body, keep))
	if err == nil { // what the status has told is true even where the body breaks off
		_, _ = io.Copy(io.Discard, body)
	}
	wait := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return Answer{Status: resp.StatusCode, RetryAfter: wait, Took: time.Since(started), Body: string(kept)}
}

func (p *poster) request(ctx context.Context, e *alert.Event, raw []byte, now time.Time) (*http.Request, error) {
	u, err := p.receiver.target()
	if err != nil {
		return nil, err
	}
	keys, err := p.receiver.keys()
	if err != nil {
		return nil, err
	}
	m, err := format(p.receiver.Format, u, e, raw, linkTo(p.publicURL, e.Data.Alert), now)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url.String(), bytes.NewReader(m.body))
	if err != nil {
		return nil, p.withoutAddress(err)
	}
	req.Header.Set("Content-Type", m.contentType)
	req.Header.Set("User-Agent", "weir")
	req.Header.Set("Webhook-Id", e.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(keys) > 0 {
		req.Header.Set("Webhook-Signature", signature(keys, e.ID, now, m.body))
	}
	return req, nil
}

// withoutAddress takes the address from an error: it may be a secret.
func (p *poster) withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", p.receiver.Timeout)
	}
	return err
}

// Try sends a sample alert to a receiver once, whatever it wants to be told.
func Try(ctx context.Context, r Receiver, publicURL string) (Answer, error) {
	p := newPoster(r.Filled(), publicURL, nil)
	if err := p.check(); err != nil {
		return Answer{}, err
	}
	defer p.client.CloseIdleConnections()
	e, raw, err := sample(time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return Answer{}, err
	}
	return p.post(ctx, e, raw, maxAnswerBytes), nil
}

// sample is an alert that says it is none.
func sample(now time.Time) (*alert.Event, []byte, error) {
	text := now.Format(time.RFC3339)
	a := &alert.Alert{
		ID: "test-" + strings.ToLower(rand.Text()), Rule: "weir_test", Version: 1, Title: "A test of weir: nothing is wrong",
		Reason: "weir webhooks test sent this.", Entity: "customer:test", Severity: "low", Score: 1, CaseScore: 1,
		Status: alert.Open, Episode: alert.Active, Revision: 1, Started: text, Last: text, Hits: 1, Orders: 1,
		AtRisk:      &alert.Money{Amount: "1234", Currency: "EUR", Exponent: 2},
		Explanation: []alert.Predicate{{Text: "count(payments by card, 5m) >= 3", Observed: "3", Operator: ">=", Threshold: "3"}},
		History:     []alert.Change{{What: alert.ChangeOpened, Time: text}},
	}
	e := alert.NewEvent(topology.Names{}, alert.TypeOpened, event.UnixMilli(now.UnixMilli()), a, nil)
	raw, err := e.JSON()
	return e, raw, err
}
