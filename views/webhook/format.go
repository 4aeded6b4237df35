package webhook

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"weir/topology/alert"
)

// message is what is posted.
type message struct {
	url         *url.URL
	contentType string
	body        []byte
}

const typeJSON = "application/json; charset=utf-8"

// format makes the message for a receiver at u. raw is the event as it is on the topic, link the alert's page or "".
func format(f Format, u *url.URL, e *alert.Event, raw []byte, link string, now time.Time) (message, error) {
	switch f {
	case Slack:
		body, err := slackBody(e, link)
		return message{u, typeJSON, body}, err
	case Alertmanager:
		body, err := alertmanagerBody(e, link, now)
		return message{alertsOf(u), typeJSON, body}, err
	}
	return message{u, alert.ContentType, raw}, nil
}

// linkTo is the alert's page on the dashboard that people reach at publicURL.
func linkTo(publicURL string, a *alert.Alert) string {
	if publicURL == "" || a.ID == "" {
		return ""
	}
	return strings.TrimRight(publicURL, "/") + "/#/fraud/" + url.PathEscape(a.ID)
}

// cut shortens a text to n bytes, at a character's edge.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const more = "…"
	n -= len(more)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + more
}
