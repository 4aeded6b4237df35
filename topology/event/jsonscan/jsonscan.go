// Package jsonscan scans strict JSON (RFC 8259) in place: it finds where values end and refuses everything that is not
// JSON in valid UTF-8, without building values. It serves package event, which picks a few dozen fields out of each record:
// all libraries measured either decode whole values, need twice the time, or let invalid input through (see
// BenchmarkDecoders in package event). FuzzScan holds it to jsontext's verdict on every input.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Kind is what a value is.
type Kind uint8

// The kinds. The zero Kind is no value. Escaped is a string that holds at least one escape sequence.
const (
	None Kind = iota
	Null
	False
	True
	Number
	String
	Escaped
	Object
	Array
)

// Fault is why a scan stopped.
type Fault uint8

// The faults.
const (
	OK        Fault = iota
	Truncated       // the input ends inside a value
	Syntax          // not JSON
	UTF8            // bytes that are not UTF-8, or an escaped half of a surrogate pair
	Depth           // nested deeper than MaxDepth
)

// MaxDepth is how deep values may nest.
const MaxDepth = 128

func (f Fault) String() string {
	switch f {
	case OK:
		return "ok"
	case Truncated:
		return "the record ends inside a value"
	case UTF8:
		return "not valid UTF-8"
	case Depth:
		return "nested too deep"
	default:
		return "not JSON"
	}
}

// Space returns the index of the first byte from i on that is not white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// Value scans the value that begins at b[i] and returns the index after it. On a fault the index is where it stands.
// depth is how many containers enclose the value.
func Value(b []byte, i, depth int) (int, Kind, Fault) {
	if i >= len(b) {
		return i, None, Truncated
	}
	switch c := b[i]; c {
	case '"':
		end, kind, fault := Text(b, i+1)
		return end + 1, kind, fault
	case '{':
		return skipObject(b, i, depth)
	case '[':
		return skipArray(b, i, depth)
	case 't':
		return literal(b, i, "true", True)
	case 'f':
		return literal(b, i, "false", False)
	case 'n':
		return literal(b, i, "null", Null)
	default:
		end, fault := number(b, i)
		return end, Number, fault
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// Text scans a string whose opening quote stands before b[i] and returns the index of its closing quote.
// Eight bytes are looked at together; the lowest marked byte is always a true mark.
func Text(b []byte, i int) (int, Kind, Fault) {
	kind := String
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			marks := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x | x) & highs
			if marks != 0 {
				i += bits.TrailingZeros64(marks) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return i, None, Truncated
		}
		switch c := b[i]; {
		case c == '"':
			return i, kind, OK
		case c == '\\':
			kind = Escaped
			n, fault := escape(b, i)
			if fault != OK {
				return i, None, fault
			}
			i += n
		case c < 0x20:
			return i, None, Syntax
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, None, UTF8
			}
			i += n
		}
	}
}

// escape returns the length of the escape sequence at b[i]. A surrogate pair is one sequence.
func escape(b []byte, i int) (int, Fault) {
	if i+1 >= len(b) {
		return 0, Truncated
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, OK
	case 'u':
	default:
		return 0, Syntax
	}
	first, fault := hex4(b, i+2)
	switch {
	case fault != OK:
		return 0, fault
	case first < 0xD800 || first > 0xDFFF:
		return 6, OK
	case first >= 0xDC00:
		return 0, UTF8
	case i+7 >= len(b):
		return 0, Truncated
	case b[i+6] != '\\' || b[i+7] != 'u':
		return 0, UTF8
	}
	second, fault := hex4(b, i+8)
	if fault == OK && (second < 0xDC00 || second > 0xDFFF) {
		fault = UTF8
	}
	return 12, fault
}

func hex4(b []byte, i int) (rune, Fault) {
	if i+4 > len(b) {
		return 0, Truncated
	}
	var r rune
	for _, c := range b[i : i+4] {
		r <<= 4
		switch {
		case '0' <= c && c <= '9':
			r |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			r |= rune(c - 'a' + 10)
		case 'A' <= c && c <= 'F':
			r |= rune(c - 'A' + 10)
		default:
			return 0, Syntax
		}
	}
	return r, OK
}

// AppendUnescaped appends the text of a string that Text found to be Escaped. raw stands between the quotes.
func AppendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(raw, i+2)
			if r >= 0xD800 && r <= 0xDFFF {
				low, _ := hex4(raw, i+8)
				r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
			i += 4
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

func number(b []byte, i int) (int, Fault) {
	if b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i == first {
		return lacking(b, i)
	}
	if b[first] == '0' && i > first+1 {
		return first + 1, Syntax
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = digits(b, from); i == from {
			return lacking(b, i)
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = digits(b, from); i == from {
			return lacking(b, i)
		}
	}
	return i, OK
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func lacking(b []byte, i int) (int, Fault) {
	if i >= len(b) {
		return i, Truncated
	}
	return i, Syntax
}

func literal(b []byte, i int, word string, kind Kind) (int, Kind, Fault) {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word), kind, OK
	}
	return i, None, Syntax
}

// Name scans a member's name and its colon. b[i] should be the opening quote; the name is b[i+1:end]; value is where the
// member's value begins.
func Name(b []byte, i int) (end int, kind Kind, value int, fault Fault) {
	if i >= len(b) {
		return i, None, i, Truncated
	}
	if b[i] != '"' {
		return i, None, i, Syntax
	}
	end, kind, fault = Text(b, i+1)
	if fault != OK {
		return end, None, end, fault
	}
	value = end + 1
	if value >= len(b) || b[value] != ':' {
		value = Space(b, value)
		if value >= len(b) {
			return end, None, value, Truncated
		}
		if b[value] != ':' {
			return end, None, value, Syntax
		}
	}
	return end, kind, Space(b, value+1), OK
}

// Next looks after a value inside a container that closes with closer: it returns where the next name or element begins,
// or the index after the closer and true.
func Next(b []byte, i int, closer byte) (int, bool, Fault) {
	i = Space(b, i)
	if i >= len(b) {
		return i, false, Truncated
	}
	switch b[i] {
	case ',':
		return Space(b, i+1), false, OK
	case closer:
		return i + 1, true, OK
	}
	return i, false, Syntax
}

// First looks behind an opening bracket: it returns where the first name or element begins, or the index after the
// closer and true.
func First(b []byte, i int, closer byte) (int, bool) {
	i = Space(b, i)
	if i < len(b) && b[i] == closer {
		return i + 1, true
	}
	return i, false
}

func skipObject(b []byte, i, depth int) (int, Kind, Fault) {
	if depth >= MaxDepth {
		return i, None, Depth
	}
	i, done := First(b, i+1, '}')
	for !done {
		_, _, value, fault := Name(b, i)
		if fault == OK {
			value, _, fault = Value(b, value, depth+1)
		}
		if fault == OK {
			i, done, fault = Next(b, value, '}')
		} else {
			i = value
		}
		if fault != OK {
			return i, None, fault
		}
	}
	return i, Object, OK
}

func skipArray(b []byte, i, depth int) (int, Kind, Fault) {
	if depth >= MaxDepth {
		return i, None, Depth
	}
	i, done := First(b, i+1, ']')
	for !done {
		end, _, fault := Value(b, i, depth+1)
		if fault == OK {
			end, done, fault = Next(b, end, ']')
		}
		i = end
		if fault != OK {
			return i, None, fault
		}
	}
	return i, Array, OK
}
