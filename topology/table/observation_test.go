package table

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func drawObservation(t *rapid.T) Observation {
	text := rapid.StringN(0, 40, 200)
	o := Observation{AtMs: rapid.Int64().Draw(t, "at"), IDHash: rapid.Uint64().Draw(t, "hash"), Type: rapid.Byte().Draw(t, "type"), Flags: rapid.Byte().Draw(t, "flags"),
		Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset"), RiskMinor: rapid.Int64().Draw(t, "risk"),
		Currency: rapid.SampledFrom([]string{"", "EUR", "JPY"}).Draw(t, "currency"), ID: text.Draw(t, "id"), OrderID: text.Draw(t, "order"), Topic: text.Draw(t, "topic")}
	for range rapid.IntRange(0, 4).Draw(t, "values") {
		o.Values = append(o.Values, SeriesValue{rapid.Uint32().Draw(t, "series"), rapid.Uint64().Draw(t, "bits")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "gates") {
		g := Gate{Part: rapid.Uint32().Draw(t, "part"), Score: rapid.Byte().Draw(t, "score"), Raised: rapid.Byte().Draw(t, "raised"),
			About: rapid.SampledFrom([]string{"", OrderEntity(o.OrderID), OrderEntity(""), "customer:c1"}).Draw(t, "about")}
		for range rapid.IntRange(0, MaxOperands).Draw(t, "operands") {
			v := Operand{Kind: OperandNumber, Bits: 7}
			if rapid.Bool().Draw(t, "text?") {
				v = Operand{Kind: OperandText, Text: text.Draw(t, "text")}
			}
			g.Operands = append(g.Operands, v)
		}
		o.Gates = append(o.Gates, g)
	}
	return o
}

func TestAnObservationIsReadAsItWasWritten(t *testing.T) {
	var read Observation // its memory is used again
	rapid.Check(t, func(t *rapid.T) {
		first, second := drawObservation(t), drawObservation(t)
		b := second.Append(first.Append(nil))
		for _, want := range []*Observation{&first, &second} {
			rest, err := read.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			b = rest
			if !bytes.Equal(read.Append(nil), want.Append(nil)) {
				t.Fatalf("read %+v\nwant %+v", read, *want)
			}
			if len(read.Gates) > 0 && !reflect.DeepEqual(read.Gates[0].About, want.Gates[0].About) {
				t.Fatalf("about %q, want %q", read.Gates[0].About, want.Gates[0].About)
			}
		}
		if len(b) != 0 {
			t.Fatalf("%d bytes are left", len(b))
		}
	})
}

func FuzzObservation(f *testing.F) {
	o := Observation{Currency: "EUR", ID: "e1", OrderID: "o1", Topic: "orders", Values: []SeriesValue{{1, 2}},
		Gates: []Gate{{Part: 1, About: "order:o1", Operands: []Operand{{Kind: OperandText, Text: "x"}, {Kind: OperandNumber, Bits: 3}}}, {About: "ip:1"}}}
	f.Add(o.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again Observation
		rest, err := o.Parse(b)
		if err != nil {
			return
		}
		if _, err := again.Parse(o.Append(nil)); err != nil {
			t.Fatalf("%+v is written so that it cannot be read: %v", o, err)
		}
		if len(rest) >= len(b) {
			t.Fatal("nothing was read")
		}
	})
}
