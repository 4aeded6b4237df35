package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// browserClient is the client for browsers, which lives with the dashboard.
const browserClient = "../../dashboard/web/live.js"

// nodeArgs run a program of testdata under Node. Without Node the tests of live.js are left out, but not where all must run.
func nodeArgs(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("node is needed for the tests of live.js")
		}
		t.Skip("SKIPPED: live.js is not tested, because there is no node")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, node, append([]string{"--experimental-websocket", "--no-warnings", filepath.Join("testdata", program), browserClient}, args...)...)
}

// The client for browsers passes the transcripts that the server and the Go client pass, and comes back after the codes that ask for it.
func TestBrowserClientFollowsTheTranscripts(t *testing.T) {
	codes := map[string]bool{}
	for code, of := range within(t, document(t), "channels", "socket", "x-close-codes") {
		codes[code] = of.(map[string]any)["comeBack"].(bool)
	}
	told, err := json.Marshal(codes)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{string(told)}
	for _, name := range slices.Sorted(maps.Keys(transcripts)) {
		args = append(args, filepath.Join("testdata", "transcripts", name+".ndjson"))
	}
	cmd := nodeArgs(t, "transcript.mjs", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var done struct{ States, Frames, Ends int }
	if err := json.Unmarshal(out, &done); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if done.States < 10 || done.Frames < 40 || done.Ends != len(codes) {
		t.Errorf("too little was played: %s", fmt.Sprint(done))
	}
}
