package event

import "weir/topology/event/jsonscan"

// Numbers below secondsBelow are Unix seconds, others Unix milliseconds: as seconds it is the year 5138, as milliseconds
// March 1973. endOfTime is the same instant in milliseconds; nothing later is taken for a time, so that micro- and
// nanoseconds are refused and not taken for dates in the far future.
const (
	secondsBelow = 100_000_000_000
	endOfTime    = UnixMilli(1000 * secondsBelow)
)

// parseTime reads a point of time: RFC 3339, or Unix seconds or milliseconds as a number or a numeric string.
// What is finer than a millisecond is cut. 0 is "not given"; times before 1970 are refused.
func parseTime(raw []byte, kind jsonscan.Kind) (UnixMilli, bool) {
	var at int64
	switch {
	case kind != jsonscan.Number && len(raw) >= len("2006-01-02T15:04:05Z") && raw[4] == '-':
		var ok bool
		if at, ok = rfc3339(raw); !ok {
			return 0, false
		}
	default:
		whole, fault := scaled(raw, 0, true)
		if fault != numberOK {
			return 0, false
		}
		at = whole
		if whole > -secondsBelow && whole < secondsBelow {
			if at, fault = scaled(raw, 3, true); fault != numberOK {
				return 0, false
			}
		}
	}
	return UnixMilli(at), at >= 0 && UnixMilli(at) < endOfTime
}

// rfc3339 reads "2006-01-02T15:04:05[.fraction](Z|±07:00)" as Unix milliseconds. FuzzTime holds it to time.Time's strict
// UnmarshalText, which takes four times as long.
func rfc3339(raw []byte) (int64, bool) {
	if raw[4] != '-' || raw[7] != '-' || raw[10] != 'T' || raw[13] != ':' || raw[16] != ':' {
		return 0, false
	}
	var (
		year   = 100*pair(raw[0:]) + pair(raw[2:])
		month  = pair(raw[5:])
		day    = pair(raw[8:])
		hour   = pair(raw[11:])
		minute = pair(raw[14:])
		second = pair(raw[17:])
	)
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	milli, zone := int64(0), raw[19:]
	if zone[0] == '.' {
		n := 1
		for unit := int64(100); n < len(zone) && zone[n]-'0' <= 9; n++ {
			milli += unit * int64(zone[n]-'0')
			unit /= 10
		}
		if n == 1 || n == len(zone) {
			return 0, false
		}
		zone = zone[n:]
	}
	offset := 0
	switch {
	case len(zone) == 1 && zone[0] == 'Z':
	case len(zone) == len("+07:00") && zone[3] == ':' && (zone[0] == '+' || zone[0] == '-'):
		hours, minutes := pair(zone[1:]), pair(zone[4:])
		if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
			return 0, false
		}
		if offset = hours*60 + minutes; zone[0] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	seconds := int64(daysSince1970(year, month, day))*86400 + int64(hour)*3600 + int64(minute-offset)*60 + int64(second)
	return seconds*1000 + milli, true
}

// pair reads two digits; what is not two digits is a negative number that stays negative when 100 times it gains 99.
func pair(raw []byte) int {
	tens, units := raw[0]-'0', raw[1]-'0'
	if tens > 9 || units > 9 {
		return -10_000
	}
	return int(tens)*10 + int(units)
}

var monthDays = [13]uint8{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return int(monthDays[month])
}

// daysSince1970 counts in eras of 400 years, each beginning on 1 March, so that the leap day is a year's last.
func daysSince1970(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = -1
	}
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}
