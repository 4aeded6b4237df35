package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/atonce"
	"weir/configs"
	"weir/topology"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/table"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/help.golden anew")

// binary builds weir once for all tests of this package; under the race detector, with it: a process that races says so and ends.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "weir")
	args := []string{"build", "-o", name}
	if raced {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return name, nil
})

// Parallel tests wait for their processes most of the time, but for processes that are built with the race detector.
func TestMain(m *testing.M) {
	atonce.Run(map[bool]int{false: 4, true: 2}[raced])
	code := m.Run()
	if name, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// longForm leaves a test out of the short form, which runs under the race detector. What is slow there, or has little going on at once,
// tells no more of races than the tests that stay.
func longForm(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: the others tell as much of races")
	}
}

// invocation is one run of the binary, in a folder of its own and with nothing of this process's environment.
type invocation struct {
	args  []string
	env   []string
	stdin string
}

// result is what it left.
type result struct {
	out, err string
	code     int
}

func prepare(t testing.TB, in invocation) *exec.Cmd {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, in.args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "GORACE=halt_on_error=1"}, in.env...)
	cmd.Stdin = strings.NewReader(in.stdin)
	return cmd
}

func weir(t testing.TB, in invocation) result {
	t.Helper()
	cmd := prepare(t, in)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func cluster(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

// occupied is the address of a port that someone listens on and never answers.
func occupied(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// vacant is an address that nobody listens on, of a port below those that the system gives to others in the meantime.
func vacant(t testing.TB) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestErrorsNameCauseAndRemedy(t *testing.T) {
	longForm(t)
	t.Parallel()
	_, kafka := cluster(t)
	_, unequal := cluster(t, kfake.SeedTopics(4, "orders", "payments"), kfake.SeedTopics(6, "shipments"))
	busy, nobody := occupied(t), vacant(t)
	dir := t.TempDir()
	unreadable := filepath.Join(dir, "secret.ndjson")
	if err := os.WriteFile(unreadable, nil, 0); err != nil {
		t.Fatal(err)
	}
	misspelt := filepath.Join(dir, "misspelt.yaml")
	if err := os.WriteFile(misspelt, []byte("kafka:\n  borkers: [a:1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		invocation
		code int
		says []string
	}{
		"unknown command":     {invocation{args: []string{"proces"}}, 2, []string{"proces", "--help"}},
		"unknown flag":        {invocation{args: []string{"up", "--brokers", "a:1"}}, 2, []string{"--brokers", "weir up --help"}},
		"too many arguments":  {invocation{args: []string{"topics", "orders"}}, 2, []string{"orders"}},
		"bad value":           {invocation{args: []string{"process", "--guarantee", "maybe"}}, 1, []string{"flag --guarantee", "exactly_once"}},
		"bad file":            {invocation{args: []string{"config", "--config", misspelt}}, 1, []string{"misspelt.yaml:2", "kafka.brokers"}},
		"bad variable":        {invocation{args: []string{"config"}, env: []string{"WEIR_BROKERS=a:1"}}, 1, []string{"WEIR_BROKERS", "WEIR_KAFKA_BROKERS"}},
		"no configuration":    {invocation{args: []string{"config", "--config", "absent.yaml"}}, 1, []string{"absent.yaml", "--config"}},
		"wrong broker":        {invocation{args: []string{"process", "--brokers", nobody}}, 1, []string{nobody, "refused", "start Kafka", "flag --brokers"}},
		"broker by variable":  {invocation{args: []string{"topics"}, env: []string{"WEIR_KAFKA_BROKERS=" + nobody}}, 1, []string{nobody, "env WEIR_KAFKA_BROKERS"}},
		"broker is no name":   {invocation{args: []string{"serve", "--brokers", "no.such.host.invalid:9092", "--listen", "127.0.0.1:0"}}, 1, []string{"no.such.host.invalid", "resolve"}},
		"serve, port in use":  {invocation{args: []string{"serve", "--listen", busy}}, 1, []string{busy, "in use", "--listen"}},
		"up, port in use":     {invocation{args: []string{"up", "--listen", busy}}, 1, []string{busy, "in use", "--listen"}},
		"up, Kafka's in use":  {invocation{args: []string{"up", "--listen", "127.0.0.1:0", "--kafka-listen", busy}}, 1, []string{busy, "in use"}},
		"shop nobody reads":   {invocation{args: []string{"up", "--preset", "dotted", "--generate", "3"}}, 1, []string{"flag --generate", "canonical events", "sources"}},
		"not our address":     {invocation{args: []string{"serve", "--listen", "192.0.2.1:8080"}}, 1, []string{"192.0.2.1:8080", "not an address of this machine"}},
		"replay without file": {invocation{args: []string{"replay"}}, 2, []string{"at least one file", "--help"}},
		"replay absent file":  {invocation{args: []string{"replay", "absent.ndjson"}}, 1, []string{"absent.ndjson", "nothing was sent"}},
		"replay a folder":     {invocation{args: []string{"replay", dir}}, 1, []string{dir, "folder", "nothing was sent"}},
		"missing topics":      {invocation{args: []string{"replay", "-", "--brokers", kafka}}, 1, []string{"orders, payments, shipments", "weir topics --ensure"}},
		"generate to nowhere": {invocation{args: []string{"generate", "--brokers", kafka, "--orders", "1"}}, 1, []string{"missing", "weir topics --ensure"}},
		"topics missing":      {invocation{args: []string{"topics", "--brokers", kafka}}, 1, []string{"missing: 14 topics", "--ensure"}},
		"unequal partitions":  {invocation{args: []string{"process", "--brokers", unequal, "--data", filepath.Join(dir, "d")}}, 1, []string{"orders has 4", "shipments has 6"}},
		"unequal, producing":  {invocation{args: []string{"replay", "-", "--brokers", unequal}}, 1, []string{"orders, payments: 4", "shipments: 6", "unequal"}},
		"no data folder":      {invocation{args: []string{"process", "--data", "/proc/weir"}}, 1, []string{"data folder", "/proc/weir", "--data"}},
		"too many open":       {invocation{args: []string{"generate", "--output", "-", "--rate", "10000", "--life-scale", "1"}}, 1, []string{"life scale", "lower the rate"}},
		"no such format":      {invocation{args: []string{"topics", "--format", "mermaid"}}, 1, []string{"flag --format", "text or json"}},
		"unknown key":         {invocation{args: []string{"config", "brokers"}}, 1, []string{"no key brokers", "kafka.brokers"}},
		"server is not there": {invocation{args: []string{"inspect", "order", "o1", "--server", "http://" + nobody}}, 1, []string{"does not answer", "weir serve", "--brokers"}},
		"no table":            {invocation{args: []string{"inspect", "order", "o1", "--brokers", kafka}}, 1, []string{topology.TableOrders, "missing"}},
		"which order":         {invocation{args: []string{"inspect", "order"}}, 2, []string{"weir inspect order ID"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := weir(t, c.invocation)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			if !strings.HasPrefix(lastPart(r.err), "weir: ") {
				t.Errorf("the error does not begin with the program's name")
			}
			for _, says := range c.says {
				if !strings.Contains(r.err, says) {
					t.Errorf("does not say %q", says)
				}
			}
			if t.Failed() {
				t.Logf("weir %s:\n%s%s", strings.Join(c.args, " "), r.out, r.err)
			}
		})
	}
	if os.Geteuid() != 0 { // root reads everything
		r := weir(t, invocation{args: []string{"replay", unreadable}})
		if r.code != 1 || !strings.Contains(r.err, "permission denied") || !strings.Contains(r.err, unreadable) {
			t.Errorf("unreadable file: %d %s", r.code, r.err)
		}
	}
}

// lastPart is what follows the log.
func lastPart(stderr string) string {
	if i := strings.Index(stderr, "weir: "); i == 0 || i > 0 && stderr[i-1] == '\n' {
		return stderr[i:]
	}
	return stderr
}

func TestHelpIsAsItWasWritten(t *testing.T) {
	longForm(t)
	t.Parallel()
	commands := [][]string{{}, {"up"}, {"process"}, {"serve"}, {"generate"}, {"replay"}, {"topics"}, {"topology"}, {"inspect"}, {"inspect", "order"}, {"rules"}, {"rules", "apply"}, {"rules", "list"}, {"rules", "disable"}, {"dead-letters"}, {"dead-letters", "list"}, {"dead-letters", "replay"}, {"config"}, {"version"}}
	var got strings.Builder
	for _, c := range commands {
		r := weir(t, invocation{args: append(slices.Clone(c), "--help")})
		if r.code != 0 || r.err != "" {
			t.Fatalf("weir %v --help: %d %s", c, r.code, r.err)
		}
		if !strings.Contains(r.out, "Examples:") && len(c) != 1 {
			t.Errorf("weir %v has no examples", c)
		}
		got.WriteString("$ " + strings.TrimSpace("weir "+strings.Join(c, " ")) + " --help\n" + r.out + "\n")
	}
	golden := filepath.Join("testdata", "help.golden")
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the help differs from %s; if that is meant, run go test ./cmd/weir -run Help -rewrite and commit it. Got:\n%s", golden, got.String())
	}
}

func TestEveryFlagIsAKeyOfTheFileAndAVariable(t *testing.T) {
	root := newRoot(system{io.NopCloser(nil), io.Discard, io.Discard, nil})
	seen := 0
	for _, c := range append(root.Commands(), subcommand(t, root.Commands(), "inspect", "order")) {
		name := c.Name()
		if name == "order" {
			name = "inspect"
		}
		byFlag := map[string]configs.Key{}
		for _, k := range configs.KeysOf(name) {
			byFlag[k.Flag] = k
			if c.HasSubCommands() {
				continue
			}
			if f := c.Flags().Lookup(k.Flag); f == nil {
				t.Errorf("weir %s: the table has --%s, the command does not", name, k.Flag)
			} else if f.DefValue != configs.DefaultText(k.Path) {
				t.Errorf("weir %s --%s: help says that the default is %q, it is %q", name, k.Flag, f.DefValue, configs.DefaultText(k.Path))
			}
		}
		for _, f := range flagsOf(c) {
			k, ok := byFlag[f]
			if !ok {
				t.Errorf("weir %s --%s is no key of the configuration", c.Name(), f)
				continue
			}
			seen++
			if !strings.HasPrefix(k.Env(), "WEIR_") {
				t.Errorf("%s has the variable %s", k.Path, k.Env())
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d flags were seen", seen)
	}
}

func TestConfigShowsWhereEachValueComesFrom(t *testing.T) {
	longForm(t)
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(file, []byte("# ours\nguarantee: at_least_once\nkafka: {sasl: {mechanism: PLAIN, username: u, password: hush}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := weir(t, invocation{args: []string{"config", "--log-level", "debug"}, env: []string{"WEIR_CONFIG=" + file, "WEIR_DATA_DIR=/var/lib/weir"}})
	for _, line := range []string{"guarantee: at_least_once|# " + file + ":2", "data_dir: /var/lib/weir|# env WEIR_DATA_DIR", "log.level: debug|# flag --log-level", "commit_interval: 50ms|# default", "# kafka.sasl.password: (set, not shown)|# " + file + ":3"} {
		value, origin, _ := strings.Cut(line, "|")
		if !slices.ContainsFunc(strings.Split(r.out, "\n"), func(l string) bool { return strings.HasPrefix(l, value) && strings.HasSuffix(l, origin) }) {
			t.Errorf("%s … %s is not shown in\n%s%s", value, origin, r.out, r.err)
		}
	}
	if strings.Contains(r.out, "hush") {
		t.Error("the password is shown")
	}
}

func TestTopicsAreCreatedShownAndFed(t *testing.T) {
	longForm(t)
	t.Parallel()
	_, kafka := cluster(t)
	at := "WEIR_KAFKA_BROKERS=" + kafka
	r := weir(t, invocation{args: []string{"topics", "--ensure", "--partitions", "3"}, env: []string{at}})
	if r.code != 0 || !regexp.MustCompile(`(?m)^weir-orders-table +3 +1 +compact +for ever +0$`).MatchString(r.out) || strings.Contains(r.out, "missing") {
		t.Fatalf("%d\n%s%s", r.code, r.out, r.err)
	}
	made := weir(t, invocation{args: []string{"generate", "--orders", "200", "--seed", "4", "--output", "-", "--log-level", "warn"}})
	if made.code != 0 || made.err != "" {
		t.Fatal(made.code, made.err)
	}
	lines := strings.Count(made.out, "\n")
	r = weir(t, invocation{args: []string{"replay", "-", "--strict"}, env: []string{at}, stdin: made.out})
	if r.code != 0 || !strings.Contains(r.out, "orders               ") || strings.Contains(r.out, "refused") {
		t.Fatalf("%d\n%s%s", r.code, r.out, r.err)
	}
	refusing := weir(t, invocation{args: []string{"replay", "-", "--strict"}, env: []string{at}, stdin: "no event\n"})
	if refusing.code != 1 || !strings.Contains(refusing.out, "-:1: json") || !strings.Contains(refusing.err, "1 lines were refused") {
		t.Errorf("%d\n%s%s", refusing.code, refusing.out, refusing.err)
	}
	read := consume(t, kafka, "orders", "payments", "shipments")
	if len(read) != lines {
		t.Errorf("%d records in Kafka, %d were generated", len(read), lines)
	}
	for _, rec := range read {
		e, err := event.Canonical().Parse(rec.Value, 0)
		if err != nil || e.CheckKey(string(rec.Key)) != nil || e.Type.Stream() != rec.Topic || rec.Partition != client.Partition(rec.Key, 3) {
			t.Fatalf("%s/%d, key %s: %s: %v", rec.Topic, rec.Partition, rec.Key, rec.Value, err)
		}
	}
	var described []topicJSON
	r = weir(t, invocation{args: []string{"topics", "--format", "json"}, env: []string{at}})
	if err := json.Unmarshal([]byte(r.out), &described); err != nil || len(described) != 14 || described[0].Partitions != 3 || described[0].RecordsUpperBound == 0 {
		t.Errorf("%v: %s", err, r.out)
	}
}

// consume reads topics from beginning to end.
func consume(t *testing.T, kafka string, topics ...string) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestGenerateToKafkaStopsGracefully(t *testing.T) {
	t.Parallel()
	_, kafka := cluster(t, kfake.SeedTopics(2, "orders", "payments", "shipments"))
	cmd := prepare(t, invocation{args: []string{"generate", "--brokers", kafka, "--rate", "500", "--rhythm=false"}})
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // it has ended by itself, unless the test failed
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("payments"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 0; n < 50; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			e, err := event.Canonical().Parse(r.Value, 0)
			if err != nil {
				t.Fatal(err)
			}
			if ahead := e.At.Time().Sub(r.Timestamp); ahead > time.Second {
				t.Fatalf("an event of %v was sent %v before its time", e.At.Time(), ahead)
			}
			n++
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(stderr.String(), "the shop is closed") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

func TestInspectShowsAnOrderFromKafkaAndFromAServer(t *testing.T) {
	longForm(t)
	t.Parallel()
	_, kafka := cluster(t, kfake.SeedTopics(3, topology.TableOrders))
	row := &table.Order{
		Created: true, CreatedAtMs: 1767225600000, CustomerId: "c-7", Currency: "EUR", TotalMinor: 2998, CreatedTotalMinor: 2998, Region: "eu-west", Country: "FR", Channel: "web",
		Items:         []*table.Item{{ProductId: "p-1", Category: "books", Quantity: 2, PriceMinor: 1499}},
		CapturedMinor: 2998, PaidAtMs: 1767225660000, LastAtMs: 1767225660000,
		Entries: []*table.Entry{
			{Type: uint32(event.OrderCreated), AtMs: 1767225600000, AmountMinor: 2998, Currency: "EUR", Topic: "orders", Offset: 41, Counted: true},
			{Type: uint32(event.PaymentCaptured), AtMs: 1767225660000, AmountMinor: 2998, Currency: "EUR", Source: "card", Reference: "pay-9", Topic: "payments", Offset: 17, Counted: true},
		},
	}
	old := row.CloneVT()
	old.Region = "nowhere"
	const aborted = "aborted"
	commit(t, kafka, true, "o-1", old, "o-2", old)
	commit(t, kafka, true, "o-1", row)
	gone := row.CloneVT()
	gone.Region = aborted
	commit(t, kafka, false, "o-1", gone)

	wants := []string{"order", "o-1", "paid", "eu-west, FR, web", "29.98 EUR", "2 × p-1 at 14.99 EUR, books", "payment.captured", "card", "pay-9", "payments/", "@17"}
	r := weir(t, invocation{args: []string{"inspect", "order", "o-1", "--brokers", kafka}})
	for _, want := range wants {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s%s", want, r.out, r.err)
		}
	}
	if strings.Contains(r.out, aborted) || strings.Contains(r.out, "nowhere") {
		t.Errorf("not the last committed row:\n%s", r.out)
	}
	asJSON := weir(t, invocation{args: []string{"inspect", "order", "o-1", "--brokers", kafka, "--format", "json"}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/orders/o-1" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"title":"Not Found","status":404,"detail":"there is no order like that"}`) // the client sees a short body
			return
		}
		_, _ = io.WriteString(w, asJSON.out) // likewise
	}))
	defer srv.Close()
	if again := weir(t, invocation{args: []string{"inspect", "order", "o-1", "--server", srv.URL}}); again.out != r.out {
		t.Errorf("from the server:\n%s%s\nfrom Kafka:\n%s", again.out, again.err, r.out)
	}
	for _, in := range []invocation{
		{args: []string{"inspect", "order", "o-9", "--server", srv.URL}},
		{args: []string{"inspect", "order", "o-9", "--brokers", kafka}},
	} {
		if r := weir(t, in); r.code != 1 || !strings.Contains(r.err, "there is no order") {
			t.Errorf("weir %v: %d %s", in.args, r.code, r.err)
		}
	}
}

// commit writes rows of the orders table in one transaction, or aborts it.
func commit(t *testing.T, kafka string, really kgo.TransactionEndTry, keysAndRows ...any) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.TransactionalID("test"), kgo.DefaultProduceTopic(topology.TableOrders))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(keysAndRows); i += 2 {
		value, err := keysAndRows[i+1].(*table.Order).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte(keysAndRows[i].(string)), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(t.Context(), really); err != nil {
		t.Fatal(err)
	}
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	longForm(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := lockFolder(filepath.Join(dir, "groups"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	r := weir(t, invocation{args: []string{"process", "--data", dir}})
	if r.code != 1 || !strings.Contains(r.err, "another weir") || !strings.Contains(r.err, "--instance") {
		t.Errorf("%d %s", r.code, r.err)
	}
}
