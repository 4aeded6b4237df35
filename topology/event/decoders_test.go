package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bytedance/sonic"
	"github.com/go-json-experiment/json/jsontext"
	goccy "github.com/goccy/go-json"

	"weir/topology/event/jsonscan"
)

// This file is the choice of the JSON decoder, kept so that it can be made again:
//
//	go test -run xxx -bench Decoders ./topology/event

// canonicalWire and wWire are the two records as a struct decoder needs them: what is money or time stays text.
type canonicalWire struct {
	ID         string      `json:"id"`
	Type       string      `json:"type"`
	Time       string      `json:"time"`
	OrderID    string      `json:"order_id"`
	CustomerID string      `json:"customer_id"`
	Currency   string      `json:"currency"`
	Total      json.Number `json:"total"`
	Channel    string      `json:"channel"`
	Region     string      `json:"region"`
	Country    string      `json:"country"`
	Items      []struct {
		ProductID string      `json:"product_id"`
		Category  string      `json:"category"`
		Quantity  int64       `json:"quantity"`
		Price     json.Number `json:"price"`
	} `json:"items"`
	Client struct {
		IP       string `json:"ip"`
		DeviceID string `json:"device_id"`
	} `json:"client"`
}

type wWire struct {
	ID         string      `json:"event_id"`
	Type       string      `json:"event_type"`
	Time       json.Number `json:"timestamp"`
	OrderID    string      `json:"order_id"`
	CustomerID string      `json:"customer_id"`
	Currency   string      `json:"currency"`
	Amount     json.Number `json:"amount"`
	Region     string      `json:"region"`
	Category   string      `json:"category"`
	IP         string      `json:"ip"`
	DeviceID   string      `json:"device_id"`
}

// decoder is one contender. The struct decoders only decode; money, times, the type, checks and limits come on top. weir
// and jsontext do everything, jsontext by the same tree of looked-at places as weir's scanner.
type decoder struct {
	name   string
	decode func(record []byte, w bool) error
}

func structDecoder(unmarshal func([]byte, any) error) func([]byte, bool) error {
	return func(record []byte, w bool) error {
		if w {
			var wire wWire
			return unmarshal(record, &wire)
		}
		var wire canonicalWire
		return unmarshal(record, &wire)
	}
}

func contenders(tb testing.TB) []decoder {
	strict := sonic.Config{ValidateString: true, CopyString: true, EscapeHTML: true, SortMapKeys: true, CompactMarshaler: true}.Froze()
	wParser := presetParser(tb, "w", "orders")
	parser := func(w bool) *Parser {
		if w {
			return wParser
		}
		return Canonical()
	}
	var e Event
	tokens := jsontext.NewDecoder(bytes.NewReader(nil))
	var buffer bytes.Buffer
	return []decoder{
		{"weir", func(record []byte, w bool) error { return parser(w).ParseInto(&e, record, 0) }},
		{"jsontext", func(record []byte, w bool) error {
			p := parser(w)
			walk := begin(record, p)
			defer walk.finish()
			buffer.Reset()
			buffer.Write(record)
			tokens.Reset(&buffer, jsontext.AllowDuplicateNames(true))
			if err := tokenWalk(tokens, walk, p.root); err != nil {
				return err
			}
			if _, err := tokens.ReadToken(); !errors.Is(err, io.EOF) {
				return errTrailing
			}
			return p.readAll(&e, walk, 0)
		}},
		{"encoding-json", structDecoder(json.Unmarshal)},
		{"goccy", structDecoder(goccy.Unmarshal)},
		{"sonic-strict", structDecoder(strict.Unmarshal)},
		{"sonic-fastest", structDecoder(sonic.ConfigFastest.Unmarshal)},
	}
}

var errTrailing = &Malformed{Reason: ReasonJSON, Detail: "bytes after the record"}

