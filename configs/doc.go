// Package configs is the one place where settings come from: what exists (Keys), where a value was given (Load, Origin), and
// whether the values can work together (Validate). Commands read a *Config and never the environment.
//
// A value is taken from the embedded defaults.yaml, the configuration file, the environment (WEIR_…) and the command line,
// each over the one before. All four are derived from the table in keys.go, so that they cannot drift apart.
//
// In an event's journey it stands before the first step: it names the cluster, the source topics and their shapes, the
// guarantee, and the metrics that are kept.
package configs
