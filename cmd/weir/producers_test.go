package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/cmd/weir/internal/shop"
	"weir/topology"
	"weir/topology/broker/kafkatest"
	"weir/topology/event"
	"weir/views/api"
)

// orderEvents are the events of some orders of a shop, by topic; seeds make different orders.
func orderEvents(t *testing.T, seed int64) (lines [][]byte, byTopic map[string][][]byte) {
	t.Helper()
	s, err := shop.New(shop.Options{Seed: seed, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rate: 2, Orders: 200, LifeScale: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	byTopic = map[string][][]byte{}
	for r, ok := s.Next(); ok; r, ok = s.Next() {
		value := bytes.Clone(r.Value)
		lines = append(lines, value)
		topic := r.Type.Stream()
		byTopic[topic] = append(byTopic[topic], value)
	}
	return lines, byTopic
}

// keyed is the input of console producers: a record a line, its key before a tab.
func keyed(t *testing.T, values [][]byte) io.Reader {
	t.Helper()
	var b bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&b, "%s\t%s\n", orderOf(t, v).OrderID, v)
	}
	return &b
}

func orderOf(t *testing.T, value []byte) *record {
	t.Helper()
	e := new(record)
	if err := json.Unmarshal(value, e); err != nil {
		t.Fatal(err)
	}
	return e
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// byKcat produces through librdkafka, which is also what producers in Python, .NET, PHP and Ruby use.
func byKcat(t *testing.T, kafka, topic string, values [][]byte, options ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kcat", append([]string{"-P", "-b", kafka, "-t", topic, "-K", "\t"}, options...)...)
	cmd.Stdin = keyed(t, values)
	mustRun(t, cmd)
}

func needKcat(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		kafkatest.SkipLoudly(t, "kcat is not installed, so nothing is shown about producers on librdkafka; get it: apt-get install kcat")
	}
}

// foundWhereTheyStand asks for each order and wants it, with all its events, in the partition that place tells.
func foundWhereTheyStand(t *testing.T, up *running, lines [][]byte, place func(id string) int32) {
	t.Helper()
	events := map[string]int{}
	for _, line := range lines {
		events[orderOf(t, line).OrderID]++
	}
	for id, n := range events {
		var o api.Order
		if status, body := up.get("/v1/orders/"+url.PathEscape(id), &o); status != http.StatusOK {
			t.Fatalf("order %s: %d %s", id, status, body)
		}
		if o.Partition != place(id) || len(o.Timeline) != n || o.Status == "waiting" {
			t.Fatalf("order %s is %s in partition %d with %d events, want it in %d with %d", id, o.Status, o.Partition, len(o.Timeline), place(id), n)
		}
	}
}

// allShown waits until the view server has every order of the lines.
func allShown(t *testing.T, up *running, lines [][]byte) {
	t.Helper()
	sheetOf(t, lines, time.Time{}).agrees(t, up, "")
	up.eventually("the orders are not all to be seen", func() string {
		for _, line := range lines {
			id := orderOf(t, line).OrderID
			if status, body := up.get("/v1/orders/"+url.PathEscape(id), nil); status != http.StatusOK {
				return body
			}
		}
		return ""
	})
}

func byMurmur2(partitions int) func(id string) int32 {
	return func(id string) int32 { return int32(partitionOf(id, partitions)) }
}

// byCRC32 is where librdkafka puts a key unless it is told otherwise.
func byCRC32(partitions uint32) func(id string) int32 {
	return func(id string) int32 { return int32(crc32.ChecksumIEEE([]byte(id)) % partitions) }
}

const upPartitions = 8

func TestOrdersOfKcatAreFound(t *testing.T) {
	longForm(t)
	t.Parallel()
	needKcat(t)
	up := startUp(t, still)
	lines, byTopic := orderEvents(t, 11)
	for topic, values := range byTopic {
		byKcat(t, up.kafka, topic, values, "-X", "topic.partitioner=murmur2_random")
	}
	status := up.settled(int64(len(lines)))
	if status.Misplaced != 0 || status.Dead != 0 || status.Orphans != 0 {
		t.Errorf("%d misplaced, %d dead letters, %d orphans", status.Misplaced, status.Dead, status.Orphans)
	}
	allShown(t, up, lines)
	foundWhereTheyStand(t, up, lines, byMurmur2(upPartitions))
	up.neverFailed()
	up.stop()
}

func TestOrdersOfJavaAreFound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: Java takes its time")
	}
	up := startUp(t, still)
	lines, byTopic := orderEvents(t, 12)
	for topic, values := range byTopic {
		java := kafkatest.Tool(t, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", up.kafka, "--topic", topic,
			"--property", "parse.key=true", "--property", "key.separator=\t")
		java.Stdin = keyed(t, values)
		mustRun(t, java)
	}
	status := up.settled(int64(len(lines)))
	if status.Misplaced != 0 || status.Dead != 0 || status.Orphans != 0 {
		t.Errorf("%d misplaced, %d dead letters, %d orphans", status.Misplaced, status.Dead, status.Orphans)
	}
	allShown(t, up, lines)
	foundWhereTheyStand(t, up, lines, byMurmur2(upPartitions))
	up.neverFailed()
	up.stop()
}

