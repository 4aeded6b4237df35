package event

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// Reason says in one word why a record is malformed. The set is closed, so that it can be a metric's label.
type Reason string

// The reasons.
const (
	ReasonJSON         Reason = "json"          // not one JSON object, not UTF-8, or a field given twice
	ReasonMissingField Reason = "missing_field" // a required field is absent, null or empty
	ReasonUnknownType  Reason = "unknown_type"
	ReasonBadTime      Reason = "bad_time"
	ReasonFuture       Reason = "future" // further ahead of the wall clock than Limits.MaxFuture
	ReasonBadMoney     Reason = "bad_money"
	ReasonBadCurrency  Reason = "bad_currency"
	ReasonBadCountry   Reason = "bad_country"
	ReasonBadValue     Reason = "bad_value" // another field holds what it cannot hold
	ReasonTooLarge     Reason = "too_large"
	ReasonKeyMismatch  Reason = "key_mismatch" // the record's key is not its order_id

	// Records that are well-formed and cannot be applied.
	ReasonExpired Reason = "expired" // older than the retention of orders: whether it was counted before cannot be told
	ReasonRefused Reason = "refused" // its order has as many events as an order can have
	ReasonPanic   Reason = "panic"   // processing it failed in a way that is a defect of weir

	ReasonWebhook Reason = "webhook" // an alert that a receiver did not take: no record of a source topic, so not among Reasons
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{ReasonJSON, ReasonMissingField, ReasonUnknownType, ReasonBadTime, ReasonFuture, ReasonBadMoney,
		ReasonBadCurrency, ReasonBadCountry, ReasonBadValue, ReasonTooLarge, ReasonKeyMismatch, ReasonExpired, ReasonRefused, ReasonPanic}
}

// Malformed is the error of a record that cannot become an event. It goes to the dead letters, never stops a processor.
type Malformed struct {
	Reason Reason
	Field  string // canonical name, such as "items.price"; "" when the record as a whole is at fault
	Detail string // what was found and what was wanted; values are quoted and cut
}

func (m *Malformed) Error() string {
	if m.Field == "" {
		return string(m.Reason) + ": " + m.Detail
	}
	return string(m.Reason) + ": " + m.Field + ": " + m.Detail
}

// ErrIgnored is the error of a record whose type the mapping says to ignore. It is no dead letter.
var ErrIgnored = errors.New("the mapping ignores records of this type")

// The headers of a record on the dead-letter topic. Its key and value are the original bytes.
const (
	HeaderReason    = "weir-reason"
	HeaderDetail    = "weir-detail"
	HeaderTopic     = "weir-topic"
	HeaderPartition = "weir-partition"
	HeaderOffset    = "weir-offset"
	// HeaderSize is on a dead letter that was cut because it did not fit: how many bytes the record's key, value and headers had. The
	// whole record is where the other headers say.
	HeaderSize = "weir-size"
	// HeaderReceiver is on a dead letter of ReasonWebhook: who did not take it.
	HeaderReceiver = "weir-receiver"
)

// DeadLetterHeaders describes a refused record by its reason and by where it stands. An error that is not Malformed has
// the reason "json", since nothing of the record was understood.
func DeadLetterHeaders(reason error, topic string, partition int32, offset int64) map[string][]byte {
	code, detail := ReasonJSON, ""
	if m, ok := errors.AsType[*Malformed](reason); ok {
		code = m.Reason
	}
	if reason != nil {
		detail = reason.Error()
	}
	return map[string][]byte{
		HeaderReason:    []byte(code),
		HeaderDetail:    []byte(detail),
		HeaderTopic:     []byte(topic),
		HeaderPartition: strconv.AppendInt(nil, int64(partition), 10),
		HeaderOffset:    strconv.AppendInt(nil, offset, 10),
	}
}

// CheckKey refuses an event whose record key is not its order_id: it would be folded into another order's row.
func (e *Event) CheckKey(key string) error {
	if key == e.OrderID {
		return nil
	}
	return &Malformed{ReasonKeyMismatch, "order_id", "is " + quote(e.OrderID) + " but the record's key is " + quote(key) +
		": produce with the order_id as key, or send the stream through intake"}
}

// quotedBytes is how much of a refused value an error shows.
const quotedBytes = 64

// quote shows a value in an error: quoted, cut, safe to print.
func quote[B ~string | ~[]byte](value B) string {
	if len(value) <= quotedBytes {
		return strconv.Quote(string(value))
	}
	cut := quotedBytes
	for cut > quotedBytes-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return strconv.Quote(string(value[:cut])) + "… (" + strconv.Itoa(len(value)) + " bytes)"
}
