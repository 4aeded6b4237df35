// Package simulated is the whole weir in the simulator: all groups, wired as on Kafka. Its tests play the scenario files of
// processors/*/testdata under many schedules, and hold the tables, the features and the alerts to oracles that evaluate all events
// at once.
package simulated

import (
	"fmt"
	"strconv"
	"time"

	"weir/configs"
	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/event"
	"weir/topology/metric"
	"weir/topology/sim"
	"weir/topology/sim/scenario"
	"weir/topology/window"
)

// Weir is a simulated weir. It is a scenario.Runner.
type Weir struct {
	cluster *sim.Cluster
	set     *metric.Set
}

var _ scenario.Runner = (*Weir)(nil)

// clockStart is later than every scenario, so that none of its times lies in the future.
var clockStart = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// New starts a weir as a scenario asks for it.
func New(setup scenario.Setup) (*Weir, error) {
	set, err := Metrics(setup)
	if err != nil {
		return nil, err
	}
	settings, disorder, err := Settings(setup)
	if err != nil {
		return nil, err
	}
	rules, err := Rules(setup)
	if err != nil {
		return nil, err
	}
	s := setup.Schedule
	cluster, err := sim.New(
		sim.Config{Seed: s.Seed, Partitions: s.Partitions, Instances: s.Instances, Start: clockStart, Disorder: disorder,
			CrashChance: s.Crash, AbortChance: s.Abort, RebalanceChance: s.Rebalance},
		Groups(settings, set, rules, s.Partitions)...)
	if err != nil {
		return nil, err
	}
	return &Weir{cluster: cluster, set: set}, nil
}

// Groups are all groups, each after those that it hears of.
func Groups(settings orders.Settings, set *metric.Set, rules *rule.Current, partitions int32) []sim.Group {
	parsers := map[string]*event.Parser{}
	for _, topic := range []string{topology.Orders, topology.Payments, topology.Shipments} {
		parsers[topic] = event.Canonical()
	}
	return []sim.Group{orders.Simulate(settings, set, rules, parsers), metrics.Simulate(set, partitions), entities.Simulate(rules),
		alerts.Simulate(rules, partitions, 0, topology.GroupOrders, topology.GroupEntities)}
}

// Metrics are the definitions that a scenario runs with.
func Metrics(setup scenario.Setup) (*metric.Set, error) {
	if setup.MetricsYAML != "" {
		return metric.Load("the scenario's metrics", []byte(setup.MetricsYAML))
	}
	data, err := configs.EmbeddedMetrics(configs.MetricsDefault)
	if err != nil {
		return nil, err
	}
	return metric.Load(configs.MetricsDefault, data)
}

// Rules are those that a scenario brings. Without any there are none, so that a scenario stays about one thing.
func Rules(setup scenario.Setup) (*rule.Current, error) {
	set, err := rule.Load("the scenario's rules", []byte(setup.RulesYAML))
	if err != nil {
		return nil, err
	}
	return rule.NewCurrent(set), nil
}

// Settings are the shipped settings with what a scenario's config command changes.
func Settings(setup scenario.Setup) (settings orders.Settings, disorder time.Duration, err error) {
	settings = orders.DefaultSettings()
	for name, value := range setup.Config {
		switch name {
		case "retention":
			settings.Retention, err = window.ParseSpan(value)
		case "disorder":
			disorder, err = window.ParseSpan(value)
		case "max_entries":
			settings.MaxEntries, err = strconv.Atoi(value)
		case "max_waiting":
			settings.MaxWaiting, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("there is no such setting")
		}
		if err != nil {
			return settings, 0, fmt.Errorf("config %s=%s: %w", name, value, err)
		}
	}
	return settings, disorder, settings.Validate()
}

// Metrics is the set that runs.
func (w *Weir) Metrics() *metric.Set { return w.set }

// Partitions is the partition count of every topic.
func (w *Weir) Partitions() int32 { return w.cluster.Partitions() }

// Feed appends records to topics.
func (w *Weir) Feed(records []sim.Record) error {
	for _, r := range records {
		w.cluster.Produce(r)
	}
	return nil
}

// Settle runs until nothing is left to do.
func (w *Weir) Settle(reached event.UnixMilli) error {
	if err := w.cluster.Settle(); err != nil {
		return err
	}
	for group := range Tables {
		if at := w.cluster.Watermark(group); at < reached {
			return fmt.Errorf("everything is processed, but the watermark of %s is %s and not %s", group, at.Time(), reached.Time())
		}
	}
	return nil
}

// Tables are the groups with their tables.
var Tables = map[string]string{
	topology.GroupOrders: topology.TableOrders, topology.GroupMetrics: topology.TableMetrics,
	topology.GroupEntities: topology.TableEntities, topology.GroupAlerts: topology.TableAlerts,
}

// Rows returns a table's rows.
func (w *Weir) Rows(table string) (map[string][]byte, error) {
	for group, name := range Tables {
		if name != table {
			continue
		}
		rows := map[string][]byte{}
		w.cluster.Each(group, func(key string, row []byte) bool {
			if key[0] != 0 {
				rows[key] = row
			}
			return true
		})
		return rows, nil
	}
	return nil, fmt.Errorf("there is no table %q", table)
}

// Records returns the records of a topic.
func (w *Weir) Records(topic string) ([]sim.Record, error) { return w.cluster.Records(topic), nil }

// Counters returns a group's counters.
func (w *Weir) Counters(group string) (map[string]int64, error) {
	return w.cluster.Counters(group), nil
}

// Stats tells what the simulator did.
func (w *Weir) Stats() sim.Stats { return w.cluster.Stats() }

// Close has nothing to close.
func (w *Weir) Close() error { return nil }
