// Package pipeline turns a configuration into running groups and a running view server: the one place where an event's whole
// journey is wired. Commands, benchmarks and scenario tests start weir through it.
package pipeline
