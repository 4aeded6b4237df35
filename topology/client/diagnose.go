package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error is a failed connection to Kafka, with its cause and what to do about it.
type Error struct {
	Broker string // host:port, or the configured list
	Cause  string
	Remedy string
	Err    error // what the library said; may be nil
}

func (e *Error) Error() string { return fmt.Sprintf("kafka %s: %s; %s", e.Broker, e.Cause, e.Remedy) }

// Unwrap returns the library's error.
func (e *Error) Unwrap() error { return e.Err }

const knockTimeout = 2 * time.Second

// Diagnose turns an error of a Kafka client into an *Error that names cause and remedy. Where the error alone does not
// tell (a closed connection may be TLS against plain text, plain text against TLS, or missing SASL), it knocks on the
// brokers once to find out. An error that is not about connecting comes back as it is.
func Diagnose(cfg Config, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) { // who gave up need not be told why
		return err
	}
	e := &Error{Broker: strings.Join(cfg.Brokers, ","), Err: err}
	if e.fromSASL(cfg, err) || e.fromCertificate(err) || e.fromNetwork(err) {
		return e
	}
	if !connectionLost(err) {
		return err
	}
	for _, b := range cfg.Brokers {
		if knock(cfg, b, e) {
			e.Broker = b
			return e
		}
	}
	e.Cause = fmt.Sprintf("no usable answer (%v)", err)
	e.Remedy = "check that the address is Kafka's client port (not a controller, REST or JMX port) and that the cluster is healthy"
	return e
}

func connectionLost(err error) bool {
	var first *kgo.ErrFirstReadEOF
	var record tls.RecordHeaderError
	return errors.As(err, &first) || errors.As(err, &record) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		strings.Contains(err.Error(), "invalid large response size") || strings.Contains(err.Error(), "unable to dial") ||
		strings.Contains(err.Error(), "first record does not look like a TLS handshake")
}

func (e *Error) fromSASL(cfg Config, err error) bool {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), cfg.SASL.Mechanism != "" && strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED"):
		e.Cause = fmt.Sprintf("the broker refused user %q (SASL %s)", cfg.SASL.Username, cfg.SASL.Mechanism)
		e.Remedy = "check sasl.username and the password, and that the user exists for this mechanism (kafka-configs.sh --describe --entity-type users)"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		e.Cause = fmt.Sprintf("the broker does not offer SASL %s", cfg.SASL.Mechanism)
		e.Remedy = "set sasl.mechanism to one that it offers (its sasl.enabled.mechanisms)"
	case errors.Is(err, kerr.IllegalSaslState):
		e.Cause = "the broker's listener does not use SASL in this way"
		e.Remedy = "remove the sasl settings, or use the broker's SASL listener"
	default:
		return false
	}
	return true
}

func (e *Error) fromCertificate(err error) bool {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &authority):
		e.Cause = "the broker's certificate is signed by an authority that is not trusted here"
		e.Remedy = "set tls.ca_file to the authority's certificate (PEM)"
	case errors.As(err, &host):
		e.Cause = fmt.Sprintf("the broker's certificate is for another name (%v)", host)
		e.Remedy = "connect by a name in the certificate, or set tls.server_name to one"
	case errors.As(err, &invalid), errors.As(err, &verify):
		e.Cause = fmt.Sprintf("the broker's certificate does not verify (%v)", err)
		e.Remedy = "renew the certificate, or mend this machine's clock"
	case strings.Contains(err.Error(), "certificate required"), strings.Contains(err.Error(), "bad certificate"):
		e.Cause = "the broker wants a client certificate (mutual TLS), or does not trust the one given"
		e.Remedy = "set tls.cert_file and tls.key_file to a certificate that the broker's truststore accepts"
	default:
		return false
	}
	return true
}

