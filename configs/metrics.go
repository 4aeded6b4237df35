package configs

import (
	"fmt"
	"os"
)

// The embedded metric declarations.
const (
	MetricsDefault   = "metrics.yaml"   // what weir keeps unless told otherwise
	MetricsReference = "metrics-w.yaml" // the reference workload's aggregates, for comparing
)

// MetricsFile returns the declarations of the metrics to keep and their name for error messages.
func (c *Config) MetricsFile() (name string, data []byte, err error) {
	if c.Metrics.File == "" {
		data, err = EmbeddedMetrics(MetricsDefault)
		return "built-in " + MetricsDefault, data, err
	}
	data, err = os.ReadFile(c.Metrics.File)
	if err != nil {
		return "", nil, fmt.Errorf("metrics.file cannot be read: %w; leave it out to keep the built-in metrics", err)
	}
	return c.Metrics.File, data, nil
}

// EmbeddedMetrics returns one of the embedded declarations.
func EmbeddedMetrics(name string) ([]byte, error) {
	data, err := embedded.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("built-in metrics: %w", err)
	}
	return data, nil
}
