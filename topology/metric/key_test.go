package metric

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event"
)

func TestKeyText(t *testing.T) {
	start := event.UnixMilli(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	for want, labels := range map[string][]string{
		"revenue/1m/2026-01-01T00:00:00Z/card,eu-west,DE,EUR":             {"card", "eu-west", "DE", "EUR"},
		"revenue/1m/2026-01-01T00:00:00Z/":                                nil,
		"revenue/1m/2026-01-01T00:00:00Z/%":                               {""},
		"revenue/1m/2026-01-01T00:00:00Z/a%2Fb%2Cc%25,%,ü ,%0A%FF,(none)": {"a/b,c%", "", "ü ", "\n\xff", None},
	} {
		k := Key{"revenue", "1m", start, labels}
		if got := k.String(); got != want {
			t.Errorf("%q is written %s, want %s", labels, got, want)
		}
		back, err := ParseKey(want)
		if err != nil || back.Metric != k.Metric || back.Window != k.Window || back.Start != start || !slices.Equal(back.Labels, labels) {
			t.Errorf("%s is read as %+v (%v)", want, back, err)
		}
	}
}

func TestTextThatIsNoKeyIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "revenue", "revenue/1m/2026-01-01T00:00:00Z", "Revenue/1m/2026-01-01T00:00:00Z/", "revenue/60s/2026-01-01T00:00:00Z/",
		"revenue/x/2026-01-01T00:00:00Z/", "revenue/1m/2026-02-29T00:00:00Z/", "revenue/1m/2026-13-01T00:00:00Z/", "revenue/1m/2026-01-01T24:00:00Z/",
		"revenue/1m/2026-01-01 00:00:00Z/", "revenue/1m/2026-01-01T00:00:00Z/a/b", "revenue/1m/2026-01-01T00:00:00Z/%41", "revenue/1m/2026-01-01T00:00:00Z/%2f",
		"revenue/1m/2026-01-01T00:00:00Z/a,", "revenue/1m/2026-01-01T00:00:00Z/a%", "\x00marks",
	} {
		if k, err := ParseKey(text); err == nil {
			t.Errorf("%q was read as %+v", text, k)
		}
	}
}

// The start of every second of the years 0 to 9999 must be written as the time package writes it.
func TestStartsAreRFC3339(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := event.UnixMilli(rapid.Int64Range(int64(minStart)/1000, int64(maxStart)/1000).Draw(t, "second") * 1000)
		text := string(appendStart(nil, at))
		if want := at.Time().Format(time.RFC3339); text != want {
			t.Fatalf("%d is written %s, want %s", at, text, want)
		}
		if back, ok := parseStart(text); !ok || back != at {
			t.Fatalf("%s is read as %d, want %d", text, back, at)
		}
	})
	for at := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 410; at = at.AddDate(0, 0, 1) {
		if got := string(appendStart(nil, event.UnixMilli(at.UnixMilli()))); got != at.Format(time.RFC3339) {
			t.Fatalf("%s is written %s", at, got)
		}
	}
}

// Key order is the order of starts, and Range holds exactly the rows whose start is in it.
func TestRangeHoldsTheRowsOfItsTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.OneOf(rapid.Int64Range(-100_000, 100_000), rapid.Int64Range(int64(minStart)-5000, int64(maxStart)+5000))
		from, to := event.UnixMilli(moment.Draw(t, "from")), event.UnixMilli(moment.Draw(t, "to"))
		start := event.UnixMilli(rapid.OneOf(
			rapid.Int64Range(-100, 100), rapid.Int64Range(int64(minStart)/1000, int64(maxStart)/1000),
		).Draw(t, "start") * 1000)
		key := Key{"revenue", "1m", start, []string{"card"}}.String()
		low, limit := Range("revenue", "1m", from, to)
		if in, want := low <= key && key < limit, from <= start && start < to; in != want {
			t.Fatalf("start %d in [%d, %d): %v by key (%s … %s), want %v", start, from, to, in, low, limit, want)
		}
	})
}

func TestWindowPrefix(t *testing.T) {
	if p, ok := WindowPrefix("revenue/1m/2026-01-01T00:00:00Z/card,DE"); !ok || p != "revenue/1m/2026-01-01T00:00:00Z" {
		t.Errorf("prefix %q %v", p, ok)
	}
	for _, text := range []string{"\x00marks", "x", "buying_sessions/session-30m/1970-01-01T00:00:00Z/c1"} {
		if p, ok := WindowPrefix(text); ok {
			t.Errorf("%q has prefix %q", text, p)
		}
	}
}

func TestLongLabelsAreCutAndStayApart(t *testing.T) {
	long := strings.Repeat("ü", 500)
	a, b := labelValue(long+"a"), labelValue(long+"b")
	if a == b || len(a) > MaxLabelBytes || len(a) < MaxLabelBytes-4 || strings.Contains(string(appendLabel(nil, a)), "%") {
		t.Errorf("%q and %q (%d bytes)", a, b, len(a))
	}
	if labelValue("") != None || labelValue("DE") != "DE" {
		t.Error("short values must stay")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("revenue/1m/2026-01-01T00:00:00Z/card,eu-west,DE,EUR")
	f.Add("sold/5m:1m/0000-01-01T00:00:00Z/%,a%2C")
	f.Add("buying_sessions/session-30m/1970-01-01T00:00:00Z/c1")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err == nil && k.String() != text {
			t.Fatalf("%q is read as %+v, which is written %q", text, k, k)
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add("a", "b/c")
	f.Add("", "\xff%")
	f.Fuzz(func(t *testing.T, a, b string) {
		back, err := ParseKey(Key{"m", "1m", 0, []string{a, b}}.String())
		if err != nil || !slices.Equal(back.Labels, []string{a, b}) {
			t.Fatalf("%q, %q came back as %q (%v)", a, b, back.Labels, err)
		}
	})
}
