package orders

import (
	"google.golang.org/protobuf/encoding/protowire"

	"weir/topology/event"
	"weir/topology/table"
)

const dayMs = 24 * 60 * 60 * 1000

// Deadline is when the row wants Timer: when its rules have to be judged again, or when it expires. 0 for an empty row.
func Deadline(s *Settings, row *table.Order) event.UnixMilli {
	return deadline(s, row.LastAtMs, row.NextDueMs)
}

func deadline(s *Settings, lastAtMs, nextDueMs int64) event.UnixMilli {
	at := expiry(s, lastAtMs)
	if due := event.UnixMilli(nextDueMs); due > 0 && due < at {
		return due
	}
	return at
}

// expiry is retention after the row's last event, rounded up to a whole day so that the timer's entry moves once a day at most.
func expiry(s *Settings, lastAtMs int64) event.UnixMilli {
	if lastAtMs == 0 {
		return 0
	}
	at := lastAtMs + s.Retention.Milliseconds()
	return event.UnixMilli((at + dayMs - 1) / dayMs * dayMs)
}

// Numbers of the fields of Order in rows.proto that times reads.
const (
	lastAtField  = 26
	nextDueField = 33
)

// times reads two fields of an encoded row: it is asked for every row that is written. Fields stand in the order of their numbers.
func times(row []byte) (lastAtMs, nextDueMs int64) {
	for len(row) > 0 {
		num, kind, n := protowire.ConsumeTag(row)
		if n < 0 || num > nextDueField {
			break
		}
		row = row[n:]
		if kind == protowire.VarintType && (num == lastAtField || num == nextDueField) {
			v, n := protowire.ConsumeVarint(row)
			if n < 0 {
				break
			}
			row = row[n:]
			if num == nextDueField {
				nextDueMs = int64(v)
			} else {
				lastAtMs = int64(v)
			}
			continue
		}
		if n = protowire.ConsumeFieldValue(num, kind, row); n < 0 {
			break
		}
		row = row[n:]
	}
	return lastAtMs, nextDueMs
}
