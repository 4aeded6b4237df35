package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"weir/cmd/weir/internal/shop"
	"weir/configs"
)

// taken is a record that was produced.
type taken struct{ topic, key, value string }

// taker keeps what is produced.
type taker struct {
	records []taken
	fail    error
}

func (k *taker) produce(topic string, key, value []byte) error {
	k.records = append(k.records, taken{topic, string(key), string(value)})
	return k.fail
}

// silence shows no progress.
type silence struct{}

func (silence) add(int)      {}
func (silence) events(int64) {}
func (silence) finish()      {}

func settings(t testing.TB, flags map[string]string) *configs.Loaded {
	t.Helper()
	l, err := configs.Load(configs.Sourced{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func replayerOf(t testing.TB, to producer, flags map[string]string) *replaying {
	t.Helper()
	c := settings(t, flags)
	inputs, err := c.Inputs()
	if err != nil {
		t.Fatal(err)
	}
	return newReplaying(inputs, c.StreamTopics(), to, paceOf(c.Replay.Speed))
}

// written is a file with that content.
func written(t testing.TB, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// shopEvents are the NDJSON lines of so many orders.
func shopEvents(t testing.TB, orders int64) []byte {
	t.Helper()
	s, err := shop.New(shop.Options{Seed: 1, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rate: 50, Orders: orders})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for {
		r, ok := s.Next()
		if !ok {
			return b.Bytes()
		}
		b.Write(r.Value)
		b.WriteByte('\n')
	}
}

const order1 = `{"id":"e1","type":"order.created","time":"2026-01-01T00:00:00Z","order_id":"o1","currency":"EUR","total":"9.99"}`
const payment1 = `{"id":"e2","type":"payment.captured","time":"2026-01-01T00:00:01Z","order_id":"o1","currency":"EUR","amount":"9.99"}`
const shipment1 = `{"id":"e3","type":"shipment.dispatched","time":"2026-01-01T00:00:02Z","order_id":"o1"}`

func TestReplayTellsStreamsByTypeAndKeepsTheOrder(t *testing.T) {
	var k taker
	r := replayerOf(t, &k, map[string]string{"topics.orders": "shop.orders"})
	name := written(t, []byte(order1+"\r\n\n"+payment1+"\n  "+shipment1)) // no line end after the last one
	if err := r.files(t.Context(), nil, []string{name}, silence{}); err != nil {
		t.Fatal(err)
	}
	want := []taken{{"shop.orders", "o1", order1}, {"payments", "o1", payment1}, {"shipments", "o1", shipment1}}
	if !reflect.DeepEqual(k.records, want) {
		t.Errorf("got %v", k.records)
	}
	if r.all() != 3 || r.refused != 0 {
		t.Errorf("sent %d, refused %d", r.all(), r.refused)
	}
}

func TestReplayRefusesWhatIsNoEventByLineNumber(t *testing.T) {
	var k taker
	r := replayerOf(t, &k, nil)
	lines := []string{order1, "nonsense", payment1, `{"id":"x","type":"order.exploded","time":1,"order_id":"o"}`, ``,
		strings.Replace(order1, "9.99", "9.999", 1), strings.Replace(order1, "2026", "2096", 1)}
	for range 12 {
		lines = append(lines, "{")
	}
	lines = append(lines, shipment1)
	if err := r.files(t.Context(), strings.NewReader(strings.Join(lines, "\n")), []string{"-"}, silence{}); err != nil {
		t.Fatal(err)
	}
	if r.all() != 3 || r.refused != 16 || len(r.shown) != maxShown {
		t.Fatalf("sent %d, refused %d, shown %d", r.all(), r.refused, len(r.shown))
	}
	for i, begins := range []string{"-:2: json", "-:4: unknown_type", "-:6: bad_money", "-:7: future", "-:8: json"} {
		if !strings.HasPrefix(r.shown[i], begins) {
			t.Errorf("%q, want %q…", r.shown[i], begins)
		}
	}
	var told strings.Builder
	if err := r.tell(&told); err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"sent 3 events", "orders               1", "refused 16 lines", "… and 6 more"} {
		if !strings.Contains(told.String(), says) {
			t.Errorf("%q is not told in\n%s", says, told.String())
		}
	}
}

func TestReplayReadsZstdAsPlain(t *testing.T) {
	plain := shopEvents(t, 3000)
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var a, b taker
	for to, content := range map[*taker][]byte{&a: plain, &b: packed.Bytes()} {
		r := replayerOf(t, to, nil)
		if err := r.files(t.Context(), nil, []string{written(t, content)}, silence{}); err != nil || r.refused > 0 {
			t.Fatal(err, r.shown)
		}
	}
	if len(a.records) != bytes.Count(plain, []byte("\n")) || !reflect.DeepEqual(a.records, b.records) {
		t.Errorf("%d and %d records of %d lines", len(a.records), len(b.records), bytes.Count(plain, []byte("\n")))
	}

	var c taker
	r := replayerOf(t, &c, nil)
	err = r.files(t.Context(), nil, []string{written(t, packed.Bytes()[:packed.Len()/2])}, silence{})
	if err == nil || len(c.records) == len(a.records) {
		t.Errorf("half of a compressed file: %d records, error %v", len(c.records), err)
	}
}

func TestReplayReadsOtherShapes(t *testing.T) {
	var k taker
	r := replayerOf(t, &k, map[string]string{"preset": "order-events"})
	line := `{"event_type":"OrderPlaced","order_id":"o7","user_id":"u1","amount":99.99,"timestamp":1700000000.123}`
	if err := r.files(t.Context(), strings.NewReader(line+"\n"+order1), []string{"-"}, silence{}); err != nil {
		t.Fatal(err)
	}
	if want := []taken{{"order-events", "o7", line}}; !reflect.DeepEqual(k.records, want) || r.refused != 1 {
		t.Errorf("got %v, refused %v", k.records, r.shown)
	}
}

func TestReplayEndsWithTheProducer(t *testing.T) {
	k := taker{fail: errors.New("gone")}
	r := replayerOf(t, &k, nil)
	err := r.files(t.Context(), nil, []string{written(t, shopEvents(t, 2000))}, silence{})
	if !errors.Is(err, k.fail) || len(k.records) != 1 {
		t.Errorf("error %v after %d records", err, len(k.records))
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := stopper{cancel: cancel}
	r := replayerOf(t, &k, map[string]string{"replay.speed": "0.001"}) // the second event is due in hours
	if err := r.files(ctx, strings.NewReader(order1+"\n"+payment1), []string{"-"}, silence{}); err != nil || k.n != 1 {
		t.Errorf("error %v after %d records", err, k.n)
	}
}

type stopper struct {
	cancel func()
	n      int
}

func (s *stopper) produce(string, []byte, []byte) error {
	s.n++
	s.cancel()
	return nil
}

// A cutter must find the lines that a naive split finds, however reads are divided.
func TestLinesAreCutAsASplitCutsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var text []byte
		for range r.IntN(60) {
			text = append(text, bytes.Repeat([]byte{'a' + byte(r.IntN(26))}, r.IntN(50))...)
			text = append(text, '\n')
		}
		text = append(text, bytes.Repeat([]byte{'z'}, r.IntN(5))...)
		want := strings.Split(string(text), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		c, rest, got := cutter{number: 1}, text, []string(nil)
		for ended := false; !ended; {
			n := min(len(rest), r.IntN(80))
			data := append(bytes.Clone(c.carry), rest[:n]...)
			rest, ended = rest[n:], len(rest) == n
			for _, b := range c.cut(data, ended) {
				if b.line != int64(len(got))+1 {
					t.Fatalf("a block says that it begins with line %d, it is %d", b.line, len(got)+1)
				}
				for line := range b.lines() {
					got = append(got, string(line))
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}

func TestAnEndlessLineIsRefusedAndTheRestIsSent(t *testing.T) {
	var k taker
	r := replayerOf(t, &k, nil)
	in := io.MultiReader(strings.NewReader(order1+"\n"), io.LimitReader(endless{}, 7*blockBytes), strings.NewReader("\n"+payment1+"\nbad\n"))
	if err := r.files(t.Context(), in, []string{"-"}, silence{}); err != nil {
		t.Fatal(err)
	}
	if len(k.records) != 2 || r.refused != 2 || !strings.HasPrefix(r.shown[0], "-:2: too_large") || !strings.HasPrefix(r.shown[1], "-:4: json") {
		t.Errorf("%d records, refused %v", len(k.records), r.shown)
	}
}

// endless is a line that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func BenchmarkReplay(b *testing.B) {
	name := written(b, shopEvents(b, 20_000))
	b.ReportAllocs()
	var events int64
	for b.Loop() {
		r := replayerOf(b, discard{}, nil)
		if err := r.files(context.Background(), nil, []string{name}, silence{}); err != nil || r.refused > 0 {
			b.Fatal(err, r.shown)
		}
		events += r.all()
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

type discard struct{}

func (discard) produce(string, []byte, []byte) error { return nil }
