package webhook

import (
	"encoding/json"
	"io"
	"log"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"weir/topology/alert"
)

var quiet = log.New(io.Discard, "", 0)

func formatted(t *testing.T, f Format, address string, e *alert.Event) (message, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	m, err := format(f, u, e, nil, linkTo("https://weir.example.com", e.Data.Alert), noon)
	if err != nil {
		t.Fatal(err)
	}
	var pretty any
	if err := json.Unmarshal(m.body, &pretty); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(pretty, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return m, string(text)
}

func TestASlackMessageTellsWhatAndWhy(t *testing.T) {
	e, _ := told(t, "opened", "ip:203.0.113.7", 1)
	_, text := formatted(t, Slack, "https://hooks.slack.example.com/x", e)
	for _, part := range []string{
		`"text": "HIGH: Card testing (ip:203.0.113.7)"`, `"*Severity*\n■■■□ high"`, `"*At risk*\n612.50 EUR"`, `"*Score*\n80"`, `"*Hits*\n7"`,
		`many cards in 5 minutes`, `• distinct(card.fingerprint by ip, 5m) \u0026gt;= 5: was 7`,
		`\u003chttps://weir.example.com/#/fraud/3f0c1|open in weir\u003e | rule card_testing, opened`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%s\nis not in\n%s", part, text)
		}
	}
}

// Slack refuses a message with one text too long, and would notify everybody of a channel where a text says so.
func TestATextFromOutsideDoesNotBreakASlackMessage(t *testing.T) {
	e, _ := told(t, "opened", "email:<!channel>&"+strings.Repeat("é", 5000), 1)
	a := e.Data.Alert
	a.Title, a.Reason, a.Rule = strings.Repeat("ü", 400), strings.Repeat("<&>", 3000), "<@U1>"
	for range 50 {
		a.Explanation = append(a.Explanation, alert.Predicate{Text: strings.Repeat("<", 2000), Observed: strings.Repeat("x", 4000)})
	}
	m, _ := formatted(t, Slack, "https://hooks.slack.example.com/x", e)
	var message struct {
		Text   string
		Blocks []slackBlock
	}
	if err := json.Unmarshal(m.body, &message); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(m.body), `<!channel`) || strings.Contains(message.Text, "<!") ||
		strings.Contains(message.Blocks[len(message.Blocks)-1].Elements[0].Text, "<@") {
		t.Error("a text can notify people")
	}
	within := func(text slackText, limit int) {
		if n := utf8.RuneCountInString(text.Text); n > limit || n == 0 || !utf8.ValidString(text.Text) || strings.ContainsRune(text.Text, utf8.RuneError) {
			t.Errorf("a text has %d characters, the limit is %d", n, limit)
		}
	}
	for _, b := range message.Blocks {
		if b.Text != nil {
			within(*b.Text, map[string]int{"header": 150, "section": 3000}[b.Type])
		}
		for _, f := range b.Fields {
			within(f, 2000)
		}
		if len(b.Fields) > 10 {
			t.Errorf("%d fields", len(b.Fields))
		}
	}
}

func TestAlertmanagerGetsAnAlertThatStaysUntilItEnds(t *testing.T) {
	e, _ := told(t, "opened", "ip:203.0.113.7", 1)
	m, text := formatted(t, Alertmanager, "http://alertmanager:9093/prefix/", e)
	if got := m.url.String(); got != "http://alertmanager:9093/prefix/api/v2/alerts" {
		t.Errorf("posted to %s", got)
	}
	want := `[
 {
  "annotations": {
   "reason": "many cards in 5 minutes from one address",
   "title": "Card testing"
  },
  "endsAt": "2026-02-01T12:00:00Z",
  "generatorURL": "https://weir.example.com/#/fraud/3f0c1",
  "labels": {
   "alertname": "card_testing",
   "entity": "ip:203.0.113.7",
   "severity": "high",
   "weir_alert_id": "3f0c1"
  },
  "startsAt": "2026-01-31T09:00:00Z"
 }
]`
	if text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
	for _, kind := range []string{"ended", "withdrawn"} {
		e.Type = typePrefix + kind
		m, text := formatted(t, Alertmanager, "http://alertmanager:9093/api/v2/alerts", e)
		if got := m.url.String(); got != "http://alertmanager:9093/api/v2/alerts" {
			t.Errorf("posted to %s", got)
		}
		if !strings.Contains(text, `"endsAt": "2026-01-31T09:05:00Z"`) || !strings.Contains(text, `"startsAt": "2026-01-31T09:00:00Z"`) {
			t.Errorf("%s: %s", kind, text)
		}
	}
	e.Time = noon.Add(time.Hour).Format(time.RFC3339) // a clock that is ahead must not leave it firing
	if _, text := formatted(t, Alertmanager, "http://alertmanager:9093", e); !strings.Contains(text, `"endsAt": "2026-01-31T12:00:00Z"`) {
		t.Error(text)
	}
}

func TestAnAlertThatHasAnotherIDEndsTheOneBefore(t *testing.T) {
	e, _ := told(t, "moved", "ip:203.0.113.7", 1)
	e.Data.Moved = &alert.Moved{From: []string{"old1", "old2"}, To: e.Data.ID}
	m, _ := formatted(t, Alertmanager, "http://alertmanager:9093", e)
	var got []prometheusAlert
	if err := json.Unmarshal(m.body, &got); err != nil || len(got) != 3 {
		t.Fatalf("%v %s", err, m.body)
	}
	for i, over := range []bool{false, true, true} {
		if got[i].EndsAt.After(noon) == over {
			t.Errorf("%s ends at %s", got[i].Labels["weir_alert_id"], got[i].EndsAt)
		}
	}
}

func TestAmountsAreWrittenInMajorUnits(t *testing.T) {
	for want, m := range map[string]alert.Money{
		"612.50 EUR": {Amount: "61250", Currency: "EUR", Exponent: 2}, "0.05 EUR": {Amount: "5", Currency: "EUR", Exponent: 2},
		"-0.50 USD": {Amount: "-50", Currency: "USD", Exponent: 2},
		"700 JPY":   {Amount: "700", Currency: "JPY"}, "1.234 KWD": {Amount: "1234", Currency: "KWD", Exponent: 3},
	} {
		if got := amount(&m); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAReceiverIsToldWhatItWants(t *testing.T) {
	e, _ := told(t, "opened", "ip:203.0.113.7", 1)
	for _, c := range []struct {
		name string
		r    Receiver
		want bool
	}{
		{"all that open", Receiver{}, true},
		{"ends only", Receiver{Events: []string{"ended"}}, false},
		{"severe enough", Receiver{MinSeverity: "high"}, true},
		{"not severe enough", Receiver{MinSeverity: "critical"}, false},
		{"its rule", Receiver{Rules: []string{"velocity", "card_testing"}}, true},
		{"another rule", Receiver{Rules: []string{"velocity"}}, false},
	} {
		if got := c.r.Filled().Wants(e); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	e.Data.Severity = "appalling"
	if r := (Receiver{MinSeverity: "critical"}); !r.Filled().Wants(e) {
		t.Error("a severity that is not known is left out")
	}
}
