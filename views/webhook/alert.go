package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/topology/alert"
)

const (
	typePrefix = "weir.alert."
	maxIDBytes = 200
)

// kind is the last word of the event's type: opened, ended, ….
func kind(e *alert.Event) string { return strings.TrimPrefix(e.Type, typePrefix) }

// parse reads a record of the topic alerts. What it refuses can be told to nobody.
func parse(value []byte) (*alert.Event, error) {
	e := new(alert.Event)
	if err := json.Unmarshal(value, e); err != nil {
		return nil, fmt.Errorf("no CloudEvent of an alert: %w", err)
	}
	switch {
	case e.ID == "" || len(e.ID) > maxIDBytes || strings.ContainsFunc(e.ID, func(c rune) bool { return c <= ' ' || c > '~' }):
		return nil, errors.New("no CloudEvent of an alert: its id cannot be the value of a header")
	case !strings.HasPrefix(e.Type, typePrefix):
		return nil, fmt.Errorf("no CloudEvent of an alert: its type %q is none of %s…", cut(e.Type, maxIDBytes), typePrefix)
	case e.Data == nil || e.Data.Alert == nil:
		return nil, errors.New("no CloudEvent of an alert: it has no data")
	}
	return e, nil
}

// timeOf reads a time of an event; what is none is the zero time.
func timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// amount writes money in major units: 1,234 cents are 12.34 EUR.
func amount(m *alert.Money) string {
	digits, sign := m.Amount, ""
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		digits, sign = rest, "-"
	}
	if m.Exponent > 0 && m.Exponent < 10 {
		if missing := m.Exponent + 1 - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		digits = digits[:len(digits)-m.Exponent] + "." + digits[len(digits)-m.Exponent:]
	}
	return sign + digits + " " + m.Currency
}
