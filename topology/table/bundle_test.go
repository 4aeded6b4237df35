package table

import (
	"bytes"
	"testing"
)

func FuzzBundle(f *testing.F) {
	f.Add(AppendBundle(AppendBundle(nil, "ip:192.0.2.1", []byte("one")), "card:c", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		if EachOfBundle(b, func(key string, observations []byte) error {
			again = AppendBundle(again, key, observations)
			return nil
		}) != nil {
			return
		}
		var third []byte // lengths may be written longer than they need be, so the second writing is the measure
		if err := EachOfBundle(again, func(key string, observations []byte) error {
			third = AppendBundle(third, key, observations)
			return nil
		}); err != nil || !bytes.Equal(again, third) || len(again) > len(b) {
			t.Fatalf("%v: %q is written as %q, then %q", err, b, again, third)
		}
	})
}
