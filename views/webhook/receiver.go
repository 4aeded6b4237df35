package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/topology/alert"
)

// Format is how a receiver is told.
type Format string

// The formats.
const (
	CloudEvents  Format = "cloudevents" // the event as it is on the topic alerts
	Slack        Format = "slack"       // a message for an incoming webhook
	Alertmanager Format = "alertmanager"
)

// Receiver is who is told about which alerts, and where.
type Receiver struct {
	Name        string        `yaml:"name"` // also the end of its consumer group's name
	URL         string        `yaml:"url"`
	URLFile     string        `yaml:"url_file"` // instead of URL, where that is a secret; read at each request
	Format      Format        `yaml:"format"`
	Events      []string      `yaml:"events"`       // none: opened
	MinSeverity string        `yaml:"min_severity"` // "": low
	Rules       []string      `yaml:"rules"`        // none: all
	Secret      Secrets       `yaml:"secret"`
	SecretFile  string        `yaml:"secret_file"`  // one secret a line; read at each request
	Timeout     time.Duration `yaml:"timeout"`      // of one request; 0: 10 s
	MaxAttempts int           `yaml:"max_attempts"` // before the dead letters; 0: 12
}

// Limits and defaults of receivers.
const (
	MaxReceivers    = 32
	defaultTimeout  = 10 * time.Second
	maxTimeout      = time.Minute
	defaultAttempts = 12
	maxAttempts     = 1000
	maxRules        = 200
	maxSecretBytes  = 4 << 10
)

// Hidden stands for what is not shown. A receiver in which it is found again is refused.
const Hidden = "(set, not shown)"

var (
	formats    = []Format{CloudEvents, Slack, Alertmanager}
	kinds      = []string{"opened", "updated", "ended", "withdrawn", "moved", "decided"}
	severities = []string{"low", "medium", "high", "critical"}
	validName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
)

// Filled is the receiver with its defaults in the places left out.
func (r Receiver) Filled() Receiver {
	if r.Format == "" {
		r.Format = CloudEvents
	}
	if len(r.Events) == 0 {
		r.Events = []string{"opened"}
	}
	if r.MinSeverity == "" {
		r.MinSeverity = "low"
	}
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	if r.MaxAttempts == 0 {
		r.MaxAttempts = defaultAttempts
	}
	return r
}

// Wants reports whether the receiver is told about the event. A severity that is not known counts as the highest.
func (r Receiver) Wants(e *alert.Event) bool {
	rank := slices.Index(severities, e.Data.Severity)
	return slices.Contains(r.Events, kind(e)) &&
		(rank < 0 || rank >= slices.Index(severities, r.MinSeverity)) &&
		(len(r.Rules) == 0 || slices.Contains(r.Rules, e.Data.Rule))
}

