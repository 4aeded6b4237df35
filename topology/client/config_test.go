package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigThatCannotWorkIsRefusedWithARemedy(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := []string{"127.0.0.1:9092"}
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"no broker":          {Config{}, "host:port"},
		"no port":            {Config{Brokers: []string{"kafka"}}, "kafka:9092"},
		"a URL":              {Config{Brokers: []string{"kafka://k:9092"}}, "only host:port"},
		"no host":            {Config{Brokers: []string{":9092"}}, "127.0.0.1:9092"},
		"port out of range":  {Config{Brokers: []string{"k:99999"}}, "9092"},
		"TLS but off":        {Config{Brokers: at, TLS: TLS{CAFile: "ca.pem"}}, "tls.enabled: true"},
		"half a key pair":    {Config{Brokers: at, TLS: TLS{Enabled: true, CertFile: "c.pem"}}, "key_file"},
		"no CA file":         {Config{Brokers: at, TLS: TLS{Enabled: true, CAFile: "/nowhere/ca.pem"}}, "tls.ca_file"},
		"CA file not PEM":    {Config{Brokers: at, TLS: TLS{Enabled: true, CAFile: empty}}, "truststore"},
		"unknown mechanism":  {Config{Brokers: at, SASL: SASL{Mechanism: "GSSAPI", Username: "u", Password: "p"}}, ScramSHA512},
		"user, no mechanism": {Config{Brokers: at, SASL: SASL{Username: "u"}}, "sasl.mechanism"},
		"no password":        {Config{Brokers: at, SASL: SASL{Mechanism: Plain, Username: "u"}}, "password_file"},
		"two passwords":      {Config{Brokers: at, SASL: SASL{Mechanism: Plain, Username: "u", Password: "p", PasswordFile: empty}}, "keep one"},
		"no password file":   {Config{Brokers: at, SASL: SASL{Mechanism: Plain, Username: "u", PasswordFile: "/nowhere/secret"}}, "sasl.password_file"},
		"empty password":     {Config{Brokers: at, SASL: SASL{Mechanism: Plain, Username: "u", PasswordFile: empty}}, "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.config.Options()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v; it should say %q", err, c.says)
			}
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	err := Config{Brokers: []string{"a", "b"}, SASL: SASL{Mechanism: Plain}}.Validate()
	for _, says := range []string{`"a"`, `"b"`, "username", "password"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not mention %s", err, says)
		}
	}
}
