package event

import (
	"strings"
	"sync"

	"weir/topology/event/jsonscan"
)

// span is where a value stands in the record, without a string's quotes. The zero span is absent.
type span struct {
	start, end int32
	kind       jsonscan.Kind
}

const (
	maxSlots     = 96 // places looked at in a record
	maxLineSlots = 16 // places looked at in an order's line
)

// walk is one pass over one record: it checks all of the record and notes where the values stand that the tree names.
type walk struct {
	data     []byte
	maxLines int

	spans     []span // of the record or, inside one, of an order's line; by slot
	lineSpans []span // of all lines, lineSlots a line
	lineSlots int
	lines     int

	linesBad, linesTooMany bool // the lines are not an array of objects; are more than maxLines

	text      strings.Builder // the event's strings
	textBytes int             // how much it may need
	unescaped []byte          // text of strings with escape sequences
	composed  []byte          // text of templates

	fault jsonscan.Fault
	twice string // the path that was given twice
	at    int    // where the fault is

	slots [maxSlots]span
}

// walks keeps walks between records: one is too large to be cleared or allocated for each.
var walks = sync.Pool{New: func() any { return new(walk) }}

// begin takes a walk over a record for a parser. finish gives it back; what was found is gone then.
func begin(record []byte, p *Parser) *walk {
	w := walks.Get().(*walk)
	w.data, w.maxLines, w.lineSlots = record, p.limits.Items, p.lineSlots
	w.spans = w.slots[:p.slots]
	clear(w.spans)
	w.lineSpans, w.lines = w.lineSpans[:0], 0
	w.unescaped, w.composed = w.unescaped[:0], w.composed[:0]
	w.linesBad, w.linesTooMany = false, false
	w.textBytes, w.twice = 0, ""
	return w
}

// keptBytes is how much memory a walk may keep for text; lineSpans is bounded by the limit on items.
const keptBytes = 64 << 10

func (w *walk) finish() {
	w.data = nil
	w.text = strings.Builder{}
	if cap(w.unescaped)+cap(w.composed) > keptBytes {
		w.unescaped, w.composed = nil, nil
	}
	walks.Put(w)
}

// failed is the index that a pass ends with when the record is not JSON.
const failed = -1

func (w *walk) fail(at int, fault jsonscan.Fault) int {
	w.at, w.fault = at, fault
	return failed
}

// record walks the whole record and tells whether it is one JSON object.
func (w *walk) record(root *node) bool {
	i := jsonscan.Space(w.data, 0)
	if i >= len(w.data) || w.data[i] != '{' {
		if _, _, fault := jsonscan.Value(w.data, i, 0); fault != jsonscan.OK {
			w.fail(i, fault)
		} else {
			w.fail(i, jsonscan.Syntax)
		}
		return false
	}
	if i = w.object(i, root, 0); i == failed {
		return false
	}
	if i = jsonscan.Space(w.data, i); i != len(w.data) {
		w.fail(i, jsonscan.Syntax)
		return false
	}
	return true
}

// value walks the value at i, which n names, and returns the index after it.
func (w *walk) value(i int, n *node, depth int) int {
	at := &w.spans[n.slot]
	if at.kind != jsonscan.None {
		return w.again(i, n)
	}
	if i < len(w.data) {
		c := w.data[i]
		if n.each != nil && c != '[' && c != 'n' {
			w.linesBad = true
		}
		// A container that is entered is noted as Null: it has been met, but is no value.
		switch {
		case c == '{' && n.names.inner:
			at.kind = jsonscan.Null
			return w.object(i, n, depth)
		case c == '[' && (n.each != nil || n.elems != nil):
			at.kind = jsonscan.Null
			return w.array(i, n, depth)
		}
	}
	end, kind, fault := jsonscan.Value(w.data, i, depth)
	if fault != jsonscan.OK {
		return w.fail(end, fault)
	}
	at.start, at.end, at.kind = int32(i), int32(end), kind
	if kind == jsonscan.String || kind == jsonscan.Escaped {
		at.start++
		at.end--
	}
	if n.text {
		w.textBytes += end - i
	}
	return end
}

// again refuses a name that is given twice: readers differ in which value they take, so neither is safe.
func (w *walk) again(i int, n *node) int {
	w.twice = n.path
	return w.fail(i, jsonscan.Syntax)
}

func (w *walk) object(i int, n *node, depth int) int {
	b := w.data
	if depth >= jsonscan.MaxDepth {
		return w.fail(i, jsonscan.Depth)
	}
	i, done := jsonscan.First(b, i+1, '}')
	for !done {
		end, kind, value, fault := jsonscan.Name(b, i)
		if fault != jsonscan.OK {
			return w.fail(value, fault)
		}
		name := b[i+1 : end]
		if kind == jsonscan.Escaped {
			name = jsonscan.AppendUnescaped(nil, name)
		}
		if child := n.names.find(name); child != nil {
			if end = w.value(value, child, depth+1); end == failed {
				return failed
			}
		} else if end, _, fault = jsonscan.Value(b, value, depth+1); fault != jsonscan.OK {
			return w.fail(end, fault)
		}
		if i, done, fault = jsonscan.Next(b, end, '}'); fault != jsonscan.OK {
			return w.fail(i, fault)
		}
	}
	return i
}

func (w *walk) array(i int, n *node, depth int) int {
	b := w.data
	if depth >= jsonscan.MaxDepth {
		return w.fail(i, jsonscan.Depth)
	}
	i, done := jsonscan.First(b, i+1, ']')
	for element := 0; !done; element++ {
		end := i
		if n.each != nil {
			if end = w.line(i, n.each, depth+1); end == failed {
				return failed
			}
		}
		if element < len(n.elems) && n.elems[element] != nil {
			if end = w.value(i, n.elems[element], depth+1); end == failed {
				return failed
			}
		}
		var fault jsonscan.Fault
		if end == i {
			if end, _, fault = jsonscan.Value(b, i, depth+1); fault != jsonscan.OK {
				return w.fail(end, fault)
			}
		}
		if i, done, fault = jsonscan.Next(b, end, ']'); fault != jsonscan.OK {
			return w.fail(i, fault)
		}
	}
	return i
}

// line walks one line of an order.
func (w *walk) line(i int, each *node, depth int) int {
	switch {
	case i < len(w.data) && w.data[i] != '{':
		w.linesBad = true
		return i
	case w.lines == w.maxLines:
		w.linesTooMany = true
		return i
	}
	from := len(w.lineSpans)
	for range w.lineSlots {
		w.lineSpans = append(w.lineSpans, span{})
	}
	w.lines++
	record := w.spans
	w.spans = w.lineSpans[from:]
	i = w.object(i, each, depth)
	w.spans = record
	return i
}

// found returns the text of a value, unescaped. Its kind stays Escaped, so that a reader can tell that any character may
// be in it.
func (w *walk) found(s span) ([]byte, jsonscan.Kind) {
	raw := w.data[s.start:s.end]
	if s.kind == jsonscan.Escaped {
		from := len(w.unescaped)
		w.unescaped = jsonscan.AppendUnescaped(w.unescaped, raw)
		raw = w.unescaped[from:]
	}
	return raw, s.kind
}

// own returns the text as a string that lives in the event's buffer.
func (w *walk) own(text []byte) string {
	from := w.text.Len()
	w.text.Write(text)
	return w.text.String()[from:]
}
