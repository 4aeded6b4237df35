package engine

import (
	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// borders finds the places in a partition's log where no transaction is open, so that what came before is whole.
//
// A partition of a table has one writer at a time, but the marker of an earlier writer may stand between the records of the next.
type borders struct {
	open map[int64]struct{} // producers whose records came and whose marker did not
	last int64              // the producer noted last, to look it up once a transaction
}

// recordKind is what a record is to its transaction.
type recordKind uint8

const (
	plainRecord recordKind = iota // of no transaction
	partOfOne                     // of a transaction that ends with a marker
	endMarker                     // commits or aborts its producer's transaction
)

func kindOf(r *kgo.Record) recordKind {
	switch {
	case r.Attrs.IsControl():
		return endMarker
	case r.Attrs.IsTransactional():
		return partOfOne
	}
	return plainRecord
}

// after tells whether no transaction is open behind a record. stable is the partition's last stable offset: before it all
// transactions have ended, whatever became of their markers.
func (b *borders) after(kind recordKind, producer, offset, stable int64) bool {
	switch {
	case kind == endMarker:
		delete(b.open, producer)
		b.last = -1
	case kind == partOfOne && (len(b.open) == 0 || b.last != producer):
		if b.open == nil {
			b.open = map[int64]struct{}{}
		}
		b.open[producer] = struct{}{}
		b.last = producer
	}
	if offset+1 == stable {
		clear(b.open)
	}
	return len(b.open) == 0
}

// atBorder is what the messages carry that borders.after holds of. Records of tables have no headers of their own.
const borderHeader = "weir-border"

var atBorder = []*sarama.RecordHeader{{Key: []byte(borderHeader)}}

// StoreRow is what a view's callback does with a record. Readers see the row once the transaction that wrote it is there as a
// whole; whole tells that it is, and all before it. A record without a key is a transaction marker and stores nothing.
func StoreRow(ctx goka.UpdateContext, s storage.Storage, key string, value []byte) (whole bool, err error) {
	_, whole = ctx.Headers()[borderHeader]
	if key != "" {
		if value == nil {
			err = s.Delete(key)
		} else {
			err = s.Set(key, value)
		}
	}
	if whole && err == nil {
		err = s.Delete(wholeKey) // goka hands no other way through to the store
	}
	return whole, err
}

// wholeKey is no row's: deleting it tells a viewStore that all it has received is whole.
const wholeKey = ""
