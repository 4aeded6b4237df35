package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/topology/broker/kafkatest"
)

// kafkaCluster is three Apache Kafka brokers, any one of which may be away: all topics have three replicas, two of which must be in sync.
type kafkaCluster struct {
	t      *testing.T
	addr   string // of all
	quorum string // their controllers
	nodes  [3]kafkaNode
}

// kafkaNode is a process. Its address and its data outlive it.
type kafkaNode struct {
	port int
	data string
	cmd  *exec.Cmd
	life io.Closer // it runs until this is closed
}

func startKafkaCluster(t *testing.T) *kafkaCluster {
	t.Helper()
	c := &kafkaCluster{t: t}
	dir := t.TempDir()
	var addrs, quorum []string
	for i := range c.nodes {
		n := &c.nodes[i]
		n.port, n.data = freePort(t), filepath.Join(dir, fmt.Sprint(i+1))
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", n.port))
		quorum = append(quorum, fmt.Sprintf("%d@127.0.0.1:%d", i+1, freePort(t)))
	}
	c.addr, c.quorum = strings.Join(addrs, ","), strings.Join(quorum, ",")
	var listening []func()
	for i := range c.nodes { // none listens before most of them run
		listening = append(listening, c.start(i))
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.nodes[i].signal(syscall.SIGCONT)
			c.nodes[i].kill()
		}
	})
	for _, wait := range listening {
		wait()
	}
	c.complete()
	return c
}

// freePort is one that nothing listens on now, below those that the system gives to outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// start runs a node; the function that it returns waits until it listens.
func (c *kafkaCluster) start(i int) (listening func()) {
	c.t.Helper()
	n := &c.nodes[i]
	n.cmd = kafkatest.Command(c.t, "run")
	n.cmd.Env = append(os.Environ(), "KAFKA_DATA="+n.data, fmt.Sprint("KAFKA_PORT=", n.port), "KAFKA_QUORUM="+c.quorum, fmt.Sprint("KAFKA_NODE=", i+1))
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the script and Java go together
	n.cmd.Stderr = os.Stderr
	in, err := n.cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	n.life = in
	out, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return func() {
		c.t.Helper()
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			c.t.Fatalf("Kafka's node %d does not start: %v", i+1, err)
		}
	}
}

// complete waits until all nodes belong to the cluster.
func (c *kafkaCluster) complete() {
	c.t.Helper()
	cl := dial(c.t, c.addr)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
		if len(brokers) == len(c.nodes) {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("Kafka's cluster has %d brokers, %v", len(brokers), errors.Join(err, ctx.Err()))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// away takes a node away for a while: killed, or frozen as a machine is that hangs.
func (c *kafkaCluster) away(i int, span time.Duration, frozen bool) {
	c.t.Helper()
	c.t.Logf("Kafka's node %d is away for %v, frozen %v", i+1, span, frozen)
	if frozen {
		c.nodes[i].signal(syscall.SIGSTOP)
		time.Sleep(span) // that is the disturbance
		c.nodes[i].signal(syscall.SIGCONT)
		return
	}
	c.nodes[i].kill()
	time.Sleep(span)
	c.start(i)()
}

func (n *kafkaNode) signal(s syscall.Signal) {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = syscall.Kill(-n.cmd.Process.Pid, s) // it may have ended
	}
}

func (n *kafkaNode) kill() {
	n.signal(syscall.SIGKILL)
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Wait() // it was killed
		_ = n.life.Close()
	}
}
