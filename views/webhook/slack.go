package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weir/topology/alert"
)

// Limits of Slack: texts in characters, of which these bytes are never more.
const (
	slackHeader     = 150
	slackSection    = 2900
	slackField      = 1900
	slackPredicates = 5
)

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

// slackBody is a message of blocks, with a plain text for notifications.
func slackBody(e *alert.Event, link string) ([]byte, error) {
	a := e.Data
	title := cmp.Or(a.Title, a.Rule, a.ID)
	blocks := []slackBlock{
		{Type: "header", Text: &slackText{"plain_text", cut(title, slackHeader)}},
		{Type: "section", Fields: slackFields(e)},
	}
	if a.Reason != "" {
		blocks = append(blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", slackSafe(a.Reason, slackSection)}})
	}
	if why := slackWhy(a.Explanation); why != "" {
		blocks = append(blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", why}})
	}
	foot := fmt.Sprintf("rule %s, %s", slackSafe(a.Rule, slackField), kind(e))
	if link != "" {
		foot = "<" + link + "|open in weir> | " + foot
	}
	blocks = append(blocks, slackBlock{Type: "context", Elements: []slackText{{"mrkdwn", foot}}})
	return json.Marshal(struct {
		Text   string       `json:"text"`
		Blocks []slackBlock `json:"blocks"`
	}{slackSafe(fmt.Sprintf("%s: %s (%s)", strings.ToUpper(a.Severity), title, a.Entity), slackSection), blocks})
}

func slackFields(e *alert.Event) []slackText {
	var fields []slackText
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, slackText{"mrkdwn", "*" + name + "*\n" + slackSafe(value, slackField)})
		}
	}
	a := e.Data
	add("Severity", strings.TrimSpace(severityMark(a.Severity)+" "+a.Severity))
	add("Entity", a.Entity)
	if a.AtRisk != nil {
		add("At risk", amount(a.AtRisk))
	}
	add("Score", fmt.Sprint(a.Score))
	add("Hits", fmt.Sprint(a.Hits))
	add("Status", a.Status)
	return fields
}

// severityMark tells a severity by shape: one filled square of four for low, four for critical.
func severityMark(severity string) string {
	n := slices.Index(severities, severity) + 1
	if n == 0 {
		return ""
	}
	return strings.Repeat("■", n) + strings.Repeat("□", len(severities)-n)
}

// slackWhy lists the first comparisons that held.
func slackWhy(explanation []alert.Predicate) string {
	var lines []string
	for _, p := range explanation {
		if len(lines) == slackPredicates {
			break
		}
		lines = append(lines, "• "+slackSafe(sentence(p), slackSection/slackPredicates-8))
	}
	return strings.Join(lines, "\n")
}

// sentence writes a comparison for people: what was asked, and what was seen.
func sentence(p alert.Predicate) string {
	text := p.Text
	if text == "" {
		text = strings.TrimSpace(p.Feature + " " + p.Operator + " " + p.Threshold)
	}
	if p.Observed == "" {
		return text
	}
	return text + ": was " + p.Observed
}

var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackSafe escapes a text, so that it cannot become a link or a mention, and keeps it within n bytes.
func slackSafe(text string, n int) string {
	const longest = 5 // "&amp;" for one byte
	safe := slackEscape.Replace(text)
	if len(safe) <= n {
		return safe
	}
	return slackEscape.Replace(cut(text, n/longest))
}
