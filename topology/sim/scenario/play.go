package scenario

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir/topology"
	"weir/topology/client"
	"weir/topology/event"
	"weir/topology/sim"
	"weir/topology/sim/lines"
)

// Run plays the scenario file at path on a new Runner and compares what each command prints with the file. Only the schedule
// without duplicates of its own writes the file anew when `-rewrite` is given.
func Run(t *testing.T, path string, s Schedule, start func(testing.TB, Setup) Runner) {
	t.Helper()
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" && s.Name != plainName {
		t.Skip("only the plain schedule writes scenarios anew")
	}
	p := newPlayer(Setup{Config: map[string]string{}, Schedule: s}, start)
	defer func() {
		if p.runner == nil {
			return
		}
		if err := p.runner.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		got, err := p.command(t, d)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		if s.Duplicate > 0 && withoutRepeats(got) == withoutRepeats(d.Expected) {
			return d.Expected
		}
		return got
	})
}

// player plays one file.
type player struct {
	setup     Setup
	start     func(testing.TB, Setup) Runner
	runner    Runner
	writer    lines.Writer
	rng       *rand.Rand
	ticks     int
	decisions int
	reached   event.UnixMilli
}

func newPlayer(setup Setup, start func(testing.TB, Setup) Runner) *player {
	return &player{
		setup: setup,
		start: start,
		rng:   rand.New(rand.NewPCG(setup.Schedule.Seed, 0x7363656e)),
	}
}

// begin starts the Runner at the first command that needs one.
func (p *player) begin(t testing.TB) Runner {
	if p.runner == nil {
		p.runner = p.start(t, p.setup)
	}
	return p.runner
}

func (p *player) command(t testing.TB, d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "config", "metrics", "rules":
		return "", p.configure(d)
	case "events":
		return "", p.events(t, d)
	case "raw":
		return "", p.raw(t, d)
	case "advance":
		return "", p.advance(t, d)
	case "decide":
		return p.decide(t, d)
	}
	r := p.begin(t)
	switch d.Cmd {
	case "order":
		return printOrder(r, argument(d))
	case "metric":
		return printMetric(r, d)
	case "rows":
		return printKeys(r, argument(d))
	case "findings":
		return printFindings(r)
	case "entities":
		return printEntities(r)
	case "alerts":
		return printAlerts(r)
	case "told":
		return printTold(r)
	case "alert":
		return printCase(r, argument(d))
	case "dead-letters":
		return printDeadLetters(r)
	case "counters":
		return printCounters(r)
	}
	return "", fmt.Errorf("there is no command %q, see the package comment of topology/sim/scenario", d.Cmd)
}

func argument(d *datadriven.TestData) string {
	if len(d.CmdArgs) == 0 {
		return ""
	}
	return d.CmdArgs[0].Key
}

func (p *player) configure(d *datadriven.TestData) error {
	if p.runner != nil {
		return fmt.Errorf("%s must come before the first event", d.Cmd)
	}
	switch d.Cmd {
	case "metrics":
		p.setup.MetricsYAML = d.Input
		return nil
	case "rules":
		p.setup.RulesYAML = d.Input
		return nil
	}
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		if arg.Key != "partitions" {
			p.setup.Config[arg.Key] = value
			continue
		}
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("partitions=%s is no count", value)
		}
		p.setup.Partitions = int32(n)
		p.setup.Schedule.Partitions = int32(n)
	}
	return nil
}

func (p *player) events(t testing.TB, d *datadriven.TestData) error {
	var records []sim.Record
	for line := range lines.Of(d.Input) {
		r, err := p.writer.Record(line)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		records = append(records, r)
	}
	return p.feed(t, p.repeat(records))
}

// repeat delivers some records again, later in their block.
func (p *player) repeat(records []sim.Record) []sim.Record {
	for i := 0; i < len(records); i++ {
		if p.rng.Float64() >= p.setup.Schedule.Duplicate {
			continue
		}
		at := i + 1 + p.rng.IntN(len(records)-i)
		records = append(records, sim.Record{})
		copy(records[at+1:], records[at:])
		records[at] = records[i]
	}
	return records
}

func (p *player) raw(t testing.TB, d *datadriven.TestData) error {
	key := ""
	d.MaybeScanArgs(t, "key", &key)
	topic := argument(d)
	if topic != topology.Orders && topic != topology.Payments && topic != topology.Shipments {
		return fmt.Errorf("raw %q: name the topic: %s, %s or %s", topic, topology.Orders, topology.Payments, topology.Shipments)
	}
	var records []sim.Record
	for line := range lines.Of(d.Input) {
		records = append(records, sim.Record{Topic: topic, Key: key, Value: []byte(line), Timestamp: event.UnixMilli(lines.Day.UnixMilli())})
	}
	return p.feed(t, records)
}

func (p *player) feed(t testing.TB, records []sim.Record) error {
	r := p.begin(t)
	if err := r.Feed(records); err != nil {
		return err
	}
	return r.Settle(p.reached)
}

// tickPrefix begins the order ids of the events that advance sends. They have no order, so they wait and count nowhere.
const tickPrefix = "tick-"

var tickTypes = []event.Type{event.OrderUpdated, event.PaymentAttempted, event.ShipmentInTransit}

// advance gives every stream of every partition an event at the time, which moves all watermarks there.
func (p *player) advance(t testing.TB, d *datadriven.TestData) error {
	at, err := lines.ParseTime(argument(d))
	if err != nil {
		return err
	}
	r := p.begin(t)
	var records []sim.Record
	for missing := range r.Partitions() {
		key := ""
		for client.Partition([]byte(key), r.Partitions()) != missing || key == "" {
			p.ticks++
			key = tickPrefix + strconv.Itoa(p.ticks)
		}
		for _, kind := range tickTypes {
			value := fmt.Sprintf(`{"id":"%s-%d","type":%q,"time":%q,"order_id":%q}`, key, kind, kind, at.Format(time.RFC3339), key)
			records = append(records, sim.Record{Topic: kind.Stream(), Key: key, Value: []byte(value), Timestamp: event.UnixMilli(at.UnixMilli())})
		}
	}
	p.reached = max(p.reached, event.UnixMilli(at.UnixMilli()))
	return p.feed(t, records)
}

// withoutRepeats leaves out what injected duplicates may change: how many there were.
func withoutRepeats(print string) string {
	var kept []string
	for line := range strings.SplitSeq(print, "\n") {
		if !strings.HasPrefix(line, wordDuplicates) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
