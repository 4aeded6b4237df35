package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/configs"
	"weir/processors/metrics"
	"weir/processors/orders"
	"weir/topology/broker/kafkatest"
	"weir/topology/table"
	"weir/views/api"
)

const (
	olistFile  = "olist-blackfriday-2017.ndjson.zst"
	datacoFile = "dataco.ndjson.zst"
)

// record is what the plain loop reads of a line.
type record struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	OrderID  string    `json:"order_id"`
	Currency string    `json:"currency"`
	Total    string    `json:"total"`
	Amount   string    `json:"amount"`
	Region   string    `json:"region"`
	Country  string    `json:"country"`
	Channel  string    `json:"channel"`
	Method   string    `json:"method"`
	Carrier  string    `json:"carrier"`
	Promised time.Time `json:"promised_at"`
	Expected time.Time `json:"expected_at"`
}

// questions are what is asked of the API, each with the sets of labels by which it is asked: none, one by one, and all at once.
var questions = map[string][][]string{
	"orders":               {nil, {"region"}, {"country"}, {"channel"}, {"currency"}, {"region", "country", "channel", "currency"}},
	"gmv":                  {{"currency"}, {"region", "currency"}, {"channel", "currency"}, {"region", "country", "channel", "currency"}},
	"revenue":              {{"currency"}, {"method", "currency"}, {"region", "currency"}, {"method", "region", "country", "currency"}},
	"shipments_dispatched": {nil, {"carrier"}, {"region"}, {"carrier", "region", "country"}},
	"deliveries":           {nil, {"on_time"}, {"region"}, {"carrier", "region", "country", "on_time"}},
	"funnel":               {{"stage"}, {"stage", "region", "country"}},
}

// sheet is the totals that were computed straight from the lines: metric → by → label values → money as a fraction, and a count.
type sheet struct {
	figures    map[string]map[string]*figure
	duplicates int64 // ids that came before
	orphans    int64 // events of orders that are not in the file
	read       int64
}

type figure struct {
	money *big.Rat
	count int64
}

// sheetOf is the oracle: encoding/json, big.Rat and a loop. It takes a payment's or a shipment's place and time of counting from the
// documentation: labels are the order's, method and carrier are the event's own, the window is that of the event's time. Events before
// from are left out of the figures.
func sheetOf(t *testing.T, lines [][]byte, from time.Time) *sheet {
	t.Helper()
	s := &sheet{figures: map[string]map[string]*figure{}}
	events := make([]record, len(lines))
	created := map[string]*record{}
	for i, line := range lines {
		e := &events[i]
		if err := json.Unmarshal(line, e); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if e.Type == "order.created" && created[e.OrderID] == nil {
			created[e.OrderID] = e
		}
	}
	lives := map[string]*life{}
	seen := map[string]bool{}
	for i := range events {
		e := &events[i]
		s.read++
		if seen[e.OrderID+" "+e.ID] {
			s.duplicates++
			continue
		}
		seen[e.OrderID+" "+e.ID] = true
		o := created[e.OrderID]
		if o == nil {
			s.orphans++
			continue
		}
		if e.Type == "order.created" && o != e {
			t.Fatalf("order %s is created twice: the loop does not know what that means", o.OrderID)
		}
		if lives[o.OrderID] == nil {
			lives[o.OrderID] = &life{order: o}
		}
		lives[o.OrderID].add(t, e)
		if e.Time.Before(from) {
			continue
		}
		labels := map[string]string{"region": o.Region, "country": o.Country, "channel": o.Channel, "currency": e.Currency, "method": e.Method, "carrier": e.Carrier}
		switch e.Type {
		case "order.created":
			s.add(t, "orders", labels, "")
			s.add(t, "gmv", labels, e.Total)
		case "payment.captured":
			s.add(t, "revenue", labels, e.Amount)
		case "shipment.dispatched":
			s.add(t, "shipments_dispatched", labels, "")
		case "shipment.delivered":
			labels["on_time"] = onTime(e, o)
			s.add(t, "deliveries", labels, "")
		}
	}
	for _, l := range lives {
		if !l.order.Time.Before(from) {
			s.addLife(t, l)
		}
	}
	return s
}

// life is what the funnel asks of an order.
type life struct {
	order                 *record
	priced                *record // the latest event that tells a total
	captured              *big.Rat
	dispatched, delivered bool
}

func (l *life) add(t *testing.T, e *record) {
	t.Helper()
	switch {
	case strings.HasPrefix(e.Type, "order.") && e.Total != "":
		if l.priced == nil || !e.Time.Before(l.priced.Time) {
			l.priced = e
		}
	case e.Type == "payment.captured" && e.Currency == l.order.Currency:
		if l.captured == nil {
			l.captured = new(big.Rat)
		}
		l.captured.Add(l.captured, amountOf(t, e.Amount))
	}
	l.dispatched = l.dispatched || e.Type == "shipment.dispatched"
	l.delivered = l.delivered || e.Type == "shipment.delivered"
}

