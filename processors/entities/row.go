package entities

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"weir/topology/event"
	"weir/topology/table"
)

// A row is a header, the folds of series that are no longer kept one by one (see fold.go), and the observations as they came,
// sorted by (at, hash), no two alike.
//
//	0         1     2         4           8       16        20
//	┌─────────┬─────┬─────────┬───────────┬───────┬─────────┬──────────┬─────────────────── …
//	│version 1│ 0   │ folds 2 │ bytes 4   │ due 8 │ count 4 │ folds    │ table.Observation × count
//	└─────────┴─────┴─────────┴───────────┴───────┴─────────┴──────────┴─────────────────── …
//	                  number    of folds    when the row wants its timer, event time in ms; 0 = never
//
// All integers are little-endian. What changes of an observation after it came: its flags once (late), and Gate.Raised, 1 while a finding
// of that gate stands. An open part (rule.Plan.Open) gets a gate when its first finding is raised.
const (
	rowVersion = 2
	rowHeader  = 20

	// maxRowBytes bounds a row: it is one record of the changelog.
	maxRowBytes = 600 << 10
	shrunkBytes = maxRowBytes / 8 * 7 // what an overfull row is cut to
)

// Offsets within an observation, see table.Observation.
const (
	typeAt     = 20
	flagsAt    = 21
	currencyAt = 22
	valuesAt   = 25
	gatesAt    = 26
	bodyAt     = 27

	valueSize = 12
	gateSize  = 7 // without text and operands
	tailSize  = 6 // at least: place and three empty texts
)

// flagLate marks an observation that came when the watermark had passed it.
const flagLate uint8 = 2

var (
	errRow     = errors.New("the entity's row is damaged")
	errRecord  = errors.New("the record is no sequence of observations")
	errVersion = errors.New("the row was written by a newer weir: upgrade this one")
)

// source tells which bytes a ref means.
type source uint8

const (
	ofRow source = iota
	ofRecord
	ofMade // rewritten in this step
)

// ref is an observation by where its bytes are.
type ref struct {
	at    int64
	hash  uint64
	off   int32
	size  int32
	src   source
	fresh bool // came with this record, and is judged
	late  bool // and is to be marked so
}

func (r *ref) before(o *ref) bool { return r.at < o.at || r.at == o.at && r.hash < o.hash }
func (r *ref) same(o *ref) bool   { return r.at == o.at && r.hash == o.hash }

// layout is a row's header.
type layout struct {
	due       int64
	folds     int
	foldBytes []byte
	count     int
	begin     int // of the observations
}

// parseRow reads the header. A nil row is empty.
func parseRow(row []byte) (l layout, err error) {
	if len(row) == 0 {
		return l, nil
	}
	if row[0] > rowVersion {
		return l, errVersion
	}
	if len(row) < rowHeader || row[0] != rowVersion {
		return l, fmt.Errorf("%w: its header", errRow)
	}
	n := int(binary.LittleEndian.Uint32(row[4:]))
	if n > len(row)-rowHeader {
		return l, fmt.Errorf("%w: its folds are cut off", errRow)
	}
	l.folds = int(binary.LittleEndian.Uint16(row[2:]))
	l.foldBytes = row[rowHeader : rowHeader+n]
	l.due = int64(binary.LittleEndian.Uint64(row[8:]))
	l.count = int(binary.LittleEndian.Uint32(row[16:]))
	l.begin = rowHeader + n
	return l, nil
}

// due reads when a row wants its timer; 0 = never.
func due(row []byte) event.UnixMilli {
	if len(row) < rowHeader || row[0] != rowVersion {
		return 0
	}
	return event.UnixMilli(binary.LittleEndian.Uint64(row[8:]))
}

// scan appends the row's observations to refs. Their fixed part and their values can be read without a check from then on.
func (l *layout) scan(row []byte, refs []ref) ([]ref, error) {
	if len(row) > math.MaxInt32 || l.count > len(row)/bodyAt {
		return refs, fmt.Errorf("%w: it counts %d observations", errRow, l.count)
	}
	off, first := l.begin, len(refs)
	refs = slices.Grow(refs, l.count)[:first+l.count]
	for i := first; i < len(refs); i++ {
		b, size := row[off:], 0
		if len(b) >= bodyAt {
			size = int(binary.LittleEndian.Uint32(b))
		}
		if size > len(b) || size < bodyAt+tailSize || size < bodyAt+tailSize+valueSize*int(b[valuesAt]) {
			return refs[:i], fmt.Errorf("%w: an observation is cut off", errRow)
		}
		r := &refs[i]
		*r = ref{at: int64(binary.LittleEndian.Uint64(b[4:])), hash: binary.LittleEndian.Uint64(b[12:]), off: int32(off), size: int32(size)}
		if i > first && !refs[i-1].before(r) {
			return refs[:i], fmt.Errorf("%w: its observations are not sorted", errRow)
		}
		off += size
	}
	if off != len(row) && l.begin > 0 {
		return refs, fmt.Errorf("%w: %d bytes follow its observations", errRow, len(row)-off)
	}
	return refs, nil
}

