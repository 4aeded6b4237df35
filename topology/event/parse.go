package event

import (
	"math/bits"
	"strconv"
	"time"

	"weir/topology/event/jsonscan"
)

// Limits bound what one record may hold.
type Limits struct {
	RecordBytes int
	TextBytes   int // of one string
	Items       int
	Quantity    int64         // of one item
	AmountMinor int64         // of any amount: leaves room to add up 9,000 of the largest
	MaxFuture   time.Duration // how far an event's time may be ahead of the wall clock
}

// DefaultLimits are the limits of a Parser unless WithLimits sets others.
func DefaultLimits() Limits {
	return Limits{
		RecordBytes: 1 << 20,
		TextBytes:   1 << 10,
		Items:       500,
		Quantity:    1_000_000_000,
		AmountMinor: 1_000_000_000_000_000,
		MaxFuture:   5 * time.Minute,
	}
}

// Parser turns records of one shape into events. It does not change, so that all partitions can share it.
type Parser struct {
	root              *node
	slots, lineSlots  int
	typeSource        source
	types             map[string]Type // of the record's value
	otherTypesIgnored bool
	plans             [streams][]source // every field of the stream but its type, currency before money
	lines             []source
	moneyIsMinor      bool
	textReserve       int // bytes that templates and constants may add to an event's text
	limits            Limits
}

// ignored marks, among a mapping's types, those to be passed over.
const ignored Type = 255

// source is where one field comes from.
type source struct {
	field    field
	form     form
	optional bool // absent unless its slot has a value
	slot     int  // of the first alternative; −1 when that is no path
	rest     []term
	said     string // the expression, for errors
}

// WithLimits returns a Parser of the same shape with other limits. Nothing can be beyond 1 GiB.
func (p *Parser) WithLimits(limits Limits) *Parser {
	limited := *p
	limits.RecordBytes = min(limits.RecordBytes, 1<<30)
	limited.limits = limits
	return &limited
}

