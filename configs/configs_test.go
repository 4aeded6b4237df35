package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/topology"
	"weir/topology/client"
	"weir/topology/metric"
)

// file writes a configuration file and returns its name.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, in Sourced) *Loaded {
	t.Helper()
	l, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// leaves are the yaml paths of all settings in a struct. A type that set knows is a leaf.
func leaves(ty reflect.Type, prefix string) []string {
	if ty.Kind() != reflect.Struct || ty == reflect.TypeFor[time.Time]() {
		return []string{prefix}
	}
	var all []string
	for i := range ty.NumField() {
		name := ty.Field(i).Tag.Get("yaml")
		if prefix != "" {
			name = prefix + "." + name
		}
		all = append(all, leaves(ty.Field(i).Type, name)...)
	}
	return all
}

func TestEverySettingHasAKeyAVariableAndADefault(t *testing.T) {
	inTable := map[string]bool{}
	variables := map[string]string{}
	for _, k := range Keys() {
		if inTable[k.Path] {
			t.Errorf("%s stands twice in the table", k.Path)
		}
		inTable[k.Path] = true
		if other, taken := variables[k.Env()]; taken {
			t.Errorf("%s and %s share the variable %s", k.Path, other, k.Env())
		}
		variables[k.Env()] = k.Path
		if k.Help == "" {
			t.Errorf("%s has no help", k.Path)
		}
		if (k.Flag == "") != (len(k.On) == 0) {
			t.Errorf("%s: a flag belongs to commands and commands to a flag", k.Path)
		}
	}
	for _, path := range leaves(reflect.TypeFor[Config](), "") {
		if !inTable[path] {
			t.Errorf("the setting %s is not in the table", path)
		}
		delete(inTable, path)
	}
	for path := range inTable {
		t.Errorf("the table has %s, which is no setting", path)
	}
	if _, err := defaultsOnly(); err != nil {
		t.Error(err)
	}
}

func TestFlagsAreUniqueOnEachCommand(t *testing.T) {
	seen := map[string]string{}
	for _, k := range Keys() {
		for _, command := range k.On {
			if other, taken := seen[command+" --"+k.Flag]; taken {
				t.Errorf("weir %s --%s stands for %s and %s", command, k.Flag, other, k.Path)
			}
			seen[command+" --"+k.Flag] = k.Path
		}
	}
}

