package orders

import (
	"weir/topology/table"
)

// A row and a dead letter are one Kafka record each, and must fit wherever the records that made them did. Brokers take 1,048,588 bytes
// unless told otherwise, the client sends 1,000,012.
const (
	maxRowBytes    = 640 << 10
	maxLetterBytes = 900 << 10
	// cutBytes is what stays of the value and of the key of a dead letter that is larger.
	cutBytes = 64 << 10
)

// What a row can hold without being measured, which costs as much as encoding it: an entry has at most a dozen texts of 1 KiB, an item
// three. With maxRaisedBytes both they and maxRowBytes stay below what the client sends.
const (
	unmeasuredEntries = 32
	unmeasuredItems   = 16
)

// overflows reports whether the row would become too large for one record.
func overflows(row *table.Order, in *Input) bool {
	ev := in.Event
	if len(row.Entries) < unmeasuredEntries && len(row.Items)+len(ev.Items) <= unmeasuredItems {
		return false
	}
	const entry, item = 128, 32 // what numbers and tags take beside the texts
	card, client := &ev.Card, &ev.Client
	grows := entry + len(in.Record.Topic) + len(ev.ID) + len(ev.Method) + len(ev.PaymentID) + len(ev.DeclineCode) + len(ev.Carrier) + len(ev.ShipmentID) +
		len(ev.CancelReason) + len(card.Fingerprint) + len(card.BIN) + len(card.Last4) + len(card.Funding) +
		len(client.IP) + len(client.DeviceID) + len(client.SessionID) + len(client.UserAgent)
	for i := range ev.Items {
		grows += item + len(ev.Items[i].ProductID) + len(ev.Items[i].Category) + len(ev.Items[i].SellerID)
	}
	return row.SizeVT()+grows > maxRowBytes
}

// letter is a record on its way to the dead letters.
type letter struct {
	key     string
	value   []byte
	headers map[string][]byte
}

// size is how many bytes the letter's record has at most.
func (l *letter) size() int {
	const header = 8 // the lengths of its name and value
	n := len(l.key) + len(l.value)
	for name, v := range l.headers {
		n += header + len(name) + len(v)
	}
	return n
}

// fit keeps the beginning of a record that would not fit, without its own headers, and returns how many bytes there were; 0 for one
// that fits as it is.
func (l *letter) fit() int {
	size := l.size()
	if size <= maxLetterBytes {
		return 0
	}
	l.key, l.value, l.headers = l.key[:min(len(l.key), cutBytes)], l.value[:min(len(l.value), cutBytes)], nil
	return size
}