// addLife counts the order once for each stage of the funnel that it has reached, in the window of its creation. It is paid when what
// was captured reaches its total.
func (s *sheet) addLife(t *testing.T, l *life) {
	t.Helper()
	captured := l.captured
	if captured == nil {
		captured = new(big.Rat)
	}
	paid := l.priced != nil && captured.Cmp(amountOf(t, l.priced.Total)) >= 0
	for stage, is := range map[string]bool{"created": true, "paid": paid, "dispatched": l.dispatched, "delivered": l.delivered} {
		if is {
			s.add(t, "funnel", map[string]string{"stage": stage, "region": l.order.Region, "country": l.order.Country}, "")
		}
	}
}

func amountOf(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no amount", text)
	}
	return r
}

func onTime(delivered, order *record) string {
	by := order.Promised
	if by.IsZero() {
		by = delivered.Expected
	}
	switch {
	case by.IsZero():
		return "unknown"
	case delivered.Time.After(by):
		return "false"
	}
	return "true"
}

func (s *sheet) add(t *testing.T, metric string, labels map[string]string, amount string) {
	t.Helper()
	money := new(big.Rat)
	if amount != "" {
		money = amountOf(t, amount)
	}
	for _, by := range questions[metric] {
		values := make([]string, len(by))
		for i, l := range by {
			if values[i] = labels[l]; values[i] == "" {
				values[i] = "(none)"
			}
		}
		id := metric + " by " + strings.Join(by, ",")
		if s.figures[id] == nil {
			s.figures[id] = map[string]*figure{}
		}
		key := strings.Join(values, "|")
		f := s.figures[id][key]
		if f == nil {
			f = &figure{money: new(big.Rat)}
			s.figures[id][key] = f
		}
		f.money.Add(f.money, money)
		f.count++
	}
}

// differences asks the API for every figure of the sheet and tells what it says otherwise.
func (s *sheet) differences(t *testing.T, r *running, rangeOf string) (diffs []string) {
	t.Helper()
	for _, metric := range slices.Sorted(maps.Keys(questions)) {
		for _, by := range questions[metric] {
			id := metric + " by " + strings.Join(by, ",")
			got := r.answer(metric, rangeOf, by...)
			for key, f := range s.figures[id] {
				want := total{fmt.Sprint(f.count), f.count}
				if metric == "gmv" || metric == "revenue" {
					minor := new(big.Rat).Mul(f.money, big.NewRat(minorUnits(by, key), 1))
					if !minor.IsInt() {
						t.Fatalf("%s %s: %v is no whole number of minor units", id, key, f.money)
					}
					want.value = minor.Num().String()
				}
				if got[key] != want {
					diffs = append(diffs, fmt.Sprintf("%s %q: the API says %v, the file %v", id, key, got[key], want))
				}
			}
			for key := range got {
				if s.figures[id][key] == nil {
					diffs = append(diffs, fmt.Sprintf("%s: the API has %q, the file has not", id, key))
				}
			}
		}
	}
	return diffs
}

// minorUnits is how many minor units one unit of the figure's currency has.
func minorUnits(by []string, key string) int64 {
	switch strings.Split(key, "|")[slices.Index(by, "currency")] {
	case "JPY":
		return 1
	case "KWD":
		return 1000
	}
	return 100
}

// agrees waits until the view server shows what the tables hold, and wants its totals to be those of the sheet.
func (s *sheet) agrees(t *testing.T, r *running, rangeOf string) {
	t.Helper()
	if len(s.figures["orders by "]) == 0 || len(s.figures["revenue by currency"]) == 0 {
		t.Fatal("the file holds nothing to compare")
	}
	n := 0
	for _, f := range s.figures {
		n += len(f)
	}
	r.eventually("the API's totals are not those of the file", func() string {
		diffs := s.differences(t, r, rangeOf)
		if len(diffs) == 0 {
			return ""
		}
		return fmt.Sprintf("%d of %d figures differ:\n%s", len(diffs), n, strings.Join(diffs[:min(len(diffs), 20)], "\n"))
	})
	t.Logf("%d figures are equal; of them %s", n, s.summary())
}

