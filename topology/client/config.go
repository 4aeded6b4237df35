package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The SASL mechanisms that weir speaks. An empty mechanism is no SASL.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

const dialTimeout = 5 * time.Second

// Config says how to reach a Kafka cluster. The zero Config is not valid: at least one broker is needed.
type Config struct {
	Brokers  []string `yaml:"brokers"`
	ClientID string   `yaml:"client_id"`
	TLS      TLS      `yaml:"tls"`
	SASL     SASL     `yaml:"sasl"`
}

// TLS encrypts the connection. Without a CAFile the system's authorities are trusted; CertFile and KeyFile together
// authenticate the client (mutual TLS).
type TLS struct {
	Enabled            bool   `yaml:"enabled"`
	CAFile             string `yaml:"ca_file"`
	CertFile           string `yaml:"cert_file"`
	KeyFile            string `yaml:"key_file"`
	ServerName         string `yaml:"server_name"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// SASL authenticates the client. PasswordFile is read anew for each connection, so that a rotated secret takes effect
// without a restart.
type SASL struct {
	Mechanism    string `yaml:"mechanism"`
	Username     string `yaml:"username"`
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
}

// Validate reports everything that is wrong with the configuration, without touching the network.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: none given; name at least one as host:port, for example 127.0.0.1:9092"))
	}
	for _, b := range c.Brokers {
		if err := validAddress(b); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, c.TLS.validate(), c.SASL.validate())
	return errors.Join(errs...)
}

func validAddress(address string) error {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		return fmt.Errorf("brokers: %q has a scheme (%s); write only host:port, for example %s", address, scheme, rest)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("brokers: %q is not host:port; for example %s:9092 (an IPv6 address needs brackets: [::1]:9092)", address, strings.Trim(address, ":"))
	}
	if host == "" {
		return fmt.Errorf("brokers: %q has no host; for example 127.0.0.1:%s", address, port)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("brokers: %q has no valid port; Kafka's is usually 9092", address)
	}
	return nil
}

func (t TLS) validate() error {
	var errs []error
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "" || t.InsecureSkipVerify) {
		errs = append(errs, errors.New("tls: settings are given but tls.enabled is false; set tls.enabled: true or remove them"))
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, errors.New("tls: cert_file and key_file belong together; give both for mutual TLS, or neither"))
	}
	return errors.Join(errs...)
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password != "" || s.PasswordFile != "" {
			return fmt.Errorf("sasl: a user or password is given but no mechanism; set sasl.mechanism to %s, %s or %s", Plain, ScramSHA256, ScramSHA512)
		}
		return nil
	case Plain, ScramSHA256, ScramSHA512:
	default:
		return fmt.Errorf("sasl: mechanism %q is not known; use %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512)
	}
	var errs []error
	if s.Username == "" {
		errs = append(errs, errors.New("sasl: username is missing"))
	}
	switch {
	case s.Password == "" && s.PasswordFile == "":
		errs = append(errs, errors.New("sasl: password is missing; give sasl.password_file (preferred) or sasl.password"))
	case s.Password != "" && s.PasswordFile != "":
		errs = append(errs, errors.New("sasl: both password and password_file are given; keep one"))
	}
	return errors.Join(errs...)
}

// Options returns the options that every Kafka client of weir starts with. Files are read here, so that a missing or
// unreadable one is an error at start and not a connection that never comes up.
func (c Config) Options() ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	id := c.ClientID
	if id == "" {
		id = "weir"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(id),
		kgo.SoftwareNameAndVersion("weir", "1"),
		kgo.DialTimeout(dialTimeout),
	}
	if c.TLS.Enabled {
		tc, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(tc))
	}
	if c.SASL.Mechanism != "" {
		if _, err := c.SASL.secret(); err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	return opts, nil
}

// With returns the options of Config followed by more, ready for kgo.NewClient.
func (c Config) With(more ...kgo.Opt) ([]kgo.Opt, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	return append(opts, more...), nil
}

func (t TLS) config() (*tls.Config, error) {
	tc := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		tc.RootCAs = x509.NewCertPool()
		if !tc.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no PEM certificate; a Java truststore must be exported first (keytool -exportcert -rfc)", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file %s with tls.key_file %s: %w", t.CertFile, t.KeyFile, err)
		}
		tc.Certificates = []tls.Certificate{cert}
	}
	return tc, nil
}

func (s SASL) secret() (string, error) {
	if s.PasswordFile == "" {
		return s.Password, nil
	}
	b, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("sasl.password_file: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("sasl.password_file: %s is empty", s.PasswordFile)
	}
	return secret, nil
}

func (s SASL) mechanism() sasl.Mechanism {
	if s.Mechanism == Plain {
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			secret, err := s.secret()
			return plain.Auth{User: s.Username, Pass: secret}, err
		})
	}
	auth := func(context.Context) (scram.Auth, error) {
		secret, err := s.secret()
		return scram.Auth{User: s.Username, Pass: secret}, err
	}
	if s.Mechanism == ScramSHA256 {
		return scram.Sha256(auth)
	}
	return scram.Sha512(auth)
}