// Validate reports everything that is wrong with the receivers, without touching files or the network.
func Validate(receivers []Receiver) error {
	if len(receivers) > MaxReceivers {
		return fmt.Errorf("%d receivers are given, the limit is %d", len(receivers), MaxReceivers)
	}
	var errs []error
	seen := map[string]bool{}
	for i, r := range receivers {
		if seen[r.Name] {
			errs = append(errs, fmt.Errorf("[%d]: name %s is given twice", i, r.Name))
		}
		seen[r.Name] = true
		for _, err := range r.mistakes() {
			errs = append(errs, fmt.Errorf("[%d] (%s): %w", i, r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r Receiver) mistakes() []error {
	r = r.Filled()
	var errs []error
	fail := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fail(!validName.MatchString(r.Name), "name: %q is no name; it has 1 to 63 small letters, digits, _ and -", r.Name)
	fail((r.URL == "") == (r.URLFile == ""), "url: give url, or url_file where the address is a secret")
	if r.URL != "" {
		if _, err := address(r.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		}
	}
	fail(!slices.Contains(formats, r.Format), "format: %q is not one of cloudevents, slack, alertmanager", r.Format)
	for _, e := range r.Events {
		fail(!slices.Contains(kinds, e), "events: %q is not one of %s", e, strings.Join(kinds, ", "))
	}
	fail(!slices.Contains(severities, r.MinSeverity), "min_severity: %q is not one of %s", r.MinSeverity, strings.Join(severities, ", "))
	fail(len(r.Rules) > maxRules, "rules: %d are given, the limit is %d", len(r.Rules), maxRules)
	fail(len(r.Secret) > 0 && r.SecretFile != "", "secret: both secret and secret_file are given; keep one")
	if len(r.Secret) > 0 {
		if _, err := r.Secret.keys(); err != nil {
			errs = append(errs, fmt.Errorf("secret: %w", err))
		}
	}
	fail(r.Timeout < 100*time.Millisecond || r.Timeout > maxTimeout, "timeout: %s is not from 100ms to 1m", r.Timeout)
	fail(r.MaxAttempts < 1 || r.MaxAttempts > maxAttempts, "max_attempts: %d is not from 1 to %d", r.MaxAttempts, maxAttempts)
	return errs
}

// address parses where a receiver is. Its errors do not repeat it: it may be a secret.
func address(text string) (*url.URL, error) {
	if strings.Contains(text, Hidden) {
		return nil, fmt.Errorf("holds the mark %q of an address that was not shown; write the address itself, or use url_file", Hidden)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("is no address; write it like https://desk.example.com/alerts")
	}
	return u, nil
}

// target is where to send now.
func (r Receiver) target() (*url.URL, error) {
	if r.URLFile == "" {
		return address(r.URL)
	}
	text, err := readSmall(r.URLFile)
	if err != nil {
		return nil, fmt.Errorf("url_file: %w", err)
	}
	u, err := address(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("url_file: %s %w", r.URLFile, err)
	}
	return u, nil
}

// keys are the keys to sign with now; none: requests are not signed.
func (r Receiver) keys() ([][]byte, error) {
	if r.SecretFile == "" {
		return r.Secret.keys()
	}
	text, err := readSmall(r.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	keys, err := Secrets(strings.Fields(text)).keys()
	if err == nil && len(keys) == 0 {
		err = errors.New("is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("secret_file: %s %w", r.SecretFile, err)
	}
	return keys, nil
}

func readSmall(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err == nil && len(b) > maxSecretBytes {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSecretBytes)
	}
	return string(b), err
}

// Shown is the address without what may be a secret: a user, a query, and the path of a Slack webhook.
func (r Receiver) Shown() string {
	if r.URLFile != "" {
		return "(in " + r.URLFile + ")"
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return Hidden
	}
	if u.User != nil || u.RawQuery != "" || r.Format == Slack {
		return u.Scheme + "://" + u.Host + "/" + Hidden
	}
	return r.URL
}

// MarshalJSON writes what the configuration reads, with secrets hidden: JSON is YAML.
func (r Receiver) MarshalJSON() ([]byte, error) {
	shown := struct {
		Name        string   `json:"name"`
		URL         string   `json:"url,omitempty"`
		URLFile     string   `json:"url_file,omitempty"`
		Format      Format   `json:"format,omitempty"`
		Events      []string `json:"events,omitempty"`
		MinSeverity string   `json:"min_severity,omitempty"`
		Rules       []string `json:"rules,omitempty"`
		Secret      string   `json:"secret,omitempty"`
		SecretFile  string   `json:"secret_file,omitempty"`
		Timeout     string   `json:"timeout,omitempty"`
		MaxAttempts int      `json:"max_attempts,omitempty"`
	}{Name: r.Name, URLFile: r.URLFile, Format: r.Format, Events: r.Events, MinSeverity: r.MinSeverity, Rules: r.Rules,
		SecretFile: r.SecretFile, MaxAttempts: r.MaxAttempts}
	if r.URL != "" {
		shown.URL = r.Shown()
	}
	if len(r.Secret) > 0 {
		shown.Secret = Hidden
	}
	if r.Timeout != 0 {
		shown.Timeout = r.Timeout.String()
	}
	return json.Marshal(shown)
}
