// Command testlog reads `go test -json` and prints what a person wants to see: one line for each package, everything of a
// test that failed, and at the end what was skipped and why. Its exit status is 1 where anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

const maxLine = 16 << 20

type log struct {
	out             io.Writer
	pending         map[string][]string // output of a test that is still running, or of a package
	skipped         []string
	passed, failed  int
	failedPackages  []string
	elapsedPackages map[string]float64
}

func main() {
	l := &log{out: os.Stdout, pending: map[string][]string{}, elapsedPackages: map[string]float64{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(l.out, lines.Text()) // go itself has something to say
			continue
		}
		l.see(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
	os.Exit(l.summary())
}

func (l *log) see(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		l.pending[key] = append(l.pending[key], e.Output)
	case "build-output":
		fmt.Fprint(l.out, e.Output)
	case "build-fail":
		l.failed++
	case "pass", "skip", "fail":
		output := l.pending[key]
		delete(l.pending, key)
		if e.Test == "" {
			l.pkg(e, output)
			return
		}
		l.test(e, output)
	}
}

func (l *log) test(e event, output []string) {
	switch e.Action {
	case "pass":
		l.passed++
	case "fail":
		l.failed++
		fmt.Fprintf(l.out, "FAIL  %s %s\n%s", e.Package, e.Test, strings.Join(output, ""))
	case "skip":
		l.skipped = append(l.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output)))
	}
}

// reason is what a test said when it skipped itself.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

func (l *log) pkg(e event, output []string) {
	l.elapsedPackages[e.Package] = e.Elapsed
	switch e.Action {
	case "fail":
		l.failedPackages = append(l.failedPackages, e.Package)
		fmt.Fprintf(l.out, "FAIL  %s (%.1f s)\n%s", e.Package, e.Elapsed, strings.Join(output, ""))
	case "pass":
		fmt.Fprintf(l.out, "ok    %s (%.1f s)\n", e.Package, e.Elapsed)
	}
}

func (l *log) summary() int {
	if len(l.skipped) > 0 {
		slices.Sort(l.skipped)
		fmt.Fprintf(l.out, "\n%d SKIPPED, SO NOT CHECKED:\n", len(l.skipped))
		for _, s := range l.skipped {
			fmt.Fprintln(l.out, "  "+s)
		}
	}
	var total float64
	for _, s := range l.elapsedPackages {
		total += s
	}
	fmt.Fprintf(l.out, "\n%d tests passed, %d failed, %d skipped, in %d packages that took %.0f s\n", l.passed, l.failed, len(l.skipped), len(l.elapsedPackages), total)
	if l.failed > 0 || len(l.failedPackages) > 0 || len(l.elapsedPackages) == 0 {
		fmt.Fprintln(l.out, "FAILED", strings.Join(l.failedPackages, " "))
		return 1
	}
	return 0
}
