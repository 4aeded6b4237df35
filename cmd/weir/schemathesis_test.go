package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Schemathesis asks a running weir up, with a shop and fraud in it, what its own description allows and what that forbids, and compares
// each answer with it: statuses, headers, shapes, what is refused. Same seed, same questions, so far as the answers are the same.
func TestTheAPIIsAsDescribed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("half a minute")
	}
	program, err := exec.LookPath("schemathesis")
	if err != nil {
		why := "the API is not compared with its description: schemathesis is missing; install it: pipx install schemathesis==4.32.5"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip("SKIPPED: " + why)
	}
	config, err := filepath.Abs("testdata/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	up := launchUp(t, t.TempDir(), "--generate", "20", "--fraud", "card_testing_bot=0.05,account_takeover=0.05")
	defer up.stop(t)
	for deadline := time.Now().Add(patience); up.orders(t) < 200 || alertsAt(up.dashboard) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d orders and %d alerts after all that time\n%s", up.orders(t), alertsAt(up.dashboard), up.log)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--config-file", config, "run", up.dashboard+"/openapi.json", "--checks", "all", "--max-examples", "6", "--seed", "1",
		"--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure", "--generation-database", "none", "--request-timeout", "60", "--warnings", "off")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "COLUMNS=160")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out[max(0, len(out)-600):])
}

// alertsAt is how many alerts there are; 0 while they cannot be asked for.
func alertsAt(base string) int {
	resp, err := http.Get(base + "/v1/alerts?limit=1")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var list struct{ Total int }
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&list) != nil {
		return 0
	}
	return list.Total
}
