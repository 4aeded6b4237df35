package entities

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// rowOf is a row with folds of two series and a few observations.
func rowOf(t testing.TB) (*testJudge, *rule.Plan, []byte) {
	t.Helper()
	j, plan := crowded(rule.Exact)
	plan.Series[1].Method = rule.HLL
	e := newEntity(j, plan, time.Minute)
	for n := range 30 {
		f := &fact{Observation: newObservation(n, 1_000_000+int64(n)*900, "EUR",
			table.SeriesValue{Series: 10, Bits: f64(float64(n))}, table.SeriesValue{Series: 20, Bits: f64(1)})}
		f.Gates = []table.Gate{{Part: 1, About: "order:o1", Operands: []table.Operand{{Kind: table.OperandText, Text: "x"}}}, {Part: 3}}
		if err := e.send(f); err != nil {
			t.Fatal(err)
		}
		e.watermark = f.AtMs
	}
	if e.total.Folded == 0 {
		t.Fatal("nothing was folded")
	}
	return j, plan, e.row
}

// A row comes back as it was when it is written again.
func TestRowsComeBackAsTheyWere(t *testing.T) {
	_, plan, row := rowOf(t)
	var s scratch
	s.shape.fit(plan, time.Minute)
	l, err := s.begin(row, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again := s.write(l.due); !bytes.Equal(again, row) {
		t.Errorf("%d bytes became %d", len(row), len(again))
	}
}

// Whatever a row or a record holds, a step ends with an error or with a row that can be read again.
func FuzzStep(f *testing.F) {
	j, plan, row := rowOf(f)
	var record []byte
	for n := range 3 {
		o := attempt(n+40, 1010)
		o.Gates = []table.Gate{{Part: 1}}
		record = o.Append(record)
	}
	f.Add(row, record, int64(1_010_000), false)
	f.Add(row, record, int64(0), true)
	f.Add([]byte(nil), record, int64(0), false)
	for i := 0; i < len(row); i += 97 { // damage, all over
		damaged := bytes.Clone(row)
		damaged[i] ^= 0x55
		f.Add(damaged, record, int64(1_000_000), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, row, record []byte, watermark int64, timer bool) {
		in, out := Input{Key: "ip:1", Record: record, Watermark: event.UnixMilli(watermark & (1<<50 - 1)), Timer: timer}, Output{}
		before := bytes.Clone(row)
		err := step(j, plan, time.Minute, row, &in, &out)
		if !bytes.Equal(before, row) {
			t.Fatal("the row was changed")
		}
		if err != nil {
			if !errors.Is(err, errRow) && !errors.Is(err, errRecord) && !errors.Is(err, errVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if out.Row == nil {
			return
		}
		if len(out.Row) > maxRowBytes && len(row) <= maxRowBytes {
			t.Fatalf("%d bytes became %d", len(row), len(out.Row))
		}
		var s scratch
		l, err := s.begin(out.Row, nil)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if len(s.refs) != l.count {
			t.Fatalf("%d observations, counted %d", len(s.refs), l.count)
		}
		if _, err := Newest(out.Row, 3); err != nil && !errors.Is(err, errGates) {
			t.Fatal(err)
		}
	})
}
