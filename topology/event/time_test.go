package event

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event/jsonscan"
)

// strictRFC3339 is what time.Parse does not check: two-digit hours, a point before the fraction, offsets within a day.
var strictRFC3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// FuzzTime: text is taken for RFC 3339 if, and only if, it is strictly that and time.Parse takes it, with the same instant.
func FuzzTime(f *testing.F) {
	for _, text := range []string{"2026-01-01T00:00:00Z", "2024-02-29T23:59:59.999999999+14:00", "1969-12-31T23:00:00-01:00", "0000-01-01T00:00:00Z", "0000-03-01T00:00:00+00:01",
		"9999-12-31T23:59:59Z", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00,5Z", "2026-01-01T1:00:00Z0", "2026-01-01t00:00:00z",
		"1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1", "0:26-01-01T00:00:00Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < len("2006-01-02T15:04:05Z") {
			return
		}
		got, ok := rfc3339([]byte(text))
		want, err := time.Parse(time.RFC3339, text)
		if strict := err == nil && strictRFC3339.MatchString(text); ok != strict {
			t.Fatalf("%q: taken %v, want %v (%v)", text, ok, strict, err)
		}
		if ok && got != want.UnixMilli() {
			t.Fatalf("%q: %d, want %d", text, got, want.UnixMilli())
		}
	})
}

func TestEveryDayOfFourCenturiesAndBeyond(t *testing.T) {
	for day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2500; day = day.AddDate(0, 0, 1) {
		year, month, date := day.Date()
		if got := daysSince1970(year, int(month), date); int64(got)*86400 != day.Unix() {
			t.Fatalf("%s: day %d, want %d", day.Format(time.DateOnly), got, day.Unix()/86400)
		}
		if first := day.AddDate(0, 1, -date); date == 1 && daysIn(year, int(month)) != first.Day() {
			t.Fatalf("%s has %d days, want %d", day.Format("2006-01"), daysIn(year, int(month)), first.Day())
		}
	}
}

// TestOneInstantInEveryFormat: the same instant reads the same in all its spellings.
func TestOneInstantInEveryFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// As milliseconds below 1973 an instant would read as seconds.
		at := UnixMilli(rapid.Int64Range(secondsBelow, int64(endOfTime)-1).Draw(t, "milliseconds"))
		zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "minutes east"))
		for _, spelling := range []struct {
			text string
			kind jsonscan.Kind
		}{
			{at.Time().In(zone).Format("2006-01-02T15:04:05.000Z07:00"), jsonscan.String},
			{at.Time().In(zone).Format(time.RFC3339Nano), jsonscan.String},
			{fmt.Sprint(int64(at)), jsonscan.Number},
			{fmt.Sprint(int64(at)), jsonscan.String},
			{fmt.Sprintf("%d.%03d", at/1000, at%1000), jsonscan.Number},
			{fmt.Sprintf("%d.%03d999", at/1000, at%1000), jsonscan.String},
		} {
			if got, ok := parseTime([]byte(spelling.text), spelling.kind); !ok || got != at {
				t.Fatalf("%q: %d, %v, want %d", spelling.text, got, ok, at)
			}
		}
	})
}

func BenchmarkTime(b *testing.B) {
	text := "2026-01-01T00:00:40.125Z"
	raw := []byte(text)
	b.Run("weir", func(b *testing.B) {
		for b.Loop() {
			if _, ok := parseTime(raw, jsonscan.String); !ok {
				b.Fatal("refused")
			}
		}
	})
	b.Run("time.Parse", func(b *testing.B) {
		for b.Loop() {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil || at.UnixMilli() == 0 {
				b.Fatal(err)
			}
		}
	})
}
