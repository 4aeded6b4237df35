package metric

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Definition declares one metric, as configs/metrics.yaml does. A derived metric has a Ratio and neither On nor Value.
type Definition struct {
	Name string `yaml:"name"` // lower-case letters, digits and _
	Help string `yaml:"help"`
	Unit string `yaml:"unit"` // what a value is: money, seconds, ratio, or a noun in the plural such as orders

	On    string `yaml:"on"`    // an event type such as order.created, or funnel
	Each  string `yaml:"each"`  // item: count the lines of the order, each by itself
	Where string `yaml:"where"` // field == value, field != value, field in (value, value); "" = always

	// Value is one of count; sum(total), sum(amount), sum(quantity), sum(price*quantity); distinct(FIELD); quantiles(seconds since
	// created); top(FIELD by quantity), top(FIELD by count); and with a Session quantiles(seconds of session).
	Value  string   `yaml:"value"`
	Labels []string `yaml:"labels"`

	Session *SessionDefinition `yaml:"session"`

	Windows   []WindowDefinition `yaml:"windows"`
	Grace     string             `yaml:"grace"`      // how long after a window's end its row still takes updates
	MaxSeries int                `yaml:"max_series"` // rows of one window

	Ratio *RatioDefinition `yaml:"ratio"`
}

// WindowDefinition is one way to cut the metric's time, in the notation of package window.
type WindowDefinition struct {
	Every string `yaml:"every"`
	Keep  string `yaml:"keep"` // counted back from the watermark
}

// SessionDefinition makes a metric count sessions: events with the same By at most Gap apart.
type SessionDefinition struct {
	By  string `yaml:"by"`
	Gap string `yaml:"gap"`
}

// RatioDefinition declares a derived metric: what the parts of Over add up to, divided by what those of Under add up to.
type RatioDefinition struct {
	Over  []PartDefinition `yaml:"over"`
	Under []PartDefinition `yaml:"under"`
}

// PartDefinition is one term of a ratio.
type PartDefinition struct {
	Metric string `yaml:"metric"`
	Of     string `yaml:"of"`    // count or sum; by default what the metric itself is
	Where  string `yaml:"where"` // label == value; "" = all rows
}

type document struct {
	Defaults struct {
		Windows   []WindowDefinition `yaml:"windows"`
		Grace     string             `yaml:"grace"`
		MaxSeries int                `yaml:"max_series"`
	} `yaml:"defaults"`
	Metrics []Definition `yaml:"metrics"`
}

// Parse reads definitions from YAML and fills in the document's defaults. name says in errors which document it is.
func Parse(name string, data []byte) ([]Definition, error) {
	defs, _, err := parse(name, data)
	return defs, err
}

func parse(name string, data []byte) ([]Definition, *ast.File, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	var d document
	if err := yaml.UnmarshalWithOptions(data, &d, yaml.Strict()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(d.Metrics) == 0 {
		return nil, nil, fmt.Errorf("%s: no metric is declared: write them under the key metrics", name)
	}
	for i := range d.Metrics {
		m := &d.Metrics[i]
		if m.Ratio != nil {
			continue
		}
		if m.Windows == nil {
			m.Windows = d.Defaults.Windows
		}
		if m.Grace == "" {
			m.Grace = d.Defaults.Grace
		}
		if m.MaxSeries == 0 {
			m.MaxSeries = d.Defaults.MaxSeries
		}
	}
	return d.Metrics, file, nil
}

// Load reads definitions from YAML and compiles them. Errors begin with name:line:column.
func Load(name string, data []byte) (*Set, error) {
	defs, file, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	set, err := Compile(defs)
	var wrong *DefinitionError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("%s:%s: %w", name, position(file, wrong), err)
	}
	return set, err
}

// DefinitionError tells which part of which definition is wrong.
type DefinitionError struct {
	Index  int    // of the definition
	Metric string // its name
	Field  string // the YAML key, such as value or ratio.over[1]
	Err    error
}

// Error names the metric and the field.
func (e *DefinitionError) Error() string {
	return fmt.Sprintf("metric %s: %s: %v", e.Metric, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *DefinitionError) Unwrap() error { return e.Err }

// position finds line:column of the field, or of the nearest that encloses it: a field may be missing, or stand in defaults.
func position(file *ast.File, e *DefinitionError) string {
	metric := fmt.Sprintf("$.metrics[%d]", e.Index)
	paths := []string{metric + "." + e.Field, "$.defaults." + e.Field, metric + ".name", metric}
	if parent, _, nested := strings.Cut(e.Field, "."); nested {
		paths = append(paths[:2], metric+"."+parent, metric)
	}
	for _, p := range paths {
		path, err := yaml.PathString(p)
		if err != nil {
			continue
		}
		if node, err := path.FilterFile(file); err == nil && node != nil && node.GetToken() != nil {
			at := node.GetToken().Position
			return fmt.Sprintf("%d:%d", at.Line, at.Column)
		}
	}
	return "1:1"
}
