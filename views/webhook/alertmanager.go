package webhook

import (
	"cmp"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"weir/topology/alert"
)

const alertsPath = "/api/v2/alerts"

// alertsOf is where Alertmanager takes alerts, where only its own address is given.
func alertsOf(u *url.URL) *url.URL {
	if strings.HasSuffix(u.Path, alertsPath) {
		return u
	}
	return u.JoinPath(alertsPath)
}

// stays is how long Alertmanager keeps an alert of which nothing more is told. Without an end it would resolve it within minutes.
const stays = 24 * time.Hour

const (
	maxLabel      = 1 << 10
	maxAnnotation = 8 << 10
)

// prometheusAlert is an alert as Alertmanager takes it. Its labels are its identity.
type prometheusAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// alertmanagerBody is an array of the alert, and of those that it takes the place of. It begins when the episode began; one that
// ended or was withdrawn is over.
func alertmanagerBody(e *alert.Event, link string, now time.Time) ([]byte, error) {
	told := timeOf(e.Time)
	if told.After(now) {
		told = now // only an end that has passed resolves an alert
	}
	ends := now.Add(stays)
	if isOver(e) {
		ends = told
	}
	all := []prometheusAlert{prometheusOf(e.Data.Alert, e.Data.ID, ends, link)}
	if e.Data.Moved != nil {
		for _, id := range e.Data.Moved.From {
			if id != e.Data.ID {
				all = append(all, prometheusOf(e.Data.Alert, id, told, link))
			}
		}
	}
	return json.Marshal(all)
}

func prometheusOf(a *alert.Alert, id string, ends time.Time, link string) prometheusAlert {
	starts := timeOf(a.Started)
	if starts.IsZero() || starts.After(ends) {
		starts = ends
	}
	return prometheusAlert{
		Labels: map[string]string{
			"alertname": cut(cmp.Or(a.Rule, "weir"), maxLabel), "severity": cut(a.Severity, maxLabel),
			"entity": cut(a.Entity, maxLabel), "weir_alert_id": cut(id, maxLabel),
		},
		Annotations: map[string]string{"title": cut(a.Title, maxAnnotation), "reason": cut(a.Reason, maxAnnotation)},
		StartsAt:    starts, EndsAt: ends.UTC(), GeneratorURL: link,
	}
}

// isOver reports whether nobody needs to look at the alert any more.
func isOver(e *alert.Event) bool {
	switch kind(e) {
	case "ended", "withdrawn":
		return true
	case "decided":
		return e.Data.Status == alert.Closed || e.Data.Status == alert.FalsePositive
	}
	return false
}