func refAt(b []byte, off int) (ref, error) {
	b = b[off:]
	size, err := table.ObservationSize(b)
	if err != nil {
		return ref{}, err
	}
	if size < bodyAt+tailSize+valueSize*int(b[valuesAt]) {
		return ref{}, errors.New("an observation is too short for its values")
	}
	at, hash := table.ObservationKey(b)
	return ref{at: at, hash: hash, off: int32(off), size: int32(size)}, nil
}

// value is the i-th value of an observation.
func value(b []byte, i int) (series uint32, bits uint64) {
	v := b[bodyAt+valueSize*i:][:valueSize]
	return binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint64(v[4:])
}

// gates walks over an observation's gates.
type gates struct {
	b    []byte // the observation
	pos  int    // of the next gate
	left int
	err  error

	part     uint32
	raised   int // where Raised stands
	about    int // table.AboutSelf …
	text     []byte
	operands []byte
	n        int // operands
}

var errGates = errors.New("an observation's gates are damaged")

func gatesOf(b []byte) gates {
	return gates{b: b, pos: bodyAt + valueSize*int(b[valuesAt]), left: int(b[gatesAt])}
}

// next moves to the next gate; false after the last one and at an error.
func (g *gates) next() bool {
	if g.left == 0 {
		return false
	}
	g.left--
	b, pos := g.b, g.pos
	if len(b)-pos < gateSize {
		return g.fail()
	}
	g.part, g.raised, g.text = binary.LittleEndian.Uint32(b[pos:]), pos+5, nil
	g.about, g.n = table.GateShape(b[pos+6])
	pos += gateSize
	if g.about > table.AboutText {
		return g.fail()
	}
	if g.about == table.AboutText {
		if g.text, pos = text(b, pos); pos < 0 {
			return g.fail()
		}
	}
	begin := pos
	for range g.n {
		if pos >= len(b) {
			return g.fail()
		}
		if table.OperandKind(b[pos]) == table.OperandText {
			_, pos = text(b, pos+1)
		} else {
			pos += 9
		}
		if pos < 0 || pos > len(b) {
			return g.fail()
		}
	}
	g.operands, g.pos = b[begin:pos], pos
	return true
}

func (g *gates) fail() bool {
	g.err, g.left = errGates, 0
	return false
}

// text is the text at pos, and what stands behind it; -1 if it is cut off.
func text(b []byte, pos int) (text []byte, next int) {
	if pos > len(b) {
		return nil, -1
	}
	n, width := binary.Uvarint(b[pos:])
	if pos += width; width <= 0 || n > uint64(len(b)-pos) {
		return nil, -1
	}
	return b[pos : pos+int(n)], pos + int(n)
}

// appendOperands decodes the gate's operands.
func (g *gates) appendOperands(to []table.Operand) []table.Operand {
	b := g.operands
	for range g.n {
		o := table.Operand{Kind: table.OperandKind(b[0])}
		if o.Kind == table.OperandText {
			s, next := text(b, 1)
			o.Text, b = string(s), b[next:]
		} else {
			o.Bits, b = binary.LittleEndian.Uint64(b[1:]), b[9:]
		}
		to = append(to, o)
	}
	return to
}

// tail is where an observation's place begins.
func tail(b []byte) (int, error) {
	g := gatesOf(b)
	for g.next() {
	}
	return g.pos, g.err
}

// origin is the place of an observation's event, in the bytes of the observation.
type origin struct {
	risk               int64
	partition          uint64
	offset             uint64
	id, orderID, topic []byte
}

var errTail = errors.New("an observation's place or texts are cut off")

// originOf also checks that the observation is whole.
func originOf(b []byte) (o origin, err error) {
	pos, err := tail(b)
	if err != nil {
		return o, err
	}
	var n int
	o.risk, n = binary.Varint(b[pos:])
	for _, number := range [2]*uint64{&o.partition, &o.offset} {
		if n <= 0 {
			return o, errTail
		}
		pos += n
		*number, n = binary.Uvarint(b[pos:])
	}
	if n <= 0 {
		return o, errTail
	}
	pos += n
	for _, s := range [3]*[]byte{&o.id, &o.orderID, &o.topic} {
		if *s, pos = text(b, pos); pos < 0 {
			return o, errTail
		}
	}
	if pos != len(b) {
		return o, fmt.Errorf("an observation of %d bytes ends after %d", len(b), pos)
	}
	return o, nil
}

// check tells whether an observation is whole, so that a row never takes what it could not read.
func check(b []byte) error {
	_, err := originOf(b)
	return err
}

// place is where the event of an observation stands.
func place(b []byte) (*table.Place, error) {
	o, err := originOf(b)
	if err != nil {
		return nil, err
	}
	return o.place(b), nil
}

func (o *origin) place(b []byte) *table.Place {
	at, _ := table.ObservationKey(b)
	return &table.Place{Topic: string(o.topic), Partition: int32(o.partition), Offset: int64(o.offset), Id: string(o.id), AtMs: at,
		Type: event.Type(b[typeAt]).String(), OrderId: string(o.orderID)}
}

func currencyOf(b []byte) uint32 {
	return uint32(b[currencyAt]) | uint32(b[currencyAt+1])<<8 | uint32(b[currencyAt+2])<<16
}

func currencyName(code uint32) string {
	if code == 0 {
		return ""
	}
	return string([]byte{byte(code), byte(code >> 8), byte(code >> 16)})
}
