package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a weir process under measurement.
type child struct {
	cmd    *exec.Cmd
	name   string
	log    *tail
	done   chan error
	listen string // of its HTTP endpoint
}

// tail keeps the last lines of a child's output for the error message when it dies.
type tail struct{ buf bytes.Buffer }

const tailBytes = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

// startChild starts weir on the source topics of prefix.
func startChild(name, binary string, from []source, listen string, args ...string) (*child, error) {
	sources, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	return startProcess(name, binary, []string{"WEIR_SOURCES=" + string(sources)}, listen, args...)
}

// startProcess starts weir with more environment.
func startProcess(name, binary string, env []string, listen string, args ...string) (*child, error) {
	c := &child{name: name, log: new(tail), done: make(chan error, 1), listen: listen}
	c.cmd = exec.Command(binary, args...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.Env = append(os.Environ(), env...)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	return c, nil
}

type source struct {
	Topic   string `json:"topic"`
	Mapping string `json:"mapping"`
}

func sourcesOf(prefix string, o Options) (out []source) {
	mapping := "w"
	if o.Metrics == Shop {
		mapping = "canonical"
	}
	for _, topic := range topicsOf(prefix) {
		out = append(out, source{topic, mapping})
	}
	return out
}

// check tells whether the child died.
func (c *child) check() error {
	select {
	case err := <-c.done:
		c.done <- err
		return fmt.Errorf("weir %s ended (%v); its last words:\n%s", c.name, err, c.log.buf.String())
	default:
		return nil
	}
}

// stop ends the child gracefully and returns its whole CPU time and peak memory.
func (c *child) stop() (cpu time.Duration, peakBytes int64, err error) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err = <-c.done:
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		err = errors.Join(errors.New("did not stop within 30 s of SIGTERM"), <-c.done)
	}
	st := c.cmd.ProcessState
	if ru, ok := st.SysUsage().(*syscall.Rusage); ok {
		peakBytes = ru.Maxrss << 10 // Linux counts in KiB
	}
	return st.UserTime() + st.SystemTime(), peakBytes, err
}

// children are stopped together, the last one first.
type children []*child

func (c children) stop() (err error) {
	for i := len(c) - 1; i >= 0; i-- {
		_, _, stopErr := c[i].stop()
		err = errors.Join(err, stopErr)
	}
	return err
}

// awaitReady waits until a view server is.
func awaitReady(ctx context.Context, c *child) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := c.check(); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.listen+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("weir %s was not ready within a minute; its last words:\n%s", c.name, c.log.buf.String())
}

// clockTick is the unit of CPU time in /proc: 100 to the second on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the CPU time the child has used so far; 0 where /proc is missing.
func (c *child) cpu() time.Duration { return cpuOf(c.cmd.Process.Pid) }

func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	if !ok {
		return 0
	}
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// resident is the memory of the child that is in RAM, in bytes.
func (c *child) resident() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("memory is read from /proc, which this system has not: %w", err)
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm says %q", c.cmd.Process.Pid, b)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// inUse is the heap and the stacks that the child uses, in bytes; 0 where it does not tell.
func (c *child) inUse(ctx context.Context) int64 {
	return int64(c.metric(ctx, "go_memstats_heap_inuse_bytes") + c.metric(ctx, "go_memstats_stack_inuse_bytes"))
}

// metric is one value of the child's /metrics; 0 where it is not told.
func (c *child) metric(ctx context.Context, series string) (value float64) {
	err := c.scrape(ctx, func(line string) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, _ = strconv.ParseFloat(text, 64) // what is no number is not told
		}
	})
	if err != nil {
		return 0
	}
	return value
}

// counters sums the child's Prometheus counters by name.
func (c *child) counters(ctx context.Context) (map[string]float64, error) {
	sums := map[string]float64{}
	err := c.scrape(ctx, func(line string) {
		series, value, ok := strings.Cut(line, "} ")
		name, labels, _ := strings.Cut(series, "{")
		if !ok || !strings.HasPrefix(name, "weir_engine_") {
			return
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return
		}
		sums[name] += v
		if _, group, ok := strings.Cut(labels, `group="`); ok {
			group, _, _ = strings.Cut(group, `"`)
			sums[name+"/"+group] += v
		}
	})
	return sums, err
}

// scrape reads the child's /metrics line by line.
func (c *child) scrape(ctx context.Context, line func(string)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.listen+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(io.LimitReader(resp.Body, 8<<20))
	for sc.Scan() {
		line(sc.Text())
	}
	return sc.Err()
}

// freeAddress finds a loopback address that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
