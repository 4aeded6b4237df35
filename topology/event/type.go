package event

import (
	"slices"
	"strings"
)

// typeNames is indexed by Type; a gap is no type.
var typeNames = [...]string{
	OrderCreated:   "order.created",
	OrderUpdated:   "order.updated",
	OrderCancelled: "order.cancelled",

	PaymentAttempted:  "payment.attempted",
	PaymentAuthorized: "payment.authorized",
	PaymentCaptured:   "payment.captured",
	PaymentFailed:     "payment.failed",
	PaymentRefunded:   "payment.refunded",
	PaymentDisputed:   "payment.disputed",

	ShipmentCreated:    "shipment.created",
	ShipmentDispatched: "shipment.dispatched",
	ShipmentInTransit:  "shipment.in_transit",
	ShipmentDelivered:  "shipment.delivered",
	ShipmentFailed:     "shipment.failed",
	ShipmentReturned:   "shipment.returned",
}

var typesByName = func() map[string]Type {
	byName := make(map[string]Type, len(typeNames))
	for t, name := range typeNames {
		if name != "" {
			byName[name] = Type(t)
		}
	}
	return byName
}()

// ParseType returns the type of that name, such as "order.created".
func ParseType(name string) (Type, bool) {
	t, ok := typesByName[name]
	return t, ok
}

// Types returns all types in ascending order.
func Types() []Type {
	var all []Type
	for t, name := range typeNames {
		if name != "" {
			all = append(all, Type(t))
		}
	}
	return all
}

// String returns the type's name, and "" for a number that is no type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

// Stream returns the stream that the type belongs to: "orders", "payments" or "shipments", and "" for no type.
func (t Type) Stream() string { return t.stream().String() }

type stream uint8

const (
	noStream stream = iota
	orders
	payments
	shipments
	streams // how many, the zero one included
)

var streamNames = [streams]string{orders: "orders", payments: "payments", shipments: "shipments"}

func (s stream) String() string { return streamNames[s] }

func (t Type) stream() stream {
	switch {
	case t.String() == "":
		return noStream
	case t.IsPayment():
		return payments
	case t.IsShipment():
		return shipments
	default:
		return orders
	}
}

// IsPayment reports whether events of the type are of the stream of payments.
func (t Type) IsPayment() bool { return t >= PaymentAttempted && t < ShipmentCreated }

// IsShipment reports whether events of the type are of the stream of shipments.
func (t Type) IsShipment() bool { return t >= ShipmentCreated }

// typeList names all types for a person who wrote another one.
func typeList() string {
	names := slices.Clone(typeNames[:])
	return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "" }), ", ")
}
