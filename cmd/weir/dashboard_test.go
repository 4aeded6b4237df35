package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	browserSuite    = "../../dashboard/e2e"
	browserPatience = 9 * time.Minute // under 3 on two cores of their own
	leastNode       = 20              // playwright-core asks for it
)

// TestDashboardInABrowser runs dashboard/e2e: the dashboard of the real binary over a seeded replay, in Chromium.
func TestDashboardInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a browser tells nothing about races in weir")
	}
	if missing := browserSuiteMissing(); missing != "" {
		say := "SKIP: the dashboard was not tried in a browser: " + missing
		if os.Getenv("CI") == "true" {
			t.Fatal(say)
		}
		fmt.Fprintln(os.Stderr, say)
		t.Skip(say)
	}
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), browserPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "all.test.mjs")
	cmd.Dir = browserSuite
	cmd.Env = append(os.Environ(), "WEIR_BINARY="+name)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its weir and its browser
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// browserSuiteMissing says what to install first, or nothing.
func browserSuiteMissing() string {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return "install node: apt-get install nodejs npm"
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < leastNode {
		return fmt.Sprintf("node is %s; it takes %d or newer", strings.TrimSpace(string(out)), leastNode)
	}
	if _, err := os.Stat("/usr/bin/chromium"); err != nil && os.Getenv("WEIR_CHROMIUM") == "" {
		return "install chromium: apt-get install chromium, or set WEIR_CHROMIUM to where it is"
	}
	for _, library := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(browserSuite, "node_modules", library)); err != nil {
			return library + " is missing: cd dashboard/e2e && npm ci"
		}
	}
	return ""
}
