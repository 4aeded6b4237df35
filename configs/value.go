package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"weir/views/webhook"
)

// Bytes is an amount of memory or disk; it is written 64MiB, 2GB, 512k or as a number.
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"B", 1},
}

// ParseBytes reads an amount such as 64MiB.
func ParseBytes(s string) (Bytes, error) {
	number, size := strings.TrimSpace(s), 1.0
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, size = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n*size >= 1<<62 {
		return 0, fmt.Errorf("%q is no amount of bytes; write it like 64MiB or 2GB", s)
	}
	return Bytes(n * size), nil
}

func (b Bytes) String() string {
	for _, u := range []struct {
		name string
		size Bytes
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Share is a part of a whole, 0 to 1; it is written as a percentage.
type Share float64

// ParseShare reads a percentage such as 1%.
func ParseShare(s string) (Share, error) {
	number, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok && n != 0 || err != nil || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("%q is no percentage; write it like 1%%", s)
	}
	return Share(n / 100), nil
}

func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }

const day = 24 * time.Hour

// ParseDuration reads what time.ParseDuration reads, and days: 180d, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		return 0, fmt.Errorf("%q is no duration; write it like 50ms, 30s, 12h or 180d", s)
	}
	rest, days := s, time.Duration(0)
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n > 100_000 || n < -100_000 {
			return bad()
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || days != 0 && d < 0 {
		return bad()
	}
	return days + d, nil
}

// FormatDuration writes whole days as days.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// set reads the text of one value into v. A list's text has commas between its values.
func set(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		return into(p, text, ParseDuration)
	case *Bytes:
		return into(p, text, ParseBytes)
	case *Share:
		return into(p, text, ParseShare)
	case *time.Time:
		return into(p, text, parseTime)
	case *[]string:
		*p = splitList(text)
		return nil
	case *[]Source:
		return yaml.UnmarshalWithOptions([]byte(text), p, yaml.Strict())
	case *[]webhook.Receiver:
		return yaml.UnmarshalWithOptions([]byte(text), p, yaml.Strict())
	case *string:
		*p = text
		return nil
	case *bool:
		return into(p, text, func(s string) (bool, error) {
			switch strings.ToLower(s) {
			case "true", "yes", "on", "1":
				return true, nil
			case "false", "no", "off", "0":
				return false, nil
			}
			return false, fmt.Errorf("%q is neither true nor false", s)
		})
	case *int:
		return into(p, text, func(s string) (int, error) {
			n, err := strconv.ParseInt(s, 10, 32)
			return int(n), wholeNumber(s, err)
		})
	case *int64:
		return into(p, text, func(s string) (int64, error) {
			n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
			return n, wholeNumber(s, err)
		})
	case *float64:
		return into(p, text, func(s string) (float64, error) {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil || f != f || f > 1e15 || f < -1e15 {
				return 0, fmt.Errorf("%q is no number", s)
			}
			return f, nil
		})
	default:
		panic(fmt.Sprintf("configs: values of type %s are not known", v.Type()))
	}
}

func into[T any](p *T, text string, parse func(string) (T, error)) error {
	value, err := parse(text)
	if err == nil {
		*p = value
	}
	return err
}

func wholeNumber(s string, err error) error {
	if err != nil {
		return fmt.Errorf("%q is no whole number in range", s)
	}
	return nil
}

func splitList(text string) []string {
	var values []string
	for v := range strings.SplitSeq(text, ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}

// parseTime takes RFC 3339 with as much of it as a person likes to type.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write it like 2026-01-31T08:00:00Z", s)
}

// format is the text from which set makes the value again.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.Format(time.RFC3339)
	case []string:
		return strings.Join(x, ",")
	case []Source:
		return formatSources(x)
	case []webhook.Receiver:
		return formatReceivers(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

// checkOneOf refuses a value that is none of those the key can have.
func (k Key) checkOneOf(v reflect.Value) error {
	if len(k.OneOf) == 0 {
		return nil
	}
	values, ok := v.Interface().([]string)
	if !ok {
		values = []string{v.String()}
	}
	if ok && len(values) == 0 {
		return errors.New("is empty; name at least one of " + strings.Join(k.OneOf, ", "))
	}
	for _, value := range values {
		if !slices.Contains(k.OneOf, value) {
			return fmt.Errorf("%q is not one of %s%s", value, strings.Join(nonEmpty(k.OneOf), ", "), suggestion(value, k.OneOf))
		}
	}
	return nil
}

func nonEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
}
