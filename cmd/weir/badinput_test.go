package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/shop"
	"weir/configs"
	"weir/topology"
	"weir/topology/event"
)

// spoiler makes records that are no events, of many kinds, from good ones. The same seed makes the same records.
type spoiler struct {
	rand   *rand.Rand
	good   [][]byte // values
	parser *event.Parser
	made   int
}

// numberHeader tells the records of a test apart, whatever their keys and values are.
const numberHeader = "test-number"

var sourceTopics = []string{topology.Orders, topology.Payments, topology.Shipments}

// kinds are the ways of being bad, each with its share of 1,000.
var kinds = []struct {
	name  string
	share int
	make  func(s *spoiler, key string, value []byte) (badKey, badValue []byte)
}{
	{"mutated", 400, func(s *spoiler, key string, value []byte) ([]byte, []byte) { return []byte(key), s.mutate(value) }},
	{"cut off", 100, func(s *spoiler, key string, value []byte) ([]byte, []byte) {
		return []byte(key), value[:s.rand.IntN(len(value))]
	}},
	{"random bytes", 100, func(s *spoiler, key string, _ []byte) ([]byte, []byte) { return []byte(key), s.noise(s.rand.IntN(300)) }},
	{"a field spoilt", 170, func(s *spoiler, key string, value []byte) ([]byte, []byte) { return []byte(key), s.spoilField(value) }},
	{"wrong key", 60, func(s *spoiler, key string, value []byte) ([]byte, []byte) { return []byte(key + "x"), value }},
	{"empty key", 20, func(_ *spoiler, _ string, value []byte) ([]byte, []byte) { return []byte{}, value }},
	{"no key", 20, func(_ *spoiler, _ string, value []byte) ([]byte, []byte) { return nil, value }},
	{"a reserved key", 20, func(_ *spoiler, _ string, value []byte) ([]byte, []byte) {
		return []byte("\x00marks"), withField(value, "order_id", "\x00marks")
	}},
	{"a key that is no text", 20, func(s *spoiler, _ string, value []byte) ([]byte, []byte) { return s.noise(8), value }},
	{"no value", 20, func(_ *spoiler, key string, _ []byte) ([]byte, []byte) { return []byte(key), nil }},
	{"empty value", 20, func(_ *spoiler, key string, _ []byte) ([]byte, []byte) { return []byte(key), []byte{} }},
	{"no UTF-8", 20, func(s *spoiler, key string, value []byte) ([]byte, []byte) {
		at := bytes.IndexByte(value, ':') + 2 // in the first string
		return []byte(key), slices.Insert(bytes.Clone(value), at, 0xff, 0xc0, 0x80)
	}},
	{"of the future", 20, func(_ *spoiler, key string, value []byte) ([]byte, []byte) {
		return []byte(key), withField(value, "time", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	}},
	{"deep", 9, func(s *spoiler, key string, _ []byte) ([]byte, []byte) {
		return []byte(key), bytes.Repeat([]byte{"[{"[s.rand.IntN(2)]}, 1+s.rand.IntN(20_000))
	}},
	{"huge", 1, func(s *spoiler, key string, value []byte) ([]byte, []byte) {
		return []byte(key), withField(value, "order_id", key+strings.Repeat("x", 100_000+s.rand.IntN(700_000)))
	}},
}

// next makes a record that the parser refuses, or whose key is not its order's.
func (s *spoiler) next() *kgo.Record {
	for {
		value := s.good[s.rand.IntN(len(s.good))]
		var e record
		if err := json.Unmarshal(value, &e); err != nil {
			panic(err)
		}
		pick := s.rand.IntN(1000)
		i := 0
		for pick >= kinds[i].share {
			pick -= kinds[i].share
			i++
		}
		key, bad := kinds[i].make(s, e.OrderID, value)
		if ev, err := s.parser.Parse(bad, event.UnixMilli(time.Now().UnixMilli())); err == nil && ev.CheckKey(string(key)) == nil {
			continue // a mutation that happens to be an event
		}
		s.made++
		return &kgo.Record{
			Topic: sourceTopics[s.rand.IntN(len(sourceTopics))], Key: key, Value: bad,
			Headers: []kgo.RecordHeader{{Key: numberHeader, Value: strconv.AppendInt(nil, int64(s.made), 10)}, {Key: "kind", Value: []byte(kinds[i].name)}, {Key: "raw", Value: s.noise(5)}},
		}
	}
}

func (s *spoiler) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rand.Uint32())
	}
	return b
}

