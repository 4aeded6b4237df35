package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// certificate makes a self-signed certificate for 127.0.0.1 and the file that clients trust it by.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ca
}

func TestProbeTellsWhatAnswers(t *testing.T) {
	server, ca := certificate(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{"", Plain, ScramSHA256, ScramSHA512} {
		for _, encrypted := range []bool{false, true} {
			opts := []kfake.Opt{kfake.ClusterID("shop-1")}
			var cfg Config
			if encrypted {
				opts = append(opts, kfake.TLS(server))
				cfg.TLS = TLS{Enabled: true, CAFile: ca}
			}
			if mechanism != "" {
				opts = append(opts, kfake.EnableSASL(), kfake.Superuser(mechanism, "weir", "s3cret"))
				cfg.SASL = SASL{Mechanism: mechanism, Username: "weir", PasswordFile: secret}
			}
			cfg.Brokers = cluster(t, opts...).ListenAddrs()
			info, err := Probe(t.Context(), cfg)
			if err != nil {
				t.Fatalf("SASL %q, TLS %v: %v", mechanism, encrypted, err)
			}
			if info.ID != "shop-1" || len(info.Brokers) != 1 || info.Brokers[0] != cfg.Brokers[0] || info.Version == "" {
				t.Errorf("SASL %q, TLS %v: %+v", mechanism, encrypted, info)
			}
		}
	}
}

// A listener that accepts and never says a word.
func silent(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func unused(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestFailedConnectionNamesCauseAndRemedy(t *testing.T) {
	server, ca := certificate(t)
	other, _ := certificate(t)
	plainText := cluster(t).ListenAddrs()
	encrypted := cluster(t, kfake.TLS(server)).ListenAddrs()
	strange := cluster(t, kfake.TLS(other)).ListenAddrs()
	authenticated := cluster(t, kfake.EnableSASL(), kfake.Superuser(ScramSHA256, "weir", "right")).ListenAddrs()
	old := cluster(t, kfake.MaxVersions(kversion.V2_2_0())).ListenAddrs()
	for name, c := range map[string]struct {
		config        Config
		cause, remedy string
	}{
		"nothing listens":    {Config{Brokers: []string{unused(t)}}, "refused", "weir up"},
		"no such name":       {Config{Brokers: []string{"kafka.invalid:9092"}}, "cannot be resolved", "spelling"},
		"nothing answers":    {Config{Brokers: []string{silent(t)}}, "does not answer", "client port"},
		"plain to TLS":       {Config{Brokers: encrypted}, "speaks TLS and weir spoke plain", "tls.enabled: true"},
		"TLS to plain":       {Config{Brokers: plainText, TLS: TLS{Enabled: true, CAFile: ca}}, "speaks plain text and weir spoke TLS", "tls.enabled: false"},
		"unknown authority":  {Config{Brokers: strange, TLS: TLS{Enabled: true, CAFile: ca}}, "authority that is not trusted", "tls.ca_file"},
		"wrong name":         {Config{Brokers: encrypted, TLS: TLS{Enabled: true, CAFile: ca, ServerName: "kafka.example"}}, "for another name", "tls.server_name"},
		"no SASL":            {Config{Brokers: authenticated}, "requires SASL", "sasl.mechanism"},
		"wrong password":     {Config{Brokers: authenticated, SASL: SASL{Mechanism: ScramSHA256, Username: "weir", Password: "wrong"}}, "user \"weir\"", "password"},
		"wrong mechanism":    {Config{Brokers: authenticated, SASL: SASL{Mechanism: Plain, Username: "weir", Password: "right"}}, "SASL PLAIN", "sasl.mechanism"},
		"SASL, none offered": {Config{Brokers: plainText, SASL: SASL{Mechanism: Plain, Username: "weir", Password: "right"}}, "SASL PLAIN", "SASL listener"},
		"too old":            {Config{Brokers: old}, "too old", "Apache Kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Probe(context.Background(), c.config)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("not diagnosed: %v", err)
			}
			t.Log(e)
			if !strings.Contains(e.Cause, c.cause) || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("cause should say %q, remedy %q", c.cause, c.remedy)
			}
		})
	}
}

// One broker of three that hangs, or is gone, holds nobody up: the cluster goes on without it.
func TestABrokerThatIsAwayIsGoneOnWithout(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3))
	hung := c.ListenAddrs()[1]
	release := make(chan struct{})
	t.Cleanup(func() { close(release) }) // before the cluster's own
	c.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.CurrentNode() != 1 {
			return nil, nil, false
		}
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	for name, seeds := range map[string][]string{"as a seed": {hung, c.ListenAddrs()[0]}, "not named": {c.ListenAddrs()[2]}, "a seed is gone": {unused(t), silent(t), c.ListenAddrs()[0]}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info, err := Probe(context.Background(), Config{Brokers: seeds})
			if err != nil || len(info.Brokers) != 3 || len(info.Away) != 1 || !strings.Contains(info.Away[0].Error(), hung) {
				t.Errorf("%+v, %v; %s hangs", info, err, hung)
			}
		})
	}
}

func TestErrorThatIsNotAConnectionStaysAsItIs(t *testing.T) {
	err := errors.New("schema mismatch")
	if got := Diagnose(Config{Brokers: []string{"127.0.0.1:1"}}, err); got != err {
		t.Errorf("got %v", got)
	}
}

func TestAPatientBrokerIsNotSaidToAskForSASL(t *testing.T) {
	cfg := Config{Brokers: cluster(t).ListenAddrs()}
	if err := Diagnose(cfg, fmt.Errorf("reading: %w", context.DeadlineExceeded)); !strings.Contains(err.Error(), "not to this request in time") {
		t.Errorf("%v", err)
	}
	if err := Diagnose(cfg, fmt.Errorf("unable to dial: %w", context.Canceled)); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "SASL") {
		t.Errorf("%v", err)
	}
}
