package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"weir/topology/event"
)

// Key is one setting: its name in the file, its variable, its flag.
type Key struct {
	Path   string
	Flag   string   // "": the file and the environment only
	On     []string // the commands that take the flag
	Help   string
	OneOf  []string
	Secret bool
}

// Env is the environment variable of the key.
func (k Key) Env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Path, ".", "_")) }

const envPrefix = "WEIR_"

// EnvFile is the environment variable that names the configuration file.
const EnvFile = "WEIR_CONFIG"

// Every command that opens connections to a cluster takes the first set; up brings its own cluster.
var (
	onKafka   = []string{"process", "serve", "generate", "replay", "topics", "inspect", "rules", "dead-letters", "bench"}
	onGroups  = []string{"up", "process"}
	onServer  = []string{"up", "serve"}
	onAll     = []string{"up", "process", "serve", "generate", "replay", "topics", "topology", "inspect", "rules", "webhooks", "dead-letters", "bench", "config"}
	onSources = []string{"up", "process", "replay", "dead-letters", "topics", "topology"}
)

// keys is the one table of settings. A setting without a row here does not exist.
var keys = []Key{
	{Path: "kafka.brokers", Flag: "brokers", On: onKafka, Help: "Kafka brokers to start from, host:port"},
	{Path: "kafka.client_id", Help: "client id that brokers log"},
	{Path: "kafka.tls.enabled", Flag: "tls", On: onKafka, Help: "encrypt the connection to Kafka"},
	{Path: "kafka.tls.ca_file", Flag: "tls-ca", On: onKafka, Help: "PEM file of the authority that signed the brokers' certificates (default: the system's)"},
	{Path: "kafka.tls.cert_file", Flag: "tls-cert", On: onKafka, Help: "PEM file of the client certificate (mutual TLS)"},
	{Path: "kafka.tls.key_file", Flag: "tls-key", On: onKafka, Help: "PEM file of the client certificate's key"},
	{Path: "kafka.tls.server_name", Help: "name to expect in the brokers' certificates"},
	{Path: "kafka.tls.insecure_skip_verify", Help: "accept any certificate: for trying things out only"},
	{Path: "kafka.sasl.mechanism", Flag: "sasl-mechanism", On: onKafka, Help: "how to log in", OneOf: []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
	{Path: "kafka.sasl.username", Flag: "sasl-user", On: onKafka, Help: "user to log in as"},
	{Path: "kafka.sasl.password", Help: "password; prefer a file", Secret: true},
	{Path: "kafka.sasl.password_file", Flag: "sasl-password-file", On: onKafka, Help: "file that holds the password, read at each connection"},

	{Path: "preset", Flag: "preset", On: onSources, Help: "source topics and event shapes by name", OneOf: event.PresetNames()},
	{Path: "sources", Help: "source topics and event shapes, one by one: [{topic, mapping}]; replaces preset"},
	{Path: "topics.prefix", Flag: "prefix", On: []string{"process", "serve", "topics", "topology", "inspect", "rules", "dead-letters"}, Help: "prefix of weir's own topics and groups, so that installations can share a cluster"},
	{Path: "topics.orders", Help: "topic of the canonical stream of orders"},
	{Path: "topics.payments", Help: "topic of the canonical stream of payments"},
	{Path: "topics.shipments", Help: "topic of the canonical stream of shipments"},
	{Path: "topics.partitions", Flag: "partitions", On: []string{"up", "process", "topics"}, Help: "partitions of topics that weir creates"},
	{Path: "topics.replication", Flag: "replication", On: []string{"process", "topics"}, Help: "replicas of topics that weir creates (0: three, or as many as there are brokers)"},
	{Path: "topics.retention", Help: "how long Kafka keeps the streams that weir creates"},
	{Path: "topics.ensure", Flag: "ensure", On: []string{"topics"}, Help: "create what is missing, check the rest"},

	{Path: "groups", Flag: "groups", On: []string{"process"}, Help: "groups to run here", OneOf: []string{"orders", "metrics", "entities", "alerts"}},
	{Path: "instance", Flag: "instance", On: onGroups, Help: "name of this process among its peers; keep it over restarts (default: the host's name)"},
	{Path: "data_dir", Flag: "data", On: []string{"up", "process", "serve", "bench"}, Help: "folder for local state"},
	{Path: "guarantee", Flag: "guarantee", On: onGroups, Help: "what a crash may cost", OneOf: []string{"exactly_once", "at_least_once"}},
	{Path: "commit_interval", Flag: "commit-interval", On: onGroups, Help: "time between commits of a live stream"},
	{Path: "backlog_interval", Help: "time between commits while far behind"},
	{Path: "session_timeout", Help: "silence after which peers take over this instance's partitions"},
	{Path: "heartbeat", Help: "time between signs of life to the cluster"},
	{Path: "cache_bytes", Flag: "cache", On: onGroups, Help: "memory for rows of each group"},
	{Path: "leave_on_stop", Flag: "leave", On: []string{"process"}, Help: "on a graceful stop give partitions to the peers at once (scaling in) instead of keeping them for a restart"},
	{Path: "recover_ahead", Help: "restore tables before joining a group that others run, so that taking partitions over is short"},
	{Path: "max_future", Help: "how far an event's time may be ahead of the clock before it is refused"},

	{Path: "watermark.disorder", Help: "how far behind the newest event of its partition an event may come"},
	{Path: "watermark.idle", Help: "silence after which a partition no longer holds event time back"},
	{Path: "orders.retention", Help: "event time after its last event that an order's row is kept"},
	{Path: "metrics.file", Flag: "metrics", On: []string{"up", "process", "serve"}, Help: "file that declares the metrics (default: the built-in ones)"},
	{Path: "rules.file", Flag: "rules", On: []string{"up", "process", "serve", "rules", "bench"}, Help: "file of the fraud rules in force until someone changes them (default: the built-in ones); off: no fraud rules"},

	{Path: "webhooks", Help: "receivers of alerts: [{name, url or url_file, format, events, min_severity, rules, secret_file or secret, timeout, max_attempts}]"},

	{Path: "serve.listen", Flag: "listen", On: onServer, Help: "address of dashboard and HTTP API"},
	{Path: "serve.allowed_origins", Flag: "allow-origin", On: onServer, Help: "origins of pages, beside the server's own, that may open a websocket"},
	{Path: "serve.connections", Help: "connections of live push that the server takes, in all"},
	{Path: "serve.connections_per_address", Help: "and of one address; behind a proxy all have its address"},
	{Path: "serve.public_url", Help: "address of the dashboard as people reach it, for links in what webhooks send (default: no links)"},
	{Path: "process.listen", Flag: "listen", On: []string{"process"}, Help: "address of /metrics and /healthz (default: none)"},
	{Path: "up.kafka_listen", Flag: "kafka-listen", On: []string{"up"}, Help: "address of the embedded Kafka broker"},
	{Path: "up.retention", Help: "how long the embedded broker keeps streams"},
	{Path: "up.retention_bytes", Help: "how much of a stream the embedded broker keeps, for one partition"},
	{Path: "up.generate", Flag: "generate", On: []string{"up"}, Help: "orders a second that the built-in shop makes (0: none)"},

	{Path: "generate.rate", Flag: "rate", On: []string{"generate"}, Help: "orders a second, on average over a day"},
	{Path: "generate.orders", Flag: "orders", On: []string{"generate"}, Help: "orders to make in all (0: no end)"},
	{Path: "generate.seed", Flag: "seed", On: []string{"up", "generate"}, Help: "seed: the same seed and start make the same events"},
	{Path: "generate.start", Flag: "start", On: []string{"generate"}, Help: "time of the first order, such as 2026-01-31T08:00:00Z: what is past is sent at once (default: now)"},
	{Path: "generate.life_scale", Flag: "life-scale", On: []string{"up", "generate"}, Help: "scale of the time from order to delivery (0: 0.001 live, 1 from --start)"},
	{Path: "generate.rhythm", Flag: "rhythm", On: []string{"up", "generate"}, Help: "vary the rate over the day as shoppers do"},
	{Path: "generate.duplicates", Flag: "duplicates", On: []string{"generate"}, Help: "share of events that are delivered twice"},
	{Path: "generate.fraud", Flag: "fraud", On: []string{"up", "generate"}, Help: "fraud to plant among the orders: default, off, or shares of the orders such as card_testing_bot=0.002,account_takeover=0.001"},
	{Path: "generate.truth", Flag: "truth", On: []string{"generate"}, Help: "write to this file, as NDJSON, what was planted and which honest orders look like it"},
	{Path: "generate.output", Flag: "output", On: []string{"generate"}, Help: "write NDJSON to this file (- for standard output) instead of Kafka"},

	{Path: "replay.speed", Flag: "speed", On: []string{"replay"}, Help: "max, or how many times faster than the events' own time"},
	{Path: "replay.strict", Flag: "strict", On: []string{"replay"}, Help: "fail when a line was refused"},
	{Path: "inspect.server", Flag: "server", On: []string{"inspect"}, Help: "view server to ask"},
	{Path: "inspect.from", Flag: "from", On: []string{"inspect"}, Help: "where to look (auto: kafka where --brokers is given, else server)", OneOf: []string{"auto", "server", "kafka"}},
	{Path: "output.format", Flag: "format", On: []string{"topics", "topology", "inspect", "rules", "webhooks", "dead-letters", "config"}, Help: "how to print", OneOf: []string{"text", "json", "mermaid"}},

	{Path: "bench.orders", Flag: "orders", On: []string{"bench"}, Help: "orders of the reference workload, three events each"},
	{Path: "bench.runs", Flag: "runs", On: []string{"bench"}, Help: "runs of the backlog (0: none)"},
	{Path: "bench.rate", Flag: "rate", On: []string{"bench"}, Help: "events a second of the paced part (0: leave it out)"},
	{Path: "bench.warm", Flag: "warm", On: []string{"bench"}, Help: "time at the start of the paced part that is not measured"},
	{Path: "bench.measure", Flag: "measure", On: []string{"bench"}, Help: "measured time of the paced part"},
	{Path: "bench.clients", Flag: "clients", On: []string{"bench"}, Help: "measure live push instead, with so many websockets (0: none)"},
	{Path: "bench.subs", Flag: "subs", On: []string{"bench"}, Help: "subscriptions of each websocket"},
	{Path: "bench.stuck", Flag: "stuck", On: []string{"bench"}, Help: "share of the websockets that never read"},
	{Path: "bench.interval", Flag: "interval", On: []string{"bench"}, Help: "least time between deltas that the websockets ask for"},
	{Path: "process.stock_goka", Flag: "stock-goka", On: []string{"process", "bench"}, Help: "run the groups on unmodified goka, which loses and doubles events at a crash: for comparing only"},

	{Path: "log.level", Flag: "log-level", On: onAll, Help: "least level to log", OneOf: []string{"debug", "info", "warn", "error"}},
	{Path: "log.format", Flag: "log-format", On: onAll, Help: "text or JSON lines (auto: text)", OneOf: []string{"auto", "text", "json"}},
}

// Keys returns the table of settings, in the order of the documentation.
func Keys() []Key { return slices.Clone(keys) }

// KeysOf returns the keys that have a flag on the command.
func KeysOf(command string) []Key {
	return slices.DeleteFunc(Keys(), func(k Key) bool { return k.Flag == "" || !slices.Contains(k.On, command) })
}

var keysByPath = func() map[string]Key {
	m := make(map[string]Key, len(keys))
	for _, k := range keys {
		m[k.Path] = k
	}
	return m
}()

// Choices are the values that the key can have; none: any.
func (k Key) Choices() []string { return nonEmpty(k.OneOf) }

// Type is what the key's values are, for help.
func (k Key) Type() string {
	switch field(new(Config), k.Path).Interface().(type) {
	case time.Duration:
		return "duration"
	case Bytes:
		return "size"
	case Share:
		return "share"
	case time.Time:
		return "time"
	case []string:
		return "list"
	case bool:
		return ""
	case int, int64, float64:
		return "number"
	}
	return "text"
}

// IsList tells whether the key takes several values.
func (k Key) IsList() bool { return field(new(Config), k.Path).Kind() == reflect.Slice }

// IsBool tells whether the key is a switch.
func (k Key) IsBool() bool { return field(new(Config), k.Path).Kind() == reflect.Bool }

// field is the setting that a path names.
func field(c *Config, path string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for _, name := range strings.Split(path, ".") {
		v = fieldNamed(v, name)
		if !v.IsValid() {
			panic(fmt.Sprintf("configs: key %s has no field", path))
		}
	}
	return v
}

func fieldNamed(v reflect.Value, name string) reflect.Value {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); tag == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}
