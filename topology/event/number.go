package event

import (
	"math"
	"math/bits"
)

// numberFault is why text is not the integer that was asked for.
type numberFault uint8

const (
	numberOK       numberFault = iota
	notNumber                  // not a JSON number's text
	tooFine                    // digits beyond the scale that are not zero
	numberOverflow             // beyond int64
)

var powersOf10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// numberBytes is the longest text taken for a number.
const numberBytes = 64

// significantDigits is how many digits always fit in a uint64.
const significantDigits = 19

// scaled returns the decimal number in raw times 10^scale, exactly, for 0 ≤ scale ≤ 19. raw must be a number as JSON
// writes it. Digits that the scale cannot hold are a fault unless they are zeros; with truncate they are dropped.
//
// Decimal libraries either round silently past their precision (govalues/decimal, 19 digits) or allocate (math/big);
// the tests hold this to both.
func scaled(raw []byte, scale int, truncate bool) (int64, numberFault) {
	if len(raw) > numberBytes {
		return 0, notNumber
	}
	i, negative := 0, false
	if len(raw) > 0 && raw[0] == '-' {
		i, negative = 1, true
	}
	var (
		coefficient uint64 // the first significant digits
		kept        int    // how many digits the coefficient has
		power       int    // the number is coefficient × 10^power, plus what was dropped
		dropped     bool   // a digit that is not zero did not fit the coefficient
	)
	from := i
	for ; i < len(raw) && raw[i]-'0' <= 9; i++ {
		digit := raw[i] - '0'
		if kept < significantDigits {
			coefficient = coefficient*10 + uint64(digit)
			if coefficient != 0 {
				kept++
			}
		} else {
			dropped = dropped || digit != 0
			power++
		}
	}
	if i == from || raw[from] == '0' && i > from+1 {
		return 0, notNumber
	}
	if i < len(raw) && raw[i] == '.' {
		i++
		from = i
		for ; i < len(raw) && raw[i]-'0' <= 9; i++ {
			digit := raw[i] - '0'
			if kept < significantDigits {
				coefficient = coefficient*10 + uint64(digit)
				if coefficient != 0 {
					kept++
				}
				power--
			} else {
				dropped = dropped || digit != 0
			}
		}
		if i == from {
			return 0, notNumber
		}
	}
	if i < len(raw) {
		exponent, ok := exponentOf(raw[i:])
		if !ok {
			return 0, notNumber
		}
		power += exponent
	}
	return shifted(coefficient, power+scale, dropped, negative, truncate)
}

// shifted returns ±coefficient × 10^shift as an integer.
func shifted(coefficient uint64, shift int, dropped, negative, truncate bool) (int64, numberFault) {
	switch {
	case coefficient == 0:
		return 0, numberOK
	case shift > significantDigits:
		return 0, numberOverflow
	case shift > 0:
		high, low := bits.Mul64(coefficient, powersOf10[shift])
		if high != 0 || dropped {
			return 0, numberOverflow
		}
		coefficient = low
	case shift < -significantDigits:
		if !truncate {
			return 0, tooFine
		}
		coefficient = 0
	default:
		unit := powersOf10[-shift]
		if !truncate && (dropped || coefficient%unit != 0) {
			return 0, tooFine
		}
		coefficient /= unit
	}
	switch {
	case negative && coefficient <= 1<<63:
		return -int64(coefficient), numberOK
	case coefficient > math.MaxInt64:
		return 0, numberOverflow
	}
	return int64(coefficient), numberOK
}

// exponentOf reads "e±digits". Exponents are cut at ±10,000, which numberBytes of digits cannot bring back into range.
func exponentOf(raw []byte) (int, bool) {
	if raw[0]|0x20 != 'e' {
		return 0, false
	}
	i, sign := 1, 1
	if i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
		if raw[i] == '-' {
			sign = -1
		}
		i++
	}
	if i == len(raw) {
		return 0, false
	}
	exponent := 0
	for ; i < len(raw); i++ {
		if raw[i]-'0' > 9 {
			return 0, false
		}
		exponent = min(exponent*10+int(raw[i]-'0'), 10_000)
	}
	return sign * exponent, true
}
