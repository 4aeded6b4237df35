package backtest

import (
	"errors"
	"time"

	"weir/processors/alerts"
	"weir/processors/entities"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/metric"
	"weir/topology/sim"
)

// journey is the groups that events pass, with one set of rules.
type journey struct {
	set     *rule.Set
	cluster *sim.Cluster
	stores  []*rows
	took    time.Duration
}

// forEver is longer than any history: the table of alerts is read at the end.
const forEver = 100 * 365 * 24 * time.Hour

func newJourney(o *Options, set *rule.Set, memory int64) (*journey, error) {
	none, err := metric.Compile(nil)
	if err != nil {
		return nil, err
	}
	j := &journey{set: set}
	current := rule.NewCurrent(set)
	groups := []sim.Group{
		orders.Simulate(o.Orders, none, current, o.Parsers),
		entities.Simulate(current),
		alerts.Simulate(current, 1, forEver, topology.GroupOrders, topology.GroupEntities),
	}
	cfg := sim.Config{Stream: true, Start: time.UnixMilli(1), Disorder: o.Disorder, Idle: o.Idle}
	cfg.Rows = func(string, int32) sim.Rows {
		s := newRows(o.TempDir, memory/int64(len(groups)))
		j.stores = append(j.stores, s)
		return s
	}
	j.cluster, err = sim.New(cfg, groups...)
	return j, err
}

// settle processes what was put in.
func (j *journey) settle() error {
	began := time.Now()
	err := j.cluster.Settle()
	j.took += time.Since(began)
	return errors.Join(err, j.err())
}

// err is what went wrong with rows on disk.
func (j *journey) err() error {
	for _, s := range j.stores {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

func (j *journey) close() {
	for _, s := range j.stores {
		s.close()
	}
}

// counts are a group's counters.
func (j *journey) counts(group string) map[string]int64 { return j.cluster.Counters(group) }
