package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Observation is one event as one entity sees it. Group orders sends to weir-observations what a transaction has for each entity, a
// sequence of them, in bundles (see BundleKey). Group entities keeps them in its rows.
//
//	0        4       12        20     21      22        25      26      27
//	┌────────┬───────┬─────────┬──────┬───────┬─────────┬───────┬───────┬────────┬───────┬───────┬─ …
//	│ size 4 │ at 8  │ hash 8  │type 1│flags 1│currency3│values1│gates 1│ values │ gates │ place │ texts
//	└────────┴───────┴─────────┴──────┴───────┴─────────┴───────┴───────┴────────┴───────┴───────┴─ …
//	values × { series 4, bits 8 }   gates × { part 4, score 1, raised 1, shape 1, about str if shape says so, operands }
//	shape = operands (63 at most) | about << 6: 0 the entity itself, 1 order:order_id, 2 the text that follows
//	operands × { kind 1, bits 8 | str }
//	place = risk varint, partition uvarint, offset uvarint      texts = id str, order_id str, topic str
//	str = length uvarint, bytes
//
// All integers are little-endian; size counts itself. Two observations of one event for one entity are the same observation.
type Observation struct {
	AtMs      int64
	IDHash    uint64 // xxhash64 of ID; with AtMs the sort key and the identity
	Type      uint8  // event.Type
	Flags     uint8
	Partition int32
	Offset    int64
	RiskMinor int64  // the order's total
	Currency  string // three letters, "" = none: of the event's amount; sums of money read only what is in one currency
	Values    []SeriesValue
	Gates     []Gate
	ID        string
	OrderID   string
	Topic     string
}

// FlagBackfill marks observations that were read again from the log: they fill features and raise nothing.
const FlagBackfill uint8 = 1

// SeriesValue is what one series of features takes from an event: a number's float64 bits, or a text as PackText makes it.
type SeriesValue struct {
	Series uint32
	Bits   uint64
}

// Gate says that all conditions of a rule's part that the event and its order can answer hold; the entity answers the rest. Parts that
// ask the event nothing need no gate (rule.Plan.Open): it is made in the entity's row once a finding has to be remembered.
type Gate struct {
	Part     uint32 // rule.Part.ID
	Score    uint8  // of the highest band that event and order alone decide
	Raised   uint8  // kept by group entities; 0 on the way
	About    string // the alert's entity; "" = the entity itself
	Operands []Operand
}

// Operand is a value that the part compares features with, evaluated where the event was.
type Operand struct {
	Kind OperandKind
	Bits uint64 // numbers and money: float64 bits; times and durations: milliseconds as float64 bits; booleans: 0, 1
	Text string // texts, at most MaxText bytes
}

// OperandKind is the type of an operand. The values are stored.
type OperandKind uint8

// The kinds of operands.
const (
	OperandUnknown OperandKind = iota
	OperandNumber
	OperandMoney // minor units of the observation's currency
	OperandText
	OperandBool
	OperandTime
	OperandDuration
)

// Number returns the operand's number.
func (o Operand) Number() float64 { return math.Float64frombits(o.Bits) }

// Limits of an observation. What is longer is cut or refused where observations are made.
const (
	MaxText     = 256
	MaxValues   = 255
	MaxGates    = 255
	MaxOperands = 63

	observationHeader = 27
)

// OrderEntity is the entity that an order is.
func OrderEntity(orderID string) string { return "order:" + orderID }

var errShort = errors.New("an observation is cut off")

// What the two upper bits of a gate's shape say about its About.
const (
	AboutSelf  = 0
	AboutOrder = 1
	AboutText  = 2

	aboutShift    = 6
	operandsInUse = 1<<aboutShift - 1
)

// GateShape takes a gate's shape apart.
func GateShape(shape uint8) (about, operands int) {
	return int(shape >> aboutShift), int(shape & operandsInUse)
}

// ShapeOf is a gate's shape.
func ShapeOf(about, operands int) uint8 { return uint8(about<<aboutShift | operands) }

