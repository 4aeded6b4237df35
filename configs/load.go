package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"weir/views/webhook"
)

//go:embed *.yaml
var embedded embed.FS

const defaultsName = "defaults.yaml"

// DefaultFile is read where it exists and no other file is named.
const DefaultFile = "weir.yaml"

// Place is where a value was given.
type Place int

// The places, each over the one before.
const (
	Default Place = iota
	File
	Environment
	Flag
)

// Origin is where the effective value of a key comes from.
type Origin struct {
	Place  Place
	Detail string // file:line, variable or flag
}

func (o Origin) String() string {
	switch o.Place {
	case Environment:
		return "env " + o.Detail
	case Flag:
		return "flag " + o.Detail
	case File:
		return o.Detail
	}
	if o.Detail != "" {
		return "default (" + o.Detail + ")"
	}
	return "default"
}

// Sourced is where Load looks.
type Sourced struct {
	File    string            // "": that of WEIR_CONFIG, else weir.yaml where it exists
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // key path → text; lists with commas
	Names   map[string]string // key path → the flag as it was written, --brokers
}

// Loaded is a configuration whose values know where they come from.
type Loaded struct {
	Config
	File    string // that was read; "": none
	origins map[string]Origin
}

// Origin is where the value of a key comes from.
func (l *Loaded) Origin(path string) Origin { return l.origins[path] }

// Load reads the configuration and validates it.
func Load(in Sourced) (*Loaded, error) {
	l := &Loaded{origins: map[string]Origin{}}
	if err := l.defaults(); err != nil {
		return nil, err
	}
	if err := l.file(in); err != nil {
		return nil, err
	}
	if err := l.environment(in.Environ); err != nil {
		return nil, err
	}
	if err := l.flags(in); err != nil {
		return nil, err
	}
	if l.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("instance: this host has no name (%w); set --instance", err)
		}
		l.Instance, l.origins["instance"] = host, Origin{Detail: "this host's name"}
	}
	return l, l.Validate()
}

// give sets a key's value; the error says whose value is wrong.
func (l *Loaded) give(k Key, text string, o Origin) error {
	v := field(&l.Config, k.Path)
	if err := set(v, text); err != nil {
		return fmt.Errorf("%s: %s: %w", o, k.Path, describe(err))
	}
	l.origins[k.Path] = o
	return nil
}

func (l *Loaded) giveEntry(k Key, e entry, o Origin) error {
	if e.node == nil {
		return l.give(k, e.text, o)
	}
	v := field(&l.Config, k.Path)
	v.SetZero()
	if err := yaml.NodeToValue(e.node, v.Addr().Interface(), yaml.Strict()); err != nil {
		return fmt.Errorf("%s: %s: %w", o, k.Path, describe(err))
	}
	l.origins[k.Path] = o
	return nil
}

// describe makes the YAML library's multi-line errors one line.
func describe(err error) error {
	var structured yaml.Error
	if errors.As(err, &structured) {
		message := strings.TrimSpace(structured.GetMessage())
		if t := structured.GetToken(); t != nil && t.Position != nil {
			return fmt.Errorf("line %d: %s", t.Position.Line, message)
		}
		return errors.New(message)
	}
	return err
}

func (l *Loaded) defaults() error {
	data, err := embedded.ReadFile(defaultsName)
	if err != nil {
		return err
	}
	entries, err := readEntries(defaultsName, data)
	if err != nil {
		return err
	}
	for _, k := range keys {
		e, ok := entries[k.Path]
		if !ok {
			return fmt.Errorf("%s: has no value for %s", defaultsName, k.Path)
		}
		if err := l.giveEntry(k, e, Origin{}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loaded) file(in Sourced) error {
	name, named := in.File, in.File != ""
	if !named {
		for _, v := range in.Environ {
			if value, ok := strings.CutPrefix(v, EnvFile+"="); ok && value != "" {
				name, named = value, true
			}
		}
	}
	if !named {
		name = DefaultFile
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the configuration file cannot be read: %w; name another with --config or %s", err, EnvFile)
	}
	entries, err := readEntries(name, data)
	if err != nil {
		return err
	}
	l.File = name
	var errs []error
	for _, k := range keys {
		if e, ok := entries[k.Path]; ok {
			errs = append(errs, l.giveEntry(k, e, Origin{File, fmt.Sprintf("%s:%d", name, e.line)}))
		}
	}
	return errors.Join(errs...)
}

// serviceLink matches the variables with which Kubernetes announces a Service named weir to every container beside it.
var serviceLink = regexp.MustCompile(`^WEIR_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// testPrefix is left to tests: WEIR_TEST_BROKERS and the like set nothing.
const testPrefix = envPrefix + "TEST_"

func (l *Loaded) environment(environ []string) error {
	byEnv := make(map[string]Key, len(keys))
	var names []string
	for _, k := range keys {
		byEnv[k.Env()] = k
		names = append(names, k.Env())
	}
	var errs []error
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, envPrefix) || name == EnvFile || strings.HasPrefix(name, testPrefix) {
			continue
		}
		k, ok := byEnv[name]
		switch {
		case ok:
			errs = append(errs, l.give(k, value, Origin{Environment, name}))
		case !serviceLink.MatchString(name):
			errs = append(errs, fmt.Errorf("the environment has %s, which is no setting%s", name, suggestion(name, names)))
		}
	}
	return errors.Join(errs...)
}

func (l *Loaded) flags(in Sourced) error {
	var errs []error
	for _, k := range keys {
		if text, ok := in.Flags[k.Path]; ok {
			name := in.Names[k.Path]
			if name == "" {
				name = "--" + k.Flag
			}
			errs = append(errs, l.give(k, text, Origin{Flag, name}))
		}
	}
	return errors.Join(errs...)
}

// DefaultText is the default of a key as it is written in a file.
func DefaultText(path string) string {
	d, err := shipped()
	if err != nil {
		panic(err) // the embedded file is tested
	}
	return format(field(&d.Config, path))
}

// shipped is read once: each flag of each command asks for its default.
var shipped = sync.OnceValues(defaultsOnly)

func defaultsOnly() (*Loaded, error) {
	l := &Loaded{origins: map[string]Origin{}}
	return l, l.defaults()
}

// isStructured tells whether values of the key are more than text.
func (k Key) isStructured() bool {
	ty := field(new(Config), k.Path).Type()
	return ty == reflect.TypeFor[[]Source]() || ty == reflect.TypeFor[[]webhook.Receiver]()
}
