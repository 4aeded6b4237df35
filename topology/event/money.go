package event

import (
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

// iso is what is known of a currency: its code, as a string nobody has to allocate, and its ISO 4217 exponent.
type iso struct {
	code     string
	exponent uint8
}

const letters = 26

// currencies is indexed by letterIndex; an empty code is no currency.
var currencies = func() *[letters * letters * letters]iso {
	var all [letters * letters * letters]iso
	for _, code := range currency.GetCurrencyCodes() {
		digits, ok := currency.GetDigits(code)
		i, ok2 := letterIndex(code, 3)
		if !ok || !ok2 || digits > significantDigits {
			panic("currency " + code + " has no exponent")
		}
		all[i] = iso{code, digits}
	}
	return &all
}()

// countryCodes holds every pair of letters, so that a country's string is a slice of it.
var countryCodes = func() string {
	var b strings.Builder
	for i := range letters * letters {
		b.WriteByte('A' + byte(i/letters))
		b.WriteByte('A' + byte(i%letters))
	}
	return b.String()
}()

// letterIndex numbers codes of n letters A–Z, in either case.
func letterIndex[B ~string | ~[]byte](code B, n int) (int, bool) {
	if len(code) != n {
		return 0, false
	}
	index := 0
	for i := range n {
		letter := code[i]&^0x20 - 'A'
		if letter >= letters {
			return 0, false
		}
		index = index*letters + int(letter)
	}
	return index, true
}

func lookupCurrency[B ~string | ~[]byte](code B) (iso, bool) {
	i, ok := letterIndex(code, 3)
	if !ok || currencies[i].code == "" {
		return iso{}, false
	}
	return currencies[i], true
}

func lookupCountry[B ~string | ~[]byte](code B) (string, bool) {
	i, ok := letterIndex(code, 2)
	if !ok {
		return "", false
	}
	return countryCodes[2*i : 2*i+2], true
}

// Exponent returns the ISO 4217 exponent of a currency: how many decimals its major unit has.
func Exponent(currency string) (int, bool) {
	c, ok := lookupCurrency(currency)
	return int(c.exponent), ok
}

// ParseMinor returns a decimal amount of major units, such as "12.50", as minor units of the currency, exactly.
// The error is a *Malformed without a field.
func ParseMinor(amount, currency string) (int64, error) {
	c, ok := lookupCurrency(currency)
	if !ok {
		return 0, badCurrency(currency)
	}
	minor, fault := scaled([]byte(amount), int(c.exponent), false)
	if fault != numberOK {
		return 0, badMoney(amount, fault, c, false)
	}
	return minor, nil
}

// AppendMajor appends minor units as a decimal of major units with exactly exponent decimals: 1250 and 2 give "12.50".
func AppendMajor(dst []byte, minor int64, exponent int) []byte {
	magnitude := uint64(minor)
	if minor < 0 {
		dst = append(dst, '-')
		magnitude = -magnitude
	}
	unit := powersOf10[exponent]
	dst = strconv.AppendUint(dst, magnitude/unit, 10)
	if exponent == 0 {
		return dst
	}
	dst = append(dst, '.')
	fraction := magnitude % unit
	for unit /= 10; unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(fraction/unit%10))
	}
	return dst
}

func badCurrency[B ~string | ~[]byte](code B) *Malformed {
	return &Malformed{Reason: ReasonBadCurrency, Detail: quote(code) + " is no ISO 4217 currency code"}
}

// badMoney explains an amount that was refused; inMinor tells that it was read as minor units.
func badMoney[B ~string | ~[]byte](amount B, fault numberFault, c iso, inMinor bool) *Malformed {
	detail := quote(amount)
	switch {
	case fault == numberOverflow:
		detail += " is out of range"
	case fault == tooFine && inMinor:
		detail += " is not a whole number of minor units"
	case fault == tooFine:
		detail += " has more decimals than " + c.code + ", which has " + strconv.Itoa(int(c.exponent))
	default:
		detail += " is not a decimal number such as 12.50"
	}
	return &Malformed{Reason: ReasonBadMoney, Detail: detail}
}
