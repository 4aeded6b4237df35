package configs

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/views/webhook"
)

const deskFile = `
webhooks:
  - name: fraud-desk
    url: https://desk.example.com/alerts
    events: [opened, ended]
    min_severity: high
    rules: [card_testing]
    secret_file: /run/secrets/desk
    timeout: 5s
    max_attempts: 20
  - {name: chat, url: "https://hooks.slack.example.com/services/T0/B0/hush", format: slack}
  - {name: pager, url_file: /run/secrets/pager, secret: [a-secret-of-enough-bytes, another-one-with-enough-bytes]}
serve: {public_url: "https://weir.example.com"}
`

func TestReceiversOfAlertsAreReadFromTheFile(t *testing.T) {
	l := load(t, Sourced{File: file(t, deskFile)})
	want := webhook.Receiver{Name: "fraud-desk", URL: "https://desk.example.com/alerts", Events: []string{"opened", "ended"}, MinSeverity: "high",
		Rules: []string{"card_testing"}, SecretFile: "/run/secrets/desk", Timeout: 5 * time.Second, MaxAttempts: 20}
	if len(l.Webhooks) != 3 || !reflect.DeepEqual(l.Webhooks[0], want) {
		t.Errorf("got %+v", l.Webhooks)
	}
	if got := len(l.Webhooks[2].Secret); got != 2 {
		t.Errorf("%d secrets, want 2", got)
	}
}

func TestWhatIsSecretInReceiversIsNotShown(t *testing.T) {
	l := load(t, Sourced{File: file(t, deskFile)})
	var printed strings.Builder
	if err := l.Write(&printed); err != nil {
		t.Fatal(err)
	}
	text := printed.String()
	for _, s := range l.Settings() {
		text += s.Value
	}
	for _, secret := range []string{"enough-bytes", "services/T0"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is shown", secret)
		}
	}
	if !strings.Contains(text, "https://desk.example.com/alerts") || !strings.Contains(text, "https://hooks.slack.example.com/") {
		t.Errorf("addresses are not shown: %s", text)
	}
	// What was hidden cannot become a setting by way of a saved file.
	_, err := Load(Sourced{File: file(t, printed.String())})
	if err == nil || !strings.Contains(err.Error(), "(chat): url: holds the mark") || !strings.Contains(err.Error(), "(pager): secret: is the mark") {
		t.Errorf("got %v", err)
	}
}

func TestReceiversWithoutSecretsSurviveBeingPrinted(t *testing.T) {
	first := load(t, Sourced{File: file(t, strings.Split(deskFile, "  - {name: chat")[0])})
	var printed strings.Builder
	if err := first.Write(&printed); err != nil {
		t.Fatal(err)
	}
	if second := load(t, Sourced{File: file(t, printed.String())}); !reflect.DeepEqual(first.Webhooks, second.Webhooks) {
		t.Errorf("first %+v\nsecond %+v", first.Webhooks, second.Webhooks)
	}
}

func TestMistakesInReceiversAreTold(t *testing.T) {
	for text, says := range map[string]string{
		"webhooks: desk": "a list such as [{name: desk",
		"webhooks: [{name: desk, url: 'ftp://x/'}]":                               "url: is no address",
		"webhooks: [{name: Desk, url: 'https://x/'}]":                             "is no name",
		"webhooks: [{name: desk}]":                                                "url_file",
		"webhooks: [{name: desk, url: 'https://x/', event: [opened]}]":            "event",
		"webhooks: [{name: desk, url: 'https://x/', events: [open]}]":             "opened, updated",
		"webhooks: [{name: desk, url: 'https://x/', format: teams}]":              "alertmanager",
		"webhooks: [{name: desk, url: 'https://x/', secret: short}]":              "openssl rand",
		"webhooks: [{name: desk, url: 'https://x/', timeout: 1h}]":                "1m",
		"webhooks: [{name: a, url: 'https://x/'}, {name: a, url: 'https://y/'}]":  "given twice",
		"webhooks: [{name: desk, url: 'https://x/', secret: s, secret_file: f}]":  "keep one",
		"webhooks: [{name: desk, url: 'https://x/', min_severity: urgent}]":       "critical",
		"webhooks: [{name: desk, url: 'https://x/', max_attempts: -1}]":           "max_attempts",
		"webhooks: [{name: desk, url: 'https://x/', secret: 'whsec_no base64!'}]": "no base64",
		"serve: {public_url: weir.example.com}":                                   "https://weir.example.com",
	} {
		_, err := Load(Sourced{File: file(t, text)})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "weir.yaml:1") {
			t.Errorf("%s\ngot %v\nshould say %q", text, err, says)
		}
	}
}
