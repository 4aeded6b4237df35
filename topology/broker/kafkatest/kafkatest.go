// Package kafkatest gives tests an Apache Kafka, the real one, beside the embedded broker that most of them use. It stands
// outside an event's journey: only tests import it.
//
//	func TestOnKafka(t *testing.T) {
//		brokers := []string{kafkatest.Start(t)}
//		…
//	}
//
// Where the environment names a cluster (WEIR_KAFKA=host:port), that one is used; tests share it, so they must name their
// topics, groups and transactional ids after themselves (Unique). Otherwise .ci/kafka runs one broker on a free port of
// loopback, once for each test process, and it ends with that process, however that ends: it reads a pipe that the
// kernel closes.
//
// Without Java, and without Maven or jars fetched earlier, the test is skipped and says what to install. With CI=true a
// skip is a failure. A Kafka that is there and does not work is a failure everywhere.
package kafkatest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// Env names a cluster to use instead of starting one.
const Env = "WEIR_KAFKA"

const startTimeout = 3 * time.Minute // with Kafka's jars still to be fetched

// errMissing is that a program is not installed.
var errMissing = errors.New("no Apache Kafka can be started here")

// started is the broker of this process. The pipe must stay reachable: Kafka ends when it is closed.
var started = sync.OnceValues(func() (string, error) { return launch() })

var stdin io.WriteCloser

// Start returns the bootstrap address of a Kafka that answers.
func Start(t testing.TB) string {
	t.Helper()
	addr := os.Getenv(Env)
	if addr == "" {
		var err error
		addr, err = started()
		if errors.Is(err, errMissing) {
			SkipLoudly(t, err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := answers(t.Context(), addr); err != nil {
		t.Fatalf("%v (from %s)", err, source())
	}
	return addr
}

func source() string {
	if os.Getenv(Env) != "" {
		return "the environment variable " + Env
	}
	return ".ci/kafka"
}

// SkipLoudly skips a test for want of something; with CI=true, where everything is to run, that is a failure.
func SkipLoudly(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("not skipped, because CI=true: " + why)
	}
	t.Skip("SKIPPED: " + why)
}

var serial atomic.Int64

// Unique returns a name for topics, groups or transactional ids that no other test uses, nor an earlier run.
func Unique(name string) string {
	return fmt.Sprintf("%s-%d-%d-%d", name, time.Now().UnixMilli(), os.Getpid(), serial.Add(1))
}

func answers(ctx context.Context, addr string) error {
	_, err := client.Probe(ctx, client.Config{Brokers: strings.Split(addr, ","), ClientID: "weir-test"})
	return err
}

// Tool is one of Kafka's own tools, such as org.apache.kafka.tools.ConsoleProducer, ready to be run by the test.
func Tool(t testing.TB, class string, args ...string) *exec.Cmd {
	t.Helper()
	return Command(t, append([]string{"tool", class}, args...)...)
}

// Command is .ci/kafka with arguments, ready to be run by the test.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	script, err := runnable()
	if errors.Is(err, errMissing) {
		SkipLoudly(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), script, args...)
}

// runnable is .ci/kafka, if what it needs is here.
func runnable() (string, error) {
	script, err := script()
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("%w: Java is missing; install it (apt-get install default-jdk-headless maven), or name a cluster: %s=host:port", errMissing, Env)
	}
	if _, err := exec.LookPath("mvn"); err != nil && !haveJars() {
		return "", fmt.Errorf("%w: Maven is missing, which fetches its jars; install it (apt-get install maven), or name a cluster: %s=host:port", errMissing, Env)
	}
	return script, nil
}

func launch() (string, error) {
	script, err := runnable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.Command(script, "run")
	cmd.Env = append(os.Environ(), "KAFKA_PORT=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if stdin, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(stdout).ReadString('\n') // without a line the script has failed and said why
		line <- strings.TrimSpace(s)
	}()
	select {
	case addr := <-line:
		if addr == "" {
			return "", fmt.Errorf(".ci/kafka: %w: %s", cmd.Wait(), stderr.String())
		}
		return addr, ready(ctx, addr)
	case <-ctx.Done():
		_ = stdin.Close()
		return "", fmt.Errorf(".ci/kafka did not start within %s", startTimeout)
	}
}

// ready waits until the broker, whose port is open, also answers, and coordinates groups: the first that asks for a coordinator makes it
// create the topic that their offsets are in.
func ready(ctx context.Context, addr string) error {
	for {
		err := answers(ctx, addr)
		if err == nil {
			err = coordinates(ctx, addr)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func coordinates(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).FetchOffsets(ctx, "ready")
	return err
}
