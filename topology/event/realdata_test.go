package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/bojanz/currency"
	"github.com/klauspost/compress/zstd"
)

// TestRealFiles parses every line of real shops' events: none is malformed, and counts and sums by type and currency are
// those of a plain loop with encoding/json and math/big.
func TestRealFiles(t *testing.T) {
	for name, lines := range map[string]int{"dataco.ndjson.zst": 279_659, "olist-blackfriday-2017.ndjson.zst": 12_045} {
		t.Run(name, func(t *testing.T) {
			file, err := zstd.NewReader(bytes.NewReader(sharedFile(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			got, want := sums{}, sums{}
			var e Event
			read := 0
			scanner := bufio.NewScanner(file)
			scanner.Buffer(nil, 1<<20)
			for ; scanner.Scan(); read++ {
				if err := Canonical().ParseInto(&e, scanner.Bytes(), 0); err != nil {
					t.Fatalf("line %d: %v\n%s", read+1, err, scanner.Bytes())
				}
				got.addEvent(&e)
				want.addRecord(t, scanner.Bytes())
				if read%97 == 0 {
					again, err := Canonical().Parse(AppendJSON(nil, &e), 0)
					if err != nil || !sameEvent(*again, e) {
						t.Fatalf("line %d: %+v is written and read as %+v, %v", read+1, e, again, err)
					}
				}
			}
			if err := scanner.Err(); err != nil {
				t.Fatal(err)
			}
			if read != lines {
				t.Errorf("%d lines, want %d", read, lines)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			t.Logf("%d events: %v", read, got)
		})
	}
}

// sums are counts of events and sums of minor units by "type currency", and of items.
type sums map[string]int64

func (s sums) addEvent(e *Event) {
	s["events "+e.Type.String()+" "+e.Currency]++
	if e.HasAmount {
		s["amount "+e.Type.String()+" "+e.Currency] += e.AmountMinor
	}
	for _, item := range e.Items {
		s["quantity"] += item.Quantity
		s["item revenue "+e.Currency] += item.Quantity * item.PriceMinor
	}
	s["seconds"] += int64(e.At / 1000)
}

func (s sums) addRecord(t *testing.T, record []byte) {
	var e struct {
		Type, Currency, Total, Amount string
		Time                          time.Time
		Items                         []struct {
			Quantity int64
			Price    string
		}
	}
	if err := json.Unmarshal(record, &e); err != nil {
		t.Fatal(err)
	}
	minor := func(amount string) int64 {
		digits, _ := currency.GetDigits(e.Currency)
		r, ok := new(big.Rat).SetString(amount)
		if !ok {
			t.Fatalf("amount %q", amount)
		}
		r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
		if !r.IsInt() {
			t.Fatalf("amount %q", amount)
		}
		return r.Num().Int64()
	}
	s["events "+e.Type+" "+e.Currency]++
	if amount := e.Total + e.Amount; amount != "" {
		s["amount "+e.Type+" "+e.Currency] += minor(amount)
	}
	for _, item := range e.Items {
		s["quantity"] += item.Quantity
		s["item revenue "+e.Currency] += item.Quantity * minor(item.Price)
	}
	s["seconds"] += e.Time.Unix()
}
