package configs

import (
	"path/filepath"
	"time"

	"weir/topology"
	"weir/topology/client"
	"weir/views/webhook"
)

// Config is every setting of every command. The names in yaml tags are the keys of the file.
type Config struct {
	Kafka client.Config `yaml:"kafka"`

	// Preset names a set of source topics and shapes; Sources, where given, replace it.
	Preset  string   `yaml:"preset"`
	Sources []Source `yaml:"sources"`
	Topics  Topics   `yaml:"topics"`

	Groups          []string      `yaml:"groups"`
	Instance        string        `yaml:"instance"`
	DataDir         string        `yaml:"data_dir"`
	Guarantee       string        `yaml:"guarantee"` // exactly_once or at_least_once
	CommitInterval  time.Duration `yaml:"commit_interval"`
	BacklogInterval time.Duration `yaml:"backlog_interval"`
	SessionTimeout  time.Duration `yaml:"session_timeout"`
	Heartbeat       time.Duration `yaml:"heartbeat"`
	CacheBytes      Bytes         `yaml:"cache_bytes"`
	LeaveOnStop     bool          `yaml:"leave_on_stop"`
	RecoverAhead    bool          `yaml:"recover_ahead"`
	MaxFuture       time.Duration `yaml:"max_future"`

	Watermark Watermark `yaml:"watermark"`
	Orders    Orders    `yaml:"orders"`
	Metrics   Metrics   `yaml:"metrics"`
	Rules     Rules     `yaml:"rules"`

	Webhooks []webhook.Receiver `yaml:"webhooks"`

	Serve    Serve    `yaml:"serve"`
	Process  Process  `yaml:"process"`
	Up       Up       `yaml:"up"`
	Generate Generate `yaml:"generate"`
	Replay   Replay   `yaml:"replay"`
	Inspect  Inspect  `yaml:"inspect"`
	Bench    Bench    `yaml:"bench"`
	Output   Output   `yaml:"output"`
	Log      Log      `yaml:"log"`
}

// Topics are the names and the shape of topics that weir produces to or makes.
type Topics struct {
	Prefix      string        `yaml:"prefix"` // of weir's own topics and groups
	Orders      string        `yaml:"orders"`
	Payments    string        `yaml:"payments"`
	Shipments   string        `yaml:"shipments"`
	Partitions  int           `yaml:"partitions"`
	Replication int           `yaml:"replication"` // 0: three, or as many as there are brokers
	Retention   time.Duration `yaml:"retention"`   // of the streams that weir makes
	Ensure      bool          `yaml:"ensure"`      // of the command topics: create what is missing
}

// Watermark is how event time advances.
type Watermark struct {
	Disorder time.Duration `yaml:"disorder"`
	Idle     time.Duration `yaml:"idle"`
}

// Orders are settings of the group orders.
type Orders struct {
	Retention time.Duration `yaml:"retention"`
}

// Metrics are settings of the group metrics.
type Metrics struct {
	File string `yaml:"file"` // "": the embedded metrics.yaml
}

// Rules are the fraud rules that are in force until the rule book says otherwise.
type Rules struct {
	File string `yaml:"file"` // "": the embedded rules.yaml
}

// Serve are settings of the view server.
type Serve struct {
	Listen         string   `yaml:"listen"`
	AllowedOrigins []string `yaml:"allowed_origins"`
	PublicURL      string   `yaml:"public_url"` // of the dashboard, in links; "": no links
	// Connections of live push, in all and of one address.
	Connections           int `yaml:"connections"`
	ConnectionsPerAddress int `yaml:"connections_per_address"`
}

// Process are settings of a process that runs groups and nothing else.
type Process struct {
	Listen    string `yaml:"listen"` // /metrics and /healthz; "": none
	StockGoka bool   `yaml:"stock_goka"`
}

// Up are settings of the whole in one process.
type Up struct {
	KafkaListen    string        `yaml:"kafka_listen"`
	Retention      time.Duration `yaml:"retention"`
	RetentionBytes Bytes         `yaml:"retention_bytes"` // of one partition
	Generate       float64       `yaml:"generate"`        // orders a second; 0: no generator
}

// Generate are settings of the generator.
type Generate struct {
	Rate       float64   `yaml:"rate"`   // orders a second, mean over a day
	Orders     int64     `yaml:"orders"` // honest ones; 0: no end
	Seed       int64     `yaml:"seed"`
	Start      time.Time `yaml:"start"`      // zero: now
	LifeScale  float64   `yaml:"life_scale"` // of the time from order to delivery; 0: chosen
	Rhythm     bool      `yaml:"rhythm"`
	Duplicates float64   `yaml:"duplicates"` // share of events
	Fraud      string    `yaml:"fraud"`      // default, off, or shares of orders by pattern
	Truth      string    `yaml:"truth"`      // NDJSON file of what was planted; "": none
	Output     string    `yaml:"output"`     // NDJSON file instead of Kafka
}

// Replay are settings of replaying files.
type Replay struct {
	Speed  string `yaml:"speed"` // max, or a factor of event time
	Strict bool   `yaml:"strict"`
}

// Inspect are settings of looking at one order.
type Inspect struct {
	Server string `yaml:"server"`
	From   string `yaml:"from"` // auto, server or kafka
}

// Bench are settings of measuring.
type Bench struct {
	Orders  int           `yaml:"orders"`
	Runs    int           `yaml:"runs"`
	Rate    int           `yaml:"rate"` // events a second
	Warm    time.Duration `yaml:"warm"`
	Measure time.Duration `yaml:"measure"`
	// Clients are websockets that a view server is loaded with; 0: none. Subs are the subscriptions of each, Stuck the share of those
	// that never read, Interval what they subscribe with.
	Clients  int           `yaml:"clients"`
	Subs     int           `yaml:"subs"`
	Stuck    Share         `yaml:"stuck"`
	Interval time.Duration `yaml:"interval"`
}

// Output is how commands print what they found.
type Output struct {
	Format string `yaml:"format"` // text, json or mermaid
}

// Log is how a process tells what it does.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Names are the names of weir's own topics and groups in this installation.
func (c *Config) Names() topology.Names { return topology.Names{Prefix: c.Topics.Prefix} }

// BrokerDir, GroupsDir and ViewsDir are what the embedded broker, the groups and the view server keep below DataDir.
func (c *Config) BrokerDir() string { return filepath.Join(c.DataDir, "kafka") }

// GroupsDir holds the tables of the groups of this instance.
func (c *Config) GroupsDir() string { return filepath.Join(c.DataDir, "groups") }

// ViewsDir holds the view server's copies of tables.
func (c *Config) ViewsDir() string { return filepath.Join(c.DataDir, "views") }
