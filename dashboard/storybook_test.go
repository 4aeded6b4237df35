package dashboard_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// The storybook costs nobody anything who does not ask for it: its page begins with a script of its own, and no page loads that.
func TestStorybookIsApart(t *testing.T) {
	page := get("/storybook")
	if page.Code != 200 || !strings.Contains(page.Body.String(), `src="/storybook/storybook.js"`) || strings.Contains(page.Body.String(), "all.js") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	if get("/storybook/storybook.js").Code != 200 {
		t.Error("its script is missing")
	}
	if s := get("/").Body.String() + get("/all.js").Body.String(); strings.Contains(s, "storybook") {
		t.Error("the dashboard loads the storybook")
	}
}

// What it tells was recorded: for each page there is a path, and answers that nobody's machine can be known from.
func TestStorybookIsRecorded(t *testing.T) {
	text := get("/storybook/canned.json").Body.String()
	var canned struct {
		Pages        []struct{ Name, Path string }
		Rest, Frames map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &canned); err != nil {
		t.Fatal(err)
	}
	if len(canned.Pages) < 8 || len(canned.Rest) < 15 || len(canned.Frames) < 10 {
		t.Errorf("%d pages, %d answers, %d frames: record it anew with make storybook", len(canned.Pages), len(canned.Rest), len(canned.Frames))
	}
	if m := regexp.MustCompile(`"/(?:tmp|home|root|work)/[^"]*"|127\.0\.0\.1:\d+`).FindString(text); m != "" {
		t.Errorf("it tells %s of the machine it was recorded on", m)
	}
}