// Parse returns the event in a record. seenAt is the wall clock against which a time is in the future; 0 leaves that
// check out. The error is a *Malformed or ErrIgnored.
func (p *Parser) Parse(record []byte, seenAt UnixMilli) (*Event, error) {
	e := new(Event)
	if err := p.ParseInto(e, record, seenAt); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseInto is Parse into an event that is overwritten, its Items' memory included. The event's strings are new each
// time and share one buffer of their own size: keeping one keeps them all, so clone what outlives the event by far.
// After an error the event holds no defined value.
func (p *Parser) ParseInto(e *Event, record []byte, seenAt UnixMilli) error {
	*e = Event{Items: e.Items[:0]}
	if len(record) > p.limits.RecordBytes {
		return &Malformed{Reason: ReasonTooLarge, Detail: "the record has " + strconv.Itoa(len(record)) +
			" bytes, the limit is " + strconv.Itoa(p.limits.RecordBytes)}
	}
	w := begin(record, p)
	defer w.finish()
	if !w.record(p.root) {
		return w.malformed()
	}
	return p.readAll(e, w, seenAt)
}

// readAll makes the event of what the walk found.
func (p *Parser) readAll(e *Event, w *walk, seenAt UnixMilli) error {
	if m := p.readType(e, w); m != nil {
		return m
	}
	if e.Type == ignored {
		return ErrIgnored
	}
	w.text.Grow(w.textBytes + p.textReserve)
	money := iso{}
	plan := p.plans[e.Type.stream()]
	for i := range plan {
		s := &plan[i]
		if s.optional && w.spans[s.slot].kind <= jsonscan.Null {
			continue // the usual case by far
		}
		raw, kind := w.lookup(s)
		if kind == jsonscan.None {
			if s.field.required() {
				return s.missing()
			}
			continue
		}
		if m := p.read(e, w, s, raw, kind, &money); m != nil {
			return m
		}
	}
	if seenAt != 0 && e.At > seenAt.Add(p.limits.MaxFuture) {
		return &Malformed{ReasonFuture, "time", e.At.Time().Format(time.RFC3339) + " is more than " + p.limits.MaxFuture.String() +
			" ahead of the clock, which shows " + seenAt.Time().Format(time.RFC3339)}
	}
	if e.Type.stream() == orders {
		if m := p.readLines(e, w, &money); m != nil {
			return m
		}
	}
	return nil
}

// malformed explains why the walk ended.
func (w *walk) malformed() *Malformed {
	if w.twice != "" {
		return &Malformed{ReasonJSON, "", quote(w.twice) + " is given twice"}
	}
	if len(w.data) == jsonscan.Space(w.data, 0) {
		return &Malformed{ReasonJSON, "", "the record is empty"}
	}
	if first := w.data[jsonscan.Space(w.data, 0)]; first != '{' {
		return &Malformed{ReasonJSON, "", "the record is not a JSON object, it begins with " + quote(w.data)}
	}
	near := w.data[min(w.at, len(w.data)):]
	detail := w.fault.String() + " at byte " + strconv.Itoa(w.at)
	if len(near) > 0 {
		detail += ", near " + quote(near[:min(len(near), 16)])
	}
	if w.fault == jsonscan.Depth {
		return &Malformed{ReasonTooLarge, "", detail}
	}
	return &Malformed{ReasonJSON, "", detail}
}

// lookup returns what the record gives for a field: the first alternative that is neither absent, null nor empty.
func (w *walk) lookup(s *source) ([]byte, jsonscan.Kind) {
	if s.slot >= 0 {
		if at := w.spans[s.slot]; at.kind > jsonscan.Null && at.start != at.end {
			return w.found(at)
		}
	}
	for i := range s.rest {
		t := &s.rest[i]
		switch {
		case t.slot >= 0:
			if at := w.spans[t.slot]; at.kind > jsonscan.Null && at.start != at.end {
				return w.found(at)
			}
		case t.parts != nil:
			if text, kind := w.compose(t.parts); kind != jsonscan.None {
				return text, kind
			}
		default:
			return t.constant, jsonscan.String
		}
	}
	return nil, jsonscan.None
}

// compose fills a template in. It is absent when one of its parts is.
func (w *walk) compose(parts []part) ([]byte, jsonscan.Kind) {
	for _, part := range parts {
		if part.slot < 0 {
			continue
		}
		if at := w.spans[part.slot]; at.kind <= jsonscan.Null || at.kind >= jsonscan.Object || at.start == at.end {
			return nil, jsonscan.None
		}
	}
	from, kind := len(w.composed), jsonscan.String
	for _, part := range parts {
		if part.slot < 0 {
			w.composed = append(w.composed, part.literal...)
			continue
		}
		raw, k := w.found(w.spans[part.slot])
		if k == jsonscan.Escaped {
			kind = k
		}
		w.composed = append(w.composed, raw...)
	}
	return w.composed[from:], kind
}

func (s *source) missing() *Malformed {
	detail := "the record has none"
	if s.said != s.field.String() {
		detail += ", looked in " + quote(s.said)
	}
	return &Malformed{ReasonMissingField, s.field.String(), detail}
}

func (p *Parser) readType(e *Event, w *walk) *Malformed {
	raw, kind := w.lookup(&p.typeSource)
	if kind == jsonscan.None {
		return p.typeSource.missing()
	}
	if t, ok := p.types[string(raw)]; ok && kind < jsonscan.Object {
		e.Type = t
		return nil
	}
	if p.otherTypesIgnored {
		e.Type = ignored
		return nil
	}
	return &Malformed{ReasonUnknownType, "type", quote(raw) + " is none of the types of this topic"}
}

// read reads one field of the record as its form asks. money is the event's currency once that is read.
func (p *Parser) read(e *Event, w *walk, s *source, raw []byte, kind jsonscan.Kind, money *iso) *Malformed {
	switch s.form {
	case formText, formIdentity:
		if m := p.checkText(s, raw, kind); m != nil {
			return m
		}
		*e.text(s.field) = w.own(raw)
	case formTime:
		at, ok := parseTime(raw, kind)
		if !ok || kind < jsonscan.Number || kind > jsonscan.Escaped {
			return &Malformed{ReasonBadTime, s.field.String(), quote(raw) +
				" is no time from 1970 on: want RFC 3339, Unix seconds or Unix milliseconds"}
		}
		if at == 0 && s.field.required() {
			return s.missing()
		}
		*e.time(s.field) = at
	case formCurrency:
		c, ok := lookupCurrency(raw)
		if !ok {
			return &Malformed{ReasonBadCurrency, s.field.String(), quote(raw) + " is no ISO 4217 currency code"}
		}
		*money, e.Currency = c, c.code
	case formCountry:
		country, ok := lookupCountry(raw)
		if !ok {
			return &Malformed{ReasonBadCountry, s.field.String(), quote(raw) + " is no ISO 3166-1 alpha-2 code such as DE"}
		}
		*e.text(s.field) = country
	case formMoney:
		minor, m := p.readMoney(s, raw, kind, money)
		if m == nil && minor < 0 {
			m = &Malformed{ReasonBadMoney, s.field.String(), quote(raw) + " is negative"}
		}
		if m != nil {
			return m
		}
		e.AmountMinor, e.HasAmount = minor, true
	default:
		panic("event: " + s.field.String() + " is not read here")
	}
	return nil
}

func (p *Parser) checkText(s *source, raw []byte, kind jsonscan.Kind) *Malformed {
	switch kind {
	case jsonscan.String:
	case jsonscan.Escaped:
		if s.form == formIdentity {
			for _, c := range raw {
				if c < ' ' {
					return &Malformed{ReasonBadValue, s.field.String(), quote(raw) + " has a control character"}
				}
			}
		}
	case jsonscan.Number:
		for i, c := range raw {
			if c-'0' > 9 && (i > 0 || c != '-') {
				return &Malformed{ReasonBadValue, s.field.String(), quote(raw) + " is neither text nor an integer"}
			}
		}
	default:
		return &Malformed{ReasonBadValue, s.field.String(), quote(raw) + " is not text"}
	}
	if len(raw) > p.limits.TextBytes {
		return &Malformed{ReasonTooLarge, s.field.String(), "has " + strconv.Itoa(len(raw)) + " bytes, the limit is " +
			strconv.Itoa(p.limits.TextBytes)}
	}
	return nil
}

func (p *Parser) readMoney(s *source, raw []byte, kind jsonscan.Kind, money *iso) (int64, *Malformed) {
	if money.code == "" {
		return 0, &Malformed{ReasonMissingField, fieldCurrency.String(), "the record has none, but " + s.field.String() + " is " + quote(raw)}
	}
	exponent := int(money.exponent)
	if p.moneyIsMinor {
		exponent = 0
	}
	minor, fault := int64(0), notNumber
	if kind >= jsonscan.Number && kind <= jsonscan.Escaped {
		minor, fault = scaled(raw, exponent, false)
	}
	if fault == numberOK && (minor > p.limits.AmountMinor || minor < -p.limits.AmountMinor) {
		fault = numberOverflow
	}
	if fault != numberOK {
		m := badMoney(raw, fault, *money, p.moneyIsMinor)
		m.Field = s.field.String()
		return 0, m
	}
	return minor, nil
}

// readLines reads the lines of an order.
func (p *Parser) readLines(e *Event, w *walk, money *iso) *Malformed {
	switch {
	case w.linesBad:
		return &Malformed{ReasonBadValue, "items", "want an array of objects"}
	case w.linesTooMany:
		return &Malformed{ReasonTooLarge, "items", "has more than " + strconv.Itoa(p.limits.Items) + " items"}
	}
	for n := range w.lines {
		w.spans = w.lineSpans[n*p.lineSlots : (n+1)*p.lineSlots]
		item := Item{Quantity: 1}
		for i := range p.lines {
			s := &p.lines[i]
			raw, kind := w.lookup(s)
			if kind == jsonscan.None {
				continue
			}
			if m := p.readItem(&item, w, s, raw, kind, money); m != nil {
				return m
			}
		}
		over, product := bits.Mul64(magnitude(item.PriceMinor), uint64(item.Quantity))
		if over != 0 || product > uint64(p.limits.AmountMinor) {
			return &Malformed{ReasonBadMoney, "items.price", strconv.FormatInt(item.PriceMinor, 10) + " minor units times quantity " +
				strconv.FormatInt(item.Quantity, 10) + " is out of range"}
		}
		e.Items = append(e.Items, item)
	}
	return nil
}

// readItem reads one field of a line. A price may be negative: shops write discounts as lines.
func (p *Parser) readItem(item *Item, w *walk, s *source, raw []byte, kind jsonscan.Kind, money *iso) *Malformed {
	switch s.field {
	case fieldItemQuantity:
		quantity, fault := int64(0), notNumber
		if kind >= jsonscan.Number && kind <= jsonscan.Escaped {
			quantity, fault = scaled(raw, 0, false)
		}
		if fault != numberOK || quantity < 0 || quantity > p.limits.Quantity {
			return &Malformed{ReasonBadValue, s.field.String(), quote(raw) + " is not a whole number from 0 to " +
				strconv.FormatInt(p.limits.Quantity, 10)}
		}
		item.Quantity = quantity
		return nil
	case fieldItemPrice:
		price, m := p.readMoney(s, raw, kind, money)
		item.PriceMinor = price
		return m
	}
	if m := p.checkText(s, raw, kind); m != nil {
		return m
	}
	switch s.field {
	case fieldItemProductID:
		item.ProductID = w.own(raw)
	case fieldItemCategory:
		item.Category = w.own(raw)
	case fieldItemSellerID:
		item.SellerID = w.own(raw)
	}
	return nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
