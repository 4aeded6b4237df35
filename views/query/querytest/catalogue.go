package querytest

import (
	"sync"
	"time"

	"weir/topology/metric"
	"weir/views/query"
)

// Window is one resolution of the catalogue's metrics.
type Window struct {
	Name   string
	Length time.Duration
}

// Windows are those of the default metrics.
var Windows = []Window{{"1m", time.Minute}, {"1h", time.Hour}, {"1d", 24 * time.Hour}}

const declarations = `
defaults:
  windows: [{every: 1m, keep: 48h}, {every: 1h, keep: 90d}, {every: 1d, keep: 3y}]
  grace: 24h
  max_series: 100000
metrics:
  - {name: orders, on: order.created, value: count, labels: [region, country, channel, currency]}
  - {name: gmv, on: order.created, value: sum(total), labels: [region, country, channel, currency]}
  - {name: customers, on: order.created, value: distinct(customer_id), labels: [region, country]}
  - {name: items_sold, on: order.created, each: item, value: sum(quantity), labels: [category, currency]}
  - {name: item_revenue, on: order.created, each: item, value: sum(price*quantity), labels: [category, currency]}
  - {name: top_products, on: order.created, each: item, value: top(product_id by quantity), labels: [category]}
  - {name: payments_captured, on: payment.captured, value: count, labels: [method, region, country]}
  - {name: payments_failed, on: payment.failed, value: count, labels: [method, region, country, decline_code]}
  - {name: revenue, on: payment.captured, value: sum(amount), labels: [method, region, country, currency]}
  - {name: refunds, on: payment.refunded, value: sum(amount), labels: [method, region, currency]}
  - {name: shipments_dispatched, on: shipment.dispatched, value: count, labels: [carrier, region, country]}
  - {name: deliveries, on: shipment.delivered, value: count, labels: [carrier, region, country, on_time]}
  - {name: time_to_pay, on: payment.captured, value: quantiles(seconds since created), labels: [region, country]}
  - {name: time_to_ship, on: shipment.dispatched, value: quantiles(seconds since created), labels: [carrier, region, country]}
  - {name: time_to_deliver, on: shipment.delivered, value: quantiles(seconds since created), labels: [carrier, region, country]}
  - {name: funnel, on: funnel, value: count, labels: [stage, region, country]}
  - name: attempts
    on: payment.attempted
    value: count
    labels: [method]
    windows: [{every: "5m:1m", keep: 1h}, {every: "sliding-5m:10s", keep: 10m}]
  - {name: aov, unit: money, ratio: {over: [{metric: gmv}], under: [{metric: orders}]}}
  - {name: payment_success_rate, ratio: {over: [{metric: payments_captured}], under: [{metric: payments_captured}, {metric: payments_failed}]}}
  - {name: on_time_rate, ratio: {over: [{metric: deliveries, where: on_time == true}], under: [{metric: deliveries, where: on_time == true}, {metric: deliveries, where: on_time == false}]}}
  - {name: refund_rate, ratio: {over: [{metric: refunds}], under: [{metric: revenue}]}}
`

// Catalogue has metrics of every kind that can be asked for, under the names and labels of the default metrics.
var Catalogue = sync.OnceValue(func() *query.Catalogue {
	set, err := metric.Load("querytest", []byte(declarations))
	if err != nil {
		panic(err)
	}
	return query.NewCatalogue(set)
})