// TestAnotherPartitionerIsReported produces with librdkafka's default, which is not what Java does. As long as all topics are filled so,
// an order's events meet; weir counts and finds them, and says what is wrong. Where one topic is filled otherwise they cannot meet: the
// payment is an orphan, counted as such and nowhere else.
func TestAnotherPartitionerIsReported(t *testing.T) {
	longForm(t)
	t.Parallel()
	up := startUp(t, still)
	lines, byTopic := orderEvents(t, 13)
	_, err := exec.LookPath("kcat")
	for topic, values := range byTopic {
		if err == nil {
			byKcat(t, up.kafka, topic, values)
		} else {
			t.Log("kcat is not installed: its partitioner is imitated")
			produceTo(t, up.kafka, topic, values, byCRC32(upPartitions))
		}
	}
	status := up.settled(int64(len(lines)))
	var misplaced int64
	for _, line := range lines {
		if id := orderOf(t, line).OrderID; byCRC32(upPartitions)(id) != byMurmur2(upPartitions)(id) {
			misplaced++
		}
	}
	if misplaced == 0 || status.Misplaced != misplaced {
		t.Errorf("%d records are counted as misplaced, %d are", status.Misplaced, misplaced)
	}
	if up.says(`keys stand in partitions where murmur2 would not put them.*(partitioner=murmur2_random)`); status.Dead != 0 || status.Orphans != 0 {
		t.Errorf("%d dead letters, %d orphans", status.Dead, status.Orphans)
	}
	allShown(t, up, lines)
	foundWhereTheyStand(t, up, lines, byCRC32(upPartitions))

	id := strayKey(upPartitions)
	order := fmt.Appendf(nil, `{"id":"a","type":"order.created","time":"2026-01-01T12:00:00Z","order_id":%q,"currency":"EUR","total":"5.00"}`, id)
	payment := fmt.Appendf(nil, `{"id":"b","type":"payment.captured","time":"2026-01-01T12:00:01Z","order_id":%q,"currency":"EUR","amount":"5.00"}`, id)
	produceTo(t, up.kafka, topology.Orders, [][]byte{order}, byMurmur2(upPartitions))
	produceTo(t, up.kafka, topology.Payments, [][]byte{payment}, byCRC32(upPartitions))
	status = up.settled(int64(len(lines)) + 2)
	if status.Orphans != 1 || status.Misplaced != misplaced+1 {
		t.Errorf("%d orphans and %d misplaced, want 1 and %d", status.Orphans, status.Misplaced, misplaced+1)
	}
	var o api.Order
	up.eventually("the order is not to be seen", func() string {
		if status, body := up.get("/v1/orders/"+id, &o); status != http.StatusOK {
			return body
		}
		return ""
	})
	if o.Status != "created" || o.Partition != byMurmur2(upPartitions)(id) || len(o.Timeline) != 1 {
		t.Errorf("the order is %s in partition %d with %d events; want the row that knows it", o.Status, o.Partition, len(o.Timeline))
	}
	sheetOf(t, append(slices.Clone(lines), order), time.Time{}).agrees(t, up, "") // without the payment
	up.neverFailed()
	up.stop()
}

// strayKey is a key that the two partitioners part.
func strayKey(partitions int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("stray-%d", i); byMurmur2(partitions)(id) != byCRC32(uint32(partitions))(id) {
			return id
		}
	}
}