// mutate changes some bytes: flips, inserts, deletes, repeats.
func (s *spoiler) mutate(value []byte) []byte {
	b := bytes.Clone(value)
	for range 1 + s.rand.IntN(6) {
		if len(b) < 2 {
			break
		}
		i, j := s.rand.IntN(len(b)), s.rand.IntN(len(b))
		i, j = min(i, j), max(i, j)
		switch s.rand.IntN(5) {
		case 0:
			b[i] ^= 1 << s.rand.IntN(8)
		case 1:
			b = slices.Insert(b, i, s.noise(1+s.rand.IntN(4))...)
		case 2:
			b = slices.Delete(b, i, min(j, i+20))
		case 3:
			b = slices.Insert(b, i, b[i:min(j, i+50)]...)
		default:
			const own = "{}[]\",:\\0-eE.\x00" // JSON's own characters
			b[i] = own[s.rand.IntN(len(own))]
		}
	}
	return b
}

// spoilField gives one field a value that it cannot have.
func (s *spoiler) spoilField(value []byte) []byte {
	field := []string{"id", "type", "time", "order_id", "currency", "total", "amount"}[s.rand.IntN(7)]
	wrong := []any{nil, "", true, []any{}, map[string]any{"a": 1}, -1, 1e300, "1e999999999", "12.345678901234567890", "-5", "NaN", "EURO", strings.Repeat("9", 400), "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "order.exploded"}
	return withField(value, field, wrong[s.rand.IntN(len(wrong))])
}

func withField(value []byte, field string, to any) []byte {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(value, &m); err != nil {
		panic(err)
	}
	b, err := json.Marshal(to)
	if err != nil {
		panic(err)
	}
	m[field] = b
	if b, err = json.Marshal(m); err != nil {
		panic(err)
	}
	return b
}

func canonicalParser(t *testing.T) *event.Parser {
	t.Helper()
	config, err := configs.Load(configs.Sourced{})
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := config.Inputs()
	if err != nil {
		t.Fatal(err)
	}
	return inputs[0].Parser
}

// goodEvents are those of a shop, none of them twice.
func goodEvents(t *testing.T, orders int64) [][]byte {
	t.Helper()
	s, err := shop.New(shop.Options{Seed: 1, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rate: 2, Orders: orders, LifeScale: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for r, ok := s.Next(); ok; r, ok = s.Next() {
		lines = append(lines, bytes.Clone(r.Value))
	}
	return lines
}

// toItsTopic is the record that a shop's application would produce of an event.
func toItsTopic(t *testing.T, value []byte) *kgo.Record {
	t.Helper()
	var e record
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	stream, _, _ := strings.Cut(e.Type, ".")
	return &kgo.Record{Topic: stream + "s", Key: []byte(e.OrderID), Value: value}
}

// TestBadInputEndsInTheDeadLettersAndGoodInputIsCounted mixes 100,000 records that are no events among those of a shop.
func TestBadInputEndsInTheDeadLettersAndGoodInputIsCounted(t *testing.T) {
	bad, orders := 100_000, int64(2_000)
	if testing.Short() {
		bad, orders = 5_000, 400
	}
	good := goodEvents(t, orders)
	want := sheetOf(t, good, time.Time{})
	// The embedded broker keeps little of a stream that has been read; this test reads the dead letters afterwards.
	up := startUp(t, still+"up: {retention_bytes: 1GiB}\n")
	cl := dial(t, up.kafka, kgo.MaxBufferedRecords(20_000))
	s := &spoiler{rand: rand.New(rand.NewPCG(7, 7)), good: good, parser: canonicalParser(t)}
	sent := make(map[string]*kgo.Record, bad)
	produce := func(r *kgo.Record) {
		cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			if err != nil {
				t.Errorf("producing %d bytes to %s: %v", len(r.Value), r.Topic, err)
			}
		})
	}
	for i := range bad {
		if i*len(good)/bad != (i+1)*len(good)/bad {
			produce(toItsTopic(t, good[i*len(good)/bad]))
		}
		r := s.next()
		sent[string(r.Headers[0].Value)] = r
		produce(r)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	status := up.settled(int64(bad + len(good)))
	if status.Dead != int64(bad) || status.Late != 0 || status.Duplicates != 0 {
		t.Errorf("%d dead letters, %d late, %d duplicates, want %d, none and none (counters %v)", status.Dead, status.Late, status.Duplicates, bad, status.Counters)
	}
	want.agrees(t, up, "")
	reasons := map[string]int{}
	for _, letter := range deadLetters(t, up.kafka, bad) {
		headers := map[string]string{}
		for _, h := range letter.Headers {
			headers[h.Key] = string(h.Value)
		}
		r := sent[headers[numberHeader]]
		if r == nil {
			t.Fatalf("dead letter %q was not sent, or comes twice", headers[numberHeader])
		}
		delete(sent, headers[numberHeader])
		reasons[headers[event.HeaderReason]]++
		sameLetter(t, r, letter, headers)
	}
	if len(sent) != 0 {
		t.Errorf("%d records are in no dead letter", len(sent))
	}
	for reason, n := range reasons {
		if !slices.Contains(event.Reasons(), event.Reason(reason)) || status.Counters["dead_letters:"+reason] != int64(n) {
			t.Errorf("%d dead letters have the reason %q, which /v1/status counts %d times", n, reason, status.Counters["dead_letters:"+reason])
		}
	}
	for _, reason := range []event.Reason{event.ReasonJSON, event.ReasonMissingField, event.ReasonUnknownType, event.ReasonBadTime, event.ReasonFuture,
		event.ReasonBadMoney, event.ReasonBadCurrency, event.ReasonBadValue, event.ReasonTooLarge, event.ReasonKeyMismatch} {
		if reasons[string(reason)] == 0 {
			t.Errorf("no record was refused as %s", reason)
		}
	}
	if reasons[string(event.ReasonPanic)] != 0 {
		t.Error("a record made weir panic")
	}
	t.Logf("%d good events, %d bad records, by reason %v", len(good), bad, reasons)
	up.neverFailed()
	up.stop()
}

// sameLetter wants the record as it came, with why and from where. A key that is null comes back empty.
func sameLetter(t *testing.T, r, letter *kgo.Record, headers map[string]string) {
	t.Helper()
	what := fmt.Sprintf("%s, number %s", headers["kind"], headers[numberHeader])
	if !bytes.Equal(letter.Key, r.Key) || !bytes.Equal(letter.Value, r.Value) || (letter.Value == nil) != (r.Value == nil) {
		t.Errorf("%s: key %.60q and value %.60q (%d bytes) were %.60q and %.60q (%d bytes)", what, letter.Key, letter.Value, len(letter.Value), r.Key, r.Value, len(r.Value))
	}
	for _, h := range r.Headers {
		if headers[h.Key] != string(h.Value) {
			t.Errorf("%s: header %s is %q, was %q", what, h.Key, headers[h.Key], h.Value)
		}
	}
	from := fmt.Sprintf("%s/%d/%d", headers[event.HeaderTopic], mustInt(headers[event.HeaderPartition]), mustInt(headers[event.HeaderOffset]))
	if stands := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset); from != stands {
		t.Errorf("%s: is said to be from %s, was %s", what, from, stands)
	}
	if headers[event.HeaderDetail] == "" {
		t.Errorf("%s: has no detail", what)
	}
}

func mustInt(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// deadLetters reads the n records of the dead-letter topic, committed ones only.
func deadLetters(t *testing.T, kafka string, n int) []*kgo.Record {
	t.Helper()
	cl := dial(t, kafka, kgo.ConsumeTopics(topology.DeadLetters), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var letters []*kgo.Record
	for len(letters) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters, want %d", len(letters), n)
		}
		fetches.EachRecord(func(r *kgo.Record) { letters = append(letters, r) })
	}
	return letters
}

// TestRecordsAtTheLimitOfKafkaStopNothing sends what a broker just takes. Whatever weir makes of it has more bytes than came: a dead
// letter has headers, and an order's row is one record of the changelog however many events went into it.
func TestRecordsAtTheLimitOfKafkaStopNothing(t *testing.T) {
	longForm(t)
	t.Parallel()
	up := startUp(t, still)
	cl := dial(t, up.kafka, kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var sent int64
	produce := func(topic, key string, value []byte, headers ...kgo.RecordHeader) {
		t.Helper()
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: headers}).FirstErr(); err != nil {
			t.Fatalf("producing %d bytes: %v", len(value), err)
		}
		sent++
	}
	const most = 1<<20 - 1000
	produce(topology.Orders, "noise", bytes.Repeat([]byte("x"), most))
	produce(topology.Orders, strings.Repeat("k", most), []byte("{}"))
	produce(topology.Orders, "headers", []byte("{}"), kgo.RecordHeader{Key: "h", Value: bytes.Repeat([]byte("x"), most)})

	long := strings.Repeat("y", 1000)
	items := strings.Repeat(`{"product_id":"`+long+`","category":"`+long+`"},`, 450)
	produce(topology.Orders, "fat", fmt.Appendf(nil, `{"id":"fat","type":"order.created","time":"2026-01-01T00:00:00Z","order_id":"fat","currency":"EUR","total":"1","items":[%s]}`, strings.TrimSuffix(items, ",")))
	produce(topology.Orders, "growing", []byte(`{"id":"growing","type":"order.created","time":"2026-01-01T00:00:00Z","order_id":"growing","currency":"EUR","total":"1"}`))
	for i := range 900 {
		produce(topology.Payments, "growing", fmt.Appendf(nil, `{"id":"g%d","type":"payment.failed","time":"2026-01-01T00:00:00Z","order_id":"growing","currency":"EUR","amount":"1","payment_id":%q,"method":%q,"decline_code":%q}`, i, long, long, long))
	}
	produce(topology.Orders, "small", []byte(`{"id":"small","type":"order.created","time":"2026-01-01T00:00:00Z","order_id":"small","currency":"EUR","total":"19.99"}`))
	produce(topology.Payments, "small", []byte(`{"id":"p","type":"payment.captured","time":"2026-01-01T00:00:01Z","order_id":"small","currency":"EUR","amount":"19.99"}`))

	status := up.settled(sent)
	up.neverFailed()
	var small struct{ Status string }
	up.eventually("the order beside them is not paid", func() string {
		if up.get("/v1/orders/small", &small); small.Status != "paid" {
			return "status " + small.Status
		}
		return ""
	})
	letters := deadLetters(t, up.kafka, int(status.Dead))
	byReason := map[string]int{}
	for _, l := range letters {
		headers := map[string]string{}
		for _, h := range l.Headers {
			headers[h.Key] = string(h.Value)
		}
		byReason[headers[event.HeaderReason]]++
		size := mustInt(headers[event.HeaderSize])
		switch from := headers[event.HeaderTopic] + "/" + headers[event.HeaderOffset]; {
		case headers[event.HeaderReason] == string(event.ReasonRefused):
		case size < most:
			t.Errorf("the dead letter of %s does not tell how large the record was: %q", from, headers[event.HeaderSize])
		}
	}
	if byReason[string(event.ReasonRefused)] < 100 || byReason[string(event.ReasonJSON)]+byReason[string(event.ReasonMissingField)] != 3 {
		t.Errorf("dead letters by reason %v, want three records that were too large to be kept and the payments beyond a row's limit", byReason)
	}
	var growing struct{ Timeline []struct{ Type string } }
	up.must("/v1/orders/growing", &growing)
	const attempts = 1 + 1 + 900 // of the order that comes too large, and of the one that grows
	if n := len(growing.Timeline); n < 64 || n+byReason[string(event.ReasonRefused)] != attempts {
		t.Errorf("the growing order has %d events and %d were turned away, want all %d", n, byReason[string(event.ReasonRefused)], attempts)
	}
	t.Logf("dead letters by reason %v; the growing order has %d events", byReason, len(growing.Timeline))
	up.stop()
}