func (s *sheet) summary() string {
	var parts []string
	for _, id := range []string{"orders by ", "gmv by currency", "revenue by currency", "shipments_dispatched by ", "deliveries by ", "funnel by stage"} {
		for _, key := range slices.Sorted(maps.Keys(s.figures[id])) {
			f := s.figures[id][key]
			text := strings.TrimSpace(fmt.Sprintf("%s %s %d", id, key, f.count))
			if f.money.Sign() != 0 {
				text = fmt.Sprintf("%s %s %s (%d)", id, key, f.money.FloatString(2), f.count)
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}

// clean wants that nothing of a run was lost, late or refused.
func clean(t *testing.T, s api.Status, want *sheet) {
	t.Helper()
	if s.Dead != 0 || s.Late != 0 || s.Misplaced != 0 {
		t.Errorf("%d dead letters, %d late, %d misplaced; want none of them (counters %v)", s.Dead, s.Late, s.Misplaced, s.Counters)
	}
	if n := s.Orphans + s.Counters[orders.CounterOrphaned]; n != want.orphans {
		t.Errorf("%d orphans, the file has %d", n, want.orphans)
	}
	if s.Duplicates != want.duplicates {
		t.Errorf("%d duplicates, the file has %d", s.Duplicates, want.duplicates)
	}
	if s.Counters[metrics.CounterRedirected] != 0 || s.Counters[metrics.CounterUnknown] != 0 {
		t.Errorf("metric rows were turned away: counters %v", s.Counters)
	}
}

// still is a configuration in which event time stands still when the input does. By default an idle shop's event time goes on by the
// wall clock after half a minute, and closes the last sessions: right, but not the same rows at two moments.
const still = "watermark: {idle: 1h}\n"

// keptFor is the shipped metrics with days kept for longer than three years, as the setting metrics.file.
func keptFor(t *testing.T, days string) string {
	t.Helper()
	data, err := configs.EmbeddedMetrics(configs.MetricsDefault)
	if err != nil {
		t.Fatal(err)
	}
	longer := bytes.ReplaceAll(data, []byte("{every: 1d, keep: 3y}"), []byte("{every: 1d, keep: "+days+"}"))
	if bytes.Equal(longer, data) {
		t.Fatal("the shipped metrics keep their days otherwise than this test thinks")
	}
	file := filepath.Join(t.TempDir(), "metrics.yaml")
	if err := os.WriteFile(file, longer, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("metrics: {file: %q}\n", file)
}

// TestRealEventsAreCountedToTheMinorUnit replays real shops' events into weir up, compares what the API tells with the plain loop over
// the file, then replays the same file again and wants every row to stay as it is.
//
// DataCo's three years and five weeks are longer than the shipped metrics keep days, and its orders live for longer than orders.retention:
// both are set longer here, so that nothing of the file has expired at its end. TestRealEventsOnKafka runs with what is shipped.
func TestRealEventsAreCountedToTheMinorUnit(t *testing.T) {
	longForm(t)
	for _, c := range []struct{ name, file, config string }{
		{"Olist", olistFile, still},
		{"DataCo", datacoFile, still + keptFor(t, "10y") + "orders: {retention: 3650d}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := sharedFile(t, c.file)
			lines := linesOf(t, file)
			want := sheetOf(t, lines, time.Time{})
			up := startUp(t, c.config)
			began := time.Now()
			n := replayed(t, c.config, up.kafka, file)
			if n != int64(len(lines)) {
				t.Fatalf("replay sent %d events, the file has %d", n, len(lines))
			}
			clean(t, up.settled(n), want)
			t.Logf("%d events are processed after %v", n, time.Since(began).Round(time.Millisecond))
			want.agrees(t, up, "")

			once := up.tables()
			replayed(t, c.config, up.kafka, file)
			again := up.settled(2 * n)
			if got := again.Duplicates; got != n+2*want.duplicates {
				t.Errorf("%d duplicates, want every event of the second replay and %d of the file", got, want.duplicates)
			}
			if again.Dead != 0 || again.Late != 0 {
				t.Errorf("the second replay left %d dead letters and %d late", again.Dead, again.Late)
			}
			onlyDuplicatesGrew(t, once, up.tables(), want)
			want.agrees(t, up, "")
			up.neverFailed()
			up.stop()
		})
	}
}

// onlyDuplicatesGrew wants equal tables but for the count of duplicates in each order's row, which is one more for each of its events.
func onlyDuplicatesGrew(t *testing.T, before, after tables, s *sheet) {
	t.Helper()
	var grown int64
	for key, row := range after.orders {
		var o, was table.Order
		if err := o.UnmarshalVT(row); err != nil {
			t.Fatal(err)
		}
		if err := was.UnmarshalVT(before.orders[key]); err != nil {
			t.Fatal(err)
		}
		grown += o.Duplicates - was.Duplicates
		if o.Duplicates-was.Duplicates != int64(len(o.Entries))+was.Duplicates {
			t.Errorf("order %s: %d duplicates after %d, for %d events", key, o.Duplicates, was.Duplicates, len(o.Entries))
		}
		o.Duplicates = was.Duplicates
		same, err := o.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		after.orders[key] = same
	}
	if grown != s.read {
		t.Errorf("the rows tell of %d more duplicates, want %d", grown, s.read)
	}
	for _, moved := range []string{orders.CounterEvents, orders.CounterDuplicates} { // what settled has compared already
		delete(before.counters, moved)
		delete(after.counters, moved)
	}
	if diffs := compareTables(t, before, after); len(diffs) > 0 {
		t.Errorf("%d differences, of them:\n%s", len(diffs), strings.Join(diffs[:min(len(diffs), 20)], "\n"))
	}
	if len(after.orders) == 0 || len(after.cells) == 0 {
		t.Error("there are no rows")
	}
	t.Logf("%d order rows and %d metric rows are as they were", len(after.orders), len(after.cells))
}

// TestEventsOfExpiredOrdersAreRefused replays the same eight months twice, with orders kept for the shipped 180 days. The rows of the
// first months are gone by then, and with them the ids that tell a duplicate. Such an event might have been counted, so it is not
// counted again: it goes to the dead letters with the reason "expired", and no metric changes.
func TestEventsOfExpiredOrdersAreRefused(t *testing.T) {
	longForm(t)
	lines := linesOf(t, sharedFile(t, datacoFile))[:60_000]
	sample := filepath.Join(t.TempDir(), "eight-months.ndjson")
	if err := os.WriteFile(sample, append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	up := startUp(t, still)
	n := replayed(t, still, up.kafka, sample)
	first := up.settled(n)
	clean(t, first, sheetOf(t, lines, time.Time{}))
	before := up.tables()
	replayed(t, still, up.kafka, sample)
	second := up.settled(2 * n)
	after := up.tables()

	expired, duplicates := second.Counters[orders.CounterExpired], second.Duplicates-first.Duplicates
	if expired == 0 || duplicates == 0 || expired+duplicates != n {
		t.Errorf("of %d events again, %d are duplicates and %d are expired; want some of each, and no others", n, duplicates, expired)
	}
	if second.Dead != expired {
		t.Errorf("%d dead letters, %d expired events", second.Dead, expired)
	}
	if second.Late != 0 {
		t.Errorf("%d late", second.Late)
	}
	before.orders, after.orders = nil, nil // their duplicates have grown
	before.counters, after.counters = nil, nil
	if diffs := compareTables(t, before, after); len(diffs) > 0 || len(before.cells) == 0 {
		t.Errorf("%d of %d metric rows differ, of them:\n%s", len(diffs), len(before.cells), strings.Join(diffs[:min(len(diffs), 20)], "\n"))
	}
	t.Logf("%d duplicates, %d expired; %d metric rows are as they were", duplicates, expired, len(after.cells))
	up.neverFailed()
	up.stop()
}

// TestRealEventsOnKafka is the installation of a shop: weir process and weir serve against Apache Kafka, with everything as it is shipped.
// The shipped metrics keep days for three years back from the watermark, so the first five weeks of DataCo's three years and five weeks
// are gone at its end: what is compared begins where everything is still there.
func TestRealEventsOnKafka(t *testing.T) {
	longForm(t)
	for _, c := range []struct {
		name, file, rangeOf string
		from                time.Time
	}{
		{"Olist", olistFile, "", time.Time{}},
		{"DataCo", datacoFile, "&from=2015-03-01", time.Date(2015, 3, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := sharedFile(t, c.file)
			if c.file == datacoFile && os.Getenv(kafkatest.Env) == "" && os.Getenv("CI") != "true" {
				t.Skipf("SKIPPED: DataCo on Apache Kafka takes a minute; %s=host:port or CI=true runs it", kafkatest.Env)
			}
			addr, prefix := onKafka(t)
			lines := linesOf(t, file)
			want := sheetOf(t, lines, c.from)
			config := installation(addr, prefix)
			process := start(t, "process", config, "process", "--instance", prefix+"one", "--data", filepath.Join(t.TempDir(), "data"))
			process.says("generation started.* group=(" + prefix + "weir-metrics) ")
			process.says("generation started.* group=(" + prefix + "weir-orders) ")
			serve := startServe(t, config)
			serve.ready()
			began := time.Now()
			n := replayed(t, config, addr, file)
			clean(t, serve.settled(n), want)
			t.Logf("%d events are processed after %v", n, time.Since(began).Round(time.Millisecond))
			want.agrees(t, serve, c.rangeOf)

			replayed(t, config, addr, file)
			again := serve.settled(2 * n)
			if got := again.Duplicates + again.Counters[orders.CounterExpired]; got != n+2*want.duplicates {
				t.Errorf("%d events of the second replay were recognised or refused, want all %d", got, n)
			}
			want.agrees(t, serve, c.rangeOf)
			process.neverFailed()
			serve.neverFailed()
			serve.stop()
			process.stop()
		})
	}
}
