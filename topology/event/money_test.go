package event

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/bojanz/currency"
	"github.com/govalues/decimal"
	"pgregory.net/rapid"
)

// exactMinor is the oracle: amount × 10^exponent in math/big.
func exactMinor(amount string, exponent int) (*big.Int, bool) {
	r, ok := new(big.Rat).SetString(amount)
	if !ok {
		return nil, false
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)
	r.Mul(r, new(big.Rat).SetInt(unit))
	return r.Num(), r.IsInt()
}

func TestAmountsBecomeMinorUnitsExactly(t *testing.T) {
	for _, c := range []struct {
		amount, currency string
		want             int64
	}{
		{"12.5", "EUR", 1250}, {"0.1", "EUR", 10}, {"0.29", "USD", 29}, {"1.15", "USD", 115}, {"4.35", "USD", 435}, {"1250", "JPY", 1250}, {"1250.00", "JPY", 1250},
		{"1.234", "KWD", 1234}, {"1.2345", "CLF", 12345}, {"92233720368547758.07", "EUR", math.MaxInt64}, {"-92233720368547758.08", "EUR", math.MinInt64},
		{"9223372036854775807", "JPY", math.MaxInt64}, {"1e2", "EUR", 10000}, {"125e-1", "EUR", 1250}, {"0e99999999999", "EUR", 0}, {"0.00000000000000000000000000000e5", "EUR", 0},
		{"10000000000000000000000e-20", "EUR", 10000},
	} {
		got, err := ParseMinor(c.amount, c.currency)
		if err != nil || got != c.want {
			t.Errorf("%s %s: %d, %v, want %d", c.amount, c.currency, got, err, c.want)
		}
	}
	for _, c := range [][2]string{
		{"12.345", "EUR"}, {"1.5", "JPY"}, {"1.2345", "KWD"}, {"92233720368547758.08", "EUR"}, {"-92233720368547758.09", "EUR"}, {"9223372036854775808", "JPY"},
		{"1e-3", "EUR"}, {"1e17", "EUR"}, {"1e999999999999999999999", "EUR"}, {"1e-999999999999999999999", "EUR"}, {"0.000000000000000000000000000001", "EUR"},
		{"1234567890123456.789", "EUR"}, {"", "EUR"}, {"-", "EUR"}, {".", "EUR"}, {"1.", "EUR"}, {".1", "EUR"}, {"00", "EUR"}, {"01.5", "EUR"}, {"--1", "EUR"}, {"1e", "EUR"},
		{"1e+", "EUR"}, {"1x", "EUR"}, {"1_000", "EUR"}, {"1 000", "EUR"}, {"١", "EUR"}, {"1", "eurx"}, {"1", ""}, {"1", "XXX"},
	} {
		got, err := ParseMinor(c[0], c[1])
		if _, ok := errors.AsType[*Malformed](err); !ok {
			t.Errorf("%q %s: %d, %v, want an error", c[0], c[1], got, err)
		}
	}
}

func TestEveryCurrencyIsKnownWithItsExponent(t *testing.T) {
	codes := currency.GetCurrencyCodes()
	if len(codes) < 150 {
		t.Fatalf("only %d currencies", len(codes))
	}
	for _, code := range codes {
		digits, _ := currency.GetDigits(code)
		for _, spelled := range []string{code, strings.ToLower(code)} {
			if got, ok := Exponent(spelled); !ok || got != int(digits) {
				t.Errorf("%s: exponent %d, %v, want %d", spelled, got, ok, digits)
			}
		}
	}
	known := 0
	for i := range currencies {
		if currencies[i].code != "" {
			known++
		}
	}
	if known != len(codes) {
		t.Errorf("%d currencies known of %d", known, len(codes))
	}
}

