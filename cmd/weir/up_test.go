package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/topology/event"
)

// upProcess is a weir up that tells its addresses.
type upProcess struct {
	cmd              *exec.Cmd
	dashboard, kafka string
	log              *strings.Builder
}

func launchUp(t *testing.T, dir string, args ...string) *upProcess {
	t.Helper()
	cmd := prepare(t, invocation{args: append([]string{"up", "--data", dir, "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--partitions", "3"}, args...)})
	r := &upProcess{cmd: cmd, log: &strings.Builder{}}
	cmd.Stderr = r.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended by itself, unless the test failed
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " "); name {
		case "dashboard":
			r.dashboard = strings.TrimSpace(value)
		case "kafka":
			r.kafka = strings.TrimSpace(value)
		case "stop":
			return r
		}
	}
	_ = cmd.Wait() // the log says why
	t.Fatalf("weir up ended:\n%s", r.log)
	return nil
}

func (r *upProcess) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
}

// orders is how many orders the metrics count; −1 while they cannot be asked.
func (r *upProcess) orders(t *testing.T) int64 {
	t.Helper()
	resp, err := http.Get(r.dashboard + "/v1/metrics/orders?window=all")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return -1
	}
	var a struct {
		Series []struct{ Points []struct{ Count int64 } }
	}
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var n int64
	for _, s := range a.Series {
		for _, p := range s.Points {
			n += p.Count
		}
	}
	return n
}

func (r *upProcess) wait(t *testing.T, what string, fulfilled func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !fulfilled(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about\n%s", what, r.log)
		}
	}
}

func TestUpCountsEveryOrderOverARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := launchUp(t, dir, "--generate", "100", "--rhythm=false")
	first.wait(t, "a count of orders", func() bool { return first.orders(t) >= 100 })
	first.stop(t)

	second := launchUp(t, dir, "--generate", "0")
	ids := map[string]bool{}
	for _, rec := range consume(t, second.kafka, "orders") {
		e, err := event.Canonical().Parse(rec.Value, 0)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == event.OrderCreated {
			ids[e.OrderID] = true
		}
	}
	second.wait(t, fmt.Sprintf("a count of %d orders", len(ids)), func() bool { return second.orders(t) == int64(len(ids)) })
	second.wait(t, "the timelines of some orders", func() bool {
		for id := range ids {
			if r := weir(t, invocation{args: []string{"inspect", "order", id, "--server", second.dashboard}}); r.code != 0 || !strings.Contains(r.out, "order.created") {
				return false
			}
			if delete(ids, id); len(ids)%20 == 0 { // a process each: a sample is enough
				return true
			}
		}
		return true
	})
	second.stop(t)
}
