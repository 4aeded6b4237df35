package configs

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"weir/views/webhook"
)

// Limits of settings.
const (
	maxPartitions = 1024
	maxRate       = 200_000 // orders a second: more than a generator can make
)

// check is one rule about values; it names the keys it is about.
type check struct {
	path string
	ok   bool
	says string
}

// Validate reports everything that is wrong with the values, with where each was given and what to do.
func (l *Loaded) Validate() error {
	var errs []error
	fail := func(path string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", l.origins[path], path, err))
		}
	}
	for _, k := range keys {
		fail(k.Path, k.checkOneOf(field(&l.Config, k.Path)))
	}
	for _, c := range l.checks() {
		if !c.ok {
			fail(c.path, fmt.Errorf("%s %s", shown(format(field(&l.Config, c.path))), c.says))
		}
	}
	if err := l.Kafka.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("kafka.%w", err))
	}
	for _, path := range []string{"serve.listen", "up.kafka_listen", "process.listen"} {
		if text := field(&l.Config, path).String(); text != "" || path != "process.listen" {
			fail(path, checkListen(text))
		}
	}
	for _, o := range l.Serve.AllowedOrigins {
		fail("serve.allowed_origins", checkOrigin(o))
	}
	if err := checkPublicURL(l.Serve.PublicURL); err != nil {
		fail("serve.public_url", fmt.Errorf("%s %w", shown(l.Serve.PublicURL), err))
	}
	if err := webhook.Validate(l.Webhooks); err != nil {
		fail("webhooks", err)
	}
	if len(errs) == 0 {
		if _, err := l.Inputs(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.origins["sources"], err))
		}
	}
	return errors.Join(errs...)
}

func shown(text string) string {
	if text == "" {
		return "an empty value"
	}
	return text
}

var (
	topicName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	prefixName   = regexp.MustCompile(`^[A-Za-z0-9._-]{0,100}$`)
	instanceName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)
)

func (l *Loaded) checks() []check {
	c := &l.Config
	speed, speedErr := strconv.ParseFloat(c.Replay.Speed, 64)
	distinct := c.Topics.Orders != c.Topics.Payments && c.Topics.Payments != c.Topics.Shipments && c.Topics.Orders != c.Topics.Shipments
	return []check{
		{"topics.partitions", c.Topics.Partitions >= 1 && c.Topics.Partitions <= maxPartitions, "is not from 1 to 1024"},
		{"topics.replication", c.Topics.Replication >= 0 && c.Topics.Replication <= 100, "is not from 0 to 100"},
		{"topics.retention", c.Topics.Retention >= time.Hour, "is less than 1h: an instance that is away for longer would lose events"},
		{"topics.prefix", prefixName.MatchString(c.Topics.Prefix), "has characters that a topic's name cannot have (letters, digits, . _ -)"},
		{"topics.orders", topicName.MatchString(c.Topics.Orders), "is no topic name (letters, digits, . _ -)"},
		{"topics.payments", topicName.MatchString(c.Topics.Payments), "is no topic name (letters, digits, . _ -)"},
		{"topics.shipments", topicName.MatchString(c.Topics.Shipments), "is no topic name (letters, digits, . _ -)"},
		{"topics.orders", distinct, "must differ from topics.payments and topics.shipments, and they from each other"},
		{"instance", instanceName.MatchString(c.Instance), "is no instance name (letters, digits, . _ -)"},
		{"data_dir", c.DataDir != "", "is no folder"},
		{"commit_interval", c.CommitInterval >= time.Millisecond && c.CommitInterval <= 10*time.Second, "is not from 1ms to 10s"},
		{"backlog_interval", c.BacklogInterval >= c.CommitInterval && c.BacklogInterval <= 30*time.Second, "is not from commit_interval to 30s"},
		{"session_timeout", c.SessionTimeout >= time.Second && c.SessionTimeout <= 30*time.Minute, "is not from 1s to 30m (brokers take 6s and more, unless their group.min.session.timeout.ms is lower)"},
		{"heartbeat", c.Heartbeat >= 100*time.Millisecond && 3*c.Heartbeat <= c.SessionTimeout, "is not from 100ms to a third of session_timeout"},
		{"cache_bytes", c.CacheBytes >= 1<<20, "is less than 1MiB"},
		{"max_future", c.MaxFuture >= 0, "is negative"},
		{"watermark.disorder", c.Watermark.Disorder >= 0, "is negative"},
		{"watermark.idle", c.Watermark.Idle >= time.Second, "is less than 1s: event time would run ahead at every pause"},
		{"orders.retention", c.Orders.Retention >= 24*time.Hour, "is less than 1d: payments and shipments would find their order gone"},
		{"serve.connections", c.Serve.Connections >= 1, "is less than 1"},
		{"serve.connections_per_address", c.Serve.ConnectionsPerAddress >= 1, "is less than 1"},
		{"bench.clients", c.Bench.Clients >= 0 && c.Bench.Clients <= 100_000, "is not from 0 to 100000"},
		{"bench.subs", c.Bench.Subs >= 1 && c.Bench.Subs <= 32, "is not from 1 to 32"},
		{"bench.interval", c.Bench.Interval >= 100*time.Millisecond && c.Bench.Interval <= 10*time.Second, "is not from 100ms to 10s"},
		{"up.retention", c.Up.Retention >= time.Hour, "is less than 1h"},
		{"up.retention_bytes", c.Up.RetentionBytes >= 1<<20, "is less than 1MiB"},
		{"up.generate", c.Up.Generate >= 0 && c.Up.Generate <= maxRate, "is not from 0 to 200000 orders a second"},
		{"generate.rate", c.Generate.Rate > 0 && c.Generate.Rate <= maxRate, "is not above 0 and at most 200000 orders a second"},
		{"generate.orders", c.Generate.Orders >= 0, "is negative"},
		{"generate.life_scale", c.Generate.LifeScale >= 0 && c.Generate.LifeScale <= 100, "is not from 0 to 100"},
		{"generate.duplicates", c.Generate.Duplicates >= 0 && c.Generate.Duplicates <= 0.5, "is not from 0 to 0.5"},
		{"replay.speed", c.Replay.Speed == "max" || speedErr == nil && speed > 0 && speed <= 1e9, "is neither max nor a factor above 0"},
	}
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address; write host:port, such as 127.0.0.1:8080, or :8080 for all interfaces", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return nil
}
