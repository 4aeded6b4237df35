package backtest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/sim/lines"
	"weir/topology/table"
)

// TestResult is what became of a test that stands beside a rule.
type TestResult struct {
	Rule    string   `json:"rule"`
	Name    string   `json:"name"`
	OK      bool     `json:"ok"`
	Mistake string   `json:"mistake,omitempty"` // in the test itself
	Missing []string `json:"missing,omitempty"` // alerts that are expected and did not come
	Extra   []string `json:"extra,omitempty"`   // alerts that came and are not expected
	// Reached is event time after the last line: deadlines beyond it have not passed.
	Reached time.Time `json:"reached"`
}

// RunTests runs the tests of a document's rules. Each one sees the whole document's features and lists, and only its own rule, as if
// it were live. Lines of events arrive in their order; a line `advance TIME` lets event time pass without an event.
func RunTests(d *rule.Document) ([]TestResult, error) {
	if _, err := rule.Compile(d); err != nil {
		return nil, err
	}
	var results []TestResult
	for i := range d.Rules {
		def := d.Rules[i]
		if len(def.Tests) == 0 {
			continue
		}
		def.State = rule.Live
		alone := *d
		alone.Rules = []rule.Definition{def}
		for n := range def.Tests {
			set, err := rule.Compile(&alone)
			if err != nil {
				return nil, err
			}
			results = append(results, runTest(set, def.ID, n+1, &def.Tests[n]))
		}
	}
	return results, nil
}

func runTest(set *rule.Set, id string, number int, test *rule.TestCase) TestResult {
	result := TestResult{Rule: id, Name: test.Name}
	if result.Name == "" {
		result.Name = "test " + strconv.Itoa(number)
	}
	want, err := expected(test.Alerts)
	if err == nil {
		var got []string
		if got, result.Reached, err = played(set, test.Events); err == nil {
			result.Missing, result.Extra = difference(want, got)
		}
	}
	if err != nil {
		result.Mistake = err.Error()
	}
	result.OK = err == nil && len(result.Missing) == 0 && len(result.Extra) == 0
	return result
}

// expectation is a line of a test: ENTITY, or ENTITY hits N.
var expectation = regexp.MustCompile(`^([a-z][a-z0-9_]*:\S+)(?: hits ([0-9]+))?$`)

func expected(text string) (want []string, err error) {
	for line := range lines.Of(text) {
		if line = strings.Join(strings.Fields(line), " "); line == none {
			continue
		}
		if !expectation.MatchString(line) {
			return nil, fmt.Errorf("alerts: %q: write ENTITY, ENTITY hits N, or none, such as customer:c1 hits 3", line)
		}
		want = append(want, line)
	}
	if len(want) == 0 && strings.TrimSpace(text) != none {
		return nil, errors.New("alerts: write which alerts are expected, a line each, or none")
	}
	return want, nil
}

const none = "none"

// difference matches each expected line with an alert. One without hits matches any number of them.
func difference(want, got []string) (missing, extra []string) {
	extra = slices.Clone(got)
	take := func(line string, same func(string) bool) bool {
		i := slices.IndexFunc(extra, same)
		if i >= 0 {
			extra = slices.Delete(extra, i, i+1)
		}
		return i >= 0
	}
	var loose []string
	for _, line := range want {
		if !strings.Contains(line, " hits ") {
			loose = append(loose, line)
		} else if !take(line, func(g string) bool { return g == line }) {
			missing = append(missing, line)
		}
	}
	for _, line := range loose {
		if !take(line, func(g string) bool { return strings.HasPrefix(g, line+" hits ") }) {
			missing = append(missing, line)
		}
	}
	return missing, extra
}

// played are the alerts that stand after the events, a line each, and event time then.
func played(set *rule.Set, events string) (got []string, reached time.Time, err error) {
	o := Options{Set: set, Events: func(func(sim.Record, error) bool) {}, MemoryBytes: 1 << 40}
	if err := o.fill(); err != nil {
		return nil, reached, err
	}
	j, err := newJourney(&o, set, o.MemoryBytes)
	if err != nil {
		return nil, reached, err
	}
	defer j.close()
	w, ticks := new(lines.Writer), 0
	for line := range lines.Of(events) {
		records, err := recordsOf(w, line, &ticks)
		if err != nil {
			return nil, reached, fmt.Errorf("events: %s: %w", line, err)
		}
		for _, r := range records {
			j.cluster.Replay(r)
		}
		if err := j.settle(); err != nil {
			return nil, reached, err
		}
	}
	if n := j.counts(topology.GroupOrders)[orders.CounterDeadLetters]; n > 0 {
		return nil, reached, fmt.Errorf("events: %d of them are refused: they come later than an order is kept", n)
	}
	j.cluster.Each(topology.GroupAlerts, func(key string, row []byte) bool {
		var stored table.Case
		if key[0] == 0 {
			return true
		}
		if err = stored.UnmarshalVT(row); err != nil {
			return false
		}
		for _, a := range stored.Alerts {
			if a.Status != alert.Withdrawn {
				got = append(got, fmt.Sprintf("%s hits %d", a.Entity, a.Hits))
			}
		}
		return true
	})
	slices.Sort(got)
	return got, j.cluster.Watermark(topology.GroupAlerts).Time(), err
}

var tickTypes = []event.Type{event.OrderUpdated, event.PaymentAttempted, event.ShipmentInTransit}

// recordsOf is what a line sends. advance sends each stream an event of an order that never comes.
func recordsOf(w *lines.Writer, line string, ticks *int) ([]sim.Record, error) {
	text, advance := strings.CutPrefix(line, "advance ")
	if !advance {
		r, err := w.Record(line)
		if err == nil {
			_, err = event.Canonical().Parse(r.Value, 0)
		}
		return []sim.Record{r}, err
	}
	at, err := lines.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	var records []sim.Record
	for _, kind := range tickTypes {
		*ticks++
		key := "tick-" + strconv.Itoa(*ticks)
		value := fmt.Sprintf(`{"id":%q,"type":%q,"time":%q,"order_id":%q}`, key, kind, at.Format(time.RFC3339Nano), key)
		records = append(records, sim.Record{Topic: kind.Stream(), Key: key, Value: []byte(value), Timestamp: event.UnixMilli(at.UnixMilli())})
	}
	return records, nil
}