// Append adds the encoding of o to b.
func (o *Observation) Append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(o.AtMs))
	b = binary.LittleEndian.AppendUint64(b, o.IDHash)
	b = append(b, o.Type, o.Flags)
	var currency [3]byte
	copy(currency[:], o.Currency)
	b = append(b, currency[:]...)
	b = append(b, uint8(len(o.Values)), uint8(len(o.Gates)))
	for _, v := range o.Values {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(b, v.Series), v.Bits)
	}
	for i := range o.Gates {
		b = o.Gates[i].append(b, o.OrderID)
	}
	b = binary.AppendVarint(b, o.RiskMinor)
	b = binary.AppendUvarint(b, uint64(uint32(o.Partition)))
	b = binary.AppendUvarint(b, uint64(o.Offset))
	b = appendText(appendText(appendText(b, o.ID), o.OrderID), o.Topic)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

func (g *Gate) append(b []byte, orderID string) []byte {
	about := AboutText
	switch {
	case g.About == "":
		about = AboutSelf
	case g.About == OrderEntity(orderID):
		about = AboutOrder
	}
	b = append(binary.LittleEndian.AppendUint32(b, g.Part), g.Score, g.Raised, ShapeOf(about, len(g.Operands)))
	if about == AboutText {
		b = appendText(b, g.About)
	}
	for _, v := range g.Operands {
		b = append(b, uint8(v.Kind))
		if v.Kind == OperandText {
			b = appendText(b, v.Text)
		} else {
			b = binary.LittleEndian.AppendUint64(b, v.Bits)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	if len(s) > math.MaxUint16 {
		s = s[:math.MaxUint16]
	}
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ObservationSize is the length of the first observation of b, and an error if b does not hold all of it.
func ObservationSize(b []byte) (int, error) {
	if len(b) < observationHeader {
		return 0, errShort
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < observationHeader || n > len(b) {
		return 0, fmt.Errorf("an observation says that it has %d bytes, where %d are left", n, len(b))
	}
	return n, nil
}

// ObservationKey is the sort key of an encoded observation.
func ObservationKey(b []byte) (atMs int64, idHash uint64) {
	return int64(binary.LittleEndian.Uint64(b[4:])), binary.LittleEndian.Uint64(b[12:])
}

// Parse reads the first observation of b into o, whose slices are used again, and returns what follows it.
func (o *Observation) Parse(b []byte) (rest []byte, err error) {
	n, err := ObservationSize(b)
	if err != nil {
		return nil, err
	}
	rest, b = b[n:], b[:n]
	o.AtMs, o.IDHash = ObservationKey(b)
	o.Type, o.Flags = b[20], b[21]
	o.Currency = ""
	if b[22] != 0 {
		o.Currency = string(b[22:25])
	}
	values, gates := int(b[25]), int(b[26])
	r := reader{b: b[observationHeader:]}
	o.Values = o.Values[:0]
	for range values {
		o.Values = append(o.Values, SeriesValue{Series: r.u32(), Bits: r.u64()})
	}
	ofOrder := o.parseGates(&r, gates)
	o.RiskMinor, o.Partition, o.Offset = r.varint(), int32(r.uvarint()), int64(r.uvarint())
	o.ID, o.OrderID, o.Topic = r.text(), r.text(), r.text()
	if r.short || len(r.b) != 0 {
		return nil, fmt.Errorf("an observation of %d bytes does not end where it says", n)
	}
	for _, i := range ofOrder {
		o.Gates[i].About = OrderEntity(o.OrderID)
	}
	return rest, nil
}

// parseGates returns which of them are about the observation's order.
func (o *Observation) parseGates(r *reader, n int) (ofOrder []int) {
	old := o.Gates[:cap(o.Gates)]
	o.Gates = o.Gates[:0]
	for i := range n {
		g := Gate{Part: r.u32(), Score: r.u8(), Raised: r.u8()}
		about, operands := GateShape(r.u8())
		switch about {
		case AboutSelf:
		case AboutOrder:
			ofOrder = append(ofOrder, i)
		case AboutText:
			g.About = r.text()
		default:
			r.short = true
		}
		if i < len(old) {
			g.Operands = old[i].Operands[:0]
		}
		for range operands {
			v := Operand{Kind: OperandKind(r.u8())}
			if v.Kind == OperandText {
				v.Text = r.text()
			} else {
				v.Bits = r.u64()
			}
			g.Operands = append(g.Operands, v)
		}
		o.Gates = append(o.Gates, g)
	}
	return ofOrder
}

// reader takes an encoding apart; after its end it gives zeros and says so.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.short, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.short, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.short, r.b = true, nil
	}
	if n == 0 || r.short {
		return ""
	}
	return string(r.take(int(n)))
}
