package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// webhooks runs weir webhooks with a file of settings.
func webhooks(t *testing.T, settings string, args ...string) (code int, out, errs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"webhooks", "--config", file}, args...), system{strings.NewReader(""), &stdout, &stderr, nil})
	return code, stdout.String(), stderr.String()
}

func TestWebhooksAreListedWithoutTheirSecrets(t *testing.T) {
	settings := `webhooks: [{name: desk, url: "https://desk.example.com/alerts", rules: [a, b], secret: hush-hush-hush-hush},
  {name: chat, url: "https://hooks.example.com/hush", format: slack, min_severity: high}]`
	for _, args := range [][]string{{"list"}, {"list", "--format", "json"}} {
		code, out, errs := webhooks(t, settings, args...)
		if code != 0 || !strings.Contains(out, "desk.example.com/alerts") || !strings.Contains(out, "hooks.example.com") || strings.Contains(out, "hush") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if code, out, _ := webhooks(t, "", "list"); code != 0 || !strings.Contains(out, "nobody") {
		t.Errorf("without receivers: exit %d, %s", code, out)
	}
}

func TestATestTellsWhatTheReceiverAnswered(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Webhook-Signature") == "" {
			t.Error("not signed")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("seen\x1b[2J by desk"))
	}))
	t.Cleanup(server.Close)
	settings := "webhooks: [{name: desk, url: \"" + server.URL + "\", events: [ended], secret: hush-hush-hush-hush}]"
	code, out, errs := webhooks(t, settings, "test", "desk")
	if code != 0 || !strings.Contains(out, "status 200 OK") || !strings.Contains(out, "seen[2J by desk") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	status = http.StatusForbidden
	code, out, errs = webhooks(t, settings, "test", "desk")
	if code != exitFailed || !strings.Contains(out, "status 403 Forbidden") || !strings.Contains(errs, "did not take") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := webhooks(t, settings, "test", "dsk"); code != exitFailed || !strings.Contains(errs, "there are: desk") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