// produceTo puts each value into the partition that place tells.
func produceTo(t *testing.T, kafka, topic string, values [][]byte, place func(id string) int32) {
	t.Helper()
	cl := dial(t, kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, v := range values {
		id := orderOf(t, v).OrderID
		cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: place(id), Key: []byte(id), Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// shape is a preset and records as the shops that have it produce them.
type shape struct {
	preset  string
	records []kgo.Record
}

// TestShapesOfOtherShops runs weir up with a preset and produces what such a shop has on its topics already, keyed by order_id.
func TestShapesOfOtherShops(t *testing.T) {
	longForm(t)
	t.Parallel()
	on := func(topic, key, value string) kgo.Record {
		return kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	}
	for _, s := range []shape{
		{preset: "order-events", records: []kgo.Record{
			on("order-events", "1001", `{"event_type":"OrderPlaced","order_id":"1001","user_id":"u1","amount":99.99,"timestamp":1700000000.123}`),
			on("order-events", "1001", `{"event_type":"PaymentProcessed","order_id":"1001","user_id":"u1","amount":99.99,"timestamp":1700000060.5,"payment_method":"card"}`),
			on("order-events", "1001", `{"event_type":"OrderShipped","order_id":"1001","user_id":"u1","timestamp":1700003600,"carrier":"DHL"}`),
			on("order-events", "1001", `{"event_type":"OrderDelivered","order_id":"1001","user_id":"u1","timestamp":1700090000,"carrier":"DHL"}`),
			on("order-events", "1002", `{"event_type":"OrderPlaced","order_id":"1002","user_id":"u2","amount":0.1,"timestamp":1700000001,"currency":"EUR"}`),
			on("order-events", "1002", `{"event_type":"PaymentFailed","order_id":"1002","user_id":"u2","amount":0.1,"timestamp":1700000002,"currency":"EUR"}`),
			on("order-events", "1002", `{"event_type":"OrderPlaced","order_id":"1002","user_id":"u2","amount":0.1,"timestamp":1700000001,"currency":"EUR"}`), // once more
			on("order-events", "1003", `{"event_type":"CartAbandoned","order_id":"1003","user_id":"u3","timestamp":1700000003}`),
		}},
		{preset: "dotted", records: []kgo.Record{
			on("orders.events", "1001", `{"event_type":"OrderCreated","event_id":"e1","order_id":"1001","user_id":"u1","amount":99.99,"timestamp":"2023-11-14T22:13:20.123Z"}`),
			on("payments.events", "1001", `{"event_type":"PaymentCompleted","event_id":"e2","order_id":"1001","payment_id":"p1","amount":"99.99","timestamp":"2023-11-14T22:14:20Z","method":"card"}`),
			on("shipments.events", "1001", `{"event_type":"OrderShipped","event_id":"e3","order_id":"1001","shipment_id":"s1","carrier":"DHL","timestamp":1700003600000}`),
			on("shipments.events", "1001", `{"event_type":"OrderDelivered","event_id":"e4","order_id":"1001","shipment_id":"s1","carrier":"DHL","timestamp":1700090000000}`),
			on("orders.events", "1002", `{"event_type":"OrderCreated","event_id":"e5","order_id":"1002","user_id":"u2","amount":0.1,"currency":"EUR","timestamp":1700000001}`),
			on("payments.events", "1002", `{"event_type":"PaymentFailed","event_id":"e6","order_id":"1002","payment_id":"p2","amount":0.1,"currency":"EUR","timestamp":1700000002}`),
			on("orders.events", "1002", `{"event_type":"OrderCreated","event_id":"e5","order_id":"1002","user_id":"u2","amount":0.1,"currency":"EUR","timestamp":1700000001}`), // once more
			on("orders.events", "1003", `{"event_type":"CartAbandoned","event_id":"e7","order_id":"1003","user_id":"u3","timestamp":1700000003}`),
		}},
	} {
		t.Run(s.preset, func(t *testing.T) {
			t.Parallel()
			up := startUp(t, still, "--preset", s.preset)
			cl := dial(t, up.kafka)
			for i := range s.records {
				if err := cl.ProduceSync(context.Background(), &s.records[i]).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			status := up.settled(int64(len(s.records)))
			if status.Duplicates != 1 || status.Dead != 1 || status.Counters["dead_letters:"+string(event.ReasonUnknownType)] != 1 || status.Orphans != 0 {
				t.Errorf("%d duplicates, %d dead letters, %d orphans; want one order twice and one event of a kind that is not known (%v)", status.Duplicates, status.Dead, status.Orphans, status.Counters)
			}
			for query, want := range map[string]string{
				"orders":                       "2",
				"gmv currency":                 "EUR=10 USD=9999",
				"revenue method,currency":      "card|USD=9999",
				"payments_failed":              "1",
				"shipments_dispatched carrier": "DHL=1",
				"deliveries carrier,on_time":   "DHL|unknown=1",
			} {
				metric, by, _ := strings.Cut(query, " ")
				up.eventually(query, func() string {
					var got []string
					for key, total := range up.answer(metric, "", strings.FieldsFunc(by, func(r rune) bool { return r == ',' })...) {
						got = append(got, strings.TrimPrefix(key+"="+total.value, "="))
					}
					slices.Sort(got)
					if text := strings.Join(got, " "); text != want {
						return fmt.Sprintf("is %q, want %q", text, want)
					}
					return ""
				})
			}
			var o api.Order
			up.must("/v1/orders/1001", &o)
			if o.Status != "delivered" || o.Facts.CustomerID != "u1" || o.Facts.Total != (api.Money{Amount: "9999", Currency: "USD", Exponent: 2}) || !o.Facts.CreatedAt.Equal(time.UnixMilli(1700000000123)) {
				t.Errorf("order 1001 is %s, %+v", o.Status, o.Facts)
			}
			topics, err := kadm.NewClient(cl).ListTopics(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if topics.Has(topology.Orders) {
				t.Error("the canonical topics were made too, though the preset has its own")
			}
			up.neverFailed()
			up.stop()
		})
	}
}
