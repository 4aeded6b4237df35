package pipeline

import (
	"weir/configs"
	"weir/topology/metric"
)

// Metrics compiles the metrics of the configuration.
func Metrics(cfg *configs.Config) (*metric.Set, error) {
	name, data, err := cfg.MetricsFile()
	if err != nil {
		return nil, err
	}
	return metric.Load(name, data)
}