// tokenWalk is walk.value on jsontext's tokens. It leaves array elements by index out, which no benchmark needs.
func tokenWalk(d *jsontext.Decoder, w *walk, n *node) error {
	switch kind := d.PeekKind(); {
	case kind == '{' && (n.names.inner):
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != '}' {
			name, err := d.ReadValue()
			if err != nil {
				return err
			}
			child := n.names.find(name[1 : len(name)-1])
			if child == nil {
				err = d.SkipValue()
			} else {
				err = tokenWalk(d, w, child)
			}
			if err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	case kind == '[' && n.each != nil:
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			from := len(w.lineSpans)
			w.lineSpans = append(w.lineSpans, make([]span, w.lineSlots)...)
			w.lines++
			record := w.spans
			w.spans = w.lineSpans[from:]
			err := tokenWalk(d, w, n.each)
			if w.spans = record; err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	}
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	end := int32(d.InputOffset())
	at := &w.spans[n.slot]
	at.start, at.end, at.kind = end-int32(len(value)), end, scanKind(value)
	if value[0] == '"' {
		at.start++
		at.end--
	}
	w.textBytes += len(value)
	return nil
}

func scanKind(value []byte) jsonscan.Kind {
	_, kind, _ := jsonscan.Value(value, 0, 0)
	return kind
}

func TestInvalidRecordsAreNeverTaken(t *testing.T) {
	corpus := invalidRecords()
	if len(corpus) < 10_000 {
		t.Fatalf("only %d invalid records", len(corpus))
	}
	for _, record := range corpus {
		for _, p := range []*Parser{Canonical(), presetParser(t, "w", "orders")} {
			if e, err := p.Parse(record, 0); err == nil {
				t.Fatalf("%q: taken as %+v", record, *e)
			}
		}
	}
}

// invalidRecords mutates sound records and keeps what is not strict JSON by jsontext's judgement.
func invalidRecords() [][]byte {
	random := rand.New(rand.NewPCG(7, 11))
	alphabet := []byte("\x00\x01\t\n\x1f \"\\/{}[],:.-+0123456789eEtrufalsnx\x7f\x80\xbf\xc0\xc3\xed\xf5\xff")
	sound := [][]byte{canonicalRecord, wOrder, wPayment, wShipment, []byte(`{"id":"\u00e9\ud83d\ude00","type":"order.created","x":[true,false,null,-1.5e+3,{"y":[]}],"channel":"日本"}`)}
	var invalid [][]byte
	for range 30_000 {
		record := slices.Clone(sound[random.IntN(len(sound))])
		for range 1 + random.IntN(2) {
			at := random.IntN(len(record))
			letter := alphabet[random.IntN(len(alphabet))]
			switch random.IntN(6) {
			case 0:
				record = record[:at+1]
			case 1:
				record = slices.Delete(record, at, at+1)
			case 2:
				record = slices.Insert(record, at, letter)
			case 3:
				other := random.IntN(len(record))
				record[at], record[other] = record[other], record[at]
			case 4:
				end := min(len(record), at+1+random.IntN(8))
				record = slices.Insert(record, end, record[at:end]...)
			default:
				record[at] = letter
			}
		}
		if !jsontext.Value(record).IsValid(jsontext.AllowDuplicateNames(true)) {
			invalid = append(invalid, record)
		}
	}
	return invalid
}

func BenchmarkDecoders(b *testing.B) {
	corpus := invalidRecords()
	for _, shape := range []struct {
		name   string
		record []byte
		w      bool
	}{{"canonical", canonicalRecord, false}, {"w", wOrder, true}} {
		for _, d := range contenders(b) {
			b.Run(shape.name+"/"+d.name, func(b *testing.B) {
				var notJSON, notUTF8 float64
				for _, record := range corpus {
					switch {
					case d.decode(slices.Clone(record), shape.w) != nil:
					case json.Valid(record): // which passes over bytes that are not UTF-8 and halves of surrogate pairs
						notUTF8++
					default:
						notJSON++
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if err := d.decode(shape.record, shape.w); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(notJSON, "not-JSON-taken")
				b.ReportMetric(notUTF8, "not-UTF8-taken")
			})
		}
	}
}