func (e *Error) fromNetwork(err error) bool {
	var dns *net.DNSError
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && dial.Addr != nil {
		e.Broker = dial.Addr.String()
	}
	switch {
	case errors.As(err, &dns):
		e.Cause = fmt.Sprintf("the name %s cannot be resolved", dns.Name)
		e.Remedy = "check the spelling in brokers and this machine's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Cause = "connection refused: nothing listens there"
		e.Remedy = "start Kafka there (`weir up` brings its own), or correct brokers"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		e.Cause = "no route to that address"
		e.Remedy = "check the address, the VPN and the firewall"
	case dial != nil && dial.Op == "dial" && dial.Timeout():
		e.Cause = fmt.Sprintf("no answer within %s", dialTimeout)
		e.Remedy = "check the address, and that no firewall drops the packets"
	default:
		return false
	}
	return true
}

// knock opens connections of its own to a broker and sees what is spoken there.
func knock(cfg Config, broker string, e *Error) bool {
	conn, err := net.DialTimeout("tcp", broker, knockTimeout)
	if err != nil {
		return e.fromNetwork(err)
	}
	conn.Close()
	plainText, encrypted := speaksPlain(broker), false
	if !plainText {
		encrypted = speaksTLS(broker)
	}
	switch {
	case encrypted && !cfg.TLS.Enabled:
		e.Cause = "the broker speaks TLS and weir spoke plain text"
		e.Remedy = "set tls.enabled: true (and tls.ca_file if its authority is your own), or use the broker's plain-text port"
	case plainText && cfg.TLS.Enabled:
		e.Cause = "the broker speaks plain text and weir spoke TLS"
		e.Remedy = "set tls.enabled: false, or use the broker's TLS port"
	case !plainText && !encrypted:
		e.Cause = fmt.Sprintf("something listens there but does not answer as Kafka does within %s", knockTimeout)
		e.Remedy = "check that the address is Kafka's client port, and that the broker is not stuck or still starting"
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, os.ErrDeadlineExceeded):
		e.Cause = "the broker answers, but not to this request in time"
		e.Remedy = "see whether the broker, or this machine, is overloaded, and try again"
	case cfg.SASL.Mechanism == "":
		e.Cause = "the broker closed the connection without an answer, as one does that requires SASL"
		e.Remedy = "set sasl.mechanism, sasl.username and sasl.password_file, or use a listener without SASL"
	default:
		e.Cause = fmt.Sprintf("the broker closed the connection while user %q logged in with SASL %s", cfg.SASL.Username, cfg.SASL.Mechanism)
		e.Remedy = "check sasl.username and the password, that the broker offers sasl.mechanism, and that the port is its SASL listener"
	}
	return true
}

// speaksPlain asks for the API versions, in the version that every broker since 0.10 answers, even before SASL.
func speaksPlain(broker string) bool {
	conn, err := net.DialTimeout("tcp", broker, knockTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	const correlation = 0x77656972
	request := binary.BigEndian.AppendUint32(nil, 10) // what follows: key, version, correlation, no client id
	request = binary.BigEndian.AppendUint16(request, uint16(kmsg.ApiVersions))
	request = binary.BigEndian.AppendUint16(request, 0)
	request = binary.BigEndian.AppendUint32(request, correlation)
	request = binary.BigEndian.AppendUint16(request, 0xffff)
	if conn.SetDeadline(time.Now().Add(knockTimeout)) != nil {
		return false
	}
	if _, err := conn.Write(request); err != nil {
		return false
	}
	var head [8]byte
	_, err = io.ReadFull(conn, head[:])
	return err == nil && binary.BigEndian.Uint32(head[4:]) == correlation
}

func speaksTLS(broker string) bool {
	conn, err := net.DialTimeout("tcp", broker, knockTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(knockTimeout)) != nil {
		return false
	}
	// Verification is off because nothing is sent on this connection: the only question is whether TLS is spoken at all.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
	var alert tls.AlertError
	return err == nil || errors.As(err, &alert)
}
