package deadletter

import (
	"fmt"

	"weir/topology/event"
)

// advice is what a person does about a reason.
var advice = map[event.Reason]string{
	event.ReasonJSON:         "Mend the producer: a value is one JSON object in UTF-8 with each field once. Send the event again with the same id.",
	event.ReasonMissingField: "Mend the producer, or the mapping that looks for the field elsewhere. With a mended mapping, replay; else send the event again with the same id.",
	event.ReasonUnknownType:  "If weir shall pass over this type, let the mapping ignore it. If the type has another name here, map it and replay.",
	event.ReasonBadTime:      "Mend the producer, or name the time's format in the mapping and replay.",
	event.ReasonFuture:       "The producer's clock is ahead: mend it. Replay once the event's time has come, or with a larger max_future.",
	event.ReasonBadMoney:     "Mend the producer: no more decimals than the currency has, no exponents. Send the event again with the same id.",
	event.ReasonBadCurrency:  "Mend the producer, or the mapping: a currency is an ISO 4217 code. With a mended mapping, replay.",
	event.ReasonBadCountry:   "Mend the producer, or the mapping: a country is an ISO 3166-1 alpha-2 code. With a mended mapping, replay.",
	event.ReasonBadValue:     "Mend the producer, or the mapping: the detail names the field. With a mended mapping, replay.",
	event.ReasonTooLarge:     "Mend the producer: an event this large is not one order's event.",
	event.ReasonKeyMismatch:  "Mend the producer: the record's key is the order_id. Send the event again with the right key.",
	event.ReasonExpired:      "The order's row has gone by orders.retention, so whether the event was counted before cannot be told. Replay by force only if it was not.",
	event.ReasonRefused:      "The order has as many events as one can have; look at its timeline for a producer that repeats itself.",
	event.ReasonPanic:        "A defect of weir: the log has the stack; please report it. Replay after the update that mends it.",
	event.ReasonWebhook:      "The receiver did not take the alert. Mend the receiver; reset its consumer group weir-webhooks-NAME to have it told again.",
}

func whatToDo(r event.Reason) string {
	if text, ok := advice[r]; ok {
		return text
	}
	return "This version of weir does not know the reason; the detail says what was found."
}

// ReplayVerdict says whether a letter may be replayed.
type ReplayVerdict struct {
	Can   bool   `json:"can" doc:"it would be taken as far as can be told"`
	Force bool   `json:"force,omitempty" doc:"it can be replayed by force only"`
	Why   string `json:"why,omitempty" doc:"why not"`
}

// Check tells whether a record would be understood now, by the parser of its topic; its error is why not.
type Check func(key, value []byte) error

// judge decides on one letter, whose record has this key and value.
func judge(l *Letter, sources map[string]Check, key, value []byte) ReplayVerdict {
	check, source := sources[l.Place.Topic]
	switch {
	case l.Reason == event.ReasonWebhook:
		return ReplayVerdict{Why: "it is an alert that a receiver did not take: written back it would be told to all receivers again"}
	case !source:
		return ReplayVerdict{Why: fmt.Sprintf("%s is no source topic: weir wrote the record itself and has gone on since", l.Place.Topic)}
	case l.WasBytes > 0:
		return ReplayVerdict{Why: fmt.Sprintf("only its beginning was kept; the whole record of %d bytes stands at %s, while that topic keeps it", l.WasBytes, l.Place)}
	case l.Reason == event.ReasonExpired:
		return ReplayVerdict{Force: true, Why: "it is older than the retention of orders: if it was counted before, it would be counted twice"}
	case l.Reason == event.ReasonRefused:
		return ReplayVerdict{Force: true, Why: "its order has as many events as one can have, and would refuse it again"}
	}
	if err := check(key, value); err != nil {
		return ReplayVerdict{Force: true, Why: "it would be refused again: " + cut(err.Error(), maxDetail)}
	}
	return ReplayVerdict{Can: true}
}
