package views

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"weir/topology"
	"weir/topology/engine"
	rows "weir/topology/table"
	"weir/views/query"
)

// Views are the copies that one view server keeps. Entities and Alerts are optional: an installation without the groups for fraud
// has no such tables, and is served without them.
type Views struct {
	Metrics  *Metrics
	Orders   *Orders
	Entities *Entities
	Alerts   *Alerts
}

// Open prepares the views; Run fills and follows them.
func Open(deps Deps) *Views {
	named := func(table string) *view { return newView(deps.Names.In(table), deps) }
	v := &Views{Metrics: &Metrics{named(topology.TableMetrics)}, Orders: &Orders{named(topology.TableOrders)},
		Entities: &Entities{named(topology.TableEntities)}, Alerts: newAlerts(named(topology.TableAlerts))}
	v.Entities.optional, v.Alerts.optional = true, true
	return v
}

// Run keeps all views until ctx ends. Stop serving first: reads in progress are waited for.
func (v *Views) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return v.Metrics.run(ctx) })
	g.Go(func() error { return v.Orders.run(ctx) })
	g.Go(func() error { return v.Entities.run(ctx) })
	g.Go(func() error { return v.Alerts.run(ctx) })
	g.Go(func() error { return v.Alerts.follow(ctx) })
	return g.Wait()
}

// Ready tells whether every partition of every table is recovered, and if not, what is missing. An optional table that does not
// exist is not waited for; one that does is.
func (v *Views) Ready() (bool, string) {
	var missing []string
	for _, t := range []*view{v.Metrics.view, v.Orders.view, v.Entities.view, v.Alerts.view} {
		if ok, why := t.recovered(); !ok && !t.Missing() {
			missing = append(missing, t.table+": "+why)
		}
	}
	if ok, _ := v.Alerts.recovered(); ok && !v.Alerts.indexed.Load() {
		missing = append(missing, v.Alerts.table+": alerts are being indexed")
	}
	return len(missing) == 0, strings.Join(missing, "; ")
}

// Metrics is the copy of weir-metrics-table. It implements query.Metrics.
type Metrics struct{ *view }

var (
	_ query.Metrics   = (*Metrics)(nil)
	_ query.Snapshots = (*Metrics)(nil)
)

// Scan implements query.Metrics.
func (m *Metrics) Scan(start, limit string, fn func(key string, value []byte) error) error {
	return m.scan(start, limit, rowsOnly(fn))
}

func rowsOnly(fn func(key string, value []byte) error) func(key string, value []byte) error {
	return func(key string, value []byte) error {
		if engine.IsReserved(key) {
			return nil
		}
		return fn(key, value)
	}
}

// Snapshot implements query.Snapshots. Between two scans of one query no transaction comes in between.
func (m *Metrics) Snapshot() (query.Metrics, func(), error) {
	progress := m.Progress() // before the rows: an answer is at least as fresh as it says
	s, release, err := m.snapshot()
	if err != nil {
		return nil, nil, err
	}
	return &metricsMoment{s, progress}, release, nil
}

// metricsMoment is the table of metrics at one moment.
type metricsMoment struct {
	rows     *engine.Snapshot
	progress query.Progress
}

func (m *metricsMoment) Progress() query.Progress { return m.progress }
func (m *metricsMoment) Scan(start, limit string, fn func(key string, value []byte) error) error {
	return m.rows.Scan(start, limit, rowsOnly(fn))
}

// Orders is the copy of weir-orders-table.
type Orders struct{ *view }

// Get reads one order and the partition it stands in; nil without an error where there is none.
//
// The events of an order meet in the partition that their producer chose. That is murmur2's, unless the producer partitions otherwise:
// then the row stands elsewhere, and if only some producers do, there are two, of which the one that knows the order is told.
func (o *Orders) Get(id string) (*rows.Order, int32, error) {
	if id == "" || engine.IsReserved(id) {
		return nil, 0, nil
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	data, home, err := o.atHome(id)
	if err != nil {
		return nil, 0, err
	}
	row, err := o.decode(id, data)
	if err != nil || row != nil && row.Created || o.deps.Copies == nil {
		return row, home, err
	}
	at := home
	states, _ := o.Partitions()
	for p := range int32(len(states)) {
		if p == home || !states[p].Recovered {
			continue
		}
		data, err := o.deps.Copies.Row(o.table, p, id)
		if err != nil {
			return nil, 0, fmt.Errorf("reading order %q: %w", id, err)
		}
		other, err := o.decode(id, data)
		if err != nil {
			return nil, 0, err
		}
		if other != nil && (row == nil || other.Created && !row.Created) {
			row, at = other, p
		}
	}
	return row, at, nil
}

func (o *Orders) decode(id string, data []byte) (*rows.Order, error) {
	if data == nil {
		return nil, nil
	}
	var row rows.Order
	if err := row.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("order %q cannot be decoded: %w", id, err)
	}
	return &row, nil
}