func TestFlagOverEnvironmentOverFileOverDefault(t *testing.T) {
	name := file(t, "commit_interval: 70ms\ntopics:\n  partitions: 12\n  prefix: shop-\nlog.level: warn\n")
	l := load(t, Sourced{
		File:    name,
		Environ: []string{"PATH=/bin", "WEIR_TOPICS_PARTITIONS=16", "WEIR_COMMIT_INTERVAL=80ms"},
		Flags:   map[string]string{"commit_interval": "90ms"},
	})
	for path, want := range map[string]string{
		"commit_interval":   "90ms | flag --commit-interval",
		"topics.partitions": "16 | env WEIR_TOPICS_PARTITIONS",
		"topics.prefix":     "shop- | " + name + ":4",
		"log.level":         "warn | " + name + ":5",
		"orders.retention":  "180d | default",
	} {
		if got := format(field(&l.Config, path)) + " | " + l.Origin(path).String(); got != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
	if l.CommitInterval != 90*time.Millisecond || l.Orders.Retention != 180*24*time.Hour {
		t.Errorf("typed values: %v, %v", l.CommitInterval, l.Orders.Retention)
	}
	if l.Instance == "" || l.Origin("instance").String() != "default (this host's name)" {
		t.Errorf("instance %q from %s", l.Instance, l.Origin("instance"))
	}
}

func TestTheFileOfTheEnvironmentIsRead(t *testing.T) {
	name := file(t, "guarantee: at_least_once\n")
	if l := load(t, Sourced{Environ: []string{EnvFile + "=" + name}}); l.Guarantee != "at_least_once" || l.File != name {
		t.Errorf("guarantee %s, file %s", l.Guarantee, l.File)
	}
	other := file(t, "guarantee: exactly_once\n")
	if l := load(t, Sourced{File: other, Environ: []string{EnvFile + "=" + name}}); l.File != other {
		t.Errorf("--config %s lost against %s", other, l.File)
	}
}

func TestWhatIsWrongIsNamedWithItsPlaceAndARemedy(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		flag map[string]string
		says []string
	}{
		"unknown key":        {file: "kafka:\n  borkers: [a:1]\n", says: []string{"weir.yaml:2", "kafka.borkers", "kafka.brokers"}},
		"key at wrong place": {file: "\nbrokers: [a:1]\n", says: []string{"weir.yaml:2", "no key brokers", "kafka.brokers"}},
		"unknown section":    {file: "ordres:\n  retention: 1d\n", says: []string{"weir.yaml:1", "ordres", "orders"}},
		"unknown variable":   {env: []string{"WEIR_KAFKA_BROKER=x:1"}, says: []string{"WEIR_KAFKA_BROKER", "WEIR_KAFKA_BROKERS"}},
		"given twice":        {file: "log:\n  level: info\nlog.level: warn\n", says: []string{"weir.yaml:3", "twice", "line 2"}},
		"no duration":        {file: "commit_interval: soon\n", says: []string{"weir.yaml:1", "commit_interval", "50ms"}},
		"no number":          {env: []string{"WEIR_TOPICS_PARTITIONS=many"}, says: []string{"env WEIR_TOPICS_PARTITIONS", "whole number"}},
		"none of those":      {flag: map[string]string{"guarantee": "exactly-once"}, says: []string{"flag --guarantee", "did you mean exactly_once"}},
		"list for a value":   {file: "data_dir: [a]\n", says: []string{"weir.yaml:1", "one value"}},
		"value for section":  {file: "kafka: here\n", says: []string{"weir.yaml:1", "brokers", "sasl"}},
		"out of range":       {flag: map[string]string{"topics.partitions": "0"}, says: []string{"flag --partitions", "1 to 1024"}},
		"bad broker":         {env: []string{"WEIR_KAFKA_BROKERS=kafka"}, says: []string{"kafka", "host:port", "kafka:9092"}},
		"bad listen":         {flag: map[string]string{"serve.listen": "8080"}, says: []string{"--listen", "127.0.0.1:8080"}},
		"any origin":         {file: "serve: {allowed_origins: ['*']}\n", says: []string{"weir.yaml:1", "https://"}},
		"empty groups":       {file: "groups: []\n", says: []string{"weir.yaml:1", "groups", "orders"}},
		"not YAML":           {file: "a: [1\n", says: []string{"weir.yaml", "not YAML"}},
		"not a mapping":      {file: "- a\n", says: []string{"weir.yaml:1", "mapping"}},
		"two documents":      {file: "instance: a\n---\ninstance: b\n", says: []string{"weir.yaml:3", "second document"}},
		"source twice":       {file: "sources: [{topic: a}, {topic: a}]\n", says: []string{"weir.yaml:1", "topic a", "twice"}},
		"source misspelt":    {file: "sources:\n  - topik: a\n", says: []string{"weir.yaml:1", "topik"}},
		"mapping misspelt":   {file: "sources:\n  - topic: a\n    mapping: order-event\n", says: []string{"sources[0]", "order-events"}},
		"mapping's field":    {file: "sources:\n  - topic: a\n    mapping: {fields: {buyer: x}}\n", says: []string{"sources[0]", "buyer"}},
		"replay speed":       {flag: map[string]string{"replay.speed": "fast"}, says: []string{"--speed", "max"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Sourced{Environ: c.env, Flags: c.flag}
			if c.file != "" {
				in.File = file(t, c.file)
			}
			_, err := Load(in)
			for _, says := range c.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("error %v\nshould say %q", err, says)
				}
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := Load(Sourced{File: file(t, "a: 1\nb: 2\n")})
	if err == nil || !strings.Contains(err.Error(), "key a") || !strings.Contains(err.Error(), "key b") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingFileIsAnErrorOnlyWhereItWasNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	load(t, Sourced{})
	if _, err := Load(Sourced{File: "absent.yaml"}); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("got %v", err)
	}
}

func TestServiceLinksOfKubernetesAreNoSettings(t *testing.T) {
	load(t, Sourced{Environ: []string{"WEIR_SERVICE_HOST=10.0.0.1", "WEIR_SERVICE_PORT_HTTP=80", "WEIR_PORT=tcp://10.0.0.1:80",
		"WEIR_PORT_80_TCP_ADDR=10.0.0.1", "WEIR_SERVE_PORT_80_TCP=tcp://10.0.0.1:80", "WEIR_TEST_BROKERS=a:1"}})
}

func TestWhatConfigPrintsHasTheSameEffect(t *testing.T) {
	first := load(t, Sourced{File: file(t, `
kafka: {brokers: ["a:9092", "b:9092"], sasl: {mechanism: PLAIN, username: "o'neil: #1", password: hush}}
sources:
  - {topic: a, mapping: canonical}
  - topic: b
    mapping: {preset: order-events, defaults: {currency: EUR}, fields: {customer_id: "buyer.id | user"}}
instance: "007"
generate: {start: 2026-01-31T08:00:00Z, rate: 0.25}
cache_bytes: 1GiB
`)})
	var printed strings.Builder
	if err := first.Write(&printed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hush") {
		t.Error("the password is shown")
	}
	second := load(t, Sourced{File: file(t, printed.String()), Environ: []string{"WEIR_KAFKA_SASL_PASSWORD=hush"}})
	if !reflect.DeepEqual(first.Config, second.Config) {
		t.Errorf("printed:\n%s\nfirst:  %+v\nsecond: %+v", printed.String(), first.Config, second.Config)
	}
	for _, s := range first.Settings() {
		if strings.Contains(s.Value, "hush") {
			t.Errorf("%s shows the password", s.Key)
		}
	}
}

func TestDurationsAndSizesReadWhatTheyWrite(t *testing.T) {
	for text, want := range map[string]time.Duration{"50ms": 50 * time.Millisecond, "180d": 180 * day, "1d12h": 36 * time.Hour, "5m": 5 * time.Minute, "2h": 2 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
		if again, err := ParseDuration(FormatDuration(want)); err != nil || again != want {
			t.Errorf("%v is written %s and read %v (%v)", want, FormatDuration(want), again, err)
		}
	}
	for _, text := range []string{"", "d", "1.5d", "9999999999d", "1d-5h", "5", "1w"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, d)
		}
	}
	for text, want := range map[string]Bytes{"64MiB": 64 << 20, "2GB": 2e9, "512k": 512 << 10, "1.5GiB": 3 << 29, "7": 7, "10 MB": 1e7} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
		if again, err := ParseBytes(want.String()); err != nil || again != want {
			t.Errorf("%d is written %s and read %d (%v)", want, want, again, err)
		}
	}
	for _, text := range []string{"", "-1", "many", "9e30", "1XB"} {
		if b, err := ParseBytes(text); err == nil {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}

func TestTopicsThatMeetAreCoPartitioned(t *testing.T) {
	l := load(t, Sourced{Flags: map[string]string{"topics.prefix": "eu-", "preset": "dotted"}})
	specs, err := l.TopicSpecs()
	if err != nil {
		t.Fatal(err)
	}
	meets := map[string]string{}
	for _, s := range specs {
		meets[s.Name] = fmt.Sprint(s.CoPartition, " ", s.Cleanup)
	}
	want := map[string]string{
		"orders.events": "order_id delete", "payments.events": "order_id delete", "shipments.events": "order_id delete",
		"eu-" + topology.TableOrders: "order_id compact", "eu-" + topology.Deltas: "metric row delete", "eu-" + topology.TableMetrics: "metric row compact",
		"eu-" + topology.Observations: "observed entity delete", "eu-" + topology.TableEntities: "observed entity compact",
		"eu-" + topology.Findings: "alerted entity delete", "eu-" + topology.Commands: "alerted entity delete", "eu-" + topology.TableAlerts: "alerted entity compact",
		"eu-" + topology.Alerts: " delete", "eu-" + topology.Rules: " compact", "eu-" + topology.DeadLetters: " delete",
	}
	if !reflect.DeepEqual(meets, want) {
		t.Errorf("got  %v\nwant %v", meets, want)
	}
	if specs[0].Retention != 7*day || specs[0].Cleanup != client.Delete {
		t.Errorf("source: %+v", specs[0])
	}
}

func TestEmbeddedMetricsCompileAndAFileReplacesThem(t *testing.T) {
	for _, name := range []string{MetricsDefault, MetricsReference} {
		data, err := EmbeddedMetrics(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := metric.Load(name, data); err != nil {
			t.Error(err)
		}
	}
	if name, _, err := load(t, Sourced{}).MetricsFile(); err != nil || name != "built-in "+MetricsDefault {
		t.Errorf("%s, %v", name, err)
	}
	own := file(t, "metrics: []\n")
	if name, data, err := load(t, Sourced{Flags: map[string]string{"metrics.file": own}}).MetricsFile(); err != nil || name != own || string(data) != "metrics: []\n" {
		t.Errorf("%s %q, %v", name, data, err)
	}
	if _, _, err := load(t, Sourced{Flags: map[string]string{"metrics.file": "absent.yaml"}}).MetricsFile(); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("got %v", err)
	}
}
