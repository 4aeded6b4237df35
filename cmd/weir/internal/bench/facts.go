package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/engine"
	"weir/topology/metric"
	"weir/topology/table"
)

// The facts that every implementation of W reaches with 500,000 orders: the hash is of the sorted lines
// DIMENSION,VALUE,WINDOW_START_MS,ORDERS,GROSS,PAYMENTS,PAID,SHIPMENTS.
const (
	wOrders  = 500_000
	wAggRows = 2505
	wAggHash = "0a5ecdacbe45b08c"

	// and of the lines KIND,ORDER_ID of the alerts
	wAlertCount = 780
	wAlertSum   = 10
	wAlertHash  = "0a4bc4622e047513"
)

// readFacts counts the rows that the run has made, and for W compares its aggregates with the known ones.
func (t *Throughput) readFacts(ctx context.Context, o Options, prefix string) error {
	names := topology.Names{Prefix: prefix}
	orders, err := readTable(ctx, o.Kafka, names.In(topology.TableOrders))
	if err != nil {
		return err
	}
	cells, err := readTable(ctx, o.Kafka, names.In(topology.TableMetrics))
	if err != nil {
		return err
	}
	t.OrderRows, t.CellRows = len(orders), len(cells)
	if t.OrderRows != o.Orders && o.Metrics != Shop {
		return fmt.Errorf("the run is wrong: %d order rows for %d orders", t.OrderRows, o.Orders)
	}
	if o.Metrics != "w" {
		if o.Fraud {
			t.Facts, err = countAlerts(ctx, o, names)
		}
		return err
	}
	lines, err := aggregates(cells)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	hash := hex.EncodeToString(sum[:8])
	t.Facts = fmt.Sprintf("FACTS agg_rows=%d agg_sha=%s", len(lines), hash)
	if o.Orders == wOrders && (len(lines) != wAggRows || hash != wAggHash) {
		return fmt.Errorf("the run is wrong: %s, want agg_rows=%d agg_sha=%s", t.Facts, wAggRows, wAggHash)
	}
	if !o.Fraud {
		return nil
	}
	return t.readAlerts(ctx, o, names)
}

// countAlerts tells how many alerts each rule raised.
func countAlerts(ctx context.Context, o Options, names topology.Names) (string, error) {
	cases, err := readTable(ctx, o.Kafka, names.In(topology.TableAlerts))
	if err != nil {
		return "", err
	}
	count, hits := map[string]int{}, map[string]int64{}
	for key, row := range cases {
		var c table.Case
		if err := c.UnmarshalVT(row); err != nil {
			return "", fmt.Errorf("case %q: %w", key, err)
		}
		for _, a := range c.Alerts {
			count[a.Rule]++
			hits[a.Rule] += a.Hits
		}
	}
	text := fmt.Sprintf("FACTS cases=%d", len(cases))
	for _, rule := range slices.Sorted(maps.Keys(count)) {
		text += fmt.Sprintf(" %s=%d(%d hits)", rule, count[rule], hits[rule])
	}
	return text, nil
}

// readAlerts compares the alerts with the known ones.
func (t *Throughput) readAlerts(ctx context.Context, o Options, names topology.Names) error {
	cases, err := readTable(ctx, o.Kafka, names.In(topology.TableAlerts))
	if err != nil {
		return err
	}
	kinds := map[string]string{"velocity_count": "VELOCITY_COUNT", "velocity_sum": "VELOCITY_SUM", "payment_mismatch": "PAYMENT_MISMATCH"}
	count := map[string]int{}
	var lines []string
	for key, row := range cases {
		var c table.Case
		if err := c.UnmarshalVT(row); err != nil {
			return fmt.Errorf("case %q: %w", key, err)
		}
		for _, a := range c.Alerts {
			if a.Hits > 0 {
				count[a.Rule]++
				lines = append(lines, kinds[a.Rule]+","+strings.TrimPrefix(a.Entity, "order:")+"\n")
			}
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	hash := hex.EncodeToString(sum[:8])
	facts := fmt.Sprintf("alerts velocity_count=%d velocity_sum=%d payment_mismatch=%d alerts_sha=%s", count["velocity_count"], count["velocity_sum"], count["payment_mismatch"], hash)
	t.Facts += " " + facts
	if o.Orders == wOrders && (count["velocity_count"] != wAlertCount || count["velocity_sum"] != wAlertSum || hash != wAlertHash) {
		return fmt.Errorf("the run is wrong: %s, want velocity_count=%d velocity_sum=%d alerts_sha=%s", facts, wAlertCount, wAlertSum, wAlertHash)
	}
	return nil
}

// aggregates puts W's rows, which weir keeps one measure each, into the lines of the reference.
func aggregates(cells map[string][]byte) ([]string, error) {
	type line struct{ orders, gross, payments, paid, shipments int64 }
	lines := map[string]*line{}
	for text, row := range cells {
		key, err := metric.ParseKey(text)
		if err != nil {
			return nil, err
		}
		var c table.Cell
		if err := c.UnmarshalVT(row); err != nil {
			return nil, fmt.Errorf("row %q: %w", text, err)
		}
		measure, dimension, _ := strings.Cut(key.Metric, "_by_")
		value := "all"
		if dimension == "" {
			dimension = "global"
		} else {
			value = key.Labels[0]
		}
		at := fmt.Sprintf("%s,%s,%d", dimension, value, int64(key.Start))
		l := lines[at]
		if l == nil {
			l = &line{}
			lines[at] = l
		}
		switch measure {
		case "gross":
			l.orders, l.gross = l.orders+c.Count, l.gross+c.Sum
		case "paid":
			l.payments, l.paid = l.payments+c.Count, l.paid+c.Sum
		case "shipped":
			l.shipments += c.Count
		default:
			return nil, fmt.Errorf("row %q is of no measure of W", text)
		}
	}
	out := make([]string, 0, len(lines))
	for at, l := range lines {
		out = append(out, fmt.Sprintf("%s,%d,%d,%d,%d,%d\n", at, l.orders, l.gross, l.payments, l.paid, l.shipments))
	}
	slices.Sort(out)
	return out, nil
}

// readTable reads a table's committed rows without the engine's own.
func readTable(ctx context.Context, kafka []kgo.Opt, topic string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(append(kafka[:len(kafka):len(kafka)], kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			left[e.Partition] = e.Offset
		}
	})
	rows := map[string][]byte{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("table %s did not end: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			key := string(r.Key)
			switch {
			case r.Attrs.IsControl() || engine.IsReserved(key):
			case r.Value == nil:
				delete(rows, key)
			default:
				rows[key] = r.Value
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return rows, nil
}
