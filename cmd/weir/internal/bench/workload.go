package bench

import (
	"context"
	"fmt"
	"math/rand"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// W is the reference workload: orders every 20 ms of event time, each followed by its payment 100 orders and its shipment 1,000
// orders later. The draws come from one seeded source in a fixed order, so that every implementation is given the same events.
type workload struct {
	rand  *rand.Rand
	start time.Time
	ring  []order               // those whose shipment is still to come
	first int                   // number of the order at ring[0]
	paced func(o *order, i int) // changes an order's customer; nil: W as it is
}

type order struct {
	id       string
	customer int
	amount   float64
	at       time.Time
}

const (
	wPaymentAfter  = 100  // orders
	wShipmentAfter = 1000 // orders
	wSpacing       = 20 * time.Millisecond
)

var (
	wRegions    = []string{"eu-west", "eu-north", "us-east", "us-west", "apac", "latam"}
	wCategories = []string{"books", "toys", "garden", "electronics", "fashion", "grocery", "sports", "beauty"}
)

func newWorkload() *workload {
	return &workload{rand: rand.New(rand.NewSource(7)), start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// record is an event of stream 0 (orders), 1 (payments) or 2 (shipments).
type record struct {
	stream     int
	key, value string
}

// orderEvent makes order i. The draws of one order stay together: customer, amount, then the fields of its text.
func (w *workload) orderEvent(i int, id string, at time.Time) record {
	o := order{id: id, customer: int(w.rand.ExpFloat64() * 20000), amount: float64(w.rand.Intn(50000))/100 + 1, at: at}
	if w.paced != nil {
		w.paced(&o, i)
	}
	w.ring = append(w.ring, o)
	r := w.rand
	return record{0, o.id, fmt.Sprintf(`{"event_id":"o-%d","event_type":"OrderPlaced","order_id":"%s","customer_id":"cust-%06d","amount":%.2f,"currency":"EUR","region":"%s","category":"%s","items":%d,"ip":"10.%d.%d.%d","device_id":"dev-%06d","timestamp":%d}`,
		i, o.id, o.customer, o.amount, wRegions[r.Intn(6)], wCategories[r.Intn(8)], 1+r.Intn(5), r.Intn(256), r.Intn(256), r.Intn(256), r.Intn(200000), at.UnixMilli())}
}

func (w *workload) paymentEvent(j int, at time.Time) record {
	o := w.ring[j-w.first]
	return record{1, o.id, fmt.Sprintf(`{"event_id":"p-%d","event_type":"PaymentCaptured","payment_id":"pay-%09d","order_id":"%s","customer_id":"cust-%06d","amount":%.2f,"currency":"EUR","method":"card","card_fingerprint":"card-%06d","country":"DE","status":"captured","timestamp":%d}`,
		j, j, o.id, o.customer, o.amount, o.customer, at.UnixMilli())}
}

func (w *workload) shipmentEvent(j int, at time.Time) record {
	o := w.ring[j-w.first]
	w.ring = w.ring[j-w.first+1:]
	w.first = j + 1
	return record{2, o.id, fmt.Sprintf(`{"event_id":"s-%d","event_type":"ShipmentDispatched","shipment_id":"shp-%09d","order_id":"%s","carrier":"dhl","country":"DE","status":"dispatched","timestamp":%d}`,
		j, j, o.id, at.UnixMilli())}
}

// all gives every event of n orders in the order in which they are produced.
func (w *workload) all(n int, send func(record)) {
	for i := range n + wShipmentAfter {
		if i < n {
			send(w.orderEvent(i, fmt.Sprintf("ord-%09d", i), w.start.Add(time.Duration(i)*wSpacing)))
		}
		if j := i - wPaymentAfter; j >= 0 && j < n {
			send(w.paymentEvent(j, w.ring[j-w.first].at.Add(2*time.Second)))
		}
		if j := i - wShipmentAfter; j >= 0 && j < n {
			send(w.shipmentEvent(j, w.ring[j-w.first].at.Add(20*time.Second)))
		}
	}
}

// topics are the three source topics of a run.
type topics [3]string

func topicsOf(prefix string) topics {
	return topics{prefix + "orders", prefix + "payments", prefix + "shipments"}
}

func (t topics) create(ctx context.Context, adm *kadm.Client, partitions int32) error {
	responses, err := adm.CreateTopics(ctx, partitions, 1, nil, t[:]...)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("creating the topics of the workload: %w", err)
	}
	return nil
}

// fill makes the topics and produces n orders with all that follows them.
func fill(ctx context.Context, cl *kgo.Client, t topics, o Options, progress func(sent int)) (sent int, err error) {
	if err := t.create(ctx, kadm.NewClient(cl), o.Partitions); err != nil {
		return 0, err
	}
	var failed atomic.Pointer[error]
	send := func(r record) {
		cl.Produce(ctx, &kgo.Record{Topic: t[r.stream], Key: []byte(r.key), Value: []byte(r.value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
		if sent++; sent%50_000 == 0 && progress != nil {
			progress(sent)
		}
	}
	if o.Metrics == Shop {
		if err := shopEvents(o.Orders, send); err != nil {
			return sent, err
		}
	} else {
		newWorkload().all(o.Orders, send)
	}
	if err := cl.Flush(ctx); err != nil {
		return sent, err
	}
	if err := failed.Load(); err != nil {
		return sent, fmt.Errorf("producing the workload: %w", *err)
	}
	return sent, nil
}
