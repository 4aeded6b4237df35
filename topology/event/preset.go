package event

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// commonTypes translates the names that shops commonly give to their events.
var commonTypes = map[string]string{
	"OrderCreated":   "order.created",
	"OrderPlaced":    "order.created",
	"OrderUpdated":   "order.updated",
	"OrderModified":  "order.updated",
	"OrderCancelled": "order.cancelled",
	"OrderCanceled":  "order.cancelled",

	"PaymentAttempted":   "payment.attempted",
	"PaymentInitiated":   "payment.attempted",
	"PaymentRequested":   "payment.attempted",
	"PaymentStarted":     "payment.attempted",
	"PaymentAuthorized":  "payment.authorized",
	"PaymentAuthorised":  "payment.authorized",
	"PaymentCaptured":    "payment.captured",
	"PaymentCompleted":   "payment.captured",
	"PaymentSucceeded":   "payment.captured",
	"PaymentProcessed":   "payment.captured",
	"PaymentReceived":    "payment.captured",
	"OrderPaid":          "payment.captured",
	"PaymentFailed":      "payment.failed",
	"PaymentDeclined":    "payment.failed",
	"PaymentRejected":    "payment.failed",
	"PaymentRefunded":    "payment.refunded",
	"RefundIssued":       "payment.refunded",
	"RefundProcessed":    "payment.refunded",
	"OrderRefunded":      "payment.refunded",
	"PaymentDisputed":    "payment.disputed",
	"ChargebackReceived": "payment.disputed",

	"ShipmentCreated":        "shipment.created",
	"ShipmentDispatched":     "shipment.dispatched",
	"ShipmentShipped":        "shipment.dispatched",
	"OrderShipped":           "shipment.dispatched",
	"OrderDispatched":        "shipment.dispatched",
	"ShipmentInTransit":      "shipment.in_transit",
	"OrderInTransit":         "shipment.in_transit",
	"ShipmentOutForDelivery": "shipment.in_transit",
	"OrderOutForDelivery":    "shipment.in_transit",
	"ShipmentDelivered":      "shipment.delivered",
	"OrderDelivered":         "shipment.delivered",
	"ShipmentFailed":         "shipment.failed",
	"DeliveryFailed":         "shipment.failed",
	"ShipmentReturned":       "shipment.returned",
	"OrderReturned":          "shipment.returned",
}

// presetCurrency is the currency of amounts in shapes that usually name none; WithDefault changes it.
const presetCurrency = "USD"

// flat is the shape of the presets for shops: one flat object, snake_case, the amount in major units. An id that the record
// lacks is made of what tells two events of an order apart, so that a redelivery gets the same one.
func flat() Mapping {
	return Mapping{
		Fields: map[string]string{
			"id":                "event_id | {event_type}:{order_id}:{payment_id}:{timestamp} | {event_type}:{order_id}:{shipment_id}:{timestamp} | {event_type}:{order_id}:{timestamp}",
			"type":              "event_type",
			"time":              "timestamp",
			"order_id":          "order_id",
			"customer_id":       "user_id | customer_id",
			"currency":          "currency",
			"total":             "amount | total | total_amount",
			"amount":            "amount | total | total_amount",
			"channel":           "channel",
			"region":            "region",
			"country":           "country",
			"category":          "category",
			"coupon":            "coupon | coupon_code",
			"cancel_reason":     "cancel_reason | reason",
			"client.ip":         "ip | ip_address",
			"client.device_id":  "device_id",
			"client.session_id": "session_id",
			"client.user_agent": "user_agent",
			"payment_id":        "payment_id",
			"method":            "payment_method | method",
			"decline_code":      "decline_code | failure_reason | reason",
			"card.fingerprint":  "card_fingerprint",
			"shipment_id":       "shipment_id | tracking_number",
			"carrier":           "carrier",
			"promised_at":       "promised_at",
			"expected_at":       "expected_at | estimated_delivery",
		},
		Defaults: map[string]string{"currency": presetCurrency},
		Types:    maps.Clone(commonTypes),
	}
}

// reference is the shape of the reference workload W: its items is a count, its payments' country is the card's.
func reference() Mapping {
	return Mapping{
		Fields: map[string]string{
			"id":               "event_id",
			"type":             "event_type",
			"time":             "timestamp",
			"order_id":         "order_id",
			"customer_id":      "customer_id",
			"currency":         "currency",
			"total":            "amount",
			"amount":           "amount",
			"region":           "region",
			"category":         "category",
			"country":          "country",
			"client.ip":        "ip",
			"client.device_id": "device_id",
			"payment_id":       "payment_id",
			"method":           "method",
			"card.fingerprint": "card_fingerprint",
			"card.country":     "country",
			"shipment_id":      "shipment_id",
			"carrier":          "carrier",
		},
		Types: map[string]string{
			"OrderPlaced":        "order.created",
			"PaymentCaptured":    "payment.captured",
			"ShipmentDispatched": "shipment.dispatched",
		},
	}
}

// presets are the shapes that need no configuration, each by the topics it is read from.
var presets = map[string]func() map[string]Mapping{
	"canonical": func() map[string]Mapping {
		return onTopics(func() Mapping { return Mapping{Inherit: true} }, "orders", "payments", "shipments")
	},
	"order-events": func() map[string]Mapping { return onTopics(flat, "order-events") },
	"dotted": func() map[string]Mapping {
		return onTopics(flat, "orders.events", "payments.events", "shipments.events")
	},
	"w": func() map[string]Mapping { return onTopics(reference, "orders", "payments", "shipments") },
}

// onTopics gives each topic its own copy, so that one can be changed without the others.
func onTopics(mapping func() Mapping, topics ...string) map[string]Mapping {
	byTopic := make(map[string]Mapping, len(topics))
	for _, topic := range topics {
		byTopic[topic] = mapping()
	}
	return byTopic
}

// Preset returns the mappings of a named shape by topic. The caller may change them.
//
//	canonical     orders, payments, shipments
//	order-events  {"event_type":"OrderPlaced","order_id","user_id","amount":99.99,"timestamp":1700000000.123} on order-events
//	dotted        OrderCreated, PaymentCompleted, OrderShipped … on orders.events, payments.events, shipments.events
//	w             the reference workload W on orders, payments, shipments
func Preset(name string) (map[string]Mapping, error) {
	preset, ok := presets[name]
	if !ok {
		return nil, fmt.Errorf("there is no preset %q, the presets are %s", name, strings.Join(PresetNames(), ", "))
	}
	return preset(), nil
}

// PresetNames returns the names of all presets, sorted.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets)) }

// WithDefault returns the mapping with another default: WithDefault("currency", "EUR").
func (m Mapping) WithDefault(field, value string) Mapping {
	return m.Merge(Mapping{Defaults: map[string]string{field: value}})
}

// Merge returns the mapping with what over sets laid on top, key by key. It is how a configuration adjusts a preset: a field
// whose source is set to "" is no longer read.
func (m Mapping) Merge(over Mapping) Mapping {
	for _, section := range []struct {
		under *map[string]string
		over  map[string]string
	}{{&m.Fields, over.Fields}, {&m.Constants, over.Constants}, {&m.Defaults, over.Defaults}, {&m.Types, over.Types}} {
		merged := make(map[string]string, len(*section.under)+len(section.over))
		maps.Copy(merged, *section.under)
		maps.Copy(merged, section.over)
		*section.under = merged
	}
	if over.Money != "" {
		m.Money = over.Money
	}
	m.Inherit = m.Inherit || over.Inherit
	return m
}