// TestMinorUnitsSurviveWriting: for every currency and amount, written major units read as the same minor units, also with
// zeros after them, and as govalues/decimal reads them.
func TestMinorUnitsSurviveWriting(t *testing.T) {
	codes := currency.GetCurrencyCodes()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom(codes).Draw(t, "currency")
		minor := rapid.Int64().Draw(t, "minor")
		exponent, _ := Exponent(code)
		amount := string(AppendMajor(nil, minor, exponent))
		if got, err := ParseMinor(amount, code); err != nil || got != minor {
			t.Fatalf("%d of %s is written %q and read %d, %v", minor, code, amount, got, err)
		}
		d, err := decimal.Parse(amount)
		if err != nil {
			t.Fatal(err)
		}
		if whole := decimal.MustNew(minor, exponent); d.Cmp(whole) != 0 {
			t.Fatalf("%d of %s is written %q, which is %s", minor, code, amount, d)
		}
		longer := amount
		if exponent == 0 {
			longer += "."
		}
		longer += strings.Repeat("0", rapid.IntRange(1, 9).Draw(t, "zeros"))
		if got, err := ParseMinor(longer, code); err != nil || got != minor {
			t.Fatalf("%q %s is read %d, %v, want %d", longer, code, got, err, minor)
		}
		finer := longer + "1"
		if got, err := ParseMinor(finer, code); err == nil {
			t.Fatalf("%q %s is read %d", finer, code, got)
		}
	})
}

// FuzzMoney: an amount is taken if, and only if, it is a JSON number whose exact value in math/big is a whole number of
// minor units that fits; and then it is that value.
func FuzzMoney(f *testing.F) {
	for _, amount := range []string{"12.50", "-0.01", "1e2", "1E-2", "92233720368547758.07", "1234567890123456789012", "0.1234567890123456789", "1.50e+1", "00", "0e5"} {
		f.Add(amount, uint8(2))
	}
	f.Fuzz(func(t *testing.T, amount string, exponent uint8) {
		exponent %= 5
		if len(amount) > numberBytes {
			return
		}
		if i := strings.IndexAny(amount, "eE"); i >= 0 && len(amount)-i > 5 {
			return // math/big would spell the number out
		}
		got, fault := scaled([]byte(amount), int(exponent), false)
		if !isJSONNumber(amount) {
			if fault != notNumber {
				t.Fatalf("%q is no number, but read %d, %d", amount, got, fault)
			}
			return
		}
		want, whole := exactMinor(amount, int(exponent))
		switch {
		case whole && want.IsInt64():
			if fault != numberOK || got != want.Int64() {
				t.Fatalf("%q: %d, fault %d, want %s", amount, got, fault, want)
			}
		case fault == numberOK:
			t.Fatalf("%q: taken as %d, exactly it is %s (whole: %v)", amount, got, want, whole)
		}
		cut, fault := scaled([]byte(amount), int(exponent), true)
		r, _ := new(big.Rat).SetString(amount)
		r.Mul(r, new(big.Rat).SetInt64(int64(powersOf10[exponent])))
		if quotient := new(big.Int).Quo(r.Num(), r.Denom()); fault == numberOK && quotient.Cmp(big.NewInt(cut)) != 0 {
			t.Fatalf("%q cut: %d, want %s", amount, cut, quotient)
		}
	})
}

func isJSONNumber(text string) bool {
	rest, _ := strings.CutPrefix(text, "-")
	mantissa, exponent, hasExponent := rest, "", false
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, exponent, hasExponent = rest[:i], strings.TrimPrefix(rest[i+1:], "-"), true
		if rest[i+1:] != "" && rest[i+1] == '+' {
			exponent = rest[i+2:]
		}
	}
	whole, fraction, hasFraction := strings.Cut(mantissa, ".")
	return allDigits(whole) && (len(whole) == 1 || whole[0] != '0') && (!hasFraction || allDigits(fraction)) && (!hasExponent || allDigits(exponent))
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func BenchmarkMoney(b *testing.B) {
	amount := []byte("259.97")
	b.Run("weir", func(b *testing.B) {
		for b.Loop() {
			if minor, fault := scaled(amount, 2, false); fault != numberOK || minor != 25997 {
				b.Fatal(minor)
			}
		}
	})
	b.Run("govalues", func(b *testing.B) {
		for b.Loop() {
			d, err := decimal.ParseExact(string(amount), 2)
			if err != nil || d.Coef() != 25997 {
				b.Fatal(d)
			}
		}
	})
}
